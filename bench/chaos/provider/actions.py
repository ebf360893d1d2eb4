"""Actions that write to the provider, one of each delivery, for the harness and nobody else.

Registered where `bench.chaos.provider` is among COUNTERSIGN_APPS, or where this is imported. Small
on purpose: what is tried is the protocol around them, not how an action is described.
"""

import json
import os
import smtplib
from decimal import Decimal
from email.message import EmailMessage
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

from bench.chaos.provider import behaviour
from bench.chaos.provider.behaviour import KEY_SECONDS
from proposals.exceptions import OutcomeUnknown, TargetRefused, TargetUnavailable
from proposals.outbound import client
from proposals.registry import (
    Action,
    Call,
    Delivery,
    Impact,
    Money,
    Outcome,
    Preview,
    Tier,
    register,
)

HOST = "127.0.0.1"
# In the machine's own time; the provider's, which `pass_time` moves, is what settling is told by.
DEADLINE = "CHAOS_CALL_SECONDS"
PORTS = "CHAOS_PROVIDER"  # HTTP and SMTP


def ports() -> tuple[int, int]:
    web, mail = os.environ[PORTS].split()
    return int(web), int(mail)


def deadline() -> float:
    return float(os.environ.get(DEADLINE, "10"))


class Params(BaseModel):
    model_config = ConfigDict(extra="forbid")

    memo: str  # the business key: what this is about, in the provider's words
    account: str = "main"  # what a breaker counts by
    amount: str = "5.00"
    cancels: str = ""


class ToProvider(Action):
    """What the actions below have in common."""

    Params = Params
    title = "Have the provider note {memo}"
    place = ""  # collection at the provider
    undone_by = ""
    has_amount = False
    settling_seconds = 60

    def resource(self, params: dict[str, Any]) -> str:
        return f"memos/{params['memo']}"

    def amount(self, params: dict[str, Any]) -> Money | None:
        if not self.has_amount:
            return None
        return Money(Decimal(params.get("amount", "5.00")), "EUR")

    def target(self, params: dict[str, Any]) -> str:
        return f"http://{HOST}:{ports()[0]}/{params.get('account', 'main')}"

    def preview(self, params: dict[str, Any]) -> Preview:
        undo = self.cancelling(params, "") if self.undone_by else None
        impact = Impact(amount=self.amount(params), external=True)
        after = {self.resource(params): {"state": "noted"}}
        return Preview({self.resource(params): None}, after, impact, Tier.LOW, undo)

    def cancelling(self, params: dict[str, Any], reference: str) -> Call:
        of = {"memo": f"{params['memo']} undo", "cancels": reference}
        return Call(self.undone_by, of | {"account": params.get("account", "main")})

    def apply(self, params: dict[str, Any], *, key: str, expected: dict[str, Any]) -> Outcome:
        headers = {"Content-Type": "application/json"}
        if self.delivery is Delivery.KEYED:
            headers["Idempotency-Key"] = key
        body = json.dumps({**params, "reference": key}).encode()
        answer = ask("POST", self.place, headers, body)
        if answer.status == behaviour.TAKEN:
            return self.outcome(params, read(answer), answer.status)
        if answer.status == behaviour.REFUSED:
            raise TargetRefused("There is not enough on the account.")
        if answer.status == behaviour.TOO_MANY:
            raise TargetUnavailable("It asks to be left alone for a while.")
        raise unclear(answer)

    def outcome(self, params: dict[str, Any], found: dict[str, Any], status: int) -> Outcome:
        reference = found["id"]
        return Outcome(
            result={"id": reference},
            after={self.resource(params): {"state": "noted"}},
            compensation=self.cancelling(params, reference) if self.undone_by else None,
            evidence={"status": status, "reference": reference},
        )

    def probe(
        self, params: dict[str, Any], *, key: str, expected: dict[str, Any]
    ) -> Outcome | None:
        answer = ask("GET", f"{self.place}?reference={quote(key)}", {}, b"")
        if answer.status != 200:
            raise unclear(answer)
        found = read(answer).get("found")
        if not isinstance(found, list):
            raise unclear(answer)
        return self.outcome(params, found[0], answer.status) if found else None

    def attested(
        self, params: dict[str, Any], *, reference: str, expected: dict[str, Any]
    ) -> Outcome:
        return self.outcome(params, {"id": reference}, 0)


