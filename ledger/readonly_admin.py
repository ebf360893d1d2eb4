"""Lists that can be read and nothing else, and that cost the same at millions of rows."""

import json
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import quote, unquote
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import get_permission_codename
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.core.paginator import Paginator
from django.db import connection
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.dateparse import parse_datetime
from django.utils.functional import cached_property

from ledger import access

COUNT_CAP = 1000
OLDER, NEWER = "older", "newer"
UNKNOWN = "00000000-0000-0000-0000-000000000000"  # a key of any kind, where one is to be filled in


class CappedCount(int):
    """A number of rows that was not counted beyond the cap, and says so: `1,000+`."""

    @property
    def is_capped(self) -> bool:
        return self > COUNT_CAP

    def __str__(self) -> str:
        return f"{COUNT_CAP:,}+" if self > COUNT_CAP else f"{int(self):,}"


class CappedPaginator(Paginator):
    """Counts no further than the cap, so that the last page is never far from the first."""

    @cached_property
    def count(self) -> CappedCount:
        listed: Any = self.object_list
        # In the order of the list: so the index of that order is followed, and no join is made up
        # of everything that came before.
        rows = listed[: COUNT_CAP + 1]
        return CappedCount(rows.count())

    @cached_property
    def num_pages(self) -> int:
        return max(1, -(-min(self.count, COUNT_CAP) // self.per_page))

    @cached_property
    def estimate(self) -> str:
        """Beyond the cap, what PostgreSQL's planner believes; empty where nobody can say."""
        if self.count <= COUNT_CAP or connection.vendor != "postgresql":
            return ""
        listed: Any = self.object_list
        (plan,) = json.loads(listed.order_by().explain(format="json"))
        rows = plan["Plan"]["Plan Rows"]
        return f"about {rows:,} as PostgreSQL estimates" if rows > COUNT_CAP else ""


class KeysetChangeList(ChangeList):
    """Pages by boundary row and without offset: `?older=<id>` and `?newer=<id>`.

    Works for any model whose ordering ends in its primary key, all descending. The addresses of its
    rows are made from one: Django's way goes through every address of the site twice for each row.
    """

    def url_for_result(self, result: Any) -> str:
        """Where a row leads, with the filters of this list to come back to."""
        return self.row_address.replace(UNKNOWN, str(quote(result.pk)), 1) + self.way_back

    @cached_property
    def row_address(self) -> str:
        return super().url_for_result(self.model(pk=UNKNOWN))

    def get_filters_params(self, params: dict[str, Any] | None = None) -> dict[str, Any]:
        kept = super().get_filters_params(params)
        return {name: value for name, value in kept.items() if name not in (OLDER, NEWER)}

    def get_results(self, request: HttpRequest) -> None:
        self.way_back = f"?{self.preserved_filters}" if self.preserved_filters else ""
        self.preserved_filters = ""  # of each row; the page's own are not read from here
        pages = self.model_admin.get_paginator(request, self.queryset, self.list_per_page)
        rows, has_older, has_newer = self._page()
        model_admin: Any = self.model_admin
        model_admin.prepare(rows)
        self.result_list = rows
        self.result_count = pages.count
        self.estimate = getattr(pages, "estimate", "")
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
            row = self.model._base_manager.filter(pk=self.params[name]).first()
            if row is not None:
                self._values(row)
        except (ValueError, ValidationError, ObjectDoesNotExist):
            return None
        return row

    def _values(self, row: Any) -> dict[str, Any]:
        """What a row is ordered by, also through relations."""
        names = [name.lstrip("-") for name in self.queryset.query.order_by]
        return {name: attrgetter(name.replace("__", "."))(row) for name in names}

    def _beyond(self, boundary: Any, *, is_newer: bool) -> QuerySet:
        values = self._values(boundary)
        names = list(values)
        test = "gt" if is_newer else "lt"
        reached: dict[str, Any] = {}
        rest = Q()
        for name in names:
            rest |= Q(**reached, **{f"{name}__{test}": values[name]})
            reached[name] = values[name]
        # The first column once more, as a range that an index can follow.
        return self.queryset.filter(**{f"{names[0]}__{test}e": values[names[0]]}).filter(rest)

    def _link(self, name: str, row: Any) -> str:
        return self.get_query_string({name: row.pk}, remove=[OLDER, NEWER])


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


class ByNameAdmin(admin.ModelAdmin):
    """Opens for rights that are held by name: Django's own answer to a superuser is always yes."""

    def holds(self, request: HttpRequest, verb: str) -> bool:
        """Whether whoever asks holds the right to do this to rows of this kind."""
        codename = get_permission_codename(verb, self.opts)
        return access.holds(request.user, self.opts.app_label, codename)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.holds(request, "view") or self.holds(request, "change")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.holds(request, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.holds(request, "change")


class ReadOnlyAdmin(ByNameAdmin):
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


class NotedAdmin(ReadOnlyAdmin):
    """Who opens the page of a row is kept in the access log."""

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        response = super().change_view(request, object_id, form_url, extra_context)
        self.note(request, response, unquote(object_id))
        return response

    def note(self, request: HttpRequest, response: HttpResponse, what: str) -> None:
        """Keep that a row was read, by its kind and name, if it was there to be read."""
        if response.status_code == 200:
            access.note(request.user, str(self.opts.verbose_name), what)


class KeysetAdmin(ReadOnlyAdmin):
    """A read-only list that pages by boundary row."""

    change_list_template = "ledger/admin/keyset_list.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetChangeList

    def prepare(self, rows: list[Any]) -> None:
        """Override to fetch, for all rows of a page at once, what they are shown with."""
