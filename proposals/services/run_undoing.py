"""Undoing a whole run, newest first: ordinary undos, asked for one by one.

The steps are stored with the wish, and the clock works through them; each step is asked for in a
transaction of its own, under its lock. So it may be killed between any two of them, or advanced
twice at once, and asks for nothing twice. A step waits until every newer step on the same object
is undone: otherwise it would be refused by the values that the newer one left.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from ledger import clock, entries
from proposals import rights, undone
from proposals.exceptions import (
    AlreadyUndone,
    IllegalTransition,
    NotEligible,
    NotFound,
    NothingToUndo,
    OverBudget,
)
from proposals.lifecycle import OPEN, WITHOUT_A_WRITE, Status, transition
from proposals.models import Proposal, Run, RunUndo, RunUndoStep
from proposals.services.endings import dequeue
from proposals.services.naming import named
from proposals.services.reasons import LONGEST_IN_FULL, stated
from proposals.services.run_plan import (
    BLOCKED,
    UNKNOWN,
    commits,
    executions_of,
    touched,
)
from proposals.services.stopping import freeze
from proposals.services.undoing import compensating, lock, spoken_for

logger = logging.getLogger(__name__)
State = RunUndoStep.State
ACTOR = "system:clock"
SETTLED = frozenset({State.DONE, State.NOTHING})
STUCK = frozenset({State.CONFLICT, State.FAILED, State.IMPOSSIBLE, State.BLOCKED})
SOON, LATER = timedelta(seconds=1), timedelta(seconds=10)


def undo_run(
    *,
    run_id: int,
    person: Any,
    reason: str,
    withdraws_open: bool = False,
    freezes: bool = False,
) -> RunUndo:
    """Ask, as a person, to take back everything that a run has written, newest first.

    While one undo of a run is under way, asking again returns that one. With `withdraws_open`
    what the run still has open is withdrawn; with `freezes` the run is frozen first, so that
    nothing is added meanwhile. Raises NotEligible, NotFound, NothingToUndo, or InvalidRequest
    without a reason.
    """
    if not rights.has(person, rights.UNDO):
        raise NotEligible("Undoing takes a right that you do not have; an operator has it.")
    reason = stated(reason, missing="Say why this run is taken back.", longest=LONGEST_IN_FULL)
    run = Run.objects.select_related("agent").filter(pk=run_id).first()
    if run is None:
        raise NotFound
    try:
        with transaction.atomic():
            return begin(run, person, reason, withdraws_open, freezes)
    except IntegrityError:
        under_way = RunUndo.objects.filter(run=run, finished_at=None).first()
        if under_way is None:
            raise
        return under_way


def begin(run: Run, person: Any, reason: str, withdraws_open: bool, freezes: bool) -> RunUndo:
    """Store the wish with its steps; or return the one that is under way."""
    under_way = RunUndo.objects.filter(run=run, finished_at=None).first()
    if under_way is not None:
        return under_way
    if freezes:  # before anything is stored: whoever freezes waits at the gate with nothing in hand
        freeze(reason=f"The run is being undone: {reason}"[:500], person=person, run=run)
    now = clock.now()
    undoing = RunUndo.objects.create(
        run=run,
        asked_by=person,
        reason=reason,
        withdraws_open=withdraws_open,
        created_at=now,
        due_at=now,
    )
    steps = steps_of(undoing)
    if not steps:
        raise NothingToUndo("This run has written nothing that could be taken back.")
    RunUndoStep.objects.bulk_create(steps)
    record(undoing, "run.undo_asked", person, {"steps": len(steps), "reason": reason})
    return undoing


def steps_of(undoing: RunUndo) -> list[RunUndoStep]:
    """What is to be taken back: first what may still be written, then what was, newest first."""
    still_open: list[Proposal] = []
    if undoing.withdraws_open:
        found = Proposal.objects.filter(run=undoing.run, compensates=None, status__in=OPEN)
        still_open = list(found.order_by("-pk"))
    written = [one for one in commits(undoing.run) if not one.is_undone]
    executions = executions_of(written)
    return [
        RunUndoStep(
            undoing=undoing,
            position=position,
            proposal=proposal,
            objects_touched=touched(proposal, executions.get(proposal.pk)),
        )
        for position, proposal in enumerate([*still_open, *written], start=1)
    ]


def advance_run_undo(*, undoing_id: UUID) -> int:
    """Take one undo of a run as far as it goes now. Returns how many steps moved.

    Harmless at any time, and from two places at once.
    """
    undoing = RunUndo.objects.select_related("run", "asked_by").get(pk=undoing_id)
    if undoing.finished_at is not None:
        return 0
    steps = list(undoing.steps.select_related("proposal", "undo__current_check"))
    moved = sum(follow(step) for step in steps)
    note, due_at = "", None
    blockers: dict[str, str] = {}
    for step in steps:
        if step.state in {State.WAITING, State.BLOCKED}:
            in_the_way = {blockers[name] for name in step.objects_touched if name in blockers}
            if in_the_way & STUCK:
                moved += step.state != State.BLOCKED and settle(step, State.BLOCKED, BLOCKED)
            elif step.state == State.BLOCKED:
                moved += settle(step, State.WAITING, "")  # what it was kept behind is undone
            elif not in_the_way and due_at is None:
                try:
                    moved += take_back(step)
                except OverBudget as error:
                    wait = error.facts.get("retry_after") or 60
                    note, due_at = str(error), clock.now() + timedelta(seconds=wait)
        if step.state not in SETTLED:
            blockers |= {
                name: blockers[name] if blockers.get(name) in STUCK else step.state
                for name in step.objects_touched
            }
    rest(undoing, steps, note, due_at, bool(moved))
    return moved


def follow(step: RunUndoStep) -> int:
    """See what came of an undo that was asked for, or of one that somebody settled since."""
    if step.state in {State.DONE, State.WAITING}:
        return 0
    if step.proposal.is_undone:
        return settle(step, State.DONE, "")
    if step.state != State.ASKED or step.undo is None:
        return 0
    undo, check = step.undo, step.undo.current_check
    if undo.status == Status.COMMITTED and not undo.is_undone:  # it covered a part of it
        return settle(step, State.WAITING, "")
    if undo.status in WITHOUT_A_WRITE:
        return settle(step, State.FAILED, undo.reason or f"The undo was {undo.status}.")
    if undo.status == Status.PENDING and check is not None:
        if check.conflicts:
            return give_up(step, State.CONFLICT, CONFLICT)
        if check.error:
            return give_up(step, State.FAILED, check.error)
    return 0


@transaction.atomic
def give_up(step: RunUndoStep, state: str, note: str) -> int:
    """Withdraw an undo that nobody could approve, so that its place is free for one over it."""
    current = RunUndoStep.objects.select_for_update(of=("self",)).get(pk=step.pk)
    if current.state != State.ASKED or current.undo_id is None:
        return 0
    undo = Proposal.objects.select_related("run", "current_check").lock(current.undo_id)
    check = undo.current_check
    if undo.status != Status.PENDING or check is None or check.is_approvable:
        return 0
    if undo.proposer_id == step.undoing.asked_by_id and undo.revision_number == 1:
        transition(undo, Status.WITHDRAWN, actor=ACTOR, reason=note[:500])
    return settle(step, state, note)


def take_back(step: RunUndoStep) -> int:
    """Take one step, in a transaction of its own: withdraw what is open, ask for the undo of what
    is committed. Raises OverBudget, and then nothing was asked for."""
    with transaction.atomic():
        current = (
            RunUndoStep.objects.select_for_update(of=("self",))
            .select_related("undoing__asked_by")
            .get(pk=step.pk)
        )
        if current.state != State.WAITING:
            step.state = current.state
            return 0
        proposal = lock(current.proposal_id)
        state, note = decide(current, proposal)
        if state == State.WAITING:
            return 0
        step.undo_id = current.undo_id
        return settle(step, state, note)


def decide(step: RunUndoStep, proposal: Proposal) -> tuple[str, str]:
    """What to do about one locked proposal, and do it: the step's next state, and why."""
    person = step.undoing.asked_by
    if not rights.has(person, rights.UNDO):
        return State.FAILED, "Whoever asked for this may no longer undo."
    if Status(proposal.status) in OPEN:
        return withdraw(proposal, step.undoing)
    if proposal.status == Status.UNKNOWN:
        return State.FAILED, UNKNOWN
    if proposal.status != Status.COMMITTED:
        return State.NOTHING, f"It ended as {proposal.get_status_display().lower()}."
    if proposal.is_undone:
        return State.DONE, ""
    others = spoken_for(proposal)
    rest = undone.objects(proposal) - frozenset(others)
    if not rest:
        step.undo = to_follow(others.values())
        return State.ASKED, ""
    name = person.get_full_name() or person.get_username()
    try:
        step.undo = compensating(
            proposal,
            proposer=person,
            rationale=step.undoing.reason,
            author=f"user:{person.pk}",
            author_name=name,
            facts={"run_undo": str(step.undoing_id)},
            objects=rest,
        )
    except NothingToUndo as error:
        return State.IMPOSSIBLE, str(error)
    except AlreadyUndone:
        return State.WAITING, ""  # another undo was stored meanwhile; the next pass follows it
    except LookupError as error:
        return State.FAILED, str(error)
    return State.ASKED, ""


