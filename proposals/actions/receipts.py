"""Receipts: what makes a second apply of the same key a no-op, kept in the target itself.

The receipt's row commits in the same transaction as the effect. Its unique key makes a parallel
apply wait for the first. A *void* receipt under the key bars it for ever. (Design page, Delivery.)
"""

import json
from typing import Any

from django.db import connections

from ledger.canonical import canonical
from proposals.exceptions import VoidedKey
from proposals.registry import Call, Outcome

TABLE = "countersign_receipts"
DDL = f"""
CREATE TABLE IF NOT EXISTS {TABLE} (
    key text PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('applied', 'void')),
    outcome text,
    recorded_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP
)
"""


def ensure(alias: str) -> None:
    """Make the receipt table in a target that we may alter, such as the demonstration's."""
    with connections[alias].cursor() as cursor:
        cursor.execute(DDL)


def take(cursor: Any, key: str, state: str) -> Outcome | None:
    """Take the key in the open transaction of the target.

    Returns None if it was free and is now ours, or the outcome of whoever applied it before.
    Raises VoidedKey if it was voided; a void asked for twice is the same as once.
    """
    cursor.execute(
        f"INSERT INTO {TABLE} (key, state) VALUES (%s, %s) ON CONFLICT (key) DO NOTHING",
        [key, state],
    )
    if cursor.rowcount == 1:
        return None
    cursor.execute(f"SELECT state, outcome FROM {TABLE} WHERE key = %s", [key])
    found, outcome = cursor.fetchone()
    if found == "applied":
        return read(outcome)
    if state == "void":
        return None
    raise VoidedKey("The key was voided before it was applied.")


def keep(cursor: Any, key: str, outcome: Outcome) -> None:
    """Store the outcome with the receipt, in the same transaction as the effect."""
    stored = {
        "result": outcome.result,
        "after": outcome.after,
        "compensation": outcome.compensation.as_json() if outcome.compensation else None,
    }
    cursor.execute(
        f"UPDATE {TABLE} SET outcome = %s WHERE key = %s", [canonical(stored).decode(), key]
    )


def read(text: str) -> Outcome:
    stored = json.loads(text)
    compensation = stored["compensation"]
    return Outcome(
        result=stored["result"],
        after=stored["after"],
        compensation=Call(**compensation) if compensation else None,
    )
