"""Every move between statuses that is legal, and every one that is not."""

from itertools import product

import pytest

from ledger.models import LedgerEntry
from proposals.exceptions import IllegalTransition
from proposals.lifecycle import OPEN, TERMINAL, TRANSITIONS, Status, transition
from tests import factories

pytestmark = pytest.mark.usefixtures("toybox")


@pytest.mark.django_db
def test_every_pair_of_statuses(subtests):
    proposal = factories.make_proposal()
    entries = LedgerEntry.objects.count()
    for start, to in product(Status, Status):
        with subtests.test(start=start, to=to):
            proposal.status = start
            if to in TRANSITIONS[start]:
                transition(proposal, to, actor="test")
                entries += 1
                entry = LedgerEntry.objects.latest("id")
                assert entry.kind == f"proposal.{to.value}"
                assert entry.body["from"] == start
                assert factories.fresh(proposal).status == to
            else:
                with pytest.raises(IllegalTransition):
                    transition(proposal, to, actor="test")
            assert LedgerEntry.objects.count() == entries


def test_every_status_can_be_reached_from_submitted():
    reached, frontier = {Status.SUBMITTED}, [Status.SUBMITTED]
    while frontier:
        for following in TRANSITIONS[frontier.pop()]:
            if following not in reached:
                reached.add(following)
                frontier.append(following)
    assert reached == set(Status)


def test_terminal_statuses_are_those_without_a_way_on():
    assert {status.value for status in TERMINAL} == {
        "committed",
        "denied",
        "rejected",
        "withdrawn",
        "expired",
    }
    assert not OPEN & TERMINAL


@pytest.mark.django_db
def test_entering_submitted_raises_the_round():
    proposal = factories.make_proposal()
    transition(proposal, Status.SUBMITTED, actor="test")
    proposal.refresh_from_db()
    assert proposal.round == 2
