"""A provider that misbehaves, workers that die, outages of a day: one effect, or an honest unknown.

Cycles are played in batches. In each, the agent asks, workers start and die, the provider drops,
delays, repeats and refuses, time goes by, others look again and die too, and people find out what
is left to them. The checker then holds the provider's books against the product's.
"""

import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench.chaos import checker, outside_checker, outside_world, world
from bench.chaos.outside_cycle import OutsideCycle, Pass, draw, draw_gap
from bench.chaos.points import ChildFailed, Job, Trap, run_all
from bench.chaos.provider import client
from bench.chaos.provider.client import Running
from proposals.lifecycle import Status
from proposals.models import Agent, Proposal

BATCH = 25
# What a batch waits for, in turn, until it rests; a few turns in people have their say.
WAITS = (0.0, 70.0, 70.0, 400.0, 2000.0, 2000.0, 4000.0, 30_000.0, 30_000.0, 30_000.0)
LATER_WAIT = 4000.0
MOST_TURNS = 40
A_FEW = 4


@dataclass
class Tally:
    """What was done, and what was found."""

    seed: int
    drawn: int = 0
    cycles: int = 0  # proposals taken to their end, undo included
    keyed: int = 0
    others: int = 0
    undos: int = 0
    kills: int = 0
    committed: int = 0
    failed: int = 0
    retried: int = 0
    people: int = 0
    double_effects: int = 0
    blind_resends: int = 0
    late_resends: int = 0
    without_evidence: int = 0
    unexplained: int = 0
    unknowns: int = 0
    resolved_by: Counter[str] = field(default_factory=Counter)
    befell: Counter[str] = field(default_factory=Counter)
    killed_at: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    replay: str = ""
    seconds: float = 0.0

    def take(self, found: outside_checker.Found) -> None:
        self.faults += found.faults
        for name in outside_checker.COUNTED:
            setattr(self, name, getattr(self, name) + getattr(found, name))
        self.resolved_by.update(found.resolved_by)
        self.befell.update(found.befell)

    def as_json(self) -> dict[str, Any]:
        told = dict(self.__dict__)
        for name in ("resolved_by", "befell", "killed_at"):
            told[name] = dict(sorted(told[name].items()))
        told["seconds"] = round(self.seconds, 1)
        told["cycles_per_second"] = round(self.cycles / self.seconds, 1) if self.seconds else 0
        return told


@dataclass
class Played:
    """A cycle of this batch with the proposals it made."""

    cycle: OutsideCycle
    forward_id: Any = None
    undo_id: Any = None

    def way(self, is_undo: bool) -> Pass:
        return self.cycle.undo if is_undo and self.cycle.undo else self.cycle.forward

    def proposal_id(self, is_undo: bool) -> Any:
        return self.undo_id if is_undo else self.forward_id


