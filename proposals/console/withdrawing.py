"""Taking one's own decision back: a plain form on the review page."""

from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from proposals import services
from proposals.console.admission import Request, find, people_only
from proposals.console.forms import DecisionForm, Refusable
from proposals.console.lists import Place
from proposals.console.pages import Page, ReviewPage
from proposals.exceptions import InvalidRequest, NotFound, ProposalError
from proposals.lifecycle import Status

DONE = "Your decision was withdrawn, and the proposal is checked anew."
STAYS = "Your approval was withdrawn. What somebody else wishes changed still stands."


class WithdrawalForm(Refusable):
    """Which decision is taken back, by the digest it was on; and why, if the person says so."""

    digest = forms.CharField(max_length=71)
    reason = forms.CharField(required=False, max_length=2000)


@require_POST
@people_only
def withdraw_decision(request: Request, proposal_id: UUID) -> HttpResponse:
    """Take my decision back, and stay on the page."""
    place = Place.of(request.POST.get("list", ""), request.user)
    form, refusal, status = WithdrawalForm(request.POST), "", 422
    if form.is_valid():
        try:
            services.withdraw_decision(
                proposal_id=proposal_id, reviewer=request.user, **form.cleaned_data
            )
        except NotFound as error:
            raise Http404 from error
        except InvalidRequest as error:
            form.refuse(error)
        except ProposalError as error:
            refusal, status = str(error), 409
        else:
            return done(request, proposal_id, place)
    found = find(proposal_id, request.user)
    context = {
        "page": ReviewPage(found, request.user, place),
        "proposal": found,
        "form": DecisionForm(),
        "withdrawal": form,
        "withdrawal_refusal": refusal,
    }
    return render(request, "console/review.html", context, status=status)


def done(request: Request, proposal_id: UUID, place: Place) -> HttpResponse:
    found = find(proposal_id, request.user)
    messages.success(request, STAYS if found.status == Status.CHANGES_REQUESTED else DONE)
    return redirect(Page(found, request.user, place).url)
