"""The arithmetic of the chain. Pure: bytes and rows in, bytes and faults out.

Each entry's canonical bytes hold the hash of the entry before it in its stream; its own hash is
SHA-256 over a prefix, which no other kind of document shares, and those bytes. Bytes are stored
and never rebuilt from columns in order to be hashed.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from ledger.canonical import SAFE_INTEGER, canonical

VERSION = 1
PREFIX = b"ledger-entry/v1\0"
ASTRAL = re.compile("[\U00010000-\U0010ffff]")
LOOKUPS = ("proposal", "agent", "run", "object")


class Row(NamedTuple):
    """A stored entry, by column."""

    id: int
    stream: str
    number: int
    kind: str
    actor: str
    actor_name: str
    at: datetime
    proposal: str
    agent: str
    run: str
    object: str
    canonical: bytes
    previous: bytes
    hash: bytes


def ledger_canonical(value: Any) -> bytes:
    """Canonical bytes without floats.

    A float may come back from another reader as another number; money and decimals are strings.
    """
    _refuse_floats(value)
    return canonical(value)


def moment(at: datetime) -> str:
    """RFC 3339 in UTC with all six digits, so that equal moments are equal text."""
    if at.tzinfo is None:
        raise ValueError("A moment in the ledger needs a time zone.")
    return at.astimezone(UTC).isoformat(timespec="microseconds")[: -len("+00:00")] + "Z"


def statement(
    *,
    stream: str,
    number: int,
    kind: str,
    actor: str,
    actor_name: str,
    at: datetime,
    proposal: str,
    agent: str,
    run: str,
    object: str,
    body: dict[str, Any],
    previous: bytes,
) -> dict[str, Any]:
    """The whole entry as JSON: what its canonical bytes say."""
    return {
        "v": VERSION,
        "stream": stream,
        "number": number,
        "kind": kind,
        "actor": actor,
        "actor_name": actor_name,
        "at": moment(at),
        "proposal": proposal,
        "agent": agent,
        "run": run,
        "object": object,
        "body": body,
        "previous": previous.hex(),
    }


def entry_hash(data: bytes) -> bytes:
    """The hash of an entry with these canonical bytes."""
    return hashlib.sha256(PREFIX + data).digest()


def fault(row: Row, before: Row | None) -> str:
    """What is wrong with an entry that follows `before` in its stream; empty when nothing is."""
    if wrong := own_fault(row):
        return wrong
    number, previous = (before.number, before.hash) if before else (0, b"")
    if row.number != number + 1:
        return f"number {row.number} follows {number}: entries are missing or out of place"
    if row.previous != previous:
        return "it does not continue the entry before it"
    if before and row.id <= before.id:
        return f"its id is not above that of the entry before it, {before.id}"
    return ""


def own_fault(row: Row) -> str:
    """What is wrong with an entry by itself, wherever it stands; empty when nothing is."""
    wrong = _contents(row)
    if not wrong and entry_hash(row.canonical) != row.hash:
        wrong = "its hash is not that of its bytes"
    return wrong


def walk(rows: Iterable[Row]) -> Iterator[tuple[Row, str]]:
    """Each row with its fault, for rows in the order of stream and number.

    A fault does not spread: the next entry is compared with what is stored before it.
    """
    before: Row | None = None
    for row in rows:
        if before and before.stream != row.stream:
            before = None
        yield row, fault(row, before)
        before = row


def _contents(row: Row) -> str:
    """What is wrong with the bytes, or with a column that does not say what they say.

    The columns tell all but the body. When the bytes are theirs around a canonical body, then
    schema, canonical form and columns are right, all at once.
    """
    try:
        text = row.canonical.decode()
        head, tail = _around_body(row)
        body = text[len(head) : -len(tail)]
        if (
            (text.startswith(head) and text.endswith(tail))
            and body.startswith("{")
            and _encode(_decode(body), body) == body
        ):
            return ""
        return _explain(row, _decode(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "its bytes are not a ledger entry"


def _around_body(row: Row) -> tuple[str, str]:
    """The canonical text of `statement` before and after its body."""
    quote = _quote
    return (
        f'{{"actor":{quote(row.actor)},"actor_name":{quote(row.actor_name)},'
        f'"agent":{quote(row.agent)},"at":"{moment(row.at)}","body":',
        f',"kind":{quote(row.kind)},"number":{row.number:d},"object":{quote(row.object)},'
        f'"previous":"{row.previous.hex()}","proposal":{quote(row.proposal)},'
        f'"run":{quote(row.run)},"stream":{quote(row.stream)},"v":{VERSION}}}',
    )


def _explain(row: Row, stored: dict[str, Any]) -> str:
    """What is wrong with bytes that are JSON, but not what the columns and the form ask for."""
    if ledger_canonical(stored) != row.canonical:
        return "its bytes are not canonical"
    columns = {name: getattr(row, name) for name in stored if name in Row._fields}
    expected = statement(**columns | {"body": stored["body"], "previous": row.previous})
    if stored.keys() != expected.keys() or not isinstance(stored["body"], dict):
        return "its bytes do not have the fields of a ledger entry"
    wrong = next((name for name in expected if stored[name] != expected[name]), "v")
    return f"column {wrong} does not say what its bytes say"


def _encode(value: Any, text: str) -> str:
    """Canonical text of a value that was decoded from `text`, ten times as fast where it can be.

    Without floats and big integers, which decoding refuses, Python's encoder differs from RFC 8785
    only in how it sorts keys with characters beyond the basic plane.
    """
    if text.isascii() or not ASTRAL.search(text):
        return _encoder.encode(value)
    return ledger_canonical(value).decode()


def _refuse_floats(value: Any) -> None:
    if isinstance(value, float):
        raise ValueError("The ledger holds no floats; write the number as a string.")
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return
    for item in value:
        _refuse_floats(item)


def _no_number(digits: str) -> Any:
    raise ValueError(f"{digits} is no number of the ledger.")


def _integer(digits: str) -> int:
    value = int(digits)
    return value if -SAFE_INTEGER <= value <= SAFE_INTEGER else _no_number(digits)


_encoder = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))
_quote = lru_cache(maxsize=4096)(_encoder.encode)  # most of an entry's names were seen before
_decode = json.JSONDecoder(
    parse_float=_no_number, parse_int=_integer, parse_constant=_no_number
).decode
