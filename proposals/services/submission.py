"""Asking: submit and amend. One transaction each; nothing is ever half stored."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.conf import settings

from ledger import clock
from ledger.identifiers import uuid7
from proposals import checks, freezing, idempotency, spending, text
from proposals.exceptions import (
    ActionNotGranted,
    AgentSuspended,
    InvalidParams,
    InvalidRequest,
    NotFound,
    OverBudget,
    QueueFull,
    WritesFrozen,
)
from proposals.lifecycle import AMENDABLE, require
from proposals.models import Agent, Proposal, Run
from proposals.registry import Action, registry
from proposals.services.storing import intent_of, kept_evidence, revise, same_intent, store
from proposals.targets import wiring


@dataclass(frozen=True)
class Submission:
    """What an agent asks for, already of the documented shape.

    `evidence` items have kind, title, and perhaps content, uri and retrieved_at.
    """

    action: str
    params: dict[str, Any]
    run: str
    rationale: str
    evidence: list[dict[str, Any]] = field(default_factory=list)
    context: dict[str, str] = field(default_factory=dict)
    expires_in: int | None = None


def submit(
    *, agent: Agent, key: str, fingerprint: str, submission: Submission
) -> tuple[Proposal, bool]:
    """Store a proposal under the agent's key, or return the one that the key already stored.

    The second value says whether it was a replay; a new proposal has its budgets' `standings`.
    Raises WritesFrozen, AgentSuspended, ActionNotGranted (an unknown action looks the same),
    InvalidParams, QueueFull, OverBudget, and what `idempotency.once` raises.
    """
    proposal_id = uuid7()
    shedding = spending.Shedding(agent, submission)

    def write() -> Proposal:
        proposal, params = drafted(agent, submission, proposal_id)
        proposal.run = Run.objects.get_or_create(agent=agent, name=submission.run)[0]
        store(
            proposal,
            agent.actor,
            agent.name,
            params,
            submission.rationale,
            submission.evidence,
            submission.context,
            {"key": key},
        )
        return proposal

    def refuse_early() -> None:
        refuse_early_for(agent, shedding)

    try:
        return idempotency.once(
            agent=agent,
            key=key,
            fingerprint=fingerprint,
            proposal_id=proposal_id,
            write=write,
            before=refuse_early,
        )
    except OverBudget as error:
        shedding.refused(error)
        raise


def refuse_early_for(agent: Agent, shedding: spending.Shedding) -> None:
    """What can be refused without a transaction, before one is paid for."""
    if agent.is_suspended:
        raise AgentSuspended
    shedding.refuse_if_remembered()


def drafted(
    agent: Agent, submission: Submission, proposal_id: UUID
) -> tuple[Proposal, dict[str, Any]]:
    """The proposal that this asks for with its parameters, not stored and still without its run.

    Raises what `submit` refuses but for budgets.
    """
    require_open_intake(agent)
    action = granted(agent, submission.action)
    params = valid_params(action, submission.params)
    storable(submission)
    intent = intent_of(agent, submission.action, params)
    proposal = Proposal(
        id=proposal_id,
        agent=agent,
        action=submission.action,
        resource=action.resource(params)[:255],
        intent=intent,
        duplicate_of=same_intent(agent, intent, clock.now()),
        expires_in=submission.expires_in,
    )
    return proposal, params


def amend(
    *,
    agent: Agent,
    proposal_id: UUID,
    key: str,
    fingerprint: str,
    changes: dict[str, Any],
) -> tuple[Proposal, bool]:
    """Store a new revision with new params, rationale or evidence, to be checked anew.

    Raises NotFound, WritesFrozen, IllegalTransition once the proposal is no longer open to change,
    and what `submit` raises.
    """

    def write() -> Proposal:
        require_thaw()
        proposal = lock_own(agent, proposal_id)
        require(proposal, *AMENDABLE)
        if proposal.compensates_id is not None and "params" in changes:
            raise InvalidParams(
                "What an undo puts back is the system's to say; propose another write instead.",
                errors=[
                    {"pointer": "/params", "code": "undo-params", "detail": "Not open to you."}
                ],
            )
        action = granted(agent, proposal.action, owns_undo=proposal.compensates_id is not None)
        rewrite(proposal, action, agent.actor, agent.name, changes)
        return proposal

    try:
        return idempotency.once(
            agent=agent,
            key=key,
            fingerprint=fingerprint,
            proposal_id=known(agent, proposal_id),
            write=write,
        )
    except OverBudget as error:
        spending.refuse(error, agent=agent, run="")
        raise


def rewrite(
    proposal: Proposal,
    action: Action,
    author: str,
    author_name: str,
    changes: dict[str, Any],
    facts: dict[str, Any] | None = None,
) -> None:
    """The next revision of a locked proposal; what is not among the changes stays as it was.

    Reserves the difference. Raises InvalidParams, InvalidRequest, OverBudget.
    """
    former = proposal.revision()
    params = valid_params(action, changes.get("params", former.params))
    rationale = changes.get("rationale", former.rationale)
    evidence = changes.get("evidence", kept_evidence(former))
    storable(Submission(proposal.action, params, "", rationale, evidence))
    revise(proposal, author, author_name, params, rationale, evidence, former.context, facts)
    proposal.standings = spending.reserve(proposal, params)


def require_open_intake(agent: Agent) -> None:
    """Raise WritesFrozen or QueueFull when nothing more is taken, from anybody or this agent."""
    require_thaw()
    most = settings.MAX_OPEN_PROPOSALS_PER_AGENT
    if Proposal.objects.of(agent).open()[:most].count() >= most:
        raise QueueFull(f"{most} proposals of this agent are open; let some be decided first.")


def require_thaw() -> None:
    """Raise WritesFrozen while everything is frozen: nothing new is taken, in words or values."""
    if freezing.is_everything_frozen():
        raise WritesFrozen


def known(agent: Agent, proposal_id: UUID) -> UUID:
    """The id, if it is the agent's own; NotFound otherwise, before a key is spent on it."""
    if not Proposal.objects.of(agent).filter(pk=proposal_id).exists():
        raise NotFound
    return proposal_id


