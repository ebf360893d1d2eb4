"""Looks, after every test, for each secret that the product held in it, wherever it may have gone.

A secret is learnt at the product's own door, whichever test made it (`tests/leak_doors.py`), and
looked for in every table, answer, log line, mail and output of that test, in the clear and as JSON,
HTML, URL or base64 would spell it. A find fails the test and names the place, never the secret.
Where a secret is meant to be seen, MEANT says so and why. The last line of a run is the sum.
"""

import base64
import html
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus

import pytest
from django.conf import settings
from django.db import Error, connections

SHORTEST = 8
ORDINARY = re.compile(r"[a-z]+([ -][a-z]+)*|\d+")
HIDDEN = "[a secret]"


class Meant(NamedTuple):
    """A place where one kind of secret is to be seen; both are regular expressions."""

    secret: str
    place: str
    reason: str


MEANT = (
    Meant("agent's token", r"page POST agents/.*/tokens/(issue|rotate)/", "a new one, this once"),
    Meant("agent's token", r"output of issue_agent_token", "it is asked for there"),
    Meant("operator's token", r"output of issue_operator_token", "it is asked for there"),
    Meant("secret of webhook", r"page POST notifications/webhooks/new/", "a new one, this once"),
    Meant("invitation", r"page POST people/invite/", "a new one, this once"),
    Meant("invitation", r"mail", "it is for whoever is invited"),
    Meant("new-password link", r"page POST people/.*/new-password/", "a new one, this once"),
    Meant("new-password link", r"mail", "it is for whoever forgot the old one"),
    Meant("new-password link", r"table django_session.session_data", "while its form is open"),
    Meant("set-up code", r"output of start", "whoever reads the terminal may set up"),
    Meant("set-up code", r"page POST setup/", "back to who typed it, with what else was wrong"),
    Meant("demonstration's token", r"words of an installation", "in a line to try, as its agent"),
    Meant("demonstration's password", r"words of an installation", "how to sign in"),
    Meant("second factor", r"page (GET|POST) account/authenticator/", "a new one, to be scanned"),
)


class Place(NamedTuple):
    name: str
    text: str


def why_not(value: str) -> str:
    """Why a value is not looked for; nothing for one that is."""
    if len(value) < SHORTEST:
        return f"shorter than {SHORTEST} characters"
    if ORDINARY.fullmatch(value):
        return "ordinary words or a number, which stand elsewhere for reasons of their own"
    return ""


@cache
def spellings(value: str) -> frozenset[str]:
    """The value as it may come back from texts of different kinds."""
    raw = value.encode()
    found = {value, json.dumps(value)[1:-1], repr(value)[1:-1], html.escape(value)}
    found |= {quote(value), quote(value, safe=""), quote_plus(value)}
    for before, unstable in ((0, 0), (1, 2), (2, 3)):  # where in a longer text it begins
        whole = (before + len(raw)) // 3 * 4
        coded = base64.b64encode(b" " * before + raw).decode()[unstable:whole]
        found |= {coded, coded.translate(str.maketrans("+/", "-_"))}
    return frozenset(found)


def hide(text: str, values: Iterable[str]) -> str:
    for spelling in sorted({each for one in values for each in spellings(one)}, key=len)[::-1]:
        text = text.replace(spelling, HIDDEN)
    return text


@dataclass
class Watch:
    """What one test learnt, and what it said where."""

    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    ignored: dict[str, str] = field(default_factory=dict, repr=False)
    heard: list[Place] = field(default_factory=list, repr=False)
    files: set[Path] = field(default_factory=set)
    searched: int = 0

    def learn(self, kind: str, value: Any) -> None:
        """Look for this value. What its own door says of it goes before a general word."""
        value = str(value or "")
        if not value:
            return
        reason = why_not(value)
        if reason:
            self.ignored[value] = reason
        elif self.secrets.get(value, "hidden text") == "hidden text":
            self.secrets[value] = kind

    def hear(self, name: str, text: str | bytes) -> None:
        if text:
            said = text if isinstance(text, str) else text.decode(errors="replace")
            self.heard.append(Place(name, said))

    def learnt(self) -> dict[str, str]:
        """The secrets themselves, without those that are another one in another spelling."""
        again = {each for one in self.secrets for each in spellings(one) if each != one}
        return {value: kind for value, kind in self.secrets.items() if value not in again}

    def leaks(self) -> list[str]:
        """Every place of this test that holds a secret and is not meant to."""
        if not self.secrets:
            return []
        for path in self.files:
            if path.exists():
                self.hear(f"file {path.name}", path.read_bytes())
        return self.among([*self.heard, *stored()])

    def among(self, places: list[Place]) -> list[str]:
        """The same among these places alone."""
        self.searched = len(places)
        everything = "\0".join(place.text for place in places)
        found = {}
        for value, kind in self.secrets.items():
            near = [one for one in spellings(value) if one in everything]
            for name, text in places if near else ():
                if any(one in text for one in near) and not is_meant(kind, name):
                    found[f"{kind} in {hide(name, self.secrets)}"] = None
        return list(found)


