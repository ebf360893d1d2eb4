"""Runs everything the machine allows, and says in plain words what it could not run.

The whole suite runs on SQLite always, and on PostgreSQL, at the same time, where TEST_DATABASE_URL
is set or a local server answers; tests marked `once` come out the same there and run on SQLite
alone. With REQUIRE_ALL=1, leaving anything else out is a failure.
"""

import atexit
import getpass
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from functools import cache
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main() -> int:
    left_out: list[str] = []
    if not any(shutil.which(name) for name in BROWSERS):
        left_out.append("The browser tests: no Chromium is installed.")
    if importlib.util.find_spec("localstripe") is None:
        left_out.append("The tests against localstripe, a server of others: it is not installed.")
    # Side by side, and more than there are cores: many tests wait for processes of their own.
    several = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
    pytest = [sys.executable, "-m", "pytest", *several, *sys.argv[1:]]
    steps = [
        Step("format", [str(BIN / "ruff"), "format", "--check", "--quiet", "."]),
        Step("lint", [str(BIN / "ruff"), "check", "--quiet", "."]),
        Step("types", [str(BIN / "mypy")]),
        Step("tests on SQLite", pytest, {"TEST_DATABASE_URL": ""}),
    ]
    url = postgresql()
    if url:
        on_both = [*pytest, "--create-db", "-m", "not once"]
        steps.append(Step("tests on PostgreSQL", on_both, {"TEST_DATABASE_URL": url}))
    else:
        left_out.append(
            "PostgreSQL: TEST_DATABASE_URL is not set and no local server answers on port 5432."
        )
    for step in steps:
        step.start()
    for step in steps:
        step.wait()
    return report(steps, left_out)


class Step:
    """One command. All run side by side; what each says is shown in the order of the list."""

    def __init__(self, name: str, command: list[str], env: dict[str, str] | None = None) -> None:
        self.name, self.command, self.env = name, command, env or {}
        self.said = tempfile.TemporaryFile()  # noqa: SIM115 (gone with this process)
        self.passed, self.seconds = False, 0.0
        self.thread = threading.Thread(target=self.run)

    def start(self) -> None:
        self.thread.start()

    def run(self) -> None:
        began = time.monotonic()
        done = subprocess.run(
            self.command,
            cwd=ROOT,
            env=compiling_once() | self.env,
            stdout=self.said,
            stderr=subprocess.STDOUT,
            check=False,
        )
        self.passed, self.seconds = done.returncode == 0, time.monotonic() - began

    def wait(self) -> None:
        """Show what it says, from its beginning to its end, while it says it."""
        print(f"== {self.name}", flush=True)
        shown = 0
        while True:
            is_over = not self.thread.is_alive()
            text = os.pread(self.said.fileno(), 1 << 20, shown)
            shown += len(text)
            sys.stdout.buffer.write(text)
            sys.stdout.flush()
            if is_over and not text:
                return
            self.thread.join(0 if text else 0.5)


@cache
def compiling_once() -> dict[str, str]:
    """The environment, in which the many processes of a run share what Python compiles.

    Beside the tree and for this run alone, also where nothing is to be written into the tree.
    """
    folder = tempfile.mkdtemp(prefix="countersign-compiled-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return env | {"PYTHONPYCACHEPREFIX": folder}


def postgresql() -> str:
    """Where the tests may make databases, or nothing."""
    given = os.environ.get("TEST_DATABASE_URL", "")
    if given:
        return given
    for user in (getpass.getuser(), "postgres"):
        try:
            psycopg.connect(
                f"postgresql://{user}@127.0.0.1:5432/postgres", connect_timeout=2
            ).close()
        except psycopg.Error:
            continue
        return f"postgres://{user}@127.0.0.1:5432/countersign"
    return ""


def report(steps: list[Step], left_out: list[str]) -> int:
    print("\nWhat ran:")
    for step in steps:
        print(f"  {'passed' if step.passed else 'FAILED':7} {step.name} ({step.seconds:.0f} s)")
    print("What was left out:" if left_out else "Nothing was left out.")
    for reason in left_out:
        print(f"  {reason}")
    failed = sum(not step.passed for step in steps)
    if left_out and os.environ.get("REQUIRE_ALL") == "1":
        print("REQUIRE_ALL=1: what was left out counts as a failure.")
        failed += len(left_out)
    print(f"{len(steps) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
