"""What the states of the model of the outside world are made of, and which of them are wrong.

Time is told by what it changes: how many settling times have passed since the last send, and how
old the key is. What travels arrives within one settling time, and is seen by probes within another;
where money is concerned, probes are trusted with nothing.
"""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

KEYED, QUERYABLE, UNCERTAIN = "keyed", "queryable", "uncertain"
# The age of a key: it may be resent; it is too late for that; the target has forgotten it.
FRESH, AGED, FORGOTTEN = 0, 1, 2
SETTLED, SETTLED_TWICE = 1, 2
MANY = 2  # absences that end the asking, whatever they say
GENERATIONS = 2

VARIANTS = {
    "blind retry": "an unclear write of any class is sent again",
    "a dead worker's write is queued": "what died after its intent is claimed again as if unsent",
    "no durable intent": "a claimed write is sent without a word about it",
    "new key per attempt": "each resend has a key of its own",
    "resend to the end": "a key is resent until the target may forget it, not until 80 % of that",
    "resend after the window": "a key is resent for ever",
    "absent at once": "a probe is asked before anything had time to arrive",
    "one absence": "what one probe does not find is recorded as not applied",
    "absences for money": "two absences are believed where money is concerned",
    "failed on a timeout": "an answer that does not come is a refusal",
    "refusal at once": "a refusal of a resend is believed while the first may still travel",
    "refusal by the record": "the same, where the refusal came early and was recorded late",
    "unavailable is unsent": "a resend that was not taken is taken for a first send that was not",
    "no deadline": "a worker that was asleep sends all the same when it wakes",
    "no fence": "a worker that lost its lease settles all the same",
    "a person in between": "what people found counts although something was sent since",
    "an older word": "what one of two did not find counts although something was sent since",
    "no evidence": "what cannot be read is taken for a success",
    "released on doubt": "a budget gets back what is unknown",
}


class Limits(NamedTuple):
    """How much may go wrong in one run: crashes, pauses, losses, delays, refusals, blind probes."""

    faults: int = 2


class Kind(NamedTuple):
    """What kind of action it is: its class, and what is at stake."""

    delivery: str
    money: bool = False
    can_probe: bool = False  # of KEYED ones: whether it can be asked when the key is too old


class Worker(NamedTuple):
    """A process between two of its transactions. `sends` are its generation and key."""

    at: str = "idle"
    fence: int = 0
    sends: tuple[int, int] = (0, 0)
    purpose: str = ""
    note: str = ""
    late: bool = False  # past the deadline of its call, asleep before it was made


IDLE = Worker()


class Write(NamedTuple):
    """A request on its way whose sender has given up."""

    sends: tuple[int, int]
    aged: bool  # sent when it was too late for a resend


class State(NamedTuple):
    kind: Kind
    faults: int
    # Our database.
    status: str = "approved"
    generation: int = 1
    attempt: int = 0  # told to the target only by the variant that makes a key of it
    queued: bool = True
    intended: bool = False
    fence: int = 0
    leased: str = ""  # what for: send, resend or probe
    unclear: bool = False  # whether any send of this generation may have had an effect unseen
    absences: int = 0
    wait: bool = False  # the resolver looks again only when more time has passed
    reservation: str = "held"
    evidence: bool = False
    failed: frozenset[int] = frozenset()  # generations recorded as not applied
    # What a person found, at which fence, and is about to say; and which of the two they are.
    looked: tuple[str, int, int] = ("", 0, 0)
    # About money two must say the same. The second of them may overlook what is there.
    words: tuple[str, str] = ("", "")
    # The target, and what is between.
    receipts: frozenset[tuple[tuple[int, int], str]] = frozenset()
    effects: tuple[int, ...] = ()  # the generation of each
    hidden: bool = False  # probes do not see the effect yet
    sends: tuple[int, ...] = ()  # the generation of each write that left us
    flying: tuple[Write, ...] = ()
    # Time.
    age: int = 0  # settling times since the last send without a clear answer
    key_age: int = FRESH
    workers: tuple[Worker, Worker] = (IDLE, IDLE)
    wrong: str = ""


def starts(limits: Limits) -> Iterator[State]:
    for money, can_probe in product((False, True), (False, True)):
        yield State(Kind(KEYED, money, can_probe), limits.faults)
    for money in (False, True):
        yield State(Kind(QUERYABLE, money), limits.faults)
    yield State(Kind(UNCERTAIN), limits.faults)


def receipt_of(s: State, sends: tuple[int, int]) -> str:
    return next((said for found, said in s.receipts if found == sends), "")


def can_resend(s: State) -> bool:
    return s.kind.delivery == KEYED and s.key_age == FRESH


def can_probe(s: State) -> bool:
    asks = s.kind.delivery == QUERYABLE or (s.kind.delivery == KEYED and s.kind.can_probe)
    return asks and s.absences < MANY


def is_for_people(s: State) -> bool:
    """Whether the product will do nothing more by itself."""
    return s.status == "unknown" and not s.leased and not can_resend(s) and not can_probe(s)


def rests(s: State) -> bool:
    """Whether nothing is lost when nothing happens for ever: it ended, or people are waited for."""
    if s.flying or any(w.at != "idle" for w in s.workers):
        return False
    return s.status in {"committed", "failed"} or is_for_people(s)


def wrong(s: State) -> str:
    """The promise that this state breaks; empty if it keeps them all."""
    return s.wrong or wrong_effects(s) or wrong_records(s)


def wrong_effects(s: State) -> str:
    if len(s.effects) > 1:
        return "two effects of one proposal"
    if s.kind.delivery != KEYED and len(set(s.sends)) < len(s.sends):
        return "a write was sent again to a target that keeps no keys"
    if s.status == "committed" and (not s.effects or not s.evidence):
        return "committed without an effect and its evidence"
    if any(generation in s.failed for generation in s.effects):
        return "an effect of what is recorded as not applied"
    return ""


def wrong_records(s: State) -> str:
    due = {"committed": "captured", "failed": "released"}.get(s.status, "held")
    if s.reservation != due:
        return f"a {s.status} proposal whose reservation is {s.reservation}"
    if s.status == "approved" and s.unclear:
        return "an outcome that is unclear, and nobody is told"
    return ""