def is_meant(kind: str, place: str) -> bool:
    return any(one.secret == kind and re.fullmatch(one.place, place) for one in MEANT)


def stored() -> Iterator[Place]:
    """Every column of text, JSON or bytes of every table that holds rows, one place each."""
    from tests import emptying

    connection = connections["default"]
    doomed, connection.needs_rollback = connection.needs_rollback, False
    try:
        for table in emptying.filled(connection):
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
                names = [column[0] for column in cursor.description]
                columns = zip(*cursor.fetchall(), strict=True)
            for name, values in zip(names, columns, strict=True):
                text = "\0".join(filter(None, map(readable, values)))
                if text:
                    yield Place(f"table {table}.{name}", text + opened(name, values))
    except Error:
        figures.unread += 1
    except RuntimeError as refusal:  # pytest-django's, where a test asked for no database
        if "Database access not allowed" not in str(refusal):
            raise
    finally:
        if doomed:
            connection.needs_rollback = True


def readable(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode(errors="replace")
    return json.dumps(value, default=str) if isinstance(value, list | dict) else ""


def opened(column: str, values: Iterable[Any]) -> str:
    """What sessions hold: they are stored compressed."""
    if column != "session_data":
        return ""
    store = import_module(settings.SESSION_ENGINE).SessionStore()
    return "".join(f"\0{json.dumps(store.decode(value))}" for value in values)


# The run


@dataclass
class Figures:
    """The sum over the tests of this process, or of all workers."""

    learnt: int = 0
    tests: int = 0
    searched: int = 0
    found: int = 0
    ignored: int = 0
    unread: int = 0
    milliseconds: int = 0

    def add(self, other: dict[str, int]) -> None:
        for name, number in other.items():
            setattr(self, name, getattr(self, name) + number)

    def __str__(self) -> str:
        return (
            f"Secrets: {self.learnt} learnt in {self.tests} tests, {self.searched} places "
            f"searched, {self.found} found"
        )

    def remarks(self) -> Iterator[str]:
        if self.ignored:
            yield f"  {self.ignored} too short or too ordinary to look for"
        if self.unread:
            yield f"  {self.unread} tests left a database that could not be read"
        yield f"  {self.milliseconds / 1000:.1f} s spent on looking"


figures = Figures()
current = Watch()
OWN = pytest.StashKey[Watch]()


def conclude(watch: Watch, look: Callable[[], list[str]]) -> list[str]:
    """Look, and add to the sum. Returns where secrets were found."""
    began = time.monotonic()
    leaks = look()
    learnt = len(watch.learnt())
    figures.add(
        {
            "learnt": learnt,
            "tests": int(learnt > 0),
            "searched": watch.searched,
            "found": len(leaks),
            "ignored": len(watch.ignored),
            "milliseconds": round((time.monotonic() - began) * 1000),
        }
    )
    return leaks


def pytest_sessionstart() -> None:
    from tests import leak_doors

    leak_doors.open_all()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    global current
    current = item.stash[OWN] = Watch()


OWN = pytest.StashKey[Watch]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """The last to know that a test is over, and still before anything of it is taken away."""
    watch = item.stash[OWN]
    try:
        outcome = yield
    except BaseException:
        end(item, watch)
        raise
    if leaks := end(item, watch):
        tell(leaks)
    return outcome


def tell(leaks: list[str]) -> None:
    pytest.fail("Secrets were found:\n  " + "\n  ".join(leaks), pytrace=False)


def end(item: pytest.Item, watch: Watch) -> list[str]:
    if not watch.secrets:
        return []
    for _, name, text in item._report_sections:
        if name in {"stdout", "stderr"}:
            watch.hear(f"output of the test ({name})", text)
    leaks = conclude(watch, watch.leaks)
    if leaks:  # what pytest prints of a test that failed is no place for them either
        item._report_sections[:] = [
            (when, name, hide(text, watch.secrets)) for when, name, text in item._report_sections
        ]
        item.add_report_section("call", "secrets", "\n".join(leaks))
    return leaks


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["secrets"] = vars(figures)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    figures.add(getattr(node, "workeroutput", {}).get("secrets", {}))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.write_line(str(figures))
    for remark in figures.remarks():
        terminalreporter.write_line(remark)
