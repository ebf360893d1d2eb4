"""Looks at a database without changing it: is it there, what may our role do, what is in it.

Every look is one short connection of its own, read-only where the database can promise that. What
goes wrong is told in a sentence that holds no secret.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any

from django.db import DatabaseError, connection, connections
from django.db.utils import load_backend

from proposals import text
from proposals.actions import receipts
from proposals.models import Database
from proposals.redaction import redact
from proposals.targets import references, wiring

NAMED = 5
LIMITS = "SET default_transaction_read_only = on; SET statement_timeout = '5s'"
OURS = "This is the product's own database. Agents never write there; connect another."


class Unreachable(Exception):
    """The database could not be looked at; the sentence says why and holds no secret."""


@dataclass(frozen=True)
class Line:
    """One thing that a test found: good, bad, a warning or a note, in plain words."""

    kind: str
    text: str


@dataclass
class Report:
    """What a test of a connection found, in the order in which it was looked for."""

    lines: list[Line] = field(default_factory=list)
    has_receipts: bool = False

    def add(self, kind: str, told: str) -> None:
        self.lines.append(Line(kind, told))

    @property
    def is_usable(self) -> bool:
        return all(line.kind != "bad" for line in self.lines)


@dataclass(frozen=True)
class Found:
    """One column as the database has it, and as which kinds it may be described."""

    name: str
    type: str
    kinds: tuple[str, ...]
    is_nullable: bool
    has_default: bool
    is_key: bool = False
    digits: int = 2
    max_length: int = 0
    choices: tuple[str, ...] = ()
    refers_to: str = ""  # the table and column whose key this holds: "customers.id"


@contextmanager
def looking(database: Database, password: str) -> Iterator[Any]:
    """A cursor on a connection of its own, closed afterwards. Raises Unreachable."""
    config = wiring.config_of(database, password)
    handler: Any = load_backend(config["ENGINE"])
    complete = connections.configure_settings({"default": {}, "looked at": config})["looked at"]
    # Without the start-of-transaction lock: looking must not wait for whoever writes.
    complete["OPTIONS"] = {
        name: value for name, value in complete["OPTIONS"].items() if name != "transaction_mode"
    }
    opened = handler.DatabaseWrapper(complete, "looked at")
    try:
        with opened.cursor() as cursor:
            cursor.execute(LIMITS if database.is_postgresql else "PRAGMA query_only = ON")
            yield cursor
    except DatabaseError as error:
        raise Unreachable(plain(error)) from None
    finally:
        opened.close()


def plain(error: Exception) -> str:
    """The last line that the server said, as a sentence without secrets or hidden characters."""
    lines = redact(str(error)).strip().splitlines() or [type(error).__name__]
    said = text.plain(lines[-1].removeprefix("FATAL:").strip(), 300)
    return f"{said.rstrip('.')}."


def look(database: Database) -> Report:
    """Test a stored connection, with its stored password."""
    password, is_lost = wiring.stored_password(database)
    if is_lost:
        report = Report()
        report.add("bad", wiring.LOST.format(database.name))
        return report
    return test(database, password)


def test(database: Database, password: str) -> Report:
    """What a person should know of a connection before agents write over it."""
    report = Report()
    try:
        with looking(database, password) as cursor:
            if is_ours(cursor, database):
                report.add("bad", OURS)
            elif database.is_postgresql:
                test_postgresql(cursor, database, report)
            else:
                test_sqlite(cursor, report)
    except Unreachable as error:
        report.add("bad", f"It cannot be reached: {error}")
    return report


def test_postgresql(cursor: Any, database: Database, report: Report) -> None:
    cursor.execute("SELECT current_setting('server_version'), current_database(), current_user")
    version, name, role = cursor.fetchone()
    report.add("good", f"Reached: PostgreSQL {version}, database {name}, as {role}.")
    if where := whereabouts(database.host):
        report.add("note", where)
    cursor.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    is_encrypted = (cursor.fetchone() or (False,))[0]
    if not is_encrypted and not is_local(database.host):
        report.add("warning", "The connection is not encrypted: others on the way can read it.")
    too_much = excess(cursor)
    for told in too_much:
        report.add("warning", told)
    if not too_much:
        report.add("good", "The role can do no more than it needs, as far as can be seen.")
    test_receipts(cursor, report, "SELECT to_regclass(%s) IS NOT NULL")
    if report.has_receipts:
        cursor.execute(
            "SELECT has_table_privilege(%s, 'SELECT') AND has_table_privilege(%s, 'INSERT') "
            "AND has_table_privilege(%s, 'UPDATE')",
            [receipts.TABLE] * 3,
        )
        if not cursor.fetchone()[0]:
            report.add(
                "bad", f"The role may not SELECT, INSERT and UPDATE {receipts.TABLE}; grant it."
            )


def excess(cursor: Any) -> list[str]:
    """What the role may do that it should not, each as a sentence."""
    cursor.execute(
        "SELECT rolsuper, rolcreatedb, rolcreaterole, rolbypassrls, rolreplication "
        "FROM pg_roles WHERE rolname = current_user"
    )
    words = ("a superuser", "CREATEDB", "CREATEROLE", "BYPASSRLS", "REPLICATION")
    held = [word for word, has in zip(words, cursor.fetchone(), strict=True) if has]
    if "a superuser" in held:
        return ["The role is a superuser: it can do anything at all. Give it a role of its own."]
    told = [f"The role has {word}, which it does not need." for word in held]
    cursor.execute(
        "SELECT pg_has_role(datdba, 'MEMBER') FROM pg_database WHERE datname = current_database()"
    )
    if cursor.fetchone()[0]:
        told.append("The role owns the database, so it could drop it.")
    for right, sentence in (
        ("pg_has_role(c.relowner, 'MEMBER')", "The role owns {}, so it could drop what it owns."),
        ("has_table_privilege(c.oid, 'DELETE')", "The role may DELETE from {}."),
        ("has_table_privilege(c.oid, 'TRUNCATE')", "The role may TRUNCATE {}."),
    ):
        cursor.execute(f"{TABLES} AND {right} ORDER BY c.relname")
        if found := [row[0] for row in cursor.fetchall()]:
            told.append(sentence.format(listed(found)))
    return told


TABLES = (
    "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%%' "
    "AND n.nspname <> 'information_schema'"
)


def listed(names: list[str]) -> str:
    """A few names, cleaned: a database's owner may call tables what they like."""
    shown = ", ".join(text.plain(name, 63) for name in names[:NAMED])
    more = len(names) - NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def test_sqlite(cursor: Any, report: Report) -> None:
    cursor.execute("SELECT sqlite_version()")
    report.add("good", f"Reached: SQLite {cursor.fetchone()[0]}.")
    report.add(
        "warning",
        "SQLite has no roles: whoever may write the file may do anything in it. Protect it by the "
        "rights of the file.",
    )
    test_receipts(cursor, report, "SELECT count(*) FROM sqlite_master WHERE name = %s")


