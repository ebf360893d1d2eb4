"""The commit protocol: claim, intent, apply, settle.

Each step but apply is one short transaction of the product's database; apply is one transaction of
the target, and never runs inside one of ours. Every change of an execution happens under the lock
of its proposal and names the fence it holds, so that a worker which lost its lease changes nothing.

At most one effect. TRANSACTIONAL: the receipt that the target keeps under the execution's key makes
a second apply return the first outcome, and an attempt is recorded as "not applied" only after its
key was voided at the target, so that a late first writer is refused there. Every other delivery:
after an intent this module never sends again; what has no clear answer is UNKNOWN, and `resolving`
takes it from there. (Design page, Delivery.)
"""

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction

from budgets.exceptions import BudgetExceeded
from ledger import clock
from proposals import (
    attempts,
    bound,
    breakers,
    checks,
    crashpoints,
    exchanges,
    freezing,
    gate,
    observing,
    policy,
    seats,
    settling,
    spending,
    undone,
)
from proposals.attempts import WORKER, Claim, record
from proposals.exceptions import (
    OutcomeUnknown,
    StaleTarget,
    TargetRefused,
    TargetUnavailable,
    VoidedKey,
)
from proposals.lifecycle import Status
from proposals.models import Exchange, Execution, Proposal
from proposals.policy import Effect
from proposals.registry import Outcome, registry
from proposals.targets import wiring

logger = logging.getLogger(__name__)


STALE = "The target changed after it was checked, so nothing was written."
DESCRIBED_ANEW = "How this may be written was changed after it was checked."


def run(execution_id: UUID | str) -> None:
    """Take one execution as far as it will go. Harmless when nothing is due or another has it."""
    claim = take(execution_id)
    if claim is None:
        return
    crashpoints.reach("claim.done")
    if claim.refusal:
        stand_down(claim)
        return
    if not claim.execution.is_transactional and not prepare(claim):
        return
    with wiring.steady():
        claim = replace(claim, since=attempts.moment())
        if not intend(claim):
            return
        crashpoints.reach("intent.done")
        write(claim)
    crashpoints.reach("settle.done")


def stand_down(claim: Claim) -> None:
    """End an attempt that must not be applied after all, by what speaks against it."""
    altered = isinstance(claim.refusal, bound.Altered)
    if altered and claim.had_intent and claim.refusal is bound.Altered.CONTENT:
        settling.lose_sight(claim, OutcomeUnknown(claim.refusal))
        return
    close = settling.fail_as_altered if altered else settling.give_back
    if claim.had_intent:
        settling.close_unapplied(claim, close, claim.refusal)
    else:
        close(claim, claim.refusal)


def write(claim: Claim) -> None:
    """Apply, and settle by what came of it."""
    try:
        outcome = apply(claim)
    except StaleTarget as error:
        settling.close_unapplied(claim, settling.give_back, STALE, found=error.found)
    except VoidedKey:
        settling.give_back(claim, "An earlier attempt was stopped before it wrote anything.")
    except TargetRefused as error:
        settling.close_unapplied(claim, settling.fail, str(error))
    except Exception as error:  # the default branch is "unknown", never "failed" (protocols)
        unclear(claim, error)
    else:
        crashpoints.reach("apply.done")
        settling.settle(claim, outcome)


def unclear(claim: Claim, error: Exception) -> None:
    """What becomes of a write that did not end clearly, by what its delivery can promise."""
    if claim.execution.is_transactional:
        logger.exception("Applying %s did not end clearly", claim.execution)
        settling.try_later(claim, error)
    elif isinstance(error, TargetUnavailable):
        settling.send_later(claim, error)
    else:
        logger.warning("%s has an unknown outcome: %s", claim.execution, type(error).__name__)
        settling.lose_sight(claim, error)


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
    if execution.intended_at is not None and not execution.is_transactional:
        settling.left_behind(proposal, execution, now)
        return None
    return None if is_stopped(proposal, execution, now) else claimed(proposal, execution, now)


