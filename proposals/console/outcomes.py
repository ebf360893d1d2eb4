"""The page of one unknown outcome: what was tried under which key, and what people found out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST
from django_htmx.http import reswap, retarget

from ledger.models import LedgerEntry
from proposals import bound, seats, services, sign_ins, text
from proposals.console import presenters
from proposals.console.admission import Request, find, onwards, owners_too, people_only, wants_part
from proposals.console.forms import Refusable
from proposals.console.outside import Next, Outlook, unknown_execution
from proposals.console.unknowns import FOUND
from proposals.console.views import again_url
from proposals.exceptions import (
    IllegalTransition,
    InvalidRequest,
    NotFound,
    ProposalError,
    SignInTooOld,
)
from proposals.lifecycle import Status
from proposals.models import Attestation, Exchange, Execution, Proposal
from proposals.registry import Delivery
from proposals.services import attesting
from proposals.services.decisions import is_recent

Finding = Attestation.Finding
KEPT = 5
TYPED = ("reference", "evidence")
LATE = "execution.late_evidence"
TOO_OLD = (
    "Nothing was recorded yet: where two people are needed, settling takes a sign-in of the last "
    "ten minutes. Sign in again, then choose; what you typed is kept."
)


class FindingForm(Refusable):
    """What one person found out. What belongs to another finding is not meant."""

    finding = forms.ChoiceField(
        choices=Finding.choices,
        error_messages={"required": "Choose one of the three: applied, not applied, cannot tell."},
    )
    reference = forms.CharField(required=False)
    evidence = forms.CharField(required=False)
    retry_is_safe = forms.BooleanField(required=False)
    seen = forms.IntegerField(required=False)  # the fence that the page was about

    def clean_reference(self) -> str:
        is_meant = self.cleaned_data.get("finding") == Finding.APPLIED
        return self.cleaned_data["reference"] if is_meant else ""

    def clean_retry_is_safe(self) -> bool:
        is_meant = self.cleaned_data.get("finding") == Finding.NOT_APPLIED
        return is_meant and self.cleaned_data["retry_is_safe"]


@dataclass(frozen=True)
class Choice:
    """One of the three findings, and what it would do."""

    value: str
    label: str
    consequence: str
    evidence: str


@dataclass(frozen=True)
class Tried:
    """One time that the target was reached for."""

    exchange: Exchange
    purpose: str
    end: str
    is_late: bool
    lasted: timedelta | None


@dataclass(frozen=True)
class Said:
    """What one person found, and whether it counts."""

    given: Attestation
    who: str
    words: str
    shows_reference: bool
    why_not: str = ""


class OutcomePage:
    """What is known about one outcome, and what this person may say of it."""

    def __init__(self, proposal: Proposal, execution: Execution, user: Any) -> None:
        self.proposal, self.execution, self.user = proposal, execution, user
        self.check = execution.of_check
        self.sentence = self.check.sentence
        self.amount = (self.check.impact or {}).get("amount")
        self.delivery = presenters.DELIVERY[Delivery(execution.delivery)]
        self.is_unknown = execution.status == Execution.Status.UNKNOWN
        self.outlook = Outlook()
        self.next: Next | None = self.outlook.next(execution) if self.is_unknown else None
        self.tried = tried(execution)
        self.late = [one for one in self.tried if one.is_late]
        answers = [*(one.exchange.evidence for one in self.tried), execution.evidence]
        self.references = list(dict.fromkeys(filter(None, map(reference_in, answers))))
        self.needed = attesting.people_needed(proposal, execution)
        self.why_not = attesting.ineligibility(user, proposal)
        self.may_say = self.is_unknown and not self.why_not and not execution.is_transactional
        may_settle = not self.why_not
        self.may_ask_receipt = self.is_unknown and may_settle and execution.is_transactional
        self.may_ask = may_settle and self.next is not None and self.next.can_ask

    @cached_property
    def standing(self) -> list[Attestation]:
        """The findings that count now."""
        if not self.is_unknown:
            return []
        return attesting.standing(self.proposal, self.execution)

    @property
    def others(self) -> list[Attestation]:
        """The findings of other people that count and say whether it was applied."""
        me = seats.person(self.user)
        return [
            one
            for one in self.standing
            if seats.person(one.person) != me and one.finding != Finding.CANNOT_TELL
        ]

    @cached_property
    def said(self) -> list[Said]:
        """All that people found, in order. Nothing of it is ever edited."""
        found = list(Attestation.objects.filter(execution=self.execution).in_order())
        counted, me = {one.pk for one in self.standing}, seats.person(self.user)
        latest = {seats.person(one.person): one.pk for one in found}
        # Whoever may be the second person looks for themselves: a reference is not copied.
        is_blind = self.may_say and self.needed > 1
        return [
            Said(
                given=one,
                who=presenters.name_of(one.person),
                words=FOUND[Finding(one.finding)],
                shows_reference=not is_blind or seats.person(one.person) == me,
                why_not=self.why_it_does_not_count(one, counted, latest),
            )
            for one in found
        ]

    def why_it_does_not_count(
        self, one: Attestation, counted: set[int], latest: Mapping[str, int]
    ) -> str:
        if not self.is_unknown or one.pk in counted:
            return ""
        if latest[seats.person(one.person)] != one.pk:
            return "They said something else since."
        if one.is_overtaken:
            return SENT_SINCE
        return "It does not count any more."

    @property
    def too_early(self) -> str:
        """Why nobody can say yet that it was not applied; empty if they can."""
        return attesting.why_too_early(
            self.proposal, self.execution, Finding.NOT_APPLIED, None, self.outlook.now
        )

    @property
    def seats(self) -> str:
        """How many people it takes, in a sentence."""
        if self.needed == 1:
            return "One person settles this."
        altered = bound.altered(self.proposal, self.check)
        why = f"{altered} So" if altered else "Because of the money involved,"
        return f"{why} two independent people must find the same, each by looking for themselves."

    @property
    def choices(self) -> list[Choice]:
        required = {Finding.APPLIED: "optional"}
        return [
            Choice(one.value, one.label, self.consequence(one), required.get(one, "required"))
            for one in Finding
        ]

    def consequence(self, finding: Finding) -> str:
        """What this finding would do, in one sentence."""
        if finding is Finding.CANNOT_TELL:
            return "record where you looked; it stays unknown, and others are asked."
        becomes = f"make it Committed; {self.undo_words}" if finding is Finding.APPLIED else FAILED
        if self.needed == 1:
            return f"{becomes}."
        same = [one for one in self.others if one.finding == finding]
        if not same:
            return "record what you found; it stays unknown until a second person finds the same."
        who = " and ".join(presenters.name_of(one.person) for one in same)
        if finding is Finding.APPLIED:
            becomes = f"make it Committed if your reference is the one that {who} entered"
            return f"{becomes}; {self.undo_words}."
        return f"{becomes}, as {who} found the same."

    @cached_property
    def undo_words(self) -> str:
        """Whether it can be undone once it is said to be applied."""
        if not self.check.is_reversible:
            return "it cannot be undone"
        try:
            outcome = attesting.attested_outcome(self.proposal, self.execution, "?")
        except InvalidRequest:
            return "whether it can be undone shows then"
        return "it can be undone" if outcome.compensation else "it cannot be undone from here"

    @property
    def ended(self) -> str:
        """How it came to be known."""
        words = "it was written" if self.execution.status == "committed" else "it was not written"
        return f"{words}; it had been unknown for"

    @property
    def was_unknown_for(self) -> timedelta:
        execution = self.execution
        began = execution.unclear_at or execution.created_at
        return (execution.resolved_at or began) - began


SENT_SINCE = (
    "It was sent again since, so this no longer counts: whoever said it has to look again, when "
    "what was sent has had its time to arrive."
)
FAILED = (
    "make it Failed: nothing was written, its budget is given back, and an operator may retry it "
    "under a new key"
)


def tried(execution: Execution) -> list[Tried]:
    """Every exchange, and which of them were heard of too late: two statements."""
    made = Exchange.objects.filter(execution=execution).order_by("id")
    heard = LedgerEntry.objects.filter(stream=execution.proposal.stream, kind=LATE)
    late = {
        entry.body.get("fence") for entry in heard if entry.body.get("attempt") == execution.attempt
    }
    return [
        Tried(
            exchange=one,
            purpose=one.get_purpose_display(),
            end=one.get_end_display() if one.ended_at else "No answer yet",
            is_late=one.fence in late,
            lasted=one.ended_at - one.started_at if one.ended_at else None,
        )
        for one in made
    ]


def reference_in(evidence: Any) -> str:
    """The target's own name for the effect, if its answer gave one."""
    found = evidence.get("reference") if isinstance(evidence, dict) else None
    return str(found) if found else ""


