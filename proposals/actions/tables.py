"""The allow-list: which tables and columns of which databases exist for actions at all.

Read from the TOML files that `COUNTERSIGN_TABLES` names (docs/tables.md). Nothing else of a target
is reachable: identifiers in SQL come from here and never from an agent.
"""

import re
import tomllib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from proposals.registry import Tier

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


class Kind(StrEnum):
    """The types a column may have."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"


@dataclass(frozen=True)
class Column:
    """One column that exists for actions; writable only where the file says so."""

    name: str
    kind: Kind = Kind.TEXT
    label: str = ""
    choices: tuple[str, ...] = ()
    max_length: int = 2000
    digits: int = 2
    nullable: bool = False
    writable: bool = False
    required: bool = False
    tier: Tier = Tier.HIGH
    currency_column: str = ""

    def as_json(self, value: Any) -> Any:
        """A value of the database as JSON: the same for equal values on every database."""
        if value is None:
            return None
        if self.kind is Kind.DECIMAL:
            return self.decimal(value)
        if self.kind is Kind.BOOLEAN:
            return bool(value)
        if self.kind is Kind.INTEGER:
            return int(value)
        if self.kind is Kind.TIMESTAMP:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return moment.astimezone(UTC).isoformat(timespec="microseconds")
        return str(value)

    def decimal(self, value: Any) -> str:
        """Fixed notation with the column's digits. Raises ValueError for what does not fit."""
        try:
            number = Decimal(str(value))
            exact = number.quantize(Decimal(1).scaleb(-self.digits))
        except InvalidOperation:
            raise ValueError("not a decimal number of a storable size") from None
        if not number.is_finite() or exact != number:
            raise ValueError(f"at most {self.digits} digits after the point")
        return f"{exact:f}"


@dataclass(frozen=True)
class Table:
    """One table of one configured database."""

    database: str
    name: str
    key: str
    label: str
    columns: dict[str, Column] = field(default_factory=dict)
    key_kind: Kind = Kind.INTEGER
    creatable: bool = False
    archive_column: str = ""

    @property
    def full_name(self) -> str:
        return f"{self.database}.{self.name}"

    @property
    def writable(self) -> dict[str, Column]:
        return {name: column for name, column in self.columns.items() if column.writable}

    def key_value(self, key: str) -> Any:
        """The key as the database compares it. Raises ValueError where it cannot be one."""
        if self.key_kind is not Kind.INTEGER:
            return key
        if not (key.isascii() and key.isdigit() and len(key) < 19):
            raise ValueError("not a key of this table")
        return int(key)


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
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ImproperlyConfigured(f"{path}: {error}") from error
    return [
        table_from(f"{path}: {database}.{name}", database, name, entry)
        for database, entries in described.items()
        for name, entry in entries.items()
    ]


def table_from(where: str, database: str, name: str, entry: dict[str, Any]) -> Table:
    if database not in settings.DATABASES or database == "default":
        raise ImproperlyConfigured(f"{where}: there is no target database {database!r}.")
    entry = dict(entry)
    columns = entry.pop("columns", {})
    known = {"key", "key_kind", "label", "creatable", "archive_column"}
    require_known(where, entry, known)
    identifiers = [name, entry.get("key", "id"), *columns]
    for identifier in identifiers:
        if not IDENTIFIER.fullmatch(identifier):
            raise ImproperlyConfigured(f"{where}: {identifier!r} is not a plain identifier.")
    table = Table(
        database=database,
        name=name,
        key=entry.get("key", "id"),
        key_kind=Kind(entry.get("key_kind", "integer")),
        label=entry.get("label", name),
        creatable=bool(entry.get("creatable", False)),
        archive_column=entry.get("archive_column", ""),
        columns={
            column: column_from(f"{where}.{column}", column, options)
            for column, options in columns.items()
        },
    )
    if table.archive_column and table.archive_column not in table.columns:
        raise ImproperlyConfigured(f"{where}: archive_column names no described column.")
    return table


def column_from(where: str, name: str, options: dict[str, Any]) -> Column:
    known = {each for each in Column.__dataclass_fields__ if each != "name"}
    require_known(where, options, known)
    values = dict(options)
    try:
        values["kind"] = Kind(values.get("kind", "text"))
        values["tier"] = Tier(values.get("tier", "high"))
    except ValueError as error:
        raise ImproperlyConfigured(f"{where}: {error}") from error
    values["choices"] = tuple(values.get("choices", ()))
    return Column(name=name, **values)


def require_known(where: str, given: dict[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(given) - known):
        raise ImproperlyConfigured(f"{where}: unknown setting {', '.join(unknown)}.")