def test_receipts(cursor: Any, report: Report, question: str) -> None:
    cursor.execute(question, [receipts.TABLE])
    report.has_receipts = bool(cursor.fetchone()[0])
    if report.has_receipts:
        report.add("good", "The receipt table is there.")
    else:
        report.add(
            "bad", f"The table {receipts.TABLE} is missing, so nothing can be written. See below."
        )


def is_local(host: str) -> bool:
    if host == "localhost" or host.startswith("/"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def whereabouts(host: str) -> str:
    """What is worth knowing of an address that means something else on every machine."""
    if is_local(host):
        return (
            "The host is the machine itself that Countersign runs on; with several, each its own."
        )
    try:
        if ip_address(host).is_link_local:
            return "The host is a link-local address: it means whatever is on that wire just now."
    except ValueError:
        pass
    return ""


def is_ours(cursor: Any, database: Database) -> bool:
    """Whether this is the product's own database, under whatever address; or another product's."""
    if not database.is_postgresql:
        cursor.execute("SELECT count(*) FROM sqlite_master WHERE name = 'ledger_ledgerentry'")
        return bool(cursor.fetchone()[0])
    cursor.execute(
        "SELECT EXISTS (SELECT 1 FROM pg_class WHERE relname = 'ledger_ledgerentry')",
    )
    if cursor.fetchone()[0]:
        return True
    if connection.vendor != "postgresql":
        return False
    which = "SELECT current_database(), pg_postmaster_start_time(), inet_server_port()"
    cursor.execute(which)
    theirs = cursor.fetchone()
    with connection.cursor() as own:
        own.execute(which)
        return own.fetchone() == theirs


def tables_of(database: Database) -> list[str]:
    """The names of the tables that the role can see. Raises Unreachable."""
    with opened(database) as cursor:
        if database.is_postgresql:
            cursor.execute(f"{TABLES} AND pg_table_is_visible(c.oid) ORDER BY c.relname")
        else:
            cursor.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' "
                "AND name NOT LIKE 'sqlite\\_%%' ESCAPE '\\' ORDER BY name"
            )
        return [row[0] for row in cursor.fetchall() if row[0] != receipts.TABLE]


