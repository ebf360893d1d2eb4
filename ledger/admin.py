"""The auditor's view of the ledger."""

import json
import re
from collections.abc import Callable
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ledger.models import LedgerEntry
from ledger.readonly_admin import KeysetAdmin, MomentFilter, precise

PREFIXES = ("entry", "proposal", "agent", "actor", "kind", "object", "run", "stream")
HINT = (
    "Search for an entry number or an id, or say what it is: "
    + " ".join(f"{prefix}:" for prefix in PREFIXES)
    + " followed by the exact value."
)
# Printable by Unicode's classes, and yet nothing or another thing is seen.
UNSEEN = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)


def visible(text: str, *, keep: str = "") -> str:
    """Text in which every character that would not be seen is written as its escape."""
    return "".join(
        char
        if char in keep or (char.isprintable() and not UNSEEN.match(char))
        else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def shown(column: str, title: str = "") -> Callable[[object, LedgerEntry], str]:
    """A column of agents' or system's text, made visible."""

    @admin.display(description=title or column)
    def display(self: object, entry: LedgerEntry) -> str:
        return visible(getattr(entry, column)) or "-"

    return display


def preformatted(text: str) -> SafeString:
    return format_html("<pre>{}</pre>", visible(text, keep="\n"))


@admin.register(LedgerEntry)
class LedgerEntryAdmin(KeysetAdmin):
    """Newest first. Every search is one exact look-up along an index."""

    list_display = (
        "id",
        "time",
        "event",
        "actor_shown",
        "proposal_shown",
        "object_shown",
        "run_shown",
    )
    list_display_links = ("id",)
    list_filter = (MomentFilter,)
    search_fields = ("id",)  # shows the box; what is searched is decided below
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
        "body_shown",
        "canonical_shown",
        "hash_shown",
        "previous_shown",
    )
    readonly_fields = fields

    event = shown("kind", "event")
    stream_shown = shown("stream")
    agent_shown = shown("agent")
    proposal_shown = shown("proposal")
    object_shown = shown("object")
    run_shown = shown("run")

    @admin.display(description="time")
    def time(self, entry: LedgerEntry) -> str:
        return precise(entry.at)

    @admin.display(description="actor")
    def actor_shown(self, entry: LedgerEntry) -> str:
        name = f" ({entry.actor_name})" if entry.actor_name else ""
        return visible(entry.actor + name)

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

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        entries = super().get_queryset(request)
        match = request.resolver_match
        is_list = match is not None and match.url_name == "ledger_ledgerentry_changelist"
        return entries.defer("canonical", "previous", "hash") if is_list else entries

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Within a window of time, along the index of times."""
        is_window = request.GET.get("at_from") or request.GET.get("at_to")
        return ("-at", "-id") if is_window else ("-id",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        """One exact look-up, by prefix or by the shape of the term; else a hint, never a scan."""
        term = search_term.strip()
        if not term:
            return queryset, False
        prefix, colon, value = term.partition(":")
        column = prefix.lower() if colon and prefix.lower() in PREFIXES else ""
        value = value.strip() if column else term
        if column == "entry" or (not column and value.isascii() and value.isdigit()):
            found = by_number(queryset, value)
        elif column:
            found = queryset.filter(**{column: value}) if value else None
        else:
            found = by_shape(queryset, value)
        if found is None:
            messages.info(request, HINT)
            return queryset.none(), False
        return found, False


def by_number(entries: QuerySet, value: str) -> QuerySet | None:
    if value.isascii() and value.isdigit() and len(value) < 19:
        return entries.filter(pk=int(value))
    return None


def by_shape(entries: QuerySet, value: str) -> QuerySet | None:
    """What a bare term can be: an id, or a user or part of the system as an actor."""
    if value.startswith(("user:", "system:")):
        return entries.filter(actor=value)
    try:
        key = str(UUID(value))
    except ValueError:
        return None
    of_proposal = entries.filter(proposal=key)
    return of_proposal if of_proposal.exists() else entries.filter(agent=key)
