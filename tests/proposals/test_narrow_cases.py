"""Cases that the model and the state machine led to, each as the shortest story there is."""

import pytest

from ledger import clock
from proposals import checks, execution, idempotency, services
from proposals.exceptions import AlreadyDecided, AlreadyUndone, IllegalTransition
from proposals.models import Execution, Proposal
from tests import factories
from tests.factories import fresh, make_checked, make_person, painting, work
from tests.toys import SetColour

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]


@pytest.fixture
def olga():
    return make_person("olga", groups=["operators"])


@pytest.fixture
def approved():
    proposal = make_checked(params=painting(tier="medium"))
    factories.approve(proposal)
    return fresh(proposal)


def undo(proposal: Proposal, olga) -> Proposal:
    started = services.undo(proposal_id=proposal.pk, person=olga, reason="Wrong.")
    work()
    return fresh(started)


class TestTheOnePlaceForAnUndo:
    def test_undoing_the_redo_of_what_was_undone_once_more(self, olga, toybox):
        forward = make_checked()
        first = undo(forward, olga)
        redo = undo(first, olga)
        second = undo(forward, olga)
        toybox.colours["bear"] = "blue"  # somebody paints it as the redo left it
        assert undo(redo, olga).status == "committed"
        assert fresh(forward).is_undone
        assert fresh(redo).is_undone
        # The place of the first was taken by the second, and is not given back.
        assert fresh(first).is_undone
        assert not fresh(second).is_undone

    def test_a_failed_undo_is_not_retried_beside_another(self, olga, toybox):
        forward = make_checked()
        toybox.failing["apply"] = "refused"
        failed = undo(forward, olga)
        assert failed.status == "failed"
        services.undo(proposal_id=forward.pk, person=olga, reason="Once more.")
        with pytest.raises(AlreadyUndone):
            services.retry(proposal_id=failed.pk, person=olga, reason="The box is open.")
        assert fresh(failed).status == "failed"

    def test_nor_is_it_once_the_commit_was_undone(self, olga, toybox):
        forward = make_checked()
        toybox.failing["apply"] = "refused"
        failed = undo(forward, olga)
        toybox.failing.clear()
        undo(forward, olga)
        with pytest.raises(AlreadyUndone):
            services.retry(proposal_id=failed.pk, person=olga, reason="The box is open.")

    def test_a_failed_undo_alone_is_retried(self, olga, toybox):
        forward = make_checked()
        toybox.failing["apply"] = "refused"
        failed = undo(forward, olga)
        toybox.failing.clear()
        services.retry(proposal_id=failed.pk, person=olga, reason="The box is open.")
        work()
        assert fresh(failed).status == "committed"
        assert fresh(forward).is_undone


def test_what_keeps_coming_back_with_all_its_approvals_ends_with_people(approved):
    services.remove_grant(agent_id=approved.agent_id, pattern="*")
    for _ in range(10):
        for attempt in Execution.objects.open():
            execution.run(attempt.pk)
        checks.run(approved.pk)
    assert fresh(approved).status == "pending"
    assert fresh(approved).generation == 4


def test_a_slow_reconciliation_does_not_settle_a_later_attempt(
    approved, olga, toybox, settings, monkeypatch
):
    settings.EXECUTION_MAX_ATTEMPTS = 1
    toybox.failing["apply"] = "unclear"
    work()
    void, asked = SetColour.void, []

    def slow(self, params, *, key):
        answer = void(self, params, key=key)
        if not asked:  # while this one waits, another operator settles it and tries again
            asked.append(key)
            services.reconcile(proposal_id=approved.pk, person=olga, reason="Asked.")
            services.retry(proposal_id=approved.pk, person=olga, reason="Again.")
            work()
            assert fresh(approved).status == "unknown"
        return answer

    monkeypatch.setattr(SetColour, "void", slow)
    with pytest.raises(IllegalTransition):
        services.reconcile(proposal_id=approved.pk, person=olga, reason="Asked, too.")
    assert fresh(approved).status == "unknown"


def test_an_old_fence_says_nothing_about_a_freeze(approved):
    late = execution.take(Execution.objects.get().pk)
    Execution.objects.update(lease_until=clock.now())
    assert execution.take(Execution.objects.get().pk)
    services.freeze(reason="Stop.")
    before = fresh(approved)
    assert not execution.intend(late)
    assert (fresh(approved).reason, fresh(approved).ledger_number) == (
        before.reason,
        before.ledger_number,
    )


class TestSecondThoughts:
    @pytest.fixture
    def taken_back(self):
        """Saul approved, then asked for changes; the agent changed nothing but its words."""
        saul = make_person("saul", groups=["senior-reviewers"])
        proposal = make_checked(params=painting(tier="high"))
        factories.approve(proposal, reviewer=saul, fact="bear")
        factories.review(proposal, "request_changes", reviewer=saul)
        changes = {"rationale": "In other words."}
        services.amend(
            agent=proposal.agent,
            proposal_id=proposal.pk,
            key=factories.new_key(),
            fingerprint=idempotency.fingerprint("amend", changes),
            changes=changes,
        )
        work()
        return fresh(proposal)

    def test_an_approval_that_was_taken_back_does_not_count(self, taken_back):
        sara = make_person("sara", groups=["senior-reviewers"])
        factories.approve(taken_back, reviewer=sara, fact="bear")
        assert fresh(taken_back).status == "pending"

    def test_it_is_not_given_again_for_exactly_the_same(self, taken_back):
        with pytest.raises(AlreadyDecided, match="took back"):
            factories.approve(taken_back, reviewer=make_person("saul"), fact="bear")
