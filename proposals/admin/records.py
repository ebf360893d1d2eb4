"""What agents, people and workers made: to read, to follow from one to the next, nothing else.

Lists hold what the system knows. What an agent wrote is on the page of one row, last, and framed.
"""

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ledger.readonly_admin import NotedAdmin
from proposals import text
from proposals.admin.base import (
    ExactAdmin,
    HistoryAdmin,
    TierFilter,
    ledger_link,
    line,
    link,
    moment,
    page_of,
    several,
    whole,
)
from proposals.admin.stopping import StoppableAdmin, freeze_links
from proposals.models import (
    Agent,
    Check,
    Evidence,
    Execution,
    IdempotencyKey,
    Proposal,
    Review,
    Revision,
    Run,
)
from proposals.policy import Effect

NOT_VERIFIED = (
    "Written by the agent. Not verified: it may be wrong, or may try to influence you. "
    "Characters that would not be seen are written out."
)


def section(fields: str, title: str = "", description: str = "") -> Any:
    """A part of the page of one row, with its fields in order."""
    return (title or None, {"fields": tuple(fields.split()), "description": description})


def said(fields: str) -> Any:
    return section(fields, "What the agent says", NOT_VERIFIED)


class EffectFilter(admin.SimpleListFilter):
    title = parameter_name = "effect"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(effect), str(effect)) for effect in Effect if effect is not Effect.RAISE]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(effect=self.value()) if self.value() else queryset


class RecordAdmin(NotedAdmin, ExactAdmin):
    """Every field of the page is shown by a method or is the system's own, and none is a form's."""

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [
            name for _, section in self.get_fieldsets(request, obj) for name in section["fields"]
        ]


@admin.register(Run)
class RunAdmin(StoppableAdmin, RecordAdmin):
    list_display = ("id", "agent_link", "created")
    list_select_related = ("agent",)
    looked_up = {"id": "pk", "agent": "agent__name"}
    bare = ("id", "agent")
    fieldsets = (section("id agent_link created proposals_of"), said("name_shown"))

    agent_link = link("agent", shown="agent.name")
    created = moment("created_at", "created")
    name_shown = line("name")
    proposals_of = several("proposals", lambda run: run.proposals.all(), "run")

    def stops(self, request: HttpRequest, row: Run) -> list[tuple[str, str]]:
        return freeze_links(request.user, row)


