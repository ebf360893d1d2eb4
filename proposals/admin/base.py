"""What the pages share: exact look-ups, links, history, and text that cannot deceive."""

import json
from collections.abc import Callable
from operator import attrgetter
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import BinaryField, Model, QuerySet, TextField
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from simple_history.admin import SimpleHistoryAdmin
from simple_history.template_utils import HistoricalRecordContextHelper

from ledger.readonly_admin import ByNameAdmin, CappedPaginator, KeysetAdmin, precise
from proposals import text
from proposals.exceptions import ProposalError

LINE_LIMIT = 200
TEXT_LIMIT = 100_000
LINKS_SHOWN = 20

Display = Callable[[Any, Any], Any]


def titled(column: str, title: str) -> Any:
    return admin.display(description=title or column.replace("_", " "))


def line(column: str, title: str = "") -> Display:
    """One line of what an agent or a target may have supplied, cut and made visible."""

    @titled(column, title)
    def display(self: Any, row: Any) -> str:
        return text.plain(getattr(row, column), LINE_LIMIT) or "-"

    return display


def whole(column: str, title: str = "") -> Display:
    """All of a text or JSON value, made visible. For the page of one row, never for a list."""

    @titled(column, title)
    def display(self: Any, row: Any) -> str | SafeString:
        value = getattr(row, column)
        if value is None or value == "":
            return "-"
        if isinstance(value, str):
            return format_html("<bdi>{}</bdi>", text.render(value, limit=TEXT_LIMIT))
        laid_out = json.dumps(value, indent=2, ensure_ascii=False)
        return format_html("<pre><bdi>{}</bdi></pre>", text.render(laid_out, limit=TEXT_LIMIT))

    return display


def moment(column: str, title: str = "") -> Display:
    """A time to the millisecond with its zone."""

    @titled(column, title)
    def display(self: Any, row: Any) -> str:
        value = getattr(row, column)
        return precise(value) if value else "-"

    return display


def link(column: str, title: str = "", shown: str = "") -> Display:
    """The row that a foreign key points at; `shown` is the path to what it is called by."""
    name = attrgetter(shown or f"{column}_id")

    @titled(column, title)
    def display(self: Any, row: Any) -> str | SafeString:
        pk = getattr(row, f"{column}_id")
        if pk is None:
            return "-"
        model = row._meta.get_field(column).related_model
        return format_html('<a href="{}">{}</a>', page_of(model, pk), name(row))

    return display


def several(title: str, find: Callable[[Any], QuerySet], column: str) -> Display:
    """Links to the rows that point here by `column`: the newest, then a list of all."""

    @admin.display(description=title)
    def display(self: Any, row: Any) -> str | SafeString:
        rows = find(row)
        named_by = NAMED_BY.get(rows.model.__name__, ())
        found = list(rows.only("pk", *named_by).order_by("-pk")[: LINKS_SHOWN + 1])
        if not found:
            return "none"
        links = format_html_join(
            " · ",
            '<a href="{}">{}</a>',
            ((page_of(rows.model, other.pk), str(other)) for other in found[:LINKS_SHOWN]),
        )
        if len(found) <= LINKS_SHOWN:
            return links
        return format_html(
            '{} · <a href="{}">all</a>', links, list_of(rows.model, **{f"{column}__exact": row.pk})
        )

    return display


# What the names of these rows are made of, so that their bodies need not be read.
NAMED_BY = {
    "Revision": ("proposal_id", "number"),
    "Check": ("proposal_id", "round"),
    "Execution": ("proposal_id", "attempt"),
    "AgentToken": ("key_id",),
}


