"""Taking a decision back: whose, until when, and what it leaves of everybody else's."""

import pytest
from django.db import IntegrityError, transaction

from bench.chaos.story import Story
from ledger.models import LedgerEntry
from proposals import execution, idempotency, seats, services
from proposals.exceptions import (
    AlreadyDecided,
    IllegalTransition,
    InvalidRequest,
    NotEligible,
    NotFound,
    StaleDigest,
)
from proposals.models import Execution, Review
from tests import factories
from tests.factories import approve, fresh, make_checked, make_person, painting, review, work
from tests.toys import box

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]


def withdraw(proposal, *, reviewer=None, **more):
    """Rita, or whoever is named, takes back what she said of what is current now."""
    current = fresh(proposal)
    return services.withdraw_decision(
        proposal_id=current.pk,
        reviewer=reviewer or make_person(),
        **{"digest": current.current_check.digest, **more},
    )


def senior(name):
    return make_person(name, groups=["senior-reviewers"])


@pytest.fixture
def medium():
    """Waits for one person."""
    return make_checked(params=painting(tier="medium"))


@pytest.fixture
def high():
    """Waits for two people; Saul has approved it."""
    proposal = make_checked(params=painting(tier="high"))
    approve(proposal, reviewer=senior("saul"), fact="bear")
    return fresh(proposal)


@pytest.fixture
def approved(medium):
    """Rita approved it; no worker has looked yet."""
    approve(medium)
    return fresh(medium)


class TestAnApproval:
    def test_stops_counting_and_the_proposal_is_checked_anew(self, high):
        assert withdraw(high, reviewer=senior("saul")).status == "submitted"
        assert fresh(high).round == high.round + 1
        work()
        again = fresh(high)
        assert again.status == "pending"
        assert again.current_check.digest == high.current_check.digest
        assert seats.approvals(again, again.current_check) == []

    def test_can_be_given_again_by_the_same_person(self, high):
        saul = senior("saul")
        withdraw(high, reviewer=saul)
        work()
        approve(high, reviewer=saul, fact="bear")
        again = fresh(high)
        assert [one.reviewer for one in seats.approvals(again, again.current_check)] == [saul]
        approve(high, reviewer=senior("sara"), fact="bear")
        work()
        assert fresh(high).status == "committed"

    def test_can_be_withdrawn_and_given_any_number_of_times(self, high):
        saul = senior("saul")
        for _ in range(3):
            withdraw(high, reviewer=saul)
            work()
            assert not seats.approvals(fresh(high), fresh(high).current_check)
            approve(high, reviewer=saul, fact="bear")
        current = fresh(high)
        assert len(seats.approvals(current, current.current_check)) == 1

    def test_leaves_the_approvals_of_others(self):
        sara, saul = senior("sara"), senior("saul")
        rule_for_three()
        proposal = make_checked(params=painting(tier="high"))
        approve(proposal, reviewer=saul, fact="bear")
        approve(proposal, reviewer=sara, fact="bear")
        withdraw(proposal, reviewer=sara)
        work()
        current = fresh(proposal)
        assert current.status == "pending"
        assert [one.reviewer for one in seats.approvals(current, current.current_check)] == [saul]

    def test_of_what_is_approved_takes_it_out_of_the_queue(self, approved):
        attempt = Execution.objects.get()
        assert withdraw(approved).status == "submitted"
        attempt.refresh_from_db()
        assert attempt.status == Execution.Status.RETURNED
        execution.run(attempt.pk)
        work()
        assert fresh(approved).status == "pending"
        assert box.colours["bear"] == "brown"

    def test_of_what_is_approved_leads_to_a_commit_once_it_is_given_again(self, approved):
        withdraw(approved)
        work()
        approve(approved)
        work()
        assert fresh(approved).status == "committed"
        keys = list(Execution.objects.order_by("attempt").values_list("key", flat=True))
        assert len(set(keys)) == 2

    def test_is_not_one_of_the_rechecks_in_a_row(self, approved):
        for _ in range(4):
            withdraw(approved)
            work()
            assert fresh(approved).rechecks == 0
            approve(approved)
        work()
        assert fresh(approved).status == "committed"

    def test_withdrawn_is_nothing_to_withdraw_while_it_is_checked_anew(self, medium):
        approve(medium)
        withdraw(medium)
        assert fresh(medium).status == "submitted"
        with pytest.raises(NotEligible, match="still stands"):
            withdraw(medium)

    def test_that_still_counts_while_it_is_checked_again_can_be_withdrawn(self, high):
        services.recheck(proposal_id=high.pk, reason="The rules changed.")
        withdraw(high, reviewer=senior("saul"))
        work()
        current = fresh(high)
        assert seats.approvals(current, current.current_check) == []

    def test_given_before_somebody_else_wished_for_changes_leaves_that_wish_standing(self, high):
        review(high, "request_changes", reviewer=senior("sara"))
        assert withdraw(high, reviewer=senior("saul")).status == "changes_requested"
        assert fresh(high).status == "changes_requested"


