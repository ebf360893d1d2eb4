"""The change in three views, each a link: its fields, the bytes that are hashed, what is new.

The last compares what somebody was shown with what is true now, so it is told from checks: what a
person decides on is a check, and a revision may have had several, or none.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from django.http import HttpResponse

from proposals import bound, live
from proposals.console import diff, meant, presenters
from proposals.models import Check, Proposal, Review, Revision
from proposals.registry import Call

FIELDS, RAW, SINCE, FILE = "fields", "raw", "since", "bytes"
GROUPS_SHOWN = 25
REVISIONS_OFFERED = 20
TARGET = (("The target, when it was checked", "before"), ("After commit", "after"))
FATES = {"created": "touched only now", "removed": "no longer touched"}
# Beside what any two checks are compared by: with these, nothing that is hashed is left out.
ALSO_COMPARED = (
    ("Verdict", "effect"),
    ("Call that undoes it", "compensation"),
    ("Conflicts", "conflicts"),
)
Address = dict[str, Any]  # what an address says of a value, but for its object and field
YOU_DID: dict[str, str] = {
    Review.Decision.APPROVE: "approved it",
    Review.Decision.REQUEST_CHANGES: "requested changes of it",
    Review.Decision.REJECT: "rejected it",
    Review.Decision.COMMENT: "commented on it",
}


@dataclass(frozen=True)
class Tab:
    """One view of the change."""

    name: str
    title: str
    url: str
    is_here: bool


class Views:
    """Which view of the change was asked for; what is not known is the fields."""

    def __init__(
        self, proposal: Proposal, user: Any, revision: Revision, url: str, asked: Mapping[str, str]
    ) -> None:
        self.proposal, self.user, self.revision, self.url = proposal, user, revision, url
        self.asked = asked
        self.is_there = True  # the target, as far as the page has found
        wanted = asked.get("view", "")
        self.name = wanted if wanted in {RAW, SINCE} else FIELDS

    @cached_property
    def last_decided(self) -> int | None:
        """The revision that this person decided or commented on last; one statement, if any."""
        if self.proposal.round == 1:
            return None
        mine = self.proposal.reviews.filter(reviewer=self.user).order_by("-id")
        return mine.values_list("on_check__revision__number", flat=True).first()

    @property
    def tabs(self) -> list[Tab]:
        titles = {
            FIELDS: "Fields",
            RAW: "Raw canonical JSON",
            SINCE: since_title(self.proposal, self.last_decided),
        }
        return [
            Tab(name, title, f"{self.url}&view={name}", name == self.name)
            for name, title in titles.items()
        ]

    @property
    def next_name(self) -> str:
        """The view that a key leads to."""
        names = [FIELDS, RAW, SINCE]
        return names[(names.index(self.name) + 1) % len(names)]

    @property
    def whole(self) -> dict[str, Address]:
        """Where all of a long value is that the fields show, by its side."""
        check = self.proposal.current_check
        return (
            {side: in_check(side, check) for side in ("before", "live", "after")} if check else {}
        )

    @cached_property
    def raw(self) -> "Raw | None":
        check = self.proposal.current_check
        return Raw(self.proposal, check, f"{self.url}&view={FILE}") if check else None

    @cached_property
    def since(self) -> "Since":
        return Since(self)

    @property
    def file(self) -> HttpResponse | None:
        """The bytes to be kept and hashed elsewhere, if these were asked for and there are any."""
        return self.raw.file() if self.raw and self.asked.get("view") == FILE else None


def since_title(proposal: Proposal, last_decided: int | None) -> str:
    if last_decided:
        return f"Since revision {last_decided} that I last saw"
    if proposal.revision_number > 1:
        return f"Since revision {proposal.revision_number - 1}"
    return "Since an earlier revision"


class Raw:
    """The bytes of a check that are hashed, and what they hash to."""

    def __init__(self, proposal: Proposal, check: Check, file_url: str) -> None:
        self.content = bound.seen_bytes(proposal, check)
        self.digest = f"sha256:{hashlib.sha256(self.content).hexdigest()}"
        self.is_as_stored = self.digest == check.digest
        self.file_url = file_url
        self.file_name = f"proposal-{proposal.pk}-check-{check.round}.json"

    @property
    def text(self) -> str:
        return self.content.decode()

    @property
    def size(self) -> int:
        return len(self.content)

    def file(self) -> HttpResponse:
        """The bytes themselves, to be saved: a browser must not read them as a page."""
        answer = HttpResponse(self.content, content_type="application/json")
        answer["Content-Disposition"] = f'attachment; filename="{self.file_name}"'
        return answer


def in_check(side: str, check: Check) -> Address:
    """Where a value is that a check found before or after."""
    return {"of": side, "check": check.pk}


def in_call(revision: Revision) -> Address:
    """Where a parameter of a revision is."""
    return {"of": "param", "revision": revision.number}


@dataclass(frozen=True)
class Section:
    """One side of what two revisions are compared by: only the objects in which they differ."""

    title: str
    objects: list[diff.ObjectChange]
    more: list[diff.ObjectChange]
    same: int
    whole: dict[str, Address]


class Since:
    """An earlier revision beside the current one, each by its check."""

    def __init__(self, views: Views) -> None:
        self.proposal, self.revision, self.url = views.proposal, views.revision, views.url
        self.is_there = views.is_there
        self.now = self.proposal.revision_number
        self.check = self.proposal.current_check
        self.mine = views.last_decided
        self.number: int = self._chosen(views.asked.get("since", ""))
        if not self.number:
            return
        self.decided = self._decided(views.user)
        self.seen = self.decided.on_check if self.decided else self._last_check()
        self.earlier = self.seen.revision if self.seen else self._earlier()

    def _chosen(self, asked: str) -> int:
        """The revision asked for, else the one last seen, else the one before; 0 if none is."""
        offered = {*range(1, self.now), *([self.mine] if self.mine else [])}
        number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 10 else 0
        return number if number in offered else self.mine or self.now - 1

    def _decided(self, user: Any) -> Review | None:
        mine = self.proposal.reviews.filter(reviewer=user, on_check__revision__number=self.number)
        return mine.select_related("on_check__revision").order_by("-id").first()

    def _last_check(self) -> Check | None:
        found = self.proposal.checks.filter(revision__number=self.number)
        return found.select_related("revision").order_by("-round").first()

    def _earlier(self) -> Revision:
        return self.proposal.revisions.get(number=self.number)

    @property
    def others(self) -> list[tuple[int, str]]:
        """Revisions that can be compared instead, the newest first, with where."""
        numbers = {*range(max(self.now - REVISIONS_OFFERED, 1), self.now)}
        numbers |= {self.mine} if self.mine else set()
        return [
            (one, f"{self.url}&view={SINCE}&since={one}")
            for one in sorted(numbers - {self.number}, reverse=True)
        ]

    @property
    def first(self) -> str:
        return f"Revision {self.number}"

    @property
    def third(self) -> str:
        """The current revision; said apart from an earlier check of the same one."""
        return "Now" if self.number == self.now else f"Revision {self.now}, now"

    @property
    def what_you_did(self) -> str:
        """How this person knows that revision."""
        if self.decided is None:
            return ""
        return f"You {YOU_DID.get(self.decided.decision, 'decided on it')}"

    @cached_property
    def sections(self) -> list[Section]:
        """Parameters, the target before, and the target after, each with its differences."""
        action, was, now = self.proposal.action, self.seen, self.check
        called = section(
            "Parameters of the call",
            {action: self.earlier.params},
            {action: self.revision.params},
            {"before": in_call(self.earlier), "after": in_call(self.revision)},
        )
        if was is None or now is None:
            return [called]
        target = [
            section(
                title,
                getattr(was, side),
                getattr(now, side),
                {"before": in_check(side, was), "after": in_check(side, now)},
            )
            for title, side in TARGET
        ]
        return [called, *self._understood(target)]

    def _understood(self, target: list[Section]) -> list[Section]:
        """Sections with labels and names, unless both revisions call their fields otherwise."""
        call, then = ((self.proposal.action, one.params) for one in (self.revision, self.earlier))
        if live.meanings(*call) != live.meanings(*then):
            return target
        groups = [group for one in target for group in (*one.objects, *one.more)]
        read = meant.reader(Call(*call), groups, is_there=self.is_there)
        return [
            replace(one, objects=list(map(read, one.objects)), more=list(map(read, one.more)))
            for one in target
        ]

    @cached_property
    def facts(self) -> list[dict[str, Any]]:
        """What else differs of what is hashed."""
        if self.seen is None or self.check is None:
            return []
        return presenters.facts_between(self.seen, self.check, ALSO_COMPARED)

    @property
    def is_same(self) -> bool:
        """Whether exactly what was decided on then is decided on now."""
        return bool(self.seen and self.check and self.seen.digest == self.check.digest)

    @property
    def says_otherwise(self) -> bool:
        """Whether the words beside the call were rewritten; nobody decides on those."""
        return self.earlier.rationale != self.revision.rationale


def section(
    title: str, was: diff.Values | None, now: diff.Values | None, whole: dict[str, Address]
) -> Section:
    """What two revisions say of the same objects, compared field by field."""
    groups = diff.objects(was, None, now)
    found = [replace(one, fate=FATES.get(one.fate, one.fate)) for one in groups if one.changed]
    same = sum(len(one.keys) for one in groups if not one.changed)
    return Section(title, found[:GROUPS_SHOWN], found[GROUPS_SHOWN:], same, whole)
