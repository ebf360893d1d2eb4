"""What the model's states are made of, which of them are wrong, and which may last."""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from tests.model.search import Move

LIVE = ("submitted", "pending", "changes_requested", "approved")
WAITS_FOR_PEOPLE = ("pending", "changes_requested", "failed", "unknown")
TERMINAL = ("committed", "denied", "rejected", "withdrawn", "expired")
OPEN = ("queued", "claimed", "intended")
RECHECKS = 2  # in a row, before people must look
OURS, RESTORED = 2, 3  # what the target holds after our write, and after its undo
Key = tuple[str, int]


VARIANTS = {
    "blind retry": "an unclear write is sent again under a new key",
    "probe then resend": "the target keeps no keys; it is asked, and what is absent is sent again",
    "no durable intent": "a claimed write is sent without a word about it",
    "absent is proof": "without a receipt, the write is recorded as not applied",
    "no fence": "a worker that lost its lease settles all the same",
    "no compare": "the target's values are not compared with the approved ones",
    "unbound approval": "an approval counts for whatever is current, not for what was shown",
    "late check": "a check lands although its proposal was amended since",
    "freeze at claim": "a freeze is read when claiming and not again with the intent",
    "approvals for ever": "a re-check that comes out the same never ends with people",
    "any unknown": "a reconciliation settles whichever attempt is unknown by then",
    "withdrawn under a worker": "an approval is taken back although a worker has claimed it",
    "expiry keeps": "an expiry forgets the budget reservation",
}


class Limits(NamedTuple):
    """How much may go wrong in one run. All that is within these limits is tried."""

    faults: int = 2  # crashes, pauses beyond the lease, losses, refusals
    events: int = 2  # what agent, operators and others do on top of the usual
    fences: int = 2  # claims of one execution before people are asked


class Digest(NamedTuple):
    """What a check found, and a person approves."""

    revision: int
    image: int
    strict: bool


class Execution(NamedTuple):
    status: str
    digest: Digest
    fence: int = 0
    intended: bool = False
    leased: bool = False


class Worker(NamedTuple):
    """A process between two of its transactions, and all that it remembers."""

    at: str = "idle"
    fence: int = 0
    key: Key = ("", 0)
    digest: Digest = Digest(0, 0, False)
    note: str = ""
    had_intent: bool = False
    round: int = 0


IDLE = Worker()


class State(NamedTuple):
    # What kind of run this is: a write that compares (update) or one that adds (create).
    kind: str
    needs_person: bool
    faults: int
    events: int
    # Our database.
    status: str = ""
    direction: str = "do"
    generation: int = 1
    revision: int = 1
    round: int = 1
    rechecks: int = 0
    check: Digest | None = None
    approvals: frozenset[tuple[Digest, Digest]] = frozenset()  # recorded for, shown
    execution: Execution | None = None
    closed: frozenset[tuple[Key, bool]] = frozenset()  # recorded as not applied; had an intent?
    committed: frozenset[Key] = frozenset()
    reservation: str = ""
    overdue: bool = False
    revoked: bool = False
    strict: bool = False
    frozen: bool = False
    # The target.
    image: int = 0
    receipts: frozenset[tuple[Key, str]] = frozenset()
    effects: tuple[Key, ...] = ()
    # Around them.
    flying: frozenset[tuple[Key, Digest]] = frozenset()  # writes whose sender is gone
    page: Digest | None = None  # what a person has open
    workers: tuple[Worker, Worker] = (IDLE, IDLE)
    wrong: str = ""


def starts(limits: Limits) -> Iterator[State]:
    for kind, needs_person in product(("update", "create"), (False, True)):
        yield State(kind, needs_person, limits.faults, limits.events)


def key_of(s: State) -> Key:
    """What the target knows the current attempt by."""
    return s.direction, s.generation


def receipt_of(s: State, key: Key) -> str:
    return next((state for found, state in s.receipts if found == key), "")


def due(s: State) -> bool:
    """Whether a worker may claim: queued, or left behind by a lease that ended."""
    e = s.execution
    return e is not None and not s.frozen and e.status in OPEN and not e.leased


def held_by_someone(s: State) -> bool:
    """Whether the worker that holds the fence is still alive."""
    return any(
        w.fence == s.execution.fence and w.key == key_of(s)
        for w in s.workers
        if w.at not in {"idle", "reconciling"}
    )


def rests(s: State) -> bool:
    """Whether nothing is lost when nothing happens for ever: it ended, or people are waited for."""
    if s.flying or any(w.at != "idle" for w in s.workers):
        return False
    return s.status in TERMINAL + WAITS_FOR_PEOPLE or (s.status == "approved" and s.frozen)


def wrong(s: State) -> str:
    """The promise that this state breaks; empty if it keeps them all."""
    return s.wrong or wrong_effects(s) or wrong_records(s)


def wrong_effects(s: State) -> str:
    if len({direction for direction, _ in s.effects}) < len(s.effects):
        return "two effects of one proposal"
    for key in s.committed:
        if receipt_of(s, key) != "applied" or s.effects.count(key) != 1:
            return "committed without effect and receipt"
    for key, had_intent in s.closed:
        if key in s.effects:
            return "an effect of what is recorded as not applied"
        if had_intent and receipt_of(s, key) != "void":
            return "recorded as not applied while its key may still apply"
    return ""


def wrong_records(s: State) -> str:
    lives = s.status in (*LIVE, "unknown")
    if (s.reservation == "held") != lives:
        return f"a {s.status} proposal whose reservation is {s.reservation}"
    if s.status == "committed" and s.reservation != "captured":
        return "committed, and its reservation not captured"
    is_open = s.execution is not None and s.execution.status in OPEN
    if is_open != (s.status == "approved"):
        return f"a {s.status} proposal with an open execution, or an approved one without"
    if s.rechecks > RECHECKS:
        return "checked again and again, and nobody was asked to look"
    return ""


def note(s: State, move: Move) -> tuple[str, ...]:
    """Legal moves between statuses, and the places at which a crash was tried."""
    after = move.after
    _, crashes, place = move.label.partition(" crashes at ")
    if crashes:
        return "crash", place.partition(",")[0]
    moved = (s.status, s.round) != (after.status, after.round)
    if s.status and moved and after.direction == s.direction:
        return "move", s.status, after.status
    return ()