class TestAWishForChanges:
    def test_taken_back_has_the_proposal_checked_anew(self, medium):
        review(medium, "request_changes")
        assert withdraw(medium).status == "submitted"
        work()
        assert fresh(medium).status == "pending"
        approve(medium)
        work()
        assert fresh(medium).status == "committed"

    def test_taken_back_does_not_revive_the_approval_that_it_overruled(self, high):
        saul = senior("saul")
        review(high, "request_changes", reviewer=saul)
        withdraw(high, reviewer=saul)
        work()
        current = fresh(high)
        assert seats.approvals(current, current.current_check) == []
        approve(high, reviewer=saul, fact="bear")
        assert len(seats.approvals(fresh(high), current.current_check)) == 1

    def test_of_an_earlier_round_does_not_take_back_what_somebody_wishes_now(self, medium):
        review(medium, "request_changes")
        amend(medium, rationale="In other words.")
        work()
        ravi = make_person("ravi")
        review(medium, "request_changes", reviewer=ravi)
        with pytest.raises(NotEligible):
            withdraw(medium)
        assert fresh(medium).status == "changes_requested"

    def test_that_was_answered_is_nothing_to_take_back(self, medium):
        review(medium, "request_changes")
        amend(medium, rationale="In other words.")
        work()
        with pytest.raises(NotEligible):
            withdraw(medium)
        assert fresh(medium).status == "pending"


class TestItIsRefused:
    def test_to_whoever_has_decided_nothing(self, high):
        with pytest.raises(NotEligible, match="no decision"):
            withdraw(high, reviewer=senior("sara"))
        assert fresh(high).status == "pending"

    def test_for_a_comment(self, medium):
        review(medium, "comment")
        with pytest.raises(NotEligible):
            withdraw(medium)

    def test_for_a_rejection(self, medium):
        review(medium, "reject")
        with pytest.raises(IllegalTransition, match="You rejected this, and a rejection is final"):
            withdraw(medium)
        assert fresh(medium).status == "rejected"

    def test_once_a_worker_has_claimed_it(self, approved):
        claim = execution.take(Execution.objects.get().pk)
        with pytest.raises(IllegalTransition, match="worker has already claimed"):
            withdraw(approved)
        assert not Review.objects.filter(decision="withdraw").exists()
        assert execution.intend(claim)
        execution.write(claim)
        assert fresh(approved).status == "committed"

    def test_once_it_is_written(self, approved):
        work()
        with pytest.raises(IllegalTransition, match="A worker has begun"):
            withdraw(approved)

    def test_for_another_digest_than_the_current(self, high):
        with pytest.raises(StaleDigest):
            withdraw(high, reviewer=senior("saul"), digest="sha256:" + "0" * 64)

    def test_for_an_approval_of_what_was_amended_since(self, high):
        seen = high.current_check.digest
        amend(high, params=painting("red", tier="high"))
        with pytest.raises(StaleDigest):
            services.withdraw_decision(
                proposal_id=high.pk, reviewer=senior("saul"), digest=seen, reason=""
            )
        work()
        with pytest.raises(NotEligible):
            withdraw(high, reviewer=senior("saul"))

    def test_twice(self, high):
        saul = senior("saul")
        withdraw(high, reviewer=saul)
        with pytest.raises(NotEligible):
            withdraw(high, reviewer=saul)
        assert Review.objects.filter(decision="withdraw").count() == 1

    def test_with_too_long_a_reason(self, high):
        with pytest.raises(InvalidRequest, match=r"2,000"):
            withdraw(high, reviewer=senior("saul"), reason="x" * 2001)

    def test_for_what_is_not_there(self, high):
        with pytest.raises(NotFound):
            services.withdraw_decision(proposal_id=NOWHERE, reviewer=senior("saul"), digest="")

    def test_as_a_verdict(self, medium):
        """To withdraw is not one of the four verbs, and no door can send it as one."""
        with pytest.raises(InvalidRequest, match="four verdicts"):
            review(medium, "withdraw")
        assert fresh(medium).status == "pending"


