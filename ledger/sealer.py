"""Gives every entry its place in the tree, and signs what the tree then says.

A tick looks at a bounded number of entries, however long the ledger is:

- What lies above the highest sealed entry is new, and is sealed first.
- The entry of a long transaction becomes visible after entries with higher ids were sealed. So what
  else is to be sealed is found by the absence of a leaf, above a floor under which nothing can
  appear any more. `Horizon` knows how far the floor may rise; it rises over what was looked at.
- What appears below it all the same, such as a row that somebody inserted under an old id, is found
  by looking back over the whole ledger, a slice in each tick, again and again.

The floor and the place of the look-back are kept in the database (`Walk`), so that a new leader
goes on where the last one was. With no floor the ledger is walked from its beginning, in slices.
"""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, Max, OuterRef, QuerySet

from ledger import clock, entries, keys, merkle, notes, tree
from ledger.models import Checkpoint, Leaf, LedgerEntry, Walk

logger = logging.getLogger(__name__)

LIMIT = 1000
BATCHES = 20  # of one tick, which shares its process with the clock's other work
LOOK = 10_000  # entries of one slice, which are looked at and rarely sealed
REST_SECONDS = 600  # between two rounds of the look-back
FLOOR, LOOK_BACK = "seal", "look_back"
ONE_SEALER = 0x5EA1_1ED6  # the advisory lock's number: any constant of our own
STREAM = "seal"
ACTOR = "system:sealer"
REGISTERED = "seal.key_registered"
COPY = "copy the one that signed the newest checkpoint, with its .pub."


class SealRefused(Exception):
    """The stored tree is not the one that was last signed; sealing on would bless the change."""


class AnotherSealer(Exception):
    """Another process is sealing at this moment."""


def unsealed(floor: int | None = None, upto: int | None = None) -> QuerySet[LedgerEntry]:
    """The visible entries that have no leaf, above `floor`, up to `upto`, or everywhere."""
    found, leaves = LedgerEntry.objects.all(), Leaf.objects.filter(entry_id=OuterRef("pk"))
    if floor is not None:  # said on both sides, so that no plan reads what lies beyond
        found, leaves = found.filter(pk__gt=floor), leaves.filter(entry_id__gt=floor)
    if upto is not None:
        found, leaves = found.filter(pk__lte=upto), leaves.filter(entry_id__lte=upto)
    return found.filter(~Exists(leaves))


