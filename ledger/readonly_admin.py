"""Lists that can be read and nothing else, and that cost the same at millions of rows."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.dateparse import parse_datetime
from django.utils.functional import cached_property

COUNT_CAP = 1000
OLDER, NEWER = "older", "newer"


class CappedCount(int):
    """A number of rows that was not counted beyond the cap, and says so: `1,000+`."""

    def __str__(self) -> str:
        return f"{COUNT_CAP:,}+" if self > COUNT_CAP else f"{int(self):,}"


class CappedPaginator(Paginator):
    """Counts no further than the cap, so that the last page is never far from the first."""

    @cached_property
    def count(self) -> CappedCount:
        listed: Any = self.object_list
        rows = listed.order_by()[: COUNT_CAP + 1]
        return CappedCount(rows.count())

    @cached_property
    def num_pages(self) -> int:
        return max(1, -(-min(self.count, COUNT_CAP) // self.per_page))


class KeysetChangeList(ChangeList):
    """Pages by boundary row and without offset: `?older=<id>` and `?newer=<id>`.

    Works for any model whose ordering ends in its primary key, all descending.
    """

    def get_filters_params(self, params: dict[str, Any] | None = None) -> dict[str, Any]:
        kept = super().get_filters_params(params)
        return {name: value for name, value in kept.items() if name not in (OLDER, NEWER)}

    def get_results(self, request: HttpRequest) -> None:
        pages = self.model_admin.get_paginator(request, self.queryset, self.list_per_page)
        rows, has_older, has_newer = self._page()
        self.result_list = rows
        self.result_count = pages.count
        self.paginator = pages
        self.full_result_count = None
        self.show_full_result_count = self.can_show_all = self.multi_page = False
        self.show_admin_actions = False
        self.older_link = self._link(OLDER, rows[-1]) if rows and has_older else ""
        self.newer_link = self._link(NEWER, rows[0]) if rows and has_newer else ""
        is_moved = OLDER in self.params or NEWER in self.params
        self.newest_link = self.get_query_string(remove=[OLDER, NEWER]) if is_moved else ""

    def _page(self) -> tuple[list[Any], bool, bool]:
        """The rows to show, and whether there are older and newer ones."""
        size = self.list_per_page
        if newer := self._boundary(NEWER):
            rows = list(self._beyond(newer, is_newer=True).reverse()[: size + 1])
            return rows[:size][::-1], True, len(rows) > size
        older = self._boundary(OLDER)
        rows = list((self._beyond(older, is_newer=False) if older else self.queryset)[: size + 1])
        return rows[:size], len(rows) > size, older is not None

    def _boundary(self, name: str) -> Any | None:
        """The row that the page starts beyond; a row that is not there means the newest page."""
        if not self.params.get(name):
            return None
        try:
            return self.model._base_manager.filter(pk=self.params[name]).first()
        except (ValueError, ValidationError):
            return None

    def _beyond(self, boundary: Any, *, is_newer: bool) -> QuerySet:
        names = [name.lstrip("-") for name in self.queryset.query.order_by]
        test = "gt" if is_newer else "lt"
        values = {name: getattr(boundary, name) for name in names}
        reached: dict[str, Any] = {}
        rest = Q()
        for name in names:
            rest |= Q(**reached, **{f"{name}__{test}": values[name]})
            reached[name] = values[name]
        # The first column once more, as a range that an index can follow.
        return self.queryset.filter(**{f"{names[0]}__{test}e": values[names[0]]}).filter(rest)

    def _link(self, name: str, row: Any) -> str:
        return self.get_query_string({name: row.pk}, remove=[OLDER, NEWER])


class MomentFilter(admin.ListFilter):
    """From and to, in UTC. Subclass with the name of the column."""

    title = "time (UTC)"
    template = "ledger/admin/moment_filter.html"
    column = "at"

    def __init__(
        self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any
    ) -> None:
        super().__init__(request, params, model, model_admin)
        for name in self.expected_parameters():
            if name in params:
                self.used_parameters[name] = params.pop(name)[-1].strip()

    def expected_parameters(self) -> list[Any]:
        return [f"{self.column}_from", f"{self.column}_to"]

    def has_output(self) -> bool:
        return True

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:
        """Both inputs, and what else the address says, to be sent along."""
        names = self.expected_parameters()
        inputs = [
            {"name": name, "label": label, "value": self.used_parameters.get(name, "")}
            for name, label in zip(names, ("From", "To"), strict=True)
        ]
        others = [
            (key, value)
            for key, values in changelist.filter_params.items()
            if key not in (*names, OLDER, NEWER)
            for value in values
        ]
        clear = changelist.get_query_string(remove=[*names, OLDER, NEWER])
        is_active = any(self.used_parameters.values())
        yield {"inputs": inputs, "others": others, "clear": clear, "is_active": is_active}

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        tests = {}
        for name, test in zip(self.expected_parameters(), ("gte", "lt"), strict=True):
            if given := self.used_parameters.get(name, ""):
                moment = utc(str(given))
                if moment is None:
                    messages.error(request, "A time looks like 2026-11-22 09:30, in UTC.")
                    return queryset.none()
                tests[f"{self.column}__{test}"] = moment
        return queryset.filter(**tests)


def utc(text: str) -> datetime | None:
    """A moment as typed; without a zone it is UTC. None when it is none."""
    try:
        moment = parse_datetime(text)
        return moment and (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def precise(moment: datetime) -> str:
    """A moment to the millisecond with its zone, as auditors read it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"


class ReadOnlyAdmin(admin.ModelAdmin):
    """Four doors shut: add, change, delete, and whatever actions do in bulk."""

    actions = None
    list_per_page = 100
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    paginator = CappedPaginator

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class KeysetAdmin(ReadOnlyAdmin):
    """A read-only list that pages by boundary row."""

    change_list_template = "ledger/admin/keyset_list.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetChangeList
