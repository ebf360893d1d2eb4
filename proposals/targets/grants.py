"""The SQL that a database's owner runs: the receipt table, and a role that can do no more."""

from collections.abc import Iterable

from proposals.actions import receipts
from proposals.actions.tables import Table
from proposals.models import Database

PLACEHOLDER = "choose one"


def receipt_table() -> str:
    """What every target needs; run by whoever owns it."""
    return receipts.DDL.strip() + ";"


def role(database: Database) -> str:
    """The role on PostgreSQL. Its password is never ours to write down."""
    name, login = quoted(database.database), quoted(database.user or "countersign")
    return "\n".join(
        [
            f"CREATE ROLE {login} LOGIN PASSWORD '{PLACEHOLDER}'",
            "    NOSUPERUSER NOCREATEDB NOCREATEROLE;",
            f"GRANT CONNECT ON DATABASE {name} TO {login};",
            f"GRANT USAGE ON SCHEMA public TO {login};",
            "-- Receipts: never deleted.",
            f"GRANT SELECT, INSERT, UPDATE ON {receipts.TABLE} TO {login};",
            "-- So that the columns of your tables can be listed here, nothing of them is needed.",
        ]
    )


def table(database: Database, described: Table) -> str:
    """The grants of one table: read what is described, write what is writable."""
    login, name = quoted(database.user or "countersign"), quoted(described.name)
    readable = dict.fromkeys([described.key, *described.columns])
    changed = dict.fromkeys([*described.writable, described.archive_column])
    parts = [f"SELECT ({columns(readable)})"]
    if described.creatable:
        parts.append(f"INSERT ({columns(described.writable)})")
    if updated := columns(column for column in changed if column):
        parts.append(f"UPDATE ({updated})")
    rights = ",\n      ".join(parts)
    return f"GRANT {rights}\n   ON {name} TO {login};"


def columns(names: Iterable[str]) -> str:
    return ", ".join(quoted(name) for name in names)


def quoted(name: str) -> str:
    """An identifier of PostgreSQL, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'
