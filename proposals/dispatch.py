"""From a row to a worker, and what the clock does when no worker comes.

Nothing here decides anything: it finds rows that want work and calls the one function that works
on them. The clock first rings again, and where nobody answers, the work is done beside it (`hand`),
so that no target which takes its time keeps it from anything else.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.db.models import Q
from django.db.models.functions import Coalesce, Left

from budgets import refusals
from ledger import clock
from proposals import bell, checks, execution, gate, resolving, rule_hits, services
from proposals.actions import tables
from proposals.lifecycle import Status
from proposals.models import Execution, Proposal, RunUndo
from proposals.targets import wiring

logger = logging.getLogger(__name__)
BATCH = 50
DIGEST_LENGTH = 71


def check_and_commit(proposal_id: UUID | str) -> None:
    """Check a proposal and, where nobody needs to look, go on to commit it at once."""
    execution_id = checks.run(proposal_id)
    if execution_id is not None:
        execution.run(execution_id)


def attempt(work: Callable[[UUID], object], row_id: UUID) -> None:
    """Work on one row; whatever it does, the other rows get their turn, and it gets another."""
    try:
        work(row_id)
    except (OperationalError, InterfaceError):
        raise  # not the row's fault, and the same for all of them
    except Exception:
        logger.exception("The clock could not work on %s", row_id)


@dataclass
class Sweep:
    """One pass over all rows that want work. Remembers what it has rung for, to ring once.

    A row that wants work again later, such as an unknown outcome, is rung for again. `do` is what
    sees to a row whose bell went unanswered: here and now, unless it is told otherwise.
    """

    do: Callable[[Callable[[UUID], object], UUID], None] = attempt
    rung: dict[tuple[UUID, datetime], datetime] = field(default_factory=dict)

    def run(self) -> int:
        """Ring for, or do, everything that is due. Returns how many rows were touched."""
        now = clock.now()
        quiet = now - timedelta(seconds=1)
        submitted = Proposal.objects.to_check().filter(due_at__lte=quiet).order_by("due_at")
        queued = Execution.objects.due(now).filter(run_after__lte=quiet)
        unknown = Execution.objects.to_ask(now)
        touched = self.answer(
            submitted.values_list("pk", "due_at")[:BATCH], "proposals.check", check_and_commit, now
        )
        touched += self.answer(
            since(queued, "run_after")[:BATCH], "proposals.execute", execution.run, now
        )
        touched += self.answer(
            since(unknown, "ask_at")[:BATCH], "proposals.resolve", resolving.run, now
        )
        touched += expire(now) + recheck_for_new_rules() + recheck_for_new_tables()
        touched += undo_runs(now) + rule_hits.sum_up() + refusals.sum_up()
        horizon = now - timedelta(minutes=10)
        self.rung = {row: at for row, at in self.rung.items() if at > horizon}
        return touched

    def answer(
        self,
        due: Iterable[tuple[UUID, Any]],
        task: str,
        work: Callable[[UUID], object],
        now: datetime,
    ) -> int:
        """Ring for rows that nobody took; do the work for those whose bell went unanswered.

        What has waited that long already is rung for as well: then workers share what piled up.
        """
        patience = timedelta(seconds=settings.BELL_ANSWER_SECONDS)
        touched = 0
        for row_id, due_at in due:
            rung_at = self.rung.get((row_id, due_at))
            if rung_at is None and bell.send(task, row_id) and now - due_at < patience:
                self.rung[row_id, due_at] = now
            elif rung_at is None or now - rung_at >= patience:
                self.rung[row_id, due_at] = now
                self.do(work, row_id)
            else:
                continue
            touched += 1
        return touched


def since(executions: Any, field: str) -> Any:
    """Their ids, and since when each is due: what a worker left behind, since its lease ended."""
    due_at = Coalesce("lease_until", field)
    return executions.annotate(since=due_at).order_by("since").values_list("pk", "since")


def expire(now: datetime) -> int:
    """Expire what is past its deadline."""
    overdue = Proposal.objects.overdue(now).values_list("pk", flat=True)[:BATCH]
    return sum(services.expire(proposal_id=proposal_id) for proposal_id in overdue)


def undo_runs(now: datetime) -> int:
    """Go on with every undo of a run that is due; one that cannot go on delays no other."""
    due = RunUndo.objects.filter(finished_at=None, due_at__lte=now).order_by("due_at")
    undoings = list(due.values_list("pk", flat=True)[:BATCH])
    for undoing_id in undoings:
        attempt(lambda row_id: services.advance_run_undo(undoing_id=row_id), undoing_id)
    return len(undoings)


def recheck_for_new_rules() -> int:
    """Check again what waits for people under rules that have changed since."""
    current = gate.policy_digest(gate.rules())
    outdated = (
        Proposal.objects.filter(status=Status.PENDING)
        .exclude(current_check__policy_digest=current)
        .values_list("pk", flat=True)[:BATCH]
    )
    return sum(services.recheck(proposal_id=pk, reason="The rules changed.") for pk in outdated)


def recheck_for_new_tables() -> int:
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
        .values_list("pk", flat=True)[:BATCH]
    )
    reason = "How this may be written was changed."
    return sum(services.recheck(proposal_id=pk, reason=reason) for pk in outdated)
