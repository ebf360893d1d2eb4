"""Real processes and a provider that accepts everything and answers nothing.

First, workers are killed in the middle of a call: how long is it until people see that the outcome
is unknown? Then much is asked for at once: how much of it becomes unknown before the target is left
alone, and do the pages say so? At last the provider answers again, and all comes to rest.
"""

import os
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db.models import F
from django.test import Client

from bench.chaos import outside_world, world
from bench.chaos.infrastructure import LEASE_SECONDS, Site
from bench.chaos.outside_cycle import SMALL, OutsideCycle, Pass
from bench.chaos.provider import actions, client
from bench.chaos.provider.client import Running
from bench.chaos.servers import RedisServer, wait_for
from ledger import clock
from proposals.lifecycle import Status
from proposals.models import Agent, Breaker, Execution, Proposal

CALL_SECONDS = 2.0
SWEEP_SECONDS, GRACE_SECONDS = 5.0, 5.0
VISIBLE_SECONDS = LEASE_SECONDS + SWEEP_SECONDS + GRACE_SECONDS
BREAKER_OPENS_AT = 5
QUIET_SECONDS = 3 * CALL_SECONDS
STAND_BY = "clock standing by"
PROCESSES = ("worker", "clock", STAND_BY)


@dataclass
class Tally:
    """What went into the hole, and when people could see it."""

    seed: int
    kills: int = 0
    visible_seconds: list[float] = field(default_factory=list)
    visible_within: float = VISIBLE_SECONDS
    asked: int = 0
    workers: int = 0
    unknown: int = 0
    at_most: int = 0
    swallowed: int = 0  # requests that reached the hole in one outage
    page_says: str = ""
    committed: int = 0
    double_effects: int = 0
    faults: list[str] = field(default_factory=list)
    replay: str = ""
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return {**self.__dict__, "seconds": round(self.seconds, 1)}


