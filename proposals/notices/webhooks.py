"""Letters to webhooks: signed, to an address that was looked up once, and following nobody.

Signed as Standard Webhooks v1 has it: HMAC-SHA256 over id, timestamp and body. The name is resolved
here, every answer must be a public address unless the operator listed the host, and the connection
goes to the very address that was examined: a second answer of the name server changes nothing.
"""

import base64
import hashlib
import hmac
import http.client
import ipaddress
import json
import logging
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import F

from ledger import clock, entries
from proposals import vault
from proposals.models import Letter, Webhook
from proposals.notices import sending, words

logger = logging.getLogger(__name__)
PREFIX = "whsec_"
CONNECT_SECONDS, WHOLE_SECONDS = 5, 15
LONGEST_ANSWER = 4096
MOST_FAILURES = 20
NAT64, UNICAST = ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("2000::/3")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Refused(Exception):
    """Why nothing is posted to this address, or why the answer was no success."""


# Where to


def examine(url: str) -> SplitResult:
    """The parts of an address that may be posted to, before it is looked up. Raises Refused."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Refused("This is not an address.") from None
    host = parts.hostname or ""
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise Refused("An address has only plain ASCII characters, and no spaces.")
    if not host or parts.scheme not in {"http", "https"} or port == 0:
        raise Refused("An address begins with https:// and a host name.")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise Refused("An address holds no user, password or fragment.")
    if parts.scheme == "http" and not is_listed(host):
        raise Refused(
            "An address begins with https://, unless the operator lists its host in "
            "COUNTERSIGN_WEBHOOK_HOSTS."
        )
    return parts


def is_listed(host: str) -> bool:
    """Whether the operator said that this very host may be reached wherever it is."""
    return host.lower() in settings.WEBHOOK_HOSTS


def resolve(host: str, port: int) -> str:
    """One address of a host, looked up once. Raises Refused if any of its addresses is private."""
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Refused("The host name cannot be looked up.") from error
    found = [str(answer[4][0]) for answer in answers]
    if not is_listed(host) and not all(is_public(one) for one in found):
        raise Refused(
            "The host is in a private network; the operator can list it in "
            "COUNTERSIGN_WEBHOOK_HOSTS."
        )
    return found[0]


def is_public(text: str) -> bool:
    """Whether an address is one of the internet at large, also when it is wrapped in another."""
    try:
        address: Address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return all(is_of_the_internet(one) for one in unwrapped(address))


def is_of_the_internet(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address not in UNICAST:
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def unwrapped(address: Address) -> list[Address]:
    """An address, or the one of version 4 that it stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    if address.sixtofour:
        return [address.sixtofour]
    if address.teredo:
        return list(address.teredo)
    if address in NAT64:
        return [ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)]
    return [address]


