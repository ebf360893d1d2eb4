"""What the demonstration's payment provider holds: charges, refunds, keys and what it was asked.

An effect, its key and the answer are one transaction: killed at any moment, it knows all of them or
none. Amounts are in minor units, as payment providers have them.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proposals.demonstration import outside

KEY_SECONDS = 24 * 3600
SETTLES_SECONDS = 3600
KEPT_REQUESTS, MOST_LISTED = 500, 100
SCHEMA = """
CREATE TABLE IF NOT EXISTS charges (
    id TEXT PRIMARY KEY, reference TEXT NOT NULL, amount INTEGER NOT NULL CHECK (amount > 0),
    currency TEXT NOT NULL, refunded_before INTEGER NOT NULL DEFAULT 0, created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS refunds (
    number INTEGER PRIMARY KEY AUTOINCREMENT, charge TEXT NOT NULL REFERENCES charges (id),
    amount INTEGER NOT NULL CHECK (amount > 0), metadata TEXT NOT NULL, key TEXT NOT NULL,
    created REAL NOT NULL, canceled REAL);
CREATE INDEX IF NOT EXISTS refunds_of_charge ON refunds (charge);
CREATE TABLE IF NOT EXISTS keys (
    key TEXT PRIMARY KEY, asked TEXT NOT NULL, status INTEGER NOT NULL, answer TEXT NOT NULL,
    created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS requests (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, asked TEXT NOT NULL,
    key TEXT NOT NULL, status INTEGER NOT NULL, said TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS losses (number INTEGER PRIMARY KEY);
"""
REST = """
    charges.amount - charges.refunded_before - (SELECT coalesce(sum(refunds.amount), 0)
        FROM refunds WHERE refunds.charge = charges.id AND refunds.canceled IS NULL)
"""
CHARGES = f"SELECT charges.*, {REST} AS rest FROM charges"
REFUNDS = "SELECT refunds.*, currency FROM refunds JOIN charges ON charges.id = charge"


@dataclass(frozen=True)
class Charge:
    """A payment to be known of, such as one for every paid order of a shop."""

    id: str
    reference: str
    amount: int
    currency: str
    created: float
    refunded_before: int = 0


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict[str, Any]
    is_replay: bool = False


class Refusal(Exception):
    """What the provider says no to, in the shape that Stripe's errors have."""

    def __init__(self, status: int, message: str, *, kind: str = "invalid_request_error", **more):
        super().__init__(message)
        error = {"type": kind, "message": message, **more}
        self.answer = Answer(status, {"error": error})


class Charges:
    """The file. `now` is the provider's clock."""

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        self.path, self.now = path, now
        outside.make(path, SCHEMA)

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        return outside.reading(self.path)

    def writing(self) -> AbstractContextManager[sqlite3.Connection]:
        return outside.writing(self.path)

    def know(self, charges: Iterable[Charge]) -> None:
        """Take in the charges that are not known yet. A known one stays as it is."""
        with self.writing() as db:
            db.executemany(
                "INSERT OR IGNORE INTO charges "
                "(id, reference, amount, currency, created, refunded_before) "
                "VALUES (:id, :reference, :amount, :currency, :created, :refunded_before)",
                [vars(charge) for charge in charges],
            )

    def knows_any(self) -> bool:
        with self.reading() as db:
            return db.execute("SELECT EXISTS (SELECT 1 FROM charges)").fetchone()[0] == 1

    def charge(self, charge_id: str) -> dict[str, Any]:
        with self.reading() as db:
            return charge_as_json(found_charge(db, charge_id, status=404))

    def refund(self, refund_id: str) -> dict[str, Any]:
        with self.reading() as db:
            return self.refund_as_json(found_refund(db, refund_id))

    def refunds(self, asked: dict[str, str]) -> dict[str, Any]:
        """The refunds, newest first, that have all this: `charge`, `reference`, `metadata[...]`."""
        limit = min(positive(asked.get("limit", "10")), MOST_LISTED)
        wanted = {name: value for name, value in asked.items() if name != "limit"}
        with self.reading() as db:
            rows = db.execute(f"{REFUNDS} ORDER BY number DESC").fetchall()
        found = [self.refund_as_json(row) for row in rows if has(row, wanted)]
        return {"object": "list", "data": found[:limit], "has_more": len(found) > limit}

    def give_back(self, params: dict[str, str], *, key: str) -> Answer:
        """Refund a charge, once for each key: `charge`, and `amount` unless all that is left."""
        amount = positive(params["amount"]) if "amount" in params else None
        metadata = {name: value for name, value in params.items() if name.startswith("metadata[")}

        def do(db: sqlite3.Connection) -> dict[str, Any]:
            charge = found_charge(db, params.get("charge", ""), status=400)
            wanted = refundable(charge, amount)
            made = db.execute(
                "INSERT INTO refunds (charge, amount, metadata, key, created) "
                "VALUES (?, ?, ?, ?, ?)",
                [charge["id"], wanted, json.dumps(metadata), key, self.now()],
            )
            return self.refund_as_json(found_refund(db, refund_id(made.lastrowid or 0)))

        return self.once("POST /v1/refunds", params, key, do)

    def cancel(self, refund_id: str, params: dict[str, str], *, key: str) -> Answer:
        """Charge a refund back, as long as the money has not left."""

        def do(db: sqlite3.Connection) -> dict[str, Any]:
            refund = found_refund(db, refund_id)
            state = self.state(refund)
            if state == "canceled":
                raise Refusal(
                    400, f"Refund {refund_id} was canceled already.", code="refund_canceled"
                )
            if state != "pending":
                settled = outside.moment(refund["created"] + SETTLES_SECONDS)
                raise Refusal(
                    400,
                    f"Refund {refund_id} was settled at {settled}: the money has left, and cannot "
                    "be taken back here.",
                    code="refund_settled",
                )
            db.execute(
                "UPDATE refunds SET canceled = ? WHERE number = ?", [self.now(), refund["number"]]
            )
            return self.refund_as_json(found_refund(db, refund_id))

        return self.once(f"POST /v1/refunds/{refund_id}/cancel", params, key, do)

    def once(
        self,
        asked: str,
        params: dict[str, str],
        key: str,
        do: Callable[[sqlite3.Connection], dict[str, Any]],
    ) -> Answer:
        """The first answer to this key, for as long as it is kept; a refusal is an answer too."""
        words = f"{asked} {json.dumps(params, sort_keys=True)}"
        with self.writing() as db:
            db.execute("DELETE FROM keys WHERE created < ?", [self.now() - KEY_SECONDS])
            kept = db.execute("SELECT * FROM keys WHERE key = ?", [key]).fetchone()
            if kept is not None and key:
                return replay(kept, words)
            try:
                answer = Answer(200, do(db))
            except Refusal as refusal:
                answer = refusal.answer
            if key:
                db.execute(
                    "INSERT INTO keys VALUES (?, ?, ?, ?, ?)",
                    [key, words, answer.status, json.dumps(answer.body), self.now()],
                )
            return answer

    def note(self, asked: str, key: str, answer: Answer) -> None:
        """Remember that this was asked, for the page. Only the newest are kept."""
        said = answer.body.get("error", {}).get("message") or answer.body.get("id", "")
        with self.writing() as db:
            made = db.execute(
                "INSERT INTO requests (at, asked, key, status, said) VALUES (?, ?, ?, ?, ?)",
                [self.now(), asked, key, answer.status, "again: " * answer.is_replay + said],
            )
            db.execute(
                "DELETE FROM requests WHERE number <= ?", [(made.lastrowid or 0) - KEPT_REQUESTS]
            )

    def lose_next_answer(self) -> None:
        """Let the next write happen and its answer get lost on the way, as networks do."""
        with self.writing() as db:
            db.execute("INSERT OR IGNORE INTO losses VALUES (1)")

    def answer_is_lost(self) -> bool:
        """Whether this is the answer that gets lost; the one after it does not."""
        with self.writing() as db:
            return db.execute("DELETE FROM losses").rowcount > 0

    def state(self, refund: sqlite3.Row) -> str:
        if refund["canceled"] is not None:
            return "canceled"
        is_pending = self.now() < refund["created"] + SETTLES_SECONDS
        return "pending" if is_pending else "succeeded"

    def refund_as_json(self, refund: sqlite3.Row) -> dict[str, Any]:
        return {
            "id": refund_id(refund["number"]),
            "object": "refund",
            "charge": refund["charge"],
            "amount": refund["amount"],
            "currency": refund["currency"],
            "status": self.state(refund),
            "reference": refund["key"],
            "metadata": {
                name.removeprefix("metadata[").removesuffix("]"): value
                for name, value in json.loads(refund["metadata"]).items()
            },
            "created": int(refund["created"]),
            "settles_at": int(refund["created"] + SETTLES_SECONDS),
        }


def charge_as_json(charge: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": charge["id"],
        "object": "charge",
        "amount": charge["amount"],
        "amount_refunded": charge["amount"] - charge["rest"],
        "currency": charge["currency"],
        "refunded": charge["rest"] == 0,
        "status": "succeeded",
        "metadata": {"order": charge["reference"]},
        "created": int(charge["created"]),
    }


def found_charge(db: sqlite3.Connection, charge_id: str, *, status: int) -> sqlite3.Row:
    found = db.execute(f"{CHARGES} WHERE id = ?", [charge_id]).fetchone()
    if found is None:
        raise Refusal(
            status, f"No such charge: '{charge_id}'", code="resource_missing", param="charge"
        )
    return found


def found_refund(db: sqlite3.Connection, refund_id: str) -> sqlite3.Row:
    number = refund_id.removeprefix("re_")
    found = None
    if number.isascii() and number.isdigit() and len(number) < 16:
        found = db.execute(f"{REFUNDS} WHERE number = ?", [int(number)]).fetchone()
    if found is None:
        raise Refusal(
            404, f"No such refund: '{refund_id}'", code="resource_missing", param="refund"
        )
    return found


def refundable(charge: sqlite3.Row, amount: int | None) -> int:
    """How much is given back. Raises Refusal for more than what is left."""
    if charge["rest"] == 0:
        raise Refusal(
            400,
            f"Charge {charge['id']} has already been refunded.",
            code="charge_already_refunded",
        )
    wanted = charge["rest"] if amount is None else amount
    if wanted > charge["rest"]:
        left = f"{charge['rest']} of {charge['amount']} {charge['currency']}"
        raise Refusal(
            400,
            f"Refund amount ({wanted}) is greater than what is left on charge {charge['id']} "
            f"({left}, in minor units).",
            code="amount_too_large",
            param="amount",
        )
    return wanted


def replay(kept: sqlite3.Row, words: str) -> Answer:
    if kept["asked"] != words:
        raise Refusal(
            400,
            "Keys for idempotent requests can only be used with the same parameters they were "
            f"first used with. Try using a key other than '{kept['key']}' if you meant to execute "
            "a different request.",
            kind="idempotency_error",
        )
    return Answer(kept["status"], json.loads(kept["answer"]), is_replay=True)


def has(refund: sqlite3.Row, wanted: dict[str, str]) -> bool:
    held = {
        "charge": refund["charge"],
        "reference": refund["key"],
        **json.loads(refund["metadata"]),
    }
    return all(held.get(name) == value for name, value in wanted.items())


def positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text)):
        raise Refusal(
            400, f"Invalid positive integer: {text[:40]}", code="parameter_invalid_integer",
            param="amount",
        )  # fmt: skip
    return int(text)


def refund_id(number: int) -> str:
    return f"re_{number:06}"
