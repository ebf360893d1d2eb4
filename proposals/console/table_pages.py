"""Pages on the tables of a connected database: which agents may write to, and what in them."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from ledger.canonical import digest
from proposals import services, text
from proposals.console.admission import Request, people_only
from proposals.console.database_forms import IDENTIFIER, TableForm, initial_of
from proposals.console.databases import find, may_configure, require, switched
from proposals.exceptions import InvalidRequest, NotFound, ProposalError
from proposals.models import Database, DescribedTable
from proposals.targets import examples, grants, inspection, wiring
from proposals.targets.inspection import Found, Unreachable


@require_GET
@people_only
def tables(request: Request, name: str) -> HttpResponse:
    """Which tables are there, and which may agents write to?"""
    require(may_configure(request.user))
    database = find(name)
    described = {row.name: row for row in database.tables.all()}
    refusal, seen = "", []
    try:
        seen = inspection.tables_of(database)
    except Unreachable as error:
        refusal = str(error)
    listed = [
        {
            "name": table,
            "described": described.get(table),
            "is_missing": table not in seen,
            "can_be_named": bool(IDENTIFIER.fullmatch(table)),
        }
        for table in sorted({*seen, *described})
    ]
    context = {
        "place": "databases",
        "database": database,
        "listed": listed,
        "refusal": refusal,
        "may_configure": may_configure(request.user),
    }
    return render(request, "console/database_tables.html", context)


@require_http_methods(["GET", "POST"])
@people_only
def table(request: Request, name: str, table: str) -> HttpResponse:
    """What may agents write here? By POST first an example on a real row, and then it is kept.

    Rows of the target are shown to those who may configure, and to nobody else.
    """
    require(may_configure(request.user))
    database = find(name)
    if not IDENTIFIER.fullmatch(table):
        raise Http404
    row = database.tables.filter(name=table).first()
    try:
        columns = inspection.columns_of(database, table)
    except Unreachable as error:
        context = {"place": "databases", "database": database, "name": table, "row": row}
        return render(
            request, "console/table_form.html", {**context, "unreachable": str(error)}, status=409
        )
    if not columns and row is None:
        raise Http404
    page = TablePage(request, database, table, row, columns)
    return page.answer()


class TablePage:
    """The form of one table, the example that it leads to, and keeping what was seen."""

    def __init__(
        self,
        request: Request,
        database: Database,
        name: str,
        row: DescribedTable | None,
        columns: list[Found],
    ) -> None:
        self.request, self.database, self.name, self.row = request, database, name, row
        self.columns = columns
        initial = initial_of(row.definition if row else None, columns)
        self.form = TableForm(request.POST or None, columns=columns, initial=initial)
        self.context: dict[str, Any] = {"refusal": ""}

    def answer(self) -> HttpResponse:
        if self.request.method != "POST":
            return self.show(200)
        if not self.form.is_valid():
            return self.show(422)
        definition = self.form.definition()
        try:
            described = services.databases.understood(self.database.name, self.name, definition)
            if self.request.POST.get("seen") == digest(definition):
                return self.keep(definition)
        except InvalidRequest as error:
            self.form.refuse(error)
            return self.show(422)
        except ProposalError as error:
            self.context["refusal"] = str(error)
            return self.show(422)
        wiring.refresh()
        self.context["example"] = examples.example_of(self.database, described)
        self.context["described"] = described
        self.context["seen"] = digest(definition)
        if self.database.is_postgresql:
            self.context["grant_sql"] = grants.table(self.database, described)
        return self.show(200)

    def keep(self, definition: dict[str, Any]) -> HttpResponse:
        services.describe_table(
            database=self.database.name,
            name=self.name,
            definition=definition,
            person=self.request.user,
        )
        full_name = f"{self.database.name}.{self.name}"
        messages.success(
            self.request,
            f"{full_name} may be written to as described, from the next proposal on.",
        )
        return redirect("database", name=self.database.name)

    def show(self, status: int) -> HttpResponse:
        context = {
            "place": "databases",
            "database": self.database,
            "name": self.name,
            "row": self.row,
            "form": self.form,
            "left_out": self.left_out(),
            "changes": self.row.history.select_related("history_user")[:20] if self.row else [],
            "may_configure": may_configure(self.request.user),
            **self.context,
        }
        return render(self.request, "console/table_form.html", context, status=status)

    def left_out(self) -> list[str]:
        """Columns that cannot be written to through here, with their types."""
        return [
            f"{text.plain(found.name, 63)} ({text.plain(found.type, 60)})"
            for found in self.columns
            if not found.kinds or not IDENTIFIER.fullmatch(found.name)
        ]


@require_POST
@people_only
def switch(request: Request, name: str, table: str) -> HttpResponse:
    """Let agents write to a table, or stop them."""
    is_enabled = request.POST.get("to") == "on"
    try:
        services.switch_table(database=name, name=table, is_enabled=is_enabled, person=request.user)
    except NotFound as error:
        raise Http404 from error
    except ProposalError as error:
        messages.error(request, f"Nothing was changed: {error}")
    else:
        messages.success(request, switched(f"{name}.{table}", is_enabled))
    return redirect("database", name=name)
