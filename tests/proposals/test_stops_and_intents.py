"""A stop and an intent at the same time: each waits for the other, and neither misses it.

On SQLite the one writer is the gate, and there is nothing to see.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from proposals import execution, resolving, services
from proposals.models import Agent, Execution
from tests.factories import approve, make_agent, make_checked, painting
from tests.meanwhile import Meanwhile
from tests.proposals.test_outcomes import time_passes, unknown

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