@dataclass
class Outage:
    """One provider, one installation, and what is asked of them."""

    agent: Agent
    provider: Running
    site: Site
    tally: Tally
    number: int = 0

    def ask(self, account: str) -> Any:
        """A note, which is UNCERTAIN, approved by a person: nobody may send it twice."""
        self.number += 1
        cycle = OutsideCycle(self.number, "note", SMALL, Pass("once", "", "", False), None)
        proposal = outside_world.ask(self.agent, cycle, account=account)
        wait_for(lambda: self.is_approved(proposal.pk), what="the approval", seconds=60)
        world.close()
        return proposal.pk

    def is_approved(self, proposal_id: Any) -> bool:
        proposal = Proposal.objects.get(pk=proposal_id)
        if proposal.status == Status.PENDING:
            world.decide(proposal)
        return proposal.status not in {Status.SUBMITTED, Status.PENDING}

    def writes(self) -> int:
        return self.provider.book.all("SELECT count(*) FROM writes", [])[0][0]

    # How soon it is seen

    def kill_in_a_call(self) -> None:
        """Ask, wait until the provider has the request, and kill whoever waits for its answer."""
        before, proposal_id = self.writes(), self.ask("killed")
        wait_for(lambda: self.writes() > before, what="the request", seconds=60)
        claimed_by = Execution.objects.get(proposal=proposal_id).claimed_by
        killed = time.monotonic()
        for name, child in list(self.site.children.items()):
            if claimed_by.endswith(f":{child.pid}"):
                self.site.kill(name)
                self.tally.kills += 1
                self.site.launch(name)
        unknown = Proposal.objects.filter(pk=proposal_id, status=Status.UNKNOWN)
        wait_for(unknown.exists, what="the unknown outcome", seconds=4 * VISIBLE_SECONDS)
        self.tally.visible_seconds.append(round(time.monotonic() - killed, 1))
        if self.tally.visible_seconds[-1] > VISIBLE_SECONDS:
            self.tally.faults.append(f"it was seen after {self.tally.visible_seconds[-1]} s")
        if "outcome unknown" not in self.page(f"/proposals/{proposal_id}/"):
            self.tally.faults.append("its page does not say that it is not known")
        world.close()

    # How much is swallowed

    def fall_into_the_hole(self, how_many: int) -> None:
        before, unknown_before = self.writes(), self.unknown().count()
        asked = [self.ask("hole") for _ in range(how_many)]
        self.tally.asked += len(asked)
        wait_for(self.is_quiet, what="quiet", seconds=120)
        self.tally.unknown = self.unknown().count() - unknown_before
        self.tally.swallowed = self.writes() - before
        self.tally.at_most = BREAKER_OPENS_AT + self.tally.workers
        if max(self.tally.unknown, self.tally.swallowed) > self.tally.at_most:
            self.tally.faults.append(f"{self.tally.swallowed} calls went into the hole")
        if not self.is_open():
            self.tally.faults.append("the breaker is not open")
        self.read_the_page()
        world.close()

    def is_quiet(self) -> bool:
        """Whether the breaker is open, and nothing was sent for longer than a call takes."""
        seen = self.writes()
        if not self.is_open():
            return False
        time.sleep(QUIET_SECONDS)
        return self.writes() == seen and self.is_open()

    def is_open(self) -> bool:
        return Breaker.objects.filter(target__endswith="/hole").exclude(opened_at=None).exists()

    def unknown(self) -> Any:
        return Proposal.objects.filter(run__agent=self.agent, status=Status.UNKNOWN)

    def read_the_page(self) -> None:
        held = Proposal.objects.filter(run__agent=self.agent, status=Status.APPROVED).first()
        if held is None:
            self.tally.faults.append("nothing is held back")
            return
        page = self.page(f"/proposals/{held.pk}/")
        _, found, rest = page.partition("are paused: ")
        self.tally.page_says = f"{found}{rest}".partition("<")[0].strip()
        if not found:
            self.tally.faults.append("the page of what is held does not say why")

    def page(self, address: str) -> str:
        browser = Client()
        browser.force_login(world.person("olga"))
        return browser.get(address, headers={"host": "127.0.0.1"}).content.decode()

    # How it ends

    def recover(self) -> None:
        """The provider answers; the pause is over; people look into the provider's books."""
        self.provider.control(mode="well")
        for _ in range(60):
            if not outside_world.moving(self.agent).exists():
                break
            past = timedelta(minutes=20)
            Breaker.objects.exclude(opened_at=None).update(retry_at=clock.now())
            Execution.objects.filter(status=Execution.Status.QUEUED).update(
                run_after=F("run_after") - past
            )
            outside_world.attest_what_is_left(self.agent, self.provider)
            time.sleep(1)
        else:
            self.tally.faults.append("it does not come to rest after the outage")
        mine = Proposal.objects.filter(run__agent=self.agent)
        self.tally.committed = mine.filter(status=Status.COMMITTED).count()
        doubles = self.provider.book.all(
            "SELECT business FROM writes GROUP BY business HAVING count(*) > 1", []
        )
        self.tally.double_effects = len(doubles)
        self.tally.faults += [f"{memo} was sent twice" for (memo,) in doubles]


def run(
    *, seed: int, first: int, cycles: int, folder: Path, seconds: float, cluster: Any = None
) -> Tally:
    """Kill a few times in a call, then ask for `cycles` at once."""
    tally = Tally(seed, replay=f"--cycles {cycles}")
    provider = client.start(folder / "provider", seed=seed, patience=30, mode="black hole")
    outside_world.ensure(provider)
    os.environ |= {
        "COUNTERSIGN_APPS": "bench.chaos.provider",
        actions.DEADLINE: str(CALL_SECONDS),
    }
    redis = RedisServer(folder).start() if cluster else None
    site = Site(folder, redis)
    site.lines[STAND_BY] = site.lines["clock"]
    # Celery's processes, and the clock, which does what nobody answers for.
    tally.workers = 3 if redis else 1
    outage = Outage(outside_world.make_agent(f"hole-{seed}"), provider, site, tally)
    world.close()
    began = time.monotonic()
    try:
        for name in PROCESSES:
            site.launch(name)
        for _ in range(max(1, int(seconds // 60))):
            outage.kill_in_a_call()
        outage.fall_into_the_hole(cycles)
        outage.recover()
    finally:
        site.stop()
        provider.stop()
        if redis:
            redis.stop()
    tally.seconds = time.monotonic() - began
    world.close()
    return tally
