"""What a proposal's ledger says happened, replayed from its canonical bytes and nothing else.

Written apart from the product, from the design page: a mistake there is not repeated here.
"""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

STATUSES = {
    "submitted",
    "pending",
    "changes_requested",
    "approved",
    "committed",
    "failed",
    "unknown",
    "denied",
    "rejected",
    "withdrawn",
    "expired",
}
WITHOUT_A_WRITE = {"failed", "denied", "rejected", "withdrawn", "expired"}
ENDS_AN_ATTEMPT = {
    "proposal.committed": "committed",
    "proposal.failed": "failed",
    "proposal.unknown": "unknown",
    "proposal.submitted": "returned",
    "proposal.expired": "returned",
    "proposal.withdrawn": "returned",
}


@dataclass
class Attempt:
    status: str = "queued"
    generation: int = 1
    fence: int = 0
    key: str = ""


@dataclass
class Story:
    """A proposal as its entries tell it."""

    status: str = ""
    round: int = 1
    generation: int = 1
    is_undone: bool = False
    checks: int = 0
    reviews: list[tuple[int, str, str, str]] = field(default_factory=list)
    blocking: set[int] = field(default_factory=set)  # comments that nobody has resolved
    attempts: list[Attempt] = field(default_factory=list)
    commits: int = 0
    unknowns: int = 0
    resolutions: list[str] = field(default_factory=list)  # how it left "unknown", each time
    stamps: list[tuple[datetime, datetime | None]] = field(default_factory=list)
    held: int = 0  # how often it had to wait for its turn
    faults: list[str] = field(default_factory=list)
    number: int = 0
    hash: bytes = b""

    def read(self, canonical: bytes, stored_hash: bytes) -> None:
        """Take in the next entry of the stream."""
        entry = json.loads(canonical)
        found = hashlib.sha256(b"ledger-entry/v1\0" + canonical).digest()
        if found != stored_hash or entry["number"] != self.number + 1:
            self.faults.append(f"entry {entry['number']} does not follow {self.number}")
        if bytes.fromhex(entry["previous"]) != self.hash:
            self.faults.append(f"entry {entry['number']} does not hold the hash before it")
        self.number, self.hash = entry["number"], found
        self.count(entry["kind"], datetime.fromisoformat(entry["at"]), entry["body"])
        self.tell(entry["kind"], entry["actor"], entry["body"])

    def count(self, kind: str, at: datetime, body: dict[str, Any]) -> None:
        """Since when it counts against a rolling window: until it is counted anew, or released.

        From when it is asked for; for what had failed, from its next check; from each claim that
        found no intent, because then the write is yet to happen; and from each time it is sent
        again.
        """
        is_counted = bool(self.stamps) and self.stamps[-1][1] is None
        is_new = kind == "proposal.submitted" and not self.status
        is_back = kind == "proposal.checked" and not is_counted
        is_moved = kind == "execution.claimed" and not body.get("refusal")
        is_moved = is_moved and self.attempts[body["attempt"] - 1].status != "intended"
        is_moved |= kind == "execution.resent"
        ends = kind.startswith("proposal.") and kind.partition(".")[2] in WITHOUT_A_WRITE
        if is_counted and (is_moved or ends):
            self.stamps[-1] = (self.stamps[-1][0], at)
        if is_new or is_back or is_moved:
            self.stamps.append((at, None))
        self.held += kind == "execution.held"

    def tell(self, kind: str, actor: str, body: dict[str, Any]) -> None:
        subject, _, what = kind.partition(".")
        if kind == "proposal.checked":
            self.checks += 1
        elif kind == "proposal.reviewed":
            self.reviews.append((body["review"], body["decision"], body["digest"], actor))
            if body.get("blocks"):
                self.blocking.add(body["review"])
        elif kind == "proposal.comment_resolved":
            if body["review"] not in self.blocking:
                self.faults.append(f"comment {body['review']} was resolved and blocked nothing")
            self.blocking.discard(body["review"])
        elif kind in {"proposal.undone", "proposal.partly_undone", "proposal.redone"}:
            self.is_undone = what == "undone"
        elif kind == "proposal.attested":
            pass  # what a person found; whether it was enough is told by what follows
        elif subject == "execution":
            self.attempt(what, body)
        elif what in STATUSES:
            self.move(kind, what, body)
        else:
            self.faults.append(f"nobody knows what {kind} means")

    def move(self, kind: str, to: str, body: dict[str, Any]) -> None:
        if self.status and body["from"] != self.status:
            self.faults.append(f"it moved from {body['from']} while it was {self.status}")
        if kind in ENDS_AN_ATTEMPT:
            self.end_attempt(ENDS_AN_ATTEMPT[kind], body)
        if to == "submitted" and self.status:
            self.round += 1
            self.generation += "attempt" in body or "retry" in body
        if to == "approved":
            if self.blocking:
                self.faults.append(f"it was approved past the comments {sorted(self.blocking)}")
            self.attempts.append(Attempt(generation=self.generation))
        self.commits += to == "committed"
        self.unknowns += to == "unknown"
        if self.status == "unknown":
            self.resolutions.append(body.get("resolved_by", ""))
        self.status = to

    def attempt(self, what: str, body: dict[str, Any]) -> None:
        if what == "late_evidence":
            return
        last = self.attempts[body["attempt"] - 1]
        if what == "claimed":
            if body["fence"] != last.fence + 1:
                self.faults.append(f"fence {body['fence']} was claimed after {last.fence}")
            last.fence, last.key = body["fence"], body["key"]
            last.status = "intended" if last.status == "intended" else "claimed"
        elif what in {"resent", "asked"}:
            if body["fence"] != last.fence + 1:
                self.faults.append(f"fence {body['fence']} asked after {last.fence}")
            last.fence = body["fence"]
        elif what == "unsent":
            last.status = "queued"
        elif what == "handed_back":
            last.status, last.fence = "queued", body["fence"]
        elif what == "held" and body["fence"] != last.fence:
            if body["fence"] != last.fence + 1 or last.status != "claimed":
                self.faults.append(f"{last.status} under {last.fence}, it was held {body['fence']}")
            last.status, last.fence = "queued", body["fence"]
        elif what == "intended":
            if body["fence"] != last.fence:
                self.faults.append(f"fence {body['fence']} had an intent under {last.fence}")
            last.status = "intended"

    def end_attempt(self, status: str, body: dict[str, Any]) -> None:
        if "attempt" in body:
            last = self.attempts[body["attempt"] - 1]
            if "by" in body:  # people's word ends it, and whoever is asking comes too late
                last.fence += 1
            elif status == "unknown" and body["fence"] == last.fence + 1:
                last.fence += 1  # taken from a worker that died, or may yet be too late
            elif body["fence"] != last.fence:
                self.faults.append(f"fence {body['fence']} settled what {last.fence} holds")
            last.status = status
        elif self.attempts and self.attempts[-1].status == "queued":
            self.attempts[-1].status = status
