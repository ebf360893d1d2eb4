"""From a row to a worker, and what the clock does when no worker comes.

Nothing here decides anything: it finds rows that want work and calls the one function that works
on them. The clock first rings again, and where nobody answers, the work is done beside it (`hand`),
so that no target which takes its time keeps it from anything else.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models.functions import Coalesce

from ledger import clock
from proposals import bell, checks, execution, resolving
from proposals.models import Execution, Proposal
from proposals.rounds import BATCH, Rounds, attempt


def check_and_commit(proposal_id: UUID | str) -> None:
    """Check a proposal and, where nobody needs to look, go on to commit it at once."""
    execution_id = checks.run(proposal_id)
    if execution_id is not None:
        execution.run(execution_id)


@dataclass
class Sweep:
    """One pass over all rows that want work. Remembers what it has rung for, to ring once.

    A row that wants work again later, such as an unknown outcome, is rung for again. `do` is what
    sees to a row whose bell went unanswered: here and now, unless it is told otherwise.
    """

    do: Callable[[Callable[[UUID], object], UUID], object] = attempt
    rung: dict[tuple[UUID, datetime], datetime] = field(default_factory=dict)
    rounds: Rounds = field(default_factory=Rounds)

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
        touched += self.rounds.make(now)
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
