"""Live counts: one small address that open pages ask now and then. It reads a few numbers."""

import hashlib
import time
from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse, HttpResponseNotModified, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_GET

from ledger.models import LedgerEntry
from proposals.console import claiming, lists, news, run_undo
from proposals.console.admission import Request, people_only
from proposals.console.claimed import CLAIM, Claimed
from proposals.console.lists import Place
from proposals.models import Proposal, RunUndo

STALE_SECONDS = 60  # what falls due changes a count without anybody doing anything


@require_GET
@people_only
def pulse(request: Request) -> HttpResponse:
    """Counts of the lists, and what changed since the asking page was made; 304 if nothing did."""
    tag, goes_on = etag(request), claiming.renewed(request)
    if request.headers.get("If-None-Match") == tag:
        answer: HttpResponse = HttpResponseNotModified()
    else:
        answer = JsonResponse(facts(request))
    answer["ETag"] = tag
    answer["X-Local-Time"] = f"{timezone.localtime():%H:%M}"
    if goes_on is not None:
        answer[claiming.SECONDS] = str(goes_on)
    return answer


def etag(request: Request) -> str:
    """Names a state of the world for one person and page.

    Whatever changes a list writes a ledger entry, so the newest entry says whether anything did.
    Who is reviewing what is in no ledger: of that, news is up to STALE_SECONDS late.
    """
    newest = LedgerEntry.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    minute = int(time.time() // STALE_SECONDS)
    state = f"{request.user.pk} {newest} {minute} {request.META.get('QUERY_STRING', '')}"
    return f'"{hashlib.sha256(state.encode()).hexdigest()[:20]}"'


def facts(request: Request) -> dict[str, Any]:
    """Numbers, and one line of news with where it leads."""
    names = (*lists.TABS, "unknown")
    lists.count_all(names, request.user)
    counts = {name: lists.count(name, request.user) for name in names}
    if "proposal" in request.GET:
        found = find(request.GET["proposal"])
        said = news.of_proposal(found, request.GET, request.user)
        claimed = Claimed.of(found, request.user).words
        return {"counts": counts, "news": said, "stale": bool(said), "claimed": claimed}
    if "undoing" in request.GET:
        undoing = get_object_or_404(RunUndo, pk=identifier(request.GET["undoing"]))
        said = run_undo.news_of(undoing, request.GET.get("seen", ""))
        return {"counts": counts, "news": said, "stale": False}
    place = Place.of(request.GET, request.user)
    return {"counts": counts, "news": news.of_list(place), "stale": False}


def find(proposal_id: str) -> Proposal:
    """The proposal with what a decision depends on, and nothing large."""
    fields = ("status", "round", "revision_number", "updated_at", "current_check__digest", *CLAIM)
    found = Proposal.objects.select_related("current_check", "review_claim__person").only(*fields)
    return get_object_or_404(found, pk=identifier(proposal_id))


def identifier(given: str) -> UUID:
    try:
        return UUID(given)
    except ValueError:
        raise Http404 from None
