"""A list while somebody works it down: what became of its items, and how it came out in the end."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from proposals import rights
from proposals.console.claimed import by_others, reviewing
from proposals.console.lists import Place
from proposals.console.presenters import DECISIONS, Row
from proposals.lifecycle import Status
from proposals.models import Proposal, Review
from proposals.models.review import ReviewQuerySet

ENDINGS = {
    Status.SUBMITTED: "being checked again",
    Status.PENDING: "no longer in this list",
    Status.EXPIRED: "expired",
    Status.WITHDRAWN: "withdrawn",
    Status.DENIED: "denied by policy",
}
BY_NOBODY = {Status.SUBMITTED, Status.EXPIRED, Status.WITHDRAWN, Status.DENIED}


@dataclass(frozen=True)
class Outcome:
    """What became of an item: approved by Ana, at this moment."""

    words: str
    at: datetime


def marked(rows: list[Row], place: Place) -> list[Row]:
    """Rows of a stored list: what is done with is said, what waits names the seat it would fill.

    And who is reviewing what, first among its marks.
    """
    still = place.still_listed([row.proposal.pk for row in rows])
    gone = [row.proposal for row in rows if row.proposal.pk not in still]
    became = outcomes(gone, place.user)
    claims = reviewing([row.proposal for row in rows], place.user)
    mine = rights.groups_of(place.user) if place.tab.name == "waiting" else frozenset()
    return [
        replace(
            row,
            outcome=became.get(row.proposal.pk),
            seat=seat(row, mine, still),
            flags=((claims[row.proposal.pk], ""), *row.flags)
            if row.proposal.pk in claims
            else row.flags,
        )
        for row in rows
    ]


def seat(row: Row, mine: frozenset[str], still: set[UUID]) -> str:
    """As which group this person would fill a seat, where their approval would."""
    check = row.proposal.current_check
    if check is None or row.proposal.pk not in still:
        return ""
    return " or ".join(name for name in check.group_names if name in mine)


def outcomes(gone: list[Proposal], user: Any) -> dict[UUID, Outcome]:
    """What became of these: one statement."""
    if not gone:
        return {}
    verdicts = Review.objects.filter(proposal__in=[one.pk for one in gone])
    last = {one.proposal_id: one for one in in_order(verdicts)}
    return {one.pk: outcome(one, last.get(one.pk), user) for one in gone}


def in_order(reviews: ReviewQuerySet) -> ReviewQuerySet:
    return reviews.decisive().order_by("id")


def outcome(proposal: Proposal, last: Review | None, user: Any) -> Outcome:
    """In words: by whom, if a person did it; else what happened."""
    status = Status(proposal.status)
    if last is not None and status not in BY_NOBODY:
        who = "you" if last.reviewer_id == user.pk else last.reviewer_name
        return Outcome(f"{DECISIONS[Review.Decision(last.decision)]} by {who}", last.created_at)
    words = ENDINGS.get(status, proposal.get_status_display().lower())
    return Outcome(words, proposal.updated_at)


@dataclass(frozen=True)
class Summary:
    """How a stored list came out for one person."""

    yours: int
    commented: int
    others: int
    expired: int
    withdrawn: int
    left: int
    claimed: int = 0

    @classmethod
    def of(cls, place: Place) -> "Summary":
        """Counted over the items of the stored list, since it was stored."""
        ids, stored = place.ids, place.stored
        reviews = Review.objects.filter(reviewer=place.user, proposal__in=ids)
        if stored:
            reviews = reviews.filter(created_at__gte=stored.made_at)
        spoken: set[UUID] = set()
        decided: set[UUID] = set()
        said = reviews.not_taken_back().values_list("proposal_id", "decision")
        for proposal_id, decision in said:
            (spoken if decision == Review.Decision.COMMENT else decided).add(proposal_id)
        still = place.still_listed(ids)
        rest = set(ids) - decided - still
        statuses = list(Proposal.objects.filter(pk__in=rest).values_list("status", flat=True))
        expired, withdrawn = statuses.count(Status.EXPIRED), statuses.count(Status.WITHDRAWN)
        return cls(
            yours=len(decided),
            commented=len(spoken - decided),
            others=len(statuses) - expired - withdrawn,
            expired=expired,
            withdrawn=withdrawn,
            left=len(still - decided),
            claimed=len((still - decided) & by_others(place.user)),
        )

    @property
    def sentence(self) -> str:
        """You decided 9, 2 were decided by others, 1 expired."""
        parts = [f"You decided {self.yours}"]
        if self.commented:
            parts.append(f"commented on {self.commented}")
        if self.others:
            parts.append(f"{self.others} {_were(self.others)} decided by others")
        if self.expired:
            parts.append(f"{self.expired} expired")
        if self.withdrawn:
            parts.append(f"{self.withdrawn} {_were(self.withdrawn)} withdrawn")
        return ", ".join(parts) + "."


def _were(number: int) -> str:
    return "was" if number == 1 else "were"
