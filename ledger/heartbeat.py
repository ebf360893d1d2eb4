"""Signs of life of processes that answer no requests."""

from datetime import timedelta

from ledger import clock
from ledger.models import Heartbeat

EVERY = timedelta(seconds=5)  # each beat is a write; whoever beats oftener is not written down


def beat(name: str) -> None:
    """Note that a process is alive and at work."""
    now = clock.now()
    if not Heartbeat.objects.filter(name=name, at__gt=now - EVERY).exists():
        Heartbeat.objects.bulk_create(
            [Heartbeat(name=name, at=now)],
            update_conflicts=True,
            unique_fields=["name"],
            update_fields=["at"],
        )


def is_fresh(name: str, *, within: timedelta) -> bool:
    """Whether the process was seen within this time. A beat from the future proves nothing."""
    now = clock.now()
    return Heartbeat.objects.filter(name=name, at__gt=now - within, at__lte=now + EVERY).exists()