def to_follow(undos: Iterable[Proposal | None]) -> Proposal | None:
    """Of the undos that cover a write between them, one that is still open."""
    found = [undo for undo in undos if undo is not None]
    still_open = (undo for undo in found if undo.status != Status.COMMITTED)
    return next(still_open, found[0] if found else None)


def withdraw(proposal: Proposal, undoing: RunUndo) -> tuple[str, str]:
    """Withdraw what the run still has open. What a worker has already claimed is waited for."""
    now = clock.now()
    actor, name = named(undoing.asked_by)
    try:
        dequeue(proposal, now, WITHDRAWN)
    except IllegalTransition:
        return State.WAITING, ""
    transition(
        proposal,
        Status.WITHDRAWN,
        actor=actor,
        actor_name=name,
        at=now,
        body={"run_undo": str(undoing.pk)},
        reason=WITHDRAWN,
        error={"code": "run-undone", "detail": WITHDRAWN, "retryable": False},
    )
    return State.NOTHING, WITHDRAWN


def settle(step: RunUndoStep, state: str, note: str) -> int:
    """Store what came of a step, unless somebody else did since it was read."""
    changed = RunUndoStep.objects.filter(pk=step.pk, state=step.state).update(
        state=state, note=note[:500], undo=step.undo_id
    )
    if changed:
        step.state, step.note = state, note[:500]
    return changed