# How


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """The bytes of a secret such as `whsec_...`. Raises ValueError unless they are 24 to 64."""
    key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    if not secret.startswith(PREFIX) or not 24 <= len(key) <= 64:
        raise ValueError("A secret is whsec_ and 24 to 64 bytes in base64.")
    return key


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature` of Standard Webhooks."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    made = hmac.new(key_of(secret), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(made).decode()}"


class Pinned(http.client.HTTPConnection):
    """A connection to one address, whatever the host's name means by now."""

    def __init__(self, host: str, port: int, address: str, context: ssl.SSLContext | None) -> None:
        super().__init__(host, port, timeout=CONNECT_SECONDS)
        self.default_port = 443 if context else 80
        self.address, self.context = address, context
        self.opened: list[socket.socket] = []

    def connect(self) -> None:
        self.sock = socket.create_connection((self.address, self.port), self.timeout)
        self.opened.append(self.sock)
        if self.context is not None:
            self.sock = self.context.wrap_socket(self.sock, server_hostname=self.host)
            self.opened.append(self.sock)

    def hang_up(self) -> None:
        """End it from another thread, also while an answer is being read."""
        for opened in self.opened[-1:]:
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)


@contextmanager
def deadline(connection: Pinned, seconds: float) -> Iterator[None]:
    """End a connection that takes longer than this altogether, however little it says at a time."""

    timer = threading.Timer(seconds, connection.hang_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        connection.close()


def post(url: str, body: bytes, headers: dict[str, str]) -> None:
    """POST once. Raises Refused unless the answer is a success; a redirection is none."""
    parts = examine(url)
    is_https = parts.scheme == "https"
    host, port = parts.hostname or "", parts.port or (443 if is_https else 80)
    context = ssl.create_default_context() if is_https else None
    connection = Pinned(host, port, resolve(host, port), context)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    sent = {"Content-Type": "application/json", "User-Agent": "Countersign", **headers}
    try:
        with deadline(connection, WHOLE_SECONDS):
            connection.request("POST", path, body, sent)
            answer = connection.getresponse()
            answer.read(LONGEST_ANSWER)
            status = answer.status
    except (OSError, http.client.HTTPException) as error:
        raise Refused(f"No answer: {type(error).__name__}.") from error
    if 300 <= status < 400:
        raise Refused(f"It answered {status}, a redirection, which is not followed.")
    if not 200 <= status < 300:
        raise Refused(f"It answered {status}.")


def send(webhook: Webhook, message_id: str, payload: dict[str, Any]) -> None:
    """Sign and post one message. Raises Refused, or VaultProblem without its secret."""
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
    timestamp = int(time.time())
    secret = vault.reveal(webhook.secret_name)
    if secret is None:
        raise vault.VaultProblem("Its secret can no longer be read: enter it again.")
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secret, message_id, timestamp, body),
    }
    post(webhook.url, body, headers)


# Delivering


@dataclass
class Pass:
    """One pass over what is due; a webhook that failed is left alone for the rest of it."""

    failing: set[int]

    def carry(self, letter: Letter) -> None:
        webhook: Any = letter.webhook
        try:
            payload = words.payload(letter)
            if payload is None:
                sending.dropped(letter)
                return
            send(webhook, f"msg_{letter.pk.hex}", payload)
        except Exception as error:  # whatever one webhook does, the others get their turn
            if not isinstance(error, Refused | vault.VaultProblem):
                logger.exception("Letter %s could not be posted", letter.pk)
            self.failing.add(webhook.pk)
            sending.failed(letter, error)
            count_failure(webhook.pk, error)
        else:
            sending.sent(letter)
            Webhook.objects.filter(pk=webhook.pk, failures__gt=0).update(failures=0)


def deliver() -> int:
    """Post the letters to webhooks that are due. Returns how many were worked on."""
    found, done = Pass(set()), 0
    for letter_id in sending.due("webhook"):
        of = Letter.objects.filter(pk=letter_id).values_list("webhook_id", flat=True).first()
        if of in found.failing:
            continue
        letter = sending.claim(letter_id)
        if letter is not None:
            done += 1
            found.carry(letter)
    return done


@transaction.atomic
def count_failure(webhook_id: int, error: Exception) -> None:
    """After many failures in a row it is switched off, with a ledger entry that people hear of."""
    Webhook.objects.filter(pk=webhook_id).update(failures=F("failures") + 1)
    webhook = Webhook.objects.select_for_update(no_key=True).get(pk=webhook_id)
    if not webhook.is_active or webhook.failures < MOST_FAILURES:
        return
    why = str(error) if isinstance(error, Refused) else type(error).__name__
    webhook.is_active = False
    webhook.off_reason = f"{webhook.failures} failures in a row. The last one: {why}"[:300]
    webhook.save(update_fields=["is_active", "off_reason"])
    drop_waiting(webhook)
    entries.record(
        f"webhook:{webhook.pk}",
        kind="webhook.disabled",
        actor=sending.ACTOR,
        body={"webhook": webhook.pk, "failures": webhook.failures, "reason": webhook.off_reason},
    )


def drop_waiting(webhook: Webhook) -> None:
    """What still waits for a webhook that is off is not sent when it is on again."""
    waiting = Letter.objects.filter(webhook=webhook, state=Letter.State.WAITING)
    waiting.update(state=Letter.State.DROPPED)


def test(webhook: Webhook) -> str:
    """Post a test at once. Returns why it did not arrive, or nothing."""
    said = f"{words.subject('A test')}: this webhook works."
    payload: dict[str, Any] = {"text": said}
    if not webhook.is_chat:
        payload |= {"type": "notice.test", "timestamp": words.stamp(clock.now()), "data": {}}
    try:
        send(webhook, f"msg_test_{secrets.token_hex(8)}", payload)
    except (Refused, vault.VaultProblem) as error:
        return str(error)
    return ""
