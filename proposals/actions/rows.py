"""Rows of a target, as SQL: read, change, insert. The one place that speaks to targets.

Identifiers come from the allow-list and are quoted by the database's own rules; values are bound.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

from django.db import (
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    connections,
    transaction,
)

from proposals.actions.tables import Kind, Table, in_utc, is_connected, is_target
from proposals.exceptions import TargetRefused, TargetUnavailable

Image = dict[str, dict[str, Any] | None]
# What stands for a moment that is only known when the write happens.
AT_COMMIT = "the moment of the commit"
# A statement that waits longer than this gives up well before the worker's lease ends.
LIMITS = "SET LOCAL statement_timeout = '15s'; SET LOCAL lock_timeout = '10s'"
READ_ONLY = "SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = '5s'"


def alias_of(full_name: str) -> str:
    """The database of a table's name, also of one that is described no longer."""
    alias = full_name.partition(".")[0]
    if not is_target(alias):
        raise TargetRefused(f"There is no target database {alias!r}.")
    return alias


@contextmanager
def writing(alias: str) -> Iterator[Any]:
    """A cursor in one transaction of the target.

    TargetUnavailable until it has begun, TargetRefused where the database says a definite no;
    any other error, also of the COMMIT, is left as it is: nobody knows what became of it.
    """
    with ExitStack() as stack:
        stack.enter_context(refusals(alias))
        with unavailable(alias):
            usable(alias)
            stack.enter_context(transaction.atomic(using=alias, durable=True))
            cursor = stack.enter_context(connections[alias].cursor())
            if connections[alias].vendor == "postgresql":
                cursor.execute(LIMITS)
        yield cursor


@contextmanager
def reading(alias: str) -> Iterator[Any]:
    """A cursor that cannot write where the database can promise that; nothing stays open."""
    with ExitStack() as stack:
        stack.enter_context(refusals(alias))
        with unavailable(alias):
            usable(alias)
            # On SQLite a transaction begins with the write lock, which a reader need not take.
            if connections[alias].vendor == "postgresql":
                stack.enter_context(transaction.atomic(using=alias, durable=True))
            cursor = stack.enter_context(connections[alias].cursor())
            if connections[alias].vendor == "postgresql":
                cursor.execute(READ_ONLY)
        yield cursor


def usable(alias: str) -> None:
    """Open the connection, or replace one that died since it was last used."""
    connection = connections[alias]
    if not connection.in_atomic_block:
        if is_connected(alias) and connection.settings_dict is not connections.settings[alias]:
            connection.close()  # it leads to where the database was before somebody changed it
            del connections[alias]
            connection = connections[alias]
        connection.close_if_unusable_or_obsolete()
    connection.ensure_connection()


@contextmanager
def unavailable(alias: str) -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise TargetUnavailable(f"{alias} cannot be reached.") from error


@contextmanager
def refusals(alias: str) -> Iterator[None]:
    """Tell what the database refuses in a sentence that repeats no value."""
    try:
        yield
    except IntegrityError as error:
        raise TargetRefused(f"{alias} refuses it: {constraint_of(error)}.") from error
    except DataError as error:
        raise TargetRefused(f"{alias} refuses it: a value does not fit its column.") from error
    except ProgrammingError as error:
        raise unprepared(alias, error) from error
    except OperationalError as error:
        if not str(error).startswith(("no such ", "table ")):  # SQLite's word for a missing table
            raise
        raise unprepared(alias, error) from error


def unprepared(alias: str, error: Exception) -> TargetRefused:
    said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return TargetRefused(f"{alias} is not prepared: {said} (docs/tables.md says how).")


def constraint_of(error: Exception) -> str:
    """What was violated, by the name its owner gave it."""
    diagnosis = getattr(error.__cause__, "diag", None)
    if diagnosis is None:  # SQLite names constraint or column, and no value
        return str(error)[:200]
    name = diagnosis.constraint_name or diagnosis.column_name
    return f"constraint {name}" if name else "a constraint"


