"""Calls in the system's words. What an agent wrote appears only where it cannot say anything."""

import re
from collections.abc import Collection
from typing import Any

from proposals.actions.tables import Table

SPEAKABLE = re.compile(r"[A-Za-z0-9_-]{1,64}")


def named(table: Table, keys: list[str]) -> str:
    """The rows in words; a key that could say something else is left out."""
    if len(keys) != 1:
        return f"{len(keys)} {table.many}"
    return f"{table.one} {keys[0]}" if SPEAKABLE.fullmatch(keys[0]) else f"one {table.one}"


def setting(verb: str, table: Table, keys: list[str], values: dict[str, Any]) -> str:
    """Such as `Change status of order 42 to refunded`: a value only if the operator named it."""
    text = f"{verb} {listed(values)} of {named(table, keys)}"
    if len(values) == 1:
        [(name, value)] = values.items()
        if value in table.columns[name].choices:
            text += f" to {value}"
    return text


def listed(columns: Collection[str]) -> str:
    """Column names as words, in one order."""
    words = sorted(name.replace("_", " ") for name in columns)
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def with_article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
