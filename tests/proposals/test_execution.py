"""The commit protocol, step by step, and what goes wrong at each."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group

from budgets.models import Budget, Reservation
from ledger import clock
from ledger.canonical import digest
from ledger.models import LedgerEntry
from proposals import execution, services, settling
from proposals.models import Execution, Proposal, Rule
from tests import factories
from tests.factories import fresh, make_checked, make_person, painting, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]


@pytest.fixture
def approved():
    """A medium proposal that Rita approved, and that no worker has claimed."""
    proposal = make_checked(params=painting(tier="medium"))
    factories.approve(proposal)
    return fresh(proposal)


def lease_ends() -> None:
    Execution.objects.open().update(lease_until=clock.now() - timedelta(seconds=1))


def attempt() -> Execution:
    return Execution.objects.latest("attempt")


class TestClaim:
    def test_only_one_worker_wins(self, approved):
        assert execution.take(attempt().pk)
        assert execution.take(attempt().pk) is None

    def test_a_second_bell_changes_nothing(self, approved, toybox):
        execution.run(attempt().pk)
        execution.run(attempt().pk)
        assert len(toybox.effects) == 1

    def test_an_unknown_execution_is_tolerated(self):
        execution.run(factories.make_agent().pk)

    def test_an_ended_lease_is_taken_over_with_a_higher_fence(self, approved):
        first = execution.take(attempt().pk)
        lease_ends()
        second = execution.take(attempt().pk)
        assert second.execution.fence == first.execution.fence + 1

    @pytest.mark.parametrize(
        "change",
        ["grant removed", "approver lost the right", "approver was shut out", "stricter rule"],
    )
    def test_what_approval_stood_on_is_verified_again(self, approved, toybox, change):
        agent = approved.agent
        if change == "grant removed":
            agent.grants.all().delete()
        elif change == "approver lost the right":
            make_person("rita").groups.clear()
        elif change == "approver was shut out":
            paula = make_person("paula", groups=["policy-administrators"])
            services.deactivate(user_id=make_person("rita").pk, person=paula)
        else:
            services.save_rule(
                rule=Rule(name="Two", effect="review", approvals=2, group="reviewers"),
                person=None,
                is_new=True,
            )
        execution.run(attempt().pk)
        assert fresh(approved).status == "submitted"
        assert toybox.effects == []

    def test_an_approver_who_left_the_group_no_longer_counts(self, approved, toybox):
        Group.objects.get(name="reviewers").user_set.clear()
        work()
        assert fresh(approved).status == "pending"
        assert toybox.effects == []

    def test_what_expired_in_the_queue_is_not_written(self, approved, toybox):
        Proposal.objects.filter(pk=approved.pk).update(expires_at=clock.now())
        execution.run(attempt().pk)
        assert fresh(approved).status == "expired"
        assert toybox.effects == []


class TestBudgetsAtTheClaim:
    """What has an intent already may have been written, or may be written long after."""

    @pytest.fixture(autouse=True)
    def _one_a_minute(self):
        cap()

    def test_an_outage_does_not_save_up_writes_for_its_end(self, toybox):
        proposals = approved_one_window_apart(toybox.colours)
        toybox.failing["apply"] = "unavailable"
        for each in proposals:
            execution.run(Execution.objects.get(proposal=each).pk)
            a_window_passes()
        assert Execution.objects.filter(status="intended").count() == 3
        toybox.failing.clear()
        for written in (1, 2, 3):
            lease_ends()
            Execution.objects.filter(status="queued").update(run_after=clock.now())
            work()
            assert len(toybox.effects) == written
            a_window_passes()
        assert {fresh(each).status for each in proposals} == {"committed"}

    def test_what_was_written_before_is_settled_without_a_slot(self, toybox):
        first, second = approved_one_window_apart(["bear", "duck"])
        toybox.failing["answer"] = "unclear"
        execution.run(Execution.objects.get(proposal=first).pk)
        toybox.failing.clear()
        a_window_passes()
        execution.run(Execution.objects.get(proposal=second).pk)
        assert fresh(second).status == "committed", "it took the only slot"
        lease_ends()
        execution.run(Execution.objects.get(proposal=first).pk)
        assert fresh(first).status == "committed"
        assert len(toybox.effects) == 2
        late = Reservation.objects.filter(counted_at__gt=clock.now())
        assert not late.exists(), "it counts from when it was sent, and books nothing"

    def test_what_waits_for_a_slot_after_its_intent_cannot_be_written_meanwhile(self, toybox):
        first, second = approved_one_window_apart(["bear", "duck"])
        late = execution.take(Execution.objects.get(proposal=first).pk)
        assert execution.intend(late)
        a_window_passes()
        execution.run(Execution.objects.get(proposal=second).pk)
        lease_ends()
        execution.run(Execution.objects.get(proposal=first).pk)
        assert fresh(first).status == "submitted"
        assert "budget" in fresh(first).reason
        with pytest.raises(execution.VoidedKey):
            execution.apply(late)
        work()
        assert fresh(first).status == "approved", "the approval counts: nothing else has changed"
        assert Execution.objects.get(proposal=first, status="queued").run_after > clock.now()

    @pytest.mark.parametrize(
        "before", [{"is_active": False}, {"action_pattern": "email.*"}, {"per_resource": True}]
    )
    def test_a_budget_counts_what_was_approved_before_it_was_as_it_is(self, toybox, before):
        as_it_is = Budget.objects.get()
        Budget.objects.update(**before)
        proposals = approved_one_window_apart(toybox.colours)
        services.save_budget(budget=as_it_is, person=None, is_new=False)
        for written in (1, 2, 3):
            Execution.objects.filter(status="queued").update(run_after=clock.now())
            work()
            assert len(toybox.effects) == written
            a_window_passes()
        assert {fresh(each).status for each in proposals} == {"committed"}


def cap(**fields) -> Budget:
    values = {"name": "Cap", "unit": "writes", "limit": 1, "window_seconds": 60}
    return services.save_budget(budget=Budget(**(values | fields)), person=None, is_new=True)


def a_window_passes() -> None:
    for each in Reservation.objects.all():
        each.counted_at -= timedelta(seconds=61)
        each.save()


def approved_one_window_apart(toys) -> list[Proposal]:
    proposals = []
    for toy in toys:
        proposals.append(make_checked(params=painting(toy=toy, tier="medium")))
        a_window_passes()
    for proposal in proposals:
        factories.approve(proposal)
    return proposals


class TestStaleTarget:
    def test_a_change_by_somebody_else_is_not_overwritten(self, approved, toybox):
        toybox.colours["bear"] = "green"
        execution.run(attempt().pk)
        proposal = fresh(approved)
        assert toybox.colours["bear"] == "green"
        assert proposal.status == "submitted"
        assert "changed after it was checked" in proposal.reason
        assert attempt().found == {"bear": {"colour": "green"}}

    def test_it_comes_back_for_a_fresh_check_and_fresh_approval(self, approved, toybox):
        toybox.colours["bear"] = "green"
        work()
        proposal = fresh(approved)
        assert proposal.status == "pending"
        assert proposal.current_check.before == {"bear": {"colour": "green"}}
        factories.approve(proposal)
        work()
        assert fresh(proposal).status == "committed"

    def test_its_key_is_voided_and_the_next_attempt_has_another(self, approved, toybox):
        toybox.colours["bear"] = "green"
        execution.run(attempt().pk)
        first = attempt()
        assert toybox.receipts[first.key] == "void"
        work()
        factories.approve(approved)
        assert attempt().key != first.key

    def test_three_times_in_a_row_end_with_people(self, toybox):
        proposal = factories.make_proposal()
        make_person()
        from proposals import checks

        for colour in ("green", "grey", "pink"):
            execution_id = checks.run(proposal.pk)
            assert execution_id is not None
            toybox.colours["bear"] = colour
            execution.run(execution_id)
        assert checks.run(proposal.pk) is None
        assert fresh(proposal).status == "pending"


class TestSettle:
    def test_a_worker_that_lost_its_lease_changes_nothing(self, approved, toybox):
        late = execution.take(attempt().pk)
        assert execution.intend(late)
        outcome = execution.apply(late)
        lease_ends()
        execution.run(attempt().pk)
        assert fresh(approved).status == "committed"
        settling.settle(late, outcome)
        assert LedgerEntry.objects.filter(kind="proposal.committed").count() == 1
        assert LedgerEntry.objects.filter(kind="execution.late_evidence").count() == 1
        assert len(toybox.effects) == 1

    def test_an_intent_of_a_lost_fence_is_refused(self, approved):
        late = execution.take(attempt().pk)
        lease_ends()
        execution.take(attempt().pk)
        assert execution.intend(late) is False

    def test_a_late_writer_whose_key_was_voided_writes_nothing(self, approved, toybox):
        late = execution.take(attempt().pk)
        execution.intend(late)
        toybox.colours["bear"] = "green"
        lease_ends()
        execution.run(attempt().pk)  # another worker: stale, so it voids the key
        toybox.colours["bear"] = "brown"  # now the late one would find what it expects
        with pytest.raises(execution.VoidedKey):
            execution.apply(late)
        assert toybox.effects == []

    def test_no_commit_without_evidence(self, approved):
        execution.run(attempt().pk)
        done = attempt()
        assert done.status == "committed"
        assert done.result
        assert done.after == {"bear": {"colour": "blue"}}
        assert done.compensation["action"] == "toys.restore"


class TestFailure:
    def test_a_definite_refusal_fails_and_voids_the_key(self, approved, toybox):
        toybox.failing["apply"] = "refused"
        execution.run(attempt().pk)
        assert fresh(approved).status == "failed"
        assert fresh(approved).error["code"] == "target-refused"
        assert toybox.receipts[attempt().key] == "void"

    def test_a_target_out_of_reach_is_tried_again_under_the_same_key(self, approved, toybox):
        toybox.failing["apply"] = "unavailable"
        execution.run(attempt().pk)
        first = attempt()
        assert fresh(approved).status == "approved"
        assert first.status == "intended"
        toybox.failing.clear()
        lease_ends()
        execution.run(first.pk)
        assert fresh(approved).status == "committed"
        assert attempt().key == first.key

    def test_an_answer_that_got_lost_is_found_again_by_its_receipt(self, approved, toybox):
        toybox.failing["answer"] = "unclear"
        execution.run(attempt().pk)
        assert fresh(approved).status == "approved"
        toybox.failing.clear()
        lease_ends()
        execution.run(attempt().pk)
        assert fresh(approved).status == "committed"
        assert len(toybox.effects) == 1

    def test_a_refusal_is_not_believed_while_the_key_may_still_apply(self, approved, toybox):
        toybox.failing.update(apply="refused", void="unavailable")
        execution.run(attempt().pk)
        assert fresh(approved).status == "approved"
        assert attempt().status == "intended"

    def test_after_enough_tries_people_are_asked(self, approved, toybox, settings):
        settings.EXECUTION_MAX_ATTEMPTS = 3
        toybox.failing["apply"] = "unclear"
        for _ in range(3):
            lease_ends()
            execution.run(attempt().pk)
        assert fresh(approved).status == "unknown"
        assert not Execution.objects.open().exists()

    def test_a_worker_that_dies_each_time_does_not_loop_for_ever(self, approved, settings):
        settings.EXECUTION_MAX_ATTEMPTS = 3
        for _ in range(3):
            claim = execution.take(attempt().pk)
            execution.intend(claim)
            lease_ends()
        execution.run(attempt().pk)
        assert fresh(approved).status == "submitted"

    def test_an_action_that_is_gone_asks_people_in_the_end(self, approved, settings):
        from proposals.registry import registry

        settings.EXECUTION_MAX_ATTEMPTS = 1
        action = registry.actions.pop("toys.set")
        execution.run(attempt().pk)
        registry.actions["toys.set"] = action
        assert fresh(approved).status == "unknown"


class TestReconcile:
    @pytest.fixture
    def unknown(self, approved, toybox, settings):
        settings.EXECUTION_MAX_ATTEMPTS = 1
        toybox.failing["answer"] = "unclear"
        execution.run(attempt().pk)
        toybox.failing.clear()
        return fresh(approved)

    def test_a_receipt_is_the_evidence_of_a_commit(self, unknown):
        assert unknown.status == "unknown"
        olga = make_person("olga", groups=["operators"])
        services.reconcile(proposal_id=unknown.pk, person=olga, reason="Asked the target.")
        assert fresh(unknown).status == "committed"
        assert services.preview_undo(proposal_id=unknown.pk).preview is not None
        said = LedgerEntry.objects.filter(kind="proposal.committed").latest("at").body
        assert said["after"] == digest(attempt().after), "as of every other commit"

    def test_without_a_receipt_the_key_is_voided_first(self, unknown, toybox):
        toybox.receipts.clear()
        olga = make_person("olga", groups=["operators"])
        services.reconcile(proposal_id=unknown.pk, person=olga, reason="Asked the target.")
        assert fresh(unknown).status == "failed"
        assert toybox.receipts[attempt().key] == "void"

    def test_it_takes_the_right(self, unknown):
        from proposals.exceptions import NotEligible

        with pytest.raises(NotEligible):
            services.reconcile(proposal_id=unknown.pk, person=make_person(), reason="Me.")
