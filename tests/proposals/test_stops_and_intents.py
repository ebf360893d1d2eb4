"""A stop and an intent at the same time: each waits for the other, and neither misses it.

On SQLite the one writer is the gate, and there is nothing to see.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from proposals import execution, resolving, services
from proposals.http_actions import ready
from proposals.models import Agent, Execution
from tests import mail_fixture
from tests.factories import approve, make_agent, make_checked, painting
from tests.meanwhile import Meanwhile
from tests.proposals.test_outcomes import time_passes, unknown
from tests.proposals.test_secrets import DEFINITION, PLANTED, connect
from tests.target_fixture import disconnect, paula

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time."),
]


def claimed(request: pytest.FixtureRequest) -> Callable[[], Any]:
    """The intent of a write that a worker has claimed."""
    request.getfixturevalue("toybox")
    approve(make_checked(params=painting(tier="medium")))
    claim = execution.take(Execution.objects.get().pk)
    assert claim is not None
    return lambda: execution.intend(claim)


def unclear(request: pytest.FixtureRequest) -> Callable[[], Any]:
    """The resend of a write whose outcome is unknown."""
    unknown(request.getfixturevalue("the_depot"), "keyed")
    time_passes(60)
    return lambda: resolving.take(Execution.objects.get().pk)


def frozen(agent: Agent) -> None:
    services.freeze(reason="Prices look wrong.")


def suspended(agent: Agent) -> None:
    services.set_suspended(agent_id=agent.pk, is_suspended=True, reason="It loops.")


def observed(agent: Agent) -> None:
    services.set_observed(agent_id=agent.pk, is_observed=True)


@pytest.mark.parametrize("about_to", [claimed, unclear])
@pytest.mark.parametrize("stop", [frozen, suspended, observed])
class TestAStop:
    def test_waits_for_an_intent_that_did_not_see_it(self, request, stop, about_to):
        agent, intend = make_agent(), about_to(request)
        with transaction.atomic():
            assert intend()
            other = Meanwhile(lambda: stop(agent))
            assert other.has_waited
        assert other.came_to() is None

    def test_is_seen_by_every_intent_that_waited_for_it(self, request, stop, about_to):
        agent, intend = make_agent(), about_to(request)
        with transaction.atomic():
            stop(agent)
            other = Meanwhile(intend)
            assert other.has_waited
        assert not other.came_to()


CHANGES: dict[str, Callable[[], Any]] = {
    "a database is connected": lambda: connect(name="other"),
    "a database has moved": lambda: services.change_database(
        name="crm", changes={"port": 2}, password=PLANTED, person=paula()
    ),
    "a database is switched off": lambda: services.switch_database(
        name="crm", is_enabled=False, person=paula()
    ),
    "a table is described": lambda: services.describe_table(
        database="crm", name="customers", definition=DEFINITION, person=paula()
    ),
    "a secret is kept": lambda: services.keep_secret(
        name="stripe", origin="https://stripe.example", value=PLANTED, person=paula()
    ),
    "a secret is forgotten": lambda: services.forget_secret(name="shipping", person=paula()),
    "a template says something else": lambda: mail_fixture.write(label="Order sent"),
    "a template is switched off": lambda: services.switch_mail_template(
        name="order-shipped", is_enabled=False, person=paula()
    ),
    "mail goes to another domain": lambda: mail_fixture.lists("other.example"),
    "an HTTP action is defined": lambda: services.save_http_action(
        definition=ready.definition("generic-json"), person=paula()
    ),
    "HTTP actions are brought in": lambda: services.import_http_actions(
        text=ready.text("generic-json"), person=paula()
    ),
}


@pytest.fixture
def described(settings, tmp_path):
    """What writes are made from, as people described it."""
    settings.DATA_DIR, settings.SECRETS_KEY = tmp_path, ""
    connect()
    mail_fixture.write()
    mail_fixture.lists("customer.example")
    services.keep_secret(
        name="shipping", origin="https://shipping.example", value=PLANTED, person=paula()
    )
    yield
    disconnect()


@pytest.mark.usefixtures("described")
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_writes_are_made_from_changes_while_no_intent_is_under_way(request, change):
    intend = claimed(request)
    with transaction.atomic():
        assert intend()
        other = Meanwhile(change)
        assert other.has_waited, other.found
    assert not isinstance(other.came_to(), Exception)
