"""Stopping and starting again at the auditors' door: a page that asks first, then the verbs.

Nothing else of a freeze can be changed here. There are no actions on selected rows: what is about
to stop is said in full before it stops, one thing at a time.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from ledger.readonly_admin import ReadOnlyAdmin, precise
from proposals import freezing, rights, services, stops
from proposals.admin.base import moment, page_of, whole
from proposals.admin.stop_forms import StopForm, WhyForm
from proposals.console.forms import Refusable, actions
from proposals.exceptions import InvalidRequest, ProposalError
from proposals.lifecycle import Status
from proposals.models import Agent, Freeze, Proposal, Run
from proposals.text import plain

MOST_COUNTED = 99
NAMED = ("agent", "action", "run")  # what the address of the page may choose already
SAFE = "Say why it is safe to go on."


def may_stop(user: Any) -> bool:
    """Whether this person may freeze anything: by the right, or an agent of their own."""
    return rights.has(user, rights.FREEZE) or rights.owns_agents(user)


def carried_out(request: HttpRequest, form: Refusable, verb: Callable[[str], str]) -> bool:
    """Do it for the reason that was typed, and say so; else the form has what was refused."""
    if not form.is_valid():
        return False
    try:
        messages.success(request, verb(form.cleaned_data["reason"]))
    except InvalidRequest as refusal:
        form.refuse(refusal)
    except ProposalError as refusal:
        form.add_error(None, str(refusal))
    return form.is_valid()


def asked(model_admin: Any, request: HttpRequest, form: Refusable, **told: Any) -> HttpResponse:
    """The page that asks: what will happen, and why it should."""
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "may_list": model_admin.has_view_permission(request),
        "form": form,
        **told,
    }
    return TemplateResponse(request, "admin/proposals/stopping.html", context)


def way_back(model_admin: Any, request: HttpRequest, row: Any = None) -> str:
    """The page of the row, or its list, where this person may see them."""
    if not model_admin.has_view_permission(request):
        return reverse("admin:index")
    if row is not None:
        return page_of(model_admin.model, row.pk)
    return reverse("admin:proposals_freeze_changelist")


class StoppableAdmin(admin.ModelAdmin):
    """A page of one row that leads to what stops it, and to what lets it go on."""

    change_form_template = "admin/proposals/stoppable.html"

    def stops(self, request: HttpRequest, row: Any) -> list[tuple[str, str]]:
        """Where this person may go from here to stop or start: address and words."""
        raise NotImplementedError

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        row = kwargs.get("obj")
        context["stops"] = self.stops(request, row) if row is not None else []
        return super().render_change_form(request, context, *args, **kwargs)


def freeze_links(user: Any, row: Agent | Run) -> list[tuple[str, str]]:
    """To freeze an agent or a run, or to lift the freeze that names it."""
    scope = "run" if isinstance(row, Run) else "agent"
    found = freezing.in_force().filter(scope=scope, **{scope: row}).first()
    if found:
        return lift_links(user, found)
    if not may_stop_agent(user, row.agent if isinstance(row, Run) else row):
        return []
    query = urlencode({"scope": scope, scope: row.pk if isinstance(row, Run) else row.name})
    return [(f"{reverse('admin:proposals_freeze_set')}?{query}", f"Freeze this {scope}…")]


def lift_links(user: Any, freeze: Freeze) -> list[tuple[str, str]]:
    if freeze.lifted_at is not None or not rights.has(user, rights.LIFT):
        return []
    return [(reverse("admin:proposals_freeze_lift", args=[freeze.pk]), "Lift the freeze…")]


def may_stop_agent(user: Any, agent: Agent) -> bool:
    return rights.has(user, rights.FREEZE) or rights.owns(user, agent)


def suspend_links(user: Any, agent: Agent) -> list[tuple[str, str]]:
    """To suspend an agent, or to resume it."""
    verb = "resume" if agent.is_suspended else "suspend"
    may = rights.has(user, rights.LIFT) if agent.is_suspended else may_stop_agent(user, agent)
    address = reverse(f"admin:proposals_agent_{verb}", args=[agent.pk])
    return [(address, f"{verb.capitalize()}…")] if may else []


def suspension(
    model_admin: Any, request: HttpRequest, agent_id: UUID, *, is_suspended: bool
) -> HttpResponse:
    """Suspend or resume an agent: say why, then it is done."""
    agent = get_object_or_404(Agent, pk=agent_id)
    user = request.user
    if not (may_stop_agent(user, agent) if is_suspended else rights.has(user, rights.LIFT)):
        raise PermissionDenied
    page = way_back(model_admin, request, agent)
    if agent.is_suspended == is_suspended:
        state = "suspended already" if is_suspended else "not suspended"
        messages.info(request, f"The agent {agent.name} is {state}.")
        return redirect(page)
    verb = "Suspend" if is_suspended else "Resume"
    then = stops.NOW_SUSPENDED if is_suspended else stops.GOES_ON
    missing = "Say why the agent is suspended." if is_suspended else SAFE
    form = WhyForm(request.POST if request.method == "POST" else None, missing=missing)

    def do(reason: str) -> str:
        services.set_suspended(
            agent_id=agent.pk, is_suspended=is_suspended, reason=reason, person=user
        )
        return f"{verb.removesuffix('e')}ed: agent {agent.name}. {then}"

    if request.method == "POST" and carried_out(request, form, do):
        return redirect(page)
    return asked(
        model_admin,
        request,
        form,
        title=f"{verb} agent {agent.name}?",
        lead=[then],
        reason=plain(agent.suspended_reason),
        buttons=[(verb.lower(), verb)],
        back=page,
    )


class InForceFilter(admin.SimpleListFilter):
    title, parameter_name = "state", "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("now", "in force"), ("over", "lifted")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() not in {"now", "over"}:
            return queryset
        return queryset.filter(lifted_at__isnull=self.value() == "now")


@admin.register(Freeze)
class FreezeAdmin(StoppableAdmin, ReadOnlyAdmin):
    """What is stopped, and was. A freeze is set and lifted by the verbs; no row is edited."""

    change_list_template = "admin/proposals/freeze_list.html"
    list_display = ("id", "scope", "stopped", "reason_shown", "set_at", "set_by", "lifted")
    list_select_related = ("agent", "run__agent", "frozen_by")
    list_filter = (InForceFilter, "scope")
    ordering = ("-pk",)
    fields = readonly_fields = (
        "id",
        "scope",
        "stopped",
        "reason_shown",
        "set_at",
        "set_by",
        "lifted",
        "ended_by",
    )

    set_at, lifted = moment("frozen_at", "frozen"), moment("lifted_at", "lifted")
    reason_shown = whole("reason")

    @admin.display(description="stopped")
    def stopped(self, freeze: Freeze) -> str | SafeString:
        row: Any = freeze.agent or freeze.run
        words = stops.target(freeze)
        return (
            format_html('<a href="{}">{}</a>', page_of(type(row), row.pk), words) if row else words
        )

    @admin.display(description="by")
    def set_by(self, freeze: Freeze) -> str:
        return freeze.frozen_by.get_username() if freeze.frozen_by else stops.COMMAND_LINE

    @admin.display(description="lifted by")
    def ended_by(self, freeze: Freeze) -> str:
        if freeze.lifted_at is None:
            return "-"
        return freeze.lifted_by.get_username() if freeze.lifted_by else stops.COMMAND_LINE

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("set/", view(self.set), name="proposals_freeze_set"),
            path("<int:freeze_id>/lift/", view(self.lift), name="proposals_freeze_lift"),
            *super().get_urls(),
        ]

    def stops(self, request: HttpRequest, row: Freeze) -> list[tuple[str, str]]:
        return lift_links(request.user, row)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {"may_stop": may_stop(request.user), **(extra_context or {})}
        return super().changelist_view(request, context)

    def set(self, request: HttpRequest) -> HttpResponse:
        """Freeze: choose and say why, see what that stops, then do it."""
        if not may_stop(request.user):
            raise PermissionDenied
        if request.method != "POST":
            chosen = {name: request.GET.get(name, "") for name in ("scope", *NAMED)}
            return self.choose(request, StopForm(person=request.user, initial=chosen))
        form = StopForm(request.POST, person=request.user)
        if not form.is_valid() or request.POST.get("step") == "choose":
            return self.choose(request, form)
        if request.POST.get("step") != "freeze":
            return self.confirm(request, form)
        kept: list[Freeze] = []

        def verb(reason: str) -> str:
            kept.append(services.freeze(reason=reason, person=request.user, **form.target()))
            return f"{stops.words(kept[0])}. {stops.NOW_FROZEN}"

        if carried_out(request, form, verb):
            return redirect(way_back(self, request, kept[0]))
        return self.choose(request, form)

    def choose(self, request: HttpRequest, form: StopForm) -> HttpResponse:
        lead = f"{stops.BEGUN} Undo asked for by people goes on, unless everything is frozen."
        if not rights.has(request.user, rights.FREEZE):
            lead += " You may stop the agents that you own, and their runs."
        return asked(
            self,
            request,
            form,
            title="Freeze",
            lead=[lead],
            actions=[name for name, _ in actions()[1:]],
            buttons=[("confirm", "Continue")],
            back=way_back(self, request),
        )

    def confirm(self, request: HttpRequest, form: StopForm) -> HttpResponse:
        wanted = form.wanted()
        scope = Freeze.Scope(wanted.scope)
        facts = [stops.SCOPES[scope], stops.BEGUN]
        if scope is not Freeze.Scope.EVERYTHING:
            facts.append(stops.UNDO_GOES_ON)
        if scope is Freeze.Scope.ACTION:
            facts.insert(0, f"It stops {', '.join(services.actions_fitting(wanted.action))}.")
        return asked(
            self,
            request,
            form,
            title=f"Freeze {stops.target(wanted)}?",
            lead=[*facts, waiting(wanted), "Only an operator can lift it."],
            reason=plain(wanted.reason),
            is_hidden=True,
            buttons=[("freeze", "Freeze"), ("choose", "Change")],
            back=way_back(self, request),
        )

    def lift(self, request: HttpRequest, freeze_id: int) -> HttpResponse:
        """Lift: say why it is safe, then let what waited go on."""
        if not rights.has(request.user, rights.LIFT):
            raise PermissionDenied
        found = get_object_or_404(
            Freeze.objects.select_related("agent", "run__agent"), pk=freeze_id
        )
        page = way_back(self, request, found)
        if found.lifted_at is not None:
            messages.info(request, f"Lifted already: {stops.target(found)}.")
            return redirect(page)
        form = WhyForm(request.POST if request.method == "POST" else None, missing=SAFE)

        def verb(reason: str) -> str:
            services.lift(freeze_id=found.pk, reason=reason, person=request.user)
            return f"Lifted: {stops.target(found)}. {stops.GOES_ON}"

        if request.method == "POST" and carried_out(request, form, verb):
            return redirect(page)
        return asked(
            self,
            request,
            form,
            title=f"Lift the freeze of {stops.target(found)}?",
            lead=[f"Frozen since {precise(found.frozen_at)}.", waiting(found), stops.GOES_ON],
            reason=plain(found.reason),
            buttons=[("lift", "Lift the freeze")],
            back=page,
        )


def waiting(freeze: Freeze) -> str:
    """How many approved writes a freeze would hold, or holds, as a sentence."""
    rows = Proposal.objects.filter(status=Status.APPROVED)
    if freeze.scope != Freeze.Scope.EVERYTHING:
        rows = rows.filter(proposer=None)
    if freeze.scope == Freeze.Scope.ACTION:
        rows = rows.filter(action__in=services.actions_fitting(freeze.action))
    elif freeze.scope != Freeze.Scope.EVERYTHING:
        rows = rows.filter(**{freeze.scope: getattr(freeze, freeze.scope)})
    count = rows[: MOST_COUNTED + 1].count()
    return f"Approved and not yet written: {count if count <= MOST_COUNTED else '99+'}."
