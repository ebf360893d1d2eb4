"""What an intent found in force is what is written by, also where others learn of a change."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections, transaction

from proposals import execution, resolving
from proposals.models import Execution
from proposals.registry import Delivery
from proposals.rounds import Rounds
from proposals.targets import wiring
from tests.factories import fresh, make_person
from tests.proposals.test_outcomes import approved, time_passes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("the_depot")]


def elsewhere(ask):
    """What another thread of this process finds."""

    def found():
        try:
            return ask()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(found).result(30)


@pytest.fixture
def changed_at_the_last_moment(the_depot, monkeypatch):
    """Somebody changes what is in force after the intent; what other threads know that look."""
    take, found = the_depot.take, []

    def change_and_take(*args, **kwargs):
        with transaction.atomic():
            wiring.announce()
        found.append(elsewhere(wiring.refresh))
        found.append(elsewhere(Rounds().recheck_for_new_tables))
        return take(*args, **kwargs)

    monkeypatch.setattr(the_depot, "take", change_and_take)
    return found


class TestBetweenAnIntentAndItsWrite:
    def test_no_other_thread_makes_a_change_known(self, changed_at_the_last_moment):
        make_person()
        proposal = approved(Delivery.UNCERTAIN)
        known = wiring._token
        execution.run(Execution.objects.get().pk)
        assert fresh(proposal).status == "committed"
        assert changed_at_the_last_moment == [False, 0]
        assert wiring._token == known
        assert elsewhere(wiring.refresh)
        assert wiring._token != known

    def test_nor_when_it_is_sent_again(self, the_depot, changed_at_the_last_moment):
        make_person()
        proposal = approved(Delivery.KEYED)
        the_depot.failing["send"] = "unclear"
        execution.run(Execution.objects.get().pk)
        the_depot.failing.clear()
        changed_at_the_last_moment.clear()
        time_passes(2)
        resolving.run(Execution.objects.get().pk)
        assert fresh(proposal).status == "committed"
        assert changed_at_the_last_moment == [False, 0]
