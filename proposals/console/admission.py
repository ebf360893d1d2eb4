"""The people's door: who comes in, by session alone, and how they are led on.

Every page of the console stands behind `people_only` or `owners_too`.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from proposals import ownership, people, rights
from proposals.console import typed
from proposals.console.personal import preferences_of
from proposals.models import Proposal
from proposals.targets import wiring

SESSION_ENDED = (
    "Nothing was recorded: your session had ended. Sign in, then decide; your reason is kept."
)
NO_RIGHT = "Your account is not in a group that may open the console."
View = Callable[..., HttpResponse]


class Request(HttpRequest):
    """A request as the middleware leaves it."""

    htmx: HtmxDetails


def people_only(view: View) -> View:
    """For people with the right to view: signed in by session, never by a token."""
    return guarded(view, rights.may_view)


def owners_too(view: View) -> View:
    """Also for whoever owns an agent; the view then shows them nothing but what is theirs."""
    return guarded(view, ownership.may_open)


def guarded(view: View, may_open: Callable[[Any], bool]) -> View:
    @never_cache
    @wraps(view)
    def guard(request: Request, **named: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            return to_sign_in(request, named)
        if not may_open(request.user):
            raise PermissionDenied(NO_RIGHT)
        with timezone.override(preferences_of(request.user).zone):
            return view(request, **named)

    return guard


def to_sign_in(request: Request, named: dict[str, Any]) -> HttpResponse:
    """Sign in, then come back to the page; a form that was sent leads back to what it is of."""
    back = request.get_full_path()
    if request.method != "GET":
        if typed.keep_until_sign_in(request):
            messages.warning(request, SESSION_ENDED)
        back = reverse("queue")
        for of in ("proposal", "agent"):
            if f"{of}_id" in named:
                back = reverse(of, args=[named[f"{of}_id"]])
    first = not people.anybody_can_sign_in()
    answer = HttpResponseRedirect(reverse("setup")) if first else redirect_to_login(back)
    return HttpResponseClientRedirect(answer.url) if request.htmx else answer


def onwards(request: Request, url: str) -> HttpResponse:
    """Go to another page, whichever way the form was sent."""
    return HttpResponseClientRedirect(url) if request.htmx else HttpResponseRedirect(url)


def wants_part(request: Request) -> bool:
    return bool(request.htmx) and not request.htmx.history_restore_request


def find(proposal_id: UUID, user: Any) -> Proposal:
    """What there is for this person; what is others' looks the same as what is not there."""
    related = (
        "agent__owner",
        "run",
        "proposer",
        "current_check__revision",
        "review_claim__person",
    )
    wiring.refresh()  # what a page says of an action is what is in force now
    seen = ownership.proposals_for(user).select_related(*related)
    return get_object_or_404(seen, pk=proposal_id)
