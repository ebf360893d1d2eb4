"""The commit protocol towards a target that shares no transaction with us, searched whole.

One proposal over two generations (a person may retry what is recorded as failed); two workers; a
target that keeps keys for a while, or can be asked, or neither; a network that loses, delays and
repeats. A variant leaves out one guard on purpose, so that the search shows what the guard is for.
"""

from collections.abc import Iterator

from tests.model.outside_world import (
    AGED,
    FORGOTTEN,
    FRESH,
    GENERATIONS,
    IDLE,
    KEYED,
    QUERYABLE,
    SETTLED,
    SETTLED_TWICE,
    Limits,
    State,
    Worker,
    Write,
    can_probe,
    receipt_of,
    rests,
    starts,
    wrong,
)
from tests.model.search import Found, Move, Search

PEOPLE = ("a person", "a second person")
Steps = Iterator[tuple[str, str, Worker, State]]  # label, kind, worker and world afterwards


class Outside:
    """The steps, with the guards of the product or without one of them."""

    def __init__(self, variant: str = "", limits: Limits | None = None) -> None:
        self.variant, self.limits = variant, limits or Limits()

    def search(self) -> Found:
        return Search(moves=self.moves, wrong=wrong, rests=rests, note=self.note).run(
            starts(self.limits)
        )

    def note(self, s: State, move: Move) -> tuple[str, ...]:
        """How each class may move between statuses."""
        after = move.after
        return (s.kind.delivery, s.status, after.status) if after.status != s.status else ()

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
        yield from self.time(s)
        yield from self.people(s)

    # Workers

    def worker_moves(self, s: State, w: Worker) -> Steps:
        if w.at != "idle":
            if s.faults:
                yield from self.crashes(s, w)
            yield from getattr(self, f"at_{w.at}")(s, w)
        elif s.status == "approved" and not s.leased:
            yield self.claim(s)
        elif s.status == "unknown" and not s.leased and not s.wait:
            yield from self.resolve(s)

    def crashes(self, s: State, w: Worker) -> Steps:
        weaker = s._replace(faults=s.faults - 1)
        yield f"crashes at {w.at}", "fault", IDLE, weaker
        if w.at == "sending" and not w.late:
            flying = self.sent(self.on_its_way(weaker, w), w)
            yield "crashes with its write on the way", "fault", IDLE, flying

    def claim(self, s: State) -> tuple[str, str, Worker, State]:
        """Also what a dead worker left: with an intent, it is unknown and nothing else."""
        as_if_unsent = self.variant in {"a dead worker's write is queued", "blind retry"}
        if s.intended and not as_if_unsent:
            found = self.doubt(s._replace(fence=s.fence + 1))
            return "finds what died after its intent", "system", IDLE, found
        s = s._replace(fence=s.fence + 1, leased="send")
        w = Worker("claimed", s.fence, (s.generation, s.attempt), "send")
        return f"claims, fence {s.fence}", "system", w, s

    def at_claimed(self, s: State, w: Worker) -> Steps:
        if self.variant == "no durable intent":
            yield "sends without a word", "system", w._replace(at="sending"), s
        elif not self.mine(s, w):
            yield "may not intend: its fence is old", "system", IDLE, s
        else:
            intended = s._replace(intended=True, leased="send")
            sending = w._replace(at="sending", late=False)
            yield "says that it is about to send", "system", sending, intended

    def resolve(self, s: State) -> Steps:
        if self.may_resend(s):
            attempt = s.attempt + (self.variant == "new key per attempt")
            s = s._replace(fence=s.fence + 1, leased="resend", attempt=min(attempt, 2))
            s = s._replace(words=self.still_standing(s))
            w = Worker("sending", s.fence, (s.generation, s.attempt), "resend")
            yield "says that it is about to resend", "system", w, s
        elif can_probe(s) and (s.age >= SETTLED or self.variant == "absent at once"):
            s = s._replace(fence=s.fence + 1, leased="probe")
            w = Worker("asking", s.fence, (s.generation, s.attempt), "probe")
            yield "is about to ask", "system", w, s

    def may_resend(self, s: State) -> bool:
        if self.variant == "blind retry" and s.kind.delivery != KEYED:
            return len(s.sends) < 3
        if s.kind.delivery != KEYED:
            return False
        last = {"resend to the end": AGED, "resend after the window": FORGOTTEN}
        return s.key_age <= last.get(self.variant, FRESH)

    # Sending, and what comes of it

    def at_sending(self, s: State, w: Worker) -> Steps:
        if w.late and self.variant != "no deadline":
            yield "lets its deadline pass unsent", "system", w._replace(at="unclear"), s
            return
        untaken, s = s, self.sent(s, w)
        after, answer = self.deliver(s, w.sends)
        yield f"is answered: {answer}", "system", w._replace(at="answered", note=answer), after
        if not s.faults:
            return
        untaken, s, after = (one._replace(faults=one.faults - 1) for one in (untaken, s, after))
        unclear = w._replace(at="unclear")
        yield "has its write lost", "fault", unclear, s
        yield "has its answer lost", "fault", unclear, after
        yield "waits too long, its write still on the way", "fault", unclear, self.on_its_way(s, w)
        later = w._replace(at="answered", note="unavailable")
        yield "is told to come later", "fault", later, untaken
        if s.kind.delivery == KEYED:
            flies = self.on_its_way(after, w)
            note = w._replace(at="answered", note=answer)
            yield f"is answered: {answer}, its write arrives again", "fault", note, flies
        if not receipt_of(s, w.sends) or s.kind.delivery != KEYED or s.key_age == FORGOTTEN:
            # Asked while an earlier write may still travel, a refusal says nothing about that one.
            early = s.unclear and s.age < SETTLED
            refused = w._replace(at="answered", note="refused early" if early else "refused")
            yield "is refused", "fault", refused, s
            if s.kind.delivery == KEYED:
                kept = s._replace(receipts=s.receipts | {(w.sends, "refused")})
                yield "is refused, and will be", "fault", refused, kept

    def sent(self, s: State, w: Worker) -> State:
        """It leaves us. Of what is keyed nobody counts how often."""
        return s if s.kind.delivery == KEYED else s._replace(sends=(*s.sends, w.sends[0]))

    def on_its_way(self, s: State, w: Worker) -> State:
        flies = Write(w.sends, s.key_age != FRESH)
        return s._replace(flying=tuple(sorted((*s.flying, flies))))

    def deliver(self, s: State, sends: tuple[int, int]) -> tuple[State, str]:
        """The target takes a write: its effect, or the answer of the first time."""
        if s.kind.delivery == KEYED and s.key_age != FORGOTTEN:
            if said := receipt_of(s, sends):
                return s, said
            s = s._replace(receipts=s.receipts | {(sends, "applied")})
        hidden = s.kind.delivery != KEYED or s.kind.can_probe
        return s._replace(effects=(*s.effects, sends[0]), hidden=hidden), "applied"

    def at_answered(self, s: State, w: Worker) -> Steps:
        if not self.mine(s, w):
            yield "keeps its late evidence", "system", IDLE, s
        elif w.note == "applied":
            yield "settles", "system", IDLE, self.commit(s)
        elif w.note in {"refused", "refused early"}:
            yield self.refused(s, w)
        elif w.purpose == "send" or self.variant == "unavailable is unsent":
            again = s._replace(status="approved", intended=False, leased="", unclear=False)
            yield "queues what was not taken", "system", IDLE, again
        else:
            yield "waits with its resend", "system", IDLE, s._replace(leased="", wait=True)

    def refused(self, s: State, w: Worker) -> tuple[str, str, Worker, State]:
        believed = w.note == "refused" or self.variant == "refusal at once"
        if believed or (self.variant == "refusal by the record" and s.age >= SETTLED):
            return "records that it was refused", "system", IDLE, self.fail(s)
        waiting = s._replace(leased="", wait=True)
        return "does not believe the refusal yet", "system", IDLE, waiting

    def at_unclear(self, s: State, w: Worker) -> Steps:
        if not self.mine(s, w):
            yield "may say nothing: its fence is old", "system", IDLE, s
        elif self.variant == "failed on a timeout":
            yield "takes it for a refusal", "system", IDLE, self.fail(s)
        elif self.variant == "no evidence":
            yield "takes it for a success", "system", IDLE, self.commit(s, evidence=False)
        else:
            yield "says that it is unknown", "system", IDLE, self.doubt(s)

    def at_asking(self, s: State, w: Worker) -> Steps:
        told = w._replace(at="told")
        found = w.sends[0] in s.effects
        if found and s.hidden:
            yield "is shown nothing yet", "fault", told._replace(note="absent"), s
        note = "applied" if found else "absent"
        yield f"is told: {note}", "system", told._replace(note=note), s

    def at_told(self, s: State, w: Worker) -> Steps:
        if not self.mine(s, w):
            yield "was overtaken", "system", IDLE, s
        elif w.note == "applied":
            yield "settles what was found", "system", IDLE, self.commit(s)
        else:
            yield "notes the absence", "system", IDLE, self.absent(s)

    def absent(self, s: State) -> State:
        believed = not s.kind.money or self.variant == "absences for money"
        enough = s.absences >= 1 or self.variant in {"one absence", "absent at once"}
        if enough and believed:
            return self.fail(s)
        return s._replace(absences=s.absences + 1, leased="", wait=True)

    # Each of these is one transaction

    def mine(self, s: State, w: Worker) -> bool:
        if w.sends[0] != s.generation or s.status not in {"approved", "unknown"}:
            return False
        return self.variant == "no fence" or w.fence == s.fence

    def commit(self, s: State, *, evidence: bool = True) -> State:
        return self.ended(s, status="committed", reservation="captured", evidence=evidence)

    def fail(self, s: State) -> State:
        failed = s.failed | {s.generation}
        return self.ended(s, status="failed", reservation="released", failed=failed)

    def ended(self, s: State, **changes: object) -> State:
        forgotten = {"looked": ("", 0, 0), "words": ("", "")}
        return s._replace(leased="", unclear=False, wait=False, **forgotten, **changes)

    def doubt(self, s: State) -> State:
        """Unknown at once: whatever was sent may still arrive, from now on for a settling time."""
        kept = "released" if self.variant == "released on doubt" else "held"
        return s._replace(
            status="unknown",
            leased="",
            unclear=True,
            age=0,
            wait=s.kind.delivery == QUERYABLE,
            reservation=kept,
        )

    # The network, time, and people

    def network(self, s: State) -> Iterator[Move]:
        for write in s.flying:
            rest = list(s.flying)
            rest.remove(write)
            gone = s._replace(flying=tuple(rest))
            arrived, answer = self.deliver(gone, write.sends)
            yield Move(f"a late write arrives: {answer}", "system", arrived)
            yield Move("a late write is lost", "system", gone)

    def time(self, s: State) -> Iterator[Move]:
        holders = [w for w in s.workers if w.at != "idle" and w.fence == s.fence]
        if s.leased and not holders:
            yield Move("the lease ends", "system", self.unleased(s))
        elif s.leased and s.faults and not any(w.late for w in holders):
            late = (w._replace(late=w.late or w.fence == s.fence) for w in s.workers)
            asleep = s._replace(faults=s.faults - 1, workers=tuple(sorted(late)))
            yield Move("the lease of a sleeping worker ends", "fault", self.unleased(asleep))
        if s.status == "unknown" and not any(w.at == "sending" and not w.late for w in s.workers):
            yield from self.passes(s)

    def unleased(self, s: State) -> State:
        """A resend that has no end may have been sent just now; a probe changes nothing."""
        return self.doubt(s) if s.leased == "resend" else s._replace(leased="")

    def passes(self, s: State) -> Iterator[Move]:
        """A settling time goes by, in which all arrives; or the key gets older.

        Between 80 % of its time and the end of it is more than a settling time.
        """
        if not s.flying and (s.wait or s.age < SETTLED_TWICE):
            hidden = s.hidden and (s.kind.money or s.age < SETTLED)
            age = min(s.age + 1, SETTLED_TWICE)
            later = s._replace(age=age, wait=False, hidden=hidden)
            yield Move("a settling time passes", "system", later)
        if s.kind.delivery == KEYED and s.key_age == FRESH:
            yield Move("the key grows old", "system", s._replace(key_age=AGED, wait=False))
        elif s.kind.delivery == KEYED and s.key_age == AGED and all(w.aged for w in s.flying):
            yield Move("the target forgets the key", "system", s._replace(key_age=FORGOTTEN))

    def people(self, s: State) -> Iterator[Move]:
        if s.status == "failed" and s.generation < GENERATIONS:
            again = {"status": "approved", "reservation": "held", "intended": False}
            fresh = s._replace(generation=s.generation + 1, key_age=FRESH, age=0, **again)
            fresh = fresh._replace(absences=0, attempt=0)
            yield Move("a person retries", "person", fresh)
        if s.status != "unknown":
            return
        found, fence, who = s.looked
        if not found and not s.flying and (not s.leased or self.variant == "a person in between"):
            yield from self.look(s)
        elif found and (fence != s.fence or s.leased) and self.variant != "a person in between":
            again = s._replace(looked=("", 0, 0))
            yield Move("a person is told to look again", "person", again)
        elif found:
            yield Move(f"{PEOPLE[who]} says: {found}", "person", self.said(s, found, who))

    def look(self, s: State) -> Iterator[Move]:
        """Where one is enough, they see what is there; of two, the second may overlook it."""
        there = "applied" if s.generation in s.effects else "absent"
        seen = {(there, 0)}
        if s.kind.money:
            seen |= {(there, 1), ("absent", 1)}
        for found, who in sorted(seen):
            if s.words[who] != found:
                looked = s._replace(looked=(found, s.fence, who))
                yield Move(f"{PEOPLE[who]} looks at the target: {found}", "person", looked)

    def said(self, s: State, found: str, who: int) -> State:
        """Settled by one person; where money is concerned, by two who say the same."""
        if s.kind.money and s.words[1 - who] != found:
            words = (found, s.words[1]) if who == 0 else (s.words[0], found)
            return s._replace(words=words, looked=("", 0, 0))
        return self.commit(s) if found == "applied" else self.fail(s)

    def still_standing(self, s: State) -> tuple[str, str]:
        """Whose word outlasts a resend: of those who saw an effect. It stays one."""
        if self.variant == "an older word":
            return s.words
        first, second = (word if word == "applied" else "" for word in s.words)
        return first, second
