"""Where the demonstration's payment provider and mail server listen.

The ports are chosen once for a data folder and kept there, so that every process of an installation
knows them before any runs, and several installations do not meet.
"""

import json
import os
import secrets
import socket
import zlib
from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

ADDRESS = "127.0.0.1"
# Below what systems hand out by themselves, so that what is free today is free tomorrow.
LOWEST, HIGHEST = 20_000, 30_000
SENDER = "Countersign <countersign@shop.example>"
SHOP_SENDER = "The shop <orders@shop.example>"


@dataclass(frozen=True)
class Ports:
    """The provider's, the mail server's, and those of the pages where its mails are read."""

    provider: int
    smtp: int
    mailbox: int

    @property
    def provider_host(self) -> str:
        return f"{ADDRESS}:{self.provider}"

    @property
    def provider_url(self) -> str:
        return f"http://{self.provider_host}"

    @property
    def mailbox_url(self) -> str:
        return f"http://{ADDRESS}:{self.mailbox}"

    @property
    def email_url(self) -> str:
        return f"smtp://{ADDRESS}:{self.smtp}"

    def are_free(self) -> bool:
        return all(is_free(port) for port in astuple(self))


def mail(
    given: str | None, sender: str, outgoing: str, ports: Ports | None
) -> tuple[str, str, str]:
    """The mail server's address, and who sends: the demonstration's own unless one is given.

    Given and empty means no mail, here too.
    """
    if given is None and ports is not None:
        return ports.email_url, sender or SENDER, outgoing or SHOP_SENDER
    return given or "", sender, outgoing


def kept_in(folder: Path) -> Path:
    return folder / "demonstration-ports.json"


def ports(folder: Path) -> Ports:
    """The ports of this data folder, chosen now if it has none that can be read."""
    return read(folder) or choose(folder)


def read(folder: Path) -> Ports | None:
    try:
        found = Ports(**json.loads(kept_in(folder).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return found if all(type(port) is int for port in astuple(found)) else None


def choose(folder: Path) -> Ports:
    """Other free ports for this folder, kept. Of several that choose at once, the last one wins."""
    free = candidates(folder)
    chosen = Ports(next(free), next(free), next(free))
    draft = kept_in(folder).with_suffix(f".{secrets.token_hex(4)}")
    draft.write_text(json.dumps(asdict(chosen)))
    os.replace(draft, kept_in(folder))
    return chosen


def candidates(folder: Path) -> Iterator[int]:
    """Free ports, from a place of the folder's own: two that choose at once choose differently."""
    size = HIGHEST - LOWEST
    start = zlib.crc32(str(folder).encode()) % size
    found = (LOWEST + (start + step) % size for step in range(size))
    return (port for port in found if is_free(port))


def is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((ADDRESS, port))
        except (OSError, OverflowError):
            return False
    return True