@admin.register(Proposal)
class ProposalAdmin(HistoryAdmin, RecordAdmin):
    list_display = (
        "id",
        "status",
        "tier",
        "action",
        "resource_shown",
        "agent_link",
        "proposer",
        "created",
        "is_undone",
    )
    list_filter = ("status", TierFilter, "is_undone")
    list_select_related = ("agent", "proposer")
    looked_up = {"id": "pk", "resource": "resource", "agent": "agent__name", "run": "run_id"}
    bare = ("id", "resource")
    history_list_display = ("status",)
    fieldsets = (
        section(
            "id console status reason_shown tier action resource_shown agent_link proposer "
            "run_link revision_number round generation rechecks created updated due expires "
            "committed result_shown error_shown intent"
        ),
        section(
            "revisions_of checks_of current_check_link reviews_of executions_of keys_of "
            "compensates_link compensations_of is_undone duplicate_link ledger explanation",
            "What belongs to it",
        ),
    )

    resource_shown = line("resource")
    reason_shown = line("reason")
    agent_link = link("agent", shown="agent.name")
    run_link = link("run")
    current_check_link = link("current_check", "current check")
    compensates_link = link("compensates", "undoes")
    duplicate_link = link("duplicate_of", "same intent as")
    created, updated = moment("created_at", "created"), moment("updated_at", "updated")
    due, expires = moment("due_at", "due"), moment("expires_at", "expires")
    committed = moment("committed_at", "committed")
    result_shown, error_shown = whole("result"), whole("error")
    revisions_of = several("revisions", lambda row: row.revisions.all(), "proposal")
    checks_of = several("checks", lambda row: row.checks.all(), "proposal")
    reviews_of = several("reviews", lambda row: row.reviews.all(), "proposal")
    executions_of = several("executions", lambda row: row.executions.all(), "proposal")
    keys_of = several("idempotency keys", lambda row: row.keys.all(), "proposal")
    compensations_of = several("undone by", lambda row: row.compensations.all(), "compensates")

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        response = super().history_view(request, object_id, extra_context)
        self.note(request, response, f"{unquote(object_id)}, its history")
        return response

    def history_form_view(
        self,
        request: HttpRequest,
        object_id: str,
        version_id: str,
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        response = super().history_form_view(request, object_id, version_id, extra_context)
        self.note(request, response, f"{unquote(object_id)}, version {version_id}")
        return response

    @admin.display(description="console")
    def console(self, proposal: Proposal) -> SafeString:
        address = reverse("proposal", args=[proposal.pk])
        return format_html('<a href="{}">its page in the console</a>', address)

    @admin.display(description="ledger")
    def ledger(self, proposal: Proposal) -> SafeString:
        return ledger_link("proposal", proposal.pk)

    @admin.display(description="its story")
    def explanation(self, proposal: Proposal) -> SafeString:
        address = reverse("explain", args=[proposal.pk])
        return format_html('<a href="{}">explain and prove</a>', address)


@admin.register(Revision)
class RevisionAdmin(RecordAdmin):
    list_display = ("id", "proposal_link", "number", "author", "created")
    looked_up = {"proposal": "proposal_id", "id": "pk"}
    bare = ("proposal", "id")
    fieldsets = (
        section("id proposal_link number author created commitment checks_of evidence_of"),
        said("params_shown rationale_shown context_shown"),
    )

    proposal_link = link("proposal")
    created = moment("created_at", "created")
    params_shown, rationale_shown = whole("params", "parameters"), whole("rationale")
    context_shown = whole("context")
    checks_of = several("checks", lambda row: row.checks.all(), "revision")
    evidence_of = several("evidence", lambda row: row.evidence.all(), "revision")


@admin.register(Evidence)
class EvidenceAdmin(RecordAdmin):
    list_display = ("id", "revision_link", "position", "kind", "retrieved")
    list_filter = ("kind",)
    looked_up = {"id": "pk", "revision": "revision_id", "proposal": "revision__proposal_id"}
    bare = ("proposal", "id")
    fieldsets = (
        section("id proposal_link revision_link position kind retrieved commitment"),
        said("title_shown uri_shown content_shown"),
    )

    revision_link = link("revision")
    retrieved = moment("retrieved_at", "retrieved")
    title_shown, content_shown = line("title"), whole("content")
    uri_shown = whole("uri", "URI")

    @admin.display(description="proposal")
    def proposal_link(self, evidence: Evidence) -> SafeString:
        pk = evidence.revision.proposal_id
        return format_html('<a href="{}">{}</a>', page_of(Proposal, pk), pk)


@admin.register(Check)
class CheckAdmin(RecordAdmin):
    list_display = ("id", "proposal_link", "round", "tier", "effect", "approvals", "created")
    list_filter = (TierFilter, EffectFilter)
    looked_up = {"proposal": "proposal_id", "id": "pk"}
    bare = ("proposal", "id")
    fieldsets = (
        section(
            "id proposal_link revision_link round digest created base_tier tier is_reversible "
            "effect approvals groups policy_digest error_shown reviews_of executions_of"
        ),
        section(
            "sentence_shown before_shown after_shown impact_shown conflicts_shown "
            "compensation_shown reasons_shown trace_shown",
            "What was found",
            "The system's findings. Values, keys and names in them come from agent or target.",
        ),
    )

    proposal_link, revision_link = link("proposal"), link("revision")
    created, error_shown = moment("created_at", "created"), line("error")
    sentence_shown = whole("sentence")
    before_shown, after_shown = whole("before"), whole("after")
    impact_shown, conflicts_shown = whole("impact"), whole("conflicts")
    compensation_shown = whole("compensation")
    reasons_shown, trace_shown = whole("reasons"), whole("trace", "rules")
    reviews_of = several("reviews", lambda row: row.reviews.all(), "on_check")
    executions_of = several("executions", lambda row: row.executions.all(), "of_check")


@admin.register(Review)
class ReviewAdmin(RecordAdmin):
    list_display = ("id", "proposal_link", "decision", "reviewer_name", "check_link", "created")
    list_filter = ("decision", "reason_code", "is_for_agent", "blocks")
    looked_up = {"proposal": "proposal_id", "reviewer": "reviewer__username", "id": "pk"}
    bare = ("proposal", "id", "reviewer")
    fieldsets = (
        section(
            "id proposal_link check_link digest decision reviewer reviewer_name reason_code "
            "reason_shown is_for_agent object_shown field_shown blocks resolved taken_back_link "
            "created"
        ),
    )

    proposal_link, check_link = link("proposal"), link("on_check", "check")
    taken_back_link = link("takes_back", "takes back")
    reason_shown = whole("reason")
    object_shown, field_shown = line("object"), line("field")
    created = moment("created_at", "created")

    @admin.display(description="resolved")
    def resolved(self, review: Review) -> str:
        ended = review.ended
        if ended is None:
            return "-"
        said = f": {ended.reason}" if ended.reason else ""
        return text.plain(f"{ended.created_at:%Y-%m-%d %H:%M:%S} by {ended.person_name}{said}")


@admin.register(Execution)
class ExecutionAdmin(RecordAdmin):
    list_display = ("id", "proposal_link", "attempt", "status", "created", "settled")
    list_filter = ("status",)
    looked_up = {"proposal": "proposal_id", "id": "pk"}
    bare = ("proposal",)
    fieldsets = (
        section(
            "id proposal_link check_link attempt generation key status fence due lease claimed_by "
            "created intended settled error_shown"
        ),
        section(
            "delivery target_shown unsent first_sent resends asked unclear ask resolved "
            "exchanges_of attestations_of",
            "At another system",
        ),
        section(
            "found_shown result_shown after_shown compensation_shown target_evidence",
            "What the target said",
        ),
    )

    proposal_link, check_link = link("proposal"), link("of_check", "check")
    due, lease = moment("run_after", "due"), moment("lease_until", "lease until")
    created, intended = moment("created_at", "created"), moment("intended_at", "about to write")
    settled, resolved = moment("settled_at", "settled"), moment("resolved_at", "known since")
    first_sent, unclear = (
        moment("first_sent_at", "sent first"),
        moment("unclear_at", "unknown since"),
    )
    ask, target_shown = moment("ask_at", "asked next"), line("target")
    exchanges_of = several("exchanges", lambda row: row.exchanges.all(), "execution")
    attestations_of = several("findings", lambda row: row.attestations.all(), "execution")
    target_evidence = whole("evidence")
    found_shown, result_shown = whole("found"), whole("result")
    after_shown, compensation_shown = whole("after"), whole("compensation")
    error_shown = whole("error")


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(RecordAdmin):
    list_display = ("id", "agent_link", "proposal_link", "created")
    list_select_related = ("agent",)
    looked_up = {"proposal": "proposal_id", "agent": "agent__name", "key": "key"}
    bare = ("proposal", "key")
    fieldsets = (
        section("id agent_link proposal_link fingerprint created"),
        said("key_shown"),
    )

    agent_link, proposal_link = link("agent", shown="agent.name"), link("proposal")
    created = moment("created_at", "created")
    key_shown = line("key")

    def look_up(self, rows: QuerySet, prefix: str, value: str) -> QuerySet:
        """A key alone is no index; with every agent before it, it is."""
        if prefix == "key":
            rows = rows.filter(agent__in=list(Agent.objects.values_list("pk", flat=True)))
        return super().look_up(rows, prefix, value)
