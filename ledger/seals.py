"""Proves the seals: dense leaves, the root of each checkpoint, its signature, and freshness."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection
from django.db.models import Min

from ledger import clock, merkle, tree
from ledger.chain import moment
from ledger.models import Checkpoint
from ledger.notes import BadNote, TreeHead, VerifyingKey, open_note, signed
from ledger.report import Problem, Report
from ledger.sealer import STREAM, unsealed

CHUNK = 2000
LEAVES = (
    "SELECT l.leaf_index, l.entry_id, l.hash, e.hash, e.stream, e.number FROM ledger_leaf l "
    "LEFT JOIN ledger_ledgerentry e ON e.id = l.entry_id ORDER BY l.leaf_index"
)
# In the order in which a growing tree completes them.
NODES = (
    "SELECT level, position, hash FROM ledger_node "
    "ORDER BY (position + 1) * (CAST(1 AS bigint) << level), level"
)
UNREADABLE = (ValueError, TypeError, AttributeError)  # SQLite keeps any value in any column


class Stored(NamedTuple):
    """A checkpoint's row."""

    size: int
    root: bytes
    at: Any
    note: str
    key_id: str


def check(report: Report, *, keys: Sequence[VerifyingKey], pinned: Sequence[TreeHead] = ()) -> None:
    """Add to the report whatever the seals show; `pinned` are heads that were kept elsewhere."""
    walk = _Walk(report, keys, pinned)
    try:
        walk.run()
    except UNREADABLE as error:
        report.add(_at_leaf(walk.tree.size, f"the rows from here on cannot be read ({error})"))
    if report.checkpoints and not keys:
        report.unproven.append(
            "There is no public key, so no signature was checked. Pass one (--key)."
        )
    report.unsealed = report.entries - walk.found
    if report.unsealed > 0:
        _check_freshness(report)


