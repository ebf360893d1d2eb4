"""Writing rows of configured tables: create, update, archive; and restore, which undoes them.

Delivery is TRANSACTIONAL: effect and receipt commit in one transaction of the target, in which the
approved before-image is compared first. No SQL is made from what an agent sent: identifiers come
from the allow-list, values are bound.
"""

import re
from decimal import Decimal
from typing import Any

from django.db import DataError, IntegrityError, ProgrammingError, transaction
from pydantic import TypeAdapter, ValidationError

from proposals.actions import record_params as shapes
from proposals.actions import receipts, rows, tables
from proposals.actions.rows import AT_COMMIT, Image
from proposals.actions.tables import Table
from proposals.exceptions import InvalidParams, StaleTarget, TargetRefused
from proposals.registry import (
    Action,
    Call,
    Conflict,
    Delivery,
    Impact,
    Money,
    Outcome,
    Preview,
    Tier,
    faults,
    plain,
    pointer,
    register,
)

SPEAKABLE = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class RecordsAction(Action):
    """What the four have in common: validation by table, one transaction with its receipt."""

    delivery = Delivery.TRANSACTIONAL
    Params = dict

    def validate(self, params: Any) -> dict[str, Any]:
        try:
            return plain(self.adapter().validate_python(params))
        except ValidationError as error:
            raise InvalidParams(
                f"The parameters do not fit {self.name}.",
                errors=[pointer(without_tag(fault), "/params") for fault in faults(error)],
            ) from None

    def resource(self, params: dict[str, Any]) -> str:
        keys = self.keys(params)
        return f"{params['table']}/{keys[0]}" if len(keys) == 1 else params["table"]

    def keys(self, params: dict[str, Any]) -> list[str]:
        return shapes.rows_of(params)

    def apply(self, params: dict[str, Any], *, key: str, expected: dict[str, Any]) -> Outcome:
        table = table_of(params)
        rows.require_reachable(table.database)
        try:
            with transaction.atomic(using=table.database), rows.cursor(table) as cursor:
                earlier = receipts.take(cursor, key, "applied")
                if earlier is not None:
                    return earlier
                outcome = self.write(cursor, table, params, expected)
                receipts.keep(cursor, key, outcome)
                return outcome
        except (IntegrityError, DataError) as error:
            raise TargetRefused(
                f"{table.full_name} refuses these values: {brief(error)}"
            ) from error
        except ProgrammingError as error:
            raise TargetRefused(
                f"{table.database} is not prepared: {brief(error)} (docs/tables.md says how)"
            ) from error

    def void(self, params: dict[str, Any], *, key: str) -> Outcome | None:
        table = table_of(params)
        with transaction.atomic(using=table.database), rows.cursor(table) as cursor:
            return receipts.take(cursor, key, "void")

    def write(
        self, cursor: Any, table: Table, params: dict[str, Any], expected: dict[str, Any]
    ) -> Outcome:
        """Compare and change, in the open transaction of the target."""
        raise NotImplementedError


@register
class UpdateRecords(RecordsAction):
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
        table, keys = table_of(params), self.keys(params)
        columns = " and ".join(sorted(params["set"]))
        text = f"Change {columns} of {named(table, keys)}"
        if len(params["set"]) == 1:
            [(name, value)] = params["set"].items()
            if table.columns[name].choices:
                text += f" to {value}"
        return text

    def preview(self, params: dict[str, Any]) -> Preview:
        table = table_of(params)
        before = rows.read(table, self.keys(params), list(params["set"]))
        after = {key: {**image, **params["set"]} for key, image in before.items()}
        return Preview(
            before=before,
            after=after,
            impact=impact_of(table, before, after, f"Changes {', '.join(sorted(params['set']))}"),
            tier=tier_of(table, params["set"]),
            compensation=restoring(table, before, after),
        )

    def write(
        self, cursor: Any, table: Table, params: dict[str, Any], expected: dict[str, Any]
    ) -> Outcome:
        keys = self.keys(params)
        before = rows.read(table, keys, list(params["set"]), cursor=cursor)
        require_unchanged(before, expected)
        rows.change(cursor, table, keys, params["set"])
        after = {key: {**image, **params["set"]} for key, image in before.items()}
        return Outcome(
            result={"table": table.full_name, "keys": keys, "rows": len(keys)},
            after=after,
            compensation=restoring(table, before, after),
        )


