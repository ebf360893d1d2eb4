"""The commit protocol: claim, intent, apply, settle.

Each step but apply is one short transaction of the product's database; apply is one transaction of
the target, and never runs inside one of ours. Every change of an execution happens under the lock
of its proposal and names the fence it holds, so that a worker which lost its lease changes nothing.

At most one effect: the receipt that the target keeps under the execution's key makes a second
apply return the first outcome. An attempt is recorded as "not applied" only after its key was
voided at the target, so that a late first writer is refused there. (Design page, Delivery.)
"""

import logging
import os
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from budgets import accounts
from budgets.exceptions import BudgetExceeded
from ledger import clock, entries
from ledger.canonical import digest
from proposals import bell, crashpoints, freezing, gate, observing, policy, seats
from proposals.exceptions import ActionError, StaleTarget, TargetRefused, VoidedKey
from proposals.lifecycle import WITHOUT_A_WRITE, Status, transition
from proposals.models import Execution, Proposal
from proposals.policy import Effect
from proposals.registry import Outcome, registry

logger = logging.getLogger(__name__)


def worker_name(pid: int) -> str:
    """Whom a claim names: a process of this machine. Children of a pool share their parent's."""
    return f"{socket.gethostname()}:{pid}"


WORKER = worker_name(os.getpid())
ACTOR = "system:worker"


@dataclass(frozen=True)
class Claim:
    """An execution that is ours while its fence stands; a refusal says why not to apply it."""

    execution: Execution
    proposal: Proposal
    params: dict[str, Any]
    had_intent: bool
    refusal: str = ""
    is_expired: bool = False


def run(execution_id: UUID | str) -> None:
    """Take one execution as far as it will go. Harmless when nothing is due or another has it."""
    claim = take(execution_id)
    if claim is None:
        return
    crashpoints.reach("claim.done")
    if claim.refusal:
        if claim.had_intent:
            close_unapplied(claim, give_back, claim.refusal)
        else:
            give_back(claim, claim.refusal)
        return
    if not intend(claim):
        return
    crashpoints.reach("intent.done")
    try:
        outcome = apply(claim)
    except StaleTarget as error:
        reason = "The target changed after it was checked, so nothing was written."
        close_unapplied(claim, give_back, reason, found=error.found)
    except VoidedKey:
        give_back(claim, "An earlier attempt was stopped before it wrote anything.")
    except TargetRefused as error:
        close_unapplied(claim, fail, str(error))
    except Exception as error:  # the default branch is "unknown", never "failed" (protocols)
        logger.exception("Applying %s did not end clearly", claim.execution)
        try_later(claim, error)
    else:
        crashpoints.reach("apply.done")
        settle(claim, outcome)
    crashpoints.reach("settle.done")


# Claim


@transaction.atomic
def take(execution_id: UUID | str) -> Claim | None:
    """Claim the row if it is due, raise the fence, and verify again all that approval stood on."""
    proposal_id = (
        Execution.objects.filter(pk=execution_id).values_list("proposal_id", flat=True).first()
    )
    if proposal_id is None:
        return None
    proposal = Proposal.objects.select_related("agent__owner", "proposer", "run").lock(proposal_id)
    now = clock.now()
    execution = (
        Execution.objects.due(now)
        .select_related("of_check__revision")
        .filter(pk=execution_id)
        .first()
    )
    if execution is None:
        return None
    if stop := freezing.stop_for(proposal):
        hold(proposal, execution, now, stop, settings.HELD_RETRY_SECONDS)
        return None
    had_intent = execution.intended_at is not None
    refusal = objection(proposal, execution, now)
    if not refusal and not had_intent:
        try:
            with transaction.atomic():
                # The ledger's moment of the claim is the one that counts against the budgets.
                now = accounts.restamp(str(proposal.pk)) or now
        except BudgetExceeded as error:
            hold(proposal, execution, now, str(error), seconds_until(error, now))
            return None
    execution.fence += 1
    execution.status = Execution.Status.INTENDED if had_intent else Execution.Status.CLAIMED
    execution.lease_until = now + timedelta(seconds=settings.EXECUTION_LEASE_SECONDS)
    execution.claimed_by = WORKER
    execution.save(update_fields=["fence", "status", "lease_until", "claimed_by"])
    record(proposal, execution, "execution.claimed", now, refusal=refusal)
    crashpoints.reach("claim.taken")
    return Claim(
        execution=execution,
        proposal=proposal,
        params=execution.of_check.revision.params,
        had_intent=had_intent,
        refusal=refusal,
        is_expired=proposal.expires_at <= now,
    )


