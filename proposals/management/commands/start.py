"""Starts the whole product on one machine: web server, worker and clock, together."""

import logging
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, close_old_connections

from proposals import attempts, defaults, people, setup_code
from proposals.management import databases
from proposals.management.supervisor import (
    CannotStart,
    Supervisor,
    commands,
    lock_folder,
    outside_commands,
    require_port,
)

logger = logging.getLogger(__name__)
ADDRESS = "127.0.0.1"


class Command(BaseCommand):
    help = "Prepare the databases, then run web server, worker and clock until Ctrl-C."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with lock_folder(settings.DATA_DIR):
                require_port(ADDRESS, settings.PORT)
                require_outside_ports()
                self.prepare()
                self.run_until_stopped()
        except CannotStart as reason:
            raise CommandError(str(reason)) from None
        except KeyboardInterrupt:
            raise CommandError("Stopped before it was up.") from None

    def run_until_stopped(self) -> None:
        outside = outside_commands(settings.DATA_DIR, settings.DEMO_PORTS) if settings.DEMO else {}
        supervisor = Supervisor(
            folder=settings.DATA_DIR / "logs",
            say=lambda line: self.stdout.write(line),
            outlasting=frozenset(outside),
        )
        stop = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(name, lambda *received: stop.set())
        try:
            supervisor.start(
                outside
                | commands(
                    settings.PORT,
                    has_redis=bool(settings.REDIS_URL),
                    web_processes=settings.WEB_PROCESSES,
                    worker_processes=settings.WORKER_PROCESSES,
                )
            )
            self.wait_for_web(supervisor, stop)
            if not stop.is_set():
                self.greet()
            while not stop.wait(0.5):
                supervisor.revive()
                hand_back_for(supervisor)
        finally:
            self.stdout.write("\nStopping; what is under way is finished first.")
            supervisor.stop()
            hand_back_for(supervisor)
            self.stdout.write("Stopped. Nothing is lost; `make run` goes on from here.")

    def prepare(self) -> None:
        """Bring the database up to date and make what every installation starts with."""
        databases.require_own()
        call_command("migrate", verbosity=0, interactive=False)
        call_command("check", databases=["default"])
        defaults.ensure()
        defaults.ensure_budgets()
        if settings.DEMO:
            prepare_demonstration()

    def wait_for_web(self, supervisor: Supervisor, stop: threading.Event) -> None:
        deadline = time.monotonic() + 60
        while not stop.is_set():
            try:
                with urllib.request.urlopen(self.url("/healthz"), timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                if supervisor.web_has_ended():
                    log = supervisor.folder / "web.log"
                    raise CommandError(
                        f"The web server did not start; is port {settings.PORT} taken? See {log}."
                    ) from None
                if time.monotonic() > deadline:
                    raise CommandError("The web server did not answer within a minute.") from None
            stop.wait(0.1)

    def url(self, path: str = "/") -> str:
        return f"http://{ADDRESS}:{settings.PORT}{path}"

    def greet(self) -> None:
        """Say where it is and how to get in."""
        self.stdout.write(f"\nCountersign is at {self.url()}")
        self.stdout.write(f"Data and logs are in {settings.DATA_DIR}")
        if settings.DEMO:
            self.greet_demonstration()
        if not people.has_administrator():
            self.greet_the_first()
        else:
            setup_code.forget()
        self.stdout.write("Ctrl-C stops everything.\n")

    def greet_the_first(self) -> None:
        """Only whoever reads this terminal can make the first administrator."""
        self.stdout.write(
            "There is no administrator yet. Make the first one in the browser:\n"
            f"  {self.url('/setup/')}\n"
            f"  one-time code: {setup_code.issue()}\n"
            "or in another terminal, with the same environment:\n"
            "  .venv/bin/python manage.py first_administrator NAME"
        )

    def greet_demonstration(self) -> None:
        from proposals.demonstration import agent, people

        token = people.token_file().read_text().strip()
        answers = agent.post_all(self.url().rstrip("/"), token)
        new = sum(status == 201 for _, status, _ in answers)
        self.stdout.write(f"The demonstration agent proposed {new} writes just now.\n")
        self.stdout.write("Sign in as one of:\n" + people.sign_ins().read_text())
        if outside := settings.DEMO_PORTS:
            self.stdout.write(
                "What leaves Countersign arrives at outside systems of the demonstration's own:\n"
                f"  payment provider  {outside.provider_url}/\n"
                f"  mail              {outside.mailbox_url}/\n"
            )
        self.stdout.write(
            "Propose a write yourself, as the agent would:\n" + curl(self.url(), token)
        )


def require_outside_ports() -> None:
    """Where somebody else took a port of the demonstration since, choose others and begin anew.

    Settings are read once for each process, so this one starts over with those just chosen.
    """
    if settings.DEMO_PORTS and not settings.DEMO_PORTS.are_free():
        from proposals.demonstration import ports

        ports.choose(settings.DATA_DIR)
        os.execv(sys.executable, sys.orig_argv)


def prepare_demonstration() -> None:
    from proposals.demonstration import menu, payments, people, shop

    databases.ensure_shop(shop.ALIAS)
    shop.ensure()
    payments.ensure()
    people.ensure()
    menu.ensure()


def hand_back_for(supervisor: Supervisor) -> None:
    """Whatever ended without time to finish: what it had only claimed is queued again at once."""
    for pid in supervisor.take_gone():
        close_old_connections()
        try:
            attempts.hand_back(attempts.worker_name(pid))
        except DatabaseError:  # then its claims wait for the end of their leases
            logger.warning("Claims of process %s could not be handed back", pid, exc_info=True)


def curl(url: str, token: str) -> str:
    """A line that works when it is pasted."""
    return (
        f"curl -sS {url}api/v1/proposals -H 'Authorization: Bearer {token}' \\\n"
        "  -H 'Content-Type: application/json' -H 'Prefer: wait=10' \\\n"
        '  -H "Idempotency-Key: hello-$(date +%s)" \\\n'
        '  -d \'{"action": "records.update", "run": "hello", "rationale": "Trying it out.",\n'
        '       "params": {"table": "shop.orders", "key": "42", '
        '"set": {"note": "Ring twice, please."}}}\'\n'
    )
