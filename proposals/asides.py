"""What an event means among the others of its proposal, which its own entry cannot say.

Told from the ledger alone: whether approvals outlived an amendment, and which seat one filled.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ledger.models import LedgerEntry

KEPT = "; what it writes is the same, so approvals still count"
LOST = "; earlier approvals do not count for it"


def told(stream: Iterable[tuple[LedgerEntry, dict[str, Any]]]) -> dict[int, str]:
    """How the sentences of a stream end, by the numbers of their entries."""
    walk = _Walk()
    for entry, body in stream:
        walk.read(entry, body)
    return walk.asides


@dataclass
class _Walk:
    """A stream entry by entry: who approves which digest, and what was amended and not checked."""

    asides: dict[int, str] = field(default_factory=dict)
    standing: set[tuple[str, str]] = field(default_factory=set)
    needed: int = 0
    amended: int | None = None

    def read(self, entry: LedgerEntry, body: dict[str, Any]) -> None:
        if entry.kind == "proposal.submitted" and body.get("amended"):
            self.amended = entry.number
        elif entry.kind == "proposal.checked":
            self.check(body)
        elif entry.kind == "proposal.reviewed":
            self.review(entry, body)

    def check(self, body: dict[str, Any]) -> None:
        """The first check after an amendment says whether it is what people had approved."""
        needed = body.get("approvals")
        self.needed = needed if isinstance(needed, int) else 0
        if self.amended is not None and self.standing:
            self.asides[self.amended] = KEPT if self.filled(body) else LOST
        self.amended = None

    def review(self, entry: LedgerEntry, body: dict[str, Any]) -> None:
        seat = (entry.actor, str(body.get("digest")))
        if body.get("decision") == "approve":
            self.standing.add(seat)
            self.asides[entry.number] = self.seat(body)
        elif body.get("decision") != "comment":
            self.standing.discard(seat)

    def seat(self, body: dict[str, Any]) -> str:
        """Which seat an approval filled; nothing where all were filled, and it came on top."""
        filled = self.filled(body)
        if filled > self.needed:
            return ""
        groups = body.get("groups")
        among = f", as one of {' and '.join(map(str, groups))}" if isinstance(groups, list) else ""
        return f", seat {filled} of {self.needed}{among}"

    def filled(self, body: dict[str, Any]) -> int:
        """How many approve of the digest that an entry names."""
        return sum(digest == str(body.get("digest")) for _, digest in self.standing)
