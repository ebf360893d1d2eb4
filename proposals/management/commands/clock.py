"""The clock: a plain process that finds what no bell announced."""

import logging
import signal
import threading
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import close_old_connections, connections

from ledger import heartbeat, sealer
from proposals.dispatch import Sweep

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Ring for overdue rows, do what nobody answers for, expire what is past due, and seal."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="one pass, then stop")
        parser.add_argument("--interval", type=float, default=1.0, help="seconds between passes")

    def handle(self, *args: Any, **options: Any) -> None:
        sweep = Sweep()
        jobs = (sweep.run, beat, sealer.tick)
        if options["once"]:
            for job in jobs:
                job()
            return
        stop = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *received: stop.set())
        while not stop.wait(options["interval"]):
            close_old_connections()
            for job in jobs:
                attempt(job)


def beat() -> None:
    heartbeat.beat("clock")


def attempt(job: Callable[[], object]) -> None:
    """Do one part of a pass; whatever it does, the other parts get their turn, and it another."""
    try:
        job()
    except Exception:  # the clock outlives whatever it finds, a database restart included
        logger.exception("A pass of the clock failed; the next one starts over")
        connections.close_all()
