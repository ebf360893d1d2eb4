"""The clock: a plain process that finds what no bell announced."""

import logging
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import close_old_connections, connections

from proposals.dispatch import Sweep

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Ring for overdue rows, do the work where nobody answers, and expire what is past due."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="one pass, then stop")
        parser.add_argument("--interval", type=float, default=1.0, help="seconds between passes")

    def handle(self, *args: Any, **options: Any) -> None:
        sweep = Sweep()
        if options["once"]:
            sweep.run()
            return
        stop = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *received: stop.set())
        while not stop.wait(options["interval"]):
            close_old_connections()
            try:
                sweep.run()
            except Exception:  # the clock outlives whatever it finds, a database restart included
                logger.exception("A pass of the clock failed; the next one starts over")
                connections.close_all()
