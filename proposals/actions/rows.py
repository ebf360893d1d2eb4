"""Rows of a target, as SQL: read, change, insert. The one place that speaks to targets.

Identifiers come from the allow-list and are quoted by the database's own rules; values are bound.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django.db import DatabaseError, connections

from proposals.actions.tables import Kind, Table
from proposals.exceptions import TargetRefused, TargetUnavailable

Image = dict[str, dict[str, Any] | None]
# What stands for a moment that is only known when the write happens.
AT_COMMIT = "the moment of the commit"


@contextmanager
def cursor(table: Table) -> Iterator[Any]:
    with connections[table.database].cursor() as opened:
        yield opened


def require_reachable(alias: str) -> None:
    """Open the connection before anything is sent: a failure here is definitely "not sent"."""
    connection = connections[alias]
    try:
        if connection.connection is not None and not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        connection.ensure_connection()
    except DatabaseError as error:
        raise TargetUnavailable(f"{alias} cannot be reached.") from error


def read(table: Table, keys: list[str], columns: list[str], *, cursor: Any = None) -> Image:
    """What the rows hold in these columns, by key. TargetRefused if one does not exist.

    With the cursor of an open transaction the rows are locked until it ends.
    """
    if cursor is None:
        require_reachable(table.database)
        with connections[table.database].cursor() as opened:
            return fetch(table, keys, columns, opened, "")
    is_postgresql = connections[table.database].vendor == "postgresql"
    return fetch(table, keys, columns, cursor, " FOR UPDATE" if is_postgresql else "")


def fetch(table: Table, keys: list[str], columns: list[str], cursor: Any, lock: str) -> Image:
    quote = connections[table.database].ops.quote_name
    wanted = {table.key_value(key): key for key in keys}
    marks = ", ".join(["%s"] * len(wanted))
    names = ", ".join(quote(name) for name in (table.key, *columns))
    cursor.execute(
        f"SELECT {names} FROM {quote(table.name)} "
        f"WHERE {quote(table.key)} IN ({marks}) ORDER BY {quote(table.key)}{lock}",
        list(wanted),
    )
    found = {
        wanted[row[0]]: {
            name: table.columns[name].as_json(value)
            for name, value in zip(columns, row[1:], strict=True)
        }
        for row in cursor.fetchall()
    }
    missing = [key for key in keys if key not in found]
    if missing:
        raise TargetRefused(f"There is no row {', '.join(missing[:5])} in {table.full_name}.")
    return {key: found[key] for key in keys}


def change(cursor: Any, table: Table, keys: list[str], values: dict[str, Any]) -> None:
    """Set columns of rows that were read in this transaction. All of them, or TargetRefused."""
    quote = connections[table.database].ops.quote_name
    marks = ", ".join(["%s"] * len(keys))
    assignments = ", ".join(f"{quote(name)} = %s" for name in values)
    cursor.execute(
        f"UPDATE {quote(table.name)} SET {assignments} WHERE {quote(table.key)} IN ({marks})",
        [*bound(table, values), *(table.key_value(key) for key in keys)],
    )
    if cursor.rowcount != len(keys):
        raise TargetRefused(f"{cursor.rowcount} of {len(keys)} rows were changed; none is kept.")


def insert(cursor: Any, table: Table, values: dict[str, Any]) -> str:
    """Insert one row and return its key."""
    quote = connections[table.database].ops.quote_name
    names = ", ".join(quote(name) for name in values)
    marks = ", ".join(["%s"] * len(values))
    cursor.execute(
        f"INSERT INTO {quote(table.name)} ({names}) VALUES ({marks}) RETURNING {quote(table.key)}",
        bound(table, values),
    )
    return str(cursor.fetchone()[0])


def bound(table: Table, values: dict[str, Any]) -> list[Any]:
    """Values as the database stores them; the text of a moment is the same on both."""
    is_sqlite = connections[table.database].vendor == "sqlite"
    return [
        int(value)
        if is_sqlite and table.columns[name].kind is Kind.BOOLEAN and value is not None
        else value
        for name, value in values.items()
    ]


def moment_now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def stamped(values: dict[str, Any]) -> dict[str, Any]:
    """The values, with the moment of the commit where that is what they stand for."""
    return {name: moment_now() if value == AT_COMMIT else value for name, value in values.items()}
