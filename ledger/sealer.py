"""Gives every entry its place in the tree, and signs what the tree then says.

The entry of a long transaction becomes visible after entries with higher ids were sealed. So what
is to be sealed is found by the absence of a leaf, above a floor under which nothing can appear any
more. `Horizon` knows that floor; without one, the whole table is asked.
"""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, Max, OuterRef, QuerySet

from ledger import clock, entries, keys, merkle, notes, tree
from ledger.models import Checkpoint, Leaf, LedgerEntry

logger = logging.getLogger(__name__)

LIMIT = 1000
BATCHES = 20  # of one tick, which shares its process with the clock's other work
FULL_SECONDS = 600
ONE_SEALER = 0x5EA1_1ED6  # the advisory lock's number: any constant of our own
STREAM = "seal"
ACTOR = "system:sealer"
REGISTERED = "seal.key_registered"
COPY = "copy the one that signed the newest checkpoint, with its .pub."


class SealRefused(Exception):
    """The stored tree is not the one that was last signed; sealing on would bless the change."""


class AnotherSealer(Exception):
    """Another process is sealing at this moment."""


def unsealed(floor: int | None = None) -> QuerySet[LedgerEntry]:
    """The visible entries that have no leaf, above `floor` or everywhere."""
    found, leaves = LedgerEntry.objects.all(), Leaf.objects.filter(entry_id=OuterRef("pk"))
    if floor is not None:  # said on both sides, so that no plan reads what lies below
        found, leaves = found.filter(pk__gt=floor), leaves.filter(entry_id__gt=floor)
    return found.filter(~Exists(leaves))


def seal(limit: int = LIMIT, *, floor: int = 0) -> Checkpoint | None:
    """Seal up to `limit` entries in one transaction. None when there is nothing to seal.

    Raises KeyProblem, and SealRefused where the newest checkpoint does not hold.
    """
    try:
        sealed = _seal(limit, floor)
    except AnotherSealer:
        return None
    return sealed.checkpoint if sealed else None


class Sealed(NamedTuple):
    """One batch: its checkpoint, and the highest id in it."""

    checkpoint: Checkpoint
    entry_id: int


@dataclass
class Horizon:
    """The id under which no entry can appear any more.

    Whoever inserts an entry holds a lock on the table from before its id was drawn until after its
    transaction ended. So when all who held it at a moment are gone, every id up to the highest one
    seen before that moment is visible, or never will be. SQLite has one writer at a time.
    """

    floor: int = 0
    ceiling: int = 0
    writers: set[str] = field(default_factory=set)
    full_at: float = 0.0

    def is_reached(self) -> bool:
        """Whether nobody who was writing below the ceiling is still at it."""
        if self.writers:
            self.writers &= _writers()
        return not self.writers

    def look(self, newest: int) -> None:
        """Begin to wait for those who write now; `newest` was seen before."""
        self.ceiling, self.writers = newest, _writers()

    def start_over(self) -> None:
        """Once in a while the whole table is asked, for the case that all this is wrong."""
        self.floor = self.ceiling = 0
        self.writers = set()
        self.full_at = time.monotonic() + FULL_SECONDS


def is_fresh() -> bool:
    """Whether the oldest entry after the newest sealed one waits within the limit.

    Two look-ups, for pages that are asked often; `verify_ledger` looks for every entry.
    """
    last = Leaf.objects.aggregate(last=Max("entry_id"))["last"] or 0
    waiting = LedgerEntry.objects.filter(pk__gt=last).order_by("pk").values_list("at", flat=True)
    oldest = waiting.first()
    limit = timedelta(seconds=settings.UNSEALED_LIMIT_SECONDS)
    return oldest is None or clock.now() - oldest <= limit


def hindrance() -> str:
    """Why this process could not go on with what is sealed, by its key; empty where it could.

    For who does not seal yet, and is to say so before it has to. Looks, and makes no key.
    """
    signed_by = Checkpoint.objects.order_by("-size").values_list("key_id", flat=True).first()
    if signed_by is None:
        return ""
    try:
        key = keys.signing_key(may_generate=False).public
    except keys.KeyProblem as problem:
        return str(problem)
    return "" if key.id.hex() == signed_by else f"{keys.private_path()} is another key: {COPY}"


_horizon = Horizon()
_complaint = ("", 0.0)


def tick(horizon: Horizon | None = None) -> None:
    """Seal what there is to seal; one statement when there is nothing.

    Never raises for a key that is missing or a tree that was changed: it logs. Writers go on, and
    `/readyz` and `verify_ledger` show the backlog.
    """
    try:
        _tick(horizon or _horizon)
    except AnotherSealer:
        pass
    except (keys.KeyProblem, SealRefused) as problem:
        _complain(str(problem))


