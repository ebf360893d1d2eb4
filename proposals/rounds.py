"""The rounds of the clock: what time and changed rules do to proposals, with nobody to ring for.

Each row is worked on by itself. One that fails, such as one that was changed from outside, is in
the log, rests for a while and keeps no other from its turn.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Left

from budgets import refusals
from ledger import clock
from proposals import gate, rule_hits, services
from proposals.actions import tables
from proposals.lifecycle import Status
from proposals.models import Execution, Proposal, RunUndo
from proposals.targets import wiring

logger = logging.getLogger(__name__)
BATCH = 50
REST = timedelta(minutes=1)
DIGEST_LENGTH = 71


def attempt(work: Callable[[UUID], object], row_id: UUID) -> bool:
    """Work on one row; whatever it does, the other rows get their turn. False if it failed.

    Raises what is no row's fault, and the same for all of them.
    """
    try:
        work(row_id)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        logger.exception("The clock could not work on %s", row_id)
        return False
    return True


def made(one: Callable[[datetime], int], now: datetime) -> int:
    """How many rows one of the rounds touched; where it fails as a whole, the others are made."""
    try:
        return one(now)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        logger.exception("A round of the clock could not be made")
        return 0


@dataclass
class Rounds:
    """Remembers which rows failed a short while ago."""

    failed: dict[UUID, datetime] = field(default_factory=dict)

    def make(self, now: datetime) -> int:
        """Go over everything once. Returns how many rows were touched."""
        self.failed = {row: at for row, at in self.failed.items() if now - at < REST}
        rounds: tuple[Callable[[datetime], int], ...] = (
            self.expire,
            lambda _: self.recheck_for_new_rules(),
            lambda _: self.recheck_for_new_tables(),
            self.undo_runs,
            lambda _: rule_hits.sum_up(),
            lambda _: refusals.sum_up(),
        )
        return sum(made(one, now) for one in rounds)

    def each(self, rows: QuerySet[Any], work: Callable[[UUID], object]) -> int:
        """Work on a batch of rows, in their order, but for those that rest."""
        some = rows.exclude(pk__in=list(self.failed)).values_list("pk", flat=True)
        done = 0
        for row_id in list(some[:BATCH]):
            if attempt(work, row_id):
                done += 1
            else:
                self.failed[row_id] = clock.now()
        return done

    def expire(self, now: datetime) -> int:
        """Expire what is past its deadline, unless a worker has it: then that one says what becomes
        of it.
        """
        taken = (Execution.Status.CLAIMED, Execution.Status.INTENDED)
        held = Execution.objects.filter(proposal=OuterRef("pk"), status__in=taken)
        overdue = Proposal.objects.overdue(now).exclude(Exists(held)).order_by("expires_at")
        return self.each(overdue, lambda row_id: services.expire(proposal_id=row_id))

    def undo_runs(self, now: datetime) -> int:
        """Go on with every undo of a run that is due."""
        due = RunUndo.objects.filter(finished_at=None, due_at__lte=now).order_by("due_at")
        return self.each(due, lambda row_id: services.advance_run_undo(undoing_id=row_id))

    def recheck_for_new_rules(self) -> int:
        """Check again what waits for people under rules that have changed since."""
        current = gate.policy_digest(gate.rules())
        waiting = Proposal.objects.filter(status=Status.PENDING)
        outdated = waiting.exclude(current_check__policy_digest=current)
        return self.recheck(outdated, "The rules changed.")

    def recheck_for_new_tables(self) -> int:
        """Check again what waits for people on what is configured anew, is off or is back."""
        if not wiring.refresh():
            return 0  # a row is being written beside this; what is known here may be old by now
        current = wiring.definitions()
        returned = [tables.absent(name) for name in current]
        moved = Q(current_check__definition__startswith="sha256:") & ~Q(rows__in=current.values())
        outdated = (
            # What follows a digest is a process's own, and sends nothing back by itself.
            Proposal.objects.annotate(rows=Left("current_check__definition", DIGEST_LENGTH))
            .filter(moved | Q(current_check__definition__in=returned))
            .filter(status=Status.PENDING)
        )
        return self.recheck(outdated, "How this may be written was changed.")

    def recheck(self, outdated: QuerySet[Proposal], reason: str) -> int:
        return self.each(
            outdated, lambda row_id: services.recheck(proposal_id=row_id, reason=reason)
        )
