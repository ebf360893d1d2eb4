"""The clock: it rings, and where nobody answers, it does the work."""

from datetime import timedelta
from unittest import mock

import pytest
from django.db import DataError, IntegrityError, OperationalError

from ledger import clock
from proposals import bell, dispatch, execution, services
from proposals.api import representation
from proposals.models import Execution, Proposal, Rule
from tests import factories
from tests.factories import (
    fresh,
    make_agent,
    make_checked,
    make_person,
    make_proposal,
    painting,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]


@pytest.fixture(autouse=True)
def _default_rules():
    factories.make_person()


def wait(proposal, seconds: float) -> None:
    """Let a proposal have been due for so long."""
    since = clock.now() - timedelta(seconds=seconds)
    Proposal.objects.filter(pk=proposal.pk).update(due_at=since)


@pytest.fixture
def rung():
    with mock.patch("celery.current_app.send_task") as send:
        yield send


def test_what_nobody_took_is_rung_for_once(rung):
    wait(make_proposal(), 2)
    sweep = dispatch.Sweep()
    sweep.run()
    sweep.run()
    assert rung.call_count == 1


def test_what_is_fresh_is_left_to_its_first_bell(rung):
    make_proposal()
    dispatch.Sweep().run()
    assert not rung.called


def test_an_unanswered_bell_makes_the_clock_do_the_work(rung):
    proposal = make_proposal()
    wait(proposal, 2)
    sweep = dispatch.Sweep()
    sweep.run()
    [bell] = sweep.rung
    sweep.rung[bell] -= timedelta(seconds=6)
    sweep.run()
    assert fresh(proposal).status == "committed"


def test_with_a_dead_broker_the_clock_does_the_work_at_once():
    proposal = make_proposal()
    wait(proposal, 2)
    with mock.patch("celery.current_app.send_task", side_effect=OSError("no broker")):
        dispatch.Sweep().run()
    assert fresh(proposal).status == "committed"


def test_a_dead_broker_is_no_error_for_whoever_rings():
    with mock.patch("celery.current_app.send_task", side_effect=OSError("no broker")):
        assert bell.send("proposals.check", make_proposal().pk) is False


def test_an_abandoned_claim_is_found(rung, toybox):
    proposal = make_checked(params=painting(tier="medium"))
    factories.approve(proposal)
    execution.take(Execution.objects.get().pk)
    past = clock.now() - timedelta(seconds=60)
    Execution.objects.update(lease_until=past, run_after=past)
    dispatch.Sweep().run()
    assert fresh(proposal).status == "committed"


@pytest.mark.parametrize("poison", [RuntimeError, DataError, IntegrityError])
def test_one_poisoned_row_does_not_stop_the_others(rung, poison):
    poisoned, sound = make_proposal(), make_proposal(params=painting("green"))
    wait(poisoned, 20)
    wait(sound, 10)
    work = dispatch.check_and_commit

    def fragile(proposal_id):
        if proposal_id == poisoned.pk:
            raise poison("of this row alone")
        return work(proposal_id)

    with mock.patch("proposals.dispatch.check_and_commit", fragile):
        dispatch.Sweep().run()
    assert fresh(sound).status == "committed"


class TestARowThatWasChangedFromOutside:
    @pytest.fixture
    def poisoned(self):
        """What waits, and cannot take its next ledger entry."""
        proposal = make_checked(params=painting(tier="medium"))
        Proposal.objects.filter(pk=proposal.pk).update(ledger_number=1)
        return proposal

    @pytest.fixture
    def sound(self, poisoned):
        return make_checked(params=painting("green", toy="duck", tier="medium"), run="another")

    @pytest.fixture
    def sweep(self, monkeypatch, rung):
        monkeypatch.setattr("proposals.rounds.BATCH", 1)
        return dispatch.Sweep()

    def test_keeps_nothing_else_from_expiring(self, sweep, poisoned, sound):
        now = clock.now()
        Proposal.objects.filter(pk=poisoned.pk).update(expires_at=now - timedelta(days=1))
        Proposal.objects.filter(pk=sound.pk).update(expires_at=now)
        sweep.run()
        assert fresh(sound).status == "pending", "one row is a batch here, and that one was first"
        sweep.run()
        assert (fresh(poisoned).status, fresh(sound).status) == ("pending", "expired")

    def test_keeps_nothing_else_from_being_checked_anew(self, sweep, poisoned, sound):
        rule = Rule(name="Never ducks", effect="deny", condition='params.toy == "duck"')
        services.save_rule(rule=rule, person=None, is_new=True)
        sweep.run()
        sweep.run()
        assert (fresh(poisoned).status, fresh(sound).status) == ("pending", "submitted")

    def test_is_no_more_in_the_way_when_a_worker_has_it(self, sweep, sound):
        factories.approve(sound)
        taken = execution.take(Execution.objects.get(proposal=sound).pk)
        assert execution.intend(taken)
        third = make_checked(params=painting("pink", toy="car", tier="medium"), run="third")
        for each, days in ((sound, 1), (third, 0)):
            overdue = clock.now() - timedelta(days=days)
            Proposal.objects.filter(pk=each.pk).update(expires_at=overdue)
        sweep.run()
        assert (fresh(sound).status, fresh(third).status) == ("approved", "expired")

    def test_gets_another_turn(self, sweep, poisoned, sound):
        Proposal.objects.filter(pk=poisoned.pk).update(expires_at=clock.now())
        sweep.run()
        Proposal.objects.filter(pk=poisoned.pk).update(ledger_number=poisoned.ledger_number)
        sweep.run()
        assert fresh(poisoned).status == "pending", "it rests"
        sweep.rounds.failed[poisoned.pk] -= timedelta(minutes=1)
        sweep.run()
        assert fresh(poisoned).status == "expired"


