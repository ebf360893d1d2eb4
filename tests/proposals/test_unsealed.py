"""Dear writes wait while nothing seals the ledger: what it says of them could be changed unseen."""

import pytest

from ledger import clock, sealer
from ledger.models import LedgerEntry
from proposals import execution, freezing, resolving, services
from proposals.models import Execution, Proposal
from proposals.registry import Delivery
from proposals.services import decisions
from tests import factories
from tests.depot import BY_DELIVERY
from tests.factories import fresh, make_checked, make_person, painting
from tests.proposals.test_outcomes import time_passes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toybox")]


@pytest.fixture(autouse=True)
def _soon(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    make_person()


def approved(action: str = "toys.set", **params: str) -> Proposal:
    proposal = make_checked(action=action, params=params)
    fact = decisions.expected_fact(proposal.current_check)
    said = {"reason": "I looked at it, and it is right.", "fact": fact}
    names = ("ana", "bela") if proposal.tier == "high" else ()
    for reviewer in [make_person(name, groups=["senior-reviewers"]) for name in names] or [None]:
        factories.approve(proposal, reviewer=reviewer, **said)
    assert fresh(proposal).status == "approved"
    return fresh(proposal)


def turn(proposal: Proposal) -> Proposal:
    """A worker comes by, whatever it was told of when to come."""
    Execution.objects.filter(proposal=proposal).update(run_after=clock.now())
    execution.run(proposal.executions.get().pk)
    return fresh(proposal)


def test_a_high_tier_write_waits_for_seals_and_goes_on_with_them(settings):
    proposal = approved(**painting(tier="high"))
    settings.UNSEALED_STOP_SECONDS = 0  # long ago, as it were
    held = turn(proposal)
    assert (held.status, held.is_held) == ("approved", True)
    assert "until the ledger is sealed again" in held.reason
    entry = LedgerEntry.objects.filter(proposal=str(proposal.pk)).latest("pk")
    assert entry.kind == "execution.held"
    sealer.tick()
    settings.UNSEALED_STOP_SECONDS = 600
    assert turn(proposal).status == "committed"


def test_what_is_cheaper_does_not_wait(settings):
    proposal = approved(**painting(tier="medium"))
    settings.UNSEALED_STOP_SECONDS = 0  # long ago, as it were
    assert turn(proposal).status == "committed"


def test_a_high_tier_write_is_not_sent_again_either(settings, the_depot):
    proposal = approved(BY_DELIVERY[Delivery.KEYED], parcel="books", tier="high")
    the_depot.failing["send"] = "unclear"
    assert turn(proposal).status == "unknown"
    the_depot.failing.clear()
    time_passes(2)
    settings.UNSEALED_STOP_SECONDS = 0  # long ago, as it were
    resolving.run(proposal.executions.get().pk)
    assert fresh(proposal).status == "unknown"
    sealer.tick()
    settings.UNSEALED_STOP_SECONDS = 600
    time_passes(200)
    resolving.run(proposal.executions.get().pk)
    assert fresh(proposal).status == "committed"


def test_what_people_ask_for_does_not_wait(settings):
    written = make_checked()
    undo = services.undo(proposal_id=written.pk, person=make_person(), reason="Wrong.")
    Proposal.objects.filter(pk=undo.pk).update(tier="high")
    settings.UNSEALED_STOP_SECONDS = 0
    assert freezing.is_unsealed_for(Proposal(tier="high"))
    assert not freezing.is_unsealed_for(fresh(undo))
