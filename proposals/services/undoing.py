"""Undo: a proposal for the stored compensation, through the same checks, gate and commit."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from ledger.canonical import digest
from ledger.identifiers import uuid7
from proposals import idempotency, ownership, spending, undone
from proposals.exceptions import (
    ActionError,
    AgentSuspended,
    AlreadyUndone,
    NotEligible,
    NotFound,
    NothingToUndo,
    OverBudget,
)
from proposals.lifecycle import Status
from proposals.models import Agent, Execution, Proposal
from proposals.registry import Call, Conflict, Preview, registry
from proposals.services.decisions import invalid
from proposals.services.reasons import LONGEST_IN_FULL, stated
from proposals.services.storing import revise, store
from proposals.services.submission import known, lock_own, require_open_intake

logger = logging.getLogger(__name__)
LIVE_UNDO = "proposal_one_live_undo_per_commit"
NOTHING_LEFT = "Undoing would change nothing: the target already holds the earlier values."


@dataclass(frozen=True)
class UndoPreview:
    """What undoing would do now. With an error, it could not be previewed."""

    call: Call
    before_write: dict[str, Any]
    preview: Preview | None = None
    error: str = ""
    conflicts: tuple[Conflict, ...] = field(default=())
    objects: tuple[str, ...] = ()  # by which it can be divided; empty where it is all or nothing
    others: Mapping[str, Proposal | None] = field(default_factory=dict)  # already spoken for
    is_covered: bool = False  # all of it is

    @property
    def is_empty(self) -> bool:
        """Whether the target holds already what the undo would put there, whoever put it there.

        Never said of other people's systems: a definition need not tell what its undo leaves.
        """
        if self.preview is None or self.preview.impact.external:
            return False
        if not any(self.preview.before.values()):
            return False
        return self.preview.before == self.preview.after


def preview_undo(*, proposal_id: UUID) -> UndoPreview:
    """Read the target and say what undoing a commit would change now. Raises NothingToUndo.

    Of a write that is taken back in part, it is about the objects that no other undo covers.
    """
    proposal = find(proposal_id)
    execution = committed_execution(proposal)
    call = compensation_of(execution)
    every, others = undone.objects(proposal), spoken_for(proposal)
    free = every - frozenset(others)
    before = execution.of_check.before or {}
    if others and free:
        call, before = restricted(call, free, before)
    order = tuple(undone.parts(call)) if free else ()
    return replace(previewed(call, before), objects=order, others=others, is_covered=not free)


def spoken_for(forward: Proposal) -> dict[str, Proposal | None]:
    """The objects of a commit that were taken back or are to be, and by which undo if one stands.

    To be relied on only while the commit is locked.
    """
    every = undone.objects(forward)
    held = undone.held(undone.live(forward.compensations.all()), every)
    return dict.fromkeys(undone.taken_back(forward, every)) | held


def restricted(
    call: Call, objects: Collection[str], before: dict[str, Any]
) -> tuple[Call, dict[str, Any]]:
    """A compensation of some objects alone, and what those held before the write."""
    part = Call(call.action, registry.get(call.action).part(call.params, objects))
    return part, {name: image for name, image in before.items() if name in objects}


def previewed(call: Call, before: dict[str, Any]) -> UndoPreview:
    """What this compensation would change now; whatever keeps it from being said is its error."""
    try:
        preview = registry.get(call.action).preview(call.params)
    except (ActionError, LookupError) as error:
        return UndoPreview(call=call, before_write=before, error=str(error))
    except Exception as error:  # an action's own fault; people are told, and nothing is proposed
        logger.exception("The preview of %s failed", call.action)
        told = f"{call.action} failed unexpectedly ({type(error).__name__})."
        return UndoPreview(call=call, before_write=before, error=told)
    return UndoPreview(call=call, before_write=before, preview=preview, conflicts=preview.conflicts)


def undo(
    *,
    proposal_id: UUID,
    person: Any,
    reason: str,
    over_conflicts: bool = False,
    objects: Collection[str] | None = None,
) -> Proposal:
    """Propose, as a person, to take back a commit, or some of its objects and not the others.

    A clean undo commits without anybody else at low and medium tier. Going over conflicts stores a
    second revision that expects what was found, and that another person must approve. The owner
    of the agent may ask for it without the right, and then somebody else must approve. Raises
    NothingToUndo (also where it would change nothing), AlreadyUndone, NotEligible, or
    InvalidRequest without a reason.
    """
    if not ownership.may_ask_for_undo(person, find(proposal_id)):
        raise NotEligible("Undoing takes a right that you do not have; an operator has it.")
    said = stated(reason, missing="Say why this is taken back.", longest=LONGEST_IN_FULL)
    found = preview_of(proposal_id, objects)
    conflicts = found.conflicts if over_conflicts else ()
    name = person.get_full_name() or person.get_username()
    author = f"user:{person.pk}"
    with transaction.atomic():
        forward = lock(proposal_id)
        proposal = compensating(
            forward,
            proposer=person,
            rationale=said,
            author=author,
            author_name=name,
            objects=objects,
        )
        if found.is_empty:  # said last: whoever comes second is told that somebody was first
            raise NothingToUndo(NOTHING_LEFT)
        if conflicts:
            first = proposal.revision()
            params = registry.get(proposal.action).over_conflicts(first.params, conflicts)
            revise(proposal, author, name, params, said, [], {})
    return proposal


def preview_of(proposal_id: UUID, objects: Collection[str] | None) -> UndoPreview:
    """What taking back these objects would change now. Raises InvalidRequest for none, or others
    than the compensation can be divided by."""
    execution = committed_execution(find(proposal_id))
    call, before = compensation_of(execution), execution.of_check.before or {}
    if objects is None:
        return previewed(call, before)
    if not objects:
        raise invalid("objects", "required", "Tick at least one object to take back.")
    if not set(objects) <= set(undone.parts(call)):
        raise invalid("objects", "unknown", "Some of these cannot be taken back by themselves.")
    return previewed(*restricted(call, frozenset(objects), before))


def undo_by_agent(
    *, agent: Agent, proposal_id: UUID, key: str, fingerprint: str, rationale: str
) -> tuple[Proposal, bool]:
    """Propose, as the agent, to take back its own commit; the gate decides as about any write.

    Raises NotFound, NothingToUndo, AlreadyUndone, AgentSuspended, and what `once` raises.
    """
    undo_id = uuid7()

    def write() -> Proposal:
        agent.refresh_from_db(fields=["is_suspended", "is_observed"])
        if agent.is_suspended:
            raise AgentSuspended
        require_open_intake(agent)
        forward = lock_own(agent, proposal_id)
        return compensating(
            forward,
            agent=agent,
            rationale=rationale,
            author=agent.actor,
            author_name=agent.name,
            undo_id=undo_id,
            facts={"key": key},
        )

    known(agent, proposal_id)
    try:
        return idempotency.once(
            agent=agent, key=key, fingerprint=fingerprint, proposal_id=undo_id, write=write
        )
    except OverBudget as error:
        spending.refuse(error, agent=agent, run="")
        raise


def compensating(
    forward: Proposal,
    *,
    rationale: str,
    author: str,
    author_name: str,
    agent: Agent | None = None,
    proposer: Any = None,
    undo_id: UUID | None = None,
    facts: dict[str, Any] | None = None,
    objects: Collection[str] | None = None,
) -> Proposal:
    """Store the proposal that compensates a locked one, if its place is free for each object.

    Without `objects` it covers all there are.
    """
    call, every = compensation_of(committed_execution(forward)), undone.objects(forward)
    wanted = every if objects is None else every & frozenset(objects)
    if not wanted or wanted & frozenset(spoken_for(forward)):
        raise AlreadyUndone
    covers: list[str] | None = None
    said: dict[str, Any] = {"compensates": str(forward.pk)}
    if wanted != every:
        order = undone.parts(call)
        call = restricted(call, wanted, {})[0]
        covers = [name for name in order if name in wanted]
        said |= {"covers": covers, "leaves": [name for name in order if name not in wanted]}
    action = registry.get(call.action)
    proposal = Proposal(
        id=undo_id or uuid7(),
        agent=agent,
        proposer=proposer,
        run=forward.run,
        action=call.action,
        resource=action.resource(call.params)[:255],
        intent=digest(["undo", str(forward.pk)]).removeprefix("sha256:"),
        compensates=forward,
        covers=covers,
    )
    try:
        with transaction.atomic():
            store(
                proposal,
                author,
                author_name,
                call.params,
                rationale,
                [],
                {},
                said | (facts or {}),
            )
    except IntegrityError as error:
        if LIVE_UNDO in str(error) or "compensates_id" in str(error):
            raise AlreadyUndone from error
        raise
    return proposal


def committed_execution(proposal: Proposal) -> Execution:
    """The attempt that committed, with its compensation. Raises NothingToUndo."""
    if proposal.status == Status.UNKNOWN:
        raise NothingToUndo(
            "It is not known whether this was written, so nothing definite could be taken back. "
            "Find out what became of it first; if it was written, undoing it can be proposed then."
        )
    if proposal.status != Status.COMMITTED:
        raise NothingToUndo(f"This proposal is {proposal.status}; nothing was written by it.")
    execution = proposal.executions.get(status=Execution.Status.COMMITTED)
    if execution.compensation is None:
        raise NothingToUndo("What this wrote cannot be taken back.")
    return execution


def compensation_of(execution: Execution) -> Call:
    """The stored compensation of a committed execution that has one."""
    stored: Any = execution.compensation
    return Call(stored["action"], stored["params"])


def find(proposal_id: UUID) -> Proposal:
    try:
        return Proposal.objects.select_related("agent").get(pk=proposal_id)
    except Proposal.DoesNotExist:
        raise NotFound from None


def lock(proposal_id: UUID) -> Proposal:
    try:
        return Proposal.objects.select_related("run").lock(proposal_id)
    except Proposal.DoesNotExist:
        raise NotFound from None
