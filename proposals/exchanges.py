"""What was tried at a target outside, from its intent to its end, for breakers and for people.

Every move is made in the transaction of the step that it is about, under the lock of the proposal.
A TRANSACTIONAL execution leaves none: its receipt at the target says it all.
"""

from datetime import datetime
from typing import Any

from proposals import breakers
from proposals.exceptions import ActionError, OutcomeUnknown
from proposals.models import Exchange, Execution
from proposals.redaction import redact

End, Purpose = Exchange.End, Exchange.Purpose
LONGEST = 500


def begin(execution: Execution, purpose: str, now: datetime) -> None:
    """Say durably that a target is about to be reached for."""
    if execution.is_transactional:
        return
    Exchange.objects.create(
        execution=execution,
        target=execution.target,
        purpose=purpose,
        fence=execution.fence,
        key=execution.key,
        started_at=now,
    )


def finish(
    execution: Execution,
    end: str,
    now: datetime,
    *,
    error: Exception | None = None,
    evidence: dict[str, Any] | None = None,
) -> None:
    """Close the exchange of this fence with what came of it, and let the breaker know.

    Where none is open, nothing was sent since the last one and there is nothing to say.
    """
    if execution.is_transactional:
        return
    mine = Exchange.objects.filter(execution=execution, fence=execution.fence, ended_at=None)
    closed = mine.update(
        end=end,
        ended_at=now,
        detail=detail_of(error),
        evidence=evidence or evidence_of(error) or None,
    )
    if closed:
        breakers.heard(execution.target, end, now)


def heard_late(
    execution: Execution,
    end: str,
    now: datetime,
    *,
    error: Exception | None = None,
    evidence: dict[str, Any] | None = None,
) -> None:
    """What a worker that lost its lease heard after all, for whoever has to find out."""
    Exchange.objects.filter(execution=execution, fence=execution.fence).filter(
        end__in=["", End.LOST]
    ).update(
        end=end, ended_at=now, detail=detail_of(error), evidence=evidence or evidence_of(error)
    )


def missed(execution: Execution, now: datetime) -> int:
    """Close as lost what processes left open that died before they heard an answer."""
    left = Exchange.objects.filter(execution=execution, ended_at=None)
    lost = left.update(end=End.LOST, ended_at=now)
    for _ in range(lost):
        breakers.heard(execution.target, End.LOST, now)
    return lost


def looked_in_vain(execution: Execution, now: datetime, error: Exception) -> None:
    """Before anything was sent, the target could not be reached."""
    begin(execution, Purpose.PREPARE, now)
    finish(execution, End.UNSENT, now, error=error)


def detail_of(error: Exception | None) -> str:
    """A sentence for people, without any secret that this process has held."""
    return redact(told(error))[:LONGEST] if error is not None else ""


def told(error: Exception) -> str:
    return str(error) if isinstance(error, ActionError) else type(error).__name__


def evidence_of(error: Exception | None) -> dict[str, Any]:
    return error.evidence if isinstance(error, OutcomeUnknown) else {}