def seal(limit: int = LIMIT, *, floor: int = 0) -> Checkpoint | None:
    """Seal up to `limit` entries in one transaction. None when there is nothing to seal.

    It looks at all that lies above `floor`; what a `tick` looks at is bounded.
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
    """The id under which no entry can appear any more, and where a leader looks meanwhile.

    Whoever inserts an entry holds a lock on the table from before its id was drawn until after its
    transaction ended. So when all who held it at a moment are gone, every id up to the highest one
    seen before that moment is visible, or never will be. SQLite has one writer at a time.
    """

    ceiling: int = 0
    writers: set[str] = field(default_factory=set)
    place: int = 0  # above the floor, while it cannot rise
    look_back_at: float = 0.0

    def is_reached(self) -> bool:
        """Whether nobody who was writing below the ceiling is still at it."""
        if self.writers:
            self.writers &= _writers()
        return not self.writers

    def look(self, newest: int) -> None:
        """Begin to wait for those who write now; `newest` was seen before."""
        self.ceiling, self.writers, self.place = newest, _writers(), 0

    def start_over(self) -> None:
        """Forget the ceiling: ids that were seen are gone, so what was concluded from them is."""
        self.ceiling, self.writers, self.place = 0, set(), 0


def is_fresh(*, within: float | None = None) -> bool:
    """Whether the oldest entry after the newest sealed one waits within so many seconds.

    Within UNSEALED_LIMIT_SECONDS, unless told otherwise. Two look-ups, for what is asked often;
    `verify_ledger` looks for every entry.
    """
    last = Leaf.objects.aggregate(last=Max("entry_id"))["last"] or 0
    waiting = LedgerEntry.objects.filter(pk__gt=last).order_by("pk").values_list("at", flat=True)
    oldest = waiting.first()
    limit = settings.UNSEALED_LIMIT_SECONDS if within is None else within
    return oldest is None or clock.now() - oldest <= timedelta(seconds=limit)


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
    newest, floor, place = _marks()
    if newest < max(floor, horizon.ceiling):
        horizon.start_over()
    if newest < floor:
        floor = _keep(FLOOR, 0)
    if newest != floor:
        floor = _look_above(horizon, floor, newest)
    if time.monotonic() >= horizon.look_back_at and floor:
        _look_back(horizon, place, floor)


def _look_above(horizon: Horizon, floor: int, newest: int) -> int:
    """Seal what is new, and what came late above the floor. Returns how far the floor rose."""
    is_reached = horizon.is_reached()  # before anything is looked at
    top = Leaf.objects.aggregate(last=Max("entry_id"))["last"] or 0
    for _ in range(BATCHES):
        sealed = _seal(LIMIT, top) if top < newest else None  # not what is written meanwhile
        if sealed is None:
            break
        top = sealed.entry_id
    if top < newest:
        return floor  # a backlog is worked off before anything is looked for
    if not is_reached:
        end = _look(max(floor, horizon.place), top)
        horizon.place = end if end < top else 0
        return floor
    risen = min(_look(floor, top), horizon.ceiling)
    if risen > floor:
        floor = _keep(FLOOR, risen)
    if floor >= horizon.ceiling:
        horizon.look(newest)
    return floor


def _look_back(horizon: Horizon, place: int, floor: int) -> None:
    """The next slice below the floor, for the case that something appeared there all the same."""
    place = _look(place, floor)
    if place >= floor:
        place, horizon.look_back_at = 0, time.monotonic() + REST_SECONDS
    _keep(LOOK_BACK, place)


def _look(floor: int, upto: int) -> int:
    """Seal what has no leaf in the next slice, one batch of it at most.

    Returns the id up to which, from `floor` on, every entry that was visible is sealed.
    """
    following = LedgerEntry.objects.filter(pk__gt=floor).order_by("pk")
    last = following.values_list("pk", flat=True)[LOOK - 1 : LOOK].first()
    end = upto if last is None else min(last, upto)
    sealed = _seal(LIMIT, floor, end) if _is_any(unsealed(floor, end)) else None
    return sealed.entry_id if sealed else end


def _is_any(rows: QuerySet[Any]) -> bool:
    """`exists`, but along the key: without the order, a plan may read a table from its start."""
    return rows.order_by("pk").values_list("pk").first() is not None


def _marks() -> tuple[int, int, int]:
    """The newest entry, the floor, and the place of the look-back; all that an idle tick asks."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT MAX(id) FROM ledger_ledgerentry), "
            "(SELECT position FROM ledger_walk WHERE name = %s), "
            "(SELECT position FROM ledger_walk WHERE name = %s)",
            [FLOOR, LOOK_BACK],
        )
        newest, floor, place = cursor.fetchone()
    return newest or 0, floor or 0, place or 0


def _keep(name: str, position: int) -> int:
    if not Walk.objects.filter(name=name).update(position=position):
        Walk.objects.bulk_create([Walk(name=name, position=position)], ignore_conflicts=True)
    return position


def _seal(limit: int, floor: int, upto: int | None = None) -> Sealed | None:
    with transaction.atomic():  # on SQLite this takes the one lock for writing
        if connection.vendor == "postgresql":
            _lock()
        last = Checkpoint.objects.order_by("size").last()
        if not _is_any(unsealed(floor, upto)):
            return None
        key = keys.signing_key(may_generate=last is None)
        grown = _continue(last, key.public)
        keys.publish(key.public)
        if last is None or last.key_id != key.public.id.hex():
            _register(key.public)
        chosen = list(unsealed(floor, upto).order_by("pk").values_list("pk", "hash")[:limit])
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
    if _is_any(Leaf.objects.filter(leaf_index__gte=size)):
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
