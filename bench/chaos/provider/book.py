"""The provider's books: a file that it alone writes, and that the checker reads."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = "provider.sqlite3"
TABLES = """
CREATE TABLE IF NOT EXISTS writes (
    id INTEGER PRIMARY KEY, at REAL, target TEXT, business TEXT, key TEXT, fault TEXT
);
CREATE TABLE IF NOT EXISTS effects (
    id INTEGER PRIMARY KEY, at REAL, target TEXT, business TEXT, key TEXT, reference TEXT,
    visible_at REAL, is_repeat INTEGER
);
CREATE TABLE IF NOT EXISTS reads (
    id INTEGER PRIMARY KEY, at REAL, target TEXT, key TEXT, fault TEXT, found TEXT
);
CREATE INDEX IF NOT EXISTS writes_by_business ON writes (business);
CREATE INDEX IF NOT EXISTS effects_by_business ON effects (business);
CREATE INDEX IF NOT EXISTS effects_by_key ON effects (key);
"""


@dataclass(frozen=True)
class Write:
    """One request that wants to change something, as it reached the provider."""

    target: str  # keyed, queryable, plain or mail
    business: str  # what it is about: there should be one effect of it in the whole world
    key: str  # the idempotency key, our reference, or the message's id; may be empty


class Book:
    """Only the provider's process writes; committed before anything is answered."""

    def __init__(self, folder: Path) -> None:
        self.rows = sqlite3.connect(folder / NAME, isolation_level=None)
        self.rows.execute("PRAGMA journal_mode = WAL")
        self.rows.execute("PRAGMA synchronous = OFF")  # it is never killed, and fast is all it is
        self.rows.executescript(TABLES)

    def count_write(self, at: float, write: Write) -> int:
        """Note that a write has arrived. Returns how many there are for its business key now."""
        self.rows.execute(
            "INSERT INTO writes (at, target, business, key, fault) VALUES (?, ?, ?, ?, '')",
            [at, write.target, write.business, write.key],
        )
        counted = self.rows.execute(
            "SELECT count(*) FROM writes WHERE target = ? AND business = ?",
            [write.target, write.business],
        )
        return int(counted.fetchone()[0])

    def note_fault(self, fault: str) -> None:
        """What befell the write that was counted last."""
        self.rows.execute(
            "UPDATE writes SET fault = ? WHERE id = (SELECT max(id) FROM writes)", [fault]
        )

    def effect(self, at: float, write: Write, *, visible_at: float, is_repeat: bool) -> str:
        """Note an effect, and return the provider's reference of it."""
        done = self.rows.execute(
            "INSERT INTO effects (at, target, business, key, visible_at, is_repeat) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            [at, write.target, write.business, write.key, visible_at, is_repeat],
        )
        reference = f"{write.target}-{done.lastrowid}"
        self.rows.execute(
            "UPDATE effects SET reference = ? WHERE id = ?", [reference, done.lastrowid]
        )
        return reference

    def count_read(self, at: float, target: str, key: str) -> int:
        self.rows.execute(
            "INSERT INTO reads (at, target, key) VALUES (?, ?, ?)",
            [at, target, key],
        )
        counted = self.rows.execute("SELECT count(*) FROM reads WHERE key = ?", [key])
        return int(counted.fetchone()[0])

    def note_read(self, fault: str, found: str) -> None:
        self.rows.execute(
            "UPDATE reads SET fault = ?, found = ? WHERE id = (SELECT max(id) FROM reads)",
            [fault, found],
        )

    def visible(self, target: str, key: str, at: float) -> list[tuple[str, str]]:
        """Reference and business key of the effects under a key that a read shows by now."""
        return self.rows.execute(
            "SELECT reference, business FROM effects "
            "WHERE target = ? AND key = ? AND visible_at <= ? ORDER BY id",
            [target, key, at],
        ).fetchall()


class Reader:
    """The same books, for whoever may only read them."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def all(self, sql: str, params: list[Any]) -> list[tuple]:
        # Opened anew each time: a child that is forked meanwhile must not inherit it.
        rows = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
        try:
            return rows.execute(sql, params).fetchall()
        finally:
            rows.close()