@require_GET
@owners_too
def outcome(request: Request, proposal_id: UUID) -> HttpResponse:
    """What was tried, what is known, and what may I say became of it?"""
    kept = request.session.get("findings", {}).get(str(proposal_id), {})
    return page(request, proposal_id, FindingForm(initial=kept))


def page(
    request: Request,
    proposal_id: UUID,
    form: FindingForm,
    refusal: str = "",
    status: int = 200,
) -> HttpResponse:
    """The page, with the form that was sent and why it was refused."""
    found = find(proposal_id, request.user)
    execution = unknown_execution(found)
    if execution is None:
        raise Http404
    shown = OutcomePage(found, execution, request.user)
    context = {
        "place": "unknowns",
        "page": shown,
        "proposal": found,
        "form": form,
        "refusal": refusal,
    }
    if shown.may_say and shown.needed > 1 and not is_recent(sign_ins.last_proof(request)):
        context["sign_in_again_url"] = again_url(reverse("outcome", args=[proposal_id]))
    if wants_part(request):
        part = render(request, "console/parts/outcome.html", context, status=status)
        return reswap(retarget(part, "#content"), "innerHTML")
    return render(request, "console/outcome.html", context, status=status)


@require_POST
@people_only
def attest(request: Request, proposal_id: UUID) -> HttpResponse:
    """Record what a person found out about an unknown outcome."""
    form = FindingForm(request.POST)
    if not form.is_valid():
        return page(request, proposal_id, form, status=422)
    try:
        settled = services.attest(
            proposal_id=proposal_id,
            person=request.user,
            authenticated_at=sign_ins.last_proof(request),
            **form.cleaned_data,
        )
    except NotFound as error:
        raise Http404 from error
    except SignInTooOld:
        return sign_in_again(request, proposal_id)
    except InvalidRequest as error:
        form.refuse(error)
        return page(request, proposal_id, form, status=422)
    except IllegalTransition as error:
        return page(request, proposal_id, form, str(error), 409)
    except ProposalError as error:
        return page(request, proposal_id, form, str(error), 422)
    keep(request, proposal_id, {})
    messages.success(request, done(settled))
    return onwards(request, reverse("outcome", args=[proposal_id]))