def test_a_round_that_fails_keeps_no_other_from_being_made(rung):
    overdue = make_checked(params=painting(tier="medium"))
    Proposal.objects.filter(pk=overdue.pk).update(expires_at=clock.now())
    with (
        mock.patch("proposals.gate.rules", side_effect=ValueError("a rule that nobody can read")),
        mock.patch("proposals.rule_hits.sum_up", side_effect=ValueError("as bad")),
        mock.patch("budgets.refusals.sum_up", return_value=7) as last,
    ):
        assert dispatch.Sweep().run() == 8
    assert last.called
    assert fresh(overdue).status == "expired"


def test_a_database_that_is_gone_ends_the_pass(rung):
    """It is the same for all rows, and each would wait for it anew."""
    wait(make_proposal(), 20)
    gone = mock.Mock(side_effect=OperationalError("gone"))
    with mock.patch("proposals.dispatch.check_and_commit", gone), pytest.raises(OperationalError):
        dispatch.Sweep().run()


def test_overdue_proposals_expire(rung):
    proposal = make_checked(params=painting(tier="medium"))
    Proposal.objects.filter(pk=proposal.pk).update(expires_at=clock.now())
    dispatch.Sweep().run()
    assert fresh(proposal).status == "expired"


def test_changed_rules_have_what_waits_checked_again(rung):
    proposal = make_checked(params=painting(tier="medium"))
    services.save_rule(
        rule=Rule(name="Never bears", effect="deny", condition='params.toy == "bear"'),
        person=None,
        is_new=True,
    )
    sweep = dispatch.Sweep()
    sweep.run()
    wait(proposal, 10)
    sweep.run()
    assert fresh(proposal).status == "denied"


class TestASuspendedAgent:
    """What it has under way is held: its proposals rest as they are, its targets are left alone."""

    @pytest.fixture
    def held(self):
        proposal = make_proposal()
        wait(proposal, 20)
        factories.suspend(make_agent())
        return proposal

    def test_has_nothing_previewed(self, rung, toybox, held, monkeypatch):
        previewed = []
        monkeypatch.setattr(toybox, "fail", previewed.append)
        dispatch.check_and_commit(held.pk)
        dispatch.Sweep().run()
        assert (previewed, rung.call_count) == ([], 0)
        assert fresh(held).status == "submitted"

    def test_goes_on_with_it_when_it_is_resumed(self, rung, held):
        operator = make_person("olga", groups=["operators"])
        services.set_suspended(
            agent_id=held.agent_id, is_suspended=False, reason="Found.", person=operator
        )
        dispatch.Sweep().run()
        assert fresh(held).status == "committed"

    def test_says_that_an_operator_must_act(self, held):
        assert representation.waiting_on(fresh(held), None)["who"] == "operator"

    def test_does_not_keep_people_from_undoing_what_it_wrote(self, toybox):
        written = make_checked()
        factories.suspend(make_agent())
        undo = services.undo(proposal_id=written.pk, person=make_person(), reason="Wrong colour.")
        factories.work()
        assert fresh(undo).status == "committed"

    def test_is_checked_all_the_same_while_it_is_only_frozen(self, rung):
        """A freeze stops writes: people may look at what is proposed meanwhile, and decide."""
        services.freeze(reason="A loop.", agent=make_agent())
        assert make_checked(params=painting(tier="medium")).status == "pending"
