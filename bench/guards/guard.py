"""One safety check, and seeing whether a test notices that it is gone."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.run import postgresql

ROOT = Path(__file__).resolve().parent.parent.parent
LEFT_BEHIND = shutil.ignore_patterns(".git", ".venv", "var", "__pycache__", ".hypothesis", ".mypy*")
FAILED, HUNG = 1, -1  # without some checks a proposal goes round and round, and tests with it
PATIENCE_SECONDS = 240
MAKE_TABLES = ("migrations", "storage_guards", "apps.py")  # what runs while tables are made
ANY_TEST = "tests/proposals/test_durability.py"
POSTGRESQL = postgresql().replace("/countersign", "/countersign_guards")


@dataclass(frozen=True)
class Guard:
    """One safety check: the code that is it, what stands there without it, and who would notice."""

    name: str
    file: str
    code: str
    without: str
    tests: str
    on_postgresql: bool = False  # SQLite has one writer, which does what this lock is there for

    def is_noticed(self, folder: Path) -> bool:
        """Whether a test fails on a copy of the tree without this check, made in this folder.

        In the same folder, the copies of several checks share what Python compiled of them.
        """
        copy = folder / "tree"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(ROOT, copy, ignore=LEFT_BEHIND)
        path = copy / self.file
        text = path.read_text()
        if text.count(self.code) != 1:
            raise SystemExit(f"{self.name}: its code stands {text.count(self.code)} times there.")
        path.write_text(text.replace(self.code, self.without))
        tests = [name for name in self.tests.split() if (copy / name).exists()]
        is_of_tables = any(word in self.file for word in MAKE_TABLES)
        database = POSTGRESQL if self.on_postgresql else os.environ.get("TEST_DATABASE_URL", "")
        if self.on_postgresql and not database:
            raise SystemExit(f"{self.name}: it takes a PostgreSQL server, and none answers.")
        if not database and not is_of_tables:
            tests.append("--reuse-db")
            renew_tables(folder)
        done = run_tests(copy, folder, tests, database)
        verdict = "noticed" if done in {FAILED, HUNG} else f"NOT NOTICED (exit {done})"
        hung = " (the tests hung)" if done == HUNG else ""
        print(f"{verdict:12} {self.name}{hung}", flush=True)
        return done in {FAILED, HUNG}


def renew_tables(folder: Path) -> None:
    """Empty tables, made once and copied for each check: to make them takes longest."""
    made, used = folder / "made", folder / "data"
    if not made.exists():
        made.mkdir()
        if run_tests(ROOT, folder, [ANY_TEST, "--reuse-db"], "", data=made):
            raise SystemExit("The tests fail also with every check in its place.")
    shutil.rmtree(used, ignore_errors=True)
    shutil.copytree(made, used)


def run_tests(
    copy: Path, folder: Path, tests: list[str], database: str, data: Path | None = None
) -> int:
    """How pytest ended: 1 when a test failed; HUNG when it did not end in time."""
    own = {"PYTHONPYCACHEPREFIX": str(folder / "compiled"), "TEST_DATABASE_URL": database}
    if "--reuse-db" in tests:
        own["COUNTERSIGN_TEST_DATA"] = str(data or folder / "data")
    try:
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", *tests],
            cwd=copy,
            env=os.environ | own,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=PATIENCE_SECONDS,
        ).returncode
    except subprocess.TimeoutExpired:
        return HUNG
