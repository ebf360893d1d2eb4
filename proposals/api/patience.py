"""Waiting on behalf of an agent: `Prefer: wait=N` (RFC 7240), and how long people usually take."""

import re
import statistics
import threading
import time
from uuid import UUID

from django.core.cache import cache

from proposals.exceptions import InvalidRequest
from proposals.lifecycle import Status
from proposals.models import Proposal, Review

LONGEST_WAIT = 30
IN_THE_MACHINE = {Status.SUBMITTED, Status.APPROVED}
WAIT = re.compile(r'wait\s*=\s*"?([^\s",;]*)"?')
# Waiting is a preference: when too many wait at once, the rest are answered at once instead, so
# that waiting agents can never occupy every thread of the server.
waiting = threading.BoundedSemaphore(8)


def preferred_wait(header: str) -> int | None:
    """The N of `wait=N`, or None. Raises InvalidRequest for a wait beyond 0 to 30 seconds."""
    match = WAIT.search(header)
    if match is None:
        return None
    if not (match[1].isascii() and match[1].isdigit() and int(match[1][:4]) <= LONGEST_WAIT):
        raise InvalidRequest(f"Prefer: wait=N takes whole seconds from 0 to {LONGEST_WAIT}.")
    return int(match[1])


def wait_for_machine(proposal_id: UUID, seconds: int) -> None:
    """Return when the proposal has left the hands of the machine, or after so many seconds."""
    deadline = time.monotonic() + seconds
    if not waiting.acquire(blocking=False):
        return
    try:
        pause = 0.02
        while time.monotonic() < deadline:
            status = Proposal.objects.values_list("status", flat=True).get(pk=proposal_id)
            if Status(status) not in IN_THE_MACHINE:
                return
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(pause * 1.3, 0.5)
    finally:
        waiting.release()


def expected_seconds() -> int | None:
    """How long people took for the last twenty decisions, by the median; None before the first."""
    known = cache.get("expected_seconds")
    if known is None:
        latest = (
            Review.objects.exclude(decision=Review.Decision.COMMENT)
            .order_by("-id")
            .values_list("created_at", "on_check__created_at")[:20]
        )
        taken = [(decided - checked).total_seconds() for decided, checked in latest]
        known = round(statistics.median(taken)) if taken else -1
        cache.set("expected_seconds", known, 60)
    return None if known < 0 else known
