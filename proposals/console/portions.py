"""A large change, 25 at a time: groups of objects that change alike, or the objects of one."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlencode

from proposals.console.diff import ObjectChange

PORTION = 25
Groups = list[ObjectChange]


class Portions:
    """Which part of a change an address asks for; what is not known is the first."""

    def __init__(self, groups: Groups, asked: Mapping[str, str], url: str) -> None:
        self.groups, self.url = groups, url
        wanted = asked.get("group", "")
        self.group = next((one for one in groups if one.is_of_several and wanted in one.keys), None)
        length = len(self.group.keys) if self.group else len(groups)
        self.pages = max((length + PORTION - 1) // PORTION, 1)
        self.number = min(max(number_of(asked.get("part", "")), 1), self.pages)
        self.first = (self.number - 1) * PORTION + 1
        self.last = min(self.first + PORTION - 1, length)
        self.total = length

    @property
    def shown(self) -> Groups:
        """The groups of this part; one of many objects names its first, and where the rest is."""
        here = slice(self.first - 1, self.last)
        if self.group:
            return [replace(self.group, listed=self.group.keys[here])]
        return [self._in_short(one) for one in self.groups[here]]

    def _in_short(self, group: ObjectChange) -> ObjectChange:
        if len(group.keys) <= PORTION:
            return group
        url = self._address({"group": group.keys[0]})
        return replace(group, listed=group.keys[:PORTION], members_url=url)

    @property
    def is_large(self) -> bool:
        """Whether there is more to say than what is seen at once."""
        return self.group is not None or len(self.groups) > 1

    @property
    def has_links(self) -> bool:
        """Whether something of it is only seen by following a link."""
        return bool(self.pages > 1 or self.group or any(one.members_url for one in self.shown))

    @property
    def totals(self) -> str:
        """All objects by what happens to them: "97 objects in 3 groups: 90 changed, 7 created"."""
        fates: Counter[str] = Counter()
        for group in self.groups:
            fates[group.fate] += len(group.keys)
        parts = ", ".join(f"{number} {fate}" for fate, number in fates.most_common())
        count = f"{fates.total()} objects that change in {len(self.groups)} different ways"
        return f"{count}: {parts}"

    @property
    def whole_url(self) -> str:
        """Back from one group to all of them."""
        return self._address({}) if self.group else ""

    @property
    def previous(self) -> str:
        return self._part(self.number - 1) if self.number > 1 else ""

    @property
    def next(self) -> str:
        return self._part(self.number + 1) if self.number < self.pages else ""

    def _part(self, number: int) -> str:
        group = {"group": self.group.keys[0]} if self.group else {}
        return self._address(group | {"part": str(number)})

    def _address(self, query: dict[str, str]) -> str:
        return f"{self.url}&{urlencode({'view': 'fields'} | query)}"


def number_of(asked: str) -> int:
    return int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else 1
