"""The tree against the definition, written down naively, and against published vectors."""

import hashlib
import random
from functools import cache

import pytest

from ledger import merkle

LARGEST = 130
# Leaves, roots and proofs of the test data that Certificate Transparency's implementations share.
VECTOR_LEAVES = [
    bytes.fromhex(data)
    for data in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
VECTOR_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
VECTOR_INCLUSION = {
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
}
VECTOR_CONSISTENCY = {
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


def half(entries):
    """The largest power of two smaller than their number."""
    k = 1
    while k * 2 < len(entries):
        k *= 2
    return k


@cache
def naive_root(entries):
    """MTH of RFC 9162, 2.1.1, word by word and by recursion."""
    if not entries:
        return hashlib.sha256().digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = half(entries)
    return hashlib.sha256(b"\x01" + naive_root(entries[:k]) + naive_root(entries[k:])).digest()


def naive_path(m, entries):
    """PATH of RFC 9162, 2.1.3.1."""
    if len(entries) == 1:
        return []
    k = half(entries)
    if m < k:
        return [*naive_path(m, entries[:k]), naive_root(entries[k:])]
    return [*naive_path(m - k, entries[k:]), naive_root(entries[:k])]


def naive_subproof(m, entries, b):
    """SUBPROOF of RFC 9162, 2.1.4.1."""
    if m == len(entries):
        return [] if b else [naive_root(entries)]
    k = half(entries)
    if m <= k:
        return [*naive_subproof(m, entries[:k], b), naive_root(entries[k:])]
    return [*naive_subproof(m - k, entries[k:], False), naive_root(entries[:k])]


def grown(entries):
    """The tree, its roots by size, and its perfect subtrees as it announced them."""
    tree, nodes, roots = merkle.Tree(), {}, [merkle.EMPTY_ROOT]
    for position, data in enumerate(entries):
        leaf = merkle.leaf_hash(data)
        nodes[0, position] = leaf
        for level, place, top in tree.append(leaf):
            nodes[level, place] = top
        roots.append(tree.root())
    return tree, nodes, roots


ENTRIES = tuple(f"entry {n}".encode() for n in range(LARGEST))
TREE, NODES, ROOTS = grown(ENTRIES)


def lookup(level, position):
    return NODES[level, position]


def test_roots_of_all_sizes_are_those_of_the_definition():
    assert [naive_root(ENTRIES[:size]) for size in range(LARGEST + 1)] == ROOTS


def test_perfect_subtrees_are_announced_once_each_and_right():
    for (level, position), top in NODES.items():
        assert top == naive_root(ENTRIES[position << level : (position + 1) << level])
    assert len(NODES) == sum(LARGEST >> level for level in range(LARGEST.bit_length()))


def test_a_tree_goes_on_from_its_peaks():
    for size in range(LARGEST):
        begun = grown(ENTRIES[:size])[0]
        again = merkle.Tree(begun.size, begun.peaks)
        again.append(merkle.leaf_hash(ENTRIES[size]))
        assert again.root() == ROOTS[size + 1]
    with pytest.raises(ValueError, match="2 peaks"):
        merkle.Tree(3, [b"x"])


def test_every_inclusion_proof_is_that_of_the_definition_and_holds():
    for size in range(1, LARGEST + 1):
        for index in range(size):
            proof = merkle.inclusion_proof(index, size, lookup)
            leaf = NODES[0, index]
            assert proof == naive_path(index, ENTRIES[:size])
            assert merkle.is_included(leaf, index, size, ROOTS[size], proof)


def test_every_consistency_proof_is_that_of_the_definition_and_holds():
    for second in range(1, LARGEST + 1):
        for first in range(1, second + 1):
            proof = merkle.consistency_proof(first, second, lookup)
            assert proof == naive_subproof(first, ENTRIES[:second], True)
            assert merkle.is_consistent(first, ROOTS[first], second, ROOTS[second], proof)


def test_no_altered_inclusion_proof_holds():
    dice = random.Random(6962)
    for size in range(1, LARGEST + 1):
        index = dice.randrange(size)
        leaf, root = NODES[0, index], ROOTS[size]
        proof = merkle.inclusion_proof(index, size, lookup)
        for altered in alterations(proof, dice):
            assert not merkle.is_included(leaf, index, size, root, altered)
        assert not merkle.is_included(b"x" * 32, index, size, root, proof)
        assert not merkle.is_included(leaf, index, size, b"x" * 32, proof)
        assert not merkle.is_included(leaf, size, size, root, proof)
        assert not merkle.is_included(leaf, -1, size, root, proof)
        for other in range(size):
            if other != index:
                assert not merkle.is_included(leaf, other, size, root, proof)


def test_no_altered_consistency_proof_holds():
    dice = random.Random(9162)
    for second in range(2, LARGEST + 1):
        first = dice.randrange(1, second)
        proof = merkle.consistency_proof(first, second, lookup)
        old, new = ROOTS[first], ROOTS[second]
        for altered in alterations(proof, dice):
            assert not merkle.is_consistent(first, old, second, new, altered)
        assert not merkle.is_consistent(first, b"x" * 32, second, new, proof)
        assert not merkle.is_consistent(first, old, second, b"x" * 32, proof)
        assert not merkle.is_consistent(second, new, first, old, proof)
        assert not merkle.is_consistent(first, new, first, old, [])


def alterations(proof, dice):
    yield [*proof, b"x" * 32]
    if proof:
        yield proof[:-1]
        yield proof[1:]
        place, bit = dice.randrange(len(proof)), dice.randrange(256)
        flipped = (int.from_bytes(proof[place]) ^ 1 << bit).to_bytes(32)
        yield [*proof[:place], flipped, *proof[place + 1 :]]


def test_the_empty_tree_is_the_beginning_of_every_tree():
    assert merkle.consistency_proof(0, 5, lookup) == []
    assert merkle.is_consistent(0, merkle.EMPTY_ROOT, 5, ROOTS[5], [])
    assert not merkle.is_consistent(0, b"x" * 32, 5, ROOTS[5], [])
    assert not merkle.is_consistent(0, merkle.EMPTY_ROOT, 5, ROOTS[5], [b"x" * 32])


def test_what_does_not_exist_has_no_proof():
    with pytest.raises(ValueError, match="no leaf 5"):
        merkle.inclusion_proof(5, 5, lookup)
    with pytest.raises(ValueError, match="does not continue"):
        merkle.consistency_proof(6, 5, lookup)


def test_published_vectors():
    _, nodes, roots = grown(VECTOR_LEAVES)
    assert [root.hex() for root in roots] == VECTOR_ROOTS

    def find(level, position):
        return nodes[level, position]

    for (index, size), path in VECTOR_INCLUSION.items():
        assert [part.hex() for part in merkle.inclusion_proof(index, size, find)] == path
    for (first, second), path in VECTOR_CONSISTENCY.items():
        assert [part.hex() for part in merkle.consistency_proof(first, second, find)] == path


def test_a_receipt_for_one_in_a_million_is_small():
    for index in (0, 1, 567_890, 999_999):
        proof = merkle.inclusion_proof(index, 1_000_000, lambda level, position: b"x" * 32)
        assert sum(map(len, proof)) <= 640
