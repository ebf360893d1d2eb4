"""The auditor's view of the ledger."""

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ledger import access, clock, finding, kinds, merkle, patrol, surroundings
from ledger.canonical import parse
from ledger.counting import CountView
from ledger.exporting import ExportView
from ledger.finding import HINT, BadFilter, Filters
from ledger.models import Access, Broken, Leaf, LedgerEntry
from ledger.patience import TIMEOUT_SECONDS, is_given_up, patience
from ledger.readonly_admin import NEWER, OLDER, UNKNOWN, KeysetAdmin, NotedAdmin, precise
from ledger.suggesting import SuggestView
from ledger.visible import visible

logger = logging.getLogger(__name__)

REASON_SHOWN = 60
SEALED, UNSEALED, BROKEN = "ok", "not yet sealed", "broken"


def shown(column: str, title: str = "") -> Callable[[object, LedgerEntry], str]:
    """A column of agents' or system's text, made visible."""

    @admin.display(description=title or column)
    def display(self: object, entry: LedgerEntry) -> str:
        return visible(getattr(entry, column)) or "-"

    return display


def preformatted(text: str) -> SafeString:
    return format_html("<pre>{}</pre>", visible(text, keep="\n"))


class EntryFilter(admin.ListFilter):
    """One form for all filters: fixed choices, exact values, from and to."""

    title = "entries"
    template = "ledger/admin/nothing.html"  # the form stands above the list

    def __init__(
        self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any
    ) -> None:
        super().__init__(request, params, model, model_admin)
        for name in self.expected_parameters():
            if name in params:
                self.used_parameters[name] = params.pop(name)[-1]

    def expected_parameters(self) -> list[Any]:
        return list(finding.NAMES)

    def has_output(self) -> bool:
        return True

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:
        return iter(())

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        try:
            return asked(request).apply(queryset)
        except BadFilter as wrong:
            messages.error(request, str(wrong))
            return queryset.none()


def asked(request: HttpRequest) -> Filters:
    """What the address asks for. Raises BadFilter."""
    return Filters.parse(request.GET.dict(), clock.now())


