"""The databases of an installation, before anything is stored in them."""

import contextlib
import sqlite3
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, DatabaseError, OperationalError, connections
from psycopg import errors, sql

from proposals.management.supervisor import CannotStart

MAINTENANCE = ("postgres", "template1")
NEVER_PREPARED = (
    "This database was never prepared: `make run` or manage.py migrate does that. If there is "
    "another, DATABASE_URL or COUNTERSIGN_DATA names it."
)
OF_THE_FILE = {
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR),
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT),
}


def require_own() -> None:
    """Raise CannotStart, with a sentence, when the product's own database does not answer."""
    own = connections[DEFAULT_DB_ALIAS]
    try:
        own.ensure_connection()
    except OperationalError as error:
        raise CannotStart(f"The database in DATABASE_URL does not answer: {plain(error)}") from None


def ensure_shop(alias: str) -> None:
    """Make the demonstration's own database where the server has none of that name yet."""
    shop = connections[alias]
    if shop.vendor != "postgresql":
        return
    try:
        if not exists(shop.settings_dict):
            create(shop.settings_dict)
        refuse_our_own(shop)
    except (OperationalError, psycopg.Error) as error:
        name = shop.settings_dict["NAME"]
        raise CannotStart(
            f"The demonstration shop needs a database of its own, {name!r}: {plain(error)} "
            "Create it, or name another in SHOP_DATABASE_URL, or set DEMO=0 to do without the shop."
        ) from None


def exists(settings: dict[str, Any]) -> bool:
    with maintenance(settings) as connection:
        question = "SELECT 1 FROM pg_database WHERE datname = %s"
        return connection.execute(question, [settings["NAME"]]).fetchone() is not None


def create(settings: dict[str, Any]) -> None:
    another_was_quicker = contextlib.suppress(errors.DuplicateDatabase, errors.UniqueViolation)
    with maintenance(settings) as connection, another_was_quicker:
        name = sql.Identifier(settings["NAME"])
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))


def refuse_our_own(shop: Any) -> None:
    """Two addresses may mean one database; agents must never write to ours."""
    with shop.cursor() as cursor:
        cursor.execute("SELECT to_regclass('ledger_ledgerentry') IS NOT NULL")
        if cursor.fetchone()[0]:
            raise CannotStart("SHOP_DATABASE_URL is the database of a Countersign; name another.")


def maintenance(settings: dict[str, Any]) -> psycopg.Connection:
    """A connection to a database that every server has, for statements about databases."""
    options = {name: value for name, value in settings["OPTIONS"].items() if name != "pool"}
    last: Exception | None = None
    for name in MAINTENANCE:
        try:
            return psycopg.connect(
                dbname=name,
                user=settings["USER"] or None,
                password=settings["PASSWORD"] or None,
                host=settings["HOST"] or None,
                port=settings["PORT"] or None,
                autocommit=True,
                **options,
            )
        except psycopg.OperationalError as error:
            last = error
    raise last or psycopg.OperationalError("no maintenance database")


def trouble(error: DatabaseError) -> str:
    """What keeps a command from the database, as a sentence; empty for a fault of the product."""
    cause = error.__cause__
    if isinstance(cause, errors.UndefinedTable) or str(error).startswith("no such table"):
        return "" if is_prepared() else NEVER_PREPARED
    if not isinstance(error, OperationalError):
        return ""
    # SQLite tells what is wrong with a statement by the same class as what is wrong with a file.
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None and code & 0xFF not in OF_THE_FILE:
        return ""
    return f"The database does not answer: {plain(error)}"


def is_prepared() -> bool:
    """Whether migrations were ever made here; so too where that cannot be told."""
    try:
        return "django_migrations" in connections[DEFAULT_DB_ALIAS].introspection.table_names()
    except DatabaseError:
        return True


def plain(error: Exception) -> str:
    """The last line that the server said, as a sentence."""
    lines = str(error).strip().splitlines() or ["no reason given"]
    return lines[-1].removeprefix("FATAL:").strip().rstrip(".") + "."
