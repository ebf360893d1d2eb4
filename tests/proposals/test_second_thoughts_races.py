"""Second thoughts at the same moment as something else: exactly one order, on a real database."""

import pytest

from proposals import execution, services
from proposals.exceptions import ProposalError
from proposals.models import Execution, Review, Revision
from tests.factories import approve, fresh, make_checked, make_person, painting, work
from tests.proposals.test_idempotency import all_at_once
from tests.toys import box

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toybox")]
ROUNDS = range(5)


def outcome(verb):
    """What came of it: its answer, or the refusal in the product's own words."""
    try:
        return verb()
    except ProposalError as refusal:
        return refusal


@pytest.mark.parametrize("number", ROUNDS)
def test_a_withdrawal_and_a_claim_at_once_leave_either_a_write_or_a_fresh_check(number):
    rita = make_person()
    proposal = make_checked(params=painting(tier="medium"))
    approve(proposal)
    digest, attempt = fresh(proposal).current_check.digest, Execution.objects.get().pk

    def take_back():
        return services.withdraw_decision(proposal_id=proposal.pk, reviewer=rita, digest=digest)

    said, _ = all_at_once([lambda: outcome(take_back), lambda: execution.run(attempt)])
    work()
    if isinstance(said, ProposalError):
        assert fresh(proposal).status == "committed"
        assert box.colours["bear"] == "blue"
    else:
        assert fresh(proposal).status == "pending"
        assert box.colours["bear"] == "brown"
        assert box.effects == []


def test_the_same_decision_is_taken_back_once_however_often_it_is_sent():
    saul = make_person("saul", groups=["senior-reviewers"])
    proposal = make_checked(params=painting(tier="high"))
    approve(proposal, reviewer=saul, fact="bear")
    digest = fresh(proposal).current_check.digest

    def take_back():
        return services.withdraw_decision(proposal_id=proposal.pk, reviewer=saul, digest=digest)

    said = all_at_once([lambda: outcome(take_back)] * 6)
    assert sum(not isinstance(one, ProposalError) for one in said) == 1
    assert Review.objects.filter(decision="withdraw").count() == 1


def test_the_same_approval_is_stored_once_however_often_it_is_sent_also_when_given_again():
    saul = make_person("saul", groups=["senior-reviewers"])
    proposal = make_checked(params=painting(tier="high"))
    approve(proposal, reviewer=saul, fact="bear")
    digest = fresh(proposal).current_check.digest
    services.withdraw_decision(proposal_id=proposal.pk, reviewer=saul, digest=digest)
    work()
    said = all_at_once([lambda: outcome(lambda: approve(proposal, reviewer=saul, fact="bear"))] * 6)
    assert sum(not isinstance(one, ProposalError) for one in said) == 1
    assert Review.objects.filter(decision="approve").count() == 2
    assert fresh(proposal).status == "pending"


def test_two_people_who_edit_at_once_write_one_revision():
    people = [make_person("rita"), make_person("ravi")]
    proposal = make_checked(params=painting(tier="medium"))
    digest = fresh(proposal).current_check.digest

    def edit(person, colour):
        return services.revise_as_reviewer(
            proposal_id=proposal.pk,
            person=person,
            digest=digest,
            params=painting(colour, tier="medium"),
            reason="It was agreed.",
        )

    said = all_at_once(
        [
            lambda: outcome(lambda: edit(people[0], "green")),
            lambda: outcome(lambda: edit(people[1], "pink")),
        ]
    )
    assert sum(not isinstance(one, ProposalError) for one in said) == 1
    assert Revision.objects.filter(proposal=proposal).count() == 2
