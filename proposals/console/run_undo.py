"""Taking back a whole run: what it would do, and how far it has come."""

from collections import Counter
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Count
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_http_methods

from proposals import rights, services
from proposals.console import presenters
from proposals.console.admission import Request, people_only
from proposals.console.forms import LARGEST_KEY, RunUndoForm
from proposals.console.pages import conflict_rows
from proposals.console.runs import address, key_of, run_freeze
from proposals.exceptions import InvalidRequest, ProposalError
from proposals.lifecycle import Status
from proposals.models import Run, RunUndo, RunUndoStep
from proposals.services.run_plan import GOES, STAYS, Line, Outlook

STEPS_LISTED = 100

OUTLOOKS = {
    "clean": ("Goes", "added"),
    "another": ("Goes once another person approves", "warning"),
    "follows": ("Goes after the newer one", "added"),
    "later": ("Not read yet", ""),
    "asked": ("Undo under way", ""),
    "conflict": ("Conflict: stays", "removed"),
    "blocked": ("Stays behind a newer write", "removed"),
    "unreadable": ("Cannot be said now", "warning"),
    "impossible": ("Cannot be undone", "removed"),
    "unknown": ("Outcome unknown", "removed"),
    "undone": ("Undone already", ""),
}
STEPS = {
    RunUndoStep.State.WAITING: ("Waiting its turn", ""),
    RunUndoStep.State.ASKED: ("Undo asked for", ""),
    RunUndoStep.State.DONE: ("Undone", "added"),
    RunUndoStep.State.NOTHING: ("Nothing was written", "added"),
    RunUndoStep.State.CONFLICT: ("Conflict", "removed"),
    RunUndoStep.State.FAILED: ("Failed", "removed"),
    RunUndoStep.State.IMPOSSIBLE: ("Cannot be undone", "removed"),
    RunUndoStep.State.BLOCKED: ("Kept behind a newer write", "removed"),
}


@dataclass(frozen=True)
class Step:
    """One step of a run's undo as it stands now."""

    step: RunUndoStep
    sentence: str
    state: str
    words: str
    kind: str
    conflicts: list[dict[str, Any]]


class UndoingPage:
    """How far the undo of a run has come: counts of all, and one page of its steps."""

    def __init__(self, undoing: RunUndo, after: str) -> None:
        self.undoing = undoing
        steps = undoing.steps.select_related(
            "proposal__current_check", "undo__current_check"
        ).defer("undo__current_check__trace")
        boundary = key_of(after)
        listed = list(steps.filter(position__gt=boundary)[: STEPS_LISTED + 1])
        shown = listed[:STEPS_LISTED]
        sentences = {row.proposal.pk: row for row in presenters.rows(one.proposal for one in shown)}
        self.steps = [described(one, sentences[one.proposal_id].sentence) for one in shown]
        here = (undoing.run_id, undoing.pk)
        has_more = len(listed) > STEPS_LISTED
        self.next_url = (
            address("run-undoing", {"after": shown[-1].position}, *here) if has_more else ""
        )
        self.first_url = address("run-undoing", {}, *here) if boundary else ""
        self.count(undoing)

    def count(self, undoing: RunUndo) -> None:
        counted = counts_of(undoing)
        self.total = counted.total()
        self.counts = [(words, counted[name]) for name, words in GROUPS.items() if counted[name]]
        self.left = counted["conflict"] + counted["failed"] + counted["kept"]
        self.for_people = counted["people"]
        seen = {"undoing": str(undoing.pk), "seen": standing(undoing, counted)}
        self.pulse_url = f"{reverse('pulse')}?{urlencode(seen)}"


def counts_of(undoing: RunUndo) -> Counter[str]:
    """Every step by what came of it; one that was undone later counts as undone. One statement."""
    counted: Counter[str] = Counter()
    rows = (
        undoing.steps.order_by()
        .values_list("state", "proposal__is_undone", "undo__status")
        .annotate(number=Count("pk"))
    )
    for state, is_undone, status, number in rows:
        counted[group_of(state, is_undone, status)] += number
    return counted


def standing(undoing: RunUndo, counted: Counter[str]) -> str:
    """What a page about it was made of, in short."""
    numbers = ".".join(str(counted[name]) for name in GROUPS)
    return f"{numbers}{'.ended' if undoing.finished_at else ''}"


def news_of(undoing: RunUndo, seen: str) -> str:
    """How far it has come since somebody opened its page; empty if no further."""
    counted = counts_of(undoing)
    if standing(undoing, counted) == seen:
        return ""
    numbers = [f"{counted[name]} {words}" for name, words in GROUPS.items() if counted[name]]
    ended = "Ended: " if undoing.finished_at else ""
    return f"{ended}{', '.join(numbers)}"


GROUPS = {
    "done": "done",
    "working": "under way",
    "waiting": "waiting their turn",
    "people": "waiting for another person",
    "conflict": "in conflict",
    "failed": "failed",
    "kept": "cannot be undone or kept behind a newer write",
}


