"""Runs: what each did, in order, and what it may still do."""

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Q
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from budgets import standings
from budgets.models import Budget
from proposals import rights
from proposals.console import presenters
from proposals.console.admission import Request, people_only
from proposals.console.budgets import Cap, Meter
from proposals.console.forms import LARGEST_KEY
from proposals.console.lists import UNLISTED
from proposals.console.presenters import Row, effect_in_words
from proposals.console.run_sums import Sums, sums
from proposals.lifecycle import Status
from proposals.models import Agent, Freeze, Proposal, Review, Run, RunUndo
from proposals.policy import Effect

RUNS_LISTED, PROPOSALS_LISTED = 25, 50


@dataclass(frozen=True)
class RunRow:
    """One run in the list."""

    run: Run
    sums: Sums
    is_frozen: bool
    undoing: RunUndo | None


class RunsPage:
    """The runs, newest first, a page at a time and without counting them all."""

    def __init__(self, query: Any) -> None:
        agents = Agent.objects.filter(name=query.get("agent", "")) if query.get("agent") else None
        self.agent = query.get("agent", "") if agents is not None and agents.exists() else ""
        before = key_of(query.get("before", ""))
        found = Run.objects.select_related("agent").order_by("-pk")
        if agents is not None:
            found = found.filter(agent__in=agents)
        if before:
            found = found.filter(pk__lt=before)
        listed = list(found[: RUNS_LISTED + 1])
        shown = listed[:RUNS_LISTED]
        self.rows = self.described(shown)
        chosen = {"agent": self.agent} if self.agent else {}
        has_more = len(listed) > RUNS_LISTED
        self.older_url = address("runs", chosen | {"before": shown[-1].pk}) if has_more else ""
        self.newest_url = address("runs", chosen) if before else ""
        self.is_filtered = agents is not None

    def described(self, shown: list[Run]) -> list[RunRow]:
        counted = sums(shown)
        frozen = set(
            Freeze.objects.filter(run__in=shown, lifted_at=None).values_list("run", flat=True)
        )
        undoings = {
            one.run_id: one for one in RunUndo.objects.filter(run__in=shown, finished_at=None)
        }
        return [
            RunRow(run, counted.get(run.pk, Sums()), run.pk in frozen, undoings.get(run.pk))
            for run in shown
        ]


def key_of(given: str) -> int:
    """A row's number from an address; 0 for what is none."""
    is_key = given.isascii() and given.isdigit() and len(given) < 20
    return int(given) if is_key and int(given) <= LARGEST_KEY else 0


def address(name: str, query: dict[str, Any], *args: Any) -> str:
    url = reverse(name, args=args)
    return f"{url}?{urlencode(query)}" if query else url


class RunPage:
    """One run: everything it asked for in order, its budgets, and how to stop it."""

    def __init__(self, run: Run, user: Any, after: str) -> None:
        self.run, self.user = run, user
        self.sums = sums([run]).get(run.pk, Sums())
        found = Proposal.objects.filter(run=run)
        boundary = uuid_of(after)
        if boundary:
            found = found.filter(pk__gt=boundary)
        related = ("agent", "run", "proposer", "current_check")
        listed = list(
            found.select_related(*related).defer(*UNLISTED).order_by("pk")[: PROPOSALS_LISTED + 1]
        )
        shown = listed[:PROPOSALS_LISTED]
        self.rows = decided(presenters.rows(shown))
        has_more = len(listed) > PROPOSALS_LISTED
        self.next_url = address("run", {"after": shown[-1].pk}, run.pk) if has_more else ""
        self.first_url = address("run", {}, run.pk) if boundary else ""
        self.caps = caps_of(run)
        self.freeze = run_freeze(run)
        self.undoings = list(
            RunUndo.objects.filter(run=run).select_related("asked_by").order_by("-pk")[:5]
        )
        owns = run.agent.owner_id == user.pk
        self.may_freeze = rights.has(user, rights.FREEZE) or owns
        self.may_undo = rights.has(user, rights.UNDO)

    @property
    def under_way(self) -> RunUndo | None:
        return next((one for one in self.undoings if one.finished_at is None), None)


def run_freeze(run: Run) -> Freeze | None:
    """What stops this run now, if a freeze names it."""
    found = Freeze.objects.filter(run=run, lifted_at=None)
    return found.select_related("frozen_by").first()


def uuid_of(given: str) -> UUID | None:
    try:
        return UUID(given)
    except ValueError:
        return None


def caps_of(run: Run) -> list[Cap]:
    """The budgets that count this run apart, and how it stands in each."""
    per_run = [
        budget
        for budget in Budget.objects.filter(is_active=True, per_run=True, lane=Budget.Lane.FORWARD)
        if fnmatchcase(run.agent.name, budget.agent_pattern)
    ]
    found: dict[int, Cap] = {}
    own = Q(agent=str(run.agent_id), run=run.name)
    for gauge in standings.gauges(per_run, own):
        cap = found.setdefault(gauge.budget.pk, Cap(gauge.budget))
        if gauge.scope is not None:
            cap.meters.append(Meter(gauge, run.agent.name, run.pk))
    return list(found.values())


def decided(rows: list[Row]) -> list[Row]:
    """The rows with who let each through or ended it: one statement."""
    people: dict[tuple[UUID, str], list[str]] = {}
    ending: dict[UUID, str] = {}
    listed = [row.proposal.pk for row in rows]
    reviews = Review.objects.decisive().filter(proposal__in=listed).order_by("id")
    for proposal_id, digest, name, decision in reviews.values_list(
        "proposal_id", "digest", "reviewer_name", "decision"
    ):
        if decision == Review.Decision.APPROVE:
            people.setdefault((proposal_id, digest), []).append(name)
        elif decision == Review.Decision.REJECT:
            ending[proposal_id] = name
    return [replace(row, decided=by_whom(row.proposal, people, ending)) for row in rows]


def by_whom(
    proposal: Proposal, people: dict[tuple[UUID, str], list[str]], ending: dict[UUID, str]
) -> str:
    """Who let it through, or who ended it; nobody while it waits."""
    check = proposal.current_check
    if proposal.status == Status.REJECTED:
        return ending.get(proposal.pk, "")
    if proposal.status == Status.DENIED:
        return "policy, no person"
    approvers = people.get((proposal.pk, check.digest if check else ""), [])
    if proposal.status in {Status.APPROVED, Status.COMMITTED, Status.FAILED, Status.UNKNOWN}:
        return effect_in_words(proposal, approvers)
    if approvers and check is not None and check.effect == Effect.REVIEW:
        return f"{', '.join(approvers)} so far"
    return ""


@require_GET
@people_only
def runs(request: Request) -> HttpResponse:
    """What did each session of each agent do?"""
    return render(request, "console/runs.html", {"place": "runs", "page": RunsPage(request.GET)})


@require_GET
@people_only
def run(request: Request, run_id: int) -> HttpResponse:
    """What did this run do, in order, and what may it still do?"""
    if run_id > LARGEST_KEY:
        raise Http404
    found = get_object_or_404(Run.objects.select_related("agent__owner"), pk=run_id)
    page = RunPage(found, request.user, request.GET.get("after", ""))
    return render(request, "console/run.html", {"place": "runs", "page": page, "run": found})