def ask(method: str, place: str, headers: dict[str, str], body: bytes) -> client.Answer:
    port, _ = ports()
    request = client.Request(method, f"http://{HOST}:{port}/{place}", headers, body)
    try:
        return client.exchange(request, listed={f"{HOST}:{port}"}, seconds=deadline())
    except client.Refused as error:
        raise TargetRefused(str(error)) from error
    except client.NotSent as error:
        raise TargetUnavailable(str(error)) from error
    except client.NoAnswer as error:
        raise OutcomeUnknown(str(error)) from error


def read(answer: client.Answer) -> dict[str, Any]:
    try:
        found = json.loads(answer.body)
    except ValueError:
        raise unclear(answer) from None
    if not isinstance(found, dict):
        raise unclear(answer)
    return found


def unclear(answer: client.Answer) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"It answered {answer.status}, and not as was agreed.", evidence={"status": answer.status}
    )


class Keyed(ToProvider):
    delivery = Delivery.KEYED
    key_seconds = KEY_SECONDS


@register
class CancelRefund(Keyed):
    name = "outside.cancel_refund"
    place = "keyed/cancellations"
    is_internal = True
    undone_by = "outside.refund"


@register
class Refund(Keyed):
    """KEYED, and when its key has grown too old there is nobody to ask."""

    name = "outside.refund"
    place = "keyed/refunds"
    undone_by = "outside.cancel_refund"
    has_amount = True


@register
class Credit(Keyed):
    """KEYED, and afterwards the provider can be asked."""

    name = "outside.credit"
    place = "keyed/credits"
    undone_by = "outside.cancel_refund"

    def can_probe(self, params: dict[str, Any]) -> bool:
        return True


@register
class CancelOrder(ToProvider):
    name = "outside.cancel_order"
    place = "queryable/cancellations"
    delivery = Delivery.QUERYABLE
    is_internal = True
    undone_by = "outside.order"


@register
class Order(ToProvider):
    name = "outside.order"
    place = "queryable/orders"
    delivery = Delivery.QUERYABLE
    undone_by = "outside.cancel_order"


@register
class Purchase(Order):
    """The same, with money in it: an absence is never believed."""

    name = "outside.purchase"
    has_amount = True


@register
class Note(ToProvider):
    name = "outside.note"
    place = "plain/notes"
    delivery = Delivery.UNCERTAIN
    is_reversible = False


@register
class Letter(ToProvider):
    """A message by SMTP."""

    name = "outside.letter"
    delivery = Delivery.UNCERTAIN
    is_reversible = False

    def apply(self, params: dict[str, Any], *, key: str, expected: dict[str, Any]) -> Outcome:
        message = EmailMessage()
        message["Subject"], message["Message-ID"] = params["memo"], f"<{key}@countersign.example>"
        message["From"], message["To"] = "us@countersign.example", "them@provider.example"
        message.set_content("Something happened.")
        try:
            relay = smtplib.SMTP(HOST, ports()[1], timeout=deadline())
        except (OSError, smtplib.SMTPException) as error:
            raise TargetUnavailable("The relay cannot be reached.") from error
        try:
            relay.send_message(message)
        except smtplib.SMTPDataError as error:
            raise self.meaning(error.smtp_code) from error
        except (OSError, smtplib.SMTPException) as error:
            raise OutcomeUnknown("The relay did not answer.") from error
        finally:
            relay.close()
        return Outcome(
            result={"id": key},
            after={self.resource(params): {"state": "noted"}},
            evidence={"reference": key, "status": 250},
        )

    def meaning(self, code: int) -> Exception:
        """What a relay says about a message; when it closes instead, it may have taken it."""
        if 500 <= code < 600:
            return TargetRefused("The relay refused it.")
        if 400 <= code < 500 and code != 421:
            return TargetUnavailable("The relay asks to be left alone for a while.")
        return OutcomeUnknown("The relay said nothing clear.")
