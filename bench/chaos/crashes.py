"""Crash cycles: workers die at named points, singly and in pairs, forwards and in undo.

Cycles are played in batches. In each, the agent asks, workers start and die, others take over and
die too, the clock finds the rest, and the checker looks at what it all came to.
"""

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.chaos import checker, target, world
from bench.chaos.cycle import TIGHT, TIGHT_EACH, Cycle, Pass, draw
from bench.chaos.points import ChildFailed, Job, Trap, run_all
from proposals.lifecycle import Status
from proposals.models import Agent, Proposal

BATCH = 25


@dataclass
class Tally:
    """What was done, and what was found."""

    seed: int
    drawn: int = 0
    cycles: int = 0  # proposals taken through their crashes to their end, undo included
    undos: int = 0
    kills: int = 0
    committed: int = 0
    undone: int = 0
    double_effects: int = 0
    refused: int = 0  # by the tight cap, when they were asked for
    waited: int = 0  # for a slot of it, when they were to be written
    killed_at: Counter[str] = field(default_factory=Counter)
    pairs: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    replay: str = ""
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "killed_at": dict(sorted(self.killed_at.items())),
            "pairs": len(self.pairs),
            "seconds": round(self.seconds, 1),
            "cycles_per_second": round(self.cycles / self.seconds, 1) if self.seconds else 0,
        }


@dataclass
class Played:
    """A cycle of this batch with the proposals it made."""

    cycle: Cycle
    forward_id: Any = None
    undo_id: Any = None

    def way(self, is_undo: bool) -> Pass:
        return self.cycle.undo if is_undo and self.cycle.undo else self.cycle.forward

    def proposal_id(self, is_undo: bool) -> Any:
        return self.undo_id if is_undo else self.forward_id


