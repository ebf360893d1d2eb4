"""The commit protocol: claim, intent, apply, settle.

Each step but apply is one short transaction of the product's database; apply is one transaction of
the target, and never runs inside one of ours. Every change of an execution happens under the lock
of its proposal and names the fence it holds, so that a worker which lost its lease changes nothing.

At most one effect: the receipt that the target keeps under the execution's key makes a second
apply return the first outcome. An attempt is recorded as "not applied" only after its key was
voided at the target, so that a late first writer is refused there. (Design page, Delivery.)
"""

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction

from budgets import accounts
from budgets.exceptions import BudgetExceeded
from ledger import clock
from proposals import (
    attempts,
    checks,
    crashpoints,
    freezing,
    gate,
    observing,
    policy,
    seats,
    settling,
)
from proposals.attempts import WORKER, Claim, record
from proposals.exceptions import StaleTarget, TargetRefused, VoidedKey
from proposals.lifecycle import Status
from proposals.models import Execution, Proposal
from proposals.policy import Effect
from proposals.registry import Outcome, registry

logger = logging.getLogger(__name__)


DESCRIBED_ANEW = "How the table may be written to was changed after this was checked."


def run(execution_id: UUID | str) -> None:
    """Take one execution as far as it will go. Harmless when nothing is due or another has it."""
    claim = take(execution_id)
    if claim is None:
        return
    crashpoints.reach("claim.done")
    if claim.refusal:
        if claim.had_intent:
            settling.close_unapplied(claim, settling.give_back, claim.refusal)
        else:
            settling.give_back(claim, claim.refusal)
        return
    if not intend(claim):
        return
    crashpoints.reach("intent.done")
    try:
        outcome = apply(claim)
    except StaleTarget as error:
        reason = "The target changed after it was checked, so nothing was written."
        settling.close_unapplied(claim, settling.give_back, reason, found=error.found)
    except VoidedKey:
        settling.give_back(claim, "An earlier attempt was stopped before it wrote anything.")
    except TargetRefused as error:
        settling.close_unapplied(claim, settling.fail, str(error))
    except Exception as error:  # the default branch is "unknown", never "failed" (protocols)
        logger.exception("Applying %s did not end clearly", claim.execution)
        settling.try_later(claim, error)
    else:
        crashpoints.reach("apply.done")
        settling.settle(claim, outcome)
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
            attempts.mine(execution, status=Execution.Status.QUEUED, lease_until=None)
            execution.status = Execution.Status.QUEUED
        hold(proposal, execution, now, stop, settings.HELD_RETRY_SECONDS)
        return False
    if not claim.had_intent and is_described_anew(claim):
        settling.give_back(claim, DESCRIBED_ANEW)
        return False
    if not attempts.mine(
        execution, status=Execution.Status.INTENDED, intended_at=execution.intended_at or now
    ):
        return False
    execution.intended_at = execution.intended_at or now
    record(proposal, execution, "execution.intended", now)
    return True


def is_described_anew(claim: Claim) -> bool:
    """Whether people changed, or switched off, what this would write to since it was checked."""
    now = checks.definition_of(claim.proposal.action, claim.params)
    return now != claim.execution.of_check.definition


# Apply


def apply(claim: Claim) -> Outcome:
    """The one place that writes to a target. No transaction of ours is open here."""
    action = registry.get(claim.proposal.action)
    return action.apply(
        claim.params, key=claim.execution.key, expected=claim.execution.of_check.before or {}
    )
