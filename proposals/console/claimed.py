"""Who is reviewing what, in the words of pages and lists."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ledger import clock
from proposals import text
from proposals.console.personal import hour
from proposals.models import Proposal, ReviewClaim

# What is read of a claim beside its proposal.
CLAIM = (
    *("review_claim__until", "review_claim__round"),
    *(f"review_claim__person__{name}" for name in ("username", "first_name", "last_name")),
)


@dataclass(frozen=True)
class Claimed:
    """Who is reviewing one proposal, for one person's page."""

    who: str = ""
    is_mine: bool = False
    until: datetime | None = None
    seconds: int = 0

    @classmethod
    def of(cls, proposal: Proposal, user: Any) -> "Claimed":
        """From the claim that was read with the proposal; asks the time only if there is one."""
        found = claim_of(proposal)
        now = clock.now() if found else None
        if found is None or now is None or not found.stands(proposal, now):
            return cls()
        return cls(
            who=text.plain(found.person_name),
            is_mine=found.person_id == user.pk,
            until=found.until,
            seconds=int((found.until - now).total_seconds()),
        )

    @property
    def words(self) -> str:
        """Of somebody else; empty if nobody else is at it."""
        if self.until is None or self.is_mine:
            return ""
        return f"{self.who} is reviewing this, until {hour(self.until)} or longer."


def claim_of(proposal: Proposal) -> ReviewClaim | None:
    """The claim that was read with a proposal, whether or not it still stands."""
    found: ReviewClaim | None = getattr(proposal, "review_claim", None)
    return found


def reviewing(listed: Iterable[Proposal], user: Any) -> dict[UUID, str]:
    """Who is reviewing each of these, that were read with their claims; for lists."""
    claims = [(one, found) for one in listed if (found := claim_of(one))]
    now = clock.now() if claims else None
    return {
        one.pk: "you are reviewing"
        if found.person_id == user.pk
        else f"{text.plain(found.person_name)} is reviewing"
        for one, found in claims
        if now and found.stands(one, now)
    }


def by_others(user: Any) -> set[UUID]:
    """What somebody else is reviewing now: one person reviews one thing, so these are few."""
    others = ReviewClaim.objects.exclude(person=user).select_related("proposal")
    wanted = ("until", "round", "proposal__status", "proposal__round")
    found = list(others.only(*wanted))
    now = clock.now() if found else None
    return {one.proposal_id for one in found if now and one.stands(one.proposal, now)}
