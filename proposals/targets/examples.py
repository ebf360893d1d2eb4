"""An example write on a real row: what it holds, what it would hold. Only reads."""

from dataclasses import dataclass
from typing import Any

from proposals.actions import rows, samples, wording
from proposals.actions.measures import tier_of
from proposals.actions.tables import Table
from proposals.exceptions import ActionError
from proposals.models import Database
from proposals.targets import inspection
from proposals.targets.inspection import Unreachable


@dataclass(frozen=True)
class Example:
    """One change that an agent could propose; or, in `note`, why none can be shown."""

    key: str = ""
    known_as: str = ""
    column: str = ""
    before: Any = None
    after: Any = None
    sentence: str = ""
    tier: str = ""
    note: str = ""
    is_broken: bool = False


def example_of(database: Database, table: Table) -> Example:
    """A change of the first writable column of the first row. Never raises for the target."""
    try:
        inspection.require_foreign(database)
        key = samples.first_key(table)
        if key is None:
            return Example(note="The table has no rows yet, so there is nothing to show.")
        held = rows.read(table, [key], list(table.columns))[key]
    except (Unreachable, ActionError) as error:
        return Example(note=str(error), is_broken=True)
    if held is None:
        return Example(
            note=f"The row with the key {wording.named(table, [key])} cannot be found by that key.",
            is_broken=True,
        )
    known_as = str(held.get(table.label_column) or "") if table.label_column else ""
    if not table.writable:
        return Example(key=key, known_as=known_as, note="No column is writable, so none changes.")
    name, column = next(iter(table.writable.items()))
    after = samples.another(column, held[name])
    return Example(
        key=key,
        known_as=known_as,
        column=name,
        before=held[name],
        after=after,
        sentence=wording.setting("Change", table, [key], {name: after}),
        tier=tier_of(table, [name]),
    )
