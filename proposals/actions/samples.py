"""What to try things with: a value that a column could hold, a row that is there. Only reads."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from proposals.actions import rows, tables
from proposals.actions.tables import Column, Kind, Table, in_utc
from proposals.exceptions import TargetRefused


def another(column: Column, value: Any) -> Any:
    """A value of the column's kind that is not this one."""
    if column.choices:
        return next((choice for choice in column.choices if choice != value), column.choices[0])
    if column.kind is Kind.BOOLEAN:
        return not value
    if column.kind is Kind.INTEGER:
        return (value or 0) + 1
    if column.kind is Kind.DECIMAL:
        return column.decimal(Decimal(value or 0).quantize(Decimal(1)) + 1)
    if column.kind is Kind.DATE:
        return (date.fromisoformat(value or "2026-01-01") + timedelta(days=1)).isoformat()
    if column.kind is Kind.TIMESTAMP:
        held = datetime.fromisoformat(value or "2026-01-01T00:00:00+00:00")
        return in_utc(held + timedelta(days=1))
    return f"{value or ''} (changed)"[-column.max_length :]


def first_key(table: Table) -> str | None:
    """The key of a row that is not archived; None if there is none."""
    key = rows.quoted(table, table.key)
    with rows.reading(table.database) as cursor:
        cursor.execute(
            f"SELECT {key} FROM {rows.quoted(table)} WHERE {live(table)} ORDER BY {key} LIMIT 1"
        )
        row = cursor.fetchone()
    return str(row[0]) if row else None


def count(table: Table) -> int:
    """How many rows are not archived."""
    with rows.reading(table.database) as cursor:
        cursor.execute(f"SELECT count(*) FROM {rows.quoted(table)} WHERE {live(table)}")
        return int(cursor.fetchone()[0])


def live(table: Table) -> str:
    column = table.archive_column or table.key
    return f"{rows.quoted(table, column)} IS {'' if table.archive_column else 'NOT '}NULL"


# What a table is said to lack where none has it.
NEEDS = {
    "writable": "has a writable column",
    "creatable": "is creatable",
    "archive_column": "has an archive_column",
}


def held_row(needed: str) -> tuple[Table, str, dict[str, Any]]:
    """A table that has what is needed, and a row of it with its values. Raises TargetRefused."""
    for table in tables.tables().values():
        if not getattr(table, needed):
            continue
        key = first_key(table)
        held = rows.read(table, [key], list(table.columns))[key] if key else None
        if key and held is not None:
            return table, key, held
    raise TargetRefused(f"No described table {NEEDS[needed]} and holds a row to try it with.")


def new_values(table: Table, held: dict[str, Any]) -> dict[str, Any]:
    """Values for a new row, like those of one that is there, so that what they refer to exists."""
    needed = {name: column for name, column in table.writable.items() if column.required}
    return {
        name: another(column, held[name])
        if column.kind is Kind.TEXT and not column.choices
        else held[name]
        for name, column in (needed or dict(list(table.writable.items())[:1])).items()
    }
