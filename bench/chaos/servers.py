"""A PostgreSQL and a Redis of the harness's own, to be stopped at will; never the machine's."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import redis

from proposals.management.supervisor import die_with_parent

START_SECONDS = 60


class Missing(Exception):
    """What a part needs and this machine does not have, as a sentence."""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(question: Callable[[], bool], *, what: str, seconds: float = START_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not question():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come within {seconds:.0f} seconds")
        time.sleep(0.05)


class Cluster:
    """A PostgreSQL cluster in a folder, with the settings that it comes with."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.data = folder / "data"
        self.child: subprocess.Popen | None = None
        # The server refuses to run as root; then it runs as the account that was made for it.
        self.user = "postgres" if os.geteuid() == 0 else None

    @staticmethod
    def tool(name: str) -> str:
        newest = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
        found = shutil.which(name) or (str(newest[-1]) if newest else "")
        if not found:
            raise Missing("No PostgreSQL server is installed.")
        return found

    def make(self) -> "Cluster":
        self.folder.mkdir(mode=0o755)
        if self.user:
            shutil.chown(self.folder, self.user)
        subprocess.run(
            [
                *[self.tool("initdb"), "-D", str(self.data)],
                *["-A", "trust", "-U", "chaos", "-E", "UTF8", "--no-locale"],
            ],
            user=self.user,
            cwd="/",
            stdout=subprocess.DEVNULL,
            check=True,
        )
        self.start()
        return self

    def start(self) -> None:
        self.child = subprocess.Popen(
            [
                *[self.tool("postgres"), "-D", str(self.data), "-k", str(self.folder)],
                *["-h", "127.0.0.1", "-p", str(self.port), "-c", "max_connections=200"],
            ],
            user=self.user,
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )
        wait_for(self.answers, what="PostgreSQL")

    def answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, mode: str = "immediate") -> None:
        """`fast` breaks all connections and shuts down; `immediate` just dies, like a machine."""
        if self.child and self.child.poll() is None:
            self.child.send_signal({"fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode])
            self.child.wait()

    def new_database(self, name: str) -> str:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def url(self, name: str) -> str:
        return f"postgres://chaos@127.0.0.1:{self.port}/{name}"


class RedisServer:
    """A Redis that keeps nothing: what was in it when it stopped is gone."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.child: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> "RedisServer":
        if not shutil.which("redis-server"):
            raise Missing("No Redis server is installed.")
        self.child = subprocess.Popen(
            [
                *["redis-server", "--port", str(self.port), "--bind", "127.0.0.1"],
                *["--save", "", "--appendonly", "no", "--dir", str(self.folder)],
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )
        wait_for(self.answers, what="Redis")
        return self

    def answers(self) -> bool:
        try:
            with redis.Redis(port=self.port) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def flush(self) -> None:
        with redis.Redis(port=self.port) as client:
            client.flushall()

    def stop(self) -> None:
        if self.child and self.child.poll() is None:
            self.child.send_signal(signal.SIGKILL)
            self.child.wait()