def is_stopped(proposal: Proposal, execution: Execution, now: datetime) -> bool:
    """Whether it waits for a freeze to be lifted, or for a target that is left alone."""
    if stop := freezing.stop_for(proposal):
        hold(proposal, execution, now, stop, settings.HELD_RETRY_SECONDS)
        return True
    if closed := breakers.standing(execution.target, now, is_new=True):
        hold(proposal, execution, now, closed.reason, (closed.until - now).total_seconds())
        return True
    return False


def claimed(proposal: Proposal, execution: Execution, now: datetime) -> Claim | None:
    """Claim a due row for this worker, with what objects to writing it; None if it has to wait."""
    had_intent = execution.intended_at is not None
    refusal = objection(proposal, execution, now)
    if not refusal:
        now, shortage = counted(proposal, execution, now, books=not had_intent)
        if shortage is not None and not had_intent:
            hold(proposal, execution, now, str(shortage), spending.seconds_until(shortage, now))
            return None
        # With an intent it may be written, and is settled then. If not, its key is voided and it
        # waits for a slot as all others do: else an outage would save up writes for its end.
        refusal = str(shortage or "")
    execution.fence += 1
    execution.status = Execution.Status.INTENDED if had_intent else Execution.Status.CLAIMED
    execution.lease_until = now + timedelta(seconds=settings.EXECUTION_LEASE_SECONDS)
    execution.claimed_by = WORKER
    execution.save(update_fields=["fence", "status", "lease_until", "claimed_by"])
    mark_held(proposal, False)
    asks = spending.asks(proposal, execution.of_check)
    record(proposal, execution, "execution.claimed", now, refusal=refusal, asks=asks)
    crashpoints.reach("claim.taken")
    return Claim(
        execution=execution,
        proposal=proposal,
        params=execution.of_check.revision.params,
        had_intent=had_intent,
        refusal=refusal,
        is_expired=proposal.expires_at <= now,
    )


def counted(
    proposal: Proposal, execution: Execution, now: datetime, *, books: bool
) -> tuple[datetime, BudgetExceeded | None]:
    """The claim's moment, as budgets count it and the ledger tells it; and what is short."""
    try:
        return spending.restamp(proposal, execution.of_check, books=books) or now, None
    except BudgetExceeded as shortage:
        return now, shortage


def hold(
    proposal: Proposal, execution: Execution, now: datetime, reason: str, seconds: float
) -> None:
    """Look again later; entered when the reason changes, or when it takes a claim from a worker.

    What has no intent waits in the queue, where it can be withdrawn and expires: also what a worker
    left behind that had claimed it, whose fence is gone with that.
    """
    later = now + timedelta(seconds=seconds)
    held = Execution.objects.open().filter(pk=execution.pk, fence=execution.fence)
    is_taken_back = execution.status == Execution.Status.CLAIMED
    if execution.intended_at is not None:
        is_ours = held.update(lease_until=later)
    else:
        execution.fence += is_taken_back
        execution.status = Execution.Status.QUEUED
        is_ours = held.update(
            status=execution.status, fence=execution.fence, lease_until=None, run_after=later
        )
    if not is_ours:
        return  # another worker took over, and this one has nothing left to say
    mark_held(proposal, True)
    if proposal.reason != reason[:500] or is_taken_back:
        proposal.reason = reason[:500]
        proposal.save(update_fields=["reason"])
        record(proposal, execution, "execution.held", now, reason=proposal.reason)


def mark_held(proposal: Proposal, is_held: bool) -> None:
    """Keep, for the list of what is held, how this worker found a locked proposal."""
    if proposal.is_held != is_held:
        proposal.is_held = is_held
        Proposal.objects.filter(pk=proposal.pk).update(is_held=is_held)


