"""The page of unknown outcomes: how many, for how long, what happens next, what is left alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from statistics import median as middle
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from proposals import rights, services, text
from proposals.console import presenters
from proposals.console.admission import Request, people_only
from proposals.console.forms import LARGEST_KEY
from proposals.console.outside import DELIVERIES, Next, Outlook
from proposals.exceptions import NotFound, ProposalError
from proposals.lifecycle import Status
from proposals.models import Attestation, Breaker, Execution
from proposals.registry import Delivery

LONGEST = 100
AIM, ALARM = timedelta(minutes=15), timedelta(minutes=30)
WINDOWS = (7, 30)
FOUND = {
    Attestation.Finding.APPLIED: "it was applied",
    Attestation.Finding.NOT_APPLIED: "it was not applied",
    Attestation.Finding.CANNOT_TELL: "cannot tell",
}


@dataclass(frozen=True)
class Row:
    """One unknown outcome in the list. Nothing here was written by an agent."""

    sentence: str
    url: str
    who: str
    amount: Any
    since: datetime
    delivery: str
    next: Next
    found: list[str]
    is_undo: bool


@dataclass(frozen=True)
class Spell:
    """For how long outcomes were unknown that came to be known in the last so many days."""

    days: int
    count: int
    median: timedelta
    total: timedelta


@dataclass(frozen=True)
class Standing:
    """How things stand: what is unknown now, and whether that has lasted too long."""

    count: int
    median: timedelta
    longest: timedelta

    @property
    def alarm(self) -> str:
        """What the median of what is open is called; empty while it is within the aim."""
        if self.median > ALARM:
            return "Alarm: over 30 minutes"
        return "Over the aim of 15 minutes" if self.median > AIM else ""

    @property
    def is_alarming(self) -> bool:
        return self.median > ALARM


@dataclass(frozen=True)
class Paused:
    """A target that is left alone, for people."""

    breaker: Breaker
    is_being_tried: bool
    next_try: datetime | None


class UnknownsPage:
    """Everything on the page; a constant number of statements, however much is unknown."""

    def __init__(self, user: Any) -> None:
        self.outlook = Outlook()
        self.may_settle = rights.has(user, rights.RETRY)
        since = list(unknown().values_list("pk", "unclear_at", "of_check__impact"))
        now = self.outlook.now
        self.standing = standing(now - (at or now) for _, at, _ in since)
        since.sort(key=lambda one: (-size(one[2]), one[1] or now))
        self.rows = self.described([pk for pk, _, _ in since[:LONGEST]])
        self.is_cut = len(since) > LONGEST
        self.spells = spells(now)
        self.paused = [self.pause(one) for one in self.outlook.breakers.values()]

    def described(self, wanted: list[Any]) -> list[Row]:
        related = ("proposal__agent", "proposal__proposer", "of_check__revision")
        found = Execution.objects.filter(pk__in=wanted).select_related(*related).in_bulk()
        said = findings(wanted)
        return [self.row(found[pk], said.get(pk, [])) for pk in wanted if pk in found]

    def row(self, execution: Execution, said: list[str]) -> Row:
        proposal, check = execution.proposal, execution.of_check
        return Row(
            sentence=check.sentence,
            url=reverse("outcome", args=[proposal.pk]),
            who=presenters.proposed_by(proposal),
            amount=(check.impact or {}).get("amount"),
            since=execution.unclear_at or execution.created_at,
            delivery=DELIVERIES.get(Delivery(execution.delivery), execution.delivery),
            next=self.outlook.next(execution),
            found=said,
            is_undo=proposal.compensates_id is not None,
        )

    def pause(self, breaker: Breaker) -> Paused:
        now, trial, retry = self.outlook.now, breaker.trial_until, breaker.retry_at
        is_tried = trial is not None and trial > now
        return Paused(breaker, is_tried, retry if retry and retry > now else None)


def unknown() -> QuerySet[Execution]:
    return Execution.objects.filter(
        status=Execution.Status.UNKNOWN, proposal__status=Status.UNKNOWN
    )


def size(impact: Any) -> Decimal:
    """How much money is at stake, in whatever currency; what cannot be read comes first."""
    amount = ((impact or {}).get("amount") or {}).get("amount")
    if amount is None:
        return Decimal(0)
    try:
        return abs(Decimal(str(amount)))
    except InvalidOperation:
        return Decimal("Infinity")


def findings(wanted: list[Any]) -> dict[Any, list[str]]:
    """Who last said what of each: one statement."""
    latest: dict[tuple[Any, Any], str] = {}
    for one in Attestation.objects.filter(execution__in=wanted).in_order():
        words = f"{presenters.name_of(one.person)}: {FOUND[Attestation.Finding(one.finding)]}"
        if one.is_overtaken:
            words += ", before it was sent again"
        latest[one.execution_id, one.person_id] = words
    said: dict[Any, list[str]] = {}
    for (execution_id, _), words in latest.items():
        said.setdefault(execution_id, []).append(words)
    return said


def standing(ages: Iterable[timedelta]) -> Standing:
    lasted = list(ages)
    if not lasted:
        return Standing(0, timedelta(), timedelta())
    return Standing(len(lasted), median(lasted), max(lasted))


def median(lasted: list[timedelta]) -> timedelta:
    return timedelta(seconds=middle(one.total_seconds() for one in lasted))


def spells(now: datetime) -> list[Spell]:
    """What was unknown and is known now, by when that came to be known: one statement."""
    since = now - timedelta(days=max(WINDOWS))
    known = Execution.objects.filter(resolved_at__gt=since).exclude(unclear_at=None)
    pairs = list(known.values_list("unclear_at", "resolved_at"))
    found = []
    for days in WINDOWS:
        lasted = [to - at for at, to in pairs if at and to and to > now - timedelta(days=days)]
        half = median(lasted) if lasted else timedelta()
        found.append(Spell(days, len(lasted), half, sum(lasted, timedelta())))
    return found


@require_GET
@people_only
def unknowns(request: Request) -> HttpResponse:
    """Of what is it not known whether it was written, and what happens about it?"""
    context = {"place": "unknowns", "page": UnknownsPage(request.user)}
    return render(request, "console/unknowns.html", context)


@require_POST
@people_only
def try_target(request: Request, breaker_id: int) -> HttpResponse:
    """Let one call through to a target that is left alone."""
    if breaker_id > LARGEST_KEY:
        raise Http404
    try:
        found = services.try_target(breaker_id=breaker_id, person=request.user)
    except NotFound as error:
        raise Http404 from error
    except ProposalError as error:
        messages.error(request, f"Nothing was done: {text.plain(str(error))}")
        return redirect("unknowns")
    where = text.plain(found.target)
    if found.is_open:
        messages.success(request, f"The next call to {where} is let through, and judged by.")
    else:
        messages.info(request, f"{where} is not left alone any more; there was nothing to do.")
    return redirect("unknowns")
