"""Who may fill a seat: each reason why somebody may not, alone."""

import pytest

from proposals import seats, services
from proposals.exceptions import NotEligible
from tests import factories
from tests.factories import make_checked, make_person, painting, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]


@pytest.fixture
def pending():
    make_person()
    return make_checked(params=painting(tier="medium"))


def test_a_reviewer_may(pending):
    assert seats.blockers(make_person(), pending, pending.current_check) == []


def test_a_member_of_another_group_may_not_even_with_the_right(pending):
    from django.contrib.auth.models import Group, Permission

    elsewhere = Group.objects.create(name="finance")
    elsewhere.permissions.add(Permission.objects.get(codename="decide_proposal"))
    fiona = make_person("fiona", groups=["finance"])
    with pytest.raises(NotEligible, match="Only members of reviewers"):
        factories.approve(pending, reviewer=fiona)


def test_a_member_of_the_group_without_the_right_may_not(pending):
    from django.contrib.auth.models import Group

    Group.objects.get(name="reviewers").permissions.clear()
    with pytest.raises(NotEligible, match="takes a right"):
        factories.approve(pending)


def test_whoever_asked_for_an_undo_does_not_approve_it(toybox):
    proposal = make_checked()
    toybox.colours["bear"] = "green"
    undo = services.undo(
        proposal_id=proposal.pk, person=make_person(), reason="A mix-up.", over_conflicts=True
    )
    work()
    with pytest.raises(NotEligible, match="nobody decides on what they proposed"):
        factories.approve(undo)


def test_another_account_of_whoever_asked_does_not_either(toybox):
    proposal = make_checked()
    toybox.colours["bear"] = "green"
    undo = services.undo(
        proposal_id=proposal.pk, person=make_person(), reason="A mix-up.", over_conflicts=True
    )
    work()
    twin = make_person("rita2", email="RITA@example.com")
    with pytest.raises(NotEligible, match="nobody decides on what they proposed"):
        factories.approve(undo, reviewer=twin)


def test_the_queue_holds_what_a_person_could_decide_and_nothing_else(pending):
    rita, owner = make_person(), make_person("olga", groups=["reviewers"])
    own = make_checked(
        agent=factories.make_agent("own-bot", owner=owner),
        params=painting("red", toy="duck", tier="medium"),
    )
    high = make_checked(params=painting("pink", toy="car", tier="high"))
    assert set(seats.waiting_on(rita)) == {pending, own}
    assert set(seats.waiting_on(owner)) == {pending}
    saul = make_person("saul", groups=["reviewers", "senior-reviewers"])
    assert set(seats.waiting_on(saul)) == {pending, own, high}
    factories.approve(high, reviewer=saul, fact="car")
    assert set(seats.waiting_on(saul)) == {pending, own}
