"""What the person who looks has said here themselves, and could still take back or edit."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse

from proposals import authors, seats, standing, text
from proposals.console import presenters
from proposals.lifecycle import Status
from proposals.models import Check, Execution, Proposal, Review, Revision
from proposals.services import revising

CONSEQUENCES = {
    Status.CHANGES_REQUESTED: "it no longer waits for the agent; it is checked anew, and then "
    "waits for people again.",
    Status.APPROVED: "your approval stops counting and it leaves the queue of the workers, unless "
    "one begins before; it is checked anew, and then waits for people again.",
}
STAYS_SO = "your approval stops counting; what somebody else wishes changed still stands."
STOPS_COUNTING = "your approval stops counting; it is checked anew, and you may decide again then."


@dataclass(frozen=True)
class Own:
    """A decision of the person who looks: what it was, and why it stays or what ends it."""

    said: str
    at: datetime | None = None
    why_not: str = ""
    consequence: str = ""


def own(user: Any, proposal: Proposal, filled: list[Review]) -> Own | None:
    """What this person decided here and could think better of. Asks nothing while it waits."""
    check, status = proposal.current_check, Status(proposal.status)
    if check is None:
        return None
    if status is Status.REJECTED:
        is_own = standing.has_rejected(user, proposal)
        return Own("You rejected this.", why_not=standing.FINAL) if is_own else None
    if status is Status.CHANGES_REQUESTED:
        found = standing.decision_of(user, proposal, check)
    elif proposal.is_open:
        mine = (one for one in filled if seats.person(one.reviewer) == seats.person(user))
        found = next(mine, None)
    else:
        return None
    if found is None:
        return None
    approved = found.decision == Review.Decision.APPROVE
    said = "You approved this" if approved else "You requested changes"
    if status is Status.APPROVED and has_begun(proposal):
        return Own(said, found.created_at, why_not=standing.TOO_LATE)
    consequence = STAYS_SO if approved else CONSEQUENCES[Status.CHANGES_REQUESTED]
    if status is not Status.CHANGES_REQUESTED:
        consequence = CONSEQUENCES.get(status, STOPS_COUNTING)
    return Own(said, found.created_at, consequence=consequence)


def has_begun(proposal: Proposal) -> bool:
    """Whether a worker holds it, so that it is too late."""
    begun = [Execution.Status.CLAIMED, Execution.Status.INTENDED]
    return proposal.executions.filter(status__in=begun).exists()


def edit_url(user: Any, proposal: Proposal, query: str) -> str:
    """Where this person may propose other values; empty where they may not."""
    check, is_waiting = proposal.current_check, proposal.status in revising.EDITABLE
    if check is None or not is_waiting or revising.objection(user, proposal, check):
        return ""
    return f"{reverse('edit', args=[proposal.pk])}?{query}"


def again(revision: Revision, earlier: Check) -> str:
    """What a page calls another result of the checks: by whose revision, if a person wrote one."""
    by = authors.author(revision) if earlier.revision_id != revision.pk else None
    if by is None:
        return "Checked again, with another result."
    return f"Revision {revision.number} by {text.plain(presenters.name_of(by))}."