@admin.register(LedgerEntry)
class LedgerEntryAdmin(NotedAdmin, KeysetAdmin):
    """Newest first. Every filter and every search is one look-up along an index."""

    change_list_template = "ledger/admin/entry_list.html"
    list_display = (
        "id",
        "time",
        "event",
        "tier",
        "actor_shown",
        "agent_named",
        "proposal_shown",
        "object_shown",
        "outcome",
        "reason",
        "chain",
    )
    list_display_links = ("id",)
    list_filter = (EntryFilter,)
    search_fields = ("id",)  # shows the box; what is searched is decided in `finding`
    search_help_text = HINT
    fields = (
        "id",
        "stream_shown",
        "number",
        "neighbours",
        "time",
        "event",
        "actor_shown",
        "agent_shown",
        "proposal_shown",
        "object_shown",
        "run_shown",
        "chain",
        "body_shown",
        "canonical_shown",
        "hash_shown",
        "previous_shown",
    )
    readonly_fields = fields

    event = shown("kind", "event")
    stream_shown = shown("stream")
    agent_shown = shown("agent")
    object_shown = shown("object")
    run_shown = shown("run")

    @admin.display(description="time (UTC)")
    def time(self, entry: LedgerEntry) -> str:
        return precise(entry.at)

    @admin.display(description="tier")
    def tier(self, entry: LedgerEntry) -> str:
        return visible(entry.facet.tier) or "-"

    @admin.display(description="actor")
    def actor_shown(self, entry: LedgerEntry) -> str:
        name = f" ({entry.actor_name})" if entry.actor_name else ""
        return visible(entry.actor + name)

    @admin.display(description="agent")
    def agent_named(self, entry: Any) -> str:
        return visible(entry.agent_name or entry.agent) or "-"

    @admin.display(description="proposal")
    def proposal_shown(self, entry: LedgerEntry) -> str | SafeString:
        """The proposal, which leads to its whole story; in the list with its revision."""
        if not entry.proposal:
            return "-"
        name = visible(entry.proposal)
        revision = entry.facet.revision if hasattr(entry, "agent_name") else None
        told = f"{name}, revision {revision}" if revision else name
        url = explanation(entry.proposal, getattr(entry, "story", ""))
        return format_html('<a href="{}">{}</a>', url, told) if url else told

    @admin.display(description="outcome")
    def outcome(self, entry: LedgerEntry) -> str:
        return kinds.OUTCOMES.get(entry.kind, "-")

    @admin.display(description="reason")
    def reason(self, entry: LedgerEntry) -> str | SafeString:
        said = entry.facet.reason
        cut = visible(said[:REASON_SHOWN]) + ("…" if len(said) > REASON_SHOWN else "")
        return format_html("<bdi>{}</bdi>", cut) if cut else "-"

    @admin.display(description="chain")
    def chain(self, entry: Any) -> SafeString:
        if not hasattr(entry, "leaf"):  # the page of one entry, which has its bytes
            entry.leaf = leaves([entry.pk]).get(entry.pk)
            entry.is_broken = bool(patrol.fault(entry))
        state = chain_state(entry)
        return format_html('<span class="chain-{}">{}</span>', state.split()[0], state)

    @admin.display(description="body")
    def body_shown(self, entry: LedgerEntry) -> SafeString:
        return preformatted(json.dumps(entry.body, indent=2, ensure_ascii=False))

    @admin.display(description="canonical bytes")
    def canonical_shown(self, entry: LedgerEntry) -> SafeString:
        return preformatted(bytes(entry.canonical).decode(errors="backslashreplace"))

    @admin.display(description="hash")
    def hash_shown(self, entry: LedgerEntry) -> str:
        return bytes(entry.hash).hex()

    @admin.display(description="hash of the previous entry")
    def previous_shown(self, entry: LedgerEntry) -> str:
        return bytes(entry.previous).hex() or "none: this is the first of its stream"

    @admin.display(description="in this stream")
    def neighbours(self, entry: LedgerEntry) -> SafeString:
        """Links to the entries before and after."""
        around = {entry.number - 1: "previous", entry.number + 1: "next"}
        found = LedgerEntry.objects.filter(stream=entry.stream, number__in=around)
        links = SafeString("")
        for pk, number in found.order_by("number").values_list("pk", "number"):
            url = reverse("admin:ledger_ledgerentry_change", args=[pk])
            links += format_html('<a href="{}">{}: {}</a> ', url, around[number], pk)
        return links or SafeString("-")

    def get_urls(self) -> list[Any]:
        export = self.admin_site.admin_view(ExportView(self).open)
        count = self.admin_site.admin_view(CountView(self).open)
        suggest = self.admin_site.admin_view(SuggestView(self).open)
        return [
            path("export/", export, name="ledger_ledgerentry_export"),
            path("count/", count, name="ledger_ledgerentry_count"),
            path("suggest/", suggest, name="ledger_ledgerentry_suggest"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        match = request.resolver_match
        is_list = match is not None and match.url_name == "ledger_ledgerentry_changelist"
        return finding.listed() if is_list else super().get_queryset(request)

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ("-facet__at", "-facet__entry_id")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        """One exact look-up, by prefix or by the shape of the term; else a hint, never a scan."""
        term = search_term.strip()
        if not term:
            return queryset, False
        try:
            found = finding.search(queryset, term, asked(request).days)
        except BadFilter:  # which the filters have said already
            return queryset.none(), False
        if found is None:
            messages.info(request, HINT)
            return queryset.none(), False
        return found, False

    def prepare(self, entries: list[Any]) -> None:
        """What the rows of one page are shown with, in three statements however many they are."""
        sealed = leaves([entry.pk for entry in entries])
        broken = Broken.objects.filter(pk__in=[entry.pk for entry in entries])
        known = set(broken.values_list("pk", flat=True))
        names = agent_names({entry.agent for entry in entries if entry.agent})
        story = explanation(UNKNOWN)
        for entry in entries:
            entry.story = story
            entry.leaf, entry.agent_name = sealed.get(entry.pk), names.get(entry.agent, "")
            entry.is_broken = entry.pk in known

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list. What takes too long is given up, and the page says what to narrow."""
        if request.method == "POST":
            raise PermissionDenied
        try:
            filters = asked(request)
        except BadFilter:
            filters = Filters()
        context = surroundings.around(request, filters) | (extra_context or {})
        try:
            with patience():
                response = super().changelist_view(request, context)
                if isinstance(response, TemplateResponse):
                    response.render()
        except OperationalError as error:
            if not is_given_up(error):
                raise
            logger.warning("A list of the ledger took over %s s: %s", TIMEOUT_SECONDS, filters)
            return self.too_slow(request, filters)
        if response.status_code == 200:
            note_page(request, filters, response)
        return response

    def too_slow(self, request: HttpRequest, filters: Filters) -> HttpResponse:
        """Which filter would help: a shorter window, else something more exact."""
        is_long = not filters.is_default_window and filters.days > finding.DEFAULT_DAYS
        context = {
            **self.admin_site.each_context(request),
            "title": "This list would take too long",
            "seconds": TIMEOUT_SECONDS,
            "narrow": "Narrow From and To first: the window has no beginning, or is long."
            if is_long
            else "Narrow by an exact value: a proposal, an object, an agent or a digest.",
            "chips": [visible(words) for words in filters.words().values()],
            "list_url": reverse("admin:ledger_ledgerentry_changelist"),
        }
        return TemplateResponse(request, "ledger/admin/too_slow.html", context, status=503)


@admin.register(Access)
class AccessAdmin(KeysetAdmin):
    """Who read what. To read, like everything else here."""

    list_display = ("id", "time", "actor_shown", "what", "query_shown")
    fields = readonly_fields = list_display
    ordering = ("-id",)
    query_shown = shown("query")

    @admin.display(description="time (UTC)")
    def time(self, row: Access) -> str:
        return precise(row.at)

    @admin.display(description="actor")
    def actor_shown(self, row: Access) -> str:
        return visible(f"{row.actor} ({row.actor_name})")


def note_page(request: HttpRequest, filters: Filters, response: Any) -> None:
    """Keep which entries a page of the list showed, also when somebody pages on or back.

    They come first, so that nothing that was asked for can be so long that it cuts them off.
    """
    shown_entries = response.context_data["cl"].result_list
    told = "no entries"
    if shown_entries:
        told = f"entries {shown_entries[0].pk} to {shown_entries[-1].pk}"
    words = filters.words()
    is_step = bool({OLDER, NEWER} & set(request.GET))
    what = "page" if is_step else "search" if set(words) - {"at"} else "list"
    access.note(request.user, what, "; ".join([told, *words.values()]))


def leaves(pks: list[int]) -> dict[int, bytes]:
    """What was sealed of these entries."""
    found = Leaf.objects.filter(entry_id__in=pks).values_list("entry_id", "hash")
    return {pk: bytes(hash_) for pk, hash_ in found}


def chain_state(entry: Any) -> str:
    """Whether the hash of an entry is the one that was sealed, and nothing is known against it.

    A list reads no bytes: of those it says what the clock found.
    """
    if entry.is_broken:
        return BROKEN
    if entry.leaf is None:
        return UNSEALED
    return SEALED if entry.leaf == merkle.leaf_hash(bytes(entry.hash)) else BROKEN


def agent_names(ids: set[str]) -> dict[str, str]:
    """What agents were called when they were made, which is the first entry of their streams."""
    first = LedgerEntry.objects.filter(stream__in=[f"agent:{key}" for key in ids], number=1)
    names = {}
    for stream, data in first.values_list("stream", "canonical"):
        name = parse(bytes(data))["body"].get("name")
        names[stream.removeprefix("agent:")] = name if isinstance(name, str) else ""
    return names


def explanation(proposal: str, of_unknown: str = "") -> str:
    """The address of a proposal's story; empty if it has none here.

    Made from that of an unknown one, where many are made for one page.
    """
    try:
        key = str(UUID(proposal))
        return of_unknown.replace(UNKNOWN, key) if of_unknown else reverse("explain", args=[key])
    except (ValueError, NoReverseMatch):
        return ""
