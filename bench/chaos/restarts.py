"""Agents post while web server, worker, clock, Redis and PostgreSQL are killed and restarted.

Whatever an agent was told is accepted must be there, and written once, when the dust has settled.
"""

import time
from pathlib import Path

from bench.chaos.infrastructure import (
    Client,
    Site,
    Tally,
    chance_of,
    judge,
    make_clients,
    wait_for_rest,
)
from bench.chaos.servers import Cluster, RedisServer, wait_for

CLIENTS = 6
PROCESSES = ("web", "worker", "clock")
SECONDS_BETWEEN = (2.0, 6.0)
SECONDS_OUT = (0.2, 3.0)
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
    """Post `cycles` proposals from several agents, under kills, for so long at most."""
    tally, chance = Tally(seed, replay=f"--cycles {cycles}"), chance_of("restarts", seed)
    redis = RedisServer(folder).start() if cluster else None
    site = Site(folder, redis)
    clients = make_clients(site, seed=seed, how_many=CLIENTS, posts=cycles)
    began = time.monotonic()
    try:
        site.start()
        for client in clients:
            client.start()
        victims = [*PROCESSES, *(["redis"] if redis else []), *(["database"] if cluster else [])]
        while any(client.is_alive() for client in clients):
            time.sleep(chance.uniform(*SECONDS_BETWEEN))
            for name in site.revive():
                tally.done_to_it[f"{name} ended by itself"] += 1
            victim = chance.choice(victims)
            out = chance.uniform(*SECONDS_OUT)
            if victim == "database":
                mode = chance.choice(("fast", "immediate"))
                tally.done_to_it[f"database stopped, {mode}"] += 1
                restart_database(cluster, mode, out, clients, tally)
            elif victim == "redis":
                tally.done_to_it["redis killed"] += 1
                redis.stop()
                time.sleep(out)
                redis.start()
            else:
                tally.done_to_it[f"{victim} killed"] += 1
                site.kill(victim)
                time.sleep(out / 3)
                site.launch(victim)
            if time.monotonic() - began > seconds:
                for client in clients:
                    client.stopping.set()
        wait_for_rest(tally)
    finally:
        site.stop()
        if redis:
            redis.stop()
    tally.seconds = time.monotonic() - began
    judge(clients, tally)
    return tally


def restart_database(
    cluster: Cluster, mode: str, out: float, clients: list[Client], tally: Tally
) -> None:
    """Stop PostgreSQL, and measure how long after its return the next proposal is accepted."""
    cluster.stop(mode)
    time.sleep(out)
    cluster.start()
    back = time.monotonic()

    def somebody_was_accepted() -> bool:
        moments = [moment for client in clients for moment in client.moments[-1:]]
        return max(moments, default=0) > back or not any(one.is_alive() for one in clients)

    wait_for(somebody_was_accepted, what="the next acceptance", seconds=STAY_AWAY_SECONDS)
    tally.longest("from the database's return to the next acceptance", time.monotonic() - back)
