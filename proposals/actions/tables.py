"""The allow-list: which tables and columns of which databases exist for actions at all.

Read from the TOML files that `COUNTERSIGN_TABLES` names (docs/tables.md). Nothing else of a target
is reachable: identifiers in SQL come from here and never from an agent.
"""

import re
import tomllib
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from pydantic import (
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass

from proposals.registry import Tier

Identifier = Annotated[StrictStr, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
STRICT = ConfigDict(extra="forbid")
# The largest integer that every JSON reader keeps exact, and so RFC 8785.
SAFE_INTEGER = 2**53 - 1
PLAIN_DECIMAL = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?", re.ASCII)
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


class Kind(StrEnum):
    """The types a column may have."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    DATE = "date"


@dataclass(frozen=True, config=STRICT)
class Column:
    """One column that exists for actions; writable only where the file says so."""

    name: Identifier
    kind: Kind = Kind.TEXT
    label: StrictStr = ""
    choices: tuple[StrictStr, ...] = ()
    max_length: Annotated[StrictInt, Field(ge=1, le=100_000)] = 2000
    digits: Annotated[StrictInt, Field(ge=0, le=12)] = 2
    nullable: StrictBool = False
    writable: StrictBool = False
    required: StrictBool = False
    tier: Tier = Tier.HIGH
    currency_column: Identifier | Literal[""] = ""

    @model_validator(mode="after")
    def options_fit_the_kind(self) -> "Column":
        if self.choices and self.kind is not Kind.TEXT:
            raise ValueError("choices are for kind text")
        if self.currency_column and self.kind is not Kind.DECIMAL:
            raise ValueError("currency_column is for kind decimal")
        return self

    def as_json(self, value: Any) -> Any:
        """A value of the database as JSON: the same for equal values on every database.

        Raises ValueError for what is not of this kind; a value is never bent to fit.
        """
        if value is None:
            return None
        return READERS[self.kind](self, value)

    def decimal(self, value: Any) -> str:
        """Fixed notation with the column's digits. Raises ValueError for what does not fit."""
        try:
            number = Decimal(str(value))
            exact = number.quantize(Decimal(1).scaleb(-self.digits))
        except InvalidOperation:
            raise ValueError("not a decimal number of a storable size") from None
        if not number.is_finite() or exact != number:
            raise ValueError(f"at most {self.digits} digits after the point")
        return f"{exact or abs(exact):f}"  # no minus before a zero

    def held_decimal(self, value: Any) -> str:
        """A stored decimal; one with more digits than described keeps them all."""
        try:
            return self.decimal(value)
        except ValueError:
            text = f"{Decimal(str(value)):f}"
        if not PLAIN_DECIMAL.fullmatch(text):
            raise ValueError("not a finite decimal number")
        return text


def read_integer(column: Column, value: Any) -> int:
    if isinstance(value, bool) or int(value) != value or abs(value) > SAFE_INTEGER:
        raise ValueError("not an integer that JSON can hold")
    return int(value)


def read_decimal(column: Column, value: Any) -> str:
    try:
        return column.held_decimal(value)
    except InvalidOperation:
        raise ValueError("not a decimal number") from None


def read_boolean(column: Column, value: Any) -> bool:
    if value not in (0, 1):
        raise ValueError("neither true nor false")
    return bool(value)


def read_timestamp(column: Column, value: Any) -> str:
    held = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return in_utc(held if held.tzinfo else held.replace(tzinfo=UTC))


def read_date(column: Column, value: Any) -> str:
    return (value if isinstance(value, date) else date.fromisoformat(str(value))).isoformat()


def read_text(column: Column, value: Any) -> str:
    if isinstance(value, bytes | memoryview):
        raise ValueError("not text")
    return str(value)


READERS = {
    Kind.TEXT: read_text,
    Kind.INTEGER: read_integer,
    Kind.DECIMAL: read_decimal,
    Kind.BOOLEAN: read_boolean,
    Kind.TIMESTAMP: read_timestamp,
    Kind.DATE: read_date,
}


def in_utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def moment(value: str) -> str:
    """A moment as RFC 3339 has it, in UTC. Raises ValueError."""
    if not MOMENT.fullmatch(value):
        raise ValueError("a moment as RFC 3339 has it, with its offset from UTC")
    try:
        return in_utc(datetime.fromisoformat(value.upper()))
    except (ValueError, OverflowError):
        raise ValueError("a moment that exists") from None


@dataclass(frozen=True, config=STRICT)
class Table:
    """One table of one configured database."""

    database: StrictStr
    name: Identifier
    columns: dict[str, Column]
    label: StrictStr = ""
    label_plural: StrictStr = ""
    key: Identifier = "id"
    key_kind: Literal[Kind.INTEGER, Kind.TEXT] = Kind.INTEGER
    creatable: StrictBool = False
    archive_column: Identifier | Literal[""] = ""

    @model_validator(mode="after")
    def columns_fit_together(self) -> "Table":
        if self.archive_column:
            column = self.columns.get(self.archive_column)
            if column is None:
                raise ValueError("archive_column names no described column")
            if column.kind is not Kind.TIMESTAMP or not column.nullable or column.writable:
                raise ValueError(
                    "the archive_column must be a nullable timestamp, and not writable: only "
                    "records.archive sets it"
                )
        for column in self.columns.values():
            if column.currency_column and column.currency_column not in self.columns:
                raise ValueError(f"currency_column of {column.name} names no described column")
        if self.key in self.writable:
            raise ValueError("the key cannot be writable")
        if self.creatable and not self.writable:
            raise ValueError("creatable needs a writable column")
        return self

    @property
    def full_name(self) -> str:
        return f"{self.database}.{self.name}"

    @property
    def one(self) -> str:
        """What reviewers call one row."""
        return self.label or self.name.replace("_", " ")

    @property
    def many(self) -> str:
        return self.label_plural or f"{self.one}s"

    @property
    def writable(self) -> dict[str, Column]:
        return {name: column for name, column in self.columns.items() if column.writable}

    def key_value(self, key: str) -> Any:
        """A key that fits `key_pattern`, as the database compares it."""
        return int(key) if self.key_kind is Kind.INTEGER else key

    @property
    def key_pattern(self) -> str:
        """One way to write each key: two texts are two rows, or caps could be counted twice."""
        return (
            r"^(0|[1-9][0-9]{0,17})$"
            if self.key_kind is Kind.INTEGER
            else r"^[^\x00-\x1f\x7f]{1,64}$"
        )


@lru_cache
def tables() -> dict[str, Table]:
    """Every configured table by its full name, read once per process."""
    found: dict[str, Table] = {}
    for path in settings.TABLE_FILES:
        for table in read(Path(path)):
            if table.full_name in found:
                raise ImproperlyConfigured(f"{path}: {table.full_name} is described twice.")
            found[table.full_name] = table
    return found


def get(full_name: str) -> Table:
    """The table of this name. Raises LookupError."""
    try:
        return tables()[full_name]
    except KeyError:
        raise LookupError(f"There is no table {full_name!r}.") from None


def read(path: Path) -> list[Table]:
    """The tables that one file describes. Raises ImproperlyConfigured naming file and field."""
    try:
        described = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ImproperlyConfigured(f"{path}: {error}") from error
    return [
        table_from(f"{path}: {database}.{name}", database, name, entry)
        for database, entries in described.items()
        for name, entry in section(f"{path}: {database}", entries).items()
    ]


def table_from(where: str, database: str, name: str, entry: Any) -> Table:
    if database not in settings.DATABASES or database == "default":
        raise ImproperlyConfigured(f"{where}: there is no target database {database!r}.")
    columns = {
        column: {**section(f"{where}.{column}", options), "name": column}
        for column, options in section(where, section(where, entry).get("columns", {})).items()
    }
    try:
        return TypeAdapter(Table).validate_python(
            {**entry, "columns": columns, "database": database, "name": name}
        )
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in fault["loc"] if part != "columns")
        raise ImproperlyConfigured(
            f"{where}{'.' if place else ''}{place}: {fault['msg']}."
        ) from error


def section(where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ImproperlyConfigured(f"{where} must be a section, not {value!r}.")
    return value