@register
class CreateRecord(RecordsAction):
    """Insert one row."""

    name = "records.create"
    title = "Create a row"
    description = (
        "Insert one row into an allow-listed table; the result names its key. Can be undone where "
        "the table has a column for archiving."
    )

    def adapter(self) -> TypeAdapter:
        return shapes.create_adapter()

    def keys(self, params: dict[str, Any]) -> list[str]:
        return []

    def sentence(self, params: dict[str, Any]) -> str:
        return f"Create a {table_of(params).label}"

    def preview(self, params: dict[str, Any]) -> Preview:
        table = table_of(params)
        rows.require_reachable(table.database)
        before: Image = {"new": None}
        after: Image = {"new": params["values"]}
        return Preview(
            before=before,
            after=after,
            impact=Impact(objects=1, reasons=(f"Creates one {table.label}.",)),
            tier=tier_of(table, params["values"]),
            compensation=archiving(table, "new", params["values"]),
        )

    def write(
        self, cursor: Any, table: Table, params: dict[str, Any], expected: dict[str, Any]
    ) -> Outcome:
        key = rows.insert(cursor, table, params["values"])
        return Outcome(
            result={"table": table.full_name, "key": key, "rows": 1},
            after={key: params["values"]},
            compensation=archiving(table, key, params["values"]),
        )


@register
class ArchiveRecords(RecordsAction):
    """Mark rows as archived; nothing is ever deleted."""

    name = "records.archive"
    title = "Archive rows"
    description = "Set the soft-delete column of one row (key) or several (keys). Can be undone."

    def adapter(self) -> TypeAdapter:
        return shapes.archive_adapter()

    def sentence(self, params: dict[str, Any]) -> str:
        return f"Archive {named(table_of(params), self.keys(params))}"

    def preview(self, params: dict[str, Any]) -> Preview:
        table = table_of(params)
        before = rows.read(table, self.keys(params), [table.archive_column])
        require_not_archived(table, before)
        after: Image = {key: {table.archive_column: AT_COMMIT} for key in before}
        return Preview(
            before=before,
            after=after,
            impact=impact_of(table, before, after, "Archives"),
            tier=tier_of(table, [table.archive_column]),
            compensation=restoring(table, before, after),
        )

    def write(
        self, cursor: Any, table: Table, params: dict[str, Any], expected: dict[str, Any]
    ) -> Outcome:
        keys = self.keys(params)
        before = rows.read(table, keys, [table.archive_column], cursor=cursor)
        require_unchanged(before, expected)
        values = {table.archive_column: rows.moment_now()}
        rows.change(cursor, table, keys, values)
        after: Image = {key: dict(values) for key in keys}
        return Outcome(
            result={"table": table.full_name, "keys": keys, "rows": len(keys)},
            after=after,
            compensation=restoring(table, before, after),
        )


@register
class RestoreRecords(RecordsAction):
    """Put rows back to the values they had, where they still hold what the commit wrote."""

    name = "records.restore"
    title = "Put rows back"
    description = "The compensation of the other records actions."
    is_internal = True
    Params = shapes.Restore

    def adapter(self) -> TypeAdapter:
        return TypeAdapter(shapes.Restore)

    def keys(self, params: dict[str, Any]) -> list[str]:
        return [row["key"] for row in params["rows"]]

    def sentence(self, params: dict[str, Any]) -> str:
        columns = sorted({column for row in params["rows"] for column in row["set"]})
        return f"Put back {' and '.join(columns)} of {named(table_of(params), self.keys(params))}"

    def preview(self, params: dict[str, Any]) -> Preview:
        table = table_of(params)
        before = self.current(table, params)
        after: Image = {
            row["key"]: {**(before[row["key"]] or {}), **row["set"]} for row in params["rows"]
        }
        columns = {column for row in params["rows"] for column in row["set"]}
        return Preview(
            before=before,
            after=after,
            impact=impact_of(table, before, after, f"Puts back {', '.join(sorted(columns))}"),
            tier=tier_of(table, columns),
            compensation=restoring(table, before, after),
            conflicts=tuple(conflicts(params, before)),
        )

    def current(self, table: Table, params: dict[str, Any], cursor: Any = None) -> Image:
        """What the rows hold now in every column that is set or expected."""
        columns = sorted({name for row in params["rows"] for name in (*row["set"], *row["expect"])})
        return rows.read(table, self.keys(params), columns, cursor=cursor)

    def write(
        self, cursor: Any, table: Table, params: dict[str, Any], expected: dict[str, Any]
    ) -> Outcome:
        before = self.current(table, params, cursor)
        require_unchanged(before, expected)
        if conflicts(params, before):
            raise StaleTarget(before)
        after: Image = {}
        for row in params["rows"]:
            values = rows.stamped(row["set"])
            rows.change(cursor, table, [row["key"]], values)
            after[row["key"]] = {**(before[row["key"]] or {}), **values}
        return Outcome(
            result={"table": table.full_name, "keys": self.keys(params), "rows": len(after)},
            after=after,
            compensation=restoring(table, before, after),
        )

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


