"""Parameters of the records actions: pydantic models made from the allow-list.

One model per table, told apart by `table`, so that the JSON Schema an agent reads lists exactly the
tables and columns there are.
"""

import re
from datetime import date
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
    ValidationError,
    WithJsonSchema,
    create_model,
    model_validator,
)
from pydantic.json_schema import GenerateJsonSchema

from proposals.actions import tables as allow_list
from proposals.actions.rows import AT_COMMIT
from proposals.actions.tables import (
    PLAIN_DECIMAL,
    SAFE_INTEGER,
    Column,
    Described,
    Kind,
    Table,
    current,
)

MOST_ROWS = 100


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class AtLeastOne(Strict):
    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    @model_validator(mode="after")
    def something(self) -> "AtLeastOne":
        if not self.model_fields_set:
            raise ValueError("name at least one column")
        return self


class WithoutDefaults(GenerateJsonSchema):
    """A default of null would invite agents to send it; a field that is left out is just absent."""

    def default_schema(self, schema: Any) -> Any:
        return self.generate_inner(schema["schema"])


def reload() -> None:
    """Forget what was read from the table files, and everything made from it."""
    allow_list.forget_files()


def rows_of(params: dict[str, Any]) -> list[str]:
    """The keys that a call names, one or several."""
    return [params["key"]] if "key" in params else list(params["keys"])


def value_type(column: Column) -> Any:
    """What a value of this column must be, in JSON."""
    if column.choices:
        kind: Any = Literal[column.choices]
    elif column.kind is Kind.DECIMAL:
        kind = decimal_type(column)
    else:
        kind = PLAIN_TYPES[column.kind]
        if column.kind is Kind.TEXT:
            kind = Annotated[kind, Field(max_length=column.max_length)]
    return kind | None if column.nullable else kind


def storable(value: str) -> str:
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("text without NUL and lone surrogates")
    return value


def day(value: str) -> str:
    if len(value) != 10:
        raise ValueError("a date as YYYY-MM-DD")
    return date.fromisoformat(value).isoformat()


PLAIN_TYPES: dict[Kind, Any] = {
    Kind.TEXT: Annotated[str, AfterValidator(storable)],
    Kind.INTEGER: Annotated[int, Field(ge=-SAFE_INTEGER, le=SAFE_INTEGER)],
    Kind.BOOLEAN: bool,
    Kind.TIMESTAMP: Annotated[
        str,
        AfterValidator(allow_list.moment),
        WithJsonSchema({"type": "string", "format": "date-time"}),
    ],
    Kind.DATE: Annotated[
        str, AfterValidator(day), WithJsonSchema({"type": "string", "format": "date"})
    ],
}


def decimal_type(column: Column) -> Any:
    """Decimals travel as strings; a JSON number that is exact is taken as well."""
    fraction = rf"(\.[0-9]{{1,{column.digits}}})?" if column.digits else ""

    def exact(value: Any) -> str:
        if not isinstance(value, str):  # a number of JSON is binary, and its zeros are lost
            raise ValueError("a decimal number, as a string")
        if len(value) > 30 or not PLAIN_DECIMAL.fullmatch(value):
            raise ValueError("a decimal number in plain notation, such as 12.50")
        text = column.decimal(value)
        if abs(Decimal(text)) >= Decimal(10) ** 12:
            raise ValueError("less than a million million")
        return text

    schema = {"type": "string", "pattern": rf"^-?[0-9]{{1,12}}{fraction}$"}
    return Annotated[str, BeforeValidator(exact), WithJsonSchema(schema)]


def values_model(table: Table, suffix: str, *, creating: bool) -> type[BaseModel]:
    """The columns that may be set, each with its type; required ones only when creating."""
    fields: dict[str, Any] = {}
    for name, column in table.writable.items():
        default = ... if creating and column.required else None
        # The field's own name is prefixed: a column may be called `json` or `copy`.
        fields[f"column_{name}"] = (
            value_type(column),
            Field(default, alias=name, description=described(column)),
        )
    return create_model(f"{suffix}_{table.database}_{table.name}", __base__=AtLeastOne, **fields)


def described(column: Column) -> str:
    unit = f", in the currency of {column.currency_column}" if column.currency_column else ""
    return f"{column.label or column.name}{unit}. Tier {column.tier}."