def group_of(state: str, is_undone: bool, status: str | None) -> str:
    """Which of the counts a step belongs to."""
    states = RunUndoStep.State
    if is_undone or state in {states.DONE, states.NOTHING}:
        return "done"
    if state == states.ASKED:
        return "people" if status in {Status.PENDING, Status.CHANGES_REQUESTED} else "working"
    if state in {states.IMPOSSIBLE, states.BLOCKED}:
        return "kept"
    return str(state)


def described(step: RunUndoStep, sentence: str) -> Step:
    state = RunUndoStep.State(step.state)
    undo = step.undo
    check = undo.current_check if undo else None
    if step.proposal.is_undone:
        state = RunUndoStep.State.DONE
    words, kind = STEPS[state]
    if state == RunUndoStep.State.ASKED and undo is not None:
        words = ASKED_WORDS.get(Status(undo.status), undo.get_status_display())
        kind = "warning" if undo.status in {Status.PENDING, Status.UNKNOWN} else ""
    conflicts = check.conflicts if check and state == RunUndoStep.State.CONFLICT else []
    return Step(step, sentence, str(state), words, kind, conflict_rows(conflicts))


ASKED_WORDS = {
    Status.SUBMITTED: "Undo is being checked",
    Status.PENDING: "Waits for another person",
    Status.CHANGES_REQUESTED: "Changes requested",
    Status.APPROVED: "Undo approved; a worker writes it",
    Status.UNKNOWN: "Undo with an unknown outcome: an operator settles it",
}


@dataclass(frozen=True)
class Foreseen:
    """One line of the preview, in words."""

    line: Line
    sentence: str
    words: str
    kind: str
    conflicts: list[dict[str, Any]]


class PlanPage:
    """What undoing the whole run would do now, per commit and in all."""

    def __init__(self, plan: services.RunPlan, user: Any) -> None:
        self.plan, self.run = plan, plan.run
        self.lines = [foreseen(line) for line in plan.lines]
        counts = plan.counts
        self.counts = [
            (words, counts[outlook]) for outlook, (words, _) in OUTLOOKS.items() if counts[outlook]
        ]
        self.alone = counts[Outlook.CLEAN] + counts[Outlook.FOLLOWS]
        self.another = counts[Outlook.ANOTHER]
        self.asked = counts[Outlook.ASKED]
        self.later = counts[Outlook.LATER]
        self.goes = sum(counts[one] for one in GOES)
        self.stays = sum(counts[one] for one in STAYS)
        self.may_undo = rights.has(user, rights.UNDO)
        self.may_freeze = rights.has(user, rights.FREEZE) or plan.run.agent.owner_id == user.pk
        self.freeze = run_freeze(plan.run)
        self.has_work = not plan.is_empty or bool(plan.still_open)


def foreseen(line: Line) -> Foreseen:
    words, kind = OUTLOOKS[line.outlook]
    check = line.proposal.current_check
    sentence = check.sentence if check else line.proposal.action
    conflicts = conflict_rows([one.as_json() for one in line.conflicts])
    return Foreseen(line, sentence, words, kind, conflicts)


@require_http_methods(["GET", "POST"])
@people_only
def undo_run(request: Request, run_id: int) -> HttpResponse:
    """What would taking back this whole run do now? And, by POST, ask for it."""
    run = find_run(run_id)
    form = RunUndoForm(request.POST or None)
    refusal = ""
    if request.method == "POST" and form.is_valid():
        try:
            made = services.undo_run(run_id=run.pk, person=request.user, **form.cleaned_data)
        except InvalidRequest as error:
            form.refuse(error)
        except ProposalError as error:
            refusal = str(error)
        else:
            messages.success(request, ASKED_FOR)
            return redirect("run-undoing", run_id=run.pk, undoing_id=made.pk)
    under_way = RunUndo.objects.filter(run=run, finished_at=None).first()
    if under_way is not None and request.method == "GET":
        return redirect("run-undoing", run_id=run.pk, undoing_id=under_way.pk)
    page = PlanPage(services.preview_run_undo(run_id=run.pk), request.user)
    context = {"place": "runs", "page": page, "run": run, "form": form, "refusal": refusal}
    is_refused = bool(refusal or form.errors)
    return render(request, "console/run_undo.html", context, status=409 if is_refused else 200)


@require_GET
@people_only
def undoing(request: Request, run_id: int, undoing_id: UUID) -> HttpResponse:
    """How far has the undo of this run come?"""
    run = find_run(run_id)
    found = get_object_or_404(
        RunUndo.objects.select_related("run__agent", "asked_by"), pk=undoing_id, run=run
    )
    page = UndoingPage(found, request.GET.get("after", ""))
    context = {"place": "runs", "page": page, "run": run, "undoing": found}
    return render(request, "console/run_undoing.html", context)


def find_run(run_id: int) -> Run:
    if run_id > LARGEST_KEY:
        raise Http404
    return get_object_or_404(Run.objects.select_related("agent__owner"), pk=run_id)


ASKED_FOR = "It was asked for. You may leave this page; it goes on by itself."
