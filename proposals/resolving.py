"""What becomes of an unknown outcome: sent again under its key, asked about, or left to people.

Nothing leaves UNKNOWN but by a clear answer to a resend of the same key, by a probe, or by what
people vouch for. Which of them comes next follows from the delivery and from what was tried:

- KEYED: the same key again, until 80 % of the time for which the target honours it. A refusal is
  believed only when whatever was sent before has had its time to arrive.
- QUERYABLE, and KEYED afterwards where the target can be asked: probes. "Knows nothing of it" is
  believed when it was said twice, a settling time apart, and never where money is involved.
- UNCERTAIN: people. It is never sent again blindly.

(Design page, Delivery; protocols page, Probe.)
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
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
    settling,
    spending,
)
from proposals.attempts import WORKER, Claim, record
from proposals.exceptions import TargetRefused, TargetUnavailable
from proposals.lifecycle import Status
from proposals.models import Exchange, Execution, Proposal
from proposals.registry import Action, Delivery, registry
from proposals.targets import wiring

logger = logging.getLogger(__name__)
Purpose, End = Exchange.Purpose, Exchange.End
# What is frozen is not worth a look every few seconds; and others may be the trial meanwhile.
FROZEN_SECONDS = 120
CLAIMED = ("fence", "lease_until", "claimed_by", "is_wanted", "resends", "last_unclear_at")
CHANGED = "How this is sent was changed since, so a person has to find out what became of it."


@dataclass(frozen=True)
class Step:
    """What comes next for an unknown outcome, and when."""

    purpose: str
    at: datetime


def plan(
    execution: Execution,
    action: Action,
    params: dict[str, Any],
    now: datetime,
    *,
    sooner: bool = False,
) -> Step | None:
    """The next thing that the machine can do about it; None where that is for people.

    `sooner` is as soon as it would prove anything: without the pauses that spare the target.
    """
    since = execution.last_unclear_at or execution.unclear_at
    if since is None or execution.is_transactional:
        return None
    settled = since + timedelta(seconds=action.settling_seconds)
    if execution.delivery == Delivery.KEYED:
        pause = timedelta() if sooner else backoff(execution.resends)
        at = settled if was_refused(execution) else since + pause
        if max(at, now) < key_ends(execution, action):
            return Step(Purpose.RESEND, at)
    elif execution.delivery != Delivery.QUERYABLE:
        return None
    if execution.asked >= len(settings.PROBE_SECONDS) or not action.can_probe(params):
        return None
    at = settled
    if not sooner:
        at += timedelta(seconds=settings.PROBE_SECONDS[execution.asked])
    if execution.absent_at is not None:
        at = max(at, execution.absent_at + timedelta(seconds=action.settling_seconds))
    return Step(Purpose.PROBE, at)


def was_refused(execution: Execution) -> bool:
    """Whether the last resend was refused while something sent earlier could still arrive."""
    return (execution.error or {}).get("code") == settling.REFUSED_EARLY


def backoff(tries: int) -> timedelta:
    return timedelta(seconds=min(2**tries, settings.RESEND_LONGEST_SECONDS))


def key_ends(execution: Execution, action: Action) -> datetime:
    """Until when the key may be sent again: 80 % of what the target promises (P15)."""
    first = execution.first_sent_at or execution.intended_at
    if first is None:
        return execution.created_at
    return first + timedelta(seconds=0.8 * action.key_seconds)


# Asking


def run(execution_id: UUID | str) -> None:
    """Do the next thing about one unknown outcome. Harmless when nothing is due."""
    with wiring.steady():
        inquiry = take(execution_id)
        if inquiry is None:
            return
        crashpoints.reach("inquiry.begun")
        if inquiry.how == Purpose.RESEND:
            send_again(inquiry)
        else:
            ask(inquiry)
    crashpoints.reach("inquiry.done")


@transaction.atomic
def take(execution_id: UUID | str) -> Claim | None:
    """Claim an unknown outcome for one step, and say durably that it is about to be made."""
    freezing.hold_gate()
    found = Execution.objects.filter(pk=execution_id).values_list("proposal_id", flat=True).first()
    if found is None:
        return None
    proposal = Proposal.objects.select_related("agent", "run").lock(found)
    now = clock.now()
    execution = (
        Execution.objects.to_ask(now)
        .select_related("of_check__revision")
        .filter(pk=execution_id)
        .first()
    )
    if execution is None or proposal.status != Status.UNKNOWN:
        return None
    if exchanges.missed(execution, now):
        execution.last_unclear_at = now
    params = execution.of_check.revision.params
    step = next_step(execution, proposal.action, params, now)
    changed = changed_since(proposal, execution) if step else ""
    if step is None or changed:
        leave_to_people(proposal, execution, changed)
        return None
    later, now = hindrance(proposal, execution, step, now)
    if later is not None:
        put_off(execution, later)
        return None
    execution.fence += 1
    execution.lease_until = now + timedelta(seconds=settings.EXECUTION_LEASE_SECONDS)
    execution.claimed_by = WORKER
    execution.is_wanted = False
    if step.purpose == Purpose.RESEND:
        execution.resends += 1
        execution.last_unclear_at = now  # from here on it may arrive, whatever is heard of it
    execution.save(update_fields=CLAIMED)
    exchanges.begin(execution, step.purpose, now)
    if step.purpose == Purpose.RESEND:
        asks = spending.asks(proposal, execution.of_check)
        record(proposal, execution, "execution.resent", now, asks=asks)
    else:
        record(proposal, execution, "execution.asked", now)
    return Claim(
        execution=execution,
        proposal=proposal,
        params=params,
        had_intent=True,
        how=step.purpose,
    )


def next_step(
    execution: Execution, action_name: str, params: dict[str, Any], now: datetime
) -> Step | None:
    """What `plan` says of it; an action that cannot say leaves it to people."""
    wiring.refresh()
    try:
        action = registry.get(action_name)
        return plan(execution, action, params, now, sooner=execution.is_wanted)
    except Exception:  # an action that is gone, or cannot say how it is to be asked
        logger.exception("What to do about %s cannot be told", execution)
        return None


def changed_since(proposal: Proposal, execution: Execution) -> str:
    """Why this would be another request than the one sent: a key must never carry two."""
    check = execution.of_check
    if altered := bound.altered(proposal, check):
        return altered
    now = checks.definition_of(proposal.action, check.revision.params)
    return CHANGED if now != check.definition else ""


def hindrance(
    proposal: Proposal, execution: Execution, step: Step, now: datetime
) -> tuple[datetime | None, datetime]:
    """Until when this step has to wait: its time, a freeze, a full budget, or a target that is left
    alone. And the moment of the step, as budgets count it.
    """
    if step.at > now:
        return step.at, now
    # A resend may be what makes the effect, so a stop and a cap hold for it as for every intent.
    if step.purpose == Purpose.RESEND:
        if freezing.stop_for(proposal):
            return now + timedelta(seconds=FROZEN_SECONDS), now
        try:
            now = spending.restamp(proposal, execution.of_check, books=False) or now
        except BudgetExceeded as full:
            # Where no slot will free, as long as for a stop, and for the same reason.
            is_for_good = full.shortage.free_at is None
            wait = FROZEN_SECONDS if is_for_good else spending.seconds_until(full, now)
            return now + timedelta(seconds=wait), now
    closed = breakers.admit(execution.target, now, is_new=False)
    return (closed.until if closed else None), now


def put_off(execution: Execution, until: datetime) -> None:
    execution.ask_at = until
    execution.save(update_fields=["ask_at", "last_unclear_at"])


def leave_to_people(proposal: Proposal, execution: Execution, reason: str) -> None:
    """The machine has done what it can; the row says so by having no next time."""
    execution.ask_at = None
    execution.save(update_fields=["ask_at", "last_unclear_at"])
    if reason:
        proposal.reason = reason
        proposal.save(update_fields=["reason"])


def send_again(inquiry: Claim) -> None:
    """Send the same request under the same key; at a target that honours it, that is no second."""
    action = registry.get(inquiry.proposal.action)
    try:
        attempts.require_in_time(inquiry)
        outcome = action.apply(
            inquiry.params,
            key=inquiry.execution.key,
            expected=inquiry.execution.of_check.before or {},
        )
    except TargetRefused as error:
        refused_again(inquiry, error)
    except Exception as error:  # whatever it is, it is no answer to what was sent before
        still_unknown(inquiry, error)
    else:
        settling.settle(inquiry, outcome)


def refused_again(inquiry: Claim, error: TargetRefused) -> None:
    """Believe a refusal only when whatever was sent before it can no longer arrive."""
    if was_refused(inquiry.execution):
        settling.fail(inquiry, str(error))
    else:
        still_unknown(inquiry, error, code=settling.REFUSED_EARLY)


def ask(inquiry: Claim) -> None:
    """Ask the target what became of the key. Reads only."""
    action = registry.get(inquiry.proposal.action)
    try:
        execution = inquiry.execution
        expected = execution.of_check.before or {}
        outcome = action.probe(inquiry.params, key=execution.key, expected=expected)
    except Exception as error:
        still_unknown(inquiry, error)
        return
    if outcome is None:
        not_there(inquiry)
    else:
        settling.settle(inquiry, outcome)


# What came of it


@transaction.atomic
def still_unknown(inquiry: Claim, error: Exception, *, code: str = settling.UNCLEAR) -> None:
    """Keep it unknown, and say when the machine looks again, if it does."""
    proposal = Proposal.objects.select_related("agent", "run").lock(inquiry.proposal.pk)
    now = clock.now()
    execution = inquiry.execution
    end = End.UNSENT if isinstance(error, TargetUnavailable) else End.UNCLEAR
    if code == settling.REFUSED_EARLY:
        end = End.REFUSED
    detail = exchanges.detail_of(error)
    execution.error = {"code": code, "detail": detail, "retryable": False}
    execution.asked += inquiry.how == Purpose.PROBE
    come_back(inquiry, proposal, now, end, error, detail)


@transaction.atomic
def not_there(inquiry: Claim) -> None:
    """The target knows nothing of it. Said twice, a settling time apart, that may be believed."""
    proposal = Proposal.objects.select_related("agent", "run").lock(inquiry.proposal.pk)
    now = clock.now()
    execution = inquiry.execution
    execution.asked += 1
    if execution.absent_at is not None and not involves_money(proposal, execution):
        settling.fail(
            inquiry, "The target was asked twice and knows nothing of it.", end=End.ABSENT
        )
        return
    if execution.absent_at is not None:  # absent is not never: about money, people decide
        execution.asked = len(settings.PROBE_SECONDS)
    execution.absent_at = execution.absent_at or now
    come_back(inquiry, proposal, now, End.ABSENT, None, "The target knows nothing of it.")


def involves_money(proposal: Proposal, execution: Execution) -> bool:
    """Whether budgets would count money of it, or nobody can say whether they would."""
    return spending.money_at_stake(proposal, execution.of_check) != {}


def come_back(
    inquiry: Claim,
    proposal: Proposal,
    now: datetime,
    end: str,
    error: Exception | None,
    detail: str,
) -> None:
    """Note what came of one step, and when the next one is due."""
    execution = inquiry.execution
    step = next_step(execution, proposal.action, inquiry.params, now)
    rest = error.retry_after or 0 if isinstance(error, TargetUnavailable) else 0
    soonest = now + timedelta(seconds=rest)
    if not attempts.mine(
        execution,
        lease_until=None,
        ask_at=max(step.at, soonest) if step else None,
        asked=execution.asked,
        absent_at=execution.absent_at,
        error=execution.error,
    ):
        settling.late_evidence(proposal, execution, now, end=end, error=error)
        return
    exchanges.finish(execution, end, now, error=error)
    record(proposal, execution, "execution.unclear", now, how=inquiry.how, error=detail)
