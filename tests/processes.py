"""Real worker and clock processes on the databases of the running test."""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

from proposals.management.supervisor import commands

ROOT = Path(__file__).resolve().parent.parent


def database_url() -> str:
    """The test database that this process is on, as a child's environment names it."""
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    part = connection.settings_dict
    password = f":{part['PASSWORD']}" if part["PASSWORD"] else ""
    return f"postgres://{part['USER']}{password}@{part['HOST']}:{part['PORT']}/{name}"


def environment(shop_url: str, **more: str) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
        "DATABASE_URL": database_url(),
        "SHOP_DATABASE_URL": shop_url,
        "COUNTERSIGN_DATA": str(settings.DATA_DIR),
        "DJANGO_SETTINGS_MODULE": "approvals_site.settings",
        "LOG_LEVEL": "WARNING",
        **more,
    }


class Process:
    """One child. `kill` is SIGKILL: no clean-up, no farewell."""

    def __init__(self, name: str, env: dict[str, str], log: Path) -> None:
        self.name, self.env, self.log = name, env, log
        self.child: subprocess.Popen | None = None

    def start(self) -> "Process":
        with self.log.open("ab") as out:
            self.child = subprocess.Popen(
                commands(0, has_redis=False)[self.name],
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        return self

    def kill(self) -> None:
        if self.child and self.child.poll() is None:
            self.child.send_signal(signal.SIGKILL)
            self.child.wait()

    def stop(self) -> None:
        if self.child and self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.kill()


@contextmanager
def running(*names: str, shop_url: str, folder: Path, **more: str):
    """These processes, from before the block to after it."""
    env = environment(shop_url, **more)
    processes = [Process(name, env, folder / f"{name}.log").start() for name in names]
    try:
        yield processes
    finally:
        for process in processes:
            process.stop()


def eventually(question: Callable[[], Any], *, within: float = 20, what: str = "it") -> Any:
    """The first true answer. Asks again until the time is up: never a sleep for luck."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if answer := question():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {within} seconds")


class AgentClient:
    """An agent over real HTTP."""

    def __init__(self, base_url: str, token: str) -> None:
        self.base_url, self.token = base_url, token

    def send(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, dict[str, Any], Any]:
        """Status, body and headers; problems are answers too."""
        request = urllib.request.Request(
            f"{self.base_url}/api/v1{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=40) as response:
                return response.status, json.load(response), response.headers
        except urllib.error.HTTPError as error:
            return error.code, json.load(error), error.headers

    def propose(self, key: str, action: str, params: dict[str, Any], wait: int = 0, **more: Any):
        body = {"action": action, "params": params, "run": "test-run", "rationale": "Because."}
        headers = {"Idempotency_Key": key} | ({"Prefer": f"wait={wait}"} if wait else {})
        return self.send("POST", "/proposals", body | more, **headers)

    def get(self, proposal_id: str) -> dict[str, Any]:
        return self.send("GET", f"/proposals/{proposal_id}")[1]
