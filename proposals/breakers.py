"""Breakers: a target outside that gives no clear answers is left alone, and tried now and then.

One per target. It opens after five unclear outcomes, in a row or within a minute, or when half of
ten exchanges in a minute failed. After a pause one call is tried: a clear answer closes it, another
failure doubles the pause. While it is open nothing is sent, so a black hole swallows five calls and
those that workers had under way. (Promises page, P23.)
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q

from ledger import entries
from proposals.models import Breaker, Exchange, Execution

ACTOR = "system:breaker"
End = Exchange.End
PATIENCE = timedelta(seconds=60)
FAILED = (*Exchange.UNKNOWN, End.UNSENT)


@dataclass(frozen=True)
class Closed:
    """Why nothing may be sent to a target now, and when it is worth looking again."""

    reason: str
    until: datetime


def standing(target: str, now: datetime, *, is_new: bool) -> Closed | None:
    """Why a target is left alone now; None when it may be reached, or when a call may be tried.

    Only read, to spare the look before the intent; `admit` decides.
    """
    if not target:
        return None
    found = Breaker.objects.filter(target=target).exclude(opened_at=None).first()
    return stands(found, now, is_new) if found else None


def admit(target: str, now: datetime, *, is_new: bool) -> Closed | None:
    """The same, decided in the transaction of an intent; admitting to an open one is its trial."""
    if not target:
        return None
    found = (
        Breaker.objects.select_for_update().filter(target=target).exclude(opened_at=None).first()
    )
    if found is None:
        return None
    if closed := stands(found, now, is_new):
        return closed
    found.trial_until = now + timedelta(seconds=settings.EXECUTION_LEASE_SECONDS)
    found.save(update_fields=["trial_until"])
    return None


def stands(breaker: Breaker, now: datetime, is_new: bool) -> Closed | None:
    retry_at = breaker.retry_at or now
    if breaker.trial_until is not None and breaker.trial_until > now:
        return Closed(f"{sentence(breaker)} One call is being tried.", breaker.trial_until)
    if retry_at > now:
        return Closed(f"{sentence(breaker)} One call is tried {at(retry_at)}.", retry_at)
    # What is unknown already is asked first: a new write could only become unknown as well.
    if is_new and Execution.objects.to_ask(now + PATIENCE).filter(target=breaker.target).exists():
        return Closed(
            f"{sentence(breaker)} An unknown outcome is asked about first.",
            now + timedelta(seconds=settings.HELD_RETRY_SECONDS),
        )
    return None


def sentence(breaker: Breaker) -> str:
    return f"Writes to {breaker.target} are paused: {breaker.reason}"


def at(moment: datetime) -> str:
    return f"at {moment:%H:%M:%S} UTC"


def heard(target: str, end: str, now: datetime) -> None:
    """Learn how one exchange ended; opens or closes the breaker in the caller's transaction."""
    if not target:
        return
    if end in Exchange.CLEAR:
        answered(target, end, now)
    elif end in FAILED:
        failed(target, end, now)


def answered(target: str, end: str, now: datetime) -> None:
    """A clear answer: whatever failed before is over."""
    troubled = Q(unclear_in_a_row__gt=0) | Q(opened_at__isnull=False)
    found = Breaker.objects.select_for_update().filter(troubled, target=target).first()
    if found is None:
        return
    was_open = found.is_open
    found.unclear_in_a_row, found.opened_at, found.reason = 0, None, ""
    found.retry_at = found.trial_until = None
    found.pause_seconds = 0
    found.save()
    if was_open:
        record(found, "breaker.closed", ACTOR, {"answer": end})


def failed(target: str, end: str, now: datetime) -> None:
    """One more failure: perhaps the last straw, perhaps a trial that went wrong."""
    Breaker.objects.get_or_create(target=target)
    found = Breaker.objects.select_for_update().get(target=target)
    if end in Exchange.UNKNOWN:
        found.unclear_in_a_row += 1
    if found.is_open:
        if found.trial_until is not None:
            pause(found, now)
        found.save()
        return
    if reason := why_open(found, now):
        found.opened_at, found.reason = now, reason
        pause(found, now)
        record(found, "breaker.opened", ACTOR, {"reason": reason})
    found.save()


def pause(breaker: Breaker, now: datetime) -> None:
    """Leave the target alone for a while, each time for twice as long."""
    first, longest = settings.BREAKER_PAUSE_SECONDS, settings.BREAKER_LONGEST_PAUSE_SECONDS
    breaker.pause_seconds = min(2 * breaker.pause_seconds or first, longest)
    breaker.retry_at = now + timedelta(seconds=breaker.pause_seconds)
    breaker.trial_until = None


def why_open(breaker: Breaker, now: datetime) -> str:
    """Why it has to open, as a sentence; empty while it may stay closed."""
    most = settings.BREAKER_UNCLEAR
    if breaker.unclear_in_a_row >= most:
        return f"{breaker.unclear_in_a_row} calls in a row had no clear answer."
    lately = now - timedelta(seconds=settings.BREAKER_WINDOW_SECONDS)
    ends = list(
        Exchange.objects.filter(target=breaker.target, ended_at__gt=lately).values_list(
            "end", flat=True
        )[:1000]
    )
    unclear = sum(end in Exchange.UNKNOWN for end in ends)
    failures = sum(end in FAILED for end in ends)
    if unclear >= most:
        return f"{unclear} calls within a minute had no clear answer."
    if len(ends) >= settings.BREAKER_CALLS and 2 * failures >= len(ends):
        return f"{failures} of the last {len(ends)} calls failed."
    return ""


def record(breaker: Breaker, kind: str, actor: str, body: dict[str, str], name: str = "") -> None:
    entries.record(
        f"breaker:{breaker.pk}",
        kind=kind,
        actor=actor,
        actor_name=name,
        object=breaker.target,
        body={"target": breaker.target, **body},
    )
