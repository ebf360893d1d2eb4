"""What every page shows around its content."""

from datetime import datetime
from functools import cached_property
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import SimpleLazyObject

from ledger import clock
from proposals import freezing, rights
from proposals.console import lists
from proposals.console.personal import preferences_of
from proposals.models import Freeze


class PageClock:
    """One moment for a whole page: the database is asked for the time once, if at all."""

    @cached_property
    def now(self) -> datetime:
        return clock.now()


def site(request: HttpRequest) -> dict[str, Any]:
    """The environment's name and what the person may open. Counted only where it is shown."""
    user = getattr(request, "user", None)
    may_view = SimpleLazyObject(lambda: bool(user and rights.may_view(user)))
    return {
        "page_clock": PageClock(),
        "preferences": SimpleLazyObject(lambda: preferences_of(user)),
        "environment_name": settings.ENVIRONMENT_NAME,
        "is_production": "prod" in settings.ENVIRONMENT_NAME.lower(),
        "may_view": may_view,
        "is_owner": SimpleLazyObject(
            lambda: bool(user and not may_view and rights.owns_agents(user))
        ),
        "may_stop": SimpleLazyObject(lambda: bool(may_view and may_stop(user))),
        "may_connect": SimpleLazyObject(
            lambda: bool(may_view and rights.has(user, rights.CONFIGURE_DATABASES))
        ),
        "may_write_mails": SimpleLazyObject(
            lambda: bool(may_view and rights.has(user, rights.CONFIGURE_ACTIONS))
        ),
        "may_try_actions": SimpleLazyObject(
            lambda: bool(
                may_view
                and (rights.has(user, rights.CONFIGURE_ACTIONS) or rights.has(user, rights.RETRY))
            )
        ),
        "may_manage_people": SimpleLazyObject(
            lambda: bool(may_view and rights.has(user, rights.MANAGE_PEOPLE))
        ),
        "frozen": SimpleLazyObject(everything_frozen),
        "waiting_count": SimpleLazyObject(lambda: lists.count("waiting", user)),
        "unknown_count": SimpleLazyObject(lambda: lists.count("unknown", user)),
        "ledger_url": _admin_url(user, "admin:ledger_ledgerentry_changelist", rights.VIEW_LEDGER),
        "admin_url": _admin_url(user, "admin:index"),
    }


def everything_frozen() -> Freeze | None:
    """The freeze of everything, if one is in force."""
    found = freezing.in_force().filter(scope=Freeze.Scope.EVERYTHING)
    return found.select_related("frozen_by").first()


def may_stop(user: Any) -> bool:
    """Whether this person can stop or start anything, if only an agent of their own."""
    holds = rights.of(user)
    return rights.FREEZE in holds or rights.LIFT in holds or user.owned_agents.exists()


def _admin_url(user: Any, name: str, right: str = "") -> str:
    """The address of an auditor's page, for those whom it would let in."""
    if not (user and user.is_authenticated and user.is_staff):
        return ""
    if right and not rights.has(user, right):
        return ""
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""
