"""Mails to people outside, as a policy administrator set them up; and a server that misbehaves.

The scripted server is a real one on a real socket. It fails at the step that a test names, and
counts how often the end of a whole mail reached it.
"""

import socketserver
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from proposals import services
from proposals.actions import mailing
from proposals.targets import wiring
from tests import factories
from tests.post import serving
from tests.target_fixture import paula

SENDER = "Shop <orders@shop.example>"
DEFINITION: dict[str, Any] = {
    "label": "Order shipped",
    "subject": "Order {order} is on its way",
    "body": "Dear {name},\n\n{note}\n\nIt cost {total}, and arrives on {day} by {carrier}.\n",
    "fields": [
        {"name": "order", "kind": "integer"},
        {"name": "name", "label": "The customer's name", "max_length": 80},
        {"name": "note", "kind": "paragraph", "max_length": 1000},
        {"name": "total", "kind": "money"},
        {"name": "day", "kind": "date"},
        {"name": "carrier", "kind": "choice", "choices": ["post", "bike"]},
    ],
}
FIELDS: dict[str, Any] = {
    "order": 42,
    "name": "Ana Łi",
    "note": "It was packed today.\n.\nFrom here it goes by rail.",
    "total": {"amount": "120.00", "currency": "EUR"},
    "day": "2026-12-02",
    "carrier": "bike",
}
PARAMS: dict[str, Any] = {
    "template": "order-shipped",
    "to": "ana@customer.example",
    "fields": FIELDS,
}
TEXT = (
    "Dear Ana Łi,\n\nIt was packed today.\n.\nFrom here it goes by rail.\n\n"
    "It cost 120.00 EUR, and arrives on 2026-12-02 by bike.\n"
)


def write(name: str = "order-shipped", **changes: Any):
    return services.save_mail_template(name=name, definition=DEFINITION | changes, person=paula())


def lists(*domains: str):
    return services.list_mail_domains(domains=list(domains), person=paula())


def force(*domains: str, **changes: Any) -> None:
    """The same in this process alone, without rows: for tests of what is made from it."""
    described = mailing.described_by("order-shipped", DEFINITION | changes)
    mailing.install(
        mailing.Mailing(
            templates={described.name: described}, domains=domains or ("customer.example",)
        )
    )


def filled(**fields: Any) -> dict[str, Any]:
    return PARAMS | {"fields": FIELDS | fields}


def asked(**more: Any):
    """A mail that an agent asked for, checked."""
    return factories.make_checked(**({"action": "email.send", "params": PARAMS} | more))


@pytest.fixture
def in_force(settings: Any) -> Iterator[None]:
    """The template and the domain, known to this process alone."""
    settings.OUTGOING_FROM_EMAIL = SENDER
    force()
    yield
    mailing.install(mailing.Mailing())


@pytest.fixture
def templates(db: Any, settings: Any) -> Iterator[None]:
    """One template in force, and one domain that mail may go to."""
    settings.OUTGOING_FROM_EMAIL = SENDER
    write()
    lists("customer.example")
    wiring.refresh()
    yield
    wiring.forget()


class Script(socketserver.StreamRequestHandler):
    """Says what the test wrote for each step: a reply, or what it does instead."""

    server: "ScriptedServer"

    def handle(self) -> None:
        self.server.sessions += 1
        if not self.act("greeting", "220 scripted.test ready"):
            return
        while line := self.rfile.readline():
            verb = line.split(None, 1)[0].upper().decode() if line.strip() else ""
            self.server.heard.append(line.decode("latin-1").strip())
            if verb == "DATA":
                if not self.act("DATA", "354 Go on") or not self.text():
                    return
            elif verb == "QUIT":
                self.say("221 Bye")
                return
            elif not self.act(verb, DEFAULTS.get(verb, "250 Good")):
                return

    def text(self) -> bool:
        if "DATA" in self.server.script and not self.server.script["DATA"].startswith("354"):
            return True
        if self.server.script.get("text") == "drop":
            self.rfile.readline()
            return False
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return False
        self.server.ended += 1
        return self.act("end", "250 2.0.0 Ok: queued as 4F1A9C")

    def act(self, step: str, usual: str) -> bool:
        """Whether the conversation goes on."""
        said = self.server.script.get(step, usual)
        if said == "drop":
            return False
        if said == "hang":
            self.server.released.wait(20)
            return False
        if said == "drip":
            while not self.server.released.wait(0.02):
                self.wfile.write(b"2")
            return False
        self.say(said)
        return True

    def say(self, text: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in text.split("\n")).encode())


DEFAULTS = {"EHLO": "250-scripted.test\n250-AUTH PLAIN\n250 8BITMIME", "AUTH": "235 Come in"}


class ScriptedServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Script)
        self.script: dict[str, str] = {}
        self.heard: list[str] = []
        self.sessions = self.ended = 0
        self.released = threading.Event()

    def handle_error(self, *arguments: Any) -> None:
        """Whoever hangs up in the middle is expected here."""

    @property
    def port(self) -> int:
        return self.server_address[1]


@pytest.fixture
def scripted(settings: Any) -> Iterator[ScriptedServer]:
    """A mail server that does as the test says, and a product that sends by it."""
    with serving(ScriptedServer()) as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        settings.MAIL_IS_ON = True
        yield server
