"""How the records actions write: validation, one transaction, receipt, comparison, read-back.

Delivery is TRANSACTIONAL: effect and receipt commit in one transaction of the target, in which the
approved before-image is compared first. No SQL is made from what an agent sent: identifiers come
from the allow-list, values are bound. What the database then holds is read back: if it made
something else of it, nothing is kept, for seen is committed.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import ValidationError

from ledger.canonical import canonical
from proposals import crashpoints
from proposals.actions import naming, receipts, rows, samples, tables, wording
from proposals.actions import record_params as shapes
from proposals.actions.measures import impact_of, read_for_money, tier_of
from proposals.actions.rows import AT_COMMIT, Image
from proposals.actions.tables import Table
from proposals.exceptions import InvalidParams, StaleTarget, TargetRefused
from proposals.meanings import Meaning
from proposals.registry import (
    Action,
    Call,
    Conflict,
    Delivery,
    Outcome,
    Preview,
    faults,
    pointer,
)


class RecordsAction(Action):
    """What the four have in common: validation by table, one transaction with its receipt."""

    delivery = Delivery.TRANSACTIONAL
    Params: ClassVar[Any] = dict

    def schema(self) -> dict[str, Any]:
        made = self.adapter().json_schema(schema_generator=shapes.WithoutDefaults)
        return {"type": "object", **made}

    def validate(self, params: Any) -> dict[str, Any]:
        try:
            valid = self.adapter().validate_python(params)
        except ValidationError as error:
            raise self.misfit([pointer(without_tag(each)) for each in faults(error)]) from None
        found = valid.model_dump(mode="json", exclude_unset=True, by_alias=True)
        if wrong := self.faults_of(found):
            raise self.misfit(wrong)
        return found

    def misfit(self, errors: list[dict[str, str]]) -> InvalidParams:
        placed = [{**error, "pointer": f"/params{error['pointer']}"} for error in errors]
        return InvalidParams(f"The parameters do not fit {self.name}.", errors=placed)

    def faults_of(self, params: dict[str, Any]) -> list[dict[str, str]]:
        """What no single field can see. The pointers are relative to the parameters."""
        if ("key" in params) == ("keys" in params):
            place, code = ("/keys", "one-of") if "key" in params else ("/key", "missing")
            return [{"pointer": place, "code": code, "detail": "Send either key or keys."}]
        return []

    def understood(self, params: dict[str, Any]) -> tuple[Table, dict[str, Any]]:
        """Table and parameters as the allow-list has them now; TargetRefused if it shrank since."""
        if closed := tables.current().closed.get(params["table"]):
            raise TargetRefused(closed)
        try:
            valid = self.validate(params)
        except InvalidParams as error:
            fault = error.errors[0]
            raise TargetRefused(
                f"The call does not fit the described tables at {fault['pointer']}: "
                f"{fault['detail']}"
            ) from error
        return table_of(valid), valid

    def definition(self, params: dict[str, Any]) -> str | None:
        return tables.definition_of(params["table"])

    def names(self, params: dict[str, Any]) -> dict[str, str]:
        table, keys = table_of(params), self.keys(params)
        return naming.names(table, keys) if len(keys) == 1 else {}

    def meanings(self, params: dict[str, Any]) -> dict[str, Meaning]:
        return naming.meanings(table_of(params))

    def called(self, place: str, keys: list[str]) -> dict[str, str]:
        table = tables.tables().get(place)
        return naming.names(table, keys) if table else {}

    def held(self, params: dict[str, Any], keys: list[str], fields: list[str]) -> Image:
        return naming.held_in(table_of(params), keys, fields)

    def observed(self, params: dict[str, Any]) -> Any:
        """All described columns of the rows; for one that is not there yet, how many there are."""
        table, keys = table_of(params), self.keys(params)
        return rows.read(table, keys, table.columns) if keys else samples.count(table)

    def resource(self, params: dict[str, Any]) -> str:
        keys = self.keys(params)
        return f"{params['table']}/{keys[0]}" if len(keys) == 1 else params["table"]

    def objects(self, params: dict[str, Any], images: Mapping[str, Any]) -> list[str]:
        there = [key for key, image in images.items() if image is not None]
        return [f"{params['table']}/{key}" for key in there]

    def keys(self, params: dict[str, Any]) -> list[str]:
        return shapes.rows_of(params)

    def apply(self, params: dict[str, Any], *, key: str, expected: dict[str, Any]) -> Outcome:
        with rows.writing(rows.alias_of(params["table"])) as cursor:
            earlier = receipts.take(cursor, key, "applied")
            if earlier is not None:
                return earlier
            table, valid = self.understood(params)
            outcome = self.write(cursor, table, valid, expected)
            receipts.keep(cursor, key, outcome)
            crashpoints.reach("apply.written")
            return outcome

    def void(self, params: dict[str, Any], *, key: str) -> Outcome | None:
        with rows.writing(rows.alias_of(params["table"])) as cursor:
            return receipts.take(cursor, key, "void")

    def write(
        self, cursor: Any, table: Table, params: dict[str, Any], expected: dict[str, Any]
    ) -> Outcome:
        """Compare and change, in the open transaction of the target."""
        raise NotImplementedError


class ChangesRows(RecordsAction):
    """What update, archive and restore have in common: rows that exist get new values."""

    def changes(self, table: Table, params: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """The new values by key; AT_COMMIT where the moment of the write is meant."""
        raise NotImplementedError

    def watched(self, table: Table, params: dict[str, Any]) -> set[str]:
        """Columns that are read along with those that change."""
        return {table.archive_column} if table.archive_column else set()

    def objection(self, table: Table, held: Image) -> str:
        """Why rows as they are should not be changed; empty if nothing speaks against it."""
        gone = [key for key, image in held.items() if is_archived(table, image)]
        return f"{wording.named(table, gone).capitalize()} is archived already." if gone else ""

    def conflicts(self, params: dict[str, Any], held: Image) -> tuple[Conflict, ...]:
        return ()

    def reversing(
        self, table: Table, params: dict[str, Any], before: Image, after: Image
    ) -> Call | None:
        """The call that puts `before` back, where `after` still stands."""
        put_back = [
            {"key": key, "set": image, "expect": after[key]} for key, image in before.items()
        ]
        return Call("records.restore", {"table": table.full_name, "rows": put_back})

    def preview(self, params: dict[str, Any]) -> Preview:
        table, valid = self.understood(params)
        new = self.changes(table, valid)
        held = self.look(table, valid, new)
        if missing := [key for key in new if held[key] is None]:
            raise TargetRefused(f"There is no {wording.named(table, missing)}.")
        if objection := self.objection(table, held):
            raise TargetRefused(objection)
        before, after = only(held, new), merged(new)
        return Preview(
            before=before,
            after=after,
            impact=impact_of(table, held, after, self.name, is_undo=self.is_internal),
            tier=tier_of(table, {name for values in new.values() for name in values}),
            compensation=self.reversing(table, valid, before, after),
            conflicts=self.conflicts(valid, held),
        )

    def write(
        self, cursor: Any, table: Table, params: dict[str, Any], expected: dict[str, Any]
    ) -> Outcome:
        new = self.stamped(cursor, table, self.changes(table, params))
        columns = self.read_with(table, params, new)
        held = rows.read(table, list(new), columns, cursor=cursor)
        before = only(held, new)
        if before != expected or self.objection(table, held) or self.conflicts(params, held):
            raise StaleTarget(before)
        for keys, values in alike(new):
            rows.change(cursor, table, keys, values)
        after = merged(new)
        require_kept(table, only(rows.read(table, list(new), columns, cursor=cursor), new), after)
        return Outcome(
            result={"table": table.full_name, "keys": list(new), "rows": len(new)},
            after=after,
            compensation=self.reversing(table, params, before, after),
        )

    def look(self, table: Table, params: dict[str, Any], new: dict[str, dict[str, Any]]) -> Image:
        """The rows as they are: what changes, what is compared, and the money that is measured."""
        wanted = {*self.read_with(table, params, new), *read_for_money(table, new)}
        return rows.read(table, list(new), sorted(wanted))

    def read_with(
        self, table: Table, params: dict[str, Any], new: dict[str, dict[str, Any]]
    ) -> list[str]:
        touched = {name for values in new.values() for name in values}
        return sorted(touched | self.watched(table, params))

    def stamped(
        self, cursor: Any, table: Table, new: dict[str, dict[str, Any]]
    ) -> dict[str, dict[str, Any]]:
        """The new values with the moment of this write. A text that reads like it stays a text."""
        column = table.archive_column
        if not column or all(values.get(column) != AT_COMMIT for values in new.values()):
            return new
        now = rows.moment_now(cursor, table.database)
        return {
            key: {**values, column: now} if values.get(column) == AT_COMMIT else values
            for key, values in new.items()
        }


def table_of(params: dict[str, Any]) -> Table:
    """The table of a call that was valid once; TargetRefused if it is described no longer."""
    try:
        return tables.get(params["table"])
    except LookupError as error:
        raise TargetRefused(str(error)) from error


def is_archived(table: Table, image: dict[str, Any] | None) -> bool:
    return bool(table.archive_column and image and image[table.archive_column] is not None)


def require_kept(table: Table, held: Image, meant: Image) -> None:
    """Seen is committed: a trigger or a type that makes something else of it undoes it all."""
    if held != meant:
        raise TargetRefused(
            f"{table.full_name} stores something else than was approved; nothing was written."
        )


def only(held: Image, new: dict[str, dict[str, Any]]) -> Image:
    """Of what the rows hold, the columns that change."""
    return {
        key: None if image is None else {name: image[name] for name in new[key]}
        for key, image in held.items()
    }


def merged(new: dict[str, dict[str, Any]]) -> Image:
    return {key: dict(values) for key, values in new.items()}


def alike(new: dict[str, dict[str, Any]]) -> list[tuple[list[str], dict[str, Any]]]:
    """Rows that get the same values together, so that each group is one statement."""
    groups: dict[bytes, tuple[list[str], dict[str, Any]]] = {}
    for key, values in new.items():
        groups.setdefault(canonical(values), ([], values))[0].append(key)
    return list(groups.values())


def fault(place: str, code: str, detail: str) -> dict[str, str]:
    return {"pointer": place, "code": code, "detail": detail}


def without_tag(found: Any) -> Any:
    """A fault's place without the table's name, which only tells pydantic's models apart."""
    place = found["loc"]
    if place and place[0] in tables.tables():
        return {**found, "loc": place[1:]}
    if found["type"].startswith("union_tag") or place == ("table",):
        detail = "This is not one of the tables that this action may write."
        return {**found, "loc": ("table",), "type": "unknown_table", "msg": detail}
    return found
