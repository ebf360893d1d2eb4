"""Proposing other values: a person who may decide writes the next revision, in their own name."""

import pytest

from ledger.models import LedgerEntry
from proposals import execution, idempotency, seats, services
from proposals.exceptions import (
    AlreadyDecided,
    IllegalTransition,
    InvalidParams,
    InvalidRequest,
    NotEligible,
    NotFound,
    OverBudget,
    StaleDigest,
)
from proposals.models import Execution, Review, Revision, Rule
from tests import factories
from tests.factories import approve, fresh, make_checked, make_person, painting, review, work
from tests.proposals.test_console import Page, address, signed_in
from tests.toys import box

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]
NOWHERE = "0199aaaa-0000-7000-8000-000000000000"


def edit(proposal, colour="green", *, person=None, **more):
    """Rita, or whoever is named, proposes another colour for what is current now."""
    current = fresh(proposal)
    return services.revise_as_reviewer(
        proposal_id=current.pk,
        person=person or make_person(),
        **{
            "digest": current.current_check.digest,
            "params": current.revision().params | {"colour": colour},
            "reason": "Green was agreed.",
            **more,
        },
    )


def edited(proposal, colour="green", **more):
    """The same, checked."""
    edit(proposal, colour, **more)
    work()
    return fresh(proposal)


def senior(name):
    return make_person(name, groups=["senior-reviewers"])


def objection(person, proposal):
    return seats.ineligibility(person, proposal, fresh(proposal).current_check)


@pytest.fixture
def medium():
    """Waits for one person."""
    make_person()
    return make_checked(params=painting(tier="medium"))


@pytest.fixture
def high():
    """Waits for two people."""
    return make_checked(params=painting(tier="high"))


class TestTheRevision:
    def test_is_theirs_and_is_checked_anew(self, medium):
        assert edit(medium).status == "submitted"
        assert fresh(medium).current_check is None
        work()
        current = fresh(medium)
        assert (current.status, current.revision_number) == ("pending", 2)
        revision = current.revision()
        assert revision.author == f"user:{make_person().pk}"
        assert revision.params == painting("green", tier="medium")
        assert current.current_check.after == {"bear": {"colour": "green"}}

    def test_keeps_the_agents_words_and_evidence(self):
        evidence = [{"kind": "record", "title": "The box", "content": {"bear": "brown"}}]
        proposal = make_checked(
            params=painting(tier="medium"),
            evidence=evidence,
            context={"model": "example-4"},
        )
        revision = edited(proposal).revision()
        assert revision.rationale == "The child asked for it."
        assert revision.context == {"model": "example-4"}
        assert [one.title for one in revision.evidence.all()] == ["The box"]

    def test_voids_the_approvals_of_what_it_replaces(self, high):
        approve(high, reviewer=senior("saul"), fact="bear")
        current = edited(high, person=senior("sara"))
        assert seats.approvals(current, current.current_check) == []

    def test_may_be_written_while_changes_are_requested(self, medium):
        review(medium, "request_changes")
        assert edited(medium).status == "pending"

    def test_can_be_followed_by_the_agents_own(self, medium):
        edited(medium)
        amend(medium, params=painting("blue", tier="medium"))
        work()
        current = fresh(medium)
        assert (current.revision_number, current.status) == (3, "pending")
        assert current.revision().author == medium.agent.actor
        assert current.revision().params["colour"] == "blue"

    def test_can_be_followed_by_another_of_the_same_person(self, medium):
        edited(medium)
        assert edited(medium, "pink").revision_number == 3

    def test_can_be_what_the_rules_let_through(self):
        """What is checked anew is judged as any other, also when it needs no person any more."""
        proposal = make_checked(params=painting(tier="medium"))
        current = edited(proposal, params=painting("green", tier="low"))
        assert current.status == "committed"


