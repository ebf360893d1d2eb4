"""The shop as the harness sees it: every write is witnessed by triggers that the product knows not.

`chaos_writes` gets a row for each change in the transaction of that change, whoever makes it, so
that a second effect shows even where it wrote the same values again.
"""

from collections.abc import Iterable
from typing import Any

from django.db import connections, transaction

from bench.chaos.cycle import Cycle
from proposals.demonstration import shop

ALIAS = shop.ALIAS
WITNESSED = {
    # Table and event: (the row's name, the old value, the new value)
    ("drafts", "INSERT"): ("NEW.subject", "NULL", "NEW.subject"),
    ("drafts", "UPDATE"): ("NEW.subject", "OLD.archived_at", "NEW.archived_at"),
    ("orders", "UPDATE"): ("NEW.id", "OLD.note", "NEW.note"),
    ("prices", "UPDATE"): ("NEW.id", "OLD.amount", "NEW.amount"),
}
COLUMNS = {"note": ("note", "orders"), "price": ("amount", "prices")}
NUMBERED = {"sqlite": "integer PRIMARY KEY AUTOINCREMENT", "postgresql": "serial PRIMARY KEY"}


def ensure() -> None:
    """The demonstration shop, its witnesses, and a list of drafts that it refuses to take."""
    shop.ensure()
    vendor = connections[ALIAS].vendor
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE IF NOT EXISTS chaos_writes (id {NUMBERED[vendor]}, event text, "
            "row_name text, old text, new text)"
        )
        cursor.execute("CREATE INDEX IF NOT EXISTS chaos_by_new ON chaos_writes (new)")
        cursor.execute("CREATE INDEX IF NOT EXISTS chaos_by_row ON chaos_writes (row_name)")
        cursor.execute("CREATE TABLE IF NOT EXISTS chaos_refusals (subject text PRIMARY KEY)")
        for (table, event), witnessed in WITNESSED.items():
            for statement in witness(vendor, table, event, *witnessed):
                cursor.execute(statement)
        for statement in refusal(vendor):
            cursor.execute(statement)


def witness(vendor: str, table: str, event: str, row: str, old: str, new: str) -> list[str]:
    insert = (
        "INSERT INTO chaos_writes (event, row_name, old, new) VALUES "
        f"('{table} {event}', CAST({row} AS text), CAST({old} AS text), CAST({new} AS text));"
    )
    name = f"chaos_{table}_{event.lower()}"
    return trigger(vendor, name, f"AFTER {event} ON {table}", insert)


def refusal(vendor: str) -> list[str]:
    listed = "EXISTS (SELECT 1 FROM chaos_refusals WHERE subject = NEW.subject)"
    refuse = {
        "sqlite": f"SELECT RAISE(ABORT, 'not wanted') WHERE {listed};",
        "postgresql": f"IF {listed} THEN RAISE EXCEPTION 'not wanted' "
        "USING ERRCODE = 'check_violation'; END IF;",
    }
    return trigger(vendor, "chaos_refuses", "BEFORE INSERT ON drafts", refuse[vendor])


def trigger(vendor: str, name: str, when: str, body: str) -> list[str]:
    if vendor == "sqlite":
        return [f"CREATE TRIGGER IF NOT EXISTS {name} {when} BEGIN {body} END"]
    return [
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql "
        f"AS $body$ BEGIN {body} RETURN NEW; END $body$",
        f"CREATE OR REPLACE TRIGGER {name} {when} FOR EACH ROW EXECUTE FUNCTION {name}()",
    ]


def rows(sql: str, params: Iterable[Any] = ()) -> list[tuple]:
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(sql, list(params))
        return cursor.fetchall()


def execute(sql: str, params: Iterable[Any] = ()) -> None:
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(sql, list(params))


def key_of(cycle: Cycle) -> str:
    """The row that is this cycle's alone among those that run at the same time."""
    most = {"note": shop.ORDERS, "price": shop.PRICES}[cycle.kind]
    return str(1 + cycle.number % most)


def call_of(cycle: Cycle) -> tuple[str, dict[str, Any]]:
    """Action and parameters of the cycle's write."""
    if cycle.kind == "draft":
        values = {"order_id": 1 + cycle.number % shop.ORDERS, "subject": cycle.marker}
        values |= {"body": "Written under fire.", "state": "open"}
        return "records.create", {"table": "shop.drafts", "values": values}
    column, table = COLUMNS[cycle.kind]
    params = {"table": f"shop.{table}", "key": key_of(cycle), "set": {column: cycle.marker}}
    return "records.update", params


def overtake(cycle: Cycle, *, is_later: bool) -> None:
    """Somebody else changes the cycle's row, at a moment when no worker has it locked.

    By way of a value that nobody else writes, so that the witnesses can tell who it was.
    """
    column, table = {"draft": ("body", "drafts"), **COLUMNS}[cycle.kind]
    place = "subject" if cycle.kind == "draft" else "id"
    row = cycle.marker if cycle.kind == "draft" else int(key_of(cycle))
    with transaction.atomic(using=ALIAS):
        for value in (cycle.passing, cycle.strangers(is_later=is_later)):
            execute(f"UPDATE {table} SET {column} = %s WHERE {place} = %s", [value, row])


def refuse(cycle: Cycle) -> None:
    execute(
        "INSERT INTO chaos_refusals VALUES (%s) ON CONFLICT (subject) DO NOTHING", [cycle.marker]
    )


def relent(cycle: Cycle) -> None:
    execute("DELETE FROM chaos_refusals WHERE subject = %s", [cycle.marker])
