"""The form that says that one is reviewing something; and what keeps it said while one is."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from ledger import clock
from proposals import seats, services, text
from proposals.console.admission import Request, find, people_only, wants_part
from proposals.console.claimed import Claimed, claim_of
from proposals.console.lists import Place
from proposals.exceptions import NotFound, ProposalError
from proposals.models import Proposal

ACTIVE, SECONDS = "X-Active", "X-Claim-Seconds"  # headers of the pulse, as static/pulse.js has them


class ClaimForm(forms.Form):
    """What is said: that one is reviewing it, or not any more."""

    do = forms.ChoiceField(choices=[("claim", "claim"), ("release", "release")])


@require_POST
@people_only
def claim(request: Request, proposal_id: UUID) -> HttpResponse:
    """Say that I am reviewing this, or not any more; and stay on the page."""
    find(proposal_id, request.user)
    place, refusal = Place.of(request.POST.get("list", ""), request.user), ""
    form = ClaimForm(request.POST)
    if not form.is_valid():
        refusal = "Say whether you are reviewing it."
    elif form.cleaned_data["do"] == "release":
        services.release_review_claim(proposal_id=proposal_id, person=request.user)
    else:
        try:
            services.claim_review(proposal_id=proposal_id, person=request.user)
        except NotFound as error:
            raise Http404 from error
        except ProposalError as error:
            refusal = text.plain(str(error))
    if wants_part(request):
        return note(request, proposal_id, place, refusal)
    if refusal:
        messages.error(request, f"Nothing was noted: {refusal}")
    return redirect(f"{reverse('proposal', args=[proposal_id])}?{place.query}")


def note(request: Request, proposal_id: UUID, place: Place, refusal: str) -> HttpResponse:
    """The note alone, as it is now."""
    found = find(proposal_id, request.user)
    context = {
        "proposal": found,
        "claim": Claimed.of(found, request.user),
        "may_claim": seats.may_decide(request.user, found),
        "query": place.query,
        "refusal": refusal,
        "is_part": True,
    }
    return render(request, "console/parts/claim.html", context)


def opened(proposal: Proposal, user: Any) -> None:
    """Whoever opens the page of what they claimed is at it."""
    found = claim_of(proposal)
    if found and found.person_id == user.pk:
        until = services.renew_review_claim(proposal_id=proposal.pk, person=user)
        found.until = until or found.until


def renewed(request: Request) -> int | None:
    """By the pulse of a page that its claimer uses: how long the claim lasts now."""
    if request.headers.get(ACTIVE) != "1":
        return None
    try:
        proposal_id = UUID(request.GET.get("proposal", ""))
    except ValueError:
        return None
    until = services.renew_review_claim(proposal_id=proposal_id, person=request.user)
    return int((until - clock.now()).total_seconds()) if until else None
