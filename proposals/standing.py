"""What one person has said on a proposal that still holds, and so can be taken back."""

from typing import Any

from proposals import seats
from proposals.lifecycle import Status
from proposals.models import Check, Proposal, Review

FINAL = "You rejected this, and a rejection is final; the agent may propose it anew."
NOTHING = "You have no decision on this that still stands."
TOO_LATE = "A worker has begun, so no decision can be taken back; what it wrote can be undone."


def decision_of(user: Any, proposal: Proposal, check: Check) -> Review | None:
    """This person's approval of exactly this, or the wish for changes that sent it back; or None.

    By whichever of their accounts it was given. A comment is no decision, and a rejection ended
    the proposal.
    """
    latest: Review | None = None
    said = proposal.reviews.filter(digest=check.digest).exclude(decision=Review.Decision.COMMENT)
    for review in said.select_related("reviewer").order_by("id"):
        if seats.person(review.reviewer) == seats.person(user):
            latest = review
    if latest is None or latest.decision == Review.Decision.APPROVE:
        return latest
    is_why = proposal.status == Status.CHANGES_REQUESTED and sent_back_by(proposal, latest)
    return latest if is_why else None


def has_rejected(user: Any, proposal: Proposal) -> bool:
    """Whether it was this person who ended the proposal."""
    last = proposal.reviews.select_related("reviewer").order_by("-id").first()
    if last is None or last.decision != Review.Decision.REJECT:
        return False
    return seats.person(last.reviewer) == seats.person(user)


def sent_back_by(proposal: Proposal, review: Review) -> bool:
    """Whether this is the wish for changes for which a proposal is where it is."""
    wishes = proposal.reviews.filter(decision=Review.Decision.REQUEST_CHANGES)
    return wishes.order_by("-id").values_list("pk", flat=True).first() == review.pk
