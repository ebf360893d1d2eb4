"""Search: where is the proposal for this object, agent, key, run or number?

Each look-up is by an index and exact: what is typed names something, it is not searched for in
texts. Nothing an agent wrote is shown.
"""

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from proposals import text
from proposals.console import presenters
from proposals.console.admission import Request, people_only
from proposals.console.forms import LARGEST_KEY
from proposals.console.lists import UNLISTED
from proposals.models import Agent, IdempotencyKey, Proposal, Run

LONGEST = 50
LONGEST_TERM = 255
UUID_FORM = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")


@dataclass(frozen=True)
class Found:
    """Proposals that a term names, and as what."""

    title: str
    rows: list[presenters.Row]
    is_capped: bool


@require_GET
@people_only
def search(request: Request) -> HttpResponse:
    """Where is the proposal for this object, agent, key?"""
    term = request.GET.get("q", "").strip()
    fault = ""
    if len(term) > LONGEST_TERM or not text.is_storable(term):
        fault = f"A search term has at most {LONGEST_TERM} characters, and none that is unstorable."
    groups = found(term, request.user) if term and not fault else []
    context = {"place": "search", "term": term, "fault": fault, "groups": groups}
    return render(request, "console/search.html", context, status=422 if fault else 200)


def found(term: str, user: Any) -> list[Found]:
    """What the term names, each kind by itself; kinds without a proposal are left out."""
    groups = []
    for title, named in kinds(term):
        newest = named.select_related("agent", "run", "proposer", "current_check")
        listed = list(newest.defer(*UNLISTED).order_by("-created_at", "-pk")[: LONGEST + 1])
        if listed:
            rows = presenters.rows(listed[:LONGEST], "", user)
            groups.append(Found(title, rows, len(listed) > LONGEST))
    return groups


def kinds(term: str) -> list[tuple[str, QuerySet[Proposal]]]:
    """The look-ups that make sense for a term of this shape."""
    proposals = Proposal.objects.all()
    if UUID_FORM.fullmatch(term):
        return [("By its id", proposals.filter(pk=UUID(term)))]
    keys = IdempotencyKey.objects.filter(agent__in=Agent.objects.all(), key=term)
    runs = Q(name=term, agent__in=Agent.objects.all())
    if term.isascii() and term.isdigit() and int(term) <= LARGEST_KEY:
        runs |= Q(pk=int(term))
    return [
        ("By its object", proposals.filter(resource=term)),
        ("By its idempotency key", proposals.filter(pk__in=keys.values("proposal_id"))),
        ("By its run", proposals.filter(run__in=Run.objects.filter(runs))),
        ("By its agent", proposals.filter(agent__name=term)),
    ]
