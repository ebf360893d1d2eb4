"""Two tabs of the queue: what moved under people, and what is held back. Kept by who finds out."""

import pytest
from django.db import connection

from ledger import clock
from proposals import execution, services
from proposals.console import lists
from proposals.models import Execution, Proposal, Review
from tests import factories
from tests.factories import fresh, make_checked, make_person, work
from tests.proposals.test_console import senior, signed_in, waiting
from tests.proposals.test_lists import ids, listed, opened
from tests.toys import box

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]


def tab(name: str) -> list[str]:
    return listed(opened(signed_in(), f"?tab={name}")[0])


def try_again() -> None:
    """As if the time of what waits for its turn had come."""
    Execution.objects.filter(status="queued").update(run_after=clock.now())
    work()


def found_stale(proposal: Proposal) -> Proposal:
    """Approved, and then a worker finds that somebody painted the toy meanwhile."""
    factories.approve(proposal)
    box.colours["bear"] = "green"
    work()
    return fresh(proposal)


class TestBaseMoved:
    def test_lists_what_a_worker_found_moved_until_people_approve_it_as_it_is_now(self):
        proposal, other = waiting(), waiting(params={"toy": "duck"})
        assert tab("moved") == []
        assert found_stale(proposal).status == "pending"
        assert tab("moved") == ids(proposal)
        page, _ = opened(signed_in(), "?tab=open&marked=moved")
        assert listed(page) == ids(proposal)
        assert page.text.count("target moved") == 1
        assert str(other.pk) not in tab("moved")
        factories.approve(proposal)
        assert tab("moved") == []

    def test_lists_what_a_fresh_check_found_moved(self):
        proposal, same = waiting(), waiting(params={"toy": "duck"})
        box.colours["bear"] = "green"
        for one in (proposal, same):
            services.recheck(proposal_id=one.pk, reason="The rules changed.")
        work()
        assert tab("moved") == ids(proposal)
        services.recheck(proposal_id=proposal.pk, reason="The rules changed.")
        work()
        assert tab("moved") == ids(proposal), "nobody has looked at it since"

    def test_leaves_out_what_came_back_for_other_reasons(self):
        proposal = waiting()
        factories.approve(proposal)
        make_person().groups.clear()
        make_person("ravi")
        work()
        after = fresh(proposal)
        assert (after.status, after.rechecks) == ("pending", 1)
        assert listed(opened(signed_in(make_person("ravi")), "?tab=moved")[0]) == []

    def test_leaves_out_what_could_not_be_previewed_once(self):
        proposal = waiting()
        box.failing["preview"] = "unavailable"
        services.recheck(proposal_id=proposal.pk, reason="The rules changed.")
        work()
        box.failing.clear()
        services.recheck(proposal_id=proposal.pk, reason="The rules changed.")
        work()
        assert tab("moved") == []

    def test_leaves_out_a_new_revision_and_what_has_ended(self):
        revised, ended = waiting(), waiting()
        for one in (revised, ended):
            Proposal.objects.filter(pk=one.pk).update(has_moved=True)
        services.revise_as_reviewer(
            proposal_id=revised.pk,
            person=make_person(),
            digest=fresh(revised).current_check.digest,
            params={"toy": "bear", "colour": "red", "tier": "medium"},
            reason="Red was meant.",
        )
        work()
        factories.review(ended, "reject")
        assert tab("moved") == []


class TestHeld:
    def test_lists_what_a_worker_could_not_write_for_a_stop_until_it_is_lifted(self):
        proposal = waiting()
        stop = services.freeze(reason="A loop.", run=proposal.run)
        factories.approve(proposal)
        assert tab("held") == [], "no worker has come by"
        work()
        assert tab("held") == ids(proposal)
        assert "held" in opened(signed_in(), "?tab=held")[0].inside("span").split()
        services.lift(freeze_id=stop.pk, reason="It ended.", person=operator())
        work()
        assert fresh(proposal).status == "committed"
        assert tab("held") == []

    def test_says_nothing_more_of_what_was_taken_up_again(self):
        proposal = waiting()
        stop = services.freeze(reason="A loop.", run=proposal.run)
        factories.approve(proposal)
        work()
        services.lift(freeze_id=stop.pk, reason="It ended.", person=operator())
        box.failing["apply"] = "unclear"
        try_again()
        assert fresh(proposal).status == "approved"
        assert tab("held") == []

    @pytest.mark.parametrize("end", ["withdrawn", "expired"])
    def test_what_a_dead_worker_had_claimed_ends_like_all_that_is_held(self, end):
        proposal = waiting()
        factories.approve(proposal)
        left = execution.take(Execution.objects.get().pk)  # and dies before its intent
        services.freeze(reason="A loop.", run=proposal.run)
        Execution.objects.update(lease_until=clock.now())
        work()
        assert tab("held") == ids(proposal)
        if end == "withdrawn":
            services.withdraw(agent=proposal.agent, proposal_id=proposal.pk)
        else:
            Proposal.objects.update(expires_at=clock.now())
            assert services.expire(proposal_id=proposal.pk)
        assert fresh(proposal).status == end
        assert not execution.intend(left), "should it live after all, it has lost its fence"

    def test_a_worker_that_was_taken_for_dead_has_lost_what_is_held_since(self):
        proposal = waiting()
        factories.approve(proposal)
        asleep = execution.take(Execution.objects.get().pk)
        stop = services.freeze(reason="A loop.", run=proposal.run)
        Execution.objects.update(lease_until=clock.now())
        work()
        assert fresh(proposal).is_held
        services.lift(freeze_id=stop.pk, reason="It ended.", person=operator())
        assert not execution.intend(asleep)
        work()
        assert fresh(proposal).status == "committed"

    def test_lists_what_a_comment_blocks_until_the_last_is_resolved(self):
        proposal = waiting("high")
        ana, browser = make_person("ana", groups=["senior-reviewers"]), signed_in()
        factories.review(proposal, "comment", reviewer=ana)
        assert tab("held") == []
        for _ in range(2):
            factories.review(proposal, "comment", reviewer=ana, blocks=True)
        assert listed(opened(browser, "?tab=held")[0]) == ids(proposal)
        first, second = Review.objects.filter(blocks=True).order_by("pk")
        services.resolve_comment(review_id=first.pk, person=ana)
        assert tab("held") == ids(proposal)
        services.recheck(proposal_id=proposal.pk, reason="The rules changed.")
        assert tab("held") == [], "it does not wait for people at this moment"
        work()
        assert tab("held") == ids(proposal)
        services.resolve_comment(review_id=second.pk, person=ana)
        assert tab("held") == []

    def test_leaves_out_what_has_ended(self):
        proposal = waiting()
        factories.review(proposal, "comment", blocks=True)
        factories.review(proposal, "reject", reviewer=make_person("ana"))
        assert tab("held") == []
        assert not fresh(proposal).is_held

    def test_makes_no_history_of_what_is_only_looked_up(self):
        proposal = waiting()
        before = proposal.history.count()
        factories.review(proposal, "comment", blocks=True)
        assert proposal.history.count() == before


@pytest.mark.parametrize("name", ["moved", "held"])
def test_counts_are_answered_by_an_index_of_those_alone(name):
    for number in range(5):
        make_checked(params={"toy": "bear", "colour": "blue", "note": number})
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ANALYZE proposals_proposal")
            cursor.execute("SET LOCAL enable_seqscan = off")
        plan = lists.countable(name, senior()).explain()
    assert f"proposal_{name}" in plan, plan


def operator():
    return make_person("olga", groups=["operators"])
