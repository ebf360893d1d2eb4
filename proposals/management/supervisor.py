"""Runs the product's processes as children, revives what dies, and stops them in order."""

import ctypes
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

PATIENCE_SECONDS = 12
LOG_BYTES = 5 * 1024 * 1024
LOG_LOOK_SECONDS = 30
PR_SET_PDEATHSIG = 1


class CannotStart(Exception):
    """Why this installation cannot be started here and now, as a sentence for the terminal."""


def die_with_parent() -> None:
    """Ask Linux to end this child when the parent is gone, however it went."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def commands(
    port: int, *, has_redis: bool, web_processes: int = 2, worker_processes: int = 2
) -> dict[str, list[str]]:
    """The processes: the web server, the worker, and the clock.

    Where there are several of a kind, each begins anew once in a long while, should anything that
    it holds only ever grow; where there is one, everybody would wait for it.
    """
    python = sys.executable
    renewed = ["--max-requests", "100000", "--max-requests-jitter", "20000"]
    prefork = ["--pool", "prefork", "--concurrency", str(worker_processes)]
    return {
        "web": [
            *[python, "-m", "gunicorn", "approvals_site.wsgi"],
            *["--bind", f"127.0.0.1:{port}", "--worker-class", "gthread"],
            *["--workers", str(web_processes) if has_redis else "1", "--threads", "16"],
            *["--timeout", "60", "--graceful-timeout", "10", "--keep-alive", "5"],
            *["--no-control-socket", *(renewed if has_redis else [])],
        ],
        "worker": [
            *[python, "-m", "celery", "--app", "approvals_site", "worker"],
            *(prefork if has_redis else ["--pool", "solo"]),
            *["--loglevel", "WARNING", "--hostname", f"worker-{port}@%h"],
            *["--without-gossip", "--without-mingle", "--without-heartbeat"],
        ],
        "clock": [python, "manage.py", "clock"],
    }


def outside_commands(folder: Path, ports: Any) -> dict[str, list[str]]:
    """The demonstration's payment provider and mail server, which stand for other people's."""
    module = [sys.executable, "-m"]
    where = ["--folder", str(folder), "--port"]
    return {
        "provider": [*module, "proposals.demonstration.provider", *where, str(ports.provider)],
        "mailbox": [
            *[*module, "proposals.demonstration.mailbox", *where, str(ports.smtp)],
            *["--page-port", str(ports.mailbox)],
        ],
    }


def lock_folder(folder: Path) -> IO[str]:
    """Hold this data folder for as long as this process lives, or raise CannotStart."""
    file = (folder / "start.lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        raise CannotStart(
            f"Countersign is already running on {folder} (process {holder}). Stop it first, or "
            "give this one a folder of its own with COUNTERSIGN_DATA."
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def require_port(address: str, port: int) -> None:
    """Raise CannotStart if nothing can listen there."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or "there is no such port"
            raise CannotStart(
                f"Port {port} cannot be used: {why}. Choose another, as in: PORT=8001 make run"
            ) from None


@dataclass
class Supervisor:
    """The children by name. Their output goes to a file each, in `folder`.

    Those in `outlasting` are what others still write to while they stop, so they stop last.
    """

    folder: Path
    say: Callable[[str], object]
    outlasting: frozenset[str] = frozenset()
    children: dict[str, subprocess.Popen] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    logs_seen: float = 0.0

    def start(self, lines: dict[str, list[str]]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lines = lines
        self.trim_logs()
        for name in self.lines:
            self.launch(name)

    def launch(self, name: str) -> None:
        with self.log(name).open("ab") as log:
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
                self.gone.add(child.pid)
                self.launch(name)
        if time.monotonic() - self.logs_seen > LOG_LOOK_SECONDS:
            self.trim_logs()

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def trim_logs(self) -> None:
        """Keep the last full log of each child beside the current one, and nothing older."""
        self.logs_seen = time.monotonic()
        for log in map(self.log, self.lines):
            if log.exists() and log.stat().st_size > LOG_BYTES:
                # Copied and cut, not renamed: the child goes on appending to the file it has.
                shutil.copyfile(log, log.with_suffix(".log.1"))
                os.truncate(log, 0)

    def web_has_ended(self) -> bool:
        return self.children["web"].poll() is not None

    def take_gone(self) -> set[int]:
        """The processes that have ended since this was asked before."""
        gone, self.gone = self.gone, set()
        return gone

    def stop(self) -> None:
        """Ask all to finish what they do; after a while, insist."""
        first = [name for name in self.children if name not in self.outlasting]
        for names in (first, [name for name in self.children if name in self.outlasting]):
            self.end([self.children[name] for name in names])

    def end(self, children: list[subprocess.Popen]) -> None:
        for child in children:
            if child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + PATIENCE_SECONDS
        for child in children:
            try:
                child.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            self.gone.add(child.pid)
