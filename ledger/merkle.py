"""One growing Merkle tree, hashed as RFC 9162 (and RFC 6962) says. Pure: bytes in, bytes out.

A tree of any size is a row of perfect subtrees, its *peaks*, largest first. Whoever holds them can
append and knows the root; whoever can look up perfect subtrees by level and position can prove.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence

EMPTY_ROOT = hashlib.sha256(b"").digest()

Lookup = Callable[[int, int], bytes]  # level and position of a perfect subtree -> its hash


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf; the prefix keeps leaves from being passed off as nodes."""
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def fold(hashes: Sequence[bytes]) -> bytes:
    """The top of a perfect subtree, from all its hashes at one lower level."""
    while len(hashes) > 1:
        hashes = [node_hash(*hashes[i : i + 2]) for i in range(0, len(hashes), 2)]
    return hashes[0]


class Tree:
    """A tree that can grow, in the space of its peaks."""

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size, self.peaks = size, list(peaks)
        if len(self.peaks) != size.bit_count():
            raise ValueError(f"A tree of {size} leaves has {size.bit_count()} peaks.")

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add one leaf's hash. Returns the perfect subtrees above it that are now complete."""
        level, position, top = 0, self.size, leaf
        complete = []
        while position & 1:
            level, position, top = level + 1, position >> 1, node_hash(self.peaks.pop(), top)
            complete.append((level, position, top))
        self.peaks.append(top)
        self.size += 1
        return complete

    def root(self) -> bytes:
        if not self.peaks:
            return EMPTY_ROOT
        *rest, top = self.peaks
        for peak in reversed(rest):
            top = node_hash(peak, top)
        return top


def inclusion_proof(index: int, size: int, lookup: Lookup) -> list[bytes]:
    """PATH(index, D[0:size]) of RFC 9162, 2.1.3.1."""
    if not 0 <= index < size:
        raise ValueError(f"There is no leaf {index} in a tree of {size}.")
    proof, start, end = [], 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_range_hash(middle, end, lookup))
            end = middle
        else:
            proof.append(_range_hash(start, middle, lookup))
            start = middle
    return proof[::-1]


def consistency_proof(first: int, second: int, lookup: Lookup) -> list[bytes]:
    """PROOF(first, D[0:second]) of RFC 9162, 2.1.4.1."""
    if not 0 <= first <= second:
        raise ValueError(f"A tree of {second} does not continue one of {first}.")
    if first == 0:
        return []
    proof, start, end = [], 0, second
    while first != end:
        middle = start + _split(end - start)
        if first <= middle:
            proof.append(_range_hash(middle, end, lookup))
            end = middle
        else:
            proof.append(_range_hash(start, middle, lookup))
            start = middle
    if start:  # else the verifier knows this subtree: it is the first tree
        proof.append(_range_hash(start, end, lookup))
    return proof[::-1]


def is_included(leaf: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows this leaf at this place, step by step as RFC 9162, 2.1.3.2."""
    if not 0 <= index < size:
        return False
    here, last, top = index, size - 1, leaf
    for other in proof:
        if last == 0:
            return False
        if here & 1 or here == last:
            top = node_hash(other, top)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            top = node_hash(top, other)
        here, last = here >> 1, last >> 1
    return last == 0 and top == root


def is_consistent(
    first: int, first_root: bytes, second: int, second_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the second tree begins with the first, step by step as RFC 9162, 2.1.4.2."""
    if first == second:
        return not proof and first_root == second_root
    if first == 0:
        return not proof and first_root == EMPTY_ROOT
    if not 0 < first < second or not proof:
        return False
    path = [first_root, *proof] if first.bit_count() == 1 else list(proof)
    here, last = first - 1, second - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    old = new = path[0]
    for other in path[1:]:
        if last == 0:
            return False
        if here & 1 or here == last:
            old, new = node_hash(other, old), node_hash(other, new)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            new = node_hash(new, other)
        here, last = here >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


def _split(width: int) -> int:
    """The largest power of two below `width`."""
    return 1 << (width - 1).bit_length() - 1


def _range_hash(start: int, end: int, lookup: Lookup) -> bytes:
    """The hash over the leaves from `start` to before `end`, where `start` is a split's."""
    tops = []
    while start < end:
        level = (end - start).bit_length() - 1
        tops.append(lookup(level, start >> level))
        start += 1 << level
    top = tops.pop()
    while tops:
        top = node_hash(tops.pop(), top)
    return top