def _tick(horizon: Horizon) -> None:
    newest = LedgerEntry.objects.aggregate(newest=Max("pk"))["newest"] or 0
    if newest < horizon.floor or time.monotonic() > horizon.full_at:
        horizon.start_over()
    if newest == horizon.floor:
        return
    is_reached, above = horizon.is_reached(), horizon.floor
    for _ in range(BATCHES):
        sealed = _seal(LIMIT, above) if unsealed(above).exists() else None
        if sealed is None:
            break
        above = sealed.entry_id
    if is_reached and not unsealed(horizon.floor).exists():
        horizon.floor = max(horizon.floor, horizon.ceiling)
        horizon.look(newest)


def _seal(limit: int, floor: int) -> Sealed | None:
    with transaction.atomic():  # on SQLite this takes the one lock for writing
        if connection.vendor == "postgresql":
            _lock()
        last = Checkpoint.objects.order_by("size").last()
        if not unsealed(floor).exists():
            return None
        key = keys.signing_key(may_generate=last is None)
        grown = _continue(last, key.public)
        keys.publish(key.public)
        if last is None or last.key_id != key.public.id.hex():
            _register(key.public)
        chosen = list(unsealed(floor).order_by("pk").values_list("pk", "hash")[:limit])
        _extend(grown, chosen)
        checkpoint = _sign(grown, key, after=last.size if last else 0)
        return Sealed(checkpoint, chosen[-1][0])


def _lock() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [ONE_SEALER])
        if not cursor.fetchone()[0]:
            raise AnotherSealer


def _continue(last: Checkpoint | None, key: notes.VerifyingKey) -> merkle.Tree:
    """The tree to extend, if it is still the one that the newest checkpoint states."""
    size = last.size if last else 0
    if Leaf.objects.filter(leaf_index__gte=size).exists():
        raise SealRefused(f"There are leaves after checkpoint {size}. Run verify_ledger.")
    if last is None:
        return merkle.Tree()
    try:
        head = notes.open_note(last.note, [*keys.verifying_keys(), key]).head
        grown = tree.frontier(size)
    except ValueError as error:
        raise SealRefused(f"Checkpoint {size} does not hold: {error}. Run verify_ledger.") from None
    if head.origin != key.name:
        raise SealRefused(f"The sealing key is that of another log, {key.name}: put back the own.")
    if (head.size, head.root) != (size, grown.root()):
        raise SealRefused(f"The stored tree is not that of checkpoint {size}. Run verify_ledger.")
    return grown


def _register(key: notes.VerifyingKey) -> None:
    """Name a key in the ledger before it signs for the first time."""
    entries.record(
        STREAM, kind=REGISTERED, actor=ACTOR, object=key.id.hex(), body={"key": str(key)}
    )


def _extend(grown: merkle.Tree, chosen: Iterable[tuple[int, bytes | memoryview]]) -> None:
    leaves: list[tuple[int, int, bytes]] = []
    nodes: list[tuple[int, int, bytes]] = []
    for pk, hash_ in chosen:
        leaf = merkle.leaf_hash(bytes(hash_))
        leaves.append((grown.size, pk, leaf))
        nodes += [node for node in grown.append(leaf) if tree.is_stored(node[0])]
    with connection.cursor() as cursor:  # a third of the time that model instances would take
        cursor.executemany(
            "INSERT INTO ledger_leaf (leaf_index, entry_id, hash) VALUES (%s, %s, %s)", leaves
        )
        if nodes:
            cursor.executemany(
                "INSERT INTO ledger_node (level, position, hash) VALUES (%s, %s, %s)", nodes
            )


def _sign(grown: merkle.Tree, key: notes.SigningKey, *, after: int) -> Checkpoint:
    head = notes.TreeHead(key.public.name, grown.size, grown.root(), after, clock.now())
    checkpoint = Checkpoint(
        size=head.size,
        root=head.root,
        at=head.at,
        note=key.sign(head.text()),
        key_id=key.public.id.hex(),
    )
    checkpoint.save(force_insert=True)
    return checkpoint


def _writers() -> set[str]:
    """The transactions that may hold ids of entries which nobody else sees yet."""
    if connection.vendor != "postgresql":
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' "
            "AND mode = 'RowExclusiveLock' AND relation = to_regclass(%s) "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
            "AND pid IS DISTINCT FROM pg_backend_pid()",
            [connection.ops.quote_name(LedgerEntry._meta.db_table)],
        )
        return {name for (name,) in cursor.fetchall()}


def _complain(problem: str) -> None:
    """Log a lasting problem once a minute, and not with every tick."""
    global _complaint
    before, at = _complaint
    if problem != before or time.monotonic() - at >= 60:
        _complaint = (problem, time.monotonic())
        logger.error("Sealing stopped: %s", problem)
