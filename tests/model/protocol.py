"""The commit protocol of TRANSACTIONAL delivery, small enough to be searched whole.

One proposal and, once it committed, its undo; two workers; one target with receipts; a network
that loses, repeats and delays; people, an agent and another party who do what they like. Each step
is one transaction of our database or of the target. A variant leaves out one guard on purpose, so
that the search shows what the guard is for.
"""

from collections.abc import Iterator
from typing import NamedTuple

from tests.model.search import Move, Search
from tests.model.world import (
    CLOSED,
    IDLE,
    OPEN,
    Digest,
    Execution,
    Limits,
    State,
    Worker,
    due,
    holder,
    key_of,
    receipt_of,
    rests,
    starts,
    wrong,
)

VARIANTS = {
    "blind retry": "an unclear write is sent again under a new key",
    "probe then resend": "the target keeps no keys; it is asked, and what is absent is sent again",
    "no durable intent": "a claimed write is sent without a word about it",
    "absent is proof": "without a receipt, the write is recorded as not applied",
    "no fence": "a settlement does not compare the fence",
    "no compare": "the target's values are not compared with the approved ones",
    "unbound approval": "an approval counts for whatever is current, not for what was shown",
    "late check": "a check lands although its proposal was amended since",
    "freeze at claim": "a freeze is read when claiming and not again with the intent",
    "approvals for ever": "a re-check that comes out the same never ends with people",
    "any unknown": "a reconciliation settles whichever attempt is unknown by then",
    "expiry keeps": "an expiry forgets the budget reservation",
}