def require_foreign(database: Database) -> None:
    """Raises Unreachable for the product's own database, and for one that cannot be looked at."""
    with opened(database):
        pass


@contextmanager
def opened(database: Database) -> Iterator[Any]:
    """A cursor with the stored password, on a database that is not ours."""
    password, is_lost = wiring.stored_password(database)
    if is_lost:
        raise Unreachable(wiring.LOST.format(database.name))
    with looking(database, password) as cursor:
        if is_ours(cursor, database):
            raise Unreachable(OURS)
        yield cursor


def columns_of(database: Database, table: str) -> list[Found]:
    """The columns of one table, in its order; empty if there is no such table."""
    with opened(database) as cursor:
        if database.is_postgresql:
            found, places = postgresql_columns(cursor, table), references.postgresql(cursor, table)
        else:
            found, places = sqlite_columns(cursor, table), references.sqlite(cursor, table)
    return [replace(one, refers_to=places.get(one.name, "")) for one in found]


POSTGRESQL_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), t.typname, NOT a.attnotnull,
       a.atthasdef OR a.attidentity <> '',
       COALESCE(i.indisprimary AND i.indnkeyatts = 1, false),
       CASE WHEN a.atttypmod > 0 THEN a.atttypmod - 4 ELSE -1 END,
       ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = a.atttypid
             ORDER BY e.enumsortorder)
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey)
WHERE c.relname = %s AND c.relkind IN ('r', 'p') AND pg_table_is_visible(c.oid)
  AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
POSTGRESQL_KINDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("int2", "int4", "int8"), ("integer",)),
    **dict.fromkeys(("text", "varchar", "citext", "uuid"), ("text",)),
    **dict.fromkeys(("timestamptz", "timestamp"), ("timestamp",)),
    "numeric": ("decimal",),
    "bool": ("boolean",),
    "date": ("date",),
}


def postgresql_columns(cursor: Any, table: str) -> list[Found]:
    cursor.execute(POSTGRESQL_COLUMNS, [table])
    return [
        Found(
            name=name,
            type=type_,
            kinds=("text",) if labels else POSTGRESQL_KINDS.get(base, ()),
            is_nullable=nullable,
            has_default=has_default,
            is_key=is_key,
            digits=modifier & 0xFFFF if base == "numeric" and modifier >= 0 else 2,
            max_length=modifier if base == "varchar" and modifier > 0 else 0,
            choices=tuple(labels),
        )
        for name, type_, base, nullable, has_default, is_key, modifier, labels in cursor.fetchall()
    ]


def sqlite_columns(cursor: Any, table: str) -> list[Found]:
    cursor.execute(
        'SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_info(%s)', [table]
    )
    rows = cursor.fetchall()
    keys = sum(1 for row in rows if row[4])
    return [
        Found(
            name=name,
            type=type_ or "no type",
            kinds=sqlite_kinds(type_.upper()),
            is_nullable=not notnull and not is_key,
            has_default=default is not None or bool(is_key),
            is_key=bool(is_key) and keys == 1,
        )
        for name, type_, notnull, default, is_key in rows
    ]


def sqlite_kinds(declared: str) -> tuple[str, ...]:
    """SQLite keeps moments and decimals as text, so whoever knows the column says what it is."""
    if "BOOL" in declared:
        return ("boolean",)
    if "INT" in declared:
        return ("integer", "boolean")
    if "DATETIME" in declared or "TIMESTAMP" in declared:
        return ("timestamp",)
    if declared == "DATE":
        return ("date",)
    if "CHAR" in declared or "CLOB" in declared or "TEXT" in declared:
        return ("text", "decimal", "timestamp", "date")
    if "DEC" in declared or "NUM" in declared:
        return ("decimal", "integer")
    return ()
