"""What the sidebar and the start page list: first what auditors read, in one group and order."""

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode

from ledger import access

GROUP = "Audit"


@dataclass(frozen=True)
class Kept:
    """A list of rows of its own: `model` by app and name."""

    name: str
    model: str


@dataclass(frozen=True)
class Told:
    """What has no rows of its own: the ledger's entries of one event, of all time."""

    name: str
    event: str


ORDER: tuple[Kept | Told, ...] = (
    Kept("Ledger entries", "ledger.LedgerEntry"),
    Kept("Proposals", "proposals.Proposal"),
    Kept("Decisions", "proposals.Review"),
    Kept("Check results", "proposals.Check"),
    Kept("Commit attempts", "proposals.Execution"),
    Told("Undo actions", "proposal.undone"),
    Kept("Budget events", "budgets.Reservation"),
    Kept("Policy versions", "proposals.Rule"),
    Kept("Access log", "ledger.Access"),
    Told("Export jobs", "export.started"),
)


def app_list(request: HttpRequest, app_label: str | None = None) -> list[dict[str, Any]]:
    """Every list that this person may open, each once; of one app alone, as Django has it."""
    apps = admin.AdminSite.get_app_list(admin.site, request, app_label)
    if app_label is not None:
        return apps
    found = {
        f"{app['app_label']}.{model['object_name']}": model
        for app in apps
        for model in app["models"]
    }
    entries = [entry(one, found, request) for one in ORDER]
    moved = {one.model for one in ORDER if isinstance(one, Kept)}
    for app in apps:
        app["models"] = [
            model
            for model in app["models"]
            if f"{app['app_label']}.{model['object_name']}" not in moved
        ]
    group = {
        "name": GROUP,
        "app_label": "audit",
        "app_url": reverse("admin:app_list", args=["ledger"]),
        "has_module_perms": True,
        "models": [one for one in entries if one],
    }
    return [app for app in (group, *apps) if app["models"]]


def entry(
    one: Kept | Told, found: dict[str, dict[str, Any]], request: HttpRequest
) -> dict[str, Any] | None:
    """The line of one list; None for whoever may not open it."""
    if isinstance(one, Kept):
        model = found.get(one.model)
        return {**model, "name": one.name} if model else None
    if not access.holds(request.user, "ledger", "view_ledgerentry"):
        return None
    query = urlencode({"event": one.event, "at": "all"})
    return {
        "name": one.name,
        "object_name": one.name.title().replace(" ", ""),
        "admin_url": f"{reverse('admin:ledger_ledgerentry_changelist')}?{query}",
        "add_url": None,
        "view_only": True,
    }
