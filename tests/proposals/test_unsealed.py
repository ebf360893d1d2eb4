"""Dear writes wait while nothing seals the ledger: what it says of them could be changed unseen."""

import time

import pytest

from ledger import clock, sealer
from ledger.models import LedgerEntry
from proposals import execution, resolving
from proposals.models import Execution, Proposal
from proposals.registry import Delivery
from proposals.services import decisions
from tests import factories
from tests.depot import BY_DELIVERY
from tests.factories import fresh, make_checked, make_person, painting
from tests.proposals.test_outcomes import time_passes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toybox")]
LIMIT_SECONDS = 3


@pytest.fixture(autouse=True)
def _soon(settings, tmp_path):
    settings.UNSEALED_STOP_SECONDS = LIMIT_SECONDS
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


def test_a_high_tier_write_waits_for_seals_and_goes_on_with_them():
    proposal = approved(**painting(tier="high"))
    time.sleep(LIMIT_SECONDS + 0.1)
    held = turn(proposal)
    assert (held.status, held.is_held) == ("approved", True)
    assert "not been sealed" in held.reason
    entry = LedgerEntry.objects.filter(proposal=str(proposal.pk)).latest("pk")
    assert entry.kind == "execution.held"
    sealer.tick()
    assert turn(proposal).status == "committed"


def test_what_is_cheaper_does_not_wait():
    proposal = approved(**painting(tier="medium"))
    time.sleep(LIMIT_SECONDS + 0.1)
    assert turn(proposal).status == "committed"


def test_a_high_tier_write_is_not_sent_again_either(the_depot):
    proposal = approved(BY_DELIVERY[Delivery.KEYED], parcel="books", tier="high")
    the_depot.failing["send"] = "unclear"
    sealer.tick()  # however long it took to get here
    assert turn(proposal).status == "unknown"
    the_depot.failing.clear()
    time_passes(2)
    time.sleep(LIMIT_SECONDS + 0.1)
    resolving.run(proposal.executions.get().pk)
    assert fresh(proposal).status == "unknown"
    sealer.tick()
    time_passes(200)
    resolving.run(proposal.executions.get().pk)
    assert fresh(proposal).status == "committed"
