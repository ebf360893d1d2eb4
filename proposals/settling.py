"""The end of an attempt: settled as written, closed as not written, left for later, or unknown.

Each end happens under the lock of the proposal and only while the fence is still ours. Of a target
that shares its transaction, an attempt that had an intent is closed as not written only after its
key was voided there. Of any other, only a clear answer closes it, and without one it is UNKNOWN.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from ledger import clock, entries
from ledger.canonical import digest
from proposals import attempts, bell, crashpoints, exchanges, touched, undone
from proposals.attempts import ACTOR, Claim, facts_of, record
from proposals.exceptions import OutcomeUnknown, TargetUnavailable
from proposals.lifecycle import Status, transition
from proposals.models import Exchange, Execution, Proposal
from proposals.redaction import redact
from proposals.registry import Outcome, registry

logger = logging.getLogger(__name__)
UNCLEAR, REFUSED_EARLY = "outcome-unclear", "refused-early"
WITHOUT_EVIDENCE = "It reported success without any evidence of it."
DIED = "The worker that sent it ended before it heard an answer."
End = Exchange.End
FAILURES = {
    End.REFUSED: "target-refused",
    End.ABSENT: "not-applied",
    End.UNSENT: "target-unavailable",
}


def settle(claim: Claim, outcome: Outcome) -> None:
    """Record what was written: result, after-image, compensation and status, all or nothing.

    What cannot show how it knows is not believed: it is unknown.
    """
    if not claim.execution.is_transactional and not outcome.evidence:
        lose_sight(claim, OutcomeUnknown(WITHOUT_EVIDENCE))
        return
    settle_with_evidence(claim, outcome)


@transaction.atomic
def settle_with_evidence(claim: Claim, outcome: Outcome) -> None:
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
        evidence=outcome.evidence,
        **resolution(claim, now),
    ):
        late_evidence(proposal, claim.execution, now, end=End.APPLIED, evidence=outcome.evidence)
        return
    exchanges.finish(claim.execution, End.APPLIED, now, evidence=outcome.evidence)
    become_committed(
        proposal,
        outcome,
        now,
        body=facts_of(claim.execution)
        | known_by(claim, outcome.evidence)
        | touched.said(proposal, claim.params, outcome.after),
        actor=ACTOR,
    )
    crashpoints.reach("settle.written")


def become_committed(
    proposal: Proposal, outcome: Outcome, now: datetime, *, body: dict[str, Any], **who: str
) -> None:
    """The one door of a locked proposal to `committed`, whoever knows that it was written.

    Enters the digests of what was written beside `body`; a compensating write takes back what it
    covers. `who` is the actor, with a name where it is a person. Raises IllegalTransition.
    """
    transition(
        proposal,
        Status.COMMITTED,
        at=now,
        body=body | {"result": digest(outcome.result), "after": digest(outcome.after)},
        result=outcome.result,
        error=None,
        reason="",
        rechecks=0,
        committed_at=now,
        **who,
    )
    if proposal.compensates_id:
        mark_undone(proposal, now)


def become_not_applied(
    proposal: Proposal, detail: str, now: datetime, *, body: dict[str, Any], **who: str
) -> None:
    """Say of a locked unknown outcome that it was not written; a person may retry."""
    transition(
        proposal,
        Status.FAILED,
        at=now,
        body=body,
        reason=detail,
        error={"code": FAILURES[End.ABSENT], "detail": detail, "retryable": True},
        **who,
    )


def resolution(claim: Claim, now: datetime) -> dict[str, Any]:
    """What else changes in the row of an unknown outcome that is unknown no longer."""
    if not claim.is_inquiry:
        return {}
    return {"resolved_at": now, "ask_at": None, "lease_until": None}


def known_by(claim: Claim, evidence: dict[str, Any] | None) -> dict[str, Any]:
    """How it is known, for the ledger: by which step, and the digest of what was answered."""
    found: dict[str, Any] = {"resolved_by": claim.how} if claim.is_inquiry else {}
    return found | ({"evidence": digest(evidence)} if evidence else {})


def mark_undone(undo: Proposal, now: datetime) -> None:
    """What this one covers of the commit that it compensates is taken back now; and what that one
    took back of another, is not.

    But an object whose undo another has replaced meanwhile stays taken back: none has two.
    """
    back, covers, target_id = True, undo.covers, undo.compensates_id
    while target_id:
        target = Proposal.objects.select_related("run").lock(target_id)
        every = undone.objects(target)
        moved = every if covers is None else frozenset(covers)
        before = undone.taken_back(target, every)
        after = before | moved if back else before - (moved - undone.without_place(target))
        if after != before:
            note_undone(target, undo, every, after, now)
        covers = target.covers if covers is None else covers
        back, target_id = not back, target.compensates_id


def note_undone(
    target: Proposal, undo: Proposal, every: undone.Objects, after: undone.Objects, now: datetime
) -> None:
    """Store which objects of a locked commit are taken back now, and enter it."""
    target.is_undone = after >= every
    target.taken_back = [] if target.is_undone else sorted(after)
    target.updated_at = now
    body: dict[str, Any] = {"by": str(undo.pk)}
    if target.taken_back:
        body |= {"taken_back": target.taken_back, "left": sorted(every - after)}
    elif undo.covers is not None:
        body |= {"covers": undo.covers}
    whole = "proposal.undone" if target.is_undone else "proposal.redone"
    entries.append(
        chain=target,
        kind="proposal.partly_undone" if target.taken_back else whole,
        actor=ACTOR,
        at=now,
        body=body,
        **target.look_ups(),
    )
    changed = ["is_undone", "taken_back", "updated_at", "ledger_number", "ledger_hash"]
    target.save(update_fields=changed)


def close_unapplied(claim: Claim, close: Any, reason: str, **facts: Any) -> None:
    """Close an attempt that had an intent as not applied: void its key first, for ever.

    If the key turns out to have applied after all, that is the truth, and it is settled instead.
    Other targets keep no receipts: what says so here is their own clear answer to the first send.
    """
    if not claim.execution.is_transactional:
        close(claim, reason, **facts)
        return
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
    exchanges.finish(claim.execution, End.STALE, now)
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
        has_moved=proposal.has_moved or found is not None,
    )
    bell.ring_check(proposal.pk)


@transaction.atomic
def fail(claim: Claim, reason: str, *, end: End = End.REFUSED, code: str = "") -> None:
    """Record that the target definitely did not take it. A person may retry."""
    proposal = Proposal.objects.select_related("agent", "run").lock(claim.proposal.pk)
    now = clock.now()
    reason = redact(reason)
    error = {"code": code or FAILURES[end], "detail": reason[:500], "retryable": True}
    if not attempts.mine(
        claim.execution,
        status=Execution.Status.FAILED,
        settled_at=now,
        error=error,
        **resolution(claim, now),
    ):
        late_evidence(proposal, claim.execution, now, end=end)
        return
    exchanges.finish(claim.execution, end, now)
    transition(
        proposal,
        Status.FAILED,
        actor=ACTOR,
        at=now,
        body=facts_of(claim.execution) | {"error": error["code"]} | known_by(claim, None),
        reason=reason[:500],
        error=error,
    )


def fail_as_altered(claim: Claim, reason: str) -> None:
    """Nothing was written, because what is stored is not what was approved. See `bound`."""
    fail(claim, reason, end=End.STALE, code="altered")


@transaction.atomic
def send_later(claim: Claim, error: TargetUnavailable, *, was_tried: bool = True) -> None:
    """Nothing was sent or taken: queue it again, and after enough tries say that it failed."""
    proposal = Proposal.objects.select_related("agent", "run").lock(claim.proposal.pk)
    now = clock.now()
    execution = claim.execution
    detail = exchanges.detail_of(error)
    execution.unsent += 1
    if execution.unsent >= settings.UNSENT_MAX_TRIES:
        if not was_tried:
            exchanges.looked_in_vain(execution, now, error)
        fail(claim, detail, end=End.UNSENT)
        return
    pause = error.retry_after or min(2**execution.unsent, settings.EXECUTION_LEASE_SECONDS)
    if not attempts.mine(
        execution,
        status=Execution.Status.QUEUED,
        run_after=now + timedelta(seconds=pause),
        lease_until=None,
        intended_at=None,
        first_sent_at=None,
        unsent=execution.unsent,
        error={"code": FAILURES[End.UNSENT], "detail": detail, "retryable": True},
    ):
        late_evidence(proposal, execution, now, end=End.UNSENT, error=error)
        return
    if was_tried:
        exchanges.finish(execution, End.UNSENT, now, error=error)
    else:
        exchanges.looked_in_vain(execution, now, error)
    record(proposal, execution, "execution.unsent", now, error=detail)


@transaction.atomic
def lose_sight(claim: Claim, error: Exception) -> None:
    """Something was sent, and nothing clear came back: it is unknown from this moment on."""
    proposal = Proposal.objects.select_related("agent", "run").lock(claim.proposal.pk)
    now = clock.now()
    if not lost(proposal, claim.execution, now, exchanges.detail_of(error)):
        late_evidence(proposal, claim.execution, now, end=End.UNCLEAR, error=error)
        return
    exchanges.finish(claim.execution, End.UNCLEAR, now, error=error)


def left_behind(proposal: Proposal, execution: Execution, now: datetime) -> None:
    """A worker ended between its intent and an answer: nobody knows whether anything was sent.

    Takes the fence from it, in case that it lives after all.
    """
    attempts.mine(execution, fence=execution.fence + 1)
    execution.fence += 1
    exchanges.missed(execution, now)
    lost(proposal, execution, now, DIED)


def lost(proposal: Proposal, execution: Execution, now: datetime, detail: str) -> bool:
    """Move a locked proposal to UNKNOWN; `resolving` takes it from there. False if not ours."""
    detail = detail[:500]
    trouble = {"code": UNCLEAR, "detail": detail, "retryable": False}
    if not attempts.mine(
        execution,
        status=Execution.Status.UNKNOWN,
        unclear_at=execution.unclear_at or now,
        last_unclear_at=now,
        ask_at=None if execution.is_transactional else now,
        lease_until=None,
        settled_at=now,
        error=trouble,
    ):
        return False
    if proposal.status == Status.UNKNOWN:
        record(proposal, execution, "execution.unclear", now, error=detail)
        return True
    transition(
        proposal,
        Status.UNKNOWN,
        actor=ACTOR,
        at=now,
        body=facts_of(execution) | {"error": detail},
        reason=f"It is not known whether this was written: {detail}"[:500],
        error=trouble,
    )
    return True


@transaction.atomic
def try_later(claim: Claim, error: Exception) -> None:
    """Leave the intent standing and come back under the same key; at last, ask people."""
    proposal = Proposal.objects.select_related("agent", "run").lock(claim.proposal.pk)
    now = clock.now()
    execution = claim.execution
    detail = exchanges.detail_of(error)
    trouble = {"code": UNCLEAR, "detail": detail[:500], "retryable": False}
    if execution.fence < settings.EXECUTION_MAX_ATTEMPTS:
        wait = timedelta(seconds=min(2**execution.fence, settings.EXECUTION_LEASE_SECONDS))
        if attempts.mine(execution, lease_until=now + wait, error=trouble):
            record(proposal, execution, "execution.postponed", now, error=detail[:500])
        return
    lost(proposal, execution, now, detail)


def late_evidence(
    proposal: Proposal,
    execution: Execution,
    now: datetime,
    *,
    end: str,
    error: Exception | None = None,
    evidence: dict[str, Any] | None = None,
) -> None:
    """A worker that lost its lease heard how it ended: keep that as evidence, change nothing."""
    exchanges.heard_late(execution, end, now, error=error, evidence=evidence)
    record(proposal, execution, "execution.late_evidence", now, end=end)
    logger.warning("%s was settled by another worker first", execution)
