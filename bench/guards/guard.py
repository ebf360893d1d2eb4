"""One safety check, and seeing whether a test notices that it is gone."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.run import postgresql

ROOT = Path(__file__).resolve().parent.parent.parent
LEFT_BEHIND = shutil.ignore_patterns(".git", ".venv", "var", "__pycache__", ".hypothesis", ".mypy*")
FAILED = 1
PATIENCE_SECONDS = 240  # without some checks a proposal goes round and round, and tests with it
MAKE_TABLES = ("migrations", "storage_guards", "apps.py")  # what runs while tables are made
ANY_TEST = "tests/proposals/test_durability.py"
WHO_FAILED = re.compile(r"^(?:FAILED|ERROR|SUBFAILED.*?) (tests/.*?)(?: - .*)?$", re.MULTILINE)


@dataclass(frozen=True)
class Guard:
    """One safety check: the code that is it, what stands there without it, and who would notice."""

    name: str
    file: str
    code: str
    without: str
    tests: str
    on_postgresql: bool = False  # SQLite has one writer, which does what this lock is there for

    @property
    def is_of_tables(self) -> bool:
        return any(word in self.file for word in MAKE_TABLES)

    def leave_out_of(self, copy: Path) -> None:
        path = copy / self.file
        text = path.read_text()
        if text.count(self.code) != 1:
            raise SystemExit(f"{self.name}: its code stands {text.count(self.code)} times there.")
        path.write_text(text.replace(self.code, self.without))


@dataclass(frozen=True)
class Removal:
    """What became of the tests without a check.

    `seen_by` are the tests that failed. When tests hung, nobody knows which: it is all of them.
    """

    guard: Guard
    seen_by: list[str]
    is_hung: bool = False

    def __str__(self) -> str:
        verdict = "noticed" if self.seen_by else "NOT NOTICED"
        return f"{verdict:12} {self.guard.name}{' (the tests hung)' * self.is_hung}"


@dataclass(frozen=True)
class Lane:
    """A place where one check after the other is removed, from a copy of the tree.

    Of one lane, the copies share what Python compiled of them, and tables that are made once.
    """

    folder: Path
    url: str = field(default_factory=postgresql)

    def removal(self, guard: Guard) -> Removal:
        """Run the tests that a check names without it; they end at the first that fails."""
        copy = self.folder / "tree"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(ROOT, copy, ignore=LEFT_BEHIND)
        guard.leave_out_of(copy)
        tests = [name for name in guard.tests.split() if (copy / name).exists()]
        database = self.url if guard.on_postgresql else os.environ.get("TEST_DATABASE_URL", "")
        if guard.on_postgresql and not database:
            raise SystemExit(f"{guard.name}: it takes a PostgreSQL server, and none answers.")
        with_tables = not database and not guard.is_of_tables
        if with_tables:
            self.renew_tables()
        try:
            done = self.run(copy, [*tests, *["--reuse-db"] * with_tables], database)
        except subprocess.TimeoutExpired:
            return Removal(guard, tests, is_hung=True)
        failed = WHO_FAILED.findall(done.stdout) if done.returncode == FAILED else []
        return Removal(guard, failed)

    def fails_with_all(self, tests: list[str], database: str) -> list[str]:
        """Those of these tests that fail also with every check in its place."""
        done = self.run(ROOT, tests, database, stop_early=False)
        failed = WHO_FAILED.findall(done.stdout)
        if done.returncode and not failed:
            raise SystemExit(done.stdout[-2000:])
        return failed

    def renew_tables(self) -> None:
        """Empty tables, made once and copied for each check: to make them takes longest."""
        made, used = self.folder / "made", self.folder / "data"
        if not made.exists():
            made.mkdir()
            done = self.run(ROOT, [ANY_TEST, "--reuse-db"], "", data=made)
            if done.returncode:
                raise SystemExit("The tests fail also with every check in its place.")
        shutil.rmtree(used, ignore_errors=True)
        shutil.copytree(made, used)

    def run(
        self,
        tree: Path,
        tests: list[str],
        database: str,
        *,
        stop_early: bool = True,
        data: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run tests of a tree.

        Raises TimeoutExpired when they go on for longer than `PATIENCE_SECONDS`, where the first
        failure ends them.
        """
        url = database and database.replace("/countersign", f"/countersign_{self.folder.name}")
        own = {"PYTHONPYCACHEPREFIX": str(self.folder / "compiled"), "TEST_DATABASE_URL": url}
        if "--reuse-db" in tests:
            own["COUNTERSIGN_TEST_DATA"] = str(data or self.folder / "data")
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-rfE", *["-x"] * stop_early, *tests],
            cwd=tree,
            env=os.environ | own,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS if stop_early else None,
        )
