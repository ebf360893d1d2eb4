"""Who looks at the admin, and something for them to see."""

import pytest

from tests import factories
from tests.proposals.admin.pages import hostile_proposal, signed_in


@pytest.fixture
def ada():
    return signed_in("ada", ["policy-administrators"], is_superuser=True)


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