def read(table: Table, keys: list[str], columns: Iterable[str], *, cursor: Any = None) -> Image:
    """What the rows hold in these columns, by key; None where there is no such row.

    With the cursor of an open transaction the rows are locked until it ends.
    """
    if cursor is None:
        with reading(table.database) as opened:
            return fetch(table, keys, list(columns), opened, "")
    is_postgresql = connections[table.database].vendor == "postgresql"
    return fetch(table, keys, list(columns), cursor, " FOR UPDATE" if is_postgresql else "")


def fetch(table: Table, keys: list[str], columns: list[str], cursor: Any, lock: str) -> Image:
    """One query, in the order of the key, so that two writers never wait for each other."""
    key_name, names = quoted(table, table.key), [quoted(table, name) for name in columns]
    marks = ", ".join(["%s"] * len(keys))
    cursor.execute(
        f"SELECT {', '.join([key_name, *names])} FROM {quoted(table)} "
        f"WHERE {key_name} IN ({marks}) ORDER BY {key_name}{lock}",
        [table.key_value(key) for key in keys],
    )
    found: Image = {}
    for row in cursor.fetchall():
        key = str(row[0])
        if key in found:
            raise TargetRefused(f"The key of {table.full_name} does not name one row.")
        found[key] = {
            name: value_of(table, name, value) for name, value in zip(columns, row[1:], strict=True)
        }
    return {key: found.get(key) for key in keys}


def value_of(table: Table, name: str, value: Any) -> Any:
    column = table.columns[name]
    try:
        return column.as_json(value)
    except (ValueError, TypeError) as error:
        raise TargetRefused(
            f"{table.full_name}.{name} holds what is no {column.kind}, so it is left alone."
        ) from error


def change(cursor: Any, table: Table, keys: list[str], values: dict[str, Any]) -> None:
    """Set columns of rows that were read in this transaction. All of them, or TargetRefused."""
    marks = ", ".join(["%s"] * len(keys))
    assignments = ", ".join(f"{quoted(table, name)} = %s" for name in values)
    cursor.execute(
        f"UPDATE {quoted(table)} SET {assignments} WHERE {quoted(table, table.key)} IN ({marks})",
        [*bound(table, values), *(table.key_value(key) for key in keys)],
    )
    if cursor.rowcount != len(keys):
        raise TargetRefused(f"{cursor.rowcount} of {len(keys)} rows were changed; none is kept.")


def insert(cursor: Any, table: Table, values: dict[str, Any]) -> str:
    """Insert one row and return its key."""
    names = ", ".join(quoted(table, name) for name in values)
    marks = ", ".join(["%s"] * len(values))
    cursor.execute(
        f"INSERT INTO {quoted(table)} ({names}) VALUES ({marks}) "
        f"RETURNING {quoted(table, table.key)}",
        bound(table, values),
    )
    return str(cursor.fetchone()[0])


def quoted(table: Table, name: str | None = None) -> str:
    """The table, or a column of the allow-list, as an identifier; nothing else becomes SQL."""
    if name is not None and name != table.key and name not in table.columns:
        raise TargetRefused(f"There is no such column in {table.full_name}.")
    return connections[table.database].ops.quote_name(table.name if name is None else name)


def bound(table: Table, values: dict[str, Any]) -> list[Any]:
    """Values as the database stores them; the text of a moment is the same on both."""
    is_sqlite = connections[table.database].vendor == "sqlite"
    return [
        int(value)
        if is_sqlite and table.columns[name].kind is Kind.BOOLEAN and value is not None
        else value
        for name, value in values.items()
    ]


def moment_now(cursor: Any, alias: str) -> str:
    """The target's own clock; on SQLite that is this machine's."""
    if connections[alias].vendor != "postgresql":
        return in_utc(datetime.now(UTC))
    cursor.execute("SELECT clock_timestamp()")
    return in_utc(cursor.fetchone()[0])
