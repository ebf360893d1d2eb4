"""Proves that no entry was changed, removed, added or moved since it was written.

Entries are read twice, along their streams and along the sealed tree, in constant memory and from
one snapshot, so that writers may go on. Other apps register the heads that they keep, and what
else the ledger lets them prove.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from django.db import DatabaseError, connection, transaction
from django.db.models import OuterRef, Subquery

from ledger import chain, seals, storage_guards
from ledger.keys import KeyProblem, verifying_keys
from ledger.models import LedgerEntry, Stream
from ledger.notes import BadNote, VerifyingKey, open_note
from ledger.report import Problem, Report, Result

__all__ = ["Head", "Problem", "Report", "Result", "register_facts", "register_heads", "verify"]

BATCH = 500
# Stream, number and hash of its last entry, as the database gave them: it may hold anything.
Head = tuple[str, int, Any]

_head_providers: list[Callable[[], Iterable[Head]]] = []
_fact_checks: list[Callable[[], Iterable[Problem]]] = []


def register_heads(provider: Callable[[], Iterable[Head]]) -> None:
    """Have the heads that `provider` yields compared with the last entry of their streams.

    Every stream needs exactly one head. A chain without entries may be left out.
    """
    if provider not in _head_providers:
        _head_providers.append(provider)


def register_facts(check: Callable[[], Iterable[Problem]]) -> None:
    """Have `check` look for what the entries and the rows of its app do not agree on."""
    if check not in _fact_checks:
        _fact_checks.append(check)


def verify(*, keys: Sequence[VerifyingKey] = (), checkpoints: Sequence[str] = ()) -> Report:
    """Check the whole ledger. Never raises for what it finds.

    `keys` are trusted instead of those in the data folder. `checkpoints` are notes that were kept
    elsewhere: the ledger must continue each of them.
    """
    report, started = Report(), time.monotonic()
    report.is_key_pinned, report.is_checkpoint_pinned = bool(keys), bool(checkpoints)
    try:
        keys = keys or verifying_keys()
    except KeyProblem as why:
        report.unproven.append(str(why))
    pinned = []
    for note in checkpoints:
        try:
            pinned.append(open_note(note, keys).head)
        except BadNote as why:
            report.add(Problem("seal", 0, None, str(why), "The checkpoint kept elsewhere"))
    try:
        report.guards_missing = storage_guards.missing(connection)
        with _snapshot():
            _check_entries(report)
            _check_heads(report)
            seals.check(report, keys=keys, pinned=pinned)
            for check in _fact_checks:
                for problem in check():
                    report.add(problem)
    except DatabaseError as error:
        report.unreadable = f"The database could not be read: {error}".strip()
    report.seconds = round(time.monotonic() - started, 3)
    return report


@contextmanager
def _snapshot() -> Iterator[None]:
    """One unchanging view. Within a transaction of the caller, the view is the caller's."""
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "postgresql":
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
    else:
        # Not `atomic`, which would take SQLite's write lock and stop the product for the while.
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ROLLBACK")


def _check_entries(report: Report) -> None:
    rows = (
        LedgerEntry.objects.order_by("stream", "number")
        .values_list(*chain.Row._fields)
        .iterator(chunk_size=2000)
    )
    row, stream, number = None, "", 0
    try:
        for row, why in chain.walk(map(chain.Row._make, rows)):
            report.entries += 1
            report.streams += row.stream != stream
            stream, number = row.stream, row.number
            if why:
                report.add(Problem(stream, number, row.id, why))
    except (ValueError, TypeError, AttributeError) as error:
        # SQLite keeps any kind of value in any column, and Django fails to read it.
        why = f"the entry after this place has a column that cannot be read ({error})"
        report.add(Problem(stream, number, row and row.id, why))


def _check_heads(report: Report) -> None:
    """Compare each head with the last entry of its stream: a cut tail shows nowhere else."""
    headed = 0
    for provider in (_stream_heads, *_head_providers):
        heads = iter(provider())
        while batch := list(islice(heads, BATCH)):
            try:
                headed += _check_batch(report, batch, is_own=provider is _stream_heads)
            except (ValueError, TypeError) as error:
                why = f"this head or one of the {len(batch)} from it cannot be read ({error})"
                report.add(Problem(batch[0][0], 0, None, why))
    if headed < report.streams:
        _name_headless(report)


def _stream_heads() -> Iterable[Head]:
    rows = Stream.objects.order_by("name").values_list("name", "ledger_number", "ledger_hash")
    return rows.iterator(chunk_size=BATCH)


def _check_batch(report: Report, batch: list[Head], *, is_own: bool) -> int:
    """Report the heads of a batch that are wrong; return how many streams they head."""
    last = _last_entries([stream for stream, _, _ in batch])
    doubled = set()
    if not is_own:
        names = [stream for stream, _, _ in batch]
        doubled = set(Stream.objects.filter(name__in=names).values_list("name", flat=True))
    for stream, number, hash_ in batch:
        end = last.get(stream)
        if stream in doubled:
            report.add(Problem(stream, number, end and end[0], "its stream has two heads"))
        elif end is None and number:
            why = f"its head counts {number} entries and there are none"
            report.add(Problem(stream, number, None, why))
        elif end and end[1] < number:
            why = f"its head counts {number} entries and the last is {end[1]}: the tail is gone"
            report.add(Problem(stream, end[1] + 1, None, why))
        elif end and (end[1] > number or end[2] != bytes(hash_)):
            why = f"it is the last of its stream, and its head at {number} does not say so"
            report.add(Problem(stream, end[1], end[0], why))
    return len(last)


def _last_entries(streams: list[str]) -> dict[str, tuple[int, int, bytes]]:
    """Id, number and hash of the last entry of each of these streams."""
    newest = LedgerEntry.objects.filter(stream=OuterRef("stream")).order_by("-number")
    rows = LedgerEntry.objects.filter(
        stream__in=streams, number=Subquery(newest.values("number")[:1])
    ).values_list("stream", "id", "number", "hash")
    return {stream: (id_, number, bytes(hash_)) for stream, id_, number, hash_ in rows}


def _name_headless(report: Report) -> None:
    """Say which streams have entries and no head. Needs memory, so only when the counts differ."""
    headed = {stream for heads in (_stream_heads, *_head_providers) for stream, _, _ in heads()}
    firsts = LedgerEntry.objects.filter(number=1).order_by("id").values_list("stream", "id")
    for stream, id_ in firsts.iterator():
        if stream not in headed:
            report.add(Problem(stream, 1, id_, "its stream has no head"))
