"""Differences as a person reads them: per object and field, every change with a word. Pure."""

import dataclasses
import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from proposals.meanings import Meaning, beside

Values = Mapping[str, Any]
LONG_TEXT = 48
MOST_WORDS = 3000
SEVERAL = "several currencies"
DECIMAL_TEXT = re.compile(r"-?\d{1,18}\.\d{1,8}\Z")


class Missing:
    """Stands for a value that is not there, which is not null, not empty and not zero."""

    def __init__(self, word: str) -> None:
        self.word = word

    def __repr__(self) -> str:
        return self.word


ABSENT = Missing("absent")
NOT_READ = Missing("not read")
VARIES = Missing("differs from object to object")


@dataclass(frozen=True)
class Field:
    """One field of one object, in three columns."""

    name: str
    before: Any
    live: Any
    after: Any
    marker: str
    has_moved: bool
    difference: str = ""
    words: tuple[tuple[str, str], ...] = ()
    note: str = ""
    comments: tuple[Any, ...] = ()
    comment_url: str = ""
    label: str = ""
    kind: str = ""
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)  # of values, by the stored
    names: Mapping[str, str] = dataclasses.field(default_factory=dict)  # of what keys refer to
    unit: str = ""  # the currency of an amount, where it stands elsewhere


@dataclass(frozen=True)
class ObjectChange:
    """What happens to one object, or to several in exactly the same way."""

    keys: tuple[str, ...]
    fate: str
    changed: tuple[Field, ...]
    unchanged: tuple[Field, ...]
    known_as: str = ""
    listed: tuple[str, ...] = ()  # of many keys, those that are named at once
    members_url: str = ""  # and where the others are

    @property
    def is_of_several(self) -> bool:
        return len(self.keys) > 1

    @property
    def has_moved(self) -> bool:
        return any(field.has_moved for field in (*self.changed, *self.unchanged))


def objects(
    before: Values | None,
    live: Values | None,
    after: Values | None,
    *,
    from_live: bool = False,
    notes: Mapping[tuple[str, str], str] | None = None,
) -> list[ObjectChange]:
    """Every object that is touched; those that change alike are one, and the odd ones come first.

    The change is counted from `before`, or, for an undo, from what is live. Without `live` the
    middle column says that it was not read. `notes` are sentences by object and field.
    """
    if before is None and after is None:
        return []
    before, after = before or {}, after or {}
    if live is not None and "new" in before and "new" not in live:
        before = dict.fromkeys(live)
    alike: dict[str, list[ObjectChange]] = {}
    for key in [*before, *(key for key in after if key not in before)]:
        held = NOT_READ if live is None else live.get(key)
        change = one(key, before.get(key), held, after.get(key), from_live, notes or {})
        alike.setdefault(_likeness(change), []).append(change)
    return sorted(map(together, alike.values()), key=lambda group: len(group.keys))


def called(group: ObjectChange, names: Mapping[str, str]) -> ObjectChange:
    """One object by the name that people know it by, beside its key; a stranger's text."""
    return replace(group, known_as=names.get(group.keys[0], "")) if len(group.keys) == 1 else group


def understood(
    group: ObjectChange,
    meanings: Mapping[str, Meaning],
    names: Mapping[str, Mapping[str, str]] | None = None,
) -> ObjectChange:
    """The same with what people call each field and its values, and what its keys refer to.

    `names` are of objects elsewhere, by place and key. How far apart two keys or two choices are
    says nothing, so it is not said.
    """

    def meant(field: Field) -> Field:
        known = meanings.get(field.name)
        if known is None:
            return field
        label = known.label if known.label != field.name else ""
        found = replace(field, label=label, kind=known.kind)
        if not known.values and not known.refers_to:
            return found
        named = (names or {}).get(known.refers_to, {})
        told = any(beside(one, known.values, named).is_any for one in (field.before, field.after))
        words = () if told else field.words
        return replace(found, labels=known.values, names=named, difference="", words=words)

    return replace(
        group,
        changed=tuple(map(meant, group.changed)),
        unchanged=tuple(map(meant, group.unchanged)),
    )


def in_units(
    group: ObjectChange, meanings: Mapping[str, Meaning], held: Mapping[str, Any]
) -> ObjectChange:
    """The same with the currency of each amount, as its objects hold it now, all of them alike.

    Nothing is said of an amount whose currency is a field of the change itself, nor unless the
    currency of every object is known.
    """

    def counted(row: Field) -> Field:
        by = elsewhere(group, row, meanings)
        found = [(held.get(key) or {}).get(by) for key in group.keys] if by else []
        said = {one for one in found if isinstance(one, str) and one}
        if not said or not all(isinstance(one, str) and one for one in found):
            return row
        return replace(row, unit=said.pop() if len(said) == 1 else SEVERAL)

    return replace(
        group,
        changed=tuple(map(counted, group.changed)),
        unchanged=tuple(map(counted, group.unchanged)),
    )


def elsewhere(group: ObjectChange, row: Field, meanings: Mapping[str, Meaning]) -> str:
    """The field that says in which currency an amount is, if this change does not show it."""
    by = meanings[row.name].currency if row.name in meanings else ""
    is_shown = any(other.name == by for other in (*group.changed, *group.unchanged))
    return "" if is_shown else by


