"""What the provider does with a request, apart from how requests come and go.

Its time is the machine's, and whatever `pass_time` adds: so an outage of a day takes no day.
"""

import heapq
import time
from collections import defaultdict
from dataclasses import dataclass, field

from bench.chaos.provider import faults
from bench.chaos.provider.book import Book, Write

KEYED, QUERYABLE, PLAIN, MAIL = "keyed", "queryable", "plain", "mail"
KEY_SECONDS = 24 * 3600.0
TAKEN, REFUSED, UNDER_WAY, TOO_MANY, BROKEN = 201, 402, 409, 429, 500
# How an answer leaves, if it does.
PLAINLY, NEVER, CLOSED, TORN, SLOWLY, AS_NONSENSE = (
    "plainly",
    "never",
    "closed",
    "torn",
    "slowly",
    "as nonsense",
)


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict
    leaves: str = PLAINLY


@dataclass
class Provider:
    """Its memory. `script` and `mode` stand before what is drawn."""

    book: Book
    seed: int
    key_seconds: float = KEY_SECONDS
    mode: str = ""  # a fault that befalls every write and read until it is changed
    script: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    passed: float = 0.0
    keys: dict[str, tuple[float, int, dict]] = field(default_factory=dict)
    working: dict[str, float] = field(default_factory=dict)  # keys, and until when
    travelling: list[tuple[float, int, Write, bool]] = field(default_factory=list)
    sent: int = 0

    def now(self) -> float:
        return time.time() + self.passed

    def pass_time(self, seconds: float) -> None:
        """Let time go by, so that whatever is due in it happens, in order."""
        self.passed += seconds
        self.catch_up()

    def catch_up(self) -> None:
        """Let arrive what was on its way until now."""
        while self.travelling and self.travelling[0][0] <= self.now():
            at, _, write, is_repeat = heapq.heappop(self.travelling)
            self.apply(write, at, is_repeat=is_repeat)

    # Writing

    def write(self, write: Write) -> Answer:
        self.catch_up()
        now = self.now()
        number = self.book.count_write(now, write)
        fault = self.fault_of(write, number)
        self.book.note_fault(fault)
        if self.working.get(write.key, 0) > now:
            return Answer(UNDER_WAY, {"error": "The same key is being worked on."})
        return self.befall(fault, write, number, now)

    def fault_of(self, write: Write, number: int) -> str:
        if self.mode:
            return self.mode
        if self.script.get(write.business):
            return self.script[write.business].pop(0)
        return faults.draw_write(self.seed, write.business, number)

    def befall(self, fault: str, write: Write, number: int, now: float) -> Answer:
        """The answer, and how it leaves; the effect, if any, is in the books before that."""
        if fault in BEFORE:
            return BEFORE[fault]
        if fault in {"late", "working"}:
            self.send_later(fault, write, number, now)
            return Answer(0, {}, NEVER)
        if fault in {"refused", "refused once"}:
            return self.refuse(write, now, is_kept=fault == "refused")
        answer = self.apply(write, now)
        if fault == "repeated":
            self.send_later(fault, write, number, now)
        if fault == "error after":
            return Answer(BROKEN, {"error": "Something went wrong."})
        return Answer(answer.status, answer.body, AFTER.get(fault, PLAINLY))

    def send_later(self, fault: str, write: Write, number: int, now: float) -> None:
        due = now + faults.draw_delay(self.seed, write.business, number)
        if fault == "working" and write.key:
            self.working[write.key] = due
        self.sent += 1
        heapq.heappush(self.travelling, (due, self.sent, write, fault == "repeated"))

    def apply(self, write: Write, at: float, *, is_repeat: bool = False) -> Answer:
        """Have the effect; under a key that is remembered, only answer as the first time."""
        if remembered := self.remembered(write, at):
            return remembered
        blind = 0.0 if write.target == KEYED else faults.BLIND_SECONDS
        reference = self.book.effect(at, write, visible_at=at + blind, is_repeat=is_repeat)
        body = {"id": reference, "memo": write.business}
        self.remember(write, at, TAKEN, body)
        return Answer(TAKEN, body)

    def refuse(self, write: Write, at: float, *, is_kept: bool) -> Answer:
        if remembered := self.remembered(write, at):
            return remembered
        body = {"error": "There is not enough on the account."}
        if is_kept:
            self.remember(write, at, REFUSED, body)
        return Answer(REFUSED, body)

    def remembered(self, write: Write, at: float) -> Answer | None:
        if write.target != KEYED or write.key not in self.keys:
            return None
        since, status, body = self.keys[write.key]
        return Answer(status, body) if at - since < self.key_seconds else None

    def remember(self, write: Write, at: float, status: int, body: dict) -> None:
        if write.target == KEYED:
            self.keys[write.key] = (at, status, body)

    # Reading

    def read(self, target: str, key: str) -> Answer:
        """What became of a key or reference."""
        self.catch_up()
        now = self.now()
        number = self.book.count_read(now, target, key)
        fault = self.mode or faults.draw_read(self.seed, self.name_of(target, key), number)
        # Every effect shows at once to most reads; to a blind one, when its time has come.
        seen_at = now if fault == "blind" else now + faults.BLIND_SECONDS
        found = self.book.visible(target, key, seen_at)
        self.book.note_read(fault, ", ".join(reference for reference, _ in found))
        if fault in BEFORE:
            return BEFORE[fault]
        listed = [{"id": reference, "memo": business} for reference, business in found]
        return Answer(200, {"found": listed}, AS_NONSENSE if fault == "nonsense" else PLAINLY)

    def name_of(self, target: str, key: str) -> str:
        """The business key that a key was last used for: keys are other ones in every run."""
        row = self.book.rows.execute(
            "SELECT business FROM writes WHERE target = ? AND key = ? ORDER BY id DESC LIMIT 1",
            [target, key],
        ).fetchone()
        return row[0] if row else ""


BEFORE = {
    "dropped before": Answer(0, {}, CLOSED),
    "dropped": Answer(0, {}, CLOSED),
    "black hole": Answer(0, {}, NEVER),
    "error before": Answer(BROKEN, {"error": "Something went wrong."}),
    "error": Answer(BROKEN, {"error": "Something went wrong."}),
    "too many": Answer(TOO_MANY, {"error": "Too many requests."}),
    "nonsense before": Answer(200, {}, AS_NONSENSE),
}
AFTER = {
    "dropped after": CLOSED,
    "reset": TORN,
    "slow": SLOWLY,
    "nonsense after": AS_NONSENSE,
}
