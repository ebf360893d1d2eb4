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
from django.db.models import Window
from django.db.models.functions import Coalesce, RowNumber

from ledger import clock
from proposals import bell, checks, execution, resolving, shares
from proposals.models import Execution, Proposal
from proposals.rounds import BATCH, Rounds, attempt


def check_and_commit(proposal_id: UUID | str) -> None:
    """Check a proposal and, where nobody needs to look, go on to commit it at once."""
    with shares.place(Proposal.objects.filter(pk=proposal_id), proposal_id) as is_free:
        execution_id = checks.run(proposal_id) if is_free else None
        if execution_id is not None:
            execution.run(execution_id)


def commit(execution_id: UUID | str) -> None:
    """Take one execution as far as it will go, if its agent has not its share under way."""
    asked = Proposal.objects.filter(executions__pk=execution_id)
    with shares.place(asked, execution_id) as is_free:
        if is_free:
            execution.run(execution_id)


def at_once(work: Callable[[UUID], object], row_id: UUID, agent_id: Any = None) -> object:
    """Work on a row here and now, whosever it is."""
    return attempt(work, row_id)


@dataclass
class Sweep:
    """One pass over all rows that want work. Remembers what it has rung for, to ring once.

    A row that wants work again later, such as an unknown outcome, is rung for again. `do` is what
    sees to a row whose bell went unanswered: here and now, unless it is told otherwise.
    """

    do: Callable[[Callable[[UUID], object], UUID, Any], object] = at_once
    rung: dict[tuple[UUID, datetime], datetime] = field(default_factory=dict)
    rounds: Rounds = field(default_factory=Rounds)

    def run(self) -> int:
        """Ring for, or do, everything that is due. Returns how many rows were touched."""
        now = clock.now()
        quiet = now - timedelta(seconds=1)
        submitted = Proposal.objects.to_check().filter(due_at__lte=quiet)
        queued = Execution.objects.due(now).filter(run_after__lte=quiet)
        unknown = Execution.objects.to_ask(now)
        touched = self.answer(
            in_turn(submitted, "agent", "due_at")[:BATCH], "proposals.check", check_and_commit, now
        )
        touched += self.answer(since(queued, "run_after")[:BATCH], "proposals.execute", commit, now)
        touched += self.answer(
            since(unknown, "ask_at")[:BATCH], "proposals.resolve", resolving.run, now
        )
        touched += self.rounds.make(now)
        horizon = now - timedelta(minutes=10)
        self.rung = {row: at for row, at in self.rung.items() if at > horizon}
        return touched

    def answer(
        self,
        due: Iterable[tuple[UUID, Any, Any]],
        task: str,
        work: Callable[[UUID], object],
        now: datetime,
    ) -> int:
        """Ring for rows that nobody took; do the work for those whose bell went unanswered.

        What has waited that long already is rung for as well: then workers share what piled up.
        """
        patience = timedelta(seconds=settings.BELL_ANSWER_SECONDS)
        touched = 0
        for row_id, due_at, agent_id in due:
            rung_at = self.rung.get((row_id, due_at))
            if rung_at is None and bell.send(task, row_id) and now - due_at < patience:
                self.rung[row_id, due_at] = now
            elif rung_at is None or now - rung_at >= patience:
                self.rung[row_id, due_at] = now
                self.do(work, row_id, agent_id)
            else:
                continue
            touched += 1
        return touched


def since(executions: Any, field: str) -> Any:
    """The same of executions: what a worker left behind is due since its lease ended."""
    due = executions.annotate(since=Coalesce("lease_until", field))
    return in_turn(due, "proposal__agent", "since")


def in_turn(rows: Any, agent: str, due_at: str) -> Any:
    """Their ids, since when each is due, and whose it is; no agent's many hide those of others.

    First what each agent has waited for longest, then the second of each, and so on.
    """
    turn = Window(RowNumber(), partition_by=agent, order_by=due_at)
    return rows.annotate(turn=turn).order_by("turn", due_at).values_list("pk", due_at, agent)
