"""The end of an attempt: settled as written, closed as not written, or left for later.

Each end happens under the lock of the proposal and only while the fence is still ours. An attempt
that had an intent is closed as not written only after its key was voided at the target.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from ledger import clock, entries
from ledger.canonical import digest
from proposals import attempts, bell, crashpoints
from proposals.attempts import ACTOR, Claim, facts_of, record
from proposals.exceptions import ActionError
from proposals.lifecycle import WITHOUT_A_WRITE, Status, transition
from proposals.models import Execution, Proposal
from proposals.registry import Outcome, registry

logger = logging.getLogger(__name__)


@transaction.atomic
def settle(claim: Claim, outcome: Outcome) -> None:
    """Record what was written: result, after-image, compensation and status, all or nothing."""
    proposal = Proposal.objects.select_related("agent", "run").lock(claim.proposal.pk)
    now = clock.now()
    compensation = outcome.compensation.as_json() if outcome.compensation else None
    if not attempts.mine(
        claim.execution,
        status=Execution.Status.COMMITTED,
        settled_at=now,
        result=outcome.result,
        after=outcome.after,
        compensation=compensation,
    ):
        late_evidence(proposal, claim.execution, now)
        return
    transition(
        proposal,
        Status.COMMITTED,
        actor=ACTOR,
        at=now,
        body=facts_of(claim.execution)
        | {"result": digest(outcome.result), "after": digest(outcome.after)},
        result=outcome.result,
        error=None,
        reason="",
        rechecks=0,
        committed_at=now,
    )
    if proposal.compensates_id:
        mark_undone(proposal, now)
    crashpoints.reach("settle.written")


def mark_undone(undo: Proposal, now: datetime) -> None:
    """The commit that this one compensates is undone now; and what that one undid, is not.

    But an undo whose place another has taken meanwhile stays undone: no commit has two.
    """
    undone, target_id = True, undo.compensates_id
    while target_id:
        target = Proposal.objects.select_related("run").lock(target_id)
        if not undone and target.compensates_id and place_is_taken(target):
            undone, target_id = True, target.compensates_id
            continue
        target.is_undone = undone
        target.updated_at = now
        entries.append(
            chain=target,
            kind="proposal.undone" if undone else "proposal.redone",
            actor=ACTOR,
            at=now,
            body={"by": str(undo.pk)},
            **target.look_ups(),
        )
        target.save(update_fields=["is_undone", "updated_at", "ledger_number", "ledger_hash"])
        undone, target_id = not undone, target.compensates_id


def place_is_taken(undo: Proposal) -> bool:
    """Whether another undo of the same commit is open or committed. Locks that commit."""
    if undo.compensates_id is None:
        return False
    Proposal.objects.lock(undo.compensates_id)
    others = Proposal.objects.filter(compensates=undo.compensates_id, is_undone=False)
    return others.exclude(pk=undo.pk).exclude(status__in=WITHOUT_A_WRITE).exists()


def close_unapplied(claim: Claim, close: Any, reason: str, **facts: Any) -> None:
    """Close an attempt that had an intent as not applied: void its key first, for ever.

    If the key turns out to have applied after all, that is the truth, and it is settled instead.
    """
    try:
        outcome = registry.get(claim.proposal.action).void(claim.params, key=claim.execution.key)
    except Exception as error:  # as long as the key may still apply, nothing is decided
        logger.exception("The key of %s could not be voided", claim.execution)
        try_later(claim, error)
        return
    crashpoints.reach("void.done")
    if outcome is not None:
        settle(claim, outcome)
    else:
        close(claim, reason, **facts)


@transaction.atomic
def give_back(claim: Claim, reason: str, *, found: dict[str, Any] | None = None) -> None:
    """Send the proposal back for a fresh check, or let it expire; nothing was written."""
    proposal = Proposal.objects.select_related("agent", "run").lock(claim.proposal.pk)
    now = clock.now()
    if not attempts.mine(
        claim.execution,
        status=Execution.Status.RETURNED,
        settled_at=now,
        found=found,
        error={"code": "returned", "detail": reason, "retryable": True},
    ):
        return
    body = facts_of(claim.execution) | {"reason": reason}
    if claim.is_expired:
        transition(proposal, Status.EXPIRED, actor=ACTOR, at=now, body=body, reason=reason)
        return
    transition(
        proposal,
        Status.SUBMITTED,
        actor=ACTOR,
        at=now,
        body=body,
        reason=reason,
        generation=proposal.generation + 1,
        rechecks=proposal.rechecks + 1,
    )
    bell.ring_check(proposal.pk)


@transaction.atomic
def fail(claim: Claim, reason: str) -> None:
    """Record that the target definitely did not take it. A person may retry."""
    proposal = Proposal.objects.select_related("agent", "run").lock(claim.proposal.pk)
    now = clock.now()
    error = {"code": "target-refused", "detail": reason[:500], "retryable": True}
    if not attempts.mine(
        claim.execution, status=Execution.Status.FAILED, settled_at=now, error=error
    ):
        return
    transition(
        proposal,
        Status.FAILED,
        actor=ACTOR,
        at=now,
        body=facts_of(claim.execution) | {"error": error["code"]},
        reason=reason[:500],
        error=error,
    )


@transaction.atomic
def try_later(claim: Claim, error: Exception) -> None:
    """Leave the intent standing and come back under the same key; at last, ask people."""
    proposal = Proposal.objects.select_related("agent", "run").lock(claim.proposal.pk)
    now = clock.now()
    execution = claim.execution
    detail = str(error) if isinstance(error, ActionError) else type(error).__name__
    trouble = {"code": "outcome-unclear", "detail": detail[:500], "retryable": False}
    if execution.fence < settings.EXECUTION_MAX_ATTEMPTS:
        wait = timedelta(seconds=min(2**execution.fence, settings.EXECUTION_LEASE_SECONDS))
        if attempts.mine(execution, lease_until=now + wait, error=trouble):
            record(proposal, execution, "execution.postponed", now, error=detail[:500])
        return
    if attempts.mine(execution, status=Execution.Status.UNKNOWN, settled_at=now, error=trouble):
        transition(
            proposal,
            Status.UNKNOWN,
            actor=ACTOR,
            at=now,
            body=facts_of(execution) | {"error": trouble["detail"]},
            reason=f"It is not known whether this was written: {trouble['detail']}"[:500],
            error=trouble,
        )


def late_evidence(proposal: Proposal, execution: Execution, now: datetime) -> None:
    """A worker that lost its lease saw its write succeed: keep that as evidence, change nothing."""
    record(proposal, execution, "execution.late_evidence", now)
    logger.warning("%s was settled by another worker first", execution)
