"""What a page knows of the person who opened it, and moments as that person reads them."""

import re
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone

from proposals.models import Preferences

MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def preferences_of(user: Any) -> Preferences:
    """How pages look to this person; read once per request. Strangers see the defaults."""
    if not (user and user.is_authenticated):
        return Preferences()
    if not hasattr(user, "_countersign_preferences"):
        found = Preferences.objects.filter(person=user).first()
        user._countersign_preferences = found or Preferences(person=user)
    return user._countersign_preferences


def stamp(at: datetime) -> str:
    """A moment in the person's time zone, UTC beside it: 22 Nov 2026, 11:42 CET (10:42 UTC)."""
    local, world = timezone.localtime(at), at.astimezone(UTC)
    shown = f"{local:%d %b %Y, %H:%M} {local.tzname()}"
    if local.utcoffset() == world.utcoffset():
        return shown
    beside = f"{world:%H:%M}" if local.date() == world.date() else f"{world:%d %b, %H:%M}"
    return f"{shown} ({beside} UTC)"


def moment_of(words: Any) -> datetime | None:
    """The moment that a text of date, time and offset names; None for anything else."""
    if not isinstance(words, str) or not MOMENT.fullmatch(words):
        return None
    try:
        at = datetime.fromisoformat(words.upper())
        timezone.localtime(at)
    except (ValueError, OverflowError):
        return None
    return at


def hour(at: datetime) -> str:
    """The time of day alone, for what happened today."""
    return f"{timezone.localtime(at):%H:%M}"
