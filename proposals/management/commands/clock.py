"""The clock: a plain process that finds what no bell announced."""

import logging
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import close_old_connections, connections

from budgets import refusals
from ledger import clock, counting, days, heartbeat, sealer
from ledger.patrol import Patrol
from proposals import bell, leadership, services
from proposals.dispatch import Sweep
from proposals.hand import Hand
from proposals.notices.finder import Finder

logger = logging.getLogger(__name__)
PRUNE_SECONDS = HINDRANCE_SECONDS = 60
HEARD_BELLS_SECONDS, UNHEARD_BELLS_SECONDS = 60, 3600


class Command(BaseCommand):
    help = "Ring for overdue rows, do what nobody answers for, expire what is past due, and seal."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="one pass, then stop")
        parser.add_argument("--interval", type=float, default=1.0, help="seconds between passes")

    def handle(self, *args: Any, **options: Any) -> None:
        hand = Hand()
        sweep = Sweep() if options["once"] else Sweep(hand.take)
        jobs = (
            *(sweep.run, beat, sealer.tick, Pruning().run, Tidying().run, Finder().run),
            *(days.tick, Patrol().run, counting.tick),
        )
        if options["once"]:
            for job in jobs:
                job()
            return
        stop = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *received: stop.set())
        lead, leads, understudy = leadership.stand(), None, Understudy()
        while not stop.wait(options["interval"]):
            close_old_connections()
            led, leads = leads, lead.is_ours()
            if led != leads:
                logger.warning("This clock %s now", "leads" if leads else "stands by")
            for job in jobs if leads else (understudy.run,):
                attempt(job)
        attempt(hand.stop)


def beat() -> None:
    heartbeat.beat("clock")


def attempt(job: Callable[[], object]) -> None:
    """Do one part of a pass; whatever it does, the other parts get their turn, and it another."""
    try:
        job()
    except Exception:  # the clock outlives whatever it finds, a database restart included
        logger.exception("A pass of the clock failed; the next one starts over")
        connections.close_all()


class Understudy:
    """While this clock stands by: what would keep it from sealing is said once, and in time.

    Its machine may lack the sealing key, and nobody else would notice before it leads.
    """

    def __init__(self) -> None:
        self.next, self.said = 0.0, ""

    def run(self) -> None:
        if time.monotonic() < self.next:
            return
        self.next = time.monotonic() + HINDRANCE_SECONDS
        problem = sealer.hindrance()
        if problem and problem != self.said:
            logger.warning("If this clock had to lead, it could not seal: %s", problem)
        self.said = problem


class Pruning:
    """Once a minute, removes the broker's old messages, which nobody else does."""

    def __init__(self) -> None:
        self.next = 0.0

    def run(self) -> None:
        if time.monotonic() < self.next:
            return
        self.next = time.monotonic() + PRUNE_SECONDS
        if settings.REDIS_URL:
            bell.forget_oldest()
            return
        prune(settings.BROKER_DIR / "processed", HEARD_BELLS_SECONDS)
        prune(settings.BROKER_DIR / "queue", UNHEARD_BELLS_SECONDS)


class Tidying:
    """Once a minute, removes rows that are of no use to anybody any more."""

    def __init__(self) -> None:
        self.next = 0.0

    def run(self) -> None:
        if time.monotonic() < self.next:
            return
        self.next = time.monotonic() + PRUNE_SECONDS
        now = clock.now()
        services.prune_lists(now=now)
        services.prune_review_claims(now=now)
        refusals.prune(now=now)
        services.prune_sessions(now=now)


def prune(folder: Path, seconds: float) -> None:
    """Remove the files that have lain there for longer than this."""
    before = time.time() - seconds
    for path in folder.iterdir():
        try:
            if path.stat().st_ctime < before:  # of the move, not of the message
                path.unlink()
        except FileNotFoundError:
            continue
