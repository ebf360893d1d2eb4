"""The allow-list: which tables and columns of which databases exist for actions at all.

Read from the TOML files that `COUNTERSIGN_TABLES` names, and from what people chose on the pages,
which `proposals.targets.wiring` brings here (docs/tables.md). Nothing else of a target is
reachable: identifiers in SQL come from here and never from an agent.
"""

import dataclasses
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
# A column of a table of the same database, as one text.
ColumnName = Annotated[
    StrictStr, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}\.[A-Za-z_][A-Za-z0-9_]{0,62}$")
]
STRICT = ConfigDict(extra="forbid")
MOST_LABELS, LONGEST_LABEL, LONGEST_LABELLED = 100, 100, 200
Labels = Annotated[
    dict[
        Annotated[StrictStr, Field(min_length=1, max_length=LONGEST_LABELLED)],
        Annotated[StrictStr, Field(min_length=1, max_length=LONGEST_LABEL)],
    ],
    Field(max_length=MOST_LABELS),
]
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


# How the values that can have labels are spelled, by kind.
SPELLED = {
    Kind.TEXT: re.compile(r".+", re.DOTALL),
    Kind.INTEGER: re.compile(r"0|-?[1-9][0-9]{0,15}", re.ASCII),
    Kind.BOOLEAN: re.compile(r"true|false"),
}


def can_be_labelled(kind: str, value: str) -> bool:
    """Whether a value of this kind is ever spelled so; always no for kinds without labels."""
    return kind in SPELLED and bool(SPELLED[Kind(kind)].fullmatch(value))


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
    # Only for people to read: what they call values, and whose key this is ("customers.id").
    value_labels: Labels = Field(default_factory=dict)
    refers_to: ColumnName | Literal[""] = ""

    @model_validator(mode="after")
    def options_fit_the_kind(self) -> "Column":
        if self.choices and self.kind is not Kind.TEXT:
            raise ValueError("choices are for kind text")
        if self.currency_column and self.kind is not Kind.DECIMAL:
            raise ValueError("currency_column is for kind decimal")
        for value in self.value_labels:
            if not can_be_labelled(self.kind, value):
                raise ValueError(f"value_labels name what is no {self.kind}")
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
    label_column: Identifier | Literal[""] = ""
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
        if self.label_column and self.label_column not in self.columns:
            raise ValueError("label_column names no described column")
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


@dataclasses.dataclass(frozen=True, eq=False)
class Described:
    """One state of the allow-list; equal to nothing but itself, so that caches can go by it."""

    tables: dict[str, Table] = dataclasses.field(default_factory=dict)
    # Of what was chosen on the pages: digests by table, and why a table cannot be written to now.
    digests: dict[str, str] = dataclasses.field(default_factory=dict)
    closed: dict[str, str] = dataclasses.field(default_factory=dict)
    databases: frozenset[str] = frozenset()


_wired = Described()


def install(wired: Described) -> None:
    """Let the allow-list be the files and this, from now on, in this process."""
    global _wired
    _wired = wired


def current() -> Described:
    """The allow-list as this process knows it."""
    return _merged(_wired)


@lru_cache(maxsize=2)
def _merged(wired: Described) -> Described:
    return dataclasses.replace(wired, tables={**wired.tables, **from_files()})


def tables() -> dict[str, Table]:
    """Every configured table by its full name."""
    return current().tables


def forget_files() -> None:
    """Read the files again when they are next asked for."""
    from_files.cache_clear()
    _merged.cache_clear()


def is_target(alias: str) -> bool:
    """Whether agents may ever reach this database. The product's own is none."""
    return alias in _wired.databases or (alias in settings.DATABASES and alias != "default")


def is_connected(alias: str) -> bool:
    """Whether people connected this database on the pages, so that it may change meanwhile."""
    return alias in _wired.databases


def definition_of(full_name: str) -> str | None:
    """Names how a table is described now; None where only a file, read at start, describes it."""
    found = current()
    if full_name in found.digests:
        return found.digests[full_name]
    return absent(full_name) if is_connected(full_name.partition(".")[0]) else None


def absent(full_name: str) -> str:
    """What stands for the definition of a table that is not, or no longer, to be written to."""
    return f"absent:{full_name}"


@lru_cache
def from_files() -> dict[str, Table]:
    """Every table that a file describes by its full name, read once per process."""
    found: dict[str, Table] = {}
    for path in settings.TABLE_FILES:
        for table in read(Path(path)):
            if table.full_name in found:
                raise ImproperlyConfigured(f"{path}: {table.full_name} is described twice.")
            found[table.full_name] = table
    return found


def get(full_name: str) -> Table:
    """The table of this name. Raises LookupError."""
    found = current()
    try:
        return found.tables[full_name]
    except KeyError:
        told = found.closed.get(full_name, f"There is no table {full_name!r}.")
        raise LookupError(told) from None


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
    """The table of a file's section, in a database of the settings."""
    if database not in settings.DATABASES or database == "default":
        raise ImproperlyConfigured(f"{where}: there is no target database {database!r}.")
    return described_by(where, database, name, entry)


def described_by(where: str, database: str, name: str, entry: Any) -> Table:
    """The table that an entry describes. Raises ImproperlyConfigured naming place and field."""
    rest = {**section(where, entry)}
    tier = {"tier": rest.pop("tier")} if "tier" in rest else {}
    columns = {
        column: {**tier, **section(f"{where}.{column}", options), "name": column}
        for column, options in section(where, rest.pop("columns", {})).items()
    }
    try:
        return TypeAdapter(Table).validate_python(
            {**rest, "columns": columns, "database": database, "name": name}
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
