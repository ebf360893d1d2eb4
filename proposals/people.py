"""Who there is. Changes are in `services`."""

from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import QuerySet


def everybody() -> QuerySet[Any]:
    """Every person, active or not. An agent's account is no person."""
    return get_user_model().objects.filter(agent=None)


def active() -> QuerySet[Any]:
    return everybody().filter(is_active=True)


def has_administrator() -> bool:
    """Whether somebody can make accounts; until then the first administrator may be set up."""
    return active().filter(is_superuser=True).exists()


def anybody_can_sign_in() -> bool:
    return active().exists()
