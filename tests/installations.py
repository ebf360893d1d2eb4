"""Whole installations as an operator has them: `manage.py start` in a process group of its own."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import redis

from tests.processes import ROOT, Process, eventually

REDIS = "redis://127.0.0.1:6379/15"
UP = "Ctrl-C stops everything."
# Of the machine and not of the product: how long a busy one may take for what needs seconds.
START_SECONDS, STOP_SECONDS = 120, 30


def redis_answers() -> bool:
    """Whether this machine has the Redis that tests of the production shape use."""
    try:
        return redis.Redis.from_url(REDIS, socket_connect_timeout=1).ping()
    except redis.RedisError:
        return False


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Installation:
    """One data folder and port, started as `make run` starts it; its words are kept."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder, self.port = folder, free_port()
        self.said = folder.with_suffix(".out")
        kept = {
            name: value
            for name, value in os.environ.items()
            if name
            not in {
                "DATABASE_URL",
                "SHOP_DATABASE_URL",
                "REDIS_URL",
                "EMAIL_URL",
                "PYTEST_CURRENT_TEST",
            }
        }
        self.environment = kept | {
            "COUNTERSIGN_DATA": str(folder),
            "PORT": str(self.port),
            "PYTHONUNBUFFERED": "1",
            **environment,
        }

    @property
    def words(self) -> str:
        return self.said.read_text()

    def manage(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )

    def start(self) -> "Installation":
        with self.said.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "start"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        eventually(
            lambda: UP in self.words or self.process.poll() is not None,
            within=START_SECONDS,
            what="the greeting",
        )
        assert UP in self.words, self.words
        return self

    def interrupt(self) -> int:
        """Ctrl-C: the terminal sends SIGINT to the whole group. Returns the exit status."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(timeout=STOP_SECONDS)

    def processes(self, named: str = "") -> list[int]:
        """Every living process, of whatever parent, that was started on this data folder."""
        ours = f"COUNTERSIGN_DATA={self.folder}\0".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                words = path.with_name("cmdline").read_bytes()
                if ours in path.read_bytes() + b"\0" and named.encode() in words:
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return found

    def put_down(self) -> None:
        """After a test, whatever happened in it."""
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not self.processes(), what="the end of the installation")


class OnRedis(Process):
    """A child as it runs where there is a Redis: several web and worker processes."""

    def __init__(self, *arguments: Any, web_processes: int = 2) -> None:
        super().__init__(*arguments)
        self.web_processes = web_processes

    def start(self) -> "OnRedis":
        from proposals.management.supervisor import commands

        with self.log.open("ab") as out:
            self.child = subprocess.Popen(
                commands(0, has_redis=True, web_processes=self.web_processes)[self.name],
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        return self

    def address(self) -> str:
        """Where the web server listens; it chose its port itself."""
        said = eventually(
            lambda: re.search(r"Listening at: (http://\S+)", self.log.read_text()),
            within=START_SECONDS,
            what="the web server",
        )
        return said[1]
