"""The checker itself: what belongs to nothing, or is over a cap, must be found."""

from datetime import timedelta
from uuid import uuid4

import pytest

from bench.chaos import checker
from budgets.models import Budget, Reservation
from ledger import clock
from proposals import services
from tests.factories import make_checked, make_person, painting

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toybox")]


@pytest.fixture
def reserved():
    """What a pending proposal holds and a committed one has used, of writes and of proposals."""
    make_person()
    for unit in ("writes", "proposals"):
        budget = Budget(name=unit, unit=unit, limit=9, window_seconds=60)
        services.save_budget(budget=budget, person=None, is_new=True)
    make_checked(params=painting(tier="low"))
    make_checked(params=painting(tier="medium"))
    found = Reservation.objects.filter(scope__budget__unit="writes")
    assert sorted(found.values_list("status", flat=True)) == ["captured", "held"]
    assert checker.check_everything() == []
    return found


@pytest.mark.parametrize("status", ["held", "captured"])
@pytest.mark.parametrize("unit", ["writes", "proposals"])
def test_a_reservation_of_no_proposal_is_found(reserved, unit, status):
    proposal = str(uuid4())
    Reservation.objects.create(
        scope=Reservation.objects.filter(scope__budget__unit=unit)[0].scope,
        proposal=proposal,
        amount=1,
        status=status,
        counted_at=clock.now() - timedelta(days=1),
    )
    (fault,) = checker.check_everything()
    assert f"{status} of no proposal ({proposal})" in fault


def test_what_is_held_for_what_has_ended_is_found(reserved):
    Reservation.objects.filter(pk__in=reserved.filter(status="captured")).update(status="held")
    (fault,) = checker.check_everything()
    assert "held for what is committed" in fault


def test_what_is_captured_for_what_was_not_written_is_found(reserved):
    Reservation.objects.filter(pk__in=reserved.filter(status="held")).update(status="captured")
    (fault,) = checker.check_everything()
    assert "captured for what is pending" in fault
