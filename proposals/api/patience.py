"""Waiting on behalf of an agent: `Prefer: wait=N` (RFC 7240), and how long people usually take."""

import re
import statistics
import threading
import time
from uuid import UUID

from django.core.cache import cache

from proposals.lifecycle import Status
from proposals.models import Proposal, Review

LONGEST_WAIT = 30
IN_THE_MACHINE = {Status.SUBMITTED, Status.APPROVED}
WAIT = re.compile(r'(?:^|,)\s*wait\s*=\s*(?:"(\d{1,9})"|(\d{1,9}))\s*(?=[;,]|$)', re.ASCII | re.I)
# Waiting is a preference: when too many wait at once, the rest are answered at once instead, so
# that waiting agents can never occupy every thread of the server.
waiting = threading.BoundedSemaphore(8)
# Of a process's 16 threads, those that may wait: these, and the requests of a flood that are held.
places = threading.BoundedSemaphore(12)


def preferred_wait(header: str) -> int | None:
    """The N of `wait=N`, at most 30, or None.

    A preference that cannot be honoured is ignored and never an error (RFC 7240, section 2).
    """
    match = WAIT.search(header)
    return min(int(match[1] or match[2]), LONGEST_WAIT) if match else None


def wait_for_machine(proposal_id: UUID, seconds: int) -> bool:
    """Return when the proposal has left the hands of the machine, or after so many seconds.

    False at once, without having waited, when too many requests are waiting already.
    """
    if seconds == 0:
        return True
    deadline = time.monotonic() + seconds
    if not waiting.acquire(blocking=False):
        return False
    if not places.acquire(blocking=False):
        waiting.release()
        return False
    try:
        pause = 0.02
        while time.monotonic() < deadline:
            status = Proposal.objects.values_list("status", flat=True).get(pk=proposal_id)
            if Status(status) not in IN_THE_MACHINE:
                return True
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(pause * 1.3, 0.5)
        return True
    finally:
        places.release()
        waiting.release()


def expected_seconds() -> int | None:
    """How long people took for the last twenty decisions, by the median; None before the first."""
    known = cache.get("expected_seconds")
    if known is None:
        latest = (
            Review.objects.decisive()
            .order_by("-id")
            .values_list("created_at", "on_check__created_at")[:20]
        )
        taken = [(decided - checked).total_seconds() for decided, checked in latest]
        known = round(statistics.median(taken)) if taken else -1
        cache.set("expected_seconds", known, 60)
    return None if known < 0 else known
