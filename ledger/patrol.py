"""Checks every sealed entry against its seal, in turn, for as long as the clock runs.

`verify_ledger` proves the whole ledger at once, when somebody asks. This reads a little every few
seconds, so that what was altered is found without being asked for, and lists can say so. It finds
entries whose bytes, columns or hash are not what was sealed, and sealed entries that are gone; not
what only the whole shows, such as a root that does not hold. What it finds is no evidence.
"""

import logging
import time
from collections.abc import Iterable, Iterator

from django.db import transaction

from ledger import chain, clock, merkle
from ledger.models import Broken, Checkpoint, Leaf, LedgerEntry, Walk

logger = logging.getLogger(__name__)
NAME = "patrol"
BATCH = 1000
EVERY_SECONDS = 10
LONGEST_REASON = 300
GONE = "it was sealed and is gone"
UNREADABLE = (ValueError, TypeError, AttributeError)  # SQLite keeps any value in any column
Sealed = tuple[int, int, bytes]  # place, entry, hash of the leaf


class Patrol:
    """Every few seconds, the next sealed entries."""

    def __init__(self) -> None:
        self.next = 0.0

    def run(self) -> None:
        if time.monotonic() >= self.next:
            self.next = time.monotonic() + EVERY_SECONDS
            step()


@transaction.atomic
def step(limit: int | None = None) -> int:
    """Check the next sealed entries, beginning anew after the last. Returns how many."""
    sealed = Checkpoint.objects.order_by("-size").values_list("size", flat=True).first() or 0
    if not sealed:
        return 0
    Walk.objects.bulk_create([Walk(name=NAME)], ignore_conflicts=True)
    walk = Walk.objects.select_for_update().get(name=NAME)
    start = walk.position if walk.position < sealed else 0
    end = min(start + (limit or BATCH), sealed)
    leaves = Leaf.objects.filter(leaf_index__gte=start, leaf_index__lt=end)
    rows = list(leaves.order_by("leaf_index").values_list("leaf_index", "entry_id", "hash"))
    note([pk for _, pk, _ in rows], dict(misfits((i, pk, bytes(leaf)) for i, pk, leaf in rows)))
    walk.position, walk.sealed = end, sealed
    if end == sealed:
        walk.position, walk.ended_at = 0, clock.now()
    walk.save(update_fields=["position", "sealed", "ended_at"])
    return len(rows)


def misfits(rows: Iterable[Sealed]) -> Iterator[tuple[int, str]]:
    """The entries of these leaves that are not what was sealed, with what is wrong."""
    rows = list(rows)
    found = stored([pk for _, pk, _ in rows])
    for index, pk, leaf in rows:
        row = found.get(pk, GONE)
        why = row if isinstance(row, str) else chain.own_fault(row)
        if not why and not isinstance(row, str) and merkle.leaf_hash(row.hash) != leaf:
            why = f"it is not what was sealed as leaf {index}"
        if why:
            yield pk, why


def fault(entry: LedgerEntry) -> str:
    """What is wrong with one entry by itself, as it was read."""
    return chain.own_fault(as_row(tuple(getattr(entry, name) for name in chain.Row._fields)))


def stored(pks: list[int]) -> dict[int, chain.Row | str]:
    """The rows of these entries; instead of one that cannot be read, why not."""
    rows = LedgerEntry.objects.filter(pk__in=pks).values_list(*chain.Row._fields)
    try:
        return {row[0]: as_row(row) for row in rows}
    except UNREADABLE as error:
        if len(pks) == 1:
            return {pks[0]: f"it has a column that cannot be read ({error})"}
    half = len(pks) // 2
    return stored(pks[:half]) | stored(pks[half:])


def as_row(values: tuple) -> chain.Row:
    row = chain.Row._make(values)
    return row._replace(
        canonical=bytes(row.canonical), previous=bytes(row.previous), hash=bytes(row.hash)
    )


def note(pks: list[int], wrong: dict[int, str]) -> None:
    """Keep which of these are broken; one that holds again, such as after a restore, is not."""
    known = set(Broken.objects.filter(pk__in=pks).values_list("pk", flat=True))
    Broken.objects.filter(pk__in=known - set(wrong)).delete()
    fresh = {pk: why[:LONGEST_REASON] for pk, why in wrong.items() if pk not in known}
    if not fresh:
        return
    at = clock.now()
    Broken.objects.bulk_create(
        Broken(entry_id=pk, why=why, found_at=at) for pk, why in fresh.items()
    )
    for pk, why in fresh.items():
        logger.error("Entry %s of the ledger was altered: %s. Run verify_ledger.", pk, why)