def table_of(params: dict[str, Any]) -> Table:
    """The table of a call that was valid once; TargetRefused if it is configured no longer."""
    try:
        return tables.get(params["table"])
    except LookupError as error:
        raise TargetRefused(str(error)) from error


def require_unchanged(found: Image, expected: dict[str, Any]) -> None:
    """The approved before-image, compared in the transaction that writes."""
    if found != expected:
        raise StaleTarget(found)


def require_not_archived(table: Table, before: Image) -> None:
    gone = [key for key, image in before.items() if image and image[table.archive_column]]
    if gone:
        raise TargetRefused(f"{table.full_name} {', '.join(gone[:5])}: archived already.")


def conflicts(params: dict[str, Any], found: Image) -> list[Conflict]:
    """The fields that no longer hold what the compensated commit wrote."""
    return [
        Conflict(row["key"], name, value, (found[row["key"]] or {}).get(name))
        for row in params["rows"]
        for name, value in row["expect"].items()
        if (found[row["key"]] or {}).get(name) != value
    ]


def restoring(table: Table, before: Image, after: Image) -> Call:
    """The call that puts `before` back, where `after` still stands."""
    put_back = [
        {"key": key, "set": dict(image or {}), "expect": dict(after[key] or {})}
        for key, image in before.items()
    ]
    return Call("records.restore", {"table": table.full_name, "rows": put_back})


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


def tier_of(table: Table, columns: Any) -> Tier:
    """The strictest tier of the touched columns; what is not described is high."""
    return Tier.strictest(
        *(table.columns[name].tier if name in table.columns else Tier.HIGH for name in columns)
    )


def impact_of(table: Table, before: Image, after: Image, verb: str) -> Impact:
    count = len(before)
    reason = f"{verb} of {count} {table.label}{'s' if count != 1 else ''}."
    return Impact(objects=count, amount=money_at_stake(table, before, after), reasons=(reason,))


def money_at_stake(table: Table, before: Image, after: Image) -> Money | None:
    """By how much money columns change, if that is one currency; None where none changes."""
    totals: dict[str, Decimal] = {}
    for name in (name for name, column in table.columns.items() if column.currency_column):
        touched = {key for key, image in before.items() if image and name in image}
        if not touched:
            continue
        currencies = rows.read(table, sorted(touched), [table.columns[name].currency_column])
        for key in touched:
            currency = str((currencies[key] or {})[table.columns[name].currency_column])
            old, new = (before[key] or {})[name], (after[key] or {})[name]
            change = abs(Decimal(new or 0) - Decimal(old or 0))
            totals[currency] = totals.get(currency, Decimal(0)) + change
    if len(totals) != 1:
        return None
    [(currency, amount)] = totals.items()
    return Money(amount, currency)


def named(table: Table, keys: list[str]) -> str:
    """The rows in words; a key that could say something else is left out."""
    if len(keys) != 1:
        return f"{len(keys)} {table.label}s"
    return f"{table.label} {keys[0]}" if SPEAKABLE.fullmatch(keys[0]) else f"one {table.label}"


def without_tag(fault: Any) -> Any:
    """A fault's place without the table's name, which only tells pydantic's models apart."""
    place = fault["loc"]
    if place and place[0] in tables.tables():
        return {**fault, "loc": place[1:]}
    if fault["type"].startswith("union_tag"):
        return {**fault, "loc": ("table",), "msg": "This is not one of the tables you may write."}
    return fault


def brief(error: Exception) -> str:
    """The database's own first line; it names columns and constraints, and never a password."""
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else "no reason given"