class TestRaces:
    def test_a_claim_that_comes_after_it_finds_nothing(self, approved):
        attempt = Execution.objects.get()
        withdraw(approved)
        assert execution.take(attempt.pk) is None

    def test_a_second_approval_on_the_same_check_is_refused(self, high):
        with pytest.raises(AlreadyDecided, match="already approved"):
            approve(high, reviewer=senior("saul"), fact="bear")

    def test_the_database_refuses_a_second_approval_on_the_same_check(self, high):
        first = Review.objects.get()
        with pytest.raises(IntegrityError), transaction.atomic():
            Review.objects.create(
                proposal=first.proposal,
                on_check=first.on_check,
                digest=first.digest,
                reviewer=first.reviewer,
                decision="approve",
                created_at=first.created_at,
            )

    def test_the_database_refuses_to_take_the_same_decision_back_twice(self, high):
        withdraw(high, reviewer=senior("saul"))
        first = Review.objects.get(decision="withdraw")
        with pytest.raises(IntegrityError), transaction.atomic():
            Review.objects.create(
                proposal=first.proposal,
                on_check=first.on_check,
                digest=first.digest,
                reviewer=first.reviewer,
                decision="withdraw",
                takes_back=first.takes_back,
                created_at=first.created_at,
            )

    def test_a_check_that_started_before_it_does_not_land(self, high):
        from proposals import checks

        services.recheck(proposal_id=high.pk, reason="The rules changed.")
        started = fresh(high)
        withdraw(high, reviewer=senior("saul"))
        earlier = high.current_check
        assert not checks.land(started, earlier.revision, None, None, [])
        assert fresh(high).status == "submitted"


class TestPeopleNotAccounts:
    def test_another_account_of_the_same_person_may_take_it_back(self, high):
        twin = make_person("saul2", groups=["senior-reviewers"], email="SAUL@example.com")
        senior("saul")
        withdraw(high, reviewer=twin)
        current = fresh(high)
        assert seats.approvals(current, current.current_check) == []

    def test_whoever_lost_the_right_may_still_take_it_back(self, high):
        saul = senior("saul")
        saul.groups.clear()
        withdraw(high, reviewer=type(saul).objects.get(pk=saul.pk))
        assert fresh(high).status == "submitted"


class TestTheQueue:
    def test_offers_again_what_was_amended_since_it_was_approved(self, high):
        saul = senior("saul")
        assert high not in seats.waiting_on(saul)
        amend(high, params=painting("red", tier="high"))
        work()
        assert high in seats.waiting_on(saul)

    def test_keeps_hiding_what_was_approved_and_checked_with_the_same_result(self, high):
        services.recheck(proposal_id=high.pk, reason="The rules changed.")
        work()
        assert fresh(high).status == "pending"
        assert high not in seats.waiting_on(senior("saul"))

    def test_offers_again_what_was_withdrawn(self, high):
        saul = senior("saul")
        withdraw(high, reviewer=saul)
        work()
        assert high in seats.waiting_on(saul)
        approve(high, reviewer=saul, fact="bear")
        assert high not in seats.waiting_on(saul)


class TestTheRecord:
    def test_says_which_decision_was_taken_back_and_why(self, high):
        withdraw(high, reviewer=senior("saul"), reason="  I misread the colour. ")
        taken = Review.objects.get(decision="approve")
        stored = Review.objects.get(decision="withdraw")
        entry = LedgerEntry.objects.filter(kind="proposal.reviewed").latest("id")
        assert entry.actor_name == "Saul"
        assert entry.body == {
            "review": stored.pk,
            "decision": "withdraw",
            "takes_back": taken.pk,
            "took_back": "approve",
            "digest": high.current_check.digest,
            "revision": 1,
            "tier": "high",
            "reason": "I misread the colour.",
        }
        assert stored.takes_back == taken
        moved = LedgerEntry.objects.filter(kind="proposal.submitted").latest("id")
        assert (moved.body["from"], moved.body["review"]) == ("pending", stored.pk)

    def test_is_told_by_the_ledger_alone_as_the_tables_have_it(self, approved):
        """As the harness that kills workers reads it: apart from the product, from its bytes."""
        withdraw(approved)
        work()
        approve(approved)
        work()
        story, current = Story(), fresh(approved)
        for entry in LedgerEntry.objects.filter(stream=current.stream).order_by("number"):
            story.read(bytes(entry.canonical), bytes(entry.hash))
        assert story.faults == []
        assert (story.status, story.round) == (current.status, current.round)
        assert (story.generation, story.commits) == (current.generation, 1)
        assert [one.status for one in story.attempts] == ["returned", "committed"]
        told = [(pk, decision) for pk, decision, _, _ in story.reviews]
        assert told == list(Review.objects.order_by("id").values_list("pk", "decision"))

    def test_tells_an_agent_nothing_of_it(self, medium):
        client = factories.client_for(medium.agent)
        review(medium, "request_changes", reason="Not blue.", is_for_agent=True)
        withdraw(medium, reason="On second thoughts.")
        work()
        answer = client.get(f"/proposals/{medium.pk}")
        assert answer.json()["decisions"] == []
        assert "second thoughts" not in answer.content.decode()
        assert "withdraw" not in answer.content.decode()


def amend(proposal, **changes):
    services.amend(
        agent=proposal.agent,
        proposal_id=proposal.pk,
        key=factories.new_key(),
        fingerprint=idempotency.fingerprint("amend", changes),
        changes=changes,
    )


def rule_for_three():
    from proposals.models import Rule

    three = Rule(name="Three", effect="review", approvals=3, group="senior-reviewers")
    services.save_rule(rule=three, person=None, is_new=True)


NOWHERE = "0199aaaa-0000-7000-8000-000000000000"
