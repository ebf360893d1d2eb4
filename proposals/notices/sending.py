"""Claiming letters and settling them. Both channels do it alike; what they send differs.

A claim is a conditional update that moves the moment of the next try to the end of a lease, and
counts: whoever settles names the count it got, so a sender that lost its lease changes nothing.
Between sending and settling a process may die. Then the letter is sent again when the lease ends,
with the same id: at least once, never silently not at all.
"""

import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F

from ledger import clock, entries
from proposals import text
from proposals.models import Letter

logger = logging.getLogger(__name__)
LEASE = timedelta(minutes=3)  # longer than every time-out of one sending together
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=1)
MOST_ATTEMPTS = 12
BATCH = 100
ACTOR = "system:notices"


def due(channel: str) -> list[UUID]:
    """The letters of a channel ("person" or "webhook") that want sending, the oldest first."""
    found = Letter.objects.due(clock.now()).filter(**{f"{channel}__isnull": False})
    return list(found.order_by("next_at").values_list("pk", flat=True)[:BATCH])


def claim(letter_id: UUID) -> Letter | None:
    """Take one letter for as long as the lease; None if it is not due, or another was quicker."""
    now = clock.now()
    taken = Letter.objects.due(now).filter(pk=letter_id)
    if not taken.update(next_at=now + LEASE, attempts=F("attempts") + 1):
        return None
    return Letter.objects.select_related("person", "webhook").get(pk=letter_id)


def settle(letter: Letter, state: str, **changes: Any) -> bool:
    """Record how a claimed letter ended; False if the claim is no longer ours."""
    held = Letter.objects.filter(pk=letter.pk, state=Letter.State.WAITING, attempts=letter.attempts)
    return bool(held.update(state=state, settled_at=clock.now(), **changes))


def sent(letter: Letter) -> bool:
    return settle(letter, Letter.State.SENT, last_error="")


def dropped(letter: Letter) -> bool:
    """Nobody needs to hear it any more."""
    return settle(letter, Letter.State.DROPPED, last_error="")


@transaction.atomic
def failed(letter: Letter, error: Exception) -> None:
    """Try again later; at last give up, and say so in the ledger and in the log."""
    told = text.plain(f"{type(error).__name__}: {error}", 200)[:300]
    if letter.attempts < MOST_ATTEMPTS:
        held = Letter.objects.filter(
            pk=letter.pk, state=Letter.State.WAITING, attempts=letter.attempts
        )
        held.update(next_at=clock.now() + wait(letter.attempts), last_error=told)
        return
    if not settle(letter, Letter.State.GIVEN_UP, last_error=told):
        return
    recipient = f"user:{letter.person_id}" if letter.person_id else f"webhook:{letter.webhook_id}"
    logger.error("Letter %s to %s was given up: %s", letter.pk, recipient, told)
    entries.record(
        "notices",
        kind="notice.given_up",
        actor=ACTOR,
        body={
            "letter": str(letter.pk),
            "recipient": recipient,
            "tier": letter.tier,
            "attempts": letter.attempts,
            "error": type(error).__name__,  # what servers answer may hold addresses of people
        },
    )


def wait(attempts: int) -> timedelta:
    """How long to wait after so many attempts: doubled each time, up to an hour."""
    return min(FIRST_WAIT * 2 ** max(attempts - 1, 0), LONGEST_WAIT)
