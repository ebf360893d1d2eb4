"""Paused workers: one stops in mid-work past its lease, another finishes, the first wakes up.

The worker is stopped by SIGSTOP at a named point and goes on by SIGCONT when the proposal is long
done. Whatever it then does must change nothing but to leave its late evidence in the ledger. Where
it sleeps inside a transaction, the other worker waits for it, and the two finish side by side.
"""

import os
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench.chaos import checker, target, world
from bench.chaos.cycle import AT_WORK, Cycle, Pass
from bench.chaos.points import ChildFailed, Job, Trap, ended, fork
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
    spoilt: int = 0
    faults: list[str] = field(default_factory=list)
    replay: str = ""
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "stopped_at": dict(sorted(self.stopped_at.items())),
            "seconds": round(self.seconds, 1),
        }


@dataclass(frozen=True)
class Pause:
    """Where a worker falls asleep, and whether the target changes meanwhile."""

    cycle: Cycle
    stop_at: str
    is_spoilt: bool


def draw(seed: int, number: int) -> Pause:
    chance = random.Random(f"pause/{seed}/{number}")
    stop_at = chance.choice(AT_WORK)
    kind = chance.choice(KINDS[1:] if stop_at == "void.done" else KINDS)
    is_spoilt = stop_at not in IN_A_TRANSACTION and chance.random() < 0.5
    way = Pass(
        "plainly",
        "once",
        (),
        race_at="intent.done" if stop_at == "void.done" else "",
        is_refused_first=is_spoilt and kind == "draft",
    )
    return Pause(Cycle(number, kind, way, None), stop_at, is_spoilt)


@dataclass
class Scene:
    """One pause, played: sleep, be overtaken, wake up."""

    agent: Agent
    pause: Pause
    folder: Path
    tally: Tally
    forward_id: Any = None
    undo_id: Any = None
    is_asleep: bool = False

    @property
    def cycle(self) -> Cycle:
        return self.pause.cycle

    def play(self) -> None:
        self.forward_id = world.ask(self.agent, self.cycle).pk
        pid = self.fall_asleep()
        if pid is None:
            return
        try:
            self.spoil()
            if self.pause.stop_at in IN_A_TRANSACTION:
                self.finish_together(pid)
            else:
                self.finish_without(pid)
        finally:
            if self.is_asleep:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        if self.cycle.forward.is_refused_first:
            target.relent(self.cycle)
            world.retry_if_failed(self.forward_id)

    def fall_asleep(self) -> int | None:
        """Start a worker that stops at the point; None if it ended without coming there."""
        world.close()
        race = partial(target.overtake, self.cycle, is_later=False)
        trap = Trap(stop_at=self.pause.stop_at, race_at=self.cycle.forward.race_at, race=race)
        self.sleeper = Job(
            f"pause {self.cycle.number}, asleep at {self.pause.stop_at}",
            partial(world.advance, self.forward_id),
            trap,
        )
        pid = fork(self.sleeper, self.folder)
        _, status = os.waitpid(pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            ended(self.sleeper, pid, status, self.folder)
            return None
        self.is_asleep = True
        self.tally.pauses += 1
        self.tally.stopped_at[self.pause.stop_at] += 1
        return pid

    def spoil(self) -> None:
        """While it sleeps the target changes, so that the other must void the sleeper's key."""
        if not self.pause.is_spoilt:
            return
        self.tally.spoilt += 1
        if self.cycle.kind == "draft":
            target.refuse(self.cycle)
        else:
            target.overtake(self.cycle, is_later=False)

    def finish_together(self, pid: int) -> None:
        """The sleeper holds a lock: the other waits for it, and then they meet."""
        other = self.start_other()
        time.sleep(SECONDS_BESIDE)
        self.wake(pid)
        self.reap_other(other)

    def finish_without(self, pid: int) -> None:
        """The other brings it to its end; what the sleeper does then must change nothing."""
        self.reap_other(self.start_other())
        if self.cycle.forward.is_refused_first:
            target.relent(self.cycle)  # now the target would take it
        before = self.image()
        world.close()
        self.wake(pid)
        if self.image() != before:
            self.tally.stale_writes += 1
            self.tally.faults.append(f"{self.sleeper.name}: it changed what was finished")

    def start_other(self) -> int:
        world.close()
        self.other = Job(
            f"pause {self.cycle.number}, the other",
            partial(world.sweep_until_rest, self.agent),
            Trap(),
        )
        return fork(self.other, self.folder)

    def reap_other(self, pid: int) -> None:
        _, status = os.waitpid(pid, 0)
        ended(self.other, pid, status, self.folder)

    def wake(self, pid: int) -> None:
        self.is_asleep = False
        os.kill(pid, signal.SIGCONT)
        _, status = os.waitpid(pid, 0)
        ended(self.sleeper, pid, status, self.folder)

    def image(self) -> list[Any]:
        """All that a stale worker could change: rows, reservations, receipts, and the target."""
        (proposal,) = [
            each for each in checker.load(self.agent) if each.id == checker.name(self.forward_id)
        ]
        return [
            proposal.status,
            proposal.round,
            proposal.generation,
            proposal.executions,
            proposal.reviews,
            proposal.checks,
            proposal.reserved,
            checker.effects([self]),
            checker.applied([proposal]),
        ]


def run(*, seed: int, first: int, cycles: int, folder: Path, seconds: float) -> Tally:
    """Play these pauses. Stops at the first batch in which something is wrong."""
    tally = Tally(seed)
    world.ensure()
    world.warm_up()
    started = time.monotonic()
    for start in range(first, first + cycles, BATCH):
        if time.monotonic() - started > seconds:
            break
        tally.replay = f"--first {start} --cycles {min(BATCH, first + cycles - start)}"
        numbers = range(start, min(start + BATCH, first + cycles))
        agent = world.make_agent(f"pauses-{seed}-{start}")
        scenes = [Scene(agent, draw(seed, number), folder, tally) for number in numbers]
        try:
            for scene in scenes:
                scene.play()
            world.sweep_until_rest(agent)
            found = checker.check(agent, scenes)
        except ChildFailed as failure:
            tally.faults.append(str(failure))
            break
        tally.faults += found.faults
        tally.double_effects += found.double_effects
        tally.seconds = time.monotonic() - started
        print(f"{tally.pauses} pauses", file=sys.stderr, flush=True)
        if tally.faults:
            break
    tally.faults += checker.check_everything()
    world.close()
    return tally
