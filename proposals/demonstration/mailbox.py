"""The demonstration's mail server: it takes every mail, delivers none, and shows them on a page.

    python -m proposals.demonstration.mailbox --folder FOLDER --port PORT --page-port PORT

Mail to nobody@ anywhere is refused, as a server refuses a mailbox that does not exist.
"""

import asyncio
import json
import re
import signal
import time
from email import message_from_bytes, policy
from email.message import EmailMessage
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiosmtpd.smtp import SMTP, Envelope, Session

from proposals.demonstration import outside

MAX_MAIL_BYTES = 1024 * 1024
KEPT_MAILS = 1000
SCHEMA = """
CREATE TABLE IF NOT EXISTS mails (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, sender TEXT NOT NULL,
    recipients TEXT NOT NULL, raw BLOB NOT NULL);
"""
WORDS = """
<p>This stands for the mail servers of the world. It belongs to the demonstration: every mail that
Countersign sends ends here, and nobody else receives it. A mail that has left cannot be called
back, here as elsewhere.</p>
"""
# Only what leads to this machine becomes a link: a mail may quote anybody.
HERE = re.compile(r"http://127\.0\.0\.1:\d+/[\w/\-.~%?=]*")


class Mails:
    """The file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        outside.make(path, SCHEMA)

    def keep(self, sender: str, recipients: list[str], raw: bytes) -> int:
        """Keep it for good before it is acknowledged. Only the newest are kept."""
        with outside.writing(self.path) as db:
            made = db.execute(
                "INSERT INTO mails (at, sender, recipients, raw) VALUES (?, ?, ?, ?)",
                [time.time(), sender, json.dumps(recipients), raw],
            )
            number = made.lastrowid or 0
            db.execute("DELETE FROM mails WHERE number <= ?", [number - KEPT_MAILS])
        return number

    def newest(self, limit: int = 200) -> list[Any]:
        with outside.reading(self.path) as db:
            return db.execute(
                "SELECT * FROM mails ORDER BY number DESC LIMIT ?", [limit]
            ).fetchall()

    def get(self, number: str) -> Any | None:
        with outside.reading(self.path) as db:
            return db.execute("SELECT * FROM mails WHERE number = ?", [number]).fetchone()


class Postmaster:
    """What the mail server does with what it is told; aiosmtpd speaks the protocol."""

    def __init__(self, mails: Mails) -> None:
        self.mails = mails

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.partition("@")[0].lower() == "nobody":
            return "550 No such mailbox here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.original_content or b""
        number = self.mails.keep(envelope.mail_from or "", list(envelope.rcpt_tos), content)
        return f"250 OK kept as {number}"


class Pages(outside.Session):
    server: "PageServer"

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if self.send_common(path):
            return
        match path.strip("/").split("/"):
            case [""]:
                self.page("Mail", overview(self.server.mails))
            case ["mail", number] if kept := self.server.mails.get(number):
                self.page(str(message(kept)["Subject"] or "(no subject)"), one(kept))
            case ["mail", number, "raw"] if kept := self.server.mails.get(number):
                self.send(200, "text/plain; charset=utf-8", kept["raw"])
            case _:
                self.page("Mail", "<p>There is no such mail. <a href=/>All mails</a></p>", 404)


class PageServer(outside.Server):
    def __init__(self, port: int, mails: Mails) -> None:
        super().__init__(port, Pages)
        self.mails = mails


def overview(mails: Mails) -> str:
    rows = [
        [
            outside.time_of(kept["at"]),
            escape(", ".join(json.loads(kept["recipients"]))),
            f"<a href=/mail/{kept['number']}>"
            f"{escape(str(message(kept)['Subject'] or '(no subject)'))}</a>",
        ]
        for kept in mails.newest()
    ]
    return WORDS + outside.table(
        "Mails", ["When", "To", "Subject"], rows, "No mail has been sent yet."
    )


def one(kept: Any) -> str:
    said = message(kept)
    facts = {
        "From": str(said["From"] or kept["sender"]),
        "To": ", ".join(json.loads(kept["recipients"])),
        "When": outside.moment(kept["at"]),
        "Message-ID": str(said["Message-ID"] or ""),
    }
    listed = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    text = HERE.sub(lambda found: f'<a href="{found[0]}">{found[0]}</a>', escape(words(said)))
    return (
        f"<dl>{listed}</dl><pre>{text}</pre>"
        f"<p><a href=/>All mails</a> · <a href=/mail/{kept['number']}/raw>As it was sent</a></p>"
    )


def message(kept: Any) -> EmailMessage:
    parsed: Any = message_from_bytes(kept["raw"], policy=policy.default)
    return parsed


def words(said: EmailMessage) -> str:
    """The mail's plain text; what cannot be read is said, not raised."""
    part = said.get_body(preferencelist=("plain",))
    if part is None:
        return "(This mail has no plain text.)"
    try:
        return str(part.get_content()).replace("\r\n", "\n")
    except (LookupError, ValueError):
        return "(This mail's text cannot be read.)"


async def run(mails: Mails, port: int) -> None:
    """Take mails until SIGTERM or Ctrl-C."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    server = await loop.create_server(
        lambda: SMTP(
            Postmaster(mails),
            data_size_limit=MAX_MAIL_BYTES,
            hostname="mail.demonstration.example",
            ident="demonstration",
            enable_SMTPUTF8=True,
            loop=loop,
        ),
        outside.ADDRESS,
        port,
    )
    await stop.wait()
    server.close()


def main() -> None:
    given = outside.arguments(__doc__, "port", "page-port")
    mails = Mails(given.folder / "demonstration-mail.sqlite3")
    with outside.serving(PageServer(given.page_port, mails)):
        asyncio.run(run(mails, given.port))


if __name__ == "__main__":
    main()
