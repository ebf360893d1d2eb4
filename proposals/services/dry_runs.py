"""Asking what would happen: the walk of submit and check, without storing what was asked.

It goes through the very functions of `submission` and `checks`; only reading is left of them. What
remains is one ledger entry: that it was asked, and the digest of what was answered.
"""

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings
from django.core.cache import cache
from django.db import transaction

from budgets import accounts
from ledger import clock, entries
from ledger.identifiers import uuid7
from proposals import checks, gate, spending
from proposals.exceptions import RateLimited
from proposals.lifecycle import Status
from proposals.models import Agent, Check, Proposal, Run
from proposals.services.storing import content
from proposals.services.submission import Submission, drafted, refuse_early_for

KIND = "proposal.dry_run"
# A preview waits for its target, so only so many may keep a thread of the server at once.
under_way = threading.BoundedSemaphore(4)


@dataclass(frozen=True)
class Share:
    """What it would take of one budget, as things stand now."""

    standing: accounts.Standing
    asked: Decimal

    @property
    def before(self) -> Decimal:
        return self.standing.used - self.asked

    @property
    def fits(self) -> bool:
        return self.standing.used <= self.standing.budget.limit


@dataclass(frozen=True)
class DryRun:
    """What was found. Neither the proposal nor the check is stored anywhere."""

    proposal: Proposal
    check: Check
    shares: list[Share]
    status: Status

    @property
    def is_over_budget(self) -> bool:
        return not all(share.fits for share in self.shares)


def dry_run(*, agent: Agent, submission: Submission) -> DryRun:
    """Check what an agent might propose, now: nothing is stored, reserved or written.

    Raises what `submit` refuses but for budgets, whose standing is part of the answer; OverBudget
    only where one refused the same a moment ago, and RateLimited for too many in a minute.
    """
    refuse_early_for(agent, spending.Shedding(agent, submission))
    count(agent)
    proposal, params = drafted(agent, submission, uuid7())
    proposal.run = Run(agent=agent, name=submission.run)
    now = clock.now()
    revision, _ = content(
        proposal,
        1,
        agent.actor,
        params,
        submission.rationale,
        submission.evidence,
        submission.context,
        now,
    )
    in_force = gate.rules()
    if not under_way.acquire(blocking=False):
        raise RateLimited("Too many dry runs are under way; try again in a second.", retry_after=1)
    try:
        findings = checks.examine(proposal.action, params)
    finally:
        under_way.release()
    verdict = gate.judge(proposal, revision, findings, in_force)
    check = checks.written_down(proposal, revision, findings, verdict, in_force, now)
    found = DryRun(
        proposal=proposal,
        check=check,
        shares=shares(proposal, params, check),
        status=checks.follows(proposal, check),
    )
    record(agent, submission, found)
    return found


def shares(proposal: Proposal, params: dict, check: Check) -> list[Share]:
    """How each budget that covers it would stand with it; read only, and no promise."""
    charge = spending.charge(proposal, params, check)
    return [
        Share(standing, charge.amount(standing.budget.unit, standing.budget.currency))
        for standing in accounts.standings(charge)
    ]


@transaction.atomic
def record(agent: Agent, submission: Submission, found: DryRun) -> None:
    """Enter that it was asked. No content: what was never proposed leaves its digest alone."""
    entries.record(
        f"agent:{agent.pk}",
        kind=KIND,
        actor=agent.actor,
        actor_name=agent.name,
        agent=str(agent.pk),
        run=submission.run,
        object=found.proposal.resource,
        body={
            "action": found.proposal.action,
            "digest": found.check.digest,
            "tier": str(found.check.tier),
            "effect": str(found.check.effect),
        },
    )


def count(agent: Agent) -> None:
    """Raise RateLimited beyond so many in one minute of the clock.

    Counted in front of the database, as nothing but work is at stake: a dry run writes nothing.
    """
    minute, second = divmod(int(time.time()), 60)
    name, taken = f"dry-runs:{agent.pk}:{minute}", 0
    cache.add(name, 0, 120)
    with suppress(ValueError):  # the cache may just have lost it
        taken = cache.incr(name) or 0
    most = settings.DRY_RUNS_PER_MINUTE
    if taken > most:
        raise RateLimited(f"At most {most} dry runs in a minute.", retry_after=60 - second)
