"""What was shown is what runs: an execution of any other check writes nothing."""

import pytest

from proposals import checks, execution, services
from proposals.models import Execution, Proposal
from tests import factories
from tests.factories import fresh, make_checked, make_person, painting

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]


def test_an_execution_whose_check_is_no_longer_the_current_one_is_returned(toybox):
    make_person()
    proposal = make_checked(params=painting(tier="medium"))
    other = make_checked(params=painting("red", toy="duck", tier="medium"))
    factories.approve(proposal)
    # No verb leads here; this is what a mended row or a restored backup could look like.
    Proposal.objects.filter(pk=proposal.pk).update(current_check=other.current_check)
    execution.run(Execution.objects.get().pk)
    assert toybox.effects == []
    assert fresh(proposal).status == "submitted"


def test_a_recheck_after_the_approval_is_withdrawn_with_its_execution(toybox):
    make_person()
    proposal = make_checked(params=painting(tier="medium"))
    services.recheck(proposal_id=proposal.pk, reason="Once more.")
    toybox.colours["bear"] = "green"
    checks.run(proposal.pk)
    factories.approve(proposal)
    toybox.colours["bear"] = "brown"
    execution.run(Execution.objects.get().pk)
    assert toybox.effects == []
