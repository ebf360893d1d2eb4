"""No Redis: it is gone for a while, comes back empty, and is emptied again, all under load.

Redis only rings bells. Without it, or with its bells lost, the clock finds the work: nothing is
stranded, and what is proposed meanwhile is written within seconds.
"""

import time
from datetime import datetime
from pathlib import Path

from django.db.models import F, Max

from bench.chaos.infrastructure import Site, Tally, judge, make_clients, moment, wait_for_rest
from bench.chaos.servers import Cluster, RedisServer
from proposals.models import Proposal

CLIENTS = 2
PAUSE_SECONDS = 1.0  # of a client between its posts
SECONDS_BEFORE = SECONDS_AFTER = 6.0
FLUSHES = 6
MOVING_SECONDS = 15  # without Redis, or with its bells lost, everything is written within this


def run(
    *,
    seed: int,
    first: int,
    cycles: int,
    folder: Path,
    seconds: float,
    cluster: Cluster | None,
) -> Tally:
    """Post while Redis is away for `seconds`; `cycles` is how many posts there are at most."""
    tally = Tally(seed, replay=f"--seconds {seconds:g}")
    redis = RedisServer(folder).start()
    site = Site(folder, redis)
    clients = make_clients(site, seed=seed, how_many=CLIENTS, posts=cycles, pause=PAUSE_SECONDS)
    began = time.monotonic()
    try:
        site.start()
        for client in clients:
            client.start()
        with_redis = moment()
        time.sleep(SECONDS_BEFORE)
        stopped = moment()
        redis.stop()
        time.sleep(seconds)
        returned = moment()
        redis.start()
        tally.done_to_it["redis stopped"] += 1
        time.sleep(SECONDS_AFTER)
        flushed = moment()
        for _ in range(FLUSHES):
            redis.flush()
            tally.done_to_it["redis flushed"] += 1
            time.sleep(SECONDS_AFTER / FLUSHES)
        for client in clients:
            client.stopping.set()
        for client in clients:
            client.join()
        wait_for_rest(tally)
        ended = moment()
    finally:
        site.stop()
        redis.stop()
    tally.seconds = time.monotonic() - began
    for what, since, until in (
        ("to commit, with Redis", with_redis, stopped),
        ("to commit, proposed while Redis was away", stopped, returned),
        ("to commit, proposed after it came back empty", returned, flushed),
        ("to commit, while it was flushed", flushed, ended),
    ):
        tally.longest(what, slowest(since, until))
        if since != with_redis and tally.longest_seconds[what] > MOVING_SECONDS:
            took = tally.longest_seconds[what]
            tally.faults.append(f"{took} s {what}, where {MOVING_SECONDS} are allowed")
    judge(clients, tally)
    return tally


def slowest(since: datetime, until: datetime) -> float:
    """The longest that anything proposed in between took to be committed, in seconds."""
    proposed = Proposal.objects.filter(created_at__gte=since, created_at__lt=until)
    longest = proposed.aggregate(longest=Max(F("committed_at") - F("created_at")))["longest"]
    return longest.total_seconds() if longest else 0.0