def page_of(model: type[Model], pk: Any) -> str:
    """The address of a row's own page."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[pk])


def list_of(model: type[Model], **lookups: Any) -> str:
    """The address of a list, filtered."""
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return f"{address}?{urlencode(lookups)}"


def ledger_link(prefix: str, value: Any) -> SafeString:
    """Where the ledger tells about this."""
    address = reverse("admin:ledger_ledgerentry_changelist")
    query = urlencode({"q": f"{prefix}:{value}"})
    return format_html('<a href="{}?{}">ledger entries</a>', address, query)


def is_list(request: HttpRequest) -> bool:
    match = request.resolver_match
    return match is not None and (match.url_name or "").endswith("_changelist")


class ExactAdmin(KeysetAdmin):
    """A read-only list, searched by exact look-ups along indexes and never by a scan.

    `looked_up` maps a prefix of the search box to a look-up; a term without a prefix is tried as
    each of `bare` in turn, and taken for the first that it has the shape of.
    """

    ordering = ("-pk",)
    search_fields = ("pk",)  # shows the box; what is searched is decided below
    looked_up: ClassVar[dict[str, str]] = {}
    bare: ClassVar[tuple[str, ...]] = ()

    @property
    def search_help_text(self) -> str:  # type: ignore[override]
        return (
            "An exact value, or with what it is: "
            + " ".join(f"{prefix}:" for prefix in self.looked_up)
            + " followed by the exact value."
        )

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows = super().get_queryset(request)
        if not is_list(request):
            return rows
        bodies = (TextField, BinaryField)
        return rows.defer(*[f.name for f in self.opts.concrete_fields if isinstance(f, bodies)])

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        """One exact look-up; else a hint, never a scan."""
        term = search_term.strip()
        if not term:
            return queryset, False
        prefix, colon, value = term.partition(":")
        if colon and prefix.lower() in self.looked_up:
            tries = [(prefix.lower(), value.strip())]
        else:
            tries = [(name, term) for name in self.bare]
        for name, wanted in tries:
            try:
                return self.look_up(queryset, name, wanted), False
            except (ValueError, ValidationError):
                continue
        messages.info(request, self.search_help_text)
        return queryset.none(), False

    def look_up(self, rows: QuerySet, prefix: str, value: str) -> QuerySet:
        """Raises ValueError or ValidationError for what the column could never hold."""
        return rows.filter(**{self.looked_up[prefix]: value})

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method == "POST":
            raise PermissionDenied
        return super().changelist_view(request, extra_context)


class TierFilter(admin.SimpleListFilter):
    """Fixed choices: asking the table which values it holds would read all of it."""

    title = parameter_name = "tier"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in ("low", "medium", "high")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(tier=self.value()) if self.value() else queryset


class VisibleChanges(HistoricalRecordContextHelper):
    """What changed between two versions, without characters that would not be seen."""

    def prepare_delta_change_value(self, change: Any, value: Any) -> str:
        return text.plain(str(super().prepare_delta_change_value(change, value)))


class HistoryAdmin(SimpleHistoryAdmin):
    """History is for reading. Going back to an earlier version is an edit like any other.

    The package's own view would save an old version for anybody who may merely look at it, and
    past the verbs that write to the ledger.
    """

    object_history_list_template = "admin/proposals/history_list.html"

    def revert_disabled(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            return super().history_view(request, object_id, extra_context)
        except (ValueError, ValidationError):
            raise Http404 from None

    def history_form_view(
        self,
        request: HttpRequest,
        object_id: str,
        version_id: str,
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if request.method == "POST":
            raise PermissionDenied
        try:
            return super().history_form_view(request, object_id, version_id, extra_context)
        except (ValueError, ValidationError):
            raise Http404 from None

    def get_historical_record_context_helper(
        self, request: HttpRequest, historical_record: Any
    ) -> VisibleChanges:
        return VisibleChanges(self.model, historical_record)


class EditableAdmin(HistoryAdmin, ByNameAdmin):
    """What people configure: added and changed one at a time, and never deleted.

    What a verb refuses of a form that was found sound, since something changed in between, saves
    nothing of the page, and is shown at the form with what was typed.
    """

    actions = None
    sortable_by = ()
    list_per_page = 100
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = CappedPaginator

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except (ProposalError, ValidationError) as refusal:
            if request.method != "POST" or refusal_of(request):
                raise
            setattr(request, REFUSAL, sentences(refusal))
        return super().changeform_view(request, *args, **kwargs)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        if refusal := refusal_of(request):
            return type(form.__name__, (RefusedForm, form), {"refusal": refusal})
        return form


REFUSAL = "refusal_of_the_form"


def refusal_of(request: HttpRequest) -> list[str]:
    """Why a verb did not take what this request sent; empty if none has refused it."""
    said: list[str] = getattr(request, REFUSAL, [])
    return said


def sentences(refusal: ProposalError | ValidationError) -> list[str]:
    return refusal.messages if isinstance(refusal, ValidationError) else [str(refusal)]


class RefusedForm(forms.BaseModelForm):
    """A form whose content a verb has refused: not valid, and it says why."""

    refusal: ClassVar[list[str]] = []

    def full_clean(self) -> None:
        super().full_clean()
        if self.is_bound and not self._errors:  # type: ignore[attr-defined]
            self.add_error(None, [text.plain(said) for said in self.refusal])