def done(proposal: Proposal) -> str:
    """What a finding did, for the status line of the next page."""
    if proposal.status == Status.COMMITTED:
        return "Recorded. It is committed now: it is known that it was written."
    if proposal.status == Status.FAILED:
        return "Recorded. It has failed: it is known that nothing was written."
    return "Recorded. It stays unknown."


def sign_in_again(request: Request, proposal_id: UUID) -> HttpResponse:
    """Nothing was recorded; after signing in again the page is back, with what was typed."""
    keep(request, proposal_id, {name: request.POST.get(name, "")[:2000] for name in TYPED})
    messages.warning(request, TOO_OLD)
    return onwards(request, again_url(reverse("outcome", args=[proposal_id])))


def keep(request: Request, proposal_id: UUID, typed: dict[str, str]) -> None:
    """What was typed is never asked for twice."""
    kept = dict(request.session.get("findings", {}))
    if kept.pop(str(proposal_id), None) is None and not typed:
        return
    if typed:
        kept[str(proposal_id)] = typed
    request.session["findings"] = dict(list(kept.items())[-KEPT:])


@require_POST
@people_only
def ask_again(request: Request, proposal_id: UUID) -> HttpResponse:
    """Have the target asked now, before its time."""
    find(proposal_id, request.user)
    try:
        services.ask_again(proposal_id=proposal_id, person=request.user)
    except ProposalError as error:
        messages.error(request, f"Nothing was done: {text.plain(str(error))}")
    else:
        messages.success(request, "The target is asked within seconds; this page shows what came.")
    return redirect("outcome", proposal_id=proposal_id)
