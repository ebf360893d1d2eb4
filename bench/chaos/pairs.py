"""Every pair of crashes that can befall a write: one cycle each, and each must come about.

The first worker dies at one point, an hour goes by, and the second dies at another. Seeded cycles
draw such pairs by chance; here none is left out.
"""

import sys
import time
from pathlib import Path

from bench.chaos import checker, world
from bench.chaos.crashes import BATCH, Batch, Played, Tally
from bench.chaos.cycle import AT_WORK, Cycle, Pass
from bench.chaos.points import ChildFailed

# Once the target has committed there is nothing to check, to write or to void any more.
NEVER = {
    *((first, "check.previewed") for first in ("apply.done", "settle.written")),
    *((first, "check.landed") for first in ("apply.done", "settle.written")),
    *((first, "apply.written") for first in ("apply.done", "settle.written")),
    *((first, "void.done") for first in ("apply.done", "settle.written")),
}
PAIRS = [pair for one in AT_WORK for other in AT_WORK if (pair := (one, other)) not in NEVER]
BEFORE_AN_EFFECT = ("check.previewed", "check.landed", "void.done")


def draw(number: int, pair: tuple[str, str]) -> Cycle:
    """A cycle in which exactly this pair comes about.

    Somebody else's hand before the first write sends it back to its check, so that every point is
    still to come; where the first worker dies after that, the hand comes again, or only later.
    """
    first, second = pair
    if first == second == "void.done":  # only what is refused is voided twice in a row
        return Cycle(number, "draft", Pass("plainly", "once", pair, is_refused_first=True), None)
    race_at, turns = "check.landed", (0,)
    if first == "apply.written" and second in BEFORE_AN_EFFECT:
        race_at, turns = "claim.done", (1,)
    if pair == ("settle.done", "void.done"):
        turns = (0, 1)
    raced = Pass("plainly", "once", pair, race_at=race_at, race_turns=turns)
    return Cycle(number, "note", raced, None)


def run(*, seed: int, first: int, cycles: int, folder: Path, seconds: float) -> Tally:
    """Play one cycle for each pair, or for so many of them. There is nothing to draw."""
    tally = Tally(seed)
    world.ensure()
    world.run_ahead()
    world.warm_up()
    began = time.monotonic()
    drawn = [draw(number, pair) for number, pair in enumerate(PAIRS, start=1)]
    drawn = drawn[first - 1 : first - 1 + cycles]
    for start in range(0, len(drawn), BATCH):
        batch = [Played(cycle) for cycle in drawn[start : start + BATCH]]
        tally.replay = f"--first {batch[0].cycle.number} --cycles {len(batch)}"
        try:
            Batch(world.make_agent(f"pairs-{start}"), batch, folder, tally).play()
        except ChildFailed as failure:
            tally.faults.append(str(failure))
        if tally.faults:
            break
        print(f"{len(tally.pairs)} pairs", file=sys.stderr, flush=True)
    wanted = [" > ".join(cycle.forward.crashes) for cycle in drawn]
    tally.faults += [f"{pair} did not come about" for pair in wanted if pair not in tally.pairs]
    tally.faults += checker.check_everything()
    tally.seconds = time.monotonic() - began
    world.close()
    return tally
