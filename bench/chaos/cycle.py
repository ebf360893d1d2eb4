"""What happens in one cycle: drawn from the seed and the cycle's number, so it can be replayed.

The seed fixes the script. What two processes do at the same moment is the machine's choice.
"""

import random
from dataclasses import dataclass

from proposals.crashpoints import POINTS

AT_WORK = tuple(point for point in POINTS if point != "submit.stored")
# Where somebody else may write to the target while a worker holds no lock of it.
OPEN_MOMENTS = ("check.previewed", "check.landed", "claim.done", "intent.done")
# In one batch of ten the agent's writes are capped, so that they wait for a slot and are refused.
# The window goes by on the harness's clock, which runs ahead of the machine's.
TIGHT, TIGHT_EACH = "tight", 10
CAP, CAP_SECONDS = 8, 60
KINDS = {"draft": 40, "note": 35, "price": 25}
ASKING = ("killed before the commit", "killed after it", "twice", *["plainly"] * 7)
MESSAGES = {"once": 75, "twice": 15, "lost": 10}


@dataclass(frozen=True)
class Pass:
    """One proposal's way to its end: how it is asked for, and what befalls its workers."""

    asking: str
    message: str
    crashes: tuple[str, ...]
    race_at: str = ""
    race_turns: tuple[int, ...] = (0,)  # while which of the workers somebody else writes
    is_refused_first: bool = False
    is_withdrawn: bool = False


@dataclass(frozen=True)
class Cycle:
    """A write, and in some cycles its undo, each through crashes of its own."""

    number: int
    kind: str
    forward: Pass
    undo: Pass | None

    @property
    def marker(self) -> str:
        """What the write puts into its row, and nothing else does."""
        if self.kind == "price":
            return f"{1000 + self.number}.{self.number % 100:02}"
        return f"cycle {self.number}"

    @property
    def passing(self) -> str:
        """What somebody else's hand leaves in the witnesses' book on its way."""
        return "0.03" if self.kind == "price" else f"in passing {self.number}"

    def strangers(self, *, is_later: bool) -> str:
        """What somebody else puts there in between; the second time it is something else."""
        if self.kind == "price":
            return "0.02" if is_later else "0.01"
        return f"somebody else's {self.number}{' later' if is_later else ''}"


def draw(seed: int, number: int) -> Cycle:
    """The cycle with this number."""
    chance = random.Random(f"{seed}/{number}")
    kind = pick(chance, KINDS)
    forward = draw_pass(chance, number, kind, is_undo=False)
    undo = draw_pass(chance, number, kind, is_undo=True) if chance.random() < 0.4 else None
    return Cycle(number, kind, forward, undo)


def draw_pass(chance: random.Random, number: int, kind: str, *, is_undo: bool) -> Pass:
    # The first crash takes turns, so that a short run comes to every point; the second is drawn.
    crashes = [AT_WORK[number % len(AT_WORK)], chance.choice(AT_WORK)][: chance.choice((1, 2))]
    can_be_raced = kind != "draft" or is_undo
    race_at = chance.choice(OPEN_MOMENTS) if can_be_raced and chance.random() < 0.25 else ""
    is_refused_first = not can_be_raced and chance.random() < 0.1
    if "void.done" in crashes:  # a key is voided only where the target refused, or had moved
        race_at = "intent.done" if can_be_raced else ""
        is_refused_first = not can_be_raced
    return Pass(
        asking=ASKING[(3 * number + number // 10) % 10],
        message=pick(chance, MESSAGES),
        crashes=tuple(crashes),
        race_at=race_at,
        is_refused_first=is_refused_first,
        is_withdrawn=not is_undo and chance.random() < 0.05,
    )


def pick(chance: random.Random, weights: dict[str, int]) -> str:
    return chance.choices(list(weights), list(weights.values()))[0]
