"""Every move between statuses that is legal, and every one that is not."""

from itertools import product

import pytest

from ledger.models import LedgerEntry
from proposals.exceptions import IllegalTransition
from proposals.lifecycle import OPEN, TERMINAL, TRANSITIONS, Status, transition
from tests import factories

PAIRS = list(product(Status, Status))


@pytest.mark.django_db
@pytest.mark.parametrize(("start", "to"), PAIRS, ids=[f"{a} to {b}" for a, b in PAIRS])
def test_every_pair_of_statuses(start, to):
    proposal = factories.make_proposal()
    proposal.status = start
    before = LedgerEntry.objects.count()
    if to in TRANSITIONS[start]:
        transition(proposal, to, actor="test")
        entry = LedgerEntry.objects.latest("id")
        assert entry.kind == f"proposal.{to.value}"
        assert entry.body["from"] == start
        assert LedgerEntry.objects.count() == before + 1
        proposal.refresh_from_db()
        assert proposal.status == to
    else:
        with pytest.raises(IllegalTransition):
            transition(proposal, to, actor="test")
        assert LedgerEntry.objects.count() == before


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
