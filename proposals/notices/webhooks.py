"""Letters to webhooks: signed, and posted by the one guarded way out (`proposals.outbound`).

Signed as Standard Webhooks v1 has it: HMAC-SHA256 over id, timestamp and body. Webhooks may be at
any port, and in a private network only where the operator listed the host.
"""

import base64
import hashlib
import hmac
import json
import logging
import secrets
import time
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F

from ledger import clock, entries
from proposals import vault
from proposals.models import Letter, Webhook
from proposals.notices import sending, words
from proposals.outbound import addresses, client

logger = logging.getLogger(__name__)
PREFIX = "whsec_"
WHOLE_SECONDS = 15
LONGEST_ANSWER = 4096
MOST_FAILURES = 20


class Refused(Exception):
    """Why nothing is posted to this address, or why the answer was no success."""


# Where to


def examine(url: str) -> addresses.Destination:
    """The parts of an address that may be posted to, before it is looked up. Raises Refused."""
    try:
        return addresses.examine(url, listed=settings.WEBHOOK_HOSTS, any_port=True)
    except client.Refused as refusal:
        raise Refused(sentence(refusal)) from None


def sentence(error: Exception) -> str:
    """What people read, with what the operator can do about it."""
    if isinstance(error, client.Refused) and error.can_be_listed:
        return f"{error} The operator can list the host in COUNTERSIGN_WEBHOOK_HOSTS."
    return str(error)


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


def post(url: str, body: bytes, headers: dict[str, str]) -> None:
    """POST once. Raises Refused unless the answer is a success; a redirection is none."""
    request = client.Request("POST", url, {"Content-Type": "application/json", **headers}, body)
    try:
        answer = client.exchange(
            request,
            listed=settings.WEBHOOK_HOSTS,
            any_port=True,
            seconds=WHOLE_SECONDS,
            most=LONGEST_ANSWER,
        )
    except (client.NotSent, client.NoAnswer) as error:
        raise Refused(sentence(error)) from error
    if 300 <= answer.status < 400:
        raise Refused(f"It answered {answer.status}, a redirection, which is not followed.")
    if not 200 <= answer.status < 300:
        raise Refused(f"It answered {answer.status}.")


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
