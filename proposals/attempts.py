"""What every step of the commit protocol shares: a claim, its fence, and its ledger entries."""

import os
import socket
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from ledger import clock, entries
from proposals import bell
from proposals.exceptions import TargetUnavailable
from proposals.models import Execution, Proposal


def worker_name(pid: int) -> str:
    """Whom a claim names: a process of this machine. Children of a pool share their parent's."""
    return f"{socket.gethostname()}:{pid}"


WORKER = worker_name(os.getpid())
ACTOR = "system:worker"
# A clock that goes on while this process, or the whole machine, is asleep.
AWAKE_OR_NOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
TOO_LATE = "Too much time had passed since it was about to be sent, so nothing was sent."


def moment() -> float:
    return time.clock_gettime(AWAKE_OR_NOT)


@dataclass(frozen=True)
class Claim:
    """An execution that is ours while its fence stands; a refusal says why not to apply it."""

    execution: Execution
    proposal: Proposal
    params: dict[str, Any]
    had_intent: bool
    refusal: str = ""
    is_expired: bool = False
    how: str = "send"  # or, for an unknown outcome: resend, probe
    since: float = field(default_factory=moment)  # its intent was not before this moment

    @property
    def is_inquiry(self) -> bool:
        """Whether this is about an outcome that is unknown already."""
        return self.how != "send"


def mine(execution: Execution, **changes: Any) -> bool:
    """Change the row if this fence still holds it; False if another worker took over."""
    unsettled = Execution.objects.filter(status__in=(*Execution.OPEN, Execution.Status.UNKNOWN))
    held = unsettled.filter(pk=execution.pk, fence=execution.fence)
    return held.update(**changes) == 1


def require_in_time(claim: Claim) -> None:
    """Raise TargetUnavailable for a call that begins so late that others may count on its end.

    A worker that slept after its intent would otherwise send when it wakes, past every settling
    time, perhaps what people were told is safe to try again; and whatever the delivery, past a stop
    that holds for the attempt meanwhile.
    """
    if moment() - claim.since > settings.SEND_WITHIN_SECONDS:
        raise TargetUnavailable(TOO_LATE)


def facts_of(execution: Execution) -> dict[str, Any]:
    """What every ledger entry about an attempt says."""
    return {
        "attempt": execution.attempt,
        "fence": execution.fence,
        "generation": execution.generation,
        "key": execution.key,
        "digest": execution.of_check.digest,
    }


def record(
    proposal: Proposal, execution: Execution, kind: str, now: datetime, **facts: Any
) -> None:
    """Enter a step that leaves the status as it is into the ledger of the proposal."""
    entries.append(
        chain=proposal,
        kind=kind,
        actor=ACTOR,
        actor_name=execution.claimed_by,
        at=now,
        body=facts_of(execution) | {name: fact for name, fact in facts.items() if fact},
        **proposal.look_ups(),
    )
    # Not a change of status: the history of the proposal has nothing to tell about it.
    proposal.save_chain()


def hand_back(worker: str) -> int:
    """Queue again what a worker that is stopping claimed, so that nobody waits for its lease.

    Never what has an intent: whether that was written is found out under the same key, once its
    lease has ended. Returns how many were handed back.
    """
    claimed = Execution.objects.filter(status=Execution.Status.CLAIMED, claimed_by=worker)
    return sum(queue_again(execution) for execution in claimed.select_related("of_check"))


@transaction.atomic
def queue_again(execution: Execution) -> bool:
    """Give up one claim, and raise its fence: should its worker live after all, it is too late."""
    proposal = Proposal.objects.select_related("agent", "run").lock(execution.proposal_id)
    now = clock.now()
    claimed = Execution.objects.filter(
        pk=execution.pk, fence=execution.fence, status=Execution.Status.CLAIMED, intended_at=None
    )
    execution.fence += 1
    if not claimed.update(
        status=Execution.Status.QUEUED, fence=execution.fence, lease_until=None, run_after=now
    ):
        return False
    record(proposal, execution, "execution.handed_back", now)
    bell.ring_execution(execution.pk)
    return True