@transaction.atomic
def rest(
    undoing: RunUndo, steps: list[RunUndoStep], note: str, due_at: datetime | None, moved: bool
) -> None:
    """Say when to look again; or end it, once, when nothing in it can move any more."""
    if any(step.state in {State.WAITING, State.ASKED} for step in steps):
        waits_for_people = not moved and all(
            step.undo is not None and step.undo.status == Status.PENDING
            for step in steps
            if step.state == State.ASKED
        )
        due_at = due_at or clock.now() + (LATER if waits_for_people else SOON)
        RunUndo.objects.filter(pk=undoing.pk).update(due_at=due_at, note=note[:500])
        return
    now = clock.now()
    ended = RunUndo.objects.filter(pk=undoing.pk, finished_at=None)
    if ended.update(finished_at=now, note=""):
        counts: dict[str, Any] = {}
        for step in steps:
            counts[str(step.state)] = counts.get(str(step.state), 0) + 1
        record(undoing, "run.undo_ended", None, counts)


def record(undoing: RunUndo, kind: str, person: Any, body: dict[str, Any]) -> None:
    """Enter it in the ledger, beside what happened to the agent."""
    run = undoing.run
    actor, name = named(person) if person else (ACTOR, "")
    entries.record(
        f"agent:{run.agent_id}",
        kind=kind,
        actor=actor,
        actor_name=name,
        agent=str(run.agent_id),
        run=run.name,
        body={"run_undo": str(undoing.pk), "run": run.pk, **body},
    )


CONFLICT = "Somebody changed the target since; going over that takes another person’s approval."
WITHDRAWN = "Withdrawn, because the run that it belongs to is being undone."
