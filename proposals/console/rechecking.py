"""Asking for a fresh check of what has moved: a plain form on the review page."""

from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from proposals import services, text
from proposals.console.admission import Request, find, people_only
from proposals.console.lists import Place
from proposals.exceptions import NotFound, ProposalError

DONE = "It is being checked against what the target holds now."


class RecheckForm(forms.Form):
    """Of which check, by the digest that was on the screen."""

    digest = forms.CharField(max_length=71)


@require_POST
@people_only
def recheck(request: Request, proposal_id: UUID) -> HttpResponse:
    """Have it checked against what is there now, and come back to the page."""
    find(proposal_id, request.user)
    place = Place.of(request.POST.get("list", ""), request.user)
    form = RecheckForm(request.POST)
    digest = form.cleaned_data["digest"] if form.is_valid() else ""
    try:
        services.recheck_against_live(proposal_id=proposal_id, person=request.user, digest=digest)
    except NotFound as error:
        raise Http404 from error
    except ProposalError as error:
        messages.error(request, f"Nothing was done: {text.plain(str(error))}")
    else:
        messages.success(request, DONE)
    return redirect(f"{reverse('proposal', args=[proposal_id])}?{place.query}")
