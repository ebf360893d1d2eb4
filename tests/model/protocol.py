"""The commit protocol of TRANSACTIONAL delivery, small enough to be searched whole.

One proposal and, once it committed, its undo; two workers; one target with receipts; a network
that loses, repeats and delays; people, an agent and another party who do what they like. Each step
is one transaction of our database or of the target. A variant leaves out one guard on purpose, so
that the search shows what the guard is for.
"""

from collections.abc import Iterator

from tests.model.search import Found, Move, Search
from tests.model.world import (
    IDLE,
    LIVE,
    OPEN,
    OURS,
    RECHECKS,
    RESTORED,
    Digest,
    Execution,
    Key,
    Limits,
    State,
    Worker,
    due,
    held_by_someone,
    key_of,
    note,
    receipt_of,
    rests,
    starts,
    wrong,
)

Steps = Iterator[tuple[str, str, Worker, State]]  # label, kind, worker and world afterwards


class Protocol:
    """The steps, with the guards of the product or without one of them."""

    def __init__(self, variant: str = "", limits: Limits | None = None) -> None:
        self.variant, self.limits = variant, limits or Limits()

    def search(self) -> Found:
        """Everything that can happen within the limits."""
        return Search(moves=self.moves, wrong=wrong, rests=rests, note=note).run(
            starts(self.limits)
        )

    def moves(self, s: State) -> Iterator[Move]:
        for index, worker in enumerate(s.workers):
            if index and worker == s.workers[0]:
                continue
            name = f"worker {worker.fence}" if worker.fence else "a worker"
            other = s.workers[1 - index]
            for label, kind, after, changed in self.worker_moves(s, worker):
                pair = (after, other) if after < other else (other, after)  # either is either
                yield Move(f"{name} {label}", kind, changed._replace(workers=pair))
        yield from self.network(s)
        yield from self.clock(s)
        yield from self.people(s)
        yield from self.surroundings(s)

    # Workers

    def worker_moves(self, s: State, w: Worker) -> Steps:
        yield from self.crashes(s, w)
        if w.at != "idle":
            yield from getattr(self, f"at_{w.at}")(s, w)
        elif s.status == "":
            stored = s._replace(status="submitted", reservation="held")
            yield "stores the proposal", "system", IDLE, stored
        elif s.status == "submitted":
            preview = Digest(s.revision, s.image, s.strict)
            looking = Worker("previewed", round=s.round, key=key_of(s), digest=preview)
            yield "previews", "system", looking, s
        elif due(s):
            yield self.claim(s)
        elif s.status == "unknown":
            yield from self.reconcile(s)

    def crashes(self, s: State, w: Worker) -> Steps:
        """A transaction that a crash interrupts never was, so that it is the crash before it."""
        if w.at == "idle":
            yield "crashes at idle", "fault", IDLE, s
        if w.at == "idle" or not s.faults:
            return
        weaker = s._replace(faults=s.faults - 1)
        yield f"crashes at {w.at}", "fault", IDLE, weaker
        if w.at == "writing":
            flying = weaker._replace(flying=s.flying | {(w.key, w.digest)})
            yield "crashes at writing, its write on the way", "fault", IDLE, flying

    def at_previewed(self, s: State, w: Worker) -> Steps:
        same = s.round == w.round or self.variant == "late check"
        if s.status == "submitted" and same and w.key[0] == s.direction:
            s = self.landed(s, w.digest)
            yield f"lands its check: {s.status}", "system", IDLE, s
        else:
            yield "discards its late check", "system", IDLE, s

    def landed(self, s: State, digest: Digest) -> State:
        s = s._replace(check=digest)
        tired = s.rechecks >= RECHECKS
        counted = any(found == digest for found, _ in s.approvals)
        if digest.strict and s.direction == "do":
            return s._replace(status="denied", reservation="released")
        conflict = s.direction == "undo" and s.kind == "update" and digest.image != 2
        if conflict or (tired and not (counted and self.variant == "approvals for ever")):
            return s._replace(status="pending", needs_person=True)
        if s.needs_person and not counted:
            return s._replace(status="pending")
        return self.queued(s)

    def queued(self, s: State) -> State:
        return s._replace(status="approved", execution=Execution("queued", digest=s.check))

    def claim(self, s: State) -> tuple[str, str, Worker, State]:
        e = s.execution
        had_intent = e.intended and self.variant != "no durable intent"
        status = "intended" if had_intent else "claimed"
        e = e._replace(status=status, fence=e.fence + 1, leased=True)
        refusal = self.objection(s, e)
        w = Worker("claimed", e.fence, key_of(s), e.digest, refusal, had_intent)
        label = f"claims, fence {e.fence}" + (f", only to give it back: {refusal}" * bool(refusal))
        return label, "system", w, s._replace(execution=e)

    def objection(self, s: State, e: Execution) -> str:
        """Why it is not to be written. With an intent, a budget without room is such a reason."""
        if s.overdue:
            return "expired"
        if s.direction == "do" and (s.revoked or s.strict != e.digest.strict):
            return "stopped"
        return "stopped" if e.fence > self.limits.fences else ""

    def at_claimed(self, s: State, w: Worker) -> Steps:
        if w.note and w.had_intent:
            yield from self.voiding(s, w)
        elif w.note:
            yield "gives it back", "system", IDLE, self.give_back(s, w)
        elif self.variant == "no durable intent":
            yield "sends its write at once", "system", w._replace(at="writing"), s
        else:
            yield from self.intend(s, w)

    def intend(self, s: State, w: Worker) -> Steps:
        if not self.mine(s, w):
            yield "may not intend: its fence is old", "system", IDLE, s
        elif s.frozen and self.variant != "freeze at claim":
            e = s.execution._replace(leased=False)
            e = e if w.had_intent else e._replace(status="queued")
            yield "finds a freeze and hands back", "system", IDLE, s._replace(execution=e)
        else:
            e = s.execution._replace(status="intended", intended=True)
            bad = "an intent after the freeze" if s.frozen else s.wrong
            s = s._replace(execution=e, wrong=bad)
            yield "says that it is about to write", "system", w._replace(at="intended"), s

    def at_intended(self, s: State, w: Worker) -> Steps:
        if self.variant == "probe then resend" and w.had_intent and receipt_of(s, w.key):
            yield "asks: it was written", "system", w._replace(at="answered", note="applied"), s
        else:
            yield "sends its write", "system", w._replace(at="writing"), s

    def at_writing(self, s: State, w: Worker) -> Steps:
        after, answer = self.deliver(s, w.key, w.digest)
        yield f"is answered: {answer}", "system", w._replace(at="answered", note=answer), after
        if not s.faults:
            return
        weaker = {"faults": s.faults - 1}
        unclear = w._replace(at="unclear")
        if receipt_of(s, w.key) != "applied":
            refused = w._replace(at="answered", note="refused")
            yield "is refused by the target", "fault", refused, s._replace(**weaker)
        yield "has its write lost", "fault", unclear, s._replace(**weaker)
        yield "has the answer lost", "fault", unclear, after._replace(**weaker)
        flying = s._replace(flying=s.flying | {(w.key, w.digest)}, **weaker)
        yield "waits too long, its write still on the way", "fault", unclear, flying

    def at_answered(self, s: State, w: Worker) -> Steps:
        if w.note == "applied":
            yield "settles", "system", IDLE, self.settle(s, w)
        elif w.note == "voided":
            yield "learns that its key is void", "system", IDLE, self.give_back(s, w)
        else:
            yield from self.voiding(s, w)

    def voiding(self, s: State, w: Worker) -> Steps:
        s, found = self.void(s, w.key)
        note = "applied" if found == "applied" else w.note
        yield f"bars the key: {found}", "system", w._replace(at="voided", note=note), s

    def void(self, s: State, key: Key) -> tuple[State, str]:
        """Bar a key for ever at the target, or learn that it was applied."""
        found = receipt_of(s, key)
        if not found and self.variant != "absent is proof":
            s = s._replace(receipts=s.receipts | {(key, "void")})
        return s, found or "void"

    def at_voided(self, s: State, w: Worker) -> Steps:
        if w.note == "applied":
            yield "settles", "system", IDLE, self.settle(s, w)
        elif w.note == "refused":
            yield "records a failure", "system", IDLE, self.fail(s, w)
        else:
            yield "gives it back", "system", IDLE, self.give_back(s, w)

    def at_unclear(self, s: State, w: Worker) -> Steps:
        if not self.mine(s, w):
            yield "may not postpone: its fence is old", "system", IDLE, s
            return
        s, e = self.ours(s, w), s.execution
        if self.variant == "blind retry":
            s = s._replace(generation=s.generation + 1, execution=Execution("queued", e.digest))
            yield "queues it again under a new key", "system", IDLE, s
        elif e.fence < self.limits.fences:
            s = s._replace(execution=e._replace(leased=False))
            yield "leaves it for later", "system", IDLE, s
        else:
            s = s._replace(status="unknown", execution=e._replace(status="unknown", leased=False))
            yield "asks people: it is unknown", "system", IDLE, s

    # What several steps share: each is one transaction

    def mine(self, s: State, w: Worker) -> bool:
        e = s.execution
        if e is None or e.status not in OPEN or w.key != key_of(s):
            return False
        return e.fence == w.fence or self.variant == "no fence"

    def ours(self, s: State, w: Worker) -> State:
        """The world in which this worker may change the execution, which it should hold."""
        stale = s.execution.fence != w.fence
        return s._replace(wrong="an old fence changed our database") if stale else s

    def settle(self, s: State, w: Worker) -> State:
        if not self.mine(s, w):
            return s
        return self.commit(self.ours(s, w))

    def commit(self, s: State) -> State:
        return s._replace(
            status="committed",
            execution=None,
            committed=s.committed | {key_of(s)},
            reservation="captured",
        )

    def fail(self, s: State, w: Worker) -> State:
        if not self.mine(s, w):
            return s
        return self.close(self.ours(s, w), status="failed", reservation="released")

    def close(self, s: State, **changes: object) -> State:
        closed = s.closed | {(key_of(s), s.execution.intended)}
        return s._replace(execution=None, closed=closed, **changes)

    def give_back(self, s: State, w: Worker) -> State:
        if not self.mine(s, w):
            return s
        s = self.ours(s, w)
        if w.note == "expired":
            return self.close(s, status="expired", reservation="released")
        s = self.close(s, status="submitted", round=s.round + 1, rechecks=s.rechecks + 1)
        return s._replace(generation=s.generation + 1)

    def deliver(self, s: State, key: Key, digest: Digest) -> tuple[State, str]:
        """One transaction of the target: the receipt, the comparison, the effect."""
        receipt = receipt_of(s, key)
        if receipt == "void":
            return s, "voided"
        if receipt and self.variant != "probe then resend":
            return s, "applied"
        differs = s.kind == "update" and s.image != digest.image
        if differs and self.variant != "no compare":
            return s, "stale"
        bad = "a value was overwritten that nobody had seen" if differs else s.wrong
        if key[0] == s.direction == "do":
            if s.needs_person and all(shown != digest for _, shown in s.approvals):
                bad = "a write of what no person was shown"
            if digest.revision != s.revision:
                bad = "a write of what was amended since"
        image = s.image
        if s.kind == "update":
            image = OURS if key[0] == "do" else RESTORED
        receipts, effects = s.receipts | {(key, "applied")}, tuple(sorted((*s.effects, key)))
        return s._replace(image=image, receipts=receipts, effects=effects, wrong=bad), "applied"

    # The network and the clock: (label, kind, the world afterwards)

    def network(self, s: State) -> Iterator[Move]:
        """Writes on the way arrive late, arrive twice (the first stays on the way), or never."""
        for key, digest in s.flying:
            arrived, answer = self.deliver(s, key, digest)
            gone = s.flying - {(key, digest)}
            yield Move(f"a late write arrives: {answer}", "system", arrived._replace(flying=gone))
            if self.variant != "probe then resend":  # which fails without this, too
                again = f"a late write arrives, and will again: {answer}"
                yield Move(again, "fault", arrived)
            yield Move("a late write is lost", "fault", s._replace(flying=gone))

    def clock(self, s: State) -> Iterator[Move]:
        e = s.execution
        if e is not None and e.leased and e.status in OPEN:
            ended = s._replace(execution=e._replace(leased=False))
            if not held_by_someone(s):
                yield Move("the lease ends", "system", ended)
            elif s.faults:
                pause = ended._replace(faults=s.faults - 1)
                yield Move("the lease of a paused worker ends", "fault", pause)
        if s.overdue and s.status in LIVE and (e is None or e.status == "queued"):
            reservation = s.reservation if self.variant == "expiry keeps" else "released"
            yield Move("the clock expires it", "system", self.end(s, "expired", reservation))
        if s.status == "pending" and s.check.strict != s.strict:
            again = s._replace(status="submitted", round=s.round + 1)
            yield Move("the clock has it checked under the new rules", "system", again)

    def end(self, s: State, status: str, reservation: str = "released") -> State:
        """End a proposal that no worker has claimed."""
        if s.execution is not None:
            return self.close(s, status=status, reservation=reservation)
        return s._replace(status=status, reservation=reservation)

    # People and what goes on around them

    def people(self, s: State) -> Iterator[Move]:
        if s.status == "pending":
            yield Move("a person opens the page", "person", s._replace(page=s.check))
            if s.page and (s.page == s.check or self.variant == "unbound approval"):
                yield from self.decisions(s._replace(page=None), s.page)
        if s.status == "committed" and s.direction == "do":
            yield Move("a person undoes it", "person", self.undone(s))

    def decisions(self, s: State, shown: Digest) -> Iterator[Move]:
        conflict = s.direction == "undo" and s.kind == "update" and s.check.image != OURS
        if not conflict and all(found != s.check for found, _ in s.approvals):
            given = s._replace(approvals=s.approvals | {(s.check, shown)}, rechecks=0)
            yield Move("a person approves", "person", self.queued(given))
        yield Move("a person rejects", "person", self.end(s, "rejected"))
        wish = s._replace(status="changes_requested")
        yield Move("a person requests changes", "person", wish)

    def undone(self, s: State) -> State:
        """The undo is a proposal of its own; workers of the first one may still be about."""
        return s._replace(
            direction="undo",
            status="submitted",
            generation=1,
            revision=1,
            round=s.round + 1,
            rechecks=0,
            check=None,
            approvals=frozenset(),
            needs_person=False,
            reservation="held",
            overdue=False,
            page=None,
        )

    def reconcile(self, s: State) -> Steps:
        after, found = self.void(s, key_of(s))
        operator = Worker("reconciling", key=key_of(s), note=found)
        yield f"(an operator) asks the target and bars the key: {found}", "person", operator, after

    def at_reconciling(self, s: State, w: Worker) -> Steps:
        if s.status != "unknown" or (w.key != key_of(s) and self.variant != "any unknown"):
            yield "(an operator) finds it settled", "system", IDLE, s
        elif w.note == "applied":
            yield "(an operator) records the commit", "system", IDLE, self.commit(s)
        else:
            failed = self.close(s, status="failed", reservation="released")
            yield "(an operator) records that it was not applied", "system", IDLE, failed

    def surroundings(self, s: State) -> Iterator[Move]:
        if s.frozen:
            yield Move("the freeze is lifted", "person", s._replace(frozen=False))
        if not s.events or not s.status:
            return
        for label, after in self.events(s):
            yield Move(label, "event", after._replace(events=s.events - 1))

    def events(self, s: State) -> Iterator[tuple[str, State]]:
        amendable = s.status in LIVE and s.status != "approved" and s.direction == "do"
        if amendable and s.revision == 1:
            amended = {"status": "submitted", "revision": 2, "rechecks": 0, "check": None}
            yield "the agent amends", s._replace(round=s.round + 1, **amended)
        unclaimed = s.execution is None or s.execution.status == "queued"
        if s.status in LIVE and unclaimed:
            yield "the agent withdraws", self.end(s, "withdrawn")
        if s.status == "failed":
            again = {"status": "submitted", "reservation": "held", "rechecks": 0}
            s2 = s._replace(round=s.round + 1, generation=s.generation + 1, **again)
            yield "a person retries", s2
        yield from self.second_thoughts(s)
        if s.status in LIVE and not s.overdue:
            yield "the deadline passes", s._replace(overdue=True)
        yield "somebody freezes everything", s._replace(frozen=True)
        if s.kind == "update" and s.image != 1:
            yield "another party changes the target", s._replace(image=1)
        yield "the agent's grant is taken or given back", s._replace(revoked=not s.revoked)
        if not s.strict:
            yield "a rule becomes stricter", s._replace(strict=True)

    def second_thoughts(self, s: State) -> Iterator[tuple[str, State]]:
        """A person takes back what they decided, until a worker has claimed it."""
        again = {"status": "submitted", "round": s.round + 1}
        if s.status == "changes_requested":
            yield "a person takes the wish for changes back", s._replace(**again)
        e = s.execution
        given = frozenset(one for one in s.approvals if one[0] == s.check)
        if e is None or e.status not in OPEN or not given:
            return
        if e.status == "queued" or self.variant == "withdrawn under a worker":
            taken = self.close(s, approvals=s.approvals - given, **again)
            later = taken._replace(generation=s.generation + 1)
            yield "a person takes their approval back", later
