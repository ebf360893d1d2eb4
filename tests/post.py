"""A mail server and a web server to tell, both real, on this machine, with faults to order."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from proposals.notices import mail, spreading, webhooks
from proposals.outage import Outage

SENDER = "Countersign <countersign@shop.example>"
SITE = "https://countersign.example"


class SmtpSession(socketserver.StreamRequestHandler):
    """As much SMTP as a sender needs: EHLO, MAIL, RCPT, DATA, RSET, NOOP, QUIT."""

    server: "MailServer"

    def handle(self) -> None:
        self.server.sessions += 1
        self.say("220 mail.test ready")
        to: list[str] = []
        while line := self.rfile.readline():
            verb = line.split(None, 1)[0].upper().decode() if line.strip() else ""
            if self.server.fault == "hang":
                self.server.released.wait(20)
            if verb == "EHLO":
                self.say("250-mail.test", "250 8BITMIME")
            elif verb == "RCPT" and self.server.fault == "refuse":
                self.say("550 No such mailbox here")
            elif verb == "RCPT":
                to.append(line.partition(b"<")[2].partition(b">")[0].decode())
                self.say("250 Good")
            elif verb == "DATA":
                self.say("354 Go on")
                self.server.take(to, self.data())
                to = []
                if self.server.fault == "drop":
                    return  # it was taken, but nobody hears of it
                self.say("250 Taken")
            elif verb == "QUIT":
                self.say("221 Bye")
                return
            else:
                self.say("250 Good")

    def say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    def data(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) not in {b".\r\n", b""}:
            lines.append(line[1:] if line.startswith(b"..") else line)
        return b"".join(lines)


class MailServer(socketserver.ThreadingTCPServer):
    """Keeps what it took: `raw` as bytes, `mails` as messages."""

    allow_reuse_address = daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), SmtpSession)
        self.fault, self.sessions = "", 0
        self.raw: list[bytes] = []
        self.mails: list[EmailMessage] = []
        self.released = threading.Event()

    def take(self, to: list[str], data: bytes) -> None:
        self.raw.append(data)
        message: Any = message_from_bytes(data.replace(b"\r\n", b"\n"), policy=policy.default)
        message.envelope = to
        self.mails.append(message)

    @property
    def port(self) -> int:
        return self.server_address[1]

    def to(self, username: str) -> list[EmailMessage]:
        """What one person was sent."""
        return [one for one in self.mails if one["To"] == f"{username}@example.com"]

    def everybody(self) -> set[str]:
        return {str(one["To"]).partition("@")[0] for one in self.mails}


class HookSession(BaseHTTPRequestHandler):
    server: "Receiver"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, dict(self.headers), body))
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.end_headers()
        while self.server.drips and not self.server.released.wait(0.05):
            self.wfile.write(b".")

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


class Receiver(ThreadingHTTPServer):
    """Keeps what was posted to it: path, headers, body."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HookSession)
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.status, self.location, self.drips = 204, "", False
        self.released = threading.Event()

    def handle_error(self, *arguments: Any) -> None:
        """Whoever hangs up in the middle is expected here."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"


@contextmanager
def serving(server: Any) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def mails(settings: Any, monkeypatch: Any) -> Iterator[MailServer]:
    """A mail server, and a product that sends by it."""
    with serving(MailServer()) as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        settings.EMAIL_TIMEOUT = 5
        settings.MAIL_IS_ON, settings.DEFAULT_FROM_EMAIL = True, SENDER
        settings.COUNTERSIGN_URL = SITE
        monkeypatch.setattr(mail, "of_mail", Outage())
        yield server


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    """A web server that webhooks may reach, because the operator listed it."""
    with serving(Receiver()) as server:
        settings.WEBHOOK_HOSTS = frozenset({"127.0.0.1"})
        settings.COUNTERSIGN_URL = SITE
        yield server


def deliver() -> None:
    """Do, in this thread, all that the post office of a worker would do now."""
    spreading.spread_all()
    mail.deliver()
    webhooks.deliver()
