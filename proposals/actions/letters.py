"""One mail as its recipient would read it, and as it goes over the wire. Pure.

The headers are written here, byte by byte: each is one that this file names, and none of them can
hold a line of its own. The standard library's folding loses blanks between encoded words, and what
was approved must arrive as it was read.
"""

import base64
import quopri
import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime, formataddr, parseaddr
from typing import Any

PLAIN_HEADER = re.compile(r"(?!.*=\?)[!-~]+( [!-~]+)*")
ONE_HEADER = re.compile(r"[ -~]+(\r\n [!-~]+)*")
LONGEST_PLAIN = 70
WORD_BYTES = 45  # of an encoded word, which is then at most 75 characters long


@dataclass(frozen=True)
class Mail:
    """What the recipient reads. `sender` may hold a name; `to` is one plain address."""

    sender: str
    to: str
    subject: str
    text: str

    def as_json(self) -> dict[str, Any]:
        return {"from": self.sender, "to": self.to, "subject": self.subject, "text": self.text}

    @property
    def sending_address(self) -> str:
        """Where answers and bounces go."""
        return parseaddr(self.sender)[1]


def message_id(key: str, sending_address: str) -> str:
    """The same for the same key, for ever and from every machine."""
    return f"<{key}@{sending_address.rpartition('@')[2]}>"


def as_bytes(mail: Mail, *, key: str, at: datetime) -> bytes:
    """The mail on the wire, in ASCII with CRLF. Raises ValueError if it were not."""
    headers = {
        "From": formataddr(parseaddr(mail.sender)),
        "To": mail.to,
        "Subject": encoded(mail.subject),
        "Date": format_datetime(at),
        "Message-ID": message_id(key, mail.sending_address),
        "MIME-Version": "1.0",
        "Content-Type": 'text/plain; charset="utf-8"',
        "Content-Transfer-Encoding": "quoted-printable",
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
    }
    for name, value in headers.items():
        require_one_header(name, value)
    body = quopri.encodestring(mail.text.encode()).decode("ascii")
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", *body.split("\n")]).encode("ascii")


def require_one_header(name: str, value: str) -> None:
    """The last door: nothing begins a line but a fold that `encoded` made."""
    if not ONE_HEADER.fullmatch(value):
        raise ValueError(f"The header {name} would not be one line.")


def encoded(value: str) -> str:
    """A text as a header holds it: as it is, or in encoded words that join without a seam."""
    if len(value) <= LONGEST_PLAIN and PLAIN_HEADER.fullmatch(value):
        return value
    words, word = [], b""
    for character in value:
        more = character.encode()
        if len(word) + len(more) > WORD_BYTES:
            words.append(word)
            word = b""
        word += more
    words.append(word)
    return "\r\n ".join(f"=?utf-8?b?{base64.b64encode(word).decode()}?=" for word in words)