@dataclass
class Batch:
    """Some cycles of one agent, played at the same time against one provider."""

    agent: Agent
    played: list[Played]
    provider: Running
    folder: Path
    tally: Tally

    def play(self) -> None:
        for each in self.played:
            each.forward_id = outside_world.ask(self.agent, each.cycle).pk
        self.work(is_undo=False)
        for each in self.played:
            status = Proposal.objects.values_list("status", flat=True).get(pk=each.forward_id)
            if each.cycle.undo is not None and status == Status.COMMITTED:
                each.undo_id = outside_world.ask_undo(each.forward_id)
        self.work(is_undo=True)
        self.tally.take(outside_checker.check(self.agent, self.played, self.provider.book))
        undos = sum(each.undo_id is not None for each in self.played)
        self.tally.undos += undos
        self.tally.drawn += len(self.played)
        world.close()

    def work(self, *, is_undo: bool) -> None:
        """Workers begin and die, time goes by, others look and die, then all comes to rest."""
        playing = [each for each in self.played if each.proposal_id(is_undo) is not None]
        if not playing:
            return
        self.children(self.workers(playing, 0, is_undo))
        self.look(is_over=False)
        start = self.played[0].cycle.number
        self.pass_time(draw_gap(self.tally.seed, start, is_undo=is_undo))
        self.children(self.workers(playing, 1, is_undo))
        self.rest()
        for each in playing:
            if each.way(is_undo).is_retried:
                self.tally.retried += outside_world.retry(each.proposal_id(is_undo))
        self.rest()

    def workers(self, playing: list[Played], turn: int, is_undo: bool) -> Iterator[Job]:
        """One process for each that dies, and for each double; the others share some."""
        together: list[Any] = []
        for each in playing:
            way, proposal_id = each.way(is_undo), each.proposal_id(is_undo)
            crash = way.crash_asking if turn else way.crash
            if (way.message == "lost" and not turn) or (turn and not crash):
                continue  # for the clock to find
            if not crash and way.message == "once":
                together.append(proposal_id)
                continue
            name = f"cycle {each.cycle.number}{' (undo)' if is_undo else ''}, turn {turn + 1}"
            work: Callable[[], None] = partial(outside_world.advance, proposal_id)
            yield Job(f"{name}, to die at {crash or 'no point'}", work, Trap(kill_at=crash))
            if way.message == "twice" and not turn:
                yield Job(f"{name}, the same message again", partial(hurry, proposal_id), Trap())
        for start in range(0, len(together), A_FEW):
            work = partial(in_turn, together[start : start + A_FEW])
            yield Job("some that nothing happens to", work, Trap())

    def rest(self) -> None:
        """The clock finds what was left behind, and people what the clock cannot settle."""
        for turn in range(MOST_TURNS):
            if not outside_world.moving(self.agent).exists():
                return
            self.pass_time(WAITS[turn] if turn < len(WAITS) else LATER_WAIT)
            outside_world.sweep(self.agent)
            if turn % 3 == 2:
                found = outside_world.attest_what_is_left(self.agent, self.provider)
                self.tally.people += found
        stuck = [outside_world.story_of(one) for one in outside_world.moving(self.agent)]
        raise AssertionError(f"The clock finds no rest: {stuck}")

    def look(self, *, is_over: bool) -> None:
        """What must hold at any time, held against the books before all is at rest."""
        found = outside_checker.check(self.agent, self.played, self.provider.book, is_over=is_over)
        self.tally.faults += found.faults

    def pass_time(self, seconds: float) -> None:
        outside_world.pass_time(self.agent, self.provider, seconds)

    def children(self, jobs: Iterator[Job]) -> None:
        """Run the jobs, a few at a time, while this process holds no connection."""
        listed = list(jobs)
        world.close()
        run_all(iter(listed), self.folder)
        killed = [job for job in listed if job.was_killed]
        self.tally.kills += len(killed)
        self.tally.killed_at.update(job.trap.kill_at for job in killed)


def in_turn(proposal_ids: list[Any]) -> None:
    for proposal_id in proposal_ids:
        outside_world.advance(proposal_id)


def hurry(proposal_id: Any) -> None:
    """A second worker whose leases end as they begin; so do those that it takes over."""
    outside_world.always_late()
    outside_world.advance(proposal_id)


def run(
    *, seed: int, first: int, cycles: int, folder: Path, seconds: float, only: str = ""
) -> Tally:
    """Play the cycles with these numbers. Stops at the first batch in which something is wrong."""
    tally = Tally(seed)
    provider = client.start(folder / "provider", seed=seed, patience=2 * outside_world.CALL_SECONDS)
    try:
        outside_world.ensure(provider)
        outside_world.warm_up(provider)
        play(tally, provider, range(first, first + cycles), folder, seconds, only)
    finally:
        provider.stop()
    tally.faults += checker.check_everything()
    world.close()
    return tally


def play(
    tally: Tally, provider: Running, numbers: range, folder: Path, seconds: float, only: str
) -> None:
    started = time.monotonic()
    for start in range(numbers.start, numbers.stop, BATCH):
        if time.monotonic() - started > seconds:
            break
        batch = range(start, min(start + BATCH, numbers.stop))
        tally.replay = f"--first {start} --cycles {len(batch)}"
        # The provider's books are new in each run, so what an earlier run proposed is not in them.
        anew = secrets.token_hex(3)
        agent = outside_world.make_agent(f"outside-{tally.seed}-{start}-{only}-{anew}")
        played = [Played(draw(tally.seed, number, only)) for number in batch]
        try:
            Batch(agent, played, provider, folder, tally).play()
        except (ChildFailed, AssertionError) as failure:
            tally.faults.append(str(failure))
        tally.seconds = time.monotonic() - started
        with suppress(BrokenPipeError):
            print(f"{tally.cycles} cycles, {tally.kills} kills", file=sys.stderr, flush=True)
        if tally.faults:
            break
