"""What stands around the ledger's list: the form, what narrows it, the days, the way to export."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from ledger import access, clock, days, finding, patrol, strip
from ledger.finding import Filters
from ledger.models import Broken, ExactCount, Walk
from ledger.readonly_admin import COUNT_CAP, NEWER, OLDER, CappedCount, precise
from ledger.suggesting import SUGGESTIONS
from ledger.visible import visible


def around(request: HttpRequest, filters: Filters) -> dict[str, Any]:
    """The form above the list, a chip for each part that narrows it, and the days."""
    query = request.GET.copy()
    for name in (OLDER, NEWER):
        query.pop(name, None)
    walks = Walk.objects.in_bulk([days.NAME, patrol.NAME])
    return {
        "chips": chips(filters, query),
        "selects": [
            (name, finding.LABELS[name], choices.items(), getattr(filters, name))
            for name, choices in finding.CHOICES.items()
        ],
        "inputs": [
            (name, finding.LABELS[name], request.GET.get(name, ""), suggestions(name))
            for name in finding.EXACT
        ],
        "is_whole_time": request.GET.get("at") == finding.WHOLE_TIME,
        "at_from": request.GET.get("at_from", ""),
        "at_to": request.GET.get("at_to", ""),
        "export_url": export_url(request, query),
        "strip": strip.build(filters, query, walks.get(days.NAME), clock.now()),
        "broken": CappedCount(Broken.objects.order_by("pk")[: COUNT_CAP + 1].count()),
        "patrol": told(walks.get(patrol.NAME)),
        "is_about_broken": filters.flag == finding.BROKEN,
        "exact": exact(filters),
        "count_url": f"{reverse('admin:ledger_ledgerentry_count')}?{query.urlencode()}",
        "broken_url": f"?flag={finding.BROKEN}&at={finding.WHOLE_TIME}",
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


def suggestions(name: str) -> str:
    """Where a script may ask what to offer for this input; empty where nothing is offered."""
    if name not in SUGGESTIONS:
        return ""
    return f"{reverse('admin:ledger_ledgerentry_suggest')}?of={name}"


def told(walk: Walk | None) -> str:
    """How far the clock has come with checking every sealed entry."""
    if walk is None:
        return "The clock has not begun to check sealed entries."
    if not walk.position and walk.ended_at:
        here = ""
    else:
        here = f"This round is at {walk.position:,} of {walk.sealed:,}. "
    last = f"The last whole round ended at {precise(walk.ended_at)}." if walk.ended_at else ""
    return f"The clock checks every sealed entry against its seal, in turn. {here}{last}".strip()


def exact(filters: Filters) -> dict[str, Any]:
    """What the clock counted of exactly these filters, or how far it has come; empty if nothing."""
    row = ExactCount.objects.filter(key=filters.key).first()
    if row is None:
        return {}
    asked = Filters.from_json(row.asked)
    return {
        "number": f"{row.count:,}",
        "so_far": f"{row.count:,} so far, {row.position:,} of {row.upto:,} entries looked at",
        "upto": f"{row.upto:,}",
        "since": precise(asked.start) if filters.is_default_window and asked.start else "",
        "asked_time": precise(row.asked_at),
        "who": visible(row.actor_name),
        "finished_at": row.finished_at,
        "finished_time": precise(row.finished_at) if row.finished_at else "",
        "error": row.error,
    }
