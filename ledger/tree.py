"""The tree as it is stored: leaves, and every fourth level above them."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Q

from ledger import merkle
from ledger.models import Leaf, Node

Place = tuple[int, int]  # level and position
STEP = 4  # so storing the tree costs a fifteenth of a row for each leaf


def frontier(size: int) -> merkle.Tree:
    """The tree over the first `size` leaves, ready to grow. Raises ValueError if rows miss."""
    wanted = {}  # by stored level: the first and the last hash that peaks are made of
    for level in range(0, size.bit_length(), STEP):
        first, end = size >> level + STEP << STEP, size >> level
        if first < end:
            wanted[level] = (first, end)
    found = _fetch(wanted)
    peaks = []
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            peaks.append(_fold(found, level, (size >> level) - 1))
    return merkle.Tree(size, peaks)


def lookup(level: int, position: int) -> bytes:
    """The hash of a perfect subtree, for proofs."""
    stored = level - level % STEP
    first = position << level - stored
    return _fold(_fetch({stored: (first, first + (1 << level - stored))}), level, position)


def lookup_many(wanted: Iterable[Place]) -> dict[Place, bytes]:
    """The same for many subtrees, in one statement for each level that is stored."""
    stored: dict[int, set[int]] = {}
    wanted = list(wanted)
    for level, position in wanted:
        above = level % STEP
        first = position << above
        stored.setdefault(level - above, set()).update(range(first, first + (1 << above)))
    found: dict[Place, bytes] = {}
    for level, positions in stored.items():
        rows: Any
        if level:
            nodes = Node.objects.filter(level=level, position__in=positions)
            rows = nodes.values_list("position", "hash")
        else:
            rows = Leaf.objects.filter(leaf_index__in=positions).values_list("leaf_index", "hash")
        found |= {(level, position): bytes(hash_) for position, hash_ in rows}
    return {(level, position): _fold(found, level, position) for level, position in wanted}


def is_stored(level: int) -> bool:
    return level % STEP == 0


def _fetch(wanted: dict[int, tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    found: dict[tuple[int, int], bytes] = {}
    ranges = Q()
    for level, (first, end) in wanted.items():
        if level:
            ranges |= Q(level=level, position__gte=first, position__lt=end)
        else:
            leaves = Leaf.objects.filter(leaf_index__gte=first, leaf_index__lt=end)
            for index, hash_ in leaves.values_list("leaf_index", "hash"):
                found[0, index] = bytes(hash_)
    if ranges:
        nodes = Node.objects.filter(ranges).values_list("level", "position", "hash")
        found |= {(level, position): bytes(hash_) for level, position, hash_ in nodes}
    return found


def _fold(found: dict[tuple[int, int], bytes], level: int, position: int) -> bytes:
    stored = level - level % STEP
    first = position << level - stored
    try:
        return merkle.fold([found[stored, first + n] for n in range(1 << level - stored)])
    except KeyError:
        raise ValueError(f"The stored tree lacks hashes under node {level}, {position}.") from None
