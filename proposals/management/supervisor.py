"""Runs the product's processes as children, revives what dies, and stops them in order."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE_SECONDS = 12
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask Linux to end this child when the parent is gone, however it went."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def commands(port: int, *, has_redis: bool) -> dict[str, list[str]]:
    """The processes: the web server, the worker, and the clock."""
    python = sys.executable
    pool = ["--pool", "prefork", "--concurrency", "2"] if has_redis else ["--pool", "solo"]
    return {
        "web": [
            *[python, "-m", "gunicorn", "approvals_site.wsgi"],
            *["--bind", f"127.0.0.1:{port}", "--worker-class", "gthread"],
            *["--workers", "2" if has_redis else "1", "--threads", "16"],
            *["--timeout", "60", "--graceful-timeout", "10", "--keep-alive", "5"],
            "--no-control-socket",
        ],
        "worker": [
            *[python, "-m", "celery", "--app", "approvals_site", "worker", *pool],
            *["--loglevel", "WARNING", "--hostname", f"worker-{port}@%h"],
            *["--without-gossip", "--without-mingle", "--without-heartbeat"],
        ],
        "clock": [python, "manage.py", "clock"],
    }


@dataclass
class Supervisor:
    """The children by name. Their output goes to a file each, in `folder`."""

    folder: Path
    say: Callable[[str], object]
    children: dict[str, subprocess.Popen] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)

    def start(self, port: int, *, has_redis: bool) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lines = commands(port, has_redis=has_redis)
        for name in self.lines:
            self.launch(name)

    def launch(self, name: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.children[name] = subprocess.Popen(
                self.lines[name],
                cwd=Path(__file__).resolve().parents[2],
                env=os.environ | {"DJANGO_SETTINGS_MODULE": "approvals_site.settings"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Their own session: Ctrl-C reaches us alone, and we stop them in order.
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        self.started[name] = time.monotonic()

    def revive(self) -> None:
        """Start again what has ended, at most once a second each."""
        for name, child in self.children.items():
            if child.poll() is not None and time.monotonic() - self.started[name] > 1:
                self.say(f"The {name} ended with status {child.returncode}; starting it again.")
                self.launch(name)

    def web_has_ended(self) -> bool:
        return self.children["web"].poll() is not None

    def stop(self) -> None:
        """Ask all to finish what they do; after a while, insist."""
        for child in self.children.values():
            if child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + PATIENCE_SECONDS
        for child in self.children.values():
            try:
                child.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
