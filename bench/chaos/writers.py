"""Six agents write at once over HTTP, and nobody is killed: no writer is told of a lock.

What SQLite has instead of many writers is a queue; whoever waits in it must not see it.
"""

import time
from pathlib import Path

from bench.chaos.infrastructure import Site, Tally, judge, make_clients, wait_for_rest
from bench.chaos.servers import Cluster, RedisServer

WRITERS = 6
LOCKED = "database is locked"


def run(
    *,
    seed: int,
    first: int,
    cycles: int,
    folder: Path,
    seconds: float,
    cluster: Cluster | None,
) -> Tally:
    """Post `cycles` proposals, as fast as six agents can, for so long at most."""
    tally = Tally(seed, replay=f"--cycles {cycles}")
    redis = RedisServer(folder).start() if cluster else None
    site = Site(folder, redis)
    clients = make_clients(site, seed=seed, how_many=WRITERS, posts=cycles)
    began = time.monotonic()
    try:
        site.start()
        for client in clients:
            client.start()
        while any(client.is_alive() for client in clients):
            time.sleep(0.1)
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
    for name in site.lines:
        if times := (folder / f"{name}.log").read_text(errors="replace").count(LOCKED):
            tally.faults.append(f"{name} was told {times} times that the {LOCKED}")
    refused = sum(tally.answers.values()) - tally.accepted
    tally.faults += [f"{refused} requests were not accepted: {tally.answers}"] * bool(refused)
    return tally
