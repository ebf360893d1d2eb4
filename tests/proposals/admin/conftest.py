"""Who looks at the admin, and something for them to see."""

import pytest

from ledger import clock
from proposals import breakers, execution, services
from proposals.models import Breaker, Exchange
from tests import factories
from tests.proposals.admin.pages import TOLD, hostile_proposal, signed_in


@pytest.fixture
def ada():
    """Manages accounts by superuser status, and everything else by her groups."""
    return signed_in("ada", ["policy-administrators", "auditors"], is_superuser=True)


@pytest.fixture
def amir():
    return signed_in("amir", ["auditors"])


@pytest.fixture
def paula():
    """A policy administrator without superuser status."""
    return signed_in("paula", ["policy-administrators"])


@pytest.fixture
def written(toybox):
    factories.token_for(factories.make_agent())
    proposal = hostile_proposal()
    assert proposal.status == "committed"
    return proposal


@pytest.fixture
def outside(the_depot):
    """An unknown outcome with an answer that should deceive, a finding, and a target left alone."""
    proposal = factories.make_checked(action="parcels.uncertain", params={"parcel": "books"})
    factories.approve(proposal)
    the_depot.failing["answer"] = "unclear"
    execution.run(proposal.executions.get().pk)
    Exchange.objects.update(detail=TOLD, evidence={TOLD: TOLD})
    services.attest(
        proposal_id=proposal.pk,
        person=factories.make_person("olga", groups=["operators"]),
        finding="cannot_tell",
        evidence=TOLD,
    )
    breaker = Breaker.objects.get()
    breaker.opened_at, breaker.reason = clock.now(), "5 calls in a row had no clear answer."
    breaker.save()
    breakers.record(breaker, "breaker.opened", "system:breaker", {"reason": breaker.reason})
    return factories.fresh(proposal)
