"""What stands around the ledger's list: the form, what narrows it, the days, the way to export."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from ledger import access, clock, finding, strip
from ledger.finding import Filters
from ledger.readonly_admin import NEWER, OLDER
from ledger.visible import visible


def around(request: HttpRequest, filters: Filters) -> dict[str, Any]:
    """The form above the list, a chip for each part that narrows it, and the days."""
    query = request.GET.copy()
    for name in (OLDER, NEWER):
        query.pop(name, None)
    return {
        "chips": chips(filters, query),
        "selects": [
            (name, finding.LABELS[name], choices.items(), getattr(filters, name))
            for name, choices in finding.CHOICES.items()
        ],
        "inputs": [
            (name, finding.LABELS[name], request.GET.get(name, "")) for name in finding.EXACT
        ],
        "is_whole_time": request.GET.get("at") == finding.WHOLE_TIME,
        "at_from": request.GET.get("at_from", ""),
        "at_to": request.GET.get("at_to", ""),
        "export_url": export_url(request, query),
        "strip": strip.build(filters, query, clock.now()),
    }


def chips(filters: Filters, query: Any) -> list[dict[str, str]]:
    """Each part that narrows the list, with the address without it."""
    found = []
    for name, words in filters.words().items():
        rest = query.copy()
        rest.pop(name, None)
        if name == "at":
            rest["at"] = finding.WHOLE_TIME
        found.append({"words": visible(words), "url": f"?{rest.urlencode()}"})
    return found


def export_url(request: HttpRequest, query: Any) -> str:
    if not access.may_export(request.user):
        return ""
    return f"{reverse('admin:ledger_ledgerentry_export')}?{query.urlencode()}"
