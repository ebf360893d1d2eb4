"""Holds the provider's books against the product's tables and its ledger, and nothing else.

It is told what was asked for, and knows nothing of what the product or the provider meant to do.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection

from bench.chaos.checker import OPEN, Proposed, agrees, load, marks, name, rows
from bench.chaos.outside_world import BACK, FORWARD
from bench.chaos.provider.behaviour import KEY_SECONDS, KEYED, MAIL, PLAIN, QUERYABLE
from bench.chaos.provider.book import Reader

TARGETS = {
    "refund": KEYED,
    "credit": KEYED,
    "order": QUERYABLE,
    "purchase": QUERYABLE,
    "note": PLAIN,
    "letter": MAIL,
}
# Answers that say clearly that nothing was taken: after them, the same may be sent again.
NOT_TAKEN = {"too many"}
RESTING = {"committed", "failed", "rejected"}
# A key may be resent for this part of its time; the clocks of two processes are a little apart.
RESENDABLE_SECONDS = 0.8 * KEY_SECONDS + 30
COUNTED = (
    "cycles",
    "keyed",
    "others",
    "committed",
    "failed",
    "double_effects",
    "blind_resends",
    "late_resends",
    "without_evidence",
    "unexplained",
    "unknowns",
)


@dataclass
class Found:
    """What the checker saw."""

    faults: list[str] = field(default_factory=list)
    cycles: int = 0
    keyed: int = 0
    others: int = 0
    committed: int = 0
    failed: int = 0
    double_effects: int = 0
    blind_resends: int = 0
    late_resends: int = 0
    without_evidence: int = 0
    unexplained: int = 0
    unknowns: int = 0
    resolved_by: Counter[str] = field(default_factory=Counter)
    befell: Counter[str] = field(default_factory=Counter)


@dataclass
class Books:
    """What the provider wrote down about the business keys of a batch."""

    writes: dict[str, list[tuple[float, str, str]]]  # at, key, fault
    effects: dict[str, list[tuple[str, str, bool]]]  # key, reference, is_repeat

    @classmethod
    def read(cls, book: Reader, memos: list[str]) -> "Books":
        writes, effects = defaultdict(list), defaultdict(list)
        listed = marks(memos).replace("%s", "?")
        for memo, *write in book.all(
            f"SELECT business, at, key, fault FROM writes WHERE business IN ({listed})", memos
        ):
            writes[memo].append(tuple(write))
        for memo, *effect in book.all(
            f"SELECT business, key, reference, is_repeat FROM effects WHERE business IN ({listed})",
            memos,
        ):
            effects[memo].append((*effect[:2], bool(effect[2])))
        return cls(writes, effects)


def check(agent: Any, played: list[Any], book: Reader, *, is_over: bool = True) -> Found:
    """Hold one against the other; before all is over, only what must hold at any time."""
    found = Found()
    proposals = {each.id: each for each in load(agent)}
    evidence = evidence_of(list(proposals))
    asked = [
        (each.cycle, is_undo, name(each.proposal_id(is_undo)))
        for each in played
        for is_undo in (False, True)
        if each.proposal_id(is_undo)
    ]
    if set(proposals) != {proposal_id for *_, proposal_id in asked}:
        found.faults.append(f"{len(proposals)} proposals are stored where {len(asked)} are due")
        return found
    if is_over and (still := left_open(list(proposals))):
        found.faults.append(f"{still} exchanges are open for ever")
    memos = [cycle.memo(is_undo=is_undo) for cycle, is_undo, _ in asked]
    books = Books.read(book, memos)
    for cycle, is_undo, proposal_id in asked:
        one = One(cycle, is_undo, proposals[proposal_id], evidence, books, found, is_over)
        what = f"cycle {cycle.number}{' (undo)' if is_undo else ''}, {cycle.kind}"
        found.faults += [f"{what}: {fault}" for fault in one.judge()]
    return found


def evidence_of(proposals: list[str]) -> dict[tuple[str, int], Any]:
    """What each execution keeps as its evidence."""
    stored = [one if connection.vendor == "postgresql" else UUID(one).hex for one in proposals]
    kept = rows(
        "SELECT key, attempt, evidence FROM proposals_execution "
        f"WHERE proposal_id IN ({marks(stored)})",
        stored,
    )
    return {(key, attempt): evidence for key, attempt, evidence in kept}


def left_open(proposals: list[str]) -> int:
    """How many exchanges nobody closed, though all is at rest."""
    stored = [one if connection.vendor == "postgresql" else UUID(one).hex for one in proposals]
    counted = rows(
        "SELECT count(*) FROM proposals_exchange x JOIN proposals_execution e "
        "ON e.id = x.execution_id WHERE x.ended_at IS NULL "
        f"AND e.proposal_id IN ({marks(stored)})",
        stored,
    )
    return int(counted[0][0])


@dataclass
class One:
    """One proposal, by all three accounts."""

    cycle: Any
    is_undo: bool
    proposal: Proposed
    evidence: dict[tuple[str, int], Any]
    books: Books
    found: Found
    is_over: bool

    def judge(self) -> list[str]:
        faults = [
            *self.effects(),
            *self.sends(),
            *self.ends(),
            *agrees(self.proposal),
            *self.reserved(),
        ]
        self.count()
        return faults

    @property
    def memo(self) -> str:
        return self.cycle.memo(is_undo=self.is_undo)

    def effects(self) -> list[str]:
        """At most one; exactly one, and known by its evidence, of what is committed."""
        all_effects = self.books.effects.get(self.memo, [])
        # What is not keyed, a network may repeat: that is nobody's second send.
        counted = [one for one in all_effects if self.cycle.is_keyed or not one[2]]
        status, faults = self.proposal.status, []
        if len(counted) > 1:
            self.found.double_effects += 1
            faults.append(f"it has {len(counted)} effects")
        if (status == "committed") != bool(counted) and status in RESTING:
            faults.append(f"it is {status} and has {len(counted)} effects")
        if status == "committed":
            faults += self.is_evident([reference for _, reference, _ in all_effects])
        return faults

    def is_evident(self, references: list[str]) -> list[str]:
        commits = [one for one in self.proposal.executions if one["status"] == "committed"]
        kept = self.evidence.get((commits[0]["key"], commits[0]["attempt"])) if commits else None
        told = str(kept)
        if self.cycle.kind == "letter":
            references = [*references, *(one["key"] for one in commits)]
        if kept and any(reference in told for reference in references):
            return []
        self.found.without_evidence += 1
        return [f"it is committed, and its evidence is {told[:80]}"]

    def sends(self) -> list[str]:
        """One write request to what keeps no keys; none under a key that has grown too old."""
        by_key: dict[str, list[float]] = defaultdict(list)
        for at, key, fault in self.books.writes.get(self.memo, []):
            if fault not in NOT_TAKEN:
                by_key[key].append(at)
        faults = []
        for moments in by_key.values():
            if not self.cycle.is_keyed and len(moments) > 1:
                self.found.blind_resends += len(moments) - 1
                faults.append(f"it was sent {len(moments)} times to what keeps no keys")
            if self.cycle.is_keyed and max(moments) - min(moments) > RESENDABLE_SECONDS:
                self.found.late_resends += 1
                faults.append("its key was sent again when it was too old")
        return faults

    def ends(self) -> list[str]:
        """Whatever left "unknown" says how; and in the end nothing is left open."""
        faults = [f"it left unknown by {how or 'nothing'}" for how in self.unexplained()]
        self.found.unexplained += len(faults)
        if self.is_over and self.proposal.status not in RESTING:
            faults.append(f"it is still {self.proposal.status}")
        still = [one["status"] for one in self.proposal.executions]
        if self.is_over and set(still) & {"queued", "claimed", "intended", "unknown"}:
            faults.append(f"an execution is still {still}")
        if self.proposal.status not in {*OPEN, *RESTING}:
            faults.append(f"it is {self.proposal.status}")
        return faults

    def reserved(self) -> list[str]:
        """Held while it is open or unknown, captured when it was written, released otherwise."""
        proposal = self.proposal
        due = {"committed": "captured"}.get(proposal.status, "released")
        due = "held" if proposal.status in OPEN else due
        wanted = {BACK if self.is_undo else FORWARD: (due, 1)}
        if proposal.reserved == wanted:
            return []
        return [f"it is {proposal.status}, and reserved is {proposal.reserved}"]

    def unexplained(self) -> list[str]:
        told = self.proposal.story.resolutions
        return [how for how in told if how not in {"resend", "probe", "people"}]

    def count(self) -> None:
        found, story = self.found, self.proposal.story
        found.cycles += 1
        found.keyed += self.cycle.is_keyed
        found.others += not self.cycle.is_keyed
        found.committed += self.proposal.status == "committed"
        found.failed += self.proposal.status == "failed"
        found.unknowns += story.unknowns
        found.resolved_by.update(how or "nothing" for how in story.resolutions)
        befell = (fault for _, _, fault in self.books.writes.get(self.memo, []))
        found.befell.update(fault or "nothing" for fault in befell)