def hold(
    proposal: Proposal, execution: Execution, now: datetime, reason: str, seconds: float
) -> None:
    """Leave the row where it is and look again later; the reason is entered when it changes."""
    later = now + timedelta(seconds=seconds)
    held = Execution.objects.open().filter(pk=execution.pk, fence=execution.fence)
    is_queued = execution.status == Execution.Status.QUEUED
    if not held.update(**{"run_after" if is_queued else "lease_until": later}):
        return  # another worker took over, and this one has nothing left to say
    if proposal.reason != reason[:500]:
        proposal.reason = reason[:500]
        proposal.save(update_fields=["reason"])
        record(proposal, execution, "execution.held", now, reason=proposal.reason)


def seconds_until(error: BudgetExceeded, now: datetime) -> float:
    """Until the next slot of a full window; where waiting does not help, look again in a minute."""
    if error.shortage.free_at is None:
        return 60.0
    return max((error.shortage.free_at - now).total_seconds(), 0.05)


def objection(proposal: Proposal, execution: Execution, now: datetime) -> str:
    """Why this must not be applied after all; empty when everything it stood on still stands."""
    check = execution.of_check
    revision = check.revision
    if proposal.is_observed:
        return observing.SENTENCE
    if proposal.status != Status.APPROVED or proposal.current_check_id != check.pk:
        return "The approval was for another check."
    if proposal.expires_at <= now:
        return "The proposal expired before it was committed."
    if execution.fence >= settings.EXECUTION_MAX_ATTEMPTS:
        return f"It was tried {settings.EXECUTION_MAX_ATTEMPTS} times without a clear end."
    if proposal.proposer_id is None and not may_still_propose(proposal):
        return "The agent lost its grant."
    findings = gate.findings_of(check)
    verdict = gate.judge(proposal, revision, findings, gate.rules())
    if policy.is_stricter(verdict, gate.as_verdict(check)):
        return "The rules became stricter after this was approved."
    if check.effect == Effect.REVIEW and len(seats.approvals(proposal, check)) < check.approvals:
        return "An approval no longer counts: an approver lost the right to give it."
    return ""


def may_still_propose(proposal: Proposal) -> bool:
    """Whether the agent may still propose this; the undo of its own commit needs no grant."""
    if proposal.compensates_id is not None or proposal.agent is None:
        return True
    return proposal.agent.may_propose(proposal.action)


# Intent


@transaction.atomic
def intend(claim: Claim) -> bool:
    """Durably say "about to write", before the first byte leaves.

    False if the fence has moved, or if something froze it since the claim: then it is handed back.
    """
    freezing.hold_gate()
    proposal = Proposal.objects.select_related("agent", "run").lock(claim.proposal.pk)
    now = clock.now()
    execution = claim.execution
    if stop := freezing.stop_for(proposal):
        if not claim.had_intent:
            mine(execution, status=Execution.Status.QUEUED, lease_until=None)
            execution.status = Execution.Status.QUEUED
        hold(proposal, execution, now, stop, settings.HELD_RETRY_SECONDS)
        return False
    if not mine(
        execution, status=Execution.Status.INTENDED, intended_at=execution.intended_at or now
    ):
        return False
    execution.intended_at = execution.intended_at or now
    record(proposal, execution, "execution.intended", now)
    return True