def objection(proposal: Proposal, execution: Execution, now: datetime) -> str:
    """Why this must not be applied after all; empty when everything it stood on still stands."""
    check = execution.of_check
    revision = check.revision
    if proposal.is_observed:
        return observing.SENTENCE
    if proposal.status != Status.APPROVED or proposal.current_check_id != check.pk:
        return "The approval was for another check."
    if altered := bound.altered(proposal, check):
        return altered
    if proposal.expires_at <= now:
        return "The proposal expired before it was committed."
    if execution.fence >= settings.EXECUTION_MAX_ATTEMPTS:
        return f"It was tried {settings.EXECUTION_MAX_ATTEMPTS} times without a clear end."
    if undone.is_too_late(proposal):
        return "What this undo covers was taken back, or is to be, by another."
    if proposal.proposer_id is None and not may_still_propose(proposal):
        return "The agent lost its grant."
    if checks.definition_of(proposal.action, revision.params) != check.definition:
        return DESCRIBED_ANEW
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


# Prepare


def prepare(claim: Claim) -> bool:
    """Find out before the intent what can be found out; nothing is sent that writes.

    False if there is nothing to write now: it was given back, has failed, or is queued again.
    """
    try:
        registry.get(claim.proposal.action).prepare(
            claim.params, expected=claim.execution.of_check.before or {}
        )
    except StaleTarget as error:
        settling.give_back(claim, STALE, found=error.found)
    except TargetRefused as error:
        settling.fail(claim, str(error))
    except TargetUnavailable as error:
        settling.send_later(claim, error, was_tried=False)
    except Exception as error:  # whatever it was, nothing was sent
        logger.exception("Preparing %s failed", claim.execution)
        told = TargetUnavailable(f"Nothing was sent: {type(error).__name__} while preparing.")
        settling.send_later(claim, told, was_tried=False)
    else:
        crashpoints.reach("prepare.done")
        return True
    return False


# Intent


@transaction.atomic
def intend(claim: Claim) -> bool:
    """Durably say "about to write", before the first byte leaves.

    False if the fence has moved, or if something froze it since the claim, or its target is to be
    left alone: then it is handed back.
    """
    freezing.hold_gate()
    proposal = Proposal.objects.select_related("agent", "run").lock(claim.proposal.pk)
    now = clock.now()
    execution = claim.execution
    if stop := freezing.stop_for(proposal):
        step_back(claim, proposal, now, stop, settings.HELD_RETRY_SECONDS)
        return False
    if not claim.had_intent and is_described_anew(claim):
        settling.give_back(claim, DESCRIBED_ANEW)
        return False
    if closed := breakers.admit(execution.target, now, is_new=True):
        step_back(claim, proposal, now, closed.reason, (closed.until - now).total_seconds())
        return False
    if not attempts.mine(
        execution,
        status=Execution.Status.INTENDED,
        intended_at=execution.intended_at or now,
        first_sent_at=execution.first_sent_at or now,
        lease_until=now + timedelta(seconds=settings.EXECUTION_LEASE_SECONDS),
    ):
        transaction.set_rollback(True)  # this was no trial of an open breaker
        return False
    exchanges.begin(execution, Exchange.Purpose.SEND, now)
    execution.intended_at = execution.intended_at or now
    record(proposal, execution, "execution.intended", now)
    return True


def step_back(claim: Claim, proposal: Proposal, now: datetime, reason: str, seconds: float) -> None:
    """Hand a claim back before its intent, with the reason for which it has to wait."""
    if not claim.had_intent:  # given up by itself, so its fence need not be taken from it
        attempts.mine(claim.execution, status=Execution.Status.QUEUED, lease_until=None)
        claim.execution.status = Execution.Status.QUEUED
    hold(proposal, claim.execution, now, reason, seconds)


def is_described_anew(claim: Claim) -> bool:
    """Whether people changed, or switched off, what this would write to since it was checked."""
    now = checks.definition_of(claim.proposal.action, claim.params)
    return now != claim.execution.of_check.definition


# Apply


def apply(claim: Claim) -> Outcome:
    """The one place that writes to a target. No transaction of ours is open here."""
    attempts.require_in_time(claim)
    action = registry.get(claim.proposal.action)
    return action.apply(
        claim.params, key=claim.execution.key, expected=claim.execution.of_check.before or {}
    )
