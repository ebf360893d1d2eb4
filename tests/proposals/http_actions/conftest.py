"""A service to write to, and Polly, who administers policy and defines actions for it."""

from collections.abc import Iterator
from typing import Any

import pytest

from proposals import services
from proposals.http_actions import ready
from proposals.targets import wiring
from tests import factories
from tests.proposals.http_actions.service import Service, running

SECRET = "sk_test_planted-Secret/91c7+x"


@pytest.fixture
def service(settings: Any) -> Iterator[Service]:
    """A service on this machine that the operator listed."""
    with running() as found:
        settings.HTTP_HOSTS = [found.origin.removeprefix("http://")]
        yield found
    wiring.forget()


@pytest.fixture
def polly() -> Any:
    return factories.make_person("polly", groups=["policy-administrators"])


def refunding(service: Service, **changes: Any) -> dict[str, Any]:
    """The ready-made refund, at this service, with an undo that the real one does not have."""
    answers = {"applied": [200], "not_applied": [400, 404], "message": "/error/message"}
    cancel = {"method": "POST", "path": "/v1/refunds/{reference}/cancel"}
    undo = {
        "sentence": "Cancel refund {reference} of charge {charge}",
        "request": cancel,
        "answers": answers,
        "reference": "/id",
        "idempotency": {"header": "Idempotency-Key", "hours": 24},
    }
    here = {"origin": service.origin, "undo": undo}
    return {**ready.definition("stripe-refund"), **here, **changes}


def pricing(service: Service, **changes: Any) -> dict[str, Any]:
    """The ready-made change of a price, at this service."""
    found = {**ready.definition("generic-json"), "origin": service.origin, **changes}
    found["authentication"] = {"scheme": "header", "header": "X-Api-Key", "secret": "stripe"}
    return found


REFUND = {"charge": "ch_abcd", "amount": {"amount": "12.00", "currency": "EUR"}}
PRICE = {"item": "lamp", "price": "12.50"}


@pytest.fixture
def defined(db: Any, service: Service, polly: Any) -> Service:
    """Both actions, and the secret they share."""
    services.keep_secret(name="stripe", origin=service.origin, value=SECRET, person=polly)
    services.save_http_action(definition=refunding(service), person=polly)
    services.save_http_action(definition=pricing(service), person=polly)
    wiring.refresh()
    return service
