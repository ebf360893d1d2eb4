"""Taking a decision back, until a worker has begun."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from ledger import clock
from proposals import attempts, bell, standing
from proposals.exceptions import IllegalTransition, NotEligible, NotFound, StaleDigest
from proposals.lifecycle import OPEN, Status, transition
from proposals.models import Check, Execution, Proposal, Review
from proposals.services.decisions import enter, invalid
from proposals.services.endings import dequeue

AGAIN = "A decision on this was withdrawn, so it was checked anew."
LONGEST_REASON = 2000


@transaction.atomic
def withdraw_decision(
    *, proposal_id: UUID, reviewer: Any, digest: str, reason: str = ""
) -> Proposal:
    """Take back this person's own approval, or their wish for changes, on exactly this digest.

    The proposal is checked anew, and nobody else's decision is touched: approvals of others still
    count if the check comes out the same, and a wish for changes of somebody else still stands.
    Raises StaleDigest, NotEligible when nothing of theirs stands, InvalidRequest for too long a
    reason, or IllegalTransition once a worker has begun, or when they ended it.
    """
    if len(reason) > LONGEST_REASON:
        raise invalid("reason", "too-long", "A reason has at most 2,000 characters.")
    try:
        proposal = Proposal.objects.select_related("agent", "run").lock(proposal_id)
    except Proposal.DoesNotExist:
        raise NotFound from None
    check = proposal.current_check
    refuse_ended(proposal, reviewer)
    if check is None or digest != check.digest:
        raise StaleDigest
    taken = standing.decision_of(reviewer, proposal, check)
    if taken is None:
        raise NotEligible(standing.NOTHING)
    now = clock.now()
    execution = dequeue(proposal, now, AGAIN)
    stored = store(proposal, check, reviewer, taken, reason.strip(), now)
    if proposal.status != Status.CHANGES_REQUESTED or taken.decision != Review.Decision.APPROVE:
        send_back(proposal, stored, execution)
    return proposal


def refuse_ended(proposal: Proposal, reviewer: Any) -> None:
    """Raise IllegalTransition for what is no longer open, saying why it is too late."""
    if proposal.status in OPEN:
        return
    if proposal.status == Status.REJECTED:
        is_own = standing.has_rejected(reviewer, proposal)
        why = standing.FINAL if is_own else "It was rejected, and a rejection is final."
    elif proposal.status in {Status.COMMITTED, Status.FAILED, Status.UNKNOWN}:
        why = standing.TOO_LATE
    else:
        why = f"This proposal is {proposal.status}, so no decision on it counts any more."
    raise IllegalTransition(why, status=proposal.status)


def store(
    proposal: Proposal, check: Check, reviewer: Any, taken: Review, reason: str, now: datetime
) -> Review:
    """Store that a decision is taken back, and its ledger entry."""
    return enter(
        proposal,
        check,
        reviewer,
        at=now,
        facts={"takes_back": taken.pk, "took_back": taken.decision},
        decision=Review.Decision.WITHDRAW,
        takes_back=taken,
        reason=reason,
    )


def send_back(proposal: Proposal, stored: Review, execution: Execution | None) -> None:
    """Have it checked anew. Not one of the re-checks in a row: the target did not move."""
    facts: dict[str, Any] = {"digest": stored.digest, "review": stored.pk}
    changes: dict[str, Any] = {"reason": AGAIN}
    if execution is not None:
        facts |= attempts.facts_of(execution)
        changes["generation"] = proposal.generation + 1
    transition(
        proposal,
        Status.SUBMITTED,
        actor=f"user:{stored.reviewer_id}",
        actor_name=stored.reviewer_name,
        at=stored.created_at,
        body=facts,
        **changes,
    )
    bell.ring_check(proposal.pk)
