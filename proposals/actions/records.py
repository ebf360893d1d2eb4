"""Writing rows of described tables: create, update, archive; and restore, which undoes them."""

from collections.abc import Collection
from typing import Any

from pydantic import TypeAdapter

from proposals.actions import record_params as shapes
from proposals.actions import rows, samples, tables, wording
from proposals.actions.measures import impact_of, tier_of
from proposals.actions.rows import AT_COMMIT, Image
from proposals.actions.tables import Table
from proposals.actions.writing import ChangesRows, RecordsAction, fault, require_kept, table_of
from proposals.exceptions import TargetRefused
from proposals.registry import Call, Conflict, Outcome, Preview, register


@register
class UpdateRecords(ChangesRows):
    """Set columns of one row, or the same columns of several; all or nothing."""

    name = "records.update"
    title = "Change rows of a table"
    description = (
        "Set allow-listed columns of one row (key) or of up to 100 rows (keys). The rows must "
        "exist. Can be undone."
    )

    def adapter(self) -> TypeAdapter:
        return shapes.update_adapter()

    def sentence(self, params: dict[str, Any]) -> str:
        table = table_of(params)
        return wording.setting("Change", table, self.keys(params), params["set"])

    def changes(self, table: Table, params: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return {key: params["set"] for key in self.keys(params)}

    def example(self) -> dict[str, Any]:
        table, key, held = samples.held_row("writable")
        name, column = next(iter(table.writable.items()))
        new = samples.another(column, held[name])
        return {"table": table.full_name, "key": key, "set": {name: new}}


@register
class ArchiveRecords(ChangesRows):
    """Mark rows as archived; nothing is ever deleted."""

    name = "records.archive"
    title = "Archive rows"
    description = "Set the soft-delete column of one row (key) or several (keys). Can be undone."

    def adapter(self) -> TypeAdapter:
        return shapes.archive_adapter()

    def sentence(self, params: dict[str, Any]) -> str:
        return f"Archive {wording.named(table_of(params), self.keys(params))}"

    def changes(self, table: Table, params: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return {key: {table.archive_column: AT_COMMIT} for key in self.keys(params)}

    def example(self) -> dict[str, Any]:
        table, key, _ = samples.held_row("archive_column")
        return {"table": table.full_name, "key": key}


@register
class CreateRecord(RecordsAction):
    """Insert one row."""

    name = "records.create"
    title = "Create a row"
    description = (
        "Insert one row into an allow-listed table; the result names its key. Can be undone where "
        "the table has a column for archiving."
    )
    is_additive = True

    def adapter(self) -> TypeAdapter:
        return shapes.create_adapter()

    def faults_of(self, params: dict[str, Any]) -> list[dict[str, str]]:
        return []

    def keys(self, params: dict[str, Any]) -> list[str]:
        return []

    def sentence(self, params: dict[str, Any]) -> str:
        return f"Create {wording.with_article(table_of(params).one)}"

    def preview(self, params: dict[str, Any]) -> Preview:
        table, valid = self.understood(params)
        values = valid["values"]
        return Preview(
            before={"new": None},
            after={"new": values},
            impact=impact_of(table, {"new": None}, {"new": values}, self.name),
            tier=tier_of(table, values),
            compensation=archiving(table, "new", values),
        )

    def example(self) -> dict[str, Any]:
        table, _, held = samples.held_row("creatable")
        return {"table": table.full_name, "values": samples.new_values(table, held)}

    def write(
        self, cursor: Any, table: Table, params: dict[str, Any], expected: dict[str, Any]
    ) -> Outcome:
        values = params["values"]
        key = rows.insert(cursor, table, values)
        require_kept(table, rows.read(table, [key], values, cursor=cursor), {key: values})
        return Outcome(
            result={"table": table.full_name, "key": key, "rows": 1},
            after={key: values},
            compensation=archiving(table, key, values),
        )


@register
class RestoreRecords(ChangesRows):
    """Put rows back to the values they had, where they still hold what the commit wrote."""

    name = "records.restore"
    title = "Put rows back"
    description = "The compensation of the other records actions."
    is_internal = True
    Params = shapes.Restore

    def adapter(self) -> TypeAdapter:
        return TypeAdapter(shapes.Restore)

    def faults_of(self, params: dict[str, Any]) -> list[dict[str, str]]:
        """Only what agents may write can be put back, and only with values of its kind.

        An undo can be amended by the agent that asked for it, so this is a door like the others.
        """
        table = tables.tables().get(params["table"])
        if table is None:
            return [fault("/table", "unknown-table", "This is not one of the described tables.")]
        found = []
        if len({row["key"] for row in params["rows"]}) != len(params["rows"]):
            found.append(fault("/rows", "duplicate-key", "Every key once."))
        for number, row in enumerate(params["rows"]):
            place = f"/rows/{number}"
            if not shapes.is_key(table, row["key"]):
                found.append(fault(f"{place}/key", "no-key", "Not a key of this table."))
            for part in ("set", "expect"):
                for name, value in row[part].items():
                    if not shapes.may_be_put_back(table, name, value):
                        detail = "Not a column that can be put back, or not a value of its kind."
                        found.append(fault(f"{place}/{part}", "not-restorable", detail))
        return found

    def keys(self, params: dict[str, Any]) -> list[str]:
        return [row["key"] for row in params["rows"]]

    def sentence(self, params: dict[str, Any]) -> str:
        table, keys = table_of(params), self.keys(params)
        columns = {name: row["set"][name] for row in params["rows"] for name in row["set"]}
        if list(columns) != [table.archive_column]:
            return wording.setting("Put back", table, keys, columns)
        if columns[table.archive_column] is None:
            return f"Take {wording.named(table, keys)} out of the archive"
        return f"Archive {wording.named(table, keys)}"

    def changes(self, table: Table, params: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return {row["key"]: row["set"] for row in params["rows"]}

    def watched(self, table: Table, params: dict[str, Any]) -> set[str]:
        return {name for row in params["rows"] for name in row["expect"]}

    def look(self, table: Table, params: dict[str, Any], new: dict[str, dict[str, Any]]) -> Image:
        try:
            return super().look(table, params, new)
        except TargetRefused:  # what is only read to be measured keeps nobody from an undo
            return rows.read(table, list(new), self.read_with(table, params, new))

    def objection(self, table: Table, held: Image) -> str:
        return ""  # whatever stands in the way is a conflict, which people can go ahead over

    def conflicts(self, params: dict[str, Any], held: Image) -> tuple[Conflict, ...]:
        """The fields that no longer hold what the compensated commit wrote."""
        return tuple(
            Conflict(row["key"], name, value, (held[row["key"]] or {}).get(name))
            for row in params["rows"]
            for name, value in row["expect"].items()
            if (held[row["key"]] or {}).get(name) != value
        )

    def reversing(
        self, table: Table, params: dict[str, Any], before: Image, after: Image
    ) -> Call | None:
        """The mirror image: it expects what this one leaves, in all the columns this one read."""
        mirrored = [
            {
                "key": row["key"],
                "set": before[row["key"]],
                "expect": {**row["expect"], **(after[row["key"]] or {})},
            }
            for row in params["rows"]
        ]
        return Call(self.name, {"table": table.full_name, "rows": mirrored})

    def parts(self, params: dict[str, Any]) -> list[str]:
        return self.keys(params)

    def part(self, params: dict[str, Any], objects: Collection[str]) -> dict[str, Any]:
        return {**params, "rows": [row for row in params["rows"] if row["key"] in objects]}

    def example(self) -> dict[str, Any]:
        table, key, held = samples.held_row("writable")
        name, column = next(iter(table.writable.items()))
        row = {
            "key": key,
            "set": {name: samples.another(column, held[name])},
            "expect": {name: held[name]},
        }
        return {"table": table.full_name, "rows": [row]}

    def over_conflicts(
        self, params: dict[str, Any], conflicts: tuple[Conflict, ...]
    ) -> dict[str, Any]:
        found = {(each.object, each.field): each.found for each in conflicts}
        return {
            **params,
            "rows": [
                {
                    **row,
                    "expect": {
                        name: found.get((row["key"], name), value)
                        for name, value in row["expect"].items()
                    },
                }
                for row in params["rows"]
            ],
        }


def archiving(table: Table, key: str, values: dict[str, Any]) -> Call | None:
    """How a created row is taken back: archived, never deleted. None where that is impossible."""
    if not table.archive_column:
        return None
    row = {
        "key": key,
        "set": {table.archive_column: AT_COMMIT},
        "expect": {**values, table.archive_column: None},
    }
    return Call("records.restore", {"table": table.full_name, "rows": [row]})
