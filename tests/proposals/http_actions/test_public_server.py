"""A server that was not written here: localstripe, a Stripe-like service of other people.

It takes forms and knows no idempotency keys, so it is asked by our key in its metadata: what may be
promised follows from what is defined. Without it installed, this file says that it was left out.
"""

import importlib.util
import json
import socket
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from proposals import services
from proposals.http_actions import ready
from proposals.registry import Delivery, registry
from proposals.targets import wiring
from tests import factories
from tests.processes import eventually
from tests.proposals.http_actions.steps import approved, asked, look_again, take_back

if importlib.util.find_spec("localstripe") is None:
    pytest.skip(
        "Left out: localstripe is not installed (requirements-dev.txt).", allow_module_level=True
    )

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.processes]
KEY = "sk_test_of_localstripe"
SERVE = """
import sys
from aiohttp import web
from localstripe.server import app
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None)
"""
LEFT_BEHIND = Path("/tmp/localstripe.pickle")
CARD = {"type": "card", "card[number]": "4242424242424242", "card[cvc]": "123"}
CARD |= {"card[exp_month]": "12", "card[exp_year]": "2099"}


class Relay:
    """Passes requests on to the server, and can lose an answer on the way back."""

    def __init__(self, port: int) -> None:
        self.behind, self.loses = port, False
        self.door = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self.door.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                self.carry(self.door.accept()[0])

    def carry(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self.behind)) as server:
            server.sendall(whole(client))
            answer = b"".join(iter(lambda: server.recv(65536), b""))
            if not self.loses:
                client.sendall(answer)
            self.loses = False


