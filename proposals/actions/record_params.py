"""Parameters of the records actions: pydantic models made from the allow-list.

One model per table, told apart by `table`, so that the JSON Schema an agent reads lists exactly the
tables and columns there are.
"""

from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Literal, Union

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    WithJsonSchema,
    create_model,
    model_validator,
)

from proposals.actions.tables import Column, Kind, Table, tables

MOST_ROWS = 100


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Keyed(Strict):
    """One row by `key`, or several by `keys`."""

    key: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    keys: (
        Annotated[
            list[Annotated[str, Field(min_length=1, max_length=64)]],
            Field(min_length=1, max_length=MOST_ROWS),
        ]
        | None
    ) = None

    @model_validator(mode="after")
    def one_way_to_name_rows(self) -> "Keyed":
        if (self.key is None) == (self.keys is None):
            raise ValueError("send either key or keys")
        if self.keys is not None and len(set(self.keys)) != len(self.keys):
            raise ValueError("keys must be distinct")
        table = tables()[self.table]  # type: ignore[attr-defined]
        for key in rows_of(self.model_dump()):
            table.key_value(key)
        return self


class AtLeastOne(Strict):
    @model_validator(mode="after")
    def something(self) -> "AtLeastOne":
        if not self.model_fields_set:
            raise ValueError("name at least one column")
        return self


def rows_of(params: dict[str, Any]) -> list[str]:
    """The keys that a call names, one or several."""
    return [params["key"]] if params.get("key") is not None else list(params["keys"])


def value_type(column: Column) -> Any:
    """What a value of this column must be, in JSON."""
    if column.choices:
        kind: Any = Literal[column.choices]
    elif column.kind is Kind.DECIMAL:
        kind = decimal_type(column)
    elif column.kind is Kind.TIMESTAMP:
        kind = Annotated[str, AfterValidator(moment)]
    else:
        plain = {Kind.INTEGER: int, Kind.BOOLEAN: bool, Kind.TEXT: str}[column.kind]
        bounds = {
            Kind.TEXT: {"max_length": column.max_length},
            Kind.INTEGER: {"ge": -(2**31), "le": 2**31 - 1},
        }.get(column.kind, {})
        kind = Annotated[plain, Field(**bounds)]
    return kind | None if column.nullable else kind


def decimal_type(column: Column) -> Any:
    """Decimals travel as strings; a JSON number that is exact is taken as well."""

    def exact(value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError("a decimal number, as a string")
        if len(str(value)) > 20:
            raise ValueError("a decimal number of at most 20 characters")
        text = column.decimal(value)
        if abs(Decimal(text)) >= Decimal(10) ** 12:
            raise ValueError("less than a million million")
        return text

    pattern = rf"^-?[0-9]{{1,12}}(\.[0-9]{{1,{column.digits}}})?$"
    return Annotated[
        str, BeforeValidator(exact), WithJsonSchema({"type": "string", "pattern": pattern})
    ]


def moment(value: str) -> str:
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("a moment as RFC 3339 has it") from None
    if parsed.tzinfo is None:
        raise ValueError("a moment with its offset from UTC")
    return parsed.astimezone(UTC).isoformat(timespec="microseconds")


def values_model(table: Table, suffix: str, *, creating: bool) -> type[BaseModel]:
    """The columns that may be set, each with its type; required ones only when creating."""
    fields: dict[str, Any] = {}
    for name, column in table.writable.items():
        if name == table.archive_column:
            continue  # `records.archive` sets it, and nothing else
        about = Field(description=column.label or None)
        if creating and column.required:
            fields[name] = (Annotated[value_type(column), about], ...)
        else:
            fields[name] = (Annotated[value_type(column), about], None)
    base = Strict if creating else AtLeastOne
    return create_model(f"{suffix}_{table.database}_{table.name}", __base__=base, **fields)


def union(models: list[Any]) -> TypeAdapter:
    """One adapter over the models of all tables, told apart by `table`."""
    if not models:
        return TypeAdapter(NoTable)
    if len(models) == 1:
        return TypeAdapter(models[0])
    return TypeAdapter(Annotated[Union[tuple(models)], Field(discriminator="table")])  # noqa: UP007


class NoTable(Strict):
    """No table is configured, so nothing fits."""

    table: Literal["(no table is configured)"]


def named(table: Table) -> dict[str, Any]:
    return {"table": (Literal[table.full_name], Field(description=table.label))}


@lru_cache
def create_adapter() -> TypeAdapter:
    return union(
        [
            create_model(
                f"Create_{table.database}_{table.name}",
                __base__=Strict,
                **named(table),
                values=(values_model(table, "Values", creating=True), ...),
            )
            for table in tables().values()
            if table.creatable and table.writable
        ]
    )


@lru_cache
def update_adapter() -> TypeAdapter:
    return union(
        [
            create_model(
                f"Update_{table.database}_{table.name}",
                __base__=Keyed,
                **named(table),
                set=(values_model(table, "Set", creating=False), ...),
            )
            for table in tables().values()
            if set(table.writable) - {table.archive_column}
        ]
    )


@lru_cache
def archive_adapter() -> TypeAdapter:
    return union(
        [
            create_model(f"Archive_{table.database}_{table.name}", __base__=Keyed, **named(table))
            for table in tables().values()
            if table.archive_column
        ]
    )


class RestoredRow(Strict):
    """One row put back: to `set`, if it still holds `expect`."""

    key: Annotated[str, Field(min_length=1, max_length=64)]
    set: dict[str, Any]
    expect: dict[str, Any]


class Restore(Strict):
    """Rows of one table to put back."""

    table: str
    rows: Annotated[list[RestoredRow], Field(min_length=1, max_length=MOST_ROWS)]