def values(groups: Iterable[ObjectChange]) -> Iterator[tuple[str, Any]]:
    """Every value that these show, with the name of its field."""
    for group in groups:
        for row in (*group.changed, *group.unchanged):
            yield from ((row.name, found) for found in (row.before, row.live, row.after))


def together(alike: list[ObjectChange]) -> ObjectChange:
    """Objects that change alike as one; unchanged fields in which they differ say so."""
    first = alike[0]
    if len(alike) == 1:
        return first
    unchanged = tuple(
        row
        if all(other.unchanged[index] == row for other in alike)
        else replace(row, before=VARIES, live=VARIES, after=VARIES)
        for index, row in enumerate(first.unchanged)
    )
    return replace(first, keys=tuple(one.keys[0] for one in alike), unchanged=unchanged)


def one(
    key: str,
    before: Values | None,
    live: Values | Missing | None,
    after: Values | None,
    from_live: bool = False,
    notes: Mapping[tuple[str, str], str] | None = None,
) -> ObjectChange:
    """The change of a single object."""
    held = {} if isinstance(live, Missing) else live or {}
    names = dict.fromkeys([*(before or {}), *held, *(after or {})])
    rows = []
    for name in names:
        was = (before or {}).get(name, ABSENT)
        now = live if isinstance(live, Missing) else held.get(name, ABSENT)
        becomes = (after or {}).get(name, ABSENT)
        rows.append(field(name, was, now, becomes, from_live, (notes or {}).get((key, name), "")))
    start = live if from_live and not isinstance(live, Missing) else before
    return ObjectChange(
        keys=(key,),
        fate=_fate(start, after, rows),
        changed=tuple(row for row in rows if row.marker != "unchanged" or row.has_moved),
        unchanged=tuple(row for row in rows if row.marker == "unchanged" and not row.has_moved),
    )


def field(
    name: str, before: Any, live: Any, after: Any, from_live: bool = False, note: str = ""
) -> Field:
    start = live if from_live and live is not NOT_READ else before
    return Field(
        name=name,
        before=before,
        live=live,
        after=after,
        marker=marker(start, after),
        has_moved=live is not NOT_READ and not same(before, live) and not from_live,
        difference=difference(start, after),
        words=words(start, after),
        note=note,
    )


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: 1 is not true, and 1 is not 1.0."""
    if isinstance(one, Missing) or isinstance(other, Missing):
        return one is other
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def marker(before: Any, after: Any) -> str:
    """The word that goes with the colour."""
    if same(before, after):
        return "unchanged"
    if before is ABSENT:
        return "added"
    if after is ABSENT:
        return "removed"
    return "changed"


def difference(before: Any, after: Any) -> str:
    """By how much a number moves, and in percent: "+100.00 (+32 %)"."""
    start, end = number(before), number(after)
    if start is None or end is None or start == end:
        return ""
    delta = end - start
    if not start:
        return f"{delta:+,f}"
    return f"{delta:+,f} ({delta / abs(start) * 100:+,.0f} %)"


def number(value: Any) -> Decimal | None:
    """A number, an amount of money, or decimal text; nothing else counts as one."""
    if isinstance(value, dict) and set(value) == {"amount", "currency"}:
        value = value["amount"]
    elif isinstance(value, str) and not DECIMAL_TEXT.match(value):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None


def words(before: Any, after: Any) -> tuple[tuple[str, str], ...]:
    """Long text word by word, as (equal | removed | added, text); empty where that is no help."""
    if not (isinstance(before, str) and isinstance(after, str)) or before == after:
        return ()
    if max(len(before), len(after)) < LONG_TEXT:
        return ()
    old, new = re.findall(r"\s+|\S+", before), re.findall(r"\s+|\S+", after)
    if max(len(old), len(new)) > MOST_WORDS:
        return ()
    found = []
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    for verb, left, right, start, end in matcher.get_opcodes():
        if verb == "equal":
            found.append(("equal", "".join(old[left:right])))
            continue
        if right > left:
            found.append(("removed", "".join(old[left:right])))
        if end > start:
            found.append(("added", "".join(new[start:end])))
    return tuple(found)


def flat(before: Values | None, after: Values | None) -> dict[tuple[str, str], tuple[Any, Any]]:
    """Each touched field with what it was and becomes, for comparing two checks."""
    found = {}
    for key in dict.fromkeys([*(before or {}), *(after or {})]):
        was, becomes = (before or {}).get(key) or {}, (after or {}).get(key) or {}
        for name in dict.fromkeys([*was, *becomes]):
            found[key, name] = (was.get(name, ABSENT), becomes.get(name, ABSENT))
    return found


def _fate(before: Any, after: Any, rows: list[Field]) -> str:
    if not before and after:
        return "created"
    if before and not after:
        return "removed"
    return "changed" if any(row.marker != "unchanged" for row in rows) else "unchanged"


def _likeness(change: ObjectChange) -> str:
    return repr((change.fate, change.changed, [row.name for row in change.unchanged]))
