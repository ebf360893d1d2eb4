"""Who may fill a seat: each reason why somebody may not, alone."""

from importlib import import_module

import pytest
from django.apps import apps

from ledger import clock
from proposals import execution, seats, services, story_sources, tokens
from proposals.exceptions import NotEligible
from proposals.models import AgentToken, Execution, Notice, Proposal
from proposals.notices import audience
from tests import factories
from tests.factories import fresh, make_checked, make_person, painting, work
from tests.proposals.test_console import Page, address, signed_in

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


class TestWhoeverIssuedAToken:
    REFUSED = "You issued a token that the agent billing-bot could propose this with"

    @pytest.fixture
    def opa(self):
        """In both groups, by no fault of anybody's."""
        make_person()
        return make_person("opa", groups=["operators", "reviewers", "senior-reviewers"])

    def issue(self, person) -> str:
        return services.issue_token(agent_id=factories.make_agent().pk, person=person)

    def ask(self, token: str, tier: str = "medium") -> Proposal:
        answer = factories.AgentClient(token).propose(params=painting(tier=tier))
        assert answer.status_code == 201
        work()
        return Proposal.objects.get(pk=answer.json()["id"])

    @pytest.mark.parametrize("tier", ["medium", "high"])
    @pytest.mark.parametrize("decision", ["approve", "reject", "request_changes", "comment"])
    def test_decides_on_nothing_that_was_asked_for_with_it(self, opa, tier, decision):
        proposal = self.ask(self.issue(opa), tier)
        with pytest.raises(NotEligible, match=self.REFUSED):
            factories.review(proposal, decision, reviewer=opa)
        assert proposal not in seats.waiting_on(opa)

    def test_nor_on_what_was_asked_for_before_it_or_with_another(self, opa):
        before = self.ask(factories.token_for(factories.make_agent()))
        assert before in seats.waiting_on(opa)
        self.issue(opa)
        with pytest.raises(NotEligible, match=self.REFUSED):
            factories.approve(before, reviewer=opa)
        assert before not in seats.waiting_on(opa)

    def test_nor_by_another_account(self, opa):
        proposal = self.ask(self.issue(opa))
        twin = make_person("opa2", email="OPA@example.com")
        with pytest.raises(NotEligible, match=self.REFUSED):
            factories.approve(proposal, reviewer=twin)

    def test_nor_once_it_was_revoked_or_replaced(self, opa):
        proposal = self.ask(self.issue(opa))
        olga = make_person("olga", groups=["operators"])
        token = AgentToken.objects.get()
        services.rotate_token(token_id=token.pk, person=olga, overlap_hours=0)
        services.revoke_token(token_id=token.pk, person=opa)
        with pytest.raises(NotEligible, match=self.REFUSED):
            factories.approve(proposal, reviewer=opa)
        assert proposal not in seats.waiting_on(opa)

    def test_nor_by_rotating_one_of_somebody_else(self, opa):
        proposal = self.ask(factories.token_for(factories.make_agent()))
        services.rotate_token(token_id=AgentToken.objects.get().pk, person=opa, overlap_hours=24)
        with pytest.raises(NotEligible, match=self.REFUSED):
            factories.approve(proposal, reviewer=opa)

    @pytest.mark.parametrize("end", ["revoked_at", "expires_at"])
    def test_does_once_it_had_ended_before_that_was_asked(self, opa, end):
        self.issue(opa)
        AgentToken.objects.update(**{end: clock.now()})
        proposal = self.ask(factories.token_for(factories.make_agent()))
        assert proposal in seats.waiting_on(opa)
        factories.approve(proposal, reviewer=opa)
        work()
        assert fresh(proposal).status == "committed"

    def test_decides_on_other_agents_and_others_decide_on_this_one(self, opa):
        proposal = self.ask(self.issue(opa))
        other = make_checked(
            agent=factories.make_agent("other-bot"),
            params=painting("red", toy="duck", tier="medium"),
        )
        assert set(seats.waiting_on(opa)) == {other}
        factories.approve(other, reviewer=opa, fact="duck")
        factories.approve(proposal)
        work()
        assert {fresh(one).status for one in (proposal, other)} == {"committed"}

    def test_loses_the_approval_that_they_gave_before(self, opa):
        proposal = self.ask(factories.token_for(factories.make_agent()))
        factories.approve(proposal, reviewer=opa)
        self.issue(opa)
        execution.run(Execution.objects.get().pk)
        work()
        found = fresh(proposal)
        assert found.status == "pending"
        [gone] = seats.no_longer_counting(found, found.current_check, [])
        assert self.REFUSED in gone.why

    def test_is_told_on_the_page_and_written_to_by_nobody(self, opa):
        proposal = self.ask(self.issue(opa))
        page = Page(signed_in(opa).get(address("proposal", proposal)))
        assert self.REFUSED in page.text
        notice = Notice.objects.get(kind="waits", proposal=proposal)
        assert audience.concerns(make_person(), notice)
        assert not audience.concerns(opa, notice)

    def test_a_token_that_comes_later_changes_no_story_that_has_ended(self, opa):
        proposal = self.ask(factories.token_for(factories.make_agent()))
        factories.approve(proposal, reviewer=opa)
        work()
        self.issue(opa)
        told = story_sources.gather(proposal.pk)
        assert "Neither owns the agent" in story_sources.independence(told, told.reviews[0])

    def test_is_known_of_tokens_older_than_the_column(self, opa):
        self.issue(opa)
        tokens.issue(agent=factories.make_agent(), actor="user:999999")
        tokens.issue(agent=factories.make_agent(), actor="system:operator")
        AgentToken.objects.update(issued_by=None)
        import_module("proposals.migrations.0020_known_issuers").find_out(apps, None)
        found = AgentToken.objects.order_by("pk").values_list("issued_by", flat=True)
        assert list(found) == [opa.pk, None, None]
