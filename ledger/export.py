"""Taking entries away: JSON lines and CSV in one archive that proves itself offline.

Only what is sealed, so that two people who export the same get the same; never cut. Everything is
read in pages along an index and written as it is read: no export is too large for the memory.
"""

import csv
import hashlib
import io
import json
import zipfile
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from ledger import clock, entries, finding, offline_verify, tree
from ledger.chain import moment
from ledger.finding import Filters
from ledger.keys import verifying_keys
from ledger.models import Checkpoint, Leaf, LedgerEntry
from ledger.visible import visible

BATCH = 2000
STREAM = "export"
LONGEST_REASON = 500
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
COLUMNS = (
    "entry",
    "leaf",
    "time",
    "event",
    "tier",
    "actor",
    "actor name",
    "agent",
    "proposal",
    "revision",
    "run",
    "object",
    "action",
    "reason",
    "hash",
    "body",
)
CSV_NOTE = (
    "Cells that a spreadsheet might run as a formula begin with an apostrophe, and characters "
    "that would not be seen are written as their escapes. entries.jsonl holds the exact bytes."
)
Page = list[tuple[LedgerEntry, int]]


class ExportRefused(Exception):
    """An export that cannot be made; says why."""


@dataclass
class Export:
    """One export: what is asked for, by whom, up to which sealed position.

    `extra` are files that are taken along, and named in the manifest like the others.
    """

    filters: Filters
    checkpoint: Checkpoint
    actor: str
    actor_name: str
    reason: str
    at: datetime
    count: int = 0
    unsealed: int = 0
    first: tuple[int, int] | None = None
    last: tuple[int, int] | None = None
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    name: str = "ledger"
    extra: dict[str, bytes] = field(default_factory=dict)

    @property
    def file_name(self) -> str:
        return f"countersign-{self.name}-{self.checkpoint.size}-{self.at:%Y%m%dT%H%M%SZ}.zip"


def chosen(filters: Filters) -> QuerySet:
    """The entries that the filters mean. Raises BadFilter for a search that is none."""
    found = filters.apply(finding.listed())
    if filters.q:
        searched = finding.search(found, filters.q, filters.days)
        if searched is None:
            raise finding.BadFilter(finding.HINT)
        found = searched
    return found


@transaction.atomic
def start(*, filters: Filters, actor: str, actor_name: str, reason: str) -> Export:
    """Enter in the ledger that this is taken away, by whom and why.

    Raises ExportRefused without a reason or while nothing is sealed, and BadFilter.
    """
    reason = reason.strip()
    if not reason:
        raise ExportRefused("Say what this export is for.")
    if len(reason) > LONGEST_REASON:
        raise ExportRefused(f"A reason has at most {LONGEST_REASON} characters.")
    if "\0" in reason:
        raise ExportRefused("A reason with a NUL in it cannot be stored.")
    chosen(filters)
    checkpoint = Checkpoint.objects.order_by("size").last()
    if checkpoint is None:
        raise ExportRefused(
            "Nothing is sealed yet, so there is nothing to export: start the clock."
        )
    export = Export(filters, checkpoint, actor, actor_name, reason, clock.now())
    _record(export, "export.started", {"reason": reason, "filters": filters.as_json()})
    return export


def archive(export: Export) -> Iterator[bytes]:
    """The archive, piece by piece. Once all of it was read, the ledger gets to know its digests."""
    sink = _Sink()
    indices = array("Q")
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as bundle:  # type: ignore[call-overload]
        parts: tuple[tuple[str, Callable[[], Iterable[bytes]]], ...] = (
            ("entries.jsonl", lambda: _lines(export, indices)),
            ("entries.csv", lambda: _rows(export)),
            ("tree.jsonl", lambda: _tree(export, indices)),
            ("checkpoint.txt", lambda: [export.checkpoint.note.encode()]),
            ("public_keys.txt", lambda: [f"{key}\n".encode() for key in verifying_keys()]),
            ("verify.py", lambda: [Path(offline_verify.__file__).read_bytes()]),
            *((name, lambda data=data: [data]) for name, data in export.extra.items()),
        )
        for name, pieces in parts:
            for _ in _member(export, bundle, name, pieces()):
                yield from sink.drain()
        text = json.dumps(manifest(export), indent=2) + "\n"
        bundle.writestr(_info(export, "manifest.json"), text)
    yield from sink.drain()
    with transaction.atomic():
        facts = {name: f"sha256:{each['sha256']}" for name, each in export.files.items()}
        _record(export, "export.completed", {"count": export.count, "files": facts})


def manifest(export: Export) -> dict[str, Any]:
    """What the archive holds, and how far the ledger reached when it was made."""
    sealed = export.checkpoint
    return {
        "format": offline_verify.FORMAT,
        "made_at": moment(export.at),
        "made_by": {"actor": export.actor, "name": visible(export.actor_name)},
        "reason": export.reason,
        "filters": export.filters.as_json(),
        "filters_in_words": [visible(words) for words in export.filters.words().values()],
        "sealed": {"size": sealed.size, "root": bytes(sealed.root).hex(), "at": moment(sealed.at)},
        "count": export.count,
        "first": _place(export.first),
        "last": _place(export.last),
        "left_out_because_not_yet_sealed": export.unsealed,
        "files": export.files,
        "csv": CSV_NOTE,
    }


