"""Paused workers: one stops in mid-work past its lease, another finishes, the first wakes up.

The worker is stopped by SIGSTOP at a named point and goes on by SIGCONT when the proposal is long
done. Whatever it then does must change nothing but to leave its late evidence in the ledger. Where
it sleeps inside a transaction, the other worker waits for it, and the two finish side by side.
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench.chaos import checker, target, world
from bench.chaos.crashes import Played, take_up
from bench.chaos.cycle import AT_WORK, Cycle, Pass
from bench.chaos.points import Job, Trap, ended, fork
from proposals.models import Agent

# Sleeping there holds a lock; the other worker is given this long before the first is woken.
IN_A_TRANSACTION = ("claim.taken", "apply.written", "settle.written")
SECONDS_BESIDE = 0.3
KINDS = ("draft", "note", "price")
BATCH = 20


@dataclass
class Tally:
    """How often a worker slept, and what it did when it woke."""

    seed: int
    pauses: int = 0
    stale_writes: int = 0
    double_effects: int = 0
    stopped_at: Counter[str] = field(default_factory=Counter)
    voided: int = 0
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "stopped_at": dict(sorted(self.stopped_at.items())),
            "seconds": round(self.seconds, 1),
        }


@dataclass(frozen=True)
class Pause:
    """Where a worker falls asleep, and whether somebody else changes the row meanwhile."""

    cycle: Cycle
    stop_at: str
    is_overtaken: bool


def draw(seed: int, number: int) -> Pause:
    chance = random.Random(f"pause/{seed}/{number}")
    stop_at = chance.choice(AT_WORK)
    kind = chance.choice(KINDS[1:] if stop_at == "void.done" else KINDS)
    # With the row changed under it, the other worker voids the key of the one that sleeps.
    is_overtaken = kind != "draft" and chance.random() < 0.5
    race_at = "intent.done" if stop_at == "void.done" else ""
    way = Pass("plainly", "once", (), race_at=race_at)
    return Pause(Cycle(number, kind, way, None), stop_at, is_overtaken)


def play(agent: Agent, pause: Pause, folder: Path, tally: Tally) -> Played:
    """One pause: sleep, be overtaken, wake up."""
    cycle = pause.cycle
    played = Played(cycle, forward_id=world.ask(agent, cycle).pk)
    world.close()
    race = partial(target.overtake, cycle, is_undo=False)
    trap = Trap(stop_at=pause.stop_at, race_at=cycle.forward.race_at, race=race)
    what = f"pause {cycle.number}, asleep at {pause.stop_at}"
    sleeper = Job(what, partial(take_up, played.forward_id, False), trap)
    pid = fork(sleeper, folder)
    _, status = os.waitpid(pid, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        ended(sleeper, pid, status, folder)
        return played  # it ended without coming to that point
    tally.pauses += 1
    tally.stopped_at[pause.stop_at] += 1
    try:
        stale = while_it_sleeps(agent, pause, played, folder)
    finally:
        os.kill(pid, signal.SIGCONT)
        _, status = os.waitpid(pid, 0)
    ended(sleeper, pid, status, folder)
    tally.voided += pause.is_overtaken
    if stale is not None and stale() is True:
        tally.stale_writes += 1
        tally.faults.append(f"{what}: it changed what another worker had finished")
    return played


def while_it_sleeps(
    agent: Agent, pause: Pause, played: Played, folder: Path
) -> Callable[[], bool] | None:
    """Another worker takes over. Returns the question whether the sleeper then changed anything.

    None where the two had to finish together, because the sleeper held a lock.
    """
    other = Job(f"pause {pause.cycle.number}, the other", partial(take_over, agent), Trap())
    if pause.stop_at in IN_A_TRANSACTION:
        pid = fork(other, folder)
        time.sleep(SECONDS_BESIDE)
        os.kill(find_sleeper(played), 0) if False else None
        return partial(finish, other, pid, folder)
    if pause.is_overtaken:
        target.overtake(pause.cycle, is_undo=False)
        world.close()
    pid = fork(other, folder)
    _, status = os.waitpid(pid, 0)
    ended(other, pid, status, folder)
    before = image(played)
    return lambda: image(played) != before
