"""Agents, what they may propose, and their tokens."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db.models import ForeignKey
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ledger.readonly_admin import ReadOnlyAdmin
from proposals import rights, services
from proposals.admin.base import (
    EditableAdmin,
    ExactAdmin,
    HistoryAdmin,
    ledger_link,
    link,
    list_of,
    moment,
    page_of,
    several,
)
from proposals.admin.stopping import StoppableAdmin, freeze_links, suspend_links, suspension
from proposals.models import Agent, AgentToken, Grant, Proposal, Run


class AgentForm(forms.ModelForm):
    class Meta:
        model = Agent
        fields = ("name", "owner", "is_suspended", "suspended_reason")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("is_suspended") and not (cleaned.get("suspended_reason") or "").strip():
            self.add_error("suspended_reason", "Say why, so that its owner can know.")
        return cleaned


class GrantInline(admin.TabularInline):
    """Grants are added and removed; changing one would be both at once."""

    model = Grant
    extra = 1
    verbose_name_plural = "grants: the actions that it may propose, never commit"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Agent)
class AgentAdmin(StoppableAdmin, EditableAdmin):
    """Every change goes through the services, one verb for each thing that changed."""

    form = AgentForm
    list_display = ("name", "owner", "is_suspended", "is_observed", "created")
    list_filter = ("is_suspended", "is_observed")
    list_select_related = ("owner",)
    search_fields = ("name__exact",)
    search_help_text = "The exact name."
    inlines = (GrantInline,)
    facts = (
        "id",
        "is_observed",
        "page",
        "created",
        "tokens_of",
        "proposals_of",
        "runs_of",
        "ledger",
    )

    created = moment("created_at", "created")
    tokens_of = several("tokens", lambda agent: agent.tokens.all(), "agent")

    @admin.display(description="proposals")
    def proposals_of(self, agent: Agent) -> SafeString:
        return format_html('<a href="{}">all</a>', list_of(Proposal, agent__exact=agent.pk))

    @admin.display(description="runs")
    def runs_of(self, agent: Agent) -> SafeString:
        return format_html('<a href="{}">all</a>', list_of(Run, agent__exact=agent.pk))

    @admin.display(description="page in the console")
    def page(self, agent: Agent) -> SafeString:
        """Where it is observed and let go, and where its tokens are issued."""
        return format_html('<a href="{}">open</a>', reverse("agent", args=[agent.pk]))

    def get_urls(self) -> list[Any]:
        return [
            path(
                f"<uuid:agent_id>/{verb}/",
                self.admin_site.admin_view(self.suspension),
                {"is_suspended": verb == "suspend"},
                name=f"proposals_agent_{verb}",
            )
            for verb in ("suspend", "resume")
        ] + super().get_urls()

    def suspension(self, request: HttpRequest, agent_id: UUID, is_suspended: bool) -> HttpResponse:
        """Suspend or resume: what whoever may stop may do, also without the right to edit."""
        return suspension(self, request, agent_id, is_suspended=is_suspended)

    def stops(self, request: HttpRequest, row: Agent) -> list[tuple[str, str]]:
        return freeze_links(request.user, row) + suspend_links(request.user, row)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return rights.has(request.user, rights.ADD_AGENT)

    def has_change_permission(self, request: HttpRequest, obj: Agent | None = None) -> bool:
        return rights.has(request.user, rights.CHANGE_AGENT)

    @admin.display(description="ledger")
    def ledger(self, agent: Agent) -> SafeString:
        return ledger_link("agent", agent.pk)

    def get_fields(self, request: HttpRequest, obj: Agent | None = None) -> tuple[str, ...]:
        return ("name", "owner") if obj is None else (*AgentForm.Meta.fields, *self.facts)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Agent | None = None
    ) -> tuple[str, ...]:
        """The name stays: the ledger has written it, and the service account is called by it."""
        if obj is None:
            return ()
        needed = rights.LIFT if obj.is_suspended else rights.FREEZE
        stopping = () if rights.has(request.user, needed) else ("is_suspended", "suspended_reason")
        return ("name", *self.facts, *stopping)

    def formfield_for_foreignkey(
        self, db_field: ForeignKey, request: HttpRequest, **kwargs: Any
    ) -> Any:
        if db_field.name == "owner":
            people = get_user_model().objects.filter(is_active=True, agent=None)
            kwargs["queryset"] = people.order_by("username")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Agent, form: Any, change: bool) -> None:
        if not change:
            made = services.create_agent(name=obj.name, owner=obj.owner, person=request.user)
            obj.pk, obj._state.adding = made.pk, False
            obj.refresh_from_db()
            return
        # One transaction for the whole page, so what takes the gate comes first.
        if {"is_suspended", "suspended_reason"} & set(form.changed_data):
            services.set_suspended(
                agent_id=obj.pk,
                is_suspended=obj.is_suspended,
                reason=obj.suspended_reason,
                person=request.user,
            )
        if "owner" in form.changed_data:
            services.change_agent(agent_id=obj.pk, owner=obj.owner, person=request.user)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        formset.save(commit=False)
        agent, person = form.instance, request.user
        for removed in formset.deleted_objects:
            services.remove_grant(agent_id=agent.pk, pattern=removed.pattern, person=person)
        for added in formset.new_objects:
            services.grant(agent=agent, pattern=added.pattern, person=person)


@admin.register(Grant)
class GrantAdmin(HistoryAdmin, ReadOnlyAdmin):
    """To read, with history. Grants are added and removed on the page of their agent."""

    list_display = ("pattern", "agent_link")
    list_select_related = ("agent",)
    search_fields = ("agent__name__exact",)
    search_help_text = "The exact name of an agent."
    fields = readonly_fields = ("pattern", "agent_link")

    agent_link = link("agent", shown="agent.name")


@admin.register(AgentToken)
class AgentTokenAdmin(ExactAdmin):
    """Tokens without their secrets, which nobody keeps."""

    list_display = ("key_id", "agent_link", "created", "expires", "last_used", "revoked")
    list_select_related = ("agent",)
    looked_up = {"key": "key_id", "agent": "agent__name"}
    bare = ("key",)
    fieldsets = (
        (
            None,
            {
                "fields": list_display,
                "description": "Tokens are issued on the page of their agent in the console, or "
                "by the command manage.py issue_agent_token, and shown once. Here they can be "
                "revoked, at once and for good.",
            },
        ),
    )
    readonly_fields = list_display

    agent_link = link("agent", shown="agent.name")
    created = moment("created_at", "created")
    expires = moment("expires_at", "expires")
    last_used = moment("last_used_at", "last used")
    revoked = moment("revoked_at", "revoked")

    def get_urls(self) -> list[Any]:
        revoke = self.admin_site.admin_view(self.revoke)
        name = "proposals_agenttoken_revoke"
        return [path("<int:token_id>/revoke/", revoke, name=name), *super().get_urls()]

    def may_revoke(self, request: HttpRequest) -> bool:
        return rights.has(request.user, rights.TOKENS)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = {"may_revoke": self.may_revoke(request), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def revoke(self, request: HttpRequest, token_id: int) -> HttpResponse:
        """Ask once, then end the token."""
        if not self.may_revoke(request):
            raise PermissionDenied
        token = get_object_or_404(AgentToken.objects.select_related("agent"), pk=token_id)
        if request.method == "POST":
            services.revoke_token(token_id=token.pk, person=request.user)
            messages.success(request, f"The token {token.key_id} no longer works.")
            return redirect(page_of(AgentToken, token.pk))
        context = {
            **self.admin_site.each_context(request),
            "title": "Revoke a token",
            "token": token,
            "opts": self.opts,
        }
        return TemplateResponse(request, "admin/proposals/agenttoken/revoke.html", context)