def gaps(indices: Iterable[int], size: int) -> Iterator[tuple[int, int]]:
    """The perfect subtrees between these leaves, in order: with the leaves they are the tree."""
    start = 0
    for index in (*indices, size):
        while start < index:
            level = (index - start).bit_length() - 1
            if start:
                level = min(level, (start & -start).bit_length() - 1)
            yield level, start >> level
            start += 1 << level
        start = index + 1


def inert(value: Any) -> str:
    """A cell that no spreadsheet runs and in which nothing hides."""
    text = visible(str(value))
    return f"'{text}" if text.startswith(FORMULA) or str(value).startswith(FORMULA) else text


def _pages(export: Export) -> Iterator[Page]:
    """Entries with their leaves in the order of time; what is not sealed is left out."""
    rows = chosen(export.filters).defer(None).order_by("facet__at", "facet__entry_id")
    after: Any = None
    while True:
        found = rows
        if after is not None:
            later = Q(facet__at__gt=after.facet.at) | Q(facet__entry_id__gt=after.pk)
            found = rows.filter(later, facet__at__gte=after.facet.at)
        page = list(found[:BATCH])
        if not page:
            return
        after = page[-1]
        sealed = Leaf.objects.filter(
            entry_id__in=[entry.pk for entry in page], leaf_index__lt=export.checkpoint.size
        )
        places = dict(sealed.values_list("entry_id", "leaf_index"))
        yield [(entry, places.get(entry.pk, -1)) for entry in page]


def _lines(export: Export, indices: "array[int]") -> Iterator[bytes]:
    for page in _pages(export):
        text = []
        for entry, index in page:
            if index < 0:
                export.unsealed += 1
                continue
            export.first = export.first or (entry.pk, index)
            export.last = (entry.pk, index)
            indices.append(index)
            line = {
                "entry": entry.pk,
                "leaf": index,
                "hash": bytes(entry.hash).hex(),
                "canonical": bytes(entry.canonical).decode(errors="backslashreplace"),
            }
            text.append(json.dumps(line, separators=(",", ":")))
        export.count = len(indices)
        yield "".join(f"{line}\n" for line in text).encode()


def _rows(export: Export) -> Iterator[bytes]:
    yield _csv([COLUMNS])
    written = 0
    for page in _pages(export):
        rows = [_cells(entry, index) for entry, index in page if index >= 0]
        written += len(rows)
        yield _csv(rows)
    if written != export.count:
        raise ExportRefused("The two files differ; nothing of this export can be used.")


def _cells(entry: LedgerEntry, index: int) -> list[str]:
    facet = entry.facet
    try:
        body = json.dumps(entry.body, ensure_ascii=False)
    except (ValueError, KeyError):
        body = "unreadable: its bytes are in entries.jsonl"
    values = [
        *(entry.pk, index, moment(entry.at), entry.kind, facet.tier, entry.actor),
        *(entry.actor_name, entry.agent, entry.proposal, facet.revision or "", entry.run),
        *(entry.object, facet.action, facet.reason, bytes(entry.hash).hex(), body),
    ]
    return [inert(value) for value in values]


def _csv(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _tree(export: Export, indices: "array[int]") -> Iterator[bytes]:
    wanted: list[tuple[int, int]] = []
    for place in gaps(sorted(indices), export.checkpoint.size):
        wanted.append(place)
        if len(wanted) == BATCH:
            yield _nodes(wanted)
            wanted = []
    yield _nodes(wanted)


def _nodes(wanted: list[tuple[int, int]]) -> bytes:
    found = tree.lookup_many(wanted)
    rows = ({"level": n, "position": at, "hash": found[n, at].hex()} for n, at in wanted)
    return "".join(f"{json.dumps(row, separators=(',', ':'))}\n" for row in rows).encode()


def _member(
    export: Export, bundle: zipfile.ZipFile, name: str, pieces: Iterable[bytes]
) -> Iterator[None]:
    """Write one file, pausing after each piece, and keep its length and digest."""
    digest, length = hashlib.sha256(), 0
    with bundle.open(_info(export, name), "w", force_zip64=True) as file:
        for piece in pieces:
            file.write(piece)
            digest.update(piece)
            length += len(piece)
            yield
    export.files[name] = {"bytes": length, "sha256": digest.hexdigest()}


def _info(export: Export, name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, export.at.timetuple()[:6])
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _place(place: tuple[int, int] | None) -> dict[str, int] | None:
    return {"entry": place[0], "leaf": place[1]} if place else None


def _record(export: Export, kind: str, body: dict[str, Any]) -> None:
    entries.record(
        STREAM,
        kind=kind,
        actor=export.actor,
        actor_name=export.actor_name,
        body=body | {"sealed": export.checkpoint.size},
    )


class _Sink:
    """What a zip file is written to: kept only until it is sent."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def drain(self) -> Iterator[bytes]:
        pieces, self.pieces = self.pieces, []
        yield from pieces