def union(models: list[Any]) -> TypeAdapter:
    """One adapter over the models of all tables, told apart by `table`."""
    if not models:
        return TypeAdapter(NoTable)
    if len(models) == 1:
        return TypeAdapter(models[0])
    either: Any = Union[tuple(models)]  # noqa: UP007
    return TypeAdapter(Annotated[either, Field(discriminator="table")])


class NoTable(Strict):
    """No table is configured, so nothing fits."""

    table: Literal["(no table is configured)"]


def named(table: Table) -> dict[str, Any]:
    return {"table": (Literal[table.full_name], Field(description=table.many.capitalize()))}


def keyed(table: Table) -> dict[str, Any]:
    """One row by `key`, or several by `keys`; which of the two is checked by the action."""
    key = Annotated[str, Field(pattern=table.key_pattern)]
    keys = Annotated[list[key], Field(min_length=1, max_length=MOST_ROWS), AfterValidator(distinct)]
    one = f"The {table.key} of one {table.one}, as a string"
    several = f"The {table.key} of each of up to {MOST_ROWS} {table.many}, instead of key"
    return {
        **named(table),
        "key": (key, Field(None, description=one)),
        "keys": (keys, Field(None, description=several)),
    }


def distinct(keys: list[str]) -> list[str]:
    if len(set(keys)) != len(keys):
        raise ValueError("every key once")
    return keys


class Keyed(Strict):
    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["key"]}, {"required": ["keys"]}]}
    )


def create_adapter() -> TypeAdapter:
    return create_adapter_of(current())


@lru_cache(maxsize=2)
def create_adapter_of(described: Described) -> TypeAdapter:
    return union(
        [
            create_model(
                f"Create_{table.database}_{table.name}",
                __base__=Strict,
                **named(table),
                values=(
                    values_model(table, "Values", creating=True),
                    Field(description="The new row's columns"),
                ),
            )
            for table in described.tables.values()
            if table.creatable
        ]
    )


def update_adapter() -> TypeAdapter:
    return update_adapter_of(current())


@lru_cache(maxsize=2)
def update_adapter_of(described: Described) -> TypeAdapter:
    return union(
        [
            create_model(
                f"Update_{table.database}_{table.name}",
                __base__=Keyed,
                **keyed(table),
                set=(
                    values_model(table, "Set", creating=False),
                    Field(description="The columns to set, each with its new value"),
                ),
            )
            for table in described.tables.values()
            if table.writable
        ]
    )


def archive_adapter() -> TypeAdapter:
    return archive_adapter_of(current())


@lru_cache(maxsize=2)
def archive_adapter_of(described: Described) -> TypeAdapter:
    return union(
        [
            create_model(f"Archive_{table.database}_{table.name}", __base__=Keyed, **keyed(table))
            for table in described.tables.values()
            if table.archive_column
        ]
    )


class RestoredRow(Strict):
    """One row put back: to `set`, if it still holds `expect`."""

    key: Annotated[str, Field(min_length=1, max_length=64, description="The key of the row")]
    set: Annotated[dict[str, Any], Field(min_length=1, description="The values to put back")]
    expect: Annotated[dict[str, Any], Field(description="What the row must still hold")]


class Restore(Strict):
    """Rows of one table to put back."""

    table: Annotated[str, Field(description="The table, by its full name")]
    rows: Annotated[
        list[RestoredRow],
        Field(min_length=1, max_length=MOST_ROWS, description="Each row once"),
    ]


def restorable(column: Column, table: Table) -> TypeAdapter:
    """What may be put back into a column: whatever it may have held, so of its kind alone.

    An old value need not be among the choices, or as short, as what an agent may write now.
    """
    if column.kind is Kind.DECIMAL:
        kind: Any = Annotated[str, Field(pattern=rf"^{PLAIN_DECIMAL.pattern}$")]
    else:
        kind = PLAIN_TYPES[column.kind]
    if column.name == table.archive_column:
        kind = Literal[AT_COMMIT] | kind
    return TypeAdapter(kind | None, config=ConfigDict(strict=True))


def is_key(table: Table, key: str) -> bool:
    return re.search(table.key_pattern.replace("$", r"\Z"), key) is not None


def may_be_put_back(table: Table, name: str, value: Any) -> bool:
    """Whether a column may be restored at all, and whether this is a value of its kind."""
    if name not in table.writable and name != table.archive_column:
        return False
    try:
        restorable(table.columns[name], table).validate_python(value)
    except ValidationError:
        return False
    return True