@dataclass
class Batch:
    """Some cycles of one agent, played at the same time."""

    agent: Agent
    played: list[Played]
    folder: Path
    tally: Tally

    def play(self) -> None:
        self.ask()
        self.work(is_undo=False)
        self.ask_undo()
        self.work(is_undo=True)
        found = checker.check(self.agent, self.played)
        self.tally.faults += found.faults
        self.tally.double_effects += found.double_effects
        self.tally.committed += found.committed
        self.tally.undone += found.undone
        self.tally.waited += found.waited
        undos = sum(each.undo_id is not None for each in self.played)
        self.tally.cycles += len(self.played) + undos
        self.tally.undos += undos
        self.tally.drawn += len(self.played)
        world.close()

    # Asking

    def ask(self) -> None:
        """Ask for all, some by clients or servers that die before or after it is stored."""
        for each in self.played:
            if each.cycle.forward.is_refused_first:
                target.refuse(each.cycle)
        self.children(self.asking(is_undo=False))
        for each in self.played:
            proposal, refusals = world.ask_until_accepted(self.agent, each.cycle)
            each.forward_id = proposal.pk
            self.tally.refused += refusals

    def ask_undo(self) -> None:
        for each in self.played:
            status = Proposal.objects.values_list("status", flat=True).get(pk=each.forward_id)
            if status != Status.COMMITTED:
                each.cycle = replace(each.cycle, undo=None)
        self.children(self.asking(is_undo=True))
        for each in self.played:
            if each.cycle.undo is not None:
                world.ask_undo(each.forward_id)
                each.undo_id = world.undo_of(each.forward_id)
                if each.undo_id is None:
                    each.cycle = replace(each.cycle, undo=None)

    def asking(self, *, is_undo: bool) -> Iterator[Job]:
        for each in self.played:
            if is_undo and each.cycle.undo is None:
                continue
            way = each.way(is_undo)
            if way.asking == "plainly":
                continue
            ask: Callable[[], object] = partial(world.ask_in_a_crowd, self.agent, each.cycle)
            if is_undo:
                ask = partial(world.ask_undo, each.forward_id)
            name = self.name(each, "asking", is_undo)
            if way.asking == "killed before the commit":
                yield Job(name, ask, Trap(kill_at="submit.stored"))
            elif way.asking == "killed after it":
                yield Job(name, partial(then_die, ask), Trap())
            else:
                yield Job(name, ask, Trap())
                yield Job(name, ask, Trap())

    # Working

    def work(self, *, is_undo: bool) -> None:
        """Workers begin and die, others go on and die, then everything comes to rest."""
        playing = [each for each in self.played if each.proposal_id(is_undo) is not None]
        died: dict[int, list[str]] = {}
        for turn in (0, 1):
            if turn:
                world.time_passes()
            for job in self.children(self.workers(playing, turn, is_undo)):
                if job.was_killed:
                    died.setdefault(job.number, []).append(job.trap.kill_at)
        self.tally.pairs.update(" > ".join(points) for points in died.values() if points[1:])
        for each in playing:
            if each.way(is_undo).is_withdrawn:
                world.withdraw(self.agent, each.proposal_id(is_undo))
        self.rest()
        if not is_undo:
            for each in playing:
                if each.cycle.forward.is_refused_first:
                    target.relent(each.cycle)
                    world.retry_if_failed(each.forward_id)
            self.rest()

    def workers(self, playing: list[Played], turn: int, is_undo: bool) -> Iterator[Job]:
        for each in playing:
            way = each.way(is_undo)
            crash = way.crashes[turn] if turn < len(way.crashes) else ""
            if (turn == 0 and way.message == "lost") or (turn == 1 and not crash):
                continue  # for the clock to find
            proposal_id = each.proposal_id(is_undo)
            race = partial(target.overtake, each.cycle, is_later=is_undo or turn > 0)
            race_at = way.race_at if turn in way.race_turns else ""
            trap = Trap(kill_at=crash, race_at=race_at, race=race)
            if turn and crash == "void.done":
                trap.race_at = way.race_at
            name = self.name(each, f"worker {turn + 1}, to die at {crash or 'no point'}", is_undo)
            is_late = turn == 1 or way.message == "twice"
            number = each.cycle.number
            yield Job(name, partial(take_up, proposal_id, is_late), trap, number)
            if turn == 0 and way.message == "twice":
                name = self.name(each, "the same message again", is_undo)
                yield Job(name, partial(take_up, proposal_id, True), Trap(), number)

    def rest(self) -> None:
        """The clock finds what was left behind; in every fourth batch, two clocks at once."""
        sweep = partial(world.sweep_until_rest, self.agent)
        clocks = 2 if self.played[0].cycle.number // BATCH % 4 == 0 else 1
        self.children(Job(f"{self.name()} clock {n}", sweep, Trap()) for n in range(clocks))

    def children(self, jobs: Iterator[Job]) -> list[Job]:
        """Run the jobs, a few at a time, while this process holds no connection."""
        listed = list(jobs)
        world.close()
        run_all(iter(listed), self.folder)
        killed = [job for job in listed if job.was_killed]
        self.tally.kills += len(killed)
        self.tally.killed_at.update(job.trap.kill_at or "submit.answered" for job in killed)
        return listed

    def name(self, each: Played | None = None, what: str = "", is_undo: bool = False) -> str:
        if each is None:
            numbers = [one.cycle.number for one in self.played]
            return f"cycles {numbers[0]}-{numbers[-1]}"
        return f"cycle {each.cycle.number}{' (undo)' if is_undo else ''}, {what}"


def take_up(proposal_id: Any, is_late: bool) -> None:
    """A worker's turn at one proposal."""
    if is_late:
        world.always_late()
    world.advance(proposal_id)


def then_die(work: Callable[[], object]) -> None:
    """The answer is lost: the process dies between the commit and the answer."""
    work()
    os.kill(os.getpid(), signal.SIGKILL)


def run(*, seed: int, first: int, cycles: int, folder: Path, seconds: float) -> Tally:
    """Play the cycles with these numbers. Stops at the first batch in which something is wrong."""
    tally = Tally(seed)
    world.ensure()
    world.run_ahead()
    world.warm_up()
    started = time.monotonic()
    for start in range(first, first + cycles, BATCH):
        if time.monotonic() - started > seconds:
            break
        tally.replay = f"--first {start} --cycles {min(BATCH, first + cycles - start)}"
        numbers = range(start, min(start + BATCH, first + cycles))
        kind = TIGHT if start // BATCH % TIGHT_EACH == 3 else "chaos"
        agent = world.make_agent(f"{kind}-{seed}-{start}")
        played = [Played(draw(seed, number)) for number in numbers]
        try:
            Batch(agent, played, folder, tally).play()
        except ChildFailed as failure:
            tally.faults.append(str(failure))
        tally.seconds = time.monotonic() - started
        print(f"{tally.cycles} cycles, {tally.kills} kills", file=sys.stderr, flush=True)
        if tally.faults:
            break
    tally.faults += checker.check_everything()
    world.close()
    return tally
