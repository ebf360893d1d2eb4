"""The whole product as processes, agents that post to it over HTTP, and what is left afterwards."""

import contextlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import DatabaseError, connections

from bench.chaos import checker, target, world
from bench.chaos.crashes import Played
from bench.chaos.cycle import Cycle, Pass
from bench.chaos.leases import short_leases
from bench.chaos.servers import RedisServer, free_port, wait_for
from ledger import clock
from proposals import tokens
from proposals.management.supervisor import commands, die_with_parent
from proposals.models import Agent, Proposal

ROOT = Path(__file__).resolve().parents[2]
ACCEPTED = (200, 201, 202)
# Honest answers to who asks again: under way elsewhere, too fast, or not now and when instead.
COME_BACK = (409, 429, 503)
LEASE_SECONDS = 10
REST_SECONDS = 240


class Site:
    """Web server, worker and clock, each in a process group of its own, to be killed as one."""

    def __init__(self, folder: Path, redis: RedisServer | None) -> None:
        self.folder, self.port = folder, free_port()
        self.lines = commands(self.port, has_redis=redis is not None)
        self.children: dict[str, subprocess.Popen] = {}
        self.environment = os.environ | {
            **short_leases(LEASE_SECONDS),
            "LOG_LEVEL": "WARNING",
            "PORT": str(self.port),
            "REDIS_URL": redis.url if redis else "",
        }

    def start(self) -> None:
        for name in self.lines:
            self.launch(name)
        wait_for(self.is_up, what="the web server", seconds=120)

    def launch(self, name: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.children[name] = subprocess.Popen(
                self.lines[name],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def is_up(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5):
                return True
        except OSError:
            return False

    def kill(self, name: str) -> None:
        """SIGKILL to the process and all its children at once: no clean-up, no farewell."""
        child = self.children[name]
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()

    def revive(self) -> list[str]:
        """Start again what has ended by itself, as the supervisor does. Returns what that was."""
        ended = [name for name, child in self.children.items() if child.poll() is not None]
        for name in ended:
            self.launch(name)
        return ended

    def stop(self) -> None:
        for name in self.children:
            self.kill(name)


@dataclass
class Tally:
    """What was posted, what was done to the processes, and what became of it."""

    seed: int
    accepted: int = 0
    lost: int = 0
    committed: int = 0
    double_effects: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    done_to_it: Counter[str] = field(default_factory=Counter)
    longest_seconds: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    replay: str = ""
    seconds: float = 0.0

    def longest(self, what: str, seconds: float) -> None:
        self.longest_seconds[what] = round(max(seconds, self.longest_seconds.get(what, 0)), 1)

    def as_json(self) -> dict[str, Any]:
        return {**self.__dict__, "seconds": round(self.seconds, 1)}


class Client(threading.Thread):
    """An agent that posts drafts, and posts each again until it is told that it was accepted."""

    def __init__(self, agent: Agent, site: Site, numbers: range, *, pause: float = 0) -> None:
        super().__init__(daemon=True)
        self.agent, self.site, self.numbers, self.pause = agent, site, numbers, pause
        self.token = tokens.issue(agent=agent, actor="system:chaos")
        self.accepted: dict[int, str] = {}
        self.moments: list[float] = []
        self.answers: Counter[str] = Counter()
        self.stopping = threading.Event()

    def run(self) -> None:
        for number in self.numbers:
            if self.stopping.is_set():
                return
            self.post_until_accepted(number)
            time.sleep(self.pause)

    def post_until_accepted(self, number: int) -> None:
        """Even when stopping: what was sent once is in doubt until it is answered."""
        action, params = target.call_of(cycle(number))
        body = {"action": action, "params": params, "run": self.agent.name}
        data = json.dumps(body | {"rationale": "Chaos."}).encode()
        while True:
            status, answer = self.post(data, f"cycle-{number}")
            self.answers[str(status)] += 1
            if status in ACCEPTED:
                self.accepted[number] = answer["id"]
                self.moments.append(time.monotonic())
                return
            if status and status not in COME_BACK:
                self.answers[f"{status}: {str(answer)[:200]}"] += 1
                if status < 500:
                    return
            time.sleep(0.2)

    def post(self, data: bytes, key: str) -> tuple[int, Any]:
        """Status and body; 0 where no answer came; a 503 that says not when to come is a 500."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.site.port}/api/v1/proposals",
            data=data,
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "Idempotency-Key": key,
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=40) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 503 and not error.headers["Retry-After"]:
                    return 500, "a 503 without Retry-After"
                return error.code, error.read()[:300]
        except (OSError, http.client.HTTPException, ValueError):
            return 0, None


def moment() -> datetime:
    """Now, on the clock that the product's times come from."""
    now = clock.now()
    world.close()
    return now


def cycle(number: int) -> Cycle:
    return Cycle(number, "draft", Pass("plainly", "once", ()), None)


def make_clients(
    site: Site, *, seed: int, how_many: int, posts: int, pause: float = 0
) -> list[Client]:
    """Each an agent of its own with its share of the numbers."""
    world.ensure()
    share = posts // how_many
    made = [
        Client(
            world.make_agent(f"client-{seed}-{each}"),
            site,
            range(1 + each * share, 1 + (each + 1) * share),
            pause=pause,
        )
        for each in range(how_many)
    ]
    world.close()
    return made


def wait_for_rest(tally: Tally) -> None:
    """Until nothing is open any more, or nothing has moved for a while: that is found stuck."""
    began = moved = time.monotonic()
    least = how_many_open()
    while least and time.monotonic() - moved < REST_SECONDS:
        time.sleep(0.5)
        left = how_many_open()
        if left < least:
            least, moved = left, time.monotonic()
    tally.longest("until all was at rest", time.monotonic() - began)


def how_many_open() -> int:
    try:
        return Proposal.objects.open().count()
    except DatabaseError:  # a restart; ask again on a new connection
        connections.close_all()
        return sys.maxsize


def judge(clients: list[Client], tally: Tally) -> None:
    """What every agent was told, held against what there is."""
    for client in clients:
        tally.accepted += len(client.accepted)
        tally.answers.update(client.answers)
        stored = {str(pk) for pk in client.agent.proposals.values_list("pk", flat=True)}
        lost = set(client.accepted.values()) - stored
        tally.lost += len(lost)
        tally.faults += [f"{one} was accepted and is gone" for one in sorted(lost)]
        played = [Played(cycle(number), one) for number, one in client.accepted.items()]
        found = checker.check(client.agent, played)
        tally.faults += found.faults
        tally.double_effects += found.double_effects
        tally.committed += found.committed
    tally.faults += [f"an answer of {name}" for name in tally.answers if ":" in name]
    tally.faults += checker.check_everything()


def chance_of(part: str, seed: int) -> random.Random:
    return random.Random(f"{part}/{seed}")
