"""What the filters for agent, actor and action offer while somebody types.

Each answer is a few look-ups along an index: the values that an index holds are hopped over, one
look-up for each, and never read all. Without script the inputs take the same values, typed whole.
"""

from collections.abc import Callable
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponseBadRequest, JsonResponse
from django.http.response import HttpResponseBase

from ledger.models import Facet, Mention
from ledger.patience import patience
from ledger.visible import visible

SHOWN = 10
HOPS = 30
PASSED_OVER = 3
LONGEST_TERM = 100
Found = dict[str, str]  # what to filter by, and what it is called


class SuggestView:
    """The door to suggestions: opens for whoever may see the ledger."""

    def __init__(self, model_admin: Any) -> None:
        self.model_admin = model_admin

    def open(self, request: HttpRequest) -> HttpResponseBase:
        if not self.model_admin.has_view_permission(request):
            raise PermissionDenied("Reading the ledger takes a right of its own.")
        suggest = SUGGESTIONS.get(request.GET.get("of", ""))
        term = request.GET.get("term", "").strip()
        if suggest is None or len(term) > LONGEST_TERM or "\0" in term:
            return HttpResponseBadRequest()
        with patience():
            found = suggest(term)
        # A value with characters that would not be seen has to be typed: it looks like another.
        shown = [
            {"value": value, "label": visible(label)}
            for value, label in found.items()
            if value == visible(value)
        ]
        return JsonResponse({"found": shown[:SHOWN]})


def agents(term: str) -> Found:
    """By the names under which the ledger saw them made."""
    made = Mention.objects.filter(name="name", value__gte=term).order_by("value")
    names = made.values_list("value", flat=True)[:HOPS]
    return {name: "" for name in names if begins(name, term)}


def actors(term: str) -> Found:
    """People by user name or address, and the actors that the ledger names."""
    named = Q(username__startswith=term) | Q(email__startswith=term)
    people = get_user_model().objects.filter(named).exclude(username__contains=":")
    found = {
        person.get_username(): person.get_full_name() or person.email
        for person in people.order_by("username")[:SHOWN]
    }
    return found | held("actor", term)


def actions(term: str) -> Found:
    return held("action", term)


def held(column: str, term: str) -> Found:
    """The values of a column that begin like this, each found by one look-up from the one before.

    A database may sort by other rules than those of `begins`, so a few that do not are passed over.
    """
    found: Found = {}
    passed = 0
    test = {f"{column}__gte": term} if term else {f"{column}__gt": ""}
    for _ in range(HOPS):
        row = Facet.objects.filter(**test).order_by(column, "at", "entry_id")
        value = row.values_list(column, flat=True).first()
        if value is None or len(found) == SHOWN or passed > PASSED_OVER:
            break
        if begins(value, term):
            found[value] = ""
        else:
            passed += 1
        test = {f"{column}__gt": value}
    return found


def begins(value: str, term: str) -> bool:
    return value.casefold().startswith(term.casefold())


SUGGESTIONS: dict[str, Callable[[str], Found]] = {
    "agent": agents,
    "actor": actors,
    "action": actions,
}