# Apply


def apply(claim: Claim) -> Outcome:
    """The one place that writes to a target. No transaction of ours is open here."""
    action = registry.get(claim.proposal.action)
    return action.apply(
        claim.params, key=claim.execution.key, expected=claim.execution.of_check.before or {}
    )


# Settle


@transaction.atomic
def settle(claim: Claim, outcome: Outcome) -> None:
    """Record what was written: result, after-image, compensation and status, all or nothing."""
    proposal = Proposal.objects.select_related("agent", "run").lock(claim.proposal.pk)
    now = clock.now()
    compensation = outcome.compensation.as_json() if outcome.compensation else None
    if not mine(
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
    if not mine(
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
    if not mine(claim.execution, status=Execution.Status.FAILED, settled_at=now, error=error):
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
        if mine(execution, lease_until=now + wait, error=trouble):
            record(proposal, execution, "execution.postponed", now, error=detail[:500])
        return
    if mine(execution, status=Execution.Status.UNKNOWN, settled_at=now, error=trouble):
        transition(
            proposal,
            Status.UNKNOWN,
            actor=ACTOR,
            at=now,
            body=facts_of(execution) | {"error": trouble["detail"]},
            reason=f"It is not known whether this was written: {trouble['detail']}"[:500],
            error=trouble,
        )


# Stop


def hand_back(worker: str) -> int:
    """Queue again what a worker that is stopping claimed, so that nobody waits for its lease.

    Never what has an intent: whether that was written is found out under the same key, once its
    lease has ended. Returns how many were handed back.
    """
    claimed = Execution.objects.filter(status=Execution.Status.CLAIMED, claimed_by=worker)
    return sum(queue_again(execution) for execution in claimed.select_related("of_check"))


@transaction.atomic
def queue_again(execution: Execution) -> bool:
    """Give up one claim, and raise its fence: should its worker live after all, it is too late."""
    proposal = Proposal.objects.select_related("agent", "run").lock(execution.proposal_id)
    now = clock.now()
    claimed = Execution.objects.filter(
        pk=execution.pk, fence=execution.fence, status=Execution.Status.CLAIMED, intended_at=None
    )
    execution.fence += 1
    if not claimed.update(
        status=Execution.Status.QUEUED, fence=execution.fence, lease_until=None, run_after=now
    ):
        return False
    record(proposal, execution, "execution.handed_back", now)
    bell.ring_execution(execution.pk)
    return True


# Common to all steps


def mine(execution: Execution, **changes: Any) -> bool:
    """Change the row if this fence still holds it; False if another worker took over."""
    held = Execution.objects.open().filter(pk=execution.pk, fence=execution.fence)
    return held.update(**changes) == 1


def facts_of(execution: Execution) -> dict[str, Any]:
    """What every ledger entry about an attempt says."""
    return {
        "attempt": execution.attempt,
        "fence": execution.fence,
        "generation": execution.generation,
        "key": execution.key,
        "digest": execution.of_check.digest,
    }


def record(
    proposal: Proposal, execution: Execution, kind: str, now: datetime, **facts: str
) -> None:
    """Enter a step that leaves the status as it is into the ledger of the proposal."""
    entries.append(
        chain=proposal,
        kind=kind,
        actor=ACTOR,
        actor_name=execution.claimed_by,
        at=now,
        body=facts_of(execution) | {name: fact for name, fact in facts.items() if fact},
        **proposal.look_ups(),
    )
    # Not a change of status: the history of the proposal has nothing to tell about it.
    proposal.save_chain()


def late_evidence(proposal: Proposal, execution: Execution, now: datetime) -> None:
    """A worker that lost its lease saw its write succeed: keep that as evidence, change nothing."""
    record(proposal, execution, "execution.late_evidence", now)
    logger.warning("%s was settled by another worker first", execution)
