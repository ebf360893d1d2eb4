"""A hundred approvals at once never burst a cap: each waits for its slot, and all are written."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection

from budgets.models import Budget, Reservation
from ledger import clock
from ledger.models import LedgerEntry
from proposals import dispatch, execution, services
from proposals.lifecycle import Status
from proposals.models import Execution, Proposal
from tests import factories
from tests.factories import make_agent, make_person, painting
from tests.proposals.test_idempotency import all_at_once
from tests.toys import box

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toybox")]
APPROVALS, CAP, WINDOW, WORKERS = 100, 25, timedelta(seconds=2), 2


def approve_all_at_once(agent) -> None:
    """As many as there ever were, under a cap that is lowered before the first is written."""
    values = {"name": "Cap", "unit": "writes", "limit": APPROVALS}
    budget = Budget(**values, window_seconds=int(WINDOW.total_seconds()))
    services.save_budget(budget=budget, person=None, is_new=True)
    for number in range(APPROVALS):
        # The colour that it has: so none of them moves the target under the others.
        params = painting(box.colours["bear"], tier="medium", note=number)
        proposal = factories.make_proposal(agent=agent, params=params)
        dispatch.check_and_commit(proposal.pk)
        factories.approve(proposal)
    budget.limit = CAP
    services.save_budget(budget=budget, person=None, is_new=False)
    # They were asked for long ago: what counts is when they are claimed.
    Reservation.objects.update(counted_at=clock.now() - timedelta(hours=1))


def work_until_done(deadline: float) -> None:
    try:
        while time.monotonic() < deadline and Execution.objects.open().exists():
            for pk in list(Execution.objects.due(clock.now()).values_list("pk", flat=True)):
                execution.run(pk)
            time.sleep(0.02)
    finally:
        connection.close()


def fullest_window(times) -> int:
    times = sorted(times)
    return max(sum(at - WINDOW < one <= at for one in times) for at in times)


def test_a_hundred_approvals_at_once_stay_within_the_cap():
    make_person()
    approve_all_at_once(make_agent())
    assert Execution.objects.open().count() == APPROVALS
    deadline = time.monotonic() + 90
    workers = [threading.Thread(target=work_until_done, args=(deadline,)) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert set(Proposal.objects.values_list("status", flat=True)) == {Status.COMMITTED}
    claimed = LedgerEntry.objects.filter(kind="execution.claimed").values_list("at", flat=True)
    assert len(claimed) == APPROVALS
    assert fullest_window(claimed) <= CAP
    assert set(Reservation.objects.values_list("status", flat=True)) == {"captured"}


def test_of_two_that_are_late_at_once_each_gets_a_slot_of_its_own():
    make_person()
    one = Budget(name="Cap", unit="writes", limit=1, window_seconds=60)
    services.save_budget(budget=one, person=None, is_new=True)
    waiting = []
    for toy in ("bear", "duck"):
        waiting.append(
            factories.make_checked(params=painting("red", toy=toy, tier="medium"), run=toy)
        )
        Reservation.objects.update(counted_at=clock.now() - timedelta(hours=1))
    written = factories.make_checked(params=painting("pink", toy="duck"), run="another")
    assert written.status == "committed"
    for proposal in waiting:
        factories.approve(proposal)
    late = list(Execution.objects.filter(status="queued").values_list("pk", flat=True))
    all_at_once([lambda pk=pk: execution.run(pk) for pk in late])
    first, second = sorted(
        Execution.objects.filter(pk__in=late).values_list("run_after", flat=True)
    )
    assert second - first == timedelta(seconds=60)
