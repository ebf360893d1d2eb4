"""Ending and starting over: withdraw, expire, retry, re-check."""

from typing import Any
from uuid import UUID

from django.db import transaction

from ledger import clock
from proposals import bell, rights, seats, spending, undone
from proposals.deadlines import lifetime
from proposals.exceptions import (
    AlreadyUndone,
    IllegalTransition,
    NotEligible,
    NotFound,
    OverBudget,
)
from proposals.lifecycle import OPEN, Status, require, transition
from proposals.models import Agent, Execution, Proposal
from proposals.services.reasons import stated
from proposals.services.submission import lock_own

INVOLVED = ("agent__owner", "proposer")


@transaction.atomic
def withdraw(*, agent: Agent, proposal_id: UUID) -> Proposal:
    """Take a proposal back, as long as no worker has claimed it. Twice is the same as once.

    Raises NotFound, or IllegalTransition when it is too late.
    """
    proposal = lock_own(agent, proposal_id)
    if proposal.status == Status.WITHDRAWN:
        return proposal
    require(proposal, *OPEN)
    now = clock.now()
    dequeue(proposal, now, "The agent withdrew the proposal.")
    transition(
        proposal, Status.WITHDRAWN, actor=agent.actor, actor_name=agent.name, at=now, reason=""
    )
    return proposal


def dequeue(proposal: Proposal, now: Any, reason: str) -> Execution | None:
    """Take the open execution of a locked proposal out of the queue; return it, if there was one.

    Raises IllegalTransition when a worker has it.
    """
    execution = proposal.executions.filter(status__in=Execution.OPEN).first()
    if execution is None:
        return None
    if execution.status != Execution.Status.QUEUED:
        raise IllegalTransition(
            "A worker has already claimed this; its outcome will show in a moment.",
            status=proposal.status,
        )
    Execution.objects.filter(pk=execution.pk, status=Execution.Status.QUEUED).update(
        status=Execution.Status.RETURNED,
        settled_at=now,
        error={"code": "returned", "detail": reason, "retryable": False},
    )
    return execution


@transaction.atomic
def expire(*, proposal_id: UUID) -> bool:
    """End an open proposal whose deadline has passed. False if a worker has it, or it moved on."""
    proposal = Proposal.objects.select_related("run").lock(proposal_id)
    now = clock.now()
    if Status(proposal.status) not in OPEN or proposal.expires_at > now:
        return False
    reason = "Nobody decided in time, so nothing was written."
    try:
        dequeue(proposal, now, reason)
    except IllegalTransition:
        return False
    transition(
        proposal,
        Status.EXPIRED,
        actor="system:clock",
        at=now,
        reason=reason,
        error={"code": "expired", "detail": reason, "retryable": False},
    )
    return True


@transaction.atomic
def recheck(*, proposal_id: UUID, reason: str) -> bool:
    """Send what waits for people back to be checked; approvals of an equal check still count."""
    proposal = Proposal.objects.select_related("run").lock(proposal_id)
    if proposal.status != Status.PENDING:
        return False
    check_anew(proposal, reason, actor="system:clock")
    return True


def check_anew(
    proposal: Proposal,
    reason: str,
    *,
    actor: str,
    actor_name: str = "",
    body: dict[str, Any] | None = None,
) -> None:
    """Send a locked pending proposal to be checked; who wanted it is in the ledger."""
    transition(
        proposal,
        Status.SUBMITTED,
        actor=actor,
        actor_name=actor_name,
        body={"reason": reason, **(body or {})},
        reason=reason,
    )
    bell.ring_check(proposal.pk)


def objection_to_retry(person: Any, proposal: Proposal) -> str:
    """Why this person may not have what failed tried again; empty if they may."""
    if not rights.has(person, rights.RETRY):
        return "Retrying takes the right of an operator."
    if seats.owns_agent(person, proposal):
        return f"You own the agent {proposal.agent}: somebody else has to have it tried again."
    return ""


@transaction.atomic
def retry(*, proposal_id: UUID, person: Any, reason: str) -> Proposal:
    """Try a failed proposal again, from a fresh check and under a new key to the target.

    Its deadline begins anew: what was unknown for longer than it had would otherwise only expire.
    Approvals of an equal check count again, so whoever owns the agent may not; whoever asked for an
    undo may, as they may ask for it once more. It reserves at once, so that a full budget refuses
    the press and the proposal stays as it is. Raises NotEligible, IllegalTransition, InvalidRequest
    when no reason is given, AlreadyUndone when another undo took the place of this one, or
    OverBudget with when there is room.
    """
    proposal = lock(proposal_id)
    if refusal := objection_to_retry(person, proposal):
        raise NotEligible(refusal)
    said = stated(reason, missing="Say why trying again is right.")
    require(proposal, Status.FAILED)
    if undone.is_too_late(proposal):
        raise AlreadyUndone
    try:
        reserved = spending.reserve(proposal, proposal.revision().params, proposal.current_check)
    except OverBudget as error:
        raise spending.with_next_slot(error) from error
    now = reserved[0].counted_at if reserved else clock.now()
    transition(
        proposal,
        Status.SUBMITTED,
        at=now,
        actor=f"user:{person.pk}",
        actor_name=person.get_full_name() or person.get_username(),
        body={"reason": said, "retry": True},
        generation=proposal.generation + 1,
        rechecks=0,
        error=None,
        reason="An operator asked for another attempt.",
        retried_at=now,
        expires_at=now + lifetime(proposal, proposal.tier),
    )
    bell.ring_check(proposal.pk)
    return proposal


def lock(proposal_id: UUID) -> Proposal:
    try:
        return Proposal.objects.select_related("run", *INVOLVED).lock(proposal_id)
    except Proposal.DoesNotExist:
        raise NotFound from None
