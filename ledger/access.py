"""Who read what: pages of the ledger, rows, explanations, exports. And who may take it away."""

from typing import Any

from django.contrib.auth.models import Permission
from django.db.models import Q

from ledger import clock
from ledger.models import Access

EXPORT = "export_ledger"


def note(user: Any, what: str, query: str) -> None:
    """Keep that this person read this. In one insert, so that a page costs the same for all."""
    Access.objects.create(
        at=clock.now(),
        actor=f"user:{user.pk}",
        actor_name=(user.get_full_name() or user.get_username())[:200],
        what=what,
        query=query.replace("\0", "")[:1000],
    )


def may_export(user: Any) -> bool:
    """Whether this person may take the ledger away."""
    return holds(user, "ledger", EXPORT)


def holds(user: Any, app_label: str, codename: str) -> bool:
    """Whether this person holds the right by name; superuser status decides nothing."""
    if not (user.is_authenticated and user.is_active):
        return False
    if not hasattr(user, "_ledger_held"):
        held = Permission.objects.filter(Q(group__user=user) | Q(user=user))
        user._ledger_held = set(held.values_list("content_type__app_label", "codename"))
    return (app_label, codename) in user._ledger_held