class _Walk:
    """One pass over the leaves, with the checkpoints and nodes that are due along the way."""

    def __init__(
        self, report: Report, keys: Sequence[VerifyingKey], pinned: Sequence[TreeHead]
    ) -> None:
        self.report, self.keys = report, keys
        self.tree = merkle.Tree()
        self.found = 0  # leaves whose entry is there
        self.before: TreeHead | None = None
        self.sealed = 0  # the size of the last checkpoint, whatever it states
        self.roots_hold = True  # after one wrong root all are wrong, and say no more
        self.pinned = sorted(pinned, key=lambda head: head.size)
        rows = Checkpoint.objects.order_by("size").values_list(*Stored._fields)
        self.checkpoints = map(Stored._make, rows.iterator(chunk_size=CHUNK))
        self.checkpoint: Stored | None = None

    def run(self) -> None:
        self.checkpoint = next(self.checkpoints, None)
        with closing(_rows(NODES)) as nodes, closing(_rows(LEAVES)) as leaves:
            self.pass_heads()  # a checkpoint of nothing would be a forgery
            for row in leaves:
                if row[0] != self.tree.size:
                    self.report.add(_at_leaf(self.tree.size, f"leaf {row[0]} is in its place"))
                    return
                self.add_leaf(*row[1:], nodes=nodes)
                self.pass_heads()
            self.end(next(nodes, None))

    def add_leaf(
        self,
        entry_id: int,
        stored: Any,
        hash_: Any,
        stream: str,
        number: int,
        *,
        nodes: Iterator[Sequence[Any]],
    ) -> None:
        """Compare a leaf with its entry, and the nodes that it completes with those stored.

        The tree grows by the leaf as stored, so that one bad entry makes one problem.
        """
        leaf = bytes(stored)
        if hash_ is None:
            why = f"its entry {entry_id}, which was sealed, is gone"
            self.report.add(_at_leaf(self.tree.size, why))
        else:
            self.found += 1
            if merkle.leaf_hash(bytes(hash_)) != leaf:
                why = f"it is not what was sealed as leaf {self.tree.size}"
                self.report.add(Problem(stream, number, entry_id, why))
        for level, position, top in self.tree.append(leaf):
            if tree.is_stored(level):
                row = next(nodes, None)
                if row is None or (*row[:2], bytes(row[2])) != (level, position, top):
                    why = f"its stored node {level}, {position} is not the one computed"
                    self.report.add(_at_leaf(self.tree.size - 1, why))

    def pass_heads(self) -> None:
        """Check the checkpoints and the pinned heads of exactly the present size."""
        while self.checkpoint and self.checkpoint.size <= self.tree.size:
            self.check_checkpoint(self.checkpoint)
            self.checkpoint = next(self.checkpoints, None)
        while self.pinned and self.pinned[0].size == self.tree.size:
            if self.pinned.pop(0).root != self.tree.root():
                why = "the ledger up to here is not the one of the checkpoint kept elsewhere"
                self.report.add(_at_checkpoint(self.tree.size, why))

    def check_checkpoint(self, row: Stored) -> None:
        self.report.checkpoints += 1
        try:
            head, key = open_note(row.note, self.keys)
            why = self.fault(row, head, key)
        except BadNote as error:
            head, why = None, str(error)
        if why:
            self.report.add(_at_checkpoint(row.size, why))
        if head:
            self.before = head
            self.report.newest_checkpoint = f"{head.size} of {moment(head.at)}"
        self.sealed = row.size

    def fault(self, row: Stored, head: TreeHead, key: VerifyingKey | None) -> str:
        columns = (head.size, head.root, head.at)
        if (row.size, bytes(row.root), row.at) != columns:
            return "its columns do not say what its note says"
        if key and (row.key_id != key.id.hex() or row.note != _only(row.note, head, key)):
            return "its note is not as it was written"
        if head.after != self.sealed:
            return f"it follows checkpoint {head.after}, and that before it is {self.sealed}"
        if self.before and head.origin != self.before.origin:
            return "it belongs to another log than the one before it"
        if self.roots_hold and head.root != self.tree.root():
            self.roots_hold = False
            return (
                f"its root is not that of the sealed entries: of leaves {self.sealed} to "
                f"{head.size - 1}, at least one was changed, moved or removed"
            )
        return ""

    def end(self, node: Sequence[Any] | None) -> None:
        """Nothing may be left over on any side."""
        self.report.sealed = size = self.tree.size
        if self.checkpoint:
            why = f"it counts more leaves than there are, {size}"
            self.report.add(_at_checkpoint(self.checkpoint.size, why))
        elif self.sealed != size:
            self.report.add(_at_leaf(self.sealed, "no checkpoint covers it"))
        if node is not None:
            self.report.add(_at_leaf(size, "the stored tree goes beyond the last leaf"))
        for head in self.pinned:
            why = (
                f"the ledger is older than this checkpoint that was kept elsewhere: "
                f"{head.size - size:,} entries that were sealed are missing"
            )
            self.report.add(_at_checkpoint(head.size, why))


def _rows(sql: str) -> Generator[Sequence[Any], None, None]:
    """Rows in constant memory."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(sql)
        while batch := cursor.fetchmany(CHUNK):
            yield from batch


def _only(note: str, head: TreeHead, key: VerifyingKey) -> str:
    """The note with this one signature and nothing else, in the one spelling it has."""
    line = note.rstrip("\n").rpartition(" ")[2]
    return signed(head.text(), key, b"").rpartition(" ")[0] + f" {line}\n"


def _check_freshness(report: Report) -> None:
    now, limit = clock.now(), timedelta(seconds=settings.UNSEALED_LIMIT_SECONDS)
    overdue = unsealed().filter(at__lt=now - limit)
    try:
        oldest = overdue.aggregate(oldest=Min("at"))["oldest"]
        if oldest:
            report.unproven.append(
                f"{overdue.count():,} entries are unsealed beyond the limit of "
                f"{settings.UNSEALED_LIMIT_SECONDS} s, the oldest since {moment(oldest)}: is the "
                "clock running?"
            )
    except UNREADABLE as error:
        report.unproven.append(f"An entry that is not sealed has no readable time ({error}).")


def _at_leaf(index: int, why: str) -> Problem:
    return Problem(STREAM, index, None, why, f"Leaf {index}")


def _at_checkpoint(size: int, why: str) -> Problem:
    return Problem(STREAM, size, None, why, f"Checkpoint {size}")
