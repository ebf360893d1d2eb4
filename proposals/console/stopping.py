"""The page to stop and to start again: freezes and suspensions. What each does is the services'."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.db.models import Max
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from ledger.models import LedgerEntry
from proposals import freezing, rights, services, text
from proposals.console import presenters
from proposals.console.admission import Request, people_only
from proposals.console.context import may_stop
from proposals.console.forms import FreezeForm, LiftForm, Refusable, ResumeForm, SuspendForm
from proposals.exceptions import InvalidRequest, ProposalError
from proposals.models import Agent, Freeze
from proposals.stops import (
    COMMAND_LINE,
    GOES_ON,
    NOW_FROZEN,
    NOW_SUSPENDED,
    SCOPES,
    WAS_FROZEN,
    target,
    words,
)


def may_lift(user: Any) -> bool:
    return rights.has(user, rights.LIFT)


@dataclass(frozen=True)
class Stopped:
    """One thing that is stopped now: since when, by whom and why."""

    what: str
    reason: str
    by: str
    since: datetime | None
    freeze: Freeze | None = None
    agent: Agent | None = None
    typed: str = ""


class StopPage:
    """What is stopped now, and the forms that this person may send."""

    def __init__(self, user: Any, sent: Refusable | None = None) -> None:
        self.user, self.sent = user, sent
        self.may_stop, self.may_lift = may_stop(user), may_lift(user)
        self.may_stop_all = rights.has(user, rights.FREEZE)
        self.freeze_form = sent if isinstance(sent, FreezeForm) else FreezeForm()
        self.suspend_form = sent if isinstance(sent, SuspendForm) else SuspendForm()
        self.stopped = [*self.frozen(), *self.suspended()]
        self.scopes = [
            (scope.value, scope.label.capitalize(), what)
            for scope, what in SCOPES.items()
            if self.may_stop_all or scope in {Freeze.Scope.AGENT, Freeze.Scope.RUN}
        ]
        self.suspend_form.fields["agent"].widget.attrs["id"] = "suspend-agent"
        if not self.may_stop_all:
            for form in (self.freeze_form, self.suspend_form):
                agents: Any = form.fields["agent"]
                agents.queryset = user.owned_agents.order_by("name")

    def frozen(self) -> list[Stopped]:
        found = freezing.in_force().select_related("agent", "run__agent", "frozen_by")
        newest = found.order_by("-frozen_at", "-pk")
        gravest = sorted(newest, key=lambda one: one.scope != Freeze.Scope.EVERYTHING)
        return [
            Stopped(
                what=words(one),
                reason=one.reason,
                by=presenters.name_of(one.frozen_by) if one.frozen_by else COMMAND_LINE,
                since=one.frozen_at,
                freeze=one,
                typed=self.typed(one),
            )
            for one in gravest
        ]

    def typed(self, freeze: Freeze) -> str:
        """The reason that was typed for this one and refused; it is not asked for twice."""
        if isinstance(self.sent, LiftForm) and self.sent.data.get("freeze") == str(freeze.pk):
            return self.sent.data.get("reason", "")
        return ""

    def suspended(self) -> list[Stopped]:
        agents = list(Agent.objects.filter(is_suspended=True).order_by("name"))
        latest = (
            LedgerEntry.objects.filter(
                kind="agent.suspended", agent__in=[str(agent.pk) for agent in agents]
            )
            .values("agent")
            .annotate(latest=Max("id"))
        )
        entries = LedgerEntry.objects.filter(pk__in=latest.values("latest"))
        found = {entry.agent: entry for entry in entries}
        return [self.suspension(agent, found.get(str(agent.pk))) for agent in agents]

    def suspension(self, agent: Agent, entry: LedgerEntry | None) -> Stopped:
        sent, typed = self.sent, ""
        if isinstance(sent, ResumeForm) and sent.data.get("agent") == agent.name:
            typed = sent.data.get("reason", "")
        return replace(suspension(agent, entry), typed=typed)


def suspension(agent: Agent, entry: LedgerEntry | None) -> Stopped:
    by = ""
    if entry:
        is_budget = entry.actor.startswith("system:budget:")
        by = entry.actor_name or ("a budget that was exceeded" if is_budget else COMMAND_LINE)
    since = entry.at if entry else None
    return Stopped(f"Suspended: agent {agent.name}", agent.suspended_reason, by, since, agent=agent)


@require_GET
@people_only
def stop(request: Request) -> HttpResponse:
    """What is stopped now, and what can I stop?"""
    return page(request)


def page(request: Request, sent: Refusable | None = None, refusal: str = "") -> HttpResponse:
    """The page, with the form that was sent and why it was refused."""
    context = {"place": "stop", "page": StopPage(request.user, sent), "refusal": refusal}
    context["faults"] = sent.errors if sent else {}
    is_refused = bool(refusal or context["faults"])
    return render(request, "console/stop.html", context, status=422 if is_refused else 200)


def carry_out(request: Request, form: Refusable, verb: Callable[[], str]) -> HttpResponse:
    """One verb: what it did as a status line, or the page again with what was refused."""
    if not form.is_valid():
        return page(request, form)
    try:
        done = verb()
    except InvalidRequest as error:
        form.refuse(error)
        return page(request, form)
    except ProposalError as error:
        return page(request, form, str(error))
    messages.success(request, done)
    return redirect("stop")


@require_POST
@people_only
def freeze(request: Request) -> HttpResponse:
    """Stop everything, one agent, one action or one run."""
    form = FreezeForm(request.POST)

    def verb() -> str:
        reason = form.cleaned_data["reason"]
        found = services.freeze(reason=reason, person=request.user, **form.target())
        is_mine = found.frozen_by_id == request.user.pk and found.reason == reason
        return f"{words(found)}. {NOW_FROZEN if is_mine else WAS_FROZEN}"

    return carry_out(request, form, verb)


@require_POST
@people_only
def lift(request: Request) -> HttpResponse:
    """Let what a freeze stopped go on."""
    form = LiftForm(request.POST)

    def verb() -> str:
        wanted: Freeze = form.cleaned_data["freeze"]
        services.lift(freeze_id=wanted.pk, reason=form.cleaned_data["reason"], person=request.user)
        return f"Lifted: {target(wanted)}. {GOES_ON}"

    return carry_out(request, form, verb)


@require_POST
@people_only
def suspend(request: Request) -> HttpResponse:
    """Refuse what an agent proposes, and hold what it has under way."""
    form = SuspendForm(request.POST)

    def verb() -> str:
        agent = services.set_suspended(
            agent_id=form.cleaned_data["agent"].pk,
            is_suspended=True,
            reason=form.cleaned_data["reason"],
            person=request.user,
        )
        return f"Suspended: agent {text.plain(agent.name)}. {NOW_SUSPENDED}"

    return carry_out(request, form, verb)


@require_POST
@people_only
def resume(request: Request) -> HttpResponse:
    """Let a suspended agent go on."""
    form = ResumeForm(request.POST)

    def verb() -> str:
        agent = services.set_suspended(
            agent_id=form.cleaned_data["agent"].pk,
            is_suspended=False,
            reason=form.cleaned_data["reason"],
            person=request.user,
        )
        return f"Resumed: agent {text.plain(agent.name)}. {GOES_ON}"

    return carry_out(request, form, verb)