class TestTheAuthor:
    @pytest.mark.parametrize("tier", ["low", "medium"])
    def test_may_approve_at_low_and_medium_tier_and_the_ledger_says_so(self, tier):
        ask_about_everything()
        proposal = make_checked(params=painting(tier=tier))
        edited(proposal)
        approve(proposal)
        work()
        assert fresh(proposal).status == "committed"
        assert box.colours["bear"] == "green"
        entry = LedgerEntry.objects.get(kind="proposal.reviewed")
        assert entry.body["is_author"] is True

    def test_is_not_named_where_somebody_else_approves(self, medium):
        edited(medium)
        approve(medium, reviewer=make_person("ravi"))
        assert "is_author" not in LedgerEntry.objects.get(kind="proposal.reviewed").body

    def test_fills_no_seat_at_high_tier(self, high):
        saul = senior("saul")
        edited(high, person=saul)
        assert "at high tier nobody approves what they wrote" in objection(saul, high)
        with pytest.raises(NotEligible, match="You proposed these values"):
            approve(high, reviewer=saul, fact="bear")
        for name in ("sara", "sofia"):
            approve(high, reviewer=senior(name), fact="bear")
        work()
        assert fresh(high).status == "committed"

    def test_fills_no_seat_at_high_tier_by_another_account(self, high):
        edited(high, person=senior("saul"))
        twin = make_person("saul2", groups=["senior-reviewers"], email="SAUL@example.com")
        assert objection(twin, high)

    def test_stays_the_author_when_the_agent_amends_its_words_alone(self, high):
        saul = senior("saul")
        edited(high, person=saul)
        amend(high, rationale="In other words.")
        work()
        assert fresh(high).revision().author == high.agent.actor
        assert objection(saul, high)

    def test_stays_the_author_when_somebody_else_changes_a_little_more(self, high):
        saul, sara = senior("saul"), senior("sara")
        edited(high, person=saul)
        edited(high, params=painting("green", tier="high", note="Two coats."), person=sara)
        assert objection(saul, high)
        assert objection(sara, high)
        assert not objection(senior("sofia"), high)

    def test_is_independent_again_once_the_agent_chose_values_of_its_own(self, high):
        saul = senior("saul")
        edited(high, person=saul)
        amend(high, params=painting("pink", tier="high"))
        work()
        assert not objection(saul, high)

    def test_fills_no_seat_any_more_when_the_tier_rises_before_the_claim(self, medium):
        """The gate recomputes: their approval of the lower tier is not one of the higher."""
        saul = make_person("saul", groups=["reviewers", "senior-reviewers"])
        edited(medium, person=saul)
        approve(medium, reviewer=saul)
        assert fresh(medium).status == "approved"
        raising = Rule(name="High", effect="raise", tier="high", action="toys.set")
        services.save_rule(rule=raising, person=None, is_new=True)
        execution.run(Execution.objects.get().pk)
        work()
        current = fresh(medium)
        assert (current.status, current.tier) == ("pending", "high")
        assert box.colours["bear"] == "brown"
        assert objection(saul, medium)

    def test_has_it_in_their_queue_at_medium_tier_and_not_at_high(self, medium, high):
        saul = make_person("saul", groups=["reviewers", "senior-reviewers"])
        edited(medium, person=saul)
        edited(high, person=saul)
        assert set(seats.waiting_on(saul)) == {medium}


class TestItIsRefused:
    def test_to_the_owner_of_the_agent(self, medium):
        owner = medium.agent.owner
        owner.groups.add(*make_person().groups.all())
        with pytest.raises(NotEligible, match="You own the agent"):
            edit(medium, person=owner)

    def test_to_whoever_has_not_the_right_for_the_tier(self, high):
        with pytest.raises(NotEligible, match="takes a right"):
            edit(high, person=make_person())

    def test_to_members_of_other_groups(self, medium):
        from django.contrib.auth.models import Group, Permission

        elsewhere = Group.objects.create(name="finance")
        elsewhere.permissions.add(Permission.objects.get(codename="decide_proposal"))
        with pytest.raises(NotEligible, match="Only members of reviewers"):
            edit(medium, person=make_person("fiona", groups=["finance"]))

    def test_for_an_undo(self):
        proposal = make_checked()
        box.colours["bear"] = "green"
        undo = services.undo(
            proposal_id=proposal.pk,
            person=make_person("olga"),
            reason="A mix-up.",
            over_conflicts=True,
        )
        work()
        with pytest.raises(NotEligible, match="the system's to say"):
            edit(undo)

    def test_for_another_digest_than_the_current(self, medium):
        with pytest.raises(StaleDigest):
            edit(medium, digest="sha256:" + "0" * 64)

    def test_for_what_was_amended_since_it_was_seen(self, medium):
        seen = medium.current_check.digest
        amend(medium, params=painting("pink", tier="medium"))
        work()
        with pytest.raises(StaleDigest):
            edit(medium, digest=seen)
        assert fresh(medium).revision().params["colour"] == "pink"

    def test_while_it_is_being_checked_so_that_a_second_submit_stores_nothing(self, medium):
        seen = medium.current_check.digest
        edit(medium)
        with pytest.raises(IllegalTransition, match="being checked"):
            services.revise_as_reviewer(
                proposal_id=medium.pk,
                person=make_person(),
                digest=seen,
                params=painting("green", tier="medium"),
                reason="Again.",
            )
        assert Revision.objects.filter(proposal=medium).count() == 2

    @pytest.mark.parametrize("end", ["approve", "reject"])
    def test_once_it_was_decided(self, medium, end):
        review(medium, end)
        with pytest.raises(IllegalTransition):
            edit(medium)

    def test_for_what_is_only_observed(self):
        agent = factories.make_agent()
        services.set_observed(
            agent_id=agent.pk, is_observed=True, person=None, reason="To begin with."
        )
        proposal = make_checked(params=painting(tier="medium"))
        with pytest.raises((NotEligible, IllegalTransition)):
            edit(proposal, digest=proposal.checks.get().digest)

    def test_for_values_that_are_the_same(self, medium):
        with pytest.raises(InvalidRequest, match="Nothing was changed"):
            edit(medium, "blue")
        assert fresh(medium).revision_number == 1

    def test_for_values_that_do_not_fit_the_action_naming_the_field(self, medium):
        with pytest.raises(InvalidParams) as refusal:
            edit(medium, "")
        assert [one["pointer"] for one in refusal.value.errors] == ["/params/colour"]

    @pytest.mark.parametrize("reason", ["", "  ", "x" * 2001, "a\0b"])
    def test_without_a_reason_that_can_be_kept(self, medium, reason):
        with pytest.raises(InvalidRequest) as refusal:
            edit(medium, reason=reason)
        assert refusal.value.errors[0]["pointer"] == "/reason"

    def test_for_text_that_cannot_be_stored(self, medium):
        with pytest.raises(InvalidRequest, match="cannot be stored"):
            edit(medium, "gr\0een")

    def test_for_what_is_not_there(self, medium):
        with pytest.raises(NotFound):
            services.revise_as_reviewer(
                proposal_id=NOWHERE, person=make_person(), digest="", params={}, reason="Why."
            )

    def test_where_a_budget_has_no_room_and_the_agent_is_not_blamed(self, medium):
        from budgets.models import Budget

        budget = Budget(
            name="Ducks",
            unit="writes",
            limit=1,
            window_seconds=3600,
            resource_pattern="toys/duck",
            on_exceed="suspend",
        )
        services.save_budget(budget=budget, person=None, is_new=True)
        make_checked(params=painting("red", toy="duck"))
        with pytest.raises(OverBudget, match="There is room for it at"):
            edit(medium, params=painting("green", toy="duck", tier="medium"))
        current = fresh(medium)
        assert (current.revision_number, current.status) == (1, "pending")
        current.agent.refresh_from_db()
        assert not current.agent.is_suspended