def whole(client: socket.socket) -> bytes:
    """A request up to the end of its body; it says that the connection ends with it."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += client.recv(65536)
    head, _, body = got.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
    while lengths and len(body) < int(lengths[0].split(b":")[1]):
        body += client.recv(65536)
    return head + b"\r\n\r\n" + body


class Stripe:
    """The server, as somebody with its key sees it."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, path: str, form: dict[str, str] | None = None) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=urllib.parse.urlencode(form).encode() if form else None,
            headers={"Authorization": f"Bearer {KEY}"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def is_up(self) -> bool:
        with suppress(OSError):
            return bool(self.ask("/v1/charges"))
        return False

    @property
    def charges(self) -> list[dict[str, Any]]:
        return self.ask("/v1/charges?limit=100")["data"]

    @property
    def refunds(self) -> list[dict[str, Any]]:
        return self.ask("/v1/refunds?limit=100")["data"]


@contextmanager
def served() -> Iterator[Stripe]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    child = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        stripe = Stripe(port)
        eventually(stripe.is_up, within=60, what="localstripe")
        yield stripe
    finally:
        child.kill()
        child.wait()
        LEFT_BEHIND.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def stripe() -> Iterator[Stripe]:
    with served() as found:
        yield found


@pytest.fixture
def relay(stripe: Stripe, settings: Any, polly: Any) -> Iterator[Relay]:
    """Both actions, defined for the server behind the relay."""
    found = Relay(stripe.port)
    settings.HTTP_HOSTS = [found.origin.removeprefix("http://")]
    services.keep_secret(name="stripe", origin=found.origin, value=KEY, person=polly)
    refund = ready.definition("stripe-refund") | {"origin": found.origin}
    for definition in (charging(found.origin), refund):
        services.save_http_action(definition=definition, person=polly)
    wiring.refresh()
    yield found
    found.door.close()
    wiring.forget()


def charging(origin: str) -> dict[str, Any]:
    """Charge a card, which a refund takes back. The server is asked by the key in the metadata."""
    refund = ready.definition("stripe-refund")
    mine = {"metadata[countersign]": "{key}"}
    answers = refund["answers"]
    charge = {"amount": "{amount.minor}", "currency": "{amount.currency_lower}"}
    listed = {"list": "/data", "pointer": "/metadata/countersign", "more": "/has_more"}
    asked_for = {"found": [200], "items": listed, "reference": "/id"}
    refunds = {"path": "/v1/refunds", "query": {"charge": "{reference}", "limit": "100"}}
    return {
        "name": "payments.charge",
        "description": "Charge a customer's card.",
        "sentence": "Charge {amount} to card {card}",
        "parameters": {
            "card": {
                "kind": "identifier",
                "description": "The card.",
                "pattern": "pm_[a-zA-Z0-9]+",
            },
            "amount": {**refund["parameters"]["amount"], "description": "How much."},
        },
        "origin": origin,
        "resource": "cards/{card}",
        "tier": "high",
        "money": "amount",
        "authentication": refund["authentication"],
        "request": {
            "method": "POST",
            "path": "/v1/charges",
            "form": {**charge, "source": "{card}", **mine},
        },
        "answers": answers,
        "reference": "/id",
        "result": {"status": "/status"},
        "probe": {
            "request": {"path": "/v1/charges", "query": {"limit": "100"}},
            **asked_for,
        },
        "undo": {
            "sentence": "Refund charge {reference} of card {card} in full",
            "request": {
                "method": "POST",
                "path": "/v1/refunds",
                "form": {"charge": "{reference}", **mine},
            },
            "answers": answers,
            "reference": "/id",
            "probe": {"request": refunds, **asked_for},
        },
    }


@pytest.fixture
def params(stripe: Stripe) -> dict[str, Any]:
    card = stripe.ask("/v1/payment_methods", CARD)["id"]
    return {"card": card, "amount": {"amount": "42.00", "currency": "EUR"}}


def test_a_charge_is_written_once_replayed_and_taken_back(relay, stripe, params):
    assert registry.get("payments.charge").delivery is Delivery.QUERYABLE
    before = len(stripe.charges)
    proposal = asked("payments.charge", params, key="one-charge")
    assert proposal.status == "committed", proposal.reason
    reference = proposal.result["reference"]
    again = factories.make_proposal(action="payments.charge", params=params, key="one-charge")
    factories.work()
    assert again.pk == proposal.pk
    assert len(stripe.charges) == before + 1
    charge = stripe.ask(f"/v1/charges/{reference}")
    assert (charge["amount"], charge["currency"]) == (4200, "eur")
    undone = approved(take_back(proposal))
    assert undone.status == "committed", undone.reason
    assert undone.current_check.sentence.startswith(f"Refund charge {reference} of card pm_")
    assert stripe.ask(f"/v1/charges/{reference}")["refunded"] is True
    assert [one["id"] for one in stripe.refunds if one["charge"] == reference] == [
        undone.result["reference"]
    ]


def test_a_charge_whose_answer_is_lost_is_found_and_not_charged_again(relay, stripe, params):
    before = len(stripe.charges)
    proposal = factories.make_checked(action="payments.charge", params=params)
    relay.loses = True
    proposal = approved(proposal)
    assert proposal.status == "unknown"
    proposal = look_again(proposal, after=61)
    assert proposal.status == "committed", proposal.reason
    assert len(stripe.charges) == before + 1
    assert approved(take_back(proposal)).status == "committed"


def test_a_card_that_is_declined_has_failed_and_is_not_charged(relay, stripe, params):
    declined = CARD | {"card[number]": "4000000000000341"}
    card = stripe.ask("/v1/payment_methods", declined)["id"]
    proposal = asked("payments.charge", params | {"card": card})
    assert proposal.status == "failed"
    assert "Your card was declined" in proposal.reason


def test_the_ready_made_refund_does_what_it_says(relay, stripe, params):
    charge = asked("payments.charge", params).result["reference"]
    half = {"charge": charge, "amount": {"amount": "21.00", "currency": "EUR"}}
    check = factories.make_checked(action="payments.refund", params=half).current_check
    assert check.error == ""
    assert check.before[f"charges/{charge}"]["amount_refunded"] == 0
    proposal = approved(check.proposal)
    assert proposal.status == "committed", proposal.reason
    assert stripe.ask(f"/v1/charges/{charge}")["amount_refunded"] == 2100
