"""Settling an unknown outcome by the target's own receipt: it was applied, or never will be."""

import logging
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from ledger import clock
from proposals import bound, settling, touched
from proposals.exceptions import (
    ActionError,
    IllegalTransition,
    NotEligible,
    NotFound,
    TargetUnavailable,
)
from proposals.lifecycle import Status, require
from proposals.models import Execution, Proposal
from proposals.registry import Outcome, registry
from proposals.services import attesting
from proposals.services.endings import INVOLVED, lock
from proposals.services.reasons import stated
from proposals.targets import wiring

logger = logging.getLogger(__name__)


def reconcile(*, proposal_id: UUID, person: Any, reason: str) -> Proposal:
    """Settle an unknown outcome by asking the target: was the key applied? If not, void it.

    Only actions that share a transaction with their receipt can be asked like this, and only while
    the content is as recorded. Raises NotFound, NotEligible also for who owns the agent or proposed
    it, InvalidRequest when no reason is given, IllegalTransition, or whatever keeps the target from
    answering.
    """
    proposal = Proposal.objects.select_related(*INVOLVED).filter(pk=proposal_id).first()
    if proposal is None:
        raise NotFound
    if refusal := attesting.ineligibility(person, proposal):
        raise NotEligible(refusal)
    said = stated(reason, missing="Say why you are settling this now.")
    execution = with_a_receipt(proposal)
    outcome = void(proposal, execution)
    with transaction.atomic():
        proposal = lock(proposal_id)
        require(proposal, Status.UNKNOWN)
        now = clock.now()
        close(proposal, execution, outcome, now)
        enter(proposal, execution, outcome, now, reason=said, **attesting.actor_of(person))
    return proposal


def with_a_receipt(proposal: Proposal) -> Execution:
    """The unknown attempt, if its target can be asked. Raises IllegalTransition."""
    require(proposal, Status.UNKNOWN)
    execution = proposal.executions.filter(status=Execution.Status.UNKNOWN).latest("attempt")
    if not execution.is_transactional:
        raise IllegalTransition(
            "This target keeps no receipt that could be asked for: say what you found there.",
            status=proposal.status,
        )
    if altered := bound.altered_content(proposal, execution.of_check.revision):
        raise IllegalTransition(
            f"{altered} Where its key was used cannot be told from that.", status=proposal.status
        )
    return execution


def void(proposal: Proposal, execution: Execution) -> Outcome | None:
    """Ask the target for the key, and void it if it was not applied.

    Raises ActionError, also for what the action raises unexpectedly: then nothing is decided, and
    asking again is safe.
    """
    wiring.refresh()
    params = execution.of_check.revision.params
    try:
        return registry.get(proposal.action).void(params, key=execution.key)
    except ActionError:
        raise
    except Exception as error:
        logger.exception("The key of %s could not be voided", execution)
        told = f"{proposal.action} failed unexpectedly ({type(error).__name__})."
        raise TargetUnavailable(told) from error


def close(proposal: Proposal, execution: Execution, outcome: Outcome | None, now: datetime) -> None:
    """Close the unknown attempt by what the target said of its key. Raises IllegalTransition."""
    compensation = outcome.compensation if outcome else None
    unsettled = Execution.objects.filter(pk=execution.pk, status=Execution.Status.UNKNOWN)
    settled = unsettled.update(
        status=Execution.Status.COMMITTED if outcome else Execution.Status.FAILED,
        result=outcome.result if outcome else None,
        after=outcome.after if outcome else None,
        compensation=compensation.as_json() if compensation else None,
        resolved_at=now,
    )
    if not settled:  # what the target said was about an attempt that is no longer the one
        raise IllegalTransition(
            "Somebody else settled that attempt meanwhile, and a later one is unknown now.",
            status=proposal.status,
        )


def enter(
    proposal: Proposal,
    execution: Execution,
    outcome: Outcome | None,
    now: datetime,
    *,
    reason: str,
    **who: str,
) -> None:
    """Say what came of the proposal, in its status and in the ledger."""
    facts: dict[str, Any] = {
        "attempt": execution.attempt,
        "key": execution.key,
        "reason": reason,
    }
    if outcome is None:
        facts |= {"evidence": "key voided"}
        said = "The target was asked: it was not written."
        settling.become_not_applied(proposal, said, now, body=facts, **who)
        return
    facts |= {"evidence": "receipt"}
    facts |= touched.said(proposal, execution.of_check.revision.params, outcome.after)
    settling.become_committed(proposal, outcome, now, body=facts, **who)
