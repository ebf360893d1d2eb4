"""Names in a proposal that could be taken for others: what the review page marks.

Looked at are its run, its object, and every single word in its parameters, keys included; a
sentence is no name. Known are agents, and what the same agent named before as runs and objects.
Letters that differ in case alone are plain to see and no reason for a mark.
"""

import re
from dataclasses import dataclass

from django.db.models import Value

from proposals import text
from proposals.models import Agent, Proposal, Revision

NEWEST = 500  # how many agents, and how many proposals of the same agent, names are known from
LONGEST = 128
SHORTEST = 3  # "IL" is a country, and no disguise of 11
SHOWN = 10
WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Mark:
    """A name that could be taken for another, where it stands, and why."""

    value: str
    place: str
    reasons: tuple[str, ...]
    known: str

    @property
    def is_needed(self) -> bool:
        return bool(self.reasons or self.known)


class LookAlikes:
    """The marks of one proposal, in the order in which its names were found."""

    def __init__(self, proposal: Proposal, revision: Revision) -> None:
        self.by_value: dict[str, Mark] = {}
        known = known_to(proposal)
        for word, place in words_in(proposal, revision).items():
            parts = [
                Mark(part, place, reasons(part), resembled(part, known)) for part in word.split("/")
            ]
            whole = Mark(word, place, (), resembled(word, known))
            marks = [one for one in parts if one.is_needed] or [whole]
            self.by_value |= {one.value: one for one in marks if one.is_needed}
        self.all = list(self.by_value.values())[:SHOWN]
        self.more = len(self.by_value) - len(self.all)


def words_in(proposal: Proposal, revision: Revision) -> dict[str, str]:
    """Each single word that may be a name, with the first place where it stands."""
    places = [("the run", proposal.run.name if proposal.run else "")]
    places.append(("the object", proposal.resource))
    places += [(f"params{pointer}", found) for pointer, found in text.texts(revision.params)]
    words: dict[str, str] = {}
    for place, found in places:
        if is_word(found):
            words.setdefault(found, place)
    return words


def is_word(found: str) -> bool:
    return len(found) <= LONGEST and WORD.fullmatch(found) is not None


def known_to(proposal: Proposal) -> dict[str, set[str]]:
    """Names that could be meant, by how they look. One statement, however many there are.

    What looks wrong itself is nothing to be mistaken for: the honest name would be marked as well.
    """
    earlier = Proposal.objects.filter(agent=proposal.agent_id).exclude(pk=proposal.pk)
    used = Proposal.objects.filter(pk__in=earlier.order_by("-pk").values("pk")[:NEWEST])
    newest = Agent.objects.filter(pk__in=Agent.objects.order_by("-pk").values("pk")[:NEWEST])
    found = (
        used.order_by()
        .values_list("resource", "run__name")
        .union(newest.order_by().values_list("name", Value("")))
    )
    known: dict[str, set[str]] = {}
    for words in {words for pair in found for words in pair if words}:
        for name in {words, *words.split("/")}:
            if not reasons(name) and not text.has_alarming(name):
                known.setdefault(text.skeleton(name), set()).add(name)
    return known


def reasons(value: str) -> tuple[str, ...]:
    """What is odd about a name by itself."""
    if value.isascii():
        return ()
    found = []
    if text.mixed_scripts(value):
        found.append("mixes scripts")
    if text.foreign_digits(value):
        found.append("digits of another script")
    return tuple(found)


def resembled(value: str, known: dict[str, set[str]]) -> str:
    """A known name that this looks like and is not; empty if there is none."""
    seen = text.skeleton(value)
    if len(seen) < SHORTEST:
        return ""
    others = (one for one in known.get(seen, ()) if one.casefold() != value.casefold())
    return min(others, default="")
