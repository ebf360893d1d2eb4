"""Resolving a comment that blocks approval, from its small form on the review page."""

from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST

from proposals import services, text
from proposals.console import typed
from proposals.console.admission import Request, find, people_only
from proposals.console.forms import DecisionForm, ReasonForm
from proposals.console.lists import Place
from proposals.console.pages import ReviewPage
from proposals.exceptions import AlreadyDecided, IllegalTransition, ProposalError
from proposals.lifecycle import Status
from proposals.models import Proposal


@require_POST
@people_only
def resolve(request: Request, proposal_id: UUID, review_id: int) -> HttpResponse:
    """Resolve one comment, and come back to the page. What is refused keeps what was typed."""
    found = find(proposal_id, request.user)
    if not found.reviews.filter(pk=review_id).exists():
        raise Http404
    place = Place.of(request.POST.get("list", ""), request.user)
    form = ReasonForm(request.POST)
    refusal = "" if form.is_valid() else "A reason has at most 500 characters."
    if not refusal:
        try:
            resolved = services.resolve_comment(
                review_id=review_id, person=request.user, **form.cleaned_data
            )
        except (AlreadyDecided, IllegalTransition) as error:
            messages.error(request, f"Nothing was done: {text.plain(str(error))}")
        except ProposalError as error:
            refusal = str(error)
        else:
            messages.success(request, done(resolved))
    if refusal:
        return refused(request, found, place, review_id, refusal)
    page = f"{reverse('proposal', args=[proposal_id])}?{place.query}"
    return HttpResponseRedirect(f"{page}#comment-{review_id}")


def done(proposal: Proposal) -> str:
    """What resolving did, for the status line."""
    if proposal.status == Status.APPROVED:
        return "Resolved. Nothing else was missing, so it is approved; a worker commits it."
    return "Resolved. It no longer keeps anybody from approving."


def refused(
    request: Request, found: Proposal, place: Place, review_id: int, refusal: str
) -> HttpResponse:
    """The same page, with what was typed and why it was not taken."""
    context = {
        "page": ReviewPage(found, request.user, place),
        "proposal": found,
        "form": DecisionForm(initial={"reason": typed.kept(request, found.pk)}),
        "resolving": review_id,
        "resolving_refusal": refusal,
        "resolving_reason": request.POST.get("reason", ""),
    }
    return render(request, "console/review.html", context, status=422)
