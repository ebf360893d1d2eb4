"""What people call rows and values of described tables. For display, and no part of a write."""

import re

from proposals.actions import rows, tables
from proposals.actions.rows import Image
from proposals.actions.tables import Column, Table
from proposals.meanings import Meaning


def meanings(table: Table) -> dict[str, Meaning]:
    """How the columns of a table are read, by name."""
    return {
        name: Meaning(
            label=one.label,
            kind=one.kind.value,
            values=one.value_labels,
            refers_to=place_of(table, one),
            currency=one.currency_column,
        )
        for name, one in table.columns.items()
    }


def place_of(table: Table, column: Column) -> str:
    """The table whose rows a column refers to; empty unless it is offered now and has names.

    What nobody offered is not read for its names either, and a key that is not the described one
    would name another row.
    """
    if not column.refers_to:
        return ""
    name, key = column.refers_to.split(".")
    place = f"{table.database}.{name}"
    other = tables.tables().get(place)
    return place if other and other.label_column and other.key == key else ""


def names(table: Table, keys: list[str]) -> dict[str, str]:
    """What people call these rows, by key, in one statement; only of those that have a name."""
    held = held_in(table, keys, [table.label_column]) if table.label_column else {}
    found = {key: (image or {}).get(table.label_column) for key, image in held.items()}
    return {key: str(name) for key, name in found.items() if name not in (None, "")}


def held_in(table: Table, keys: list[str], columns: list[str]) -> Image:
    """What these rows hold now; of what is no key of the table, such as of a new row, nothing."""
    fitting = [key for key in keys if re.fullmatch(table.key_pattern, key)]
    return rows.read(table, fitting, columns) if fitting else {}
