"""Pages on the databases that agents may write to. What may be done is the services' to say."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from proposals import rights, services
from proposals.actions import tables
from proposals.console.admission import Request, people_only
from proposals.console.database_forms import ConnectionForm
from proposals.exceptions import InvalidRequest, NotFound, ProposalError
from proposals.models import Database, DescribedTable
from proposals.targets import grants, inspection, wiring
from proposals.targets.inspection import Report

CHANGES_SHOWN = 20
NO_RIGHT = "This takes a right that you do not have; a policy administrator has it."


def may_configure(user: Any) -> bool:
    return rights.has(user, rights.CONFIGURE_DATABASES)


def may_test(user: Any) -> bool:
    """Operators look after what others set up."""
    return may_configure(user) or rights.has(user, rights.RETRY)


def require(is_allowed: bool) -> None:
    if not is_allowed:
        raise PermissionDenied(NO_RIGHT)


def find(name: str) -> Database:
    try:
        return Database.objects.get(name=name)
    except Database.DoesNotExist:
        raise Http404 from None


@require_GET
@people_only
def databases(request: Request) -> HttpResponse:
    """Where may agents write?"""
    wiring.refresh()
    closed = tables.current().closed
    described: dict[int, list[DescribedTable]] = {}
    for table in DescribedTable.objects.all():
        described.setdefault(table.database_id, []).append(table)
    rows = [
        {
            "database": database,
            "tables": described.get(database.pk, []),
            "open": [
                table
                for table in described.get(database.pk, [])
                if f"{database.name}.{table.name}" not in closed
            ],
        }
        for database in Database.objects.all()
    ]
    from_files = sorted(tables.from_files())
    context = {
        "place": "databases",
        "rows": rows,
        "from_files": from_files,
        "may_configure": may_configure(request.user),
    }
    return render(request, "console/databases.html", context)


class DatabasePage:
    """One connection: what it is, what a test found, its tables, its SQL and its changes."""

    def __init__(self, database: Database, user: Any, report: Report | None = None) -> None:
        wiring.refresh()
        self.database, self.report = database, report
        self.may_configure = may_configure(user)
        self.may_test = may_test(user)
        self.may_stop = self.may_configure or rights.has(user, rights.FREEZE)
        _, self.is_password_lost = wiring.stored_password(database)
        self.lost = wiring.LOST.format(database.name) if self.is_password_lost else ""
        closed = tables.current().closed
        rows = list(database.tables.all())
        self.tables = [(row, closed.get(f"{database.name}.{row.name}", "")) for row in rows]
        self.receipt_sql = grants.receipt_table()
        self.role_sql = self.role(rows) if database.is_postgresql else ""
        self.changes = database.history.select_related("history_user")[:CHANGES_SHOWN]

    def role(self, rows: list[DescribedTable]) -> str:
        parts = [grants.role(self.database)]
        for row in rows:
            try:
                table = services.databases.understood(self.database.name, row.name, row.definition)
            except InvalidRequest:
                continue
            parts.append(grants.table(self.database, table))
        return "\n".join(parts)


@require_GET
@people_only
def database(request: Request, name: str) -> HttpResponse:
    """What is this connection, and what may be written over it?"""
    page = DatabasePage(find(name), request.user)
    return render(request, "console/database.html", {"place": "databases", "page": page})


@require_POST
@people_only
def test(request: Request, name: str) -> HttpResponse:
    """Try the connection, and say in plain words what was found."""
    require(may_test(request.user))
    found = find(name)
    report = inspection.look(found)
    page = DatabasePage(found, request.user, report)
    return render(request, "console/database.html", {"place": "databases", "page": page})


@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
@people_only
def connect(request: Request) -> HttpResponse:
    """Connect a database."""
    form = ConnectionForm(request.POST or None)

    def verb() -> Database:
        return services.connect_database(
            database=Database(**form.wanted()),
            password=form.cleaned_data["password"],
            person=request.user,
        )

    return keep(request, form, verb, None)


@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
@people_only
def change(request: Request, name: str) -> HttpResponse:
    """Change where a connection leads, or enter its password again."""
    found = find(name)
    initial = {field: getattr(found, field) for field in services.databases.PLACE}
    form = ConnectionForm(request.POST or None, database=found, initial=initial)

    def verb() -> Database:
        return services.change_database(
            name=name,
            changes=form.wanted(),
            password=form.cleaned_data["password"],
            person=request.user,
        )

    return keep(request, form, verb, found)


def keep(
    request: Request, form: ConnectionForm, verb: Callable[[], Database], found: Database | None
) -> HttpResponse:
    """The form; or, when it was sent and taken, the page of the database, already tested."""
    refusal = ""
    if request.method == "POST" and form.is_valid():
        try:
            kept = verb()
        except ValidationError as error:
            form.refuse_invalid(error)
        except InvalidRequest as error:
            form.refuse(error)
        except ProposalError as error:
            refusal = str(error)
        else:
            done = "Changed" if found else "Connected"
            messages.success(request, f"{done}: {kept.name}. Test it before you choose tables.")
            return redirect("database", name=kept.name)
    context = {
        "place": "databases",
        "form": form,
        "found": found,
        "refusal": refusal,
        "may_configure": may_configure(request.user),
    }
    is_refused = request.method == "POST"
    return render(request, "console/database_form.html", context, status=422 if is_refused else 200)


@require_POST
@people_only
def switch(request: Request, name: str) -> HttpResponse:
    """Let agents write to a database, or stop them."""
    is_enabled = request.POST.get("to") == "on"
    try:
        services.switch_database(name=name, is_enabled=is_enabled, person=request.user)
    except NotFound as error:
        raise Http404 from error
    except ProposalError as error:
        messages.error(request, f"Nothing was changed: {error}")
    else:
        messages.success(request, switched(name, is_enabled))
    return redirect("database", name=name)


def switched(what: str, is_enabled: bool) -> str:
    if is_enabled:
        return f"{what} is on again. What waited is checked again."
    return f"{what} is switched off. No write to it begins from now on."