class Protocol:
    """The steps, with the guards of the product or without one of them."""

    def __init__(self, variant: str = "", limits: Limits | None = None) -> None:
        self.variant, self.limits = variant, limits or Limits()

    def search(self) -> Search:
        return Search(
            moves=self.moves,
            wrong=wrong,
            rests=rests,
            note=lambda state, move: note(state, move),
        )

    def moves(self, s: State) -> Iterator[Move]:
        for index, worker in enumerate(s.workers):
            if index and worker == s.workers[0]:
                continue
            name = "AB"[index]
            for label, kind, after, changed in self.worker_moves(s, worker):
                workers = (after, s.workers[1]) if not index else (s.workers[0], after)
                yield Move(f"{name} {label}", kind, changed._replace(workers=workers))
        yield from self.network(s)
        yield from self.clock(s)
        yield from self.people(s)
        yield from self.surroundings(s)

    # Workers: (label, kind, the worker afterwards, the world afterwards)

    def worker_moves(self, s: State, w: Worker) -> Iterator[tuple[str, str, Worker, State]]:
        if w.at != "idle":
            steps = getattr(self, f"at_{w.at}")(s, w)
            yield from steps
            if s.faults:
                weaker = s._replace(faults=s.faults - 1)
                yield f"crashes at {w.at}", "fault", IDLE, weaker
                if w.at == "writing":
                    flying = weaker._replace(flying=s.flying | {(w.key, w.digest)})
                    yield "crashes, its write still on the way", "fault", IDLE, flying
            return
        if s.status == "":
            yield "takes in the submission", "system", Worker("submitting"), s
        elif s.status == "submitted":
            preview = Digest(s.revision, s.image, s.strict)
            looking = Worker("previewed", round=s.round, key=key_of(s), digest=preview)
            yield "previews", "system", looking, s
        elif due(s):
            yield "starts to claim", "system", Worker("claiming"), s
        elif s.status == "unknown":
            yield from self.reconcile(s)

    def at_submitting(self, s: State, w: Worker) -> Iterator[tuple[str, str, Worker, State]]:
        if s.status == "":
            s = s._replace(status="submitted", reservation="held")
        yield "stores the proposal, or replays it", "system", IDLE, s

    def at_previewed(self, s: State, w: Worker) -> Iterator[tuple[str, str, Worker, State]]:
        same = s.round == w.round or self.variant == "late check"
        if s.status == "submitted" and same and w.key[0] == s.direction:
            s = self.landed(s, w.digest)
            yield f"lands its check: {s.status}", "system", Worker("landed"), s
        else:
            yield "discards its late check", "system", IDLE, s

    def landed(self, s: State, digest: Digest) -> State:
        s = s._replace(check=digest, page=None)
        tired = s.rechecks >= self.limits.rechecks
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

    def at_landed(self, s: State, w: Worker) -> Iterator[tuple[str, str, Worker, State]]:
        yield "is done checking", "system", IDLE, s

    def at_claiming(self, s: State, w: Worker) -> Iterator[tuple[str, str, Worker, State]]:
        if not due(s):
            yield "finds nothing to claim", "system", IDLE, s
            return
        e = s.execution
        had_intent = e.intended and self.variant != "no durable intent"
        status = "intended" if had_intent else "claimed"
        e = e._replace(status=status, fence=e.fence + 1, leased=True)
        refusal = self.objection(s, e)
        w = Worker("claimed", e.fence, key_of(s), e.digest, refusal, had_intent)
        yield f"claims{': ' + refusal if refusal else ''}", "system", w, s._replace(execution=e)

    def objection(self, s: State, e: Execution) -> str:
        if s.overdue:
            return "expired"
        if s.direction == "do" and (s.revoked or s.strict != e.digest.strict):
            return "refused"
        return "refused" if e.fence > self.limits.fences else ""

    def at_claimed(self, s: State, w: Worker) -> Iterator[tuple[str, str, Worker, State]]:
        if w.note and w.had_intent:
            yield from self.voiding(s, w)
        elif w.note:
            yield "gives it back", "system", IDLE, self.give_back(s, w)
        elif self.variant == "no durable intent":
            yield "sends its write at once", "system", w._replace(at="writing"), s
        else:
            yield from self.intend(s, w)

    def intend(self, s: State, w: Worker) -> Iterator[tuple[str, str, Worker, State]]:
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

    def at_intended(self, s: State, w: Worker) -> Iterator[tuple[str, str, Worker, State]]:
        if self.variant == "probe then resend" and w.had_intent and receipt_of(s, w.key):
            yield "asks: it was written", "system", w._replace(at="answered", note="applied"), s
        else:
            yield "sends its write", "system", w._replace(at="writing"), s

    def at_writing(self, s: State, w: Worker) -> Iterator[tuple[str, str, Worker, State]]:
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

    def at_answered(self, s: State, w: Worker) -> Iterator[tuple[str, str, Worker, State]]:
        if w.note == "applied":
            yield "starts to settle", "system", w._replace(at="settling"), s
        elif w.note == "voided":
            yield "learns that its key is void", "system", IDLE, self.give_back(s, w)
        else:
            yield from self.voiding(s, w)

    def voiding(self, s: State, w: Worker) -> Iterator[tuple[str, str, Worker, State]]:
        s, found = self.void(s, w.key)
        note = "applied" if found == "applied" else w.note
        yield f"bars the key: {found}", "system", w._replace(at="voided", note=note), s

    def void(self, s: State, key: tuple[str, int]) -> tuple[State, str]:
        """Bar a key for ever at the target, or learn that it was applied."""
        found = receipt_of(s, key)
        if not found and self.variant != "absent is proof":
            s = s._replace(receipts=s.receipts | {(key, "void")})
        return s, found or "void"

    def at_voided(self, s: State, w: Worker) -> Iterator[tuple[str, str, Worker, State]]:
        if w.note == "applied":
            yield "starts to settle", "system", w._replace(at="settling"), s
        elif w.note == "refused" and not self.objection_at_claim(w):
            yield "records a failure", "system", Worker("settled"), self.fail(s, w)
        else:
            yield "gives it back", "system", Worker("settled"), self.give_back(s, w)
