"""Runs everything the machine allows, and says in plain words what it could not run.

The whole suite runs on SQLite always, and on PostgreSQL where TEST_DATABASE_URL is set or a local
server answers; tests marked `once` come out the same there and run on SQLite alone. With
REQUIRE_ALL=1, leaving anything else out is a failure.
"""

import getpass
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main() -> int:
    left_out: list[str] = []
    results: list[tuple[str, bool, float]] = []

    def run(name: str, command: list[str], **environment: str) -> None:
        print(f"== {name}", flush=True)
        started = time.monotonic()
        done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=False)
        results.append((name, done.returncode == 0, time.monotonic() - started))

    run("format", [str(BIN / "ruff"), "format", "--check", "--quiet", "."])
    run("lint", [str(BIN / "ruff"), "check", "--quiet", "."])
    run("types", [str(BIN / "mypy")])
    if not any(shutil.which(name) for name in BROWSERS):
        left_out.append("The browser tests: no Chromium is installed.")
    if importlib.util.find_spec("localstripe") is None:
        left_out.append("The tests against localstripe, a server of others: it is not installed.")
    # More than there are cores: many tests wait for processes and browsers of their own.
    several = ["-n", "3", "--dist", "loadfile", "--no-loadscope-reorder"]
    pytest = [sys.executable, "-m", "pytest", *several, *sys.argv[1:]]
    run("tests on SQLite", pytest, TEST_DATABASE_URL="")
    url = postgresql()
    if url:
        run(
            "tests on PostgreSQL", [*pytest, "--create-db", "-m", "not once"], TEST_DATABASE_URL=url
        )
    else:
        left_out.append(
            "PostgreSQL: TEST_DATABASE_URL is not set and no local server answers on port 5432."
        )
    return report(results, left_out)


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


def report(results: list[tuple[str, bool, float]], left_out: list[str]) -> int:
    print("\nWhat ran:")
    for name, passed, seconds in results:
        print(f"  {'passed' if passed else 'FAILED':7} {name} ({seconds:.0f} s)")
    print("What was left out:" if left_out else "Nothing was left out.")
    for reason in left_out:
        print(f"  {reason}")
    failed = sum(not passed for _, passed, _ in results)
    if left_out and os.environ.get("REQUIRE_ALL") == "1":
        print("REQUIRE_ALL=1: what was left out counts as a failure.")
        failed += len(left_out)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