class TestTheRecord:
    def test_says_who_wrote_it_and_why_beside_the_content(self, medium):
        edit(medium)
        entry = LedgerEntry.objects.filter(kind="proposal.submitted").latest("id")
        assert (entry.actor, entry.actor_name) == (f"user:{make_person().pk}", "Rita")
        assert entry.body["amended"] is True
        assert entry.body["revision"] == 2
        assert entry.body["reason"] == "Green was agreed."
        assert entry.body["content"] == fresh(medium).revision().commitment

    def test_tells_the_agent_the_new_values_and_not_why(self, medium):
        edited(medium)
        answer = factories.client_for(medium.agent).get(f"/proposals/{medium.pk}")
        told = answer.json()
        assert told["revision"] == 2
        assert told["params"]["colour"] == "green"
        assert told["rationale"] == "The child asked for it."
        assert "was agreed" not in answer.content.decode()

    def test_no_review_is_made_of_it(self, medium):
        edit(medium)
        assert not Review.objects.exists()

    def test_one_approval_per_person_holds_for_the_author_too(self):
        services.save_rule(
            rule=Rule(name="Two", effect="review", approvals=2, group="reviewers"),
            person=None,
            is_new=True,
        )
        proposal = make_checked(params=painting(tier="medium"))
        edited(proposal)
        approve(proposal)
        with pytest.raises(AlreadyDecided):
            approve(proposal)
        assert fresh(proposal).status == "pending"


def test_an_excess_that_the_check_finds_is_not_the_agents(medium):
    """The preview of a person's values may exceed a budget; the agent did not ask for that.

    So it is neither suspended for it, nor is what it did ask for lost.
    """
    from budgets.models import Budget

    budget = Budget(
        name="No objects", unit="objects", limit=0, window_seconds=3600, on_exceed="suspend"
    )
    edit(medium)
    services.save_budget(budget=budget, person=None, is_new=True)
    work()
    current = fresh(medium)
    assert current.status == "pending"
    assert "'No objects'" in current.current_check.error
    current.agent.refresh_from_db()
    assert not current.agent.is_suspended
    page = Page(signed_in().get(address("proposal", medium)))
    assert "A budget is full." in page.text
    assert "Re-check against live" in page.inside("button")


def amend(proposal, **changes):
    services.amend(
        agent=proposal.agent,
        proposal_id=proposal.pk,
        key=factories.new_key(),
        fingerprint=idempotency.fingerprint("amend", changes),
        changes=changes,
    )


def ask_about_everything():
    rule = Rule(name="Ask", effect="review", approvals=1, group="reviewers")
    services.save_rule(rule=rule, person=None, is_new=True)
