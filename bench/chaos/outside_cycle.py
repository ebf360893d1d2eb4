"""What happens in one cycle with a target outside, drawn from the seed and the cycle's number.

What the provider does to each request is drawn by the provider, from the same seed and the memo.
"""

import random
from dataclasses import dataclass

from bench.chaos.cycle import pick
from bench.chaos.provider.behaviour import KEY_SECONDS

KEYED = {"refund": 60, "credit": 40}
OTHERS = {"order": 35, "purchase": 25, "note": 25, "letter": 15}
KINDS = {"keyed": KEYED, "others": OTHERS}
CAN_BE_UNDONE = ("refund", "credit", "order", "purchase")
# Where a worker may die on its way, and where one that asks again may.
SENDING = (
    "claim.taken",
    "claim.done",
    "prepare.done",
    "intent.done",
    "request.written",
    "apply.done",
    "settle.written",
    "settle.done",
)
ASKING = ("inquiry.begun", "request.written", "settle.written", "inquiry.done")
MESSAGES = {"once": 75, "twice": 15, "lost": 10}
# How much time goes by before anybody looks again: a moment, an outage of minutes, of most of a
# key's time, to just before and just after it may be resent, and of longer than it is honoured.
GAPS = {
    9.0: 22,
    70.0: 28,
    900.0: 15,
    0.5 * KEY_SECONDS: 10,
    0.79 * KEY_SECONDS: 10,
    0.81 * KEY_SECONDS: 8,
    1.1 * KEY_SECONDS: 7,
}
SMALL, LARGE = "5.00", "500.00"


@dataclass(frozen=True)
class Pass:
    """One proposal's way to its end: what befalls its workers, and who dies when asking again."""

    message: str
    crash: str
    crash_asking: str
    is_retried: bool


@dataclass(frozen=True)
class OutsideCycle:
    """A write to the provider, and in some cycles its undo."""

    number: int
    kind: str
    amount: str
    forward: Pass
    undo: Pass | None

    def memo(self, *, is_undo: bool) -> str:
        """The business key: there is to be one effect of it in the whole world."""
        return f"cycle {self.number}{' undo' if is_undo else ''}"

    @property
    def is_keyed(self) -> bool:
        return self.kind in KEYED


def draw(seed: int, number: int, only: str = "") -> OutsideCycle:
    """The cycle with this number; `only` keeps to keyed ones, or to the others."""
    chance = random.Random(f"outside/{seed}/{number}")
    kinds = KINDS[only] if only else KINDS["keyed" if chance.random() < 0.6 else "others"]
    kind = pick(chance, kinds)
    forward = draw_pass(chance, number)
    has_undo = kind in CAN_BE_UNDONE and chance.random() < 0.4
    undo = draw_pass(chance, number) if has_undo else None
    return OutsideCycle(number, kind, chance.choice((SMALL, LARGE)), forward, undo)


def draw_pass(chance: random.Random, number: int) -> Pass:
    # The crash takes turns, so that a short run comes to every point.
    dies = chance.random() < 0.5
    return Pass(
        message=pick(chance, MESSAGES),
        crash=SENDING[number % len(SENDING)] if dies else "",
        crash_asking=chance.choice(ASKING) if chance.random() < 0.3 else "",
        is_retried=chance.random() < 0.7,
    )


def draw_gap(seed: int, start: int, *, is_undo: bool) -> float:
    """How long a batch is left alone, in seconds."""
    chance = random.Random(f"gap/{seed}/{start}/{is_undo}")
    return chance.choices(list(GAPS), list(GAPS.values()))[0]
