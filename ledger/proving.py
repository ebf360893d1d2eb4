"""Proving one stream now: its chain, its places in the sealed tree, and the signature over it.

`verify` reads the whole ledger; this reads what one story rests on, and is quick enough for a page.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache

from ledger import chain, clock, keys, merkle, notes, tree
from ledger.models import Checkpoint, Leaf, LedgerEntry

UNREADABLE = (ValueError, TypeError, AttributeError)


@dataclass(frozen=True)
class EntryProof:
    """One entry: what is wrong with it, if anything, and where it is sealed."""

    entry: int
    number: int
    hash: str
    previous: str
    leaf: int | None
    fault: str


@dataclass
class StreamProof:
    """What was found when the stream was proved, at this moment."""

    at: datetime
    entries: list[EntryProof] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    checkpoint: int = 0
    signed_by: str = ""

    @property
    def is_intact(self) -> bool:
        return not self.problems and not any(each.fault for each in self.entries)

    @property
    def unsealed(self) -> int:
        return sum(1 for each in self.entries if each.leaf is None)

    @property
    def result(self) -> str:
        """The finding in one sentence, with what it does not cover."""
        if not self.is_intact:
            faults = [f"entry {each.entry}: {each.fault}" for each in self.entries if each.fault]
            return f"TAMPERED WITH: {'; '.join([*self.problems, *faults])}."
        told = f"Intact: {len(self.entries)} entries, each with the hash of its bytes and in place"
        if not self.checkpoint:
            return f"{told}; nothing is sealed yet, so whoever owns the database could change them."
        if self.unsealed:
            told += f"; {self.unsealed} of them not yet sealed"
        signer = self.signed_by or "nobody known"
        return f"{told}; under checkpoint {self.checkpoint:,}, signed by {signer}."


def prove(stream: str, head: tuple[int, bytes] | None = None) -> StreamProof:
    """Prove a stream from its stored bytes. `head` is what its owner remembers of its end.

    Never raises for what it finds.
    """
    proof = StreamProof(clock.now())
    rows = LedgerEntry.objects.filter(stream=stream).order_by("number")
    try:
        found = [chain.Row._make(row) for row in rows.values_list(*chain.Row._fields)]
        faults = [why for _, why in chain.walk(found)]
        _seal(proof, found, faults)
    except UNREADABLE as error:
        proof.problems.append(f"its rows cannot be read ({error})")
        return proof
    end = (found[-1].number, bytes(found[-1].hash)) if found else (0, b"")
    if head is not None and (head[0], bytes(head[1])) != end:
        proof.problems.append(f"its head counts {head[0]} entries, and the last is {end[0]}")
    return proof


def _seal(proof: StreamProof, rows: Sequence[chain.Row], faults: list[str]) -> None:
    size, root = _checkpoint(proof)
    sealed = Leaf.objects.filter(entry_id__in=[row.id for row in rows])
    places = {
        pk: (index, bytes(hash_))
        for pk, index, hash_ in sealed.values_list("entry_id", "leaf_index", "hash")
    }
    lookup = cache(tree.lookup)
    for row, why in zip(rows, faults, strict=True):
        index, leaf = places.get(row.id, (None, b""))
        if index is not None and not why:
            why = _misplaced(row, index, leaf, size, root, lookup)
        proof.entries.append(
            EntryProof(
                row.id, row.number, bytes(row.hash).hex(), bytes(row.previous).hex(), index, why
            )
        )


def _misplaced(
    row: chain.Row, index: int, leaf: bytes, size: int, root: bytes, lookup: merkle.Lookup
) -> str:
    if merkle.leaf_hash(bytes(row.hash)) != leaf:
        return f"it is not what was sealed as leaf {index}"
    try:
        path = merkle.inclusion_proof(index, size, lookup)
    except ValueError as error:
        return f"its place cannot be proved ({error})"
    if not merkle.is_included(leaf, index, size, root, path):
        return f"the sealed tree does not hold it as leaf {index}"
    return ""


def _checkpoint(proof: StreamProof) -> tuple[int, bytes]:
    """Size and root of the newest checkpoint, its signature checked with the keys there are."""
    last = Checkpoint.objects.order_by("size").last()
    if last is None:
        return 0, b""
    proof.checkpoint = last.size
    try:
        opened = notes.open_note(last.note, keys.verifying_keys())
        proof.signed_by = opened.key.name if opened.key else ""
        if (opened.head.size, opened.head.root) != (last.size, bytes(last.root)):
            proof.problems.append("the newest checkpoint does not say what its note says")
    except notes.BadNote as error:
        proof.problems.append(f"the newest checkpoint does not hold: {error}")
    except keys.KeyProblem as error:
        proof.problems.append(f"the public key cannot be read: {error}")
    return last.size, bytes(last.root)
