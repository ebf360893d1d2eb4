"""Refuses what no database stores, before a page looks for it."""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponseBase

from proposals import text
from proposals.console.errors import is_of_programs


class StorableTextOnly:
    """400 for a page whose address or query has a NUL in it.

    PostgreSQL raises where it meets one, and SQLite looks for it. Forms name their field, and the
    programs' doors theirs.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *view: Any) -> None:
        """Raises BadRequest."""
        if is_of_programs(request.path):
            return
        given = [request.path]
        for name, values in request.GET.lists():
            given += [name, *values]
        if not all(map(text.is_storable, given)):
            raise BadRequest("There is a NUL in it, which cannot be stored.")
