"""The queue, the review and what is decided there: one service call per view."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import push_url, reswap, retarget

from proposals import ownership, rights, services, sign_ins, text
from proposals.console import (
    claiming,
    grouping,
    lists,
    presenters,
    saved_views,
    typed,
    worklist,
    writes,
)
from proposals.console.admission import (
    Request,
    find,
    onwards,
    owners_too,
    people_only,
    wants_part,
)
from proposals.console.budgets import BudgetsPage
from proposals.console.forms import DecisionForm, ReasonForm, UndoForm, WriteFilters
from proposals.console.lists import Place
from proposals.console.pages import Page, ReviewPage
from proposals.console.undo_page import UndoView
from proposals.exceptions import (
    ActionError,
    AlreadyDecided,
    IllegalTransition,
    InvalidRequest,
    NotFound,
    NothingToUndo,
    ProposalError,
    SignInTooOld,
    StaleDigest,
)
from proposals.lifecycle import Status
from proposals.models import Proposal, Review
from proposals.services.decisions import is_recent

TOO_OLD = (
    "Nothing was recorded yet: approving at high tier takes a sign-in of the last ten minutes. "
    "Sign in again, then decide; your reason is kept."
)
NO_SUCH_FIELD = "This shows no such field to comment on; a comment is about the whole."


@require_GET
@owners_too
def queue(request: Request) -> HttpResponse:
    """What is waiting on me, and what first? An owner without a group decides on nothing."""
    if not rights.may_view(request.user):
        return redirect("agents")
    opened = Place.of(request.GET, request.user)
    place = opened.keep()
    number = page_number(request, place)
    decider = None if place.tab.is_worked_down else request.user  # whose decisions are shown
    rows = presenters.rows(place.page(number), f"?{place.query}", decider)
    context = {
        "place": "queue",
        "here": place,
        "tab": place.tab,
        "rows": grouping.headed(worklist.marked(rows, place), place.form.grouping),
        "steps": steps(place, number),
        "chosen": place.form.words(),
        "elsewhere": "",
        "group_word": grouping.WORDS.get(place.form.grouping, ""),
    }
    if not rows and not context["chosen"]:
        context["elsewhere"] = f"{lists.count('open', request.user)} open in all."
    if wants_part(request):
        part = render(request, "console/parts/results.html", {**context, "is_part": True})
        return push_url(part, place.url)
    lists.count_all([*lists.TABS, "unknown"], request.user)
    tabs = [
        {
            "name": tab.name,
            "title": tab.title,
            "url": tab.url,
            "count": lists.count(tab.name, request.user),
        }
        for tab in lists.TABS.values()
    ]
    context |= {"tabs": tabs, "filters": place.form, "views": saved_views.links(place)}
    return render(request, "console/queue.html", context)


def page_number(request: Request, place: Place) -> int:
    """Which page of the list was asked for; the nearest that exists."""
    asked = request.GET.get("page", "")
    number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 4 else 1
    return min(max(number, 1), place.pages)


def steps(place: Place, number: int) -> dict[str, Any]:
    """Where the pages before and after this one are, and which rows these are."""
    first = (number - 1) * lists.PAGE + 1
    return {
        "previous": place.page_url(number - 1) if number > 1 else "",
        "next": place.page_url(number + 1) if number < place.pages else "",
        "first": first,
        "last": min(first + lists.PAGE - 1, len(place.ids)),
        "total": len(place.ids),
    }


@require_GET
@people_only
def list_summary(request: Request) -> HttpResponse:
    """How did the list come out that I worked down?"""
    place = Place.of(request.GET, request.user)
    if place.stored is None:
        return redirect(place.fresh_url)
    context = {"place": "queue", "here": place, "summary": worklist.Summary.of(place)}
    return render(request, "console/summary.html", context)


@require_GET
@owners_too
def proposal(request: Request, proposal_id: UUID) -> HttpResponse:
    """Should this write happen?"""
    found = find(proposal_id, request.user)
    lists_too = rights.may_view(request.user)
    place = Place.of(request.GET if lists_too else "", request.user)
    claiming.opened(found, request.user)
    page = ReviewPage(found, request.user, place, request.GET)
    if page.views.file:
        return page.views.file
    if wants_part(request) and request.htmx.target == "change":
        return render(request, "console/parts/change.html", {"page": page, "proposal": found})
    asked = page.remarks.asked(request.GET)
    if asked is None:
        messages.warning(request, NO_SUCH_FIELD)
    form = DecisionForm(initial={"reason": typed.kept(request, proposal_id), **(asked or {})})
    context = {"page": page, "proposal": found, "form": form}
    if page.asks_fact and not is_recent(sign_ins.last_proof(request)):
        context["sign_in_again_url"] = again_url(page.url)
    return render(request, "console/review.html", context)


@require_POST
@people_only
def decide(request: Request, proposal_id: UUID) -> HttpResponse:
    """Record a verdict on exactly what was on the screen, and go on to the next item."""
    place = Place.of(request.POST.get("list", ""), request.user)
    next_url = place.onwards(proposal_id)
    form = DecisionForm(request.POST)
    refusal = ""
    if form.is_valid():
        try:
            decided = services.review(
                proposal_id=proposal_id,
                reviewer=request.user,
                authenticated_at=sign_ins.last_proof(request),
                **form.cleaned_data,
            )
        except NotFound as error:
            raise Http404 from error
        except SignInTooOld:
            return sign_in_again(request, proposal_id, place, form)
        except (StaleDigest, IllegalTransition, AlreadyDecided) as error:
            return conflict(request, proposal_id, place, form, str(error))
        except InvalidRequest as error:
            form.refuse(error)
        except ProposalError as error:
            refusal = str(error)
        else:
            typed.forget(request, proposal_id)
            messages.success(request, outcome(decided, form.cleaned_data["decision"]))
            return onwards(request, next_url)
    found = find(proposal_id, request.user)
    page = ReviewPage(found, request.user, place)
    context = {"page": page, "proposal": found, "form": form, "refusal": refusal}
    template = "console/parts/decision.html" if wants_part(request) else "console/review.html"
    return render(request, template, context, status=422)


def outcome(proposal: Proposal, decision: str) -> str:
    """What a verdict did, for the status line of the next page."""
    sentence = text.plain(services.describe(proposal))
    what = {
        Review.Decision.APPROVE: "Approved",
        Review.Decision.REJECT: "Rejected",
        Review.Decision.REQUEST_CHANGES: "Changes requested",
        Review.Decision.COMMENT: "Comment added",
    }[Review.Decision(decision)]
    if decision != Review.Decision.APPROVE:
        return f"{what}: {sentence}"
    if proposal.status == Status.APPROVED:
        return f"{what}: {sentence}. That was the final approval; a worker commits it."
    return f"{what}: {sentence}. It waits for other approvals."


def conflict(
    request: Request, proposal_id: UUID, place: Place, form: DecisionForm, refusal: str
) -> HttpResponse:
    """409: what was seen, what is true now, only the differences; the typed reason is kept."""
    reason = form.cleaned_data["reason"]
    typed.keep(request, proposal_id, reason)
    found = find(proposal_id, request.user)
    seen = (
        found.checks.filter(digest=form.cleaned_data["digest"])
        .select_related("revision")
        .order_by("-round")
        .first()
    )
    now = found.current_check
    context = {
        "page": Page(found, request.user, place),
        "proposal": found,
        "seen": seen,
        "changes": presenters.changes_between(seen, now) if seen and now else [],
        "reason": reason,
        "refusal": refusal,
    }
    if wants_part(request):
        part = render(request, "console/parts/conflict.html", context, status=409)
        return reswap(retarget(part, "#content"), "innerHTML")
    return render(request, "console/conflict.html", context, status=409)


def sign_in_again(
    request: Request, proposal_id: UUID, place: Place, form: DecisionForm
) -> HttpResponse:
    """Nothing was recorded; after signing in again the page is back, with the typed reason."""
    typed.keep(request, proposal_id, form.cleaned_data["reason"])
    messages.warning(request, TOO_OLD)
    return onwards(request, again_url(f"{reverse('proposal', args=[proposal_id])}?{place.query}"))


def again_url(back: str) -> str:
    return f"{reverse('account_reauthenticate')}?{urlencode({'next': back})}"


@require_http_methods(["GET", "POST"])
@owners_too
def undo(request: Request, proposal_id: UUID) -> HttpResponse:
    """What exactly would undoing do now? And, by POST, propose it."""
    found = find(proposal_id, request.user)
    is_sent = request.method == "POST"
    form = UndoForm(request.POST if is_sent else None)
    chosen = request.POST.getlist("objects") if "divided" in request.POST else None
    refusal = " ".join(form.said_wrong())
    if is_sent and form.is_valid():
        try:
            made = services.undo(
                proposal_id=proposal_id, person=request.user, objects=chosen, **form.cleaned_data
            )
        except ProposalError as error:
            refusal = str(error)
        else:
            messages.success(request, "The undo was proposed; this is it.")
            return redirect("proposal", proposal_id=made.pk)
    context = {
        "page": Page(found, request.user, Place.of("", request.user)),
        "proposal": found,
        "refusal": refusal,
        "reason": request.POST.get("reason", ""),
        **undo_now(found, chosen, request.GET),
    }
    if wants_part(request) and request.htmx.target == "change" and request.method == "GET":
        return render(request, "console/parts/undo_change.html", context)
    context["may_undo"] = ownership.may_ask_for_undo(request.user, found)
    context["must_ask"] = not rights.has(request.user, rights.UNDO)
    context["why_not"] = "Undoing takes a right that you do not have; reviewers and operators do."
    status = 200 if not refusal else 409
    return render(request, "console/undo.html", context, status=status)


def undo_now(found: Proposal, chosen: list[str] | None, part: Mapping[str, str]) -> dict[str, Any]:
    """A part of the preview with the ticks that were set, or why there is none."""
    try:
        preview = services.preview_undo(proposal_id=found.pk)
    except NothingToUndo as error:
        return {"nothing": str(error), "undo": None}
    url = reverse("undo", args=[found.pk])
    return {"undo": UndoView(preview, chosen, part=part, url=url)}


@require_GET
@people_only
def recent(request: Request) -> HttpResponse:
    """What went live, including without a person, and can it be undone?"""
    form = WriteFilters(request.GET)
    form.is_valid()
    found = writes.page(form, request.GET.get("before", ""))
    context = {
        "place": "recent",
        "rows": found.rows,
        "older_url": found.older_url,
        "newest_url": found.newest_url,
        "chosen": form.words(),
        "filters": form,
    }
    context["is_part"] = wants_part(request)
    template = "console/parts/writes.html" if context["is_part"] else "console/recent.html"
    return render(request, template, context)


@require_POST
@people_only
def retry(request: Request, proposal_id: UUID) -> HttpResponse:
    """Try a failed proposal again, from a fresh check."""
    return again(request, proposal_id, services.retry, "It is being checked again.")


@require_POST
@people_only
def reconcile(request: Request, proposal_id: UUID) -> HttpResponse:
    """Settle an unknown outcome by asking the target."""
    return again(request, proposal_id, services.reconcile, "The target was asked.")


def again(
    request: Request, proposal_id: UUID, verb: Callable[..., Proposal], done: str
) -> HttpResponse:
    """One of the operator's verbs: a reason in, a status line out."""
    find(proposal_id, request.user)
    form = ReasonForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Nothing was done: a reason has at most 500 characters.")
        return redirect("proposal", proposal_id=proposal_id)
    try:
        verb(proposal_id=proposal_id, person=request.user, **form.cleaned_data)
    except (ProposalError, ActionError) as error:
        messages.error(request, f"Nothing was done: {text.plain(str(error))}")
    else:
        messages.success(request, done)
    return redirect("proposal", proposal_id=proposal_id)


@require_GET
@people_only
def budgets_page(request: Request) -> HttpResponse:
    """How much may each agent still write, and what is held?"""
    context = {"place": "budgets", "page": BudgetsPage(request.user)}
    return render(request, "console/budgets.html", context)


@require_GET
@owners_too
def help_page(request: Request) -> HttpResponse:
    """What the words mean."""
    return render(request, "console/help.html", {"place": "help", "statuses": presenters.STATUSES})
