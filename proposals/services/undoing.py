"""Undo: a proposal for the stored compensation, through the same checks, gate and commit."""

import logging
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from ledger.canonical import digest
from ledger.identifiers import uuid7
from proposals import idempotency, ownership, spending
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
    """Read the target and say what undoing a commit would change now. Raises NothingToUndo."""
    proposal = find(proposal_id)
    execution = committed_execution(proposal)
    call = compensation_of(execution)
    return previewed(call, execution.of_check.before or {})


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


def undo(*, proposal_id: UUID, person: Any, reason: str, over_conflicts: bool = False) -> Proposal:
    """Propose, as a person, to take back a commit.

    A clean undo commits without anybody else at low and medium tier. Going over conflicts stores a
    second revision that expects what was found, and that another person must approve. The owner
    of the agent may ask for it without the right, and then somebody else must approve. Raises
    NothingToUndo (also where it would change nothing), AlreadyUndone, NotEligible, or
    InvalidRequest without a reason.
    """
    if not ownership.may_ask_for_undo(person, find(proposal_id)):
        raise NotEligible("Undoing takes a right that you do not have; an operator has it.")
    if not reason.strip():
        raise invalid("reason", "required", "Say why this is taken back.")
    found = preview_undo(proposal_id=proposal_id)
    conflicts = found.conflicts if over_conflicts else ()
    name = person.get_full_name() or person.get_username()
    author = f"user:{person.pk}"
    with transaction.atomic():
        forward = lock(proposal_id)
        proposal = compensating(
            forward, proposer=person, rationale=reason.strip(), author=author, author_name=name
        )
        if found.is_empty:  # said last: whoever comes second is told that somebody was first
            raise NothingToUndo(NOTHING_LEFT)
        if conflicts:
            first = proposal.revision()
            params = registry.get(proposal.action).over_conflicts(first.params, conflicts)
            revise(proposal, author, name, params, reason.strip(), [], {})
    return proposal


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
) -> Proposal:
    """Store the proposal that compensates a locked one, if its place is free."""
    call = compensation_of(committed_execution(forward))
    if forward.is_undone or live_undo(forward):
        raise AlreadyUndone
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
                {"compensates": str(forward.pk), **(facts or {})},
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


def live_undo(forward: Proposal) -> Proposal | None:
    """The undo that holds the one place there is, open or committed."""
    ended = [Status.FAILED, Status.DENIED, Status.REJECTED, Status.WITHDRAWN, Status.EXPIRED]
    return forward.compensations.filter(is_undone=False).exclude(status__in=ended).first()


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
