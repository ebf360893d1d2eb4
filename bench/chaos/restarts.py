"""Agents post while web server, worker, clock, Redis and PostgreSQL are killed and restarted.

Whatever an agent was told is accepted must be there, and written once, when the dust has settled.
After PostgreSQL is back, the next proposal is accepted and the next one is committed within ten
seconds. They are counted from the first connection that PostgreSQL itself accepts: how long it
takes to recover after an immediate stop is its own affair, and allowed for whatever it is.
"""

import random
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from bench.chaos import world
from bench.chaos.infrastructure import (
    Client,
    Site,
    Tally,
    chance_of,
    judge,
    make_clients,
    moment,
    wait_for_rest,
)
from bench.chaos.servers import Cluster, RedisServer, wait_for
from proposals.models import Proposal

CLIENTS = 6
PROCESSES = ("web", "worker", "clock")
DATABASE = ("database, fast", "database, immediate")
SECONDS_BETWEEN = (2.0, 6.0)
SECONDS_OUT = (0.2, 3.0)
# A shorter run hurries from victim to victim, and its posts are spread to last for all of them.
SHORT_SECONDS = 60
RESUME_SECONDS = 10
STAY_AWAY_SECONDS = 60


def run(
    *,
    seed: int,
    first: int,
    cycles: int,
    folder: Path,
    seconds: float,
    cluster: Cluster | None,
) -> Tally:
    """Post `cycles` proposals from several agents, under kills, for so long at most.

    But for no shorter than it takes to have every victim once.
    """
    tally, chance = Tally(seed, replay=f"--cycles {cycles}"), chance_of("restarts", seed)
    redis = RedisServer(folder).start() if cluster else None
    site = Site(folder, redis)
    hurry = min(1.0, seconds / SHORT_SECONDS)
    pause = seconds * CLIENTS / cycles if hurry < 1 else 0.0
    clients = make_clients(site, seed=seed, how_many=CLIENTS, posts=cycles, pause=pause)
    victims = [*PROCESSES, *(["redis"] if redis else []), *(DATABASE if cluster else [])]
    began = time.monotonic()
    try:
        site.start()
        for client in clients:
            client.start()
        for number, victim in enumerate(dealt(victims, chance), start=1):
            time.sleep(hurry * chance.uniform(*SECONDS_BETWEEN))
            for name in site.revive():
                tally.done_to_it[f"{name} ended by itself"] += 1
            Fault(site, redis, cluster, clients, tally).befall(victim, chance.uniform(*SECONDS_OUT))
            is_dealt = number >= len(victims)
            if is_dealt and time.monotonic() - began > seconds:
                for client in clients:
                    client.stopping.set()
            if is_dealt and not any(client.is_alive() for client in clients):
                break
        wait_for_rest(tally)
    finally:
        site.stop()
        if redis:
            redis.stop()
    tally.seconds = time.monotonic() - began
    judge(clients, tally)
    return tally


def dealt(victims: list[str], chance: random.Random) -> Iterator[str]:
    """Victims as from a shuffled deck: each comes once before any comes again."""
    while True:
        yield from chance.sample(victims, len(victims))


class Fault:
    """What befalls one victim, and how soon after it things go on."""

    def __init__(
        self,
        site: Site,
        redis: RedisServer | None,
        cluster: Cluster | None,
        clients: list[Client],
        tally: Tally,
    ) -> None:
        self.site, self.redis, self.cluster = site, redis, cluster
        self.clients, self.tally = clients, tally

    def befall(self, victim: str, out: float) -> None:
        """The victim is gone for so many seconds; a process that is killed for a third of it."""
        self.tally.done_to_it[victim] += 1
        if victim in DATABASE:
            self.restart_database(victim.partition(", ")[2], out)
        elif victim == "redis":
            self.redis.stop()
            time.sleep(out)
            self.redis.start()
        else:
            self.site.kill(victim)
            time.sleep(out / 3)
            self.site.launch(victim)

    def restart_database(self, mode: str, out: float) -> None:
        """Stop PostgreSQL while all else is at work, and measure what goes on after its return.

        Whoever was killed just before would still be starting, and that is not what is measured.
        """
        before = moment()
        wait_for(lambda: self.is_at_work(before), what="work under way", seconds=STAY_AWAY_SECONDS)
        self.cluster.stop(mode)
        time.sleep(out)
        self.cluster.start()
        back, returned = time.monotonic(), moment()
        self.resumes("acceptance", lambda: self.has_accepted(back), back)
        self.resumes("commit", lambda: self.has_committed(returned), back)

    def is_at_work(self, since: datetime) -> bool:
        return self.is_over() or (self.site.is_up() and self.has_committed(since))

    def is_over(self) -> bool:
        """Nobody posts any more, so nothing more is accepted."""
        return not any(client.is_alive() for client in self.clients)

    def has_accepted(self, since: float) -> bool:
        return any(moment > since for one in self.clients for moment in one.moments[-1:])

    def has_committed(self, since: datetime) -> bool:
        try:
            return Proposal.objects.filter(committed_at__gt=since).exists()
        finally:
            world.close()  # or the next restart would find this connection open

    def resumes(self, what: str, question: Callable[[], bool], back: float) -> None:
        """Measure until it goes on, and find fault with what takes too long."""
        while not (answer := question()) and not self.is_over():
            if time.monotonic() - back > STAY_AWAY_SECONDS:
                break
            time.sleep(0.05)
        if not answer and self.is_over():
            return
        took = time.monotonic() - back
        self.tally.longest(f"from the database's return to the next {what}", took)
        if took > RESUME_SECONDS:
            self.tally.faults.append(
                f"the next {what} came {took:.1f} s after the database's return, "
                f"where {RESUME_SECONDS} are allowed"
            )