def lock_own(agent: Agent, proposal_id: UUID) -> Proposal:
    """The agent's own proposal under lock. Raises NotFound for anybody else's."""
    try:
        return Proposal.objects.of(agent).select_related("agent", "run").lock(proposal_id)
    except Proposal.DoesNotExist:
        raise NotFound from None


def granted(agent: Agent, name: str, *, owns_undo: bool = False) -> Action:
    """The action, if this agent may propose it now. Reads the agent as it is, not as it was."""
    agent.refresh_from_db(fields=["is_suspended", "suspended_reason", "is_observed"])
    if agent.is_suspended:
        raise AgentSuspended
    wiring.refresh()
    try:
        action = registry.get(name)
    except LookupError:
        raise ActionNotGranted("This agent may not propose that action.") from None
    if owns_undo:
        return action
    if action.is_internal or not agent.may_propose(name):
        raise ActionNotGranted("This agent may not propose that action.")
    return action


def valid_params(action: Action, params: Any) -> dict[str, Any]:
    """The parameters as the action reads them, or InvalidParams."""
    if not isinstance(params, dict):
        raise InvalidParams(
            "params must be an object.",
            errors=[{"pointer": "/params", "code": "type", "detail": "This must be an object."}],
        )
    return action.validate(params)


def storable(submission: Submission) -> None:
    """Refuse text that no database can hold, naming the place."""
    faults = text.refuse_unstorable(
        {
            "params": submission.params,
            "rationale": submission.rationale,
            "evidence": [
                {name: value for name, value in item.items() if name != "retrieved_at"}
                for item in submission.evidence
            ],
            "context": submission.context,
            "run": submission.run,
        }
    )
    if faults:
        raise InvalidRequest(
            "Some text holds characters that cannot be stored.",
            errors=[
                {
                    "pointer": pointer,
                    "code": "unstorable-text",
                    "detail": "NUL and lone surrogates cannot be stored.",
                }
                for pointer in faults
            ],
        )


def describe(proposal: Proposal) -> str:
    """The system's sentence for what a proposal would do, also before it was checked."""
    if proposal.current_check is not None:
        return proposal.current_check.sentence
    return checks.sentence(proposal.action, proposal.revision().params)
