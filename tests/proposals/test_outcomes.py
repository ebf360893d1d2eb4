"""One effect, or an honest unknown: what becomes of writes that share no transaction."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from budgets.charges import Unit
from budgets.models import Budget, Reservation
from ledger import clock
from ledger.models import LedgerEntry
from ledger.verify import Result, verify
from proposals import breakers, execution, resolving, services
from proposals.exceptions import (
    IllegalTransition,
    InvalidRequest,
    NotEligible,
    NothingToUndo,
)
from proposals.models import Attestation, Breaker, Exchange, Execution, Proposal
from proposals.registry import Delivery, registry
from tests import factories
from tests.depot import BY_DELIVERY, TARGET, SendParcel
from tests.factories import fresh, make_checked, make_person

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("the_depot")]
OUTSIDE = list(BY_DELIVERY)


@pytest.fixture
def money_unmeasured(monkeypatch):
    """The depot's preview says nothing of money; the call alone does."""
    measuring = SendParcel.preview

    def preview(self, params):
        found = measuring(self, params)
        return replace(found, impact=replace(found.impact, amount=None))

    monkeypatch.setattr(SendParcel, "preview", preview)


def cannot_say(self, params):
    raise KeyError("amount")


def approved(delivery: str = Delivery.KEYED, **params: str) -> Proposal:
    """A proposal that Rita approved, and that no worker has claimed."""
    params = {"parcel": "books", **params}
    proposal = make_checked(action=BY_DELIVERY[delivery], params=params)
    factories.approve(proposal)
    return fresh(proposal)


def attempt() -> Execution:
    return Execution.objects.latest("created_at")


def run(proposal: Proposal) -> Proposal:
    execution.run(attempt().pk)
    return fresh(proposal)


def unknown(the_depot, delivery: str, step: str = "answer", **params: str) -> Proposal:
    """A proposal of which something was sent, and no clear answer came."""
    proposal = approved(delivery, **params)
    the_depot.failing[step] = "unclear"
    proposal = run(proposal)
    the_depot.failing.clear()
    assert proposal.status == "unknown"
    return proposal


def time_passes(seconds: float) -> None:
    """All moments of unknown outcomes lie so much further back."""
    by = timedelta(seconds=seconds)
    names = ("ask_at", "unclear_at", "last_unclear_at", "first_sent_at", "absent_at", "lease_until")
    for each in Execution.objects.all():
        moved = {name: getattr(each, name) - by for name in names if getattr(each, name)}
        Execution.objects.filter(pk=each.pk).update(**moved)


def ask(proposal: Proposal, after: float = 0) -> Proposal:
    """The clock's turn, so many seconds later."""
    time_passes(after)
    resolving.run(attempt().pk)
    return fresh(proposal)


def kinds(proposal: Proposal) -> list[str]:
    found = LedgerEntry.objects.filter(proposal=str(proposal.pk)).order_by("number")
    return list(found.values_list("kind", flat=True))


@pytest.mark.parametrize("delivery", OUTSIDE)
class TestEveryDelivery:
    def test_commits_once_with_evidence_and_says_what_was_tried(self, the_depot, delivery):
        proposal = run(approved(delivery))
        assert proposal.status == "committed"
        assert len(the_depot.effects) == 1
        assert attempt().evidence["status"] == 200
        [exchange] = Exchange.objects.all()
        assert (exchange.purpose, exchange.end) == ("send", "applied")
        assert exchange.key == attempt().key

    def test_a_refusal_of_the_first_send_is_a_failure(self, the_depot, delivery):
        proposal = approved(delivery)
        the_depot.failing["send"] = "refused"
        proposal = run(proposal)
        assert proposal.status == "failed"
        assert proposal.error["code"] == "target-refused"

    @pytest.mark.parametrize("failure", ["unclear", "reset"])
    def test_no_clear_answer_is_unknown_at_once_and_keeps_its_budget(
        self, the_depot, delivery, failure
    ):
        budget = Budget(name="Writes", unit=Unit.WRITES, limit=9, window_seconds=60)
        services.save_budget(budget=budget, person=None, is_new=True)
        proposal = approved(delivery)
        the_depot.failing["answer"] = failure
        proposal = run(proposal)
        assert proposal.status == "unknown"
        assert "not known whether" in proposal.reason
        held = Reservation.objects.filter(proposal=str(proposal.pk))
        assert set(held.values_list("status", flat=True)) == {"held"}
        with pytest.raises(NothingToUndo):
            services.preview_undo(proposal_id=proposal.pk)

    def test_a_worker_that_died_after_its_intent_left_an_unknown_outcome(self, the_depot, delivery):
        proposal = approved(delivery)
        claim = execution.take(attempt().pk)
        assert execution.prepare(claim)
        assert execution.intend(claim)
        time_passes(1000)
        assert run(proposal).status == "unknown"
        assert the_depot.requests == []
        assert Exchange.objects.get().end == "lost"

    def test_success_without_evidence_is_not_believed(self, the_depot, delivery):
        the_depot.has_evidence = False
        proposal = run(approved(delivery))
        assert proposal.status == "unknown"
        assert len(the_depot.effects) == 1

    def test_what_moved_before_anything_was_sent_comes_back_for_a_fresh_check(
        self, the_depot, delivery
    ):
        proposal = approved(delivery)
        the_depot.failing["prepare"] = "stale"
        proposal = run(proposal)
        assert proposal.status == "submitted"
        assert the_depot.requests == []
        assert attempt().found == {"depot": {"doors": "shut"}}

    @pytest.mark.parametrize("step", ["prepare", "send"])
    def test_what_was_never_sent_is_tried_again_and_fails_in_the_end(
        self, the_depot, delivery, step, settings
    ):
        proposal = approved(delivery)
        the_depot.failing[step] = "unavailable"
        for number in range(1, settings.UNSENT_MAX_TRIES + 1):
            assert fresh(proposal).status == "approved"
            Execution.objects.update(run_after=clock.now())
            run(proposal)
            assert attempt().unsent == number or fresh(proposal).status == "failed"
        assert fresh(proposal).error["code"] == "target-unavailable"
        assert the_depot.effects == []
        assert {each.end for each in Exchange.objects.all()} == {"unsent"}

    def test_a_fault_of_the_action_before_its_intent_sends_nothing(
        self, the_depot, delivery, monkeypatch
    ):
        proposal = approved(delivery)
        monkeypatch.setattr(SendParcel, "prepare", lambda self, params, expected: 1 / 0)
        assert run(proposal).status == "approved"
        assert attempt().status == "queued"
        assert the_depot.requests == []

    def test_what_was_never_sent_then_commits_under_the_same_key(self, the_depot, delivery):
        proposal = approved(delivery)
        the_depot.failing["send"] = "unavailable"
        run(proposal)
        key = attempt().key
        the_depot.failing.clear()
        Execution.objects.update(run_after=clock.now())
        assert run(proposal).status == "committed"
        assert the_depot.effects == [key]

    def test_a_late_answer_is_kept_as_evidence_and_changes_nothing(self, the_depot, delivery):
        proposal = approved(delivery)
        late = execution.take(attempt().pk)
        execution.prepare(late)
        execution.intend(late)
        time_passes(1000)
        run(proposal)
        execution.write(late)
        proposal = fresh(proposal)
        assert proposal.status == "unknown"
        assert Exchange.objects.get(purpose="send").end == "applied"
        assert "execution.late_evidence" in kinds(proposal)


class TestTheDatabase:
    def test_takes_no_commit_outside_a_transaction_without_evidence(self, the_depot):
        run(approved())
        with pytest.raises(IntegrityError), transaction.atomic():
            Execution.objects.filter(pk=attempt().pk).update(evidence=None)


class TestAnActionThatCannotSayWhatItReaches:
    def test_promises_nothing_and_is_never_sent_twice(self, the_depot, monkeypatch):
        monkeypatch.setattr(SendParcel, "target", lambda self, params: 1 / 0)
        approved(Delivery.KEYED)
        assert attempt().delivery == "uncertain"


class TestKeyed:
    def test_is_sent_again_under_the_same_key_and_has_one_effect(self, the_depot):
        proposal = unknown(the_depot, Delivery.KEYED)
        proposal = ask(proposal, after=2)
        assert proposal.status == "committed"
        assert len(the_depot.requests) == 2
        assert len(set(the_depot.requests)) == 1
        assert len(the_depot.effects) == 1
        entry = LedgerEntry.objects.get(proposal=str(proposal.pk), kind="proposal.committed")
        assert b'"resolved_by":"resend"' in bytes(entry.canonical)

    def test_is_not_sent_again_before_its_time(self, the_depot):
        proposal = unknown(the_depot, Delivery.KEYED)
        ask(proposal)
        assert len(the_depot.requests) == 1

    def test_waits_longer_each_time(self, the_depot):
        proposal = unknown(the_depot, Delivery.KEYED)
        the_depot.failing["answer"] = "unclear"
        waits = []
        for _ in range(4):
            ask(proposal, after=100)
            found = attempt()
            waits.append(round((found.ask_at - found.last_unclear_at).total_seconds()))
        assert waits == [2, 4, 8, 16]

    def test_a_refusal_is_not_believed_while_the_first_may_still_arrive(self, the_depot):
        proposal = unknown(the_depot, Delivery.KEYED, step="send")
        the_depot.failing["send"] = "refused"
        assert ask(proposal, after=2).status == "unknown"
        assert ask(proposal, after=30).status == "unknown"
        assert len(the_depot.requests) == 2
        proposal = ask(proposal, after=31)
        assert proposal.status == "failed"
        assert len(the_depot.requests) == 3

    def test_a_refusal_after_another_unclear_answer_waits_again(self, the_depot):
        proposal = unknown(the_depot, Delivery.KEYED, step="send")
        for failure in ("refused", "unclear", "refused"):
            the_depot.failing["send"] = failure
            assert ask(proposal, after=70).status == "unknown"

    def test_is_never_sent_again_after_80_percent_of_the_keys_time(self, the_depot):
        proposal = unknown(the_depot, Delivery.KEYED)
        ask(proposal, after=801)
        assert len(the_depot.requests) == 1
        assert attempt().ask_at is None

    def test_is_never_sent_again_when_it_was_due_before_and_seen_to_after(self, the_depot):
        proposal = unknown(the_depot, Delivery.KEYED)
        time_passes(100)
        ask(proposal, after=701)
        assert len(the_depot.requests) == 1

    def test_is_asked_about_after_its_keys_time_where_that_is_possible(
        self, the_depot, monkeypatch
    ):
        monkeypatch.setattr(SendParcel, "can_probe", lambda self, params: True)
        proposal = unknown(the_depot, Delivery.KEYED)
        assert ask(proposal, after=900).status == "committed"
        assert (len(the_depot.requests), len(the_depot.probes)) == (1, 1)

    def test_is_not_sent_again_when_people_changed_how_it_is_sent(self, the_depot):
        proposal = unknown(the_depot, Delivery.KEYED)
        the_depot.version = "2"
        proposal = ask(proposal, after=2)
        assert len(the_depot.requests) == 1
        assert attempt().ask_at is None
        assert "changed since" in proposal.reason

    def test_is_not_sent_again_while_frozen(self, the_depot):
        proposal = unknown(the_depot, Delivery.KEYED)
        frozen = services.freeze(reason="Look first.", person=operator())
        ask(proposal, after=2)
        assert len(the_depot.requests) == 1
        services.lift(freeze_id=frozen.pk, reason="Looked.", person=operator())
        assert ask(proposal, after=200).status == "committed"

    def test_is_sent_again_when_its_budget_has_room_for_it_then(self, the_depot):
        make_person()
        cap = Budget(name="Cap", unit=Unit.WRITES, limit=1, window_seconds=60)
        services.save_budget(budget=cap, person=None, is_new=True)
        lost = unknown(the_depot, Delivery.KEYED, "send")
        assert the_depot.effects == []
        Reservation.objects.update(counted_at=clock.now() - timedelta(minutes=1))
        other = approved(parcel="shoes")
        assert run(other).status == "committed"
        lost_attempt = lost.executions.get()
        time_passes(2)
        resolving.run(lost_attempt.pk)
        assert len(the_depot.effects) == 1, "the cap of one in a minute holds for resends"
        assert lost.executions.get().ask_at > clock.now() + timedelta(seconds=30)
        Reservation.objects.exclude(proposal=str(lost.pk)).update(
            counted_at=clock.now() - timedelta(minutes=1)
        )
        time_passes(60)
        resolving.run(lost_attempt.pk)
        assert (fresh(lost).status, len(the_depot.effects)) == ("committed", 2)
        counted = Reservation.objects.get(proposal=str(lost.pk)).counted_at
        assert counted > clock.now() - timedelta(seconds=30), "from its last send on"
        resent = LedgerEntry.objects.get(proposal=str(lost.pk), kind="execution.resent")
        assert b'"writes":1' in bytes(resent.canonical)

    def test_does_not_keep_its_target_shut_while_no_budget_will_ever_have_room(self, the_depot):
        make_person()
        cap = Budget(name="Cap", unit=Unit.WRITES, limit=5, per_run=True, window_seconds=None)
        services.save_budget(budget=cap, person=None, is_new=True)
        lost = unknown(the_depot, Delivery.KEYED, "send")
        cap.limit = 0
        services.save_budget(budget=cap, person=None, is_new=False)
        long_ago = clock.now() - timedelta(minutes=5)
        Breaker.objects.filter(target=TARGET).update(opened_at=long_ago, retry_at=long_ago)
        assert Breaker.objects.filter(target=TARGET).exists()
        time_passes(5)
        resolving.run(lost.executions.get().pk)
        assert len(the_depot.requests) == 1
        assert breakers.standing(TARGET, clock.now(), is_new=True) is None

    def test_two_workers_send_it_once(self, the_depot):
        unknown(the_depot, Delivery.KEYED)
        time_passes(2)
        assert resolving.take(attempt().pk)
        assert resolving.take(attempt().pk) is None

    def test_a_worker_that_died_while_sending_again_leaves_it_unknown(self, the_depot):
        proposal = unknown(the_depot, Delivery.KEYED)
        time_passes(2)
        resolving.take(attempt().pk)
        assert ask(proposal, after=120).status == "unknown"  # noticed now, sent when it is due
        assert ask(proposal, after=10).status == "committed"
        assert list(Exchange.objects.values_list("end", flat=True)) == [
            "unclear",
            "lost",
            "applied",
        ]

    def test_an_action_that_is_gone_leaves_it_to_people(self, the_depot):
        proposal = unknown(the_depot, Delivery.KEYED)
        action = registry.actions.pop("parcels.keyed")
        ask(proposal, after=2)
        registry.actions["parcels.keyed"] = action
        assert attempt().ask_at is None


class TestQueryable:
    def test_is_asked_about_after_its_settling_time_and_never_sent_again(self, the_depot):
        proposal = unknown(the_depot, Delivery.QUERYABLE)
        ask(proposal, after=50)
        assert the_depot.probes == []
        assert ask(proposal, after=11).status == "committed"
        assert len(the_depot.requests) == 1

    def test_is_asked_about_by_one_worker_at_a_time(self, the_depot):
        unknown(the_depot, Delivery.QUERYABLE)
        time_passes(61)
        assert resolving.take(attempt().pk)
        assert not Execution.objects.to_ask(clock.now()).exists()
        assert resolving.take(attempt().pk) is None
        assert Exchange.objects.filter(ended_at=None).count() == 1, "the first still listens"

    def test_absent_once_proves_nothing(self, the_depot):
        proposal = unknown(the_depot, Delivery.QUERYABLE, step="send")
        assert ask(proposal, after=61).status == "unknown"
        assert ask(proposal, after=30).status == "unknown"
        assert len(the_depot.probes) == 1

    def test_absent_twice_a_settling_time_apart_is_a_failure_that_people_may_retry(self, the_depot):
        proposal = unknown(the_depot, Delivery.QUERYABLE, step="send")
        ask(proposal, after=61)
        proposal = ask(proposal, after=121)
        assert (proposal.status, proposal.error["code"]) == ("failed", "not-applied")
        assert proposal.error["retryable"]
        assert len(the_depot.requests) == 1

    def test_absent_about_money_is_for_people(self, the_depot):
        proposal = unknown(the_depot, Delivery.QUERYABLE, step="send", amount="5.00")
        ask(proposal, after=61)
        proposal = ask(proposal, after=121)
        assert proposal.status == "unknown"
        assert attempt().ask_at is None

    def test_absent_about_money_that_only_the_call_states_is_for_people(
        self, the_depot, money_unmeasured
    ):
        proposal = unknown(the_depot, Delivery.QUERYABLE, step="send", amount="5.00")
        assert proposal.current_check.impact["amount"] is None
        ask(proposal, after=61)
        assert ask(proposal, after=121).status == "unknown"

    def test_absent_about_what_cannot_say_whether_it_moves_money_is_for_people(
        self, the_depot, monkeypatch
    ):
        proposal = unknown(the_depot, Delivery.QUERYABLE, step="send")
        monkeypatch.setattr(SendParcel, "amount", cannot_say)
        ask(proposal, after=61)
        assert ask(proposal, after=121).status == "unknown"

    def test_after_four_questions_without_an_answer_people_are_asked(self, the_depot):
        proposal = unknown(the_depot, Delivery.QUERYABLE)
        the_depot.failing["probe"] = "unclear"
        for _ in range(6):
            ask(proposal, after=4000)
        assert len(the_depot.probes) == 4
        assert fresh(proposal).status == "unknown"
        assert attempt().ask_at is None
        assert Exchange.objects.filter(purpose="probe").first().evidence == {"status": 500}

    def test_is_asked_about_while_frozen_because_a_question_writes_nothing(self, the_depot):
        proposal = unknown(the_depot, Delivery.QUERYABLE)
        services.freeze(reason="Look.", person=operator())
        assert ask(proposal, after=61).status == "committed"


class TestUncertain:
    def test_is_never_sent_again_and_never_asked_about(self, the_depot):
        proposal = unknown(the_depot, Delivery.UNCERTAIN)
        for _ in range(3):
            ask(proposal, after=5000)
        assert (len(the_depot.requests), the_depot.probes) == (1, [])
        assert fresh(proposal).status == "unknown"
        assert attempt().ask_at is None


def operator(name: str = "olga"):
    return make_person(name, groups=["operators"])


def sent_again(the_depot, proposal: Proposal) -> None:
    """The machine sends it under the same key: it arrives, and its answer is lost."""
    resends = attempt().resends
    the_depot.failing["answer"] = "unclear"
    assert ask(proposal, after=200).status == "unknown"
    the_depot.failing.clear()
    assert attempt().resends == resends + 1


class TestPeople:
    @pytest.fixture
    def stuck(self, the_depot):
        return unknown(the_depot, Delivery.UNCERTAIN)

    def attest(self, proposal, person=None, **said):
        said = {"finding": "applied", "reference": "track-1", **said}
        return services.attest(
            proposal_id=proposal.pk,
            person=person or operator(),
            authenticated_at=clock.now(),
            **said,
        )

    def not_there(self, proposal, person):
        said = {"finding": "not_applied", "evidence": "Not there.", "retry_is_safe": True}
        return self.attest(proposal, person, seen=attempt().fence, **said)

    def test_applied_commits_with_the_reference_as_evidence(self, stuck):
        self.attest(stuck)
        proposal = fresh(stuck)
        assert proposal.status == "committed"
        assert attempt().evidence["reference"] == "track-1"
        assert attempt().resolved_at
        assert kinds(proposal)[-2:] == ["proposal.attested", "proposal.committed"]
        assert services.preview_undo(proposal_id=proposal.pk).call.action == "parcels.recall"

    def test_not_applied_fails_and_a_retry_has_a_new_key(self, stuck):
        key = attempt().key
        time_passes(61)
        self.attest(stuck, finding="not_applied", evidence="Not in the log.", retry_is_safe=True)
        assert fresh(stuck).status == "failed"
        services.retry(proposal_id=stuck.pk, person=operator(), reason="It is wanted.")
        factories.work()
        assert fresh(stuck).status == "committed"
        assert attempt().key != key

    def test_not_applied_is_not_believed_while_it_may_still_arrive(self, stuck):
        said = {"finding": "not_applied", "evidence": "Not there.", "retry_is_safe": True}
        time_passes(55)
        with pytest.raises(IllegalTransition, match="may still arrive until"):
            self.attest(stuck, **said)
        assert not Attestation.objects.exists()
        time_passes(10)
        self.attest(stuck, **said)
        assert fresh(stuck).status == "failed"

    def test_applied_may_be_said_at_once(self, stuck):
        self.attest(stuck)
        assert fresh(stuck).status == "committed"

    def test_what_was_looked_up_before_another_send_is_not_believed(self, the_depot):
        proposal = unknown(the_depot, Delivery.KEYED)
        seen = attempt().fence
        the_depot.failing["answer"] = "unclear"
        ask(proposal, after=2)
        time_passes(61)
        said = {"finding": "not_applied", "evidence": "Not there.", "retry_is_safe": True}
        with pytest.raises(IllegalTransition, match="once more since you opened this page"):
            self.attest(proposal, seen=seen, **said)
        self.attest(proposal, seen=attempt().fence, **said)
        assert fresh(proposal).status == "failed"

    def test_cannot_tell_is_recorded_and_changes_nothing(self, stuck):
        self.attest(stuck, finding="cannot_tell", evidence="Their log is down.")
        assert fresh(stuck).status == "unknown"
        assert kinds(stuck)[-1] == "proposal.attested"

    @pytest.mark.parametrize(
        ("said", "field"),
        [
            ({"finding": "applied", "reference": " "}, "/reference"),
            ({"finding": "applied", "reference": "a" * 201}, "/reference"),
            ({"finding": "applied", "reference": "a\u202eb"}, "/reference"),
            ({"finding": "not_applied", "retry_is_safe": True}, "/evidence"),
            ({"finding": "not_applied", "evidence": "Looked."}, "/retry_is_safe"),
            ({"finding": "cannot_tell"}, "/evidence"),
            ({"finding": "cannot_tell", "evidence": "a" * 2001}, "/evidence"),
            ({"finding": "perhaps"}, "/finding"),
        ],
    )
    def test_says_which_part_is_missing_and_records_nothing(self, stuck, said, field):
        before = LedgerEntry.objects.count()
        with pytest.raises(InvalidRequest) as refusal:
            self.attest(stuck, **said)
        assert refusal.value.errors[0]["pointer"] == field
        assert LedgerEntry.objects.count() == before

    def test_takes_the_right(self, stuck):
        with pytest.raises(NotEligible):
            self.attest(stuck, make_person("rita"))

    def test_nobody_settles_what_their_own_agent_did(self, stuck):
        otto = make_person("otto")
        otto.groups.set([*otto.groups.all(), *operator().groups.all()])
        with pytest.raises(NotEligible, match="You own the agent"):
            self.attest(stuck, type(otto).objects.get(pk=otto.pk))

    def test_above_an_amount_two_people_must_find_the_same(self, the_depot):
        proposal = unknown(the_depot, Delivery.UNCERTAIN, amount="100.01")
        self.attest(proposal)
        self.attest(proposal)
        assert fresh(proposal).status == "unknown"
        self.attest(proposal, operator("oskar"), reference="track-2")
        assert fresh(proposal).status == "unknown"
        self.attest(proposal, operator("oskar"))
        assert fresh(proposal).status == "committed"
        assert len(attempt().evidence["attested_by"]) == 2

    def test_above_an_amount_that_only_the_call_states_too(self, the_depot, money_unmeasured):
        proposal = unknown(the_depot, Delivery.UNCERTAIN, amount="100.01")
        self.attest(proposal)
        assert fresh(proposal).status == "unknown"
        self.attest(proposal, operator("oskar"))
        assert fresh(proposal).status == "committed"

    def test_two_are_needed_where_nobody_can_say_whether_it_moves_money(self, stuck, monkeypatch):
        monkeypatch.setattr(SendParcel, "amount", cannot_say)
        self.attest(stuck)
        assert fresh(stuck).status == "unknown"
        self.attest(stuck, operator("oskar"))
        assert fresh(stuck).status == "committed"

    def test_at_the_amount_one_person_is_enough(self, the_depot):
        proposal = unknown(the_depot, Delivery.UNCERTAIN, amount="100.00")
        self.attest(proposal)
        assert fresh(proposal).status == "committed"

    def test_what_the_first_did_not_find_before_another_send_does_not_count(self, the_depot):
        """Neither arrived when Olga looked, and the second did when Oskar looked wrongly."""
        proposal = unknown(the_depot, Delivery.KEYED, step="send", amount="500.00")
        olga, oskar = operator(), operator("oskar")
        time_passes(61)
        self.not_there(proposal, olga)
        sent_again(the_depot, proposal)
        time_passes(61)
        self.not_there(proposal, oskar)
        assert len(the_depot.effects) == 1
        assert fresh(proposal).status == "unknown", "only one of them looked after the last send"
        self.not_there(proposal, olga)
        assert fresh(proposal).status == "failed"
        [failed] = LedgerEntry.objects.filter(kind="proposal.failed")
        assert failed.body["by"] == [f"user:{olga.pk}", f"user:{oskar.pk}"]
        said = LedgerEntry.objects.filter(kind="proposal.attested").order_by("id")
        assert [one.body["fence"] for one in said] == [1, 2, 2]
        assert verify().result is Result.INTACT

    def test_an_effect_that_was_seen_before_another_send_stays_seen(self, the_depot):
        proposal = unknown(the_depot, Delivery.KEYED, amount="500.00")
        self.attest(proposal)
        sent_again(the_depot, proposal)
        self.attest(proposal, operator("oskar"))
        assert fresh(proposal).status == "committed"
        assert len(attempt().evidence["attested_by"]) == 2

    def test_what_somebody_took_back_does_not_count_again_after_another_send(self, the_depot):
        proposal = unknown(the_depot, Delivery.KEYED, amount="500.00")
        time_passes(61)
        self.attest(proposal)
        self.not_there(proposal, operator())
        sent_again(the_depot, proposal)
        self.attest(proposal, operator("oskar"))
        assert fresh(proposal).status == "unknown"

    def test_a_question_in_between_makes_no_finding_void(self, the_depot):
        proposal = unknown(the_depot, Delivery.QUERYABLE, step="send", amount="500.00")
        time_passes(61)
        self.not_there(proposal, operator())
        assert ask(proposal, after=200).status == "unknown"
        assert Exchange.objects.latest("id").purpose == "probe"
        self.not_there(proposal, operator("oskar"))
        assert fresh(proposal).status == "failed"

    def test_whoever_lost_the_right_meanwhile_does_not_count(self, the_depot):
        proposal = unknown(the_depot, Delivery.UNCERTAIN, amount="500.00")
        self.attest(proposal)
        operator().groups.clear()
        self.attest(proposal, operator("oskar"))
        assert fresh(proposal).status == "unknown"

    def test_waits_while_the_machine_is_asking(self, the_depot):
        proposal = unknown(the_depot, Delivery.KEYED)
        time_passes(2)
        claim = resolving.take(attempt().pk)
        with pytest.raises(IllegalTransition, match="asked just now"):
            self.attest(proposal)
        resolving.send_again(claim)
        assert fresh(proposal).status == "committed"

    def test_what_people_settled_is_not_settled_again_by_a_late_resend(self, the_depot):
        proposal = unknown(the_depot, Delivery.KEYED)
        time_passes(2)
        late = resolving.take(attempt().pk)
        time_passes(100)
        self.attest(proposal, finding="not_applied", evidence="Not there.", retry_is_safe=True)
        resolving.send_again(late)
        assert fresh(proposal).status == "failed"
        assert kinds(proposal)[-1] == "execution.late_evidence"

    def test_is_not_for_targets_that_keep_receipts(self, stuck):
        Execution.objects.update(delivery="transactional")
        with pytest.raises(IllegalTransition, match="ask it instead"):
            self.attest(stuck)

    def test_other_targets_cannot_be_asked_for_a_receipt(self, stuck):
        with pytest.raises(IllegalTransition, match="keeps no receipt"):
            services.reconcile(proposal_id=stuck.pk, person=operator(), reason="Asking.")

    def test_may_have_the_target_asked_sooner(self, the_depot):
        proposal = unknown(the_depot, Delivery.QUERYABLE)
        time_passes(61)
        Execution.objects.update(ask_at=clock.now() + timedelta(hours=1))
        services.ask_again(proposal_id=proposal.pk, person=operator())
        assert ask(proposal).status == "committed"

    def test_wanting_it_asked_is_entered_once_with_who_wanted_it(self, the_depot):
        proposal = unknown(the_depot, Delivery.QUERYABLE)
        olga = operator()
        for _ in range(2):
            services.ask_again(proposal_id=proposal.pk, person=olga)
        [entry] = LedgerEntry.objects.filter(kind="execution.inquiry_wanted")
        assert (entry.actor, entry.proposal) == (f"user:{olga.pk}", str(proposal.pk))
        assert entry.body["attempt"] == 1
        assert verify().result is Result.INTACT

    def test_cannot_have_a_target_asked_that_cannot_be_asked(self, stuck):
        ask(stuck)
        with pytest.raises(IllegalTransition):
            services.ask_again(proposal_id=stuck.pk, person=operator())


class TestBreaker:
    def swallow(self, the_depot, count: int, failure: str = "unclear") -> None:
        """So many calls into a black hole; stops where the breaker holds one back."""
        the_depot.failing["send"] = failure
        for _ in range(count):
            run(approved(Delivery.UNCERTAIN))

    def test_opens_after_five_unclear_outcomes_and_holds_what_comes_then(self, the_depot):
        self.swallow(the_depot, 7)
        assert len(the_depot.requests) == 5
        held = Proposal.objects.filter(status="approved")
        assert held.count() == 2
        assert f"Writes to {TARGET} are paused: 5 calls in a row" in held.first().reason
        assert LedgerEntry.objects.filter(kind="breaker.opened").count() == 1

    def test_opens_after_five_in_a_row_however_slowly_they_came(self, the_depot, settings):
        settings.BREAKER_WINDOW_SECONDS = 0
        self.swallow(the_depot, 6)
        assert len(the_depot.requests) == 5

    def test_opens_after_five_in_a_minute_though_others_were_answered(self, the_depot, settings):
        settings.BREAKER_WINDOW_SECONDS = 3600
        for number in range(5):
            the_depot.failing = {}
            run(approved(Delivery.UNCERTAIN))
            self.swallow(the_depot, 1)
            assert Breaker.objects.get().is_open == (number == 4)
        assert "5 calls within a minute" in Breaker.objects.get().reason

    def test_tries_one_call_after_a_pause_and_closes_on_a_clear_answer(self, the_depot):
        self.swallow(the_depot, 6)
        the_depot.failing.clear()
        self.pause_ends()
        Execution.objects.filter(status="unknown").update(ask_at=None)
        held = Execution.objects.get(status="queued")
        execution.run(held.pk)
        assert Execution.objects.get(pk=held.pk).status == "committed"
        assert not Breaker.objects.get().is_open
        assert LedgerEntry.objects.filter(kind="breaker.closed").count() == 1

    def pause_ends(self) -> None:
        Breaker.objects.update(retry_at=clock.now())
        Execution.objects.filter(status="queued").update(run_after=clock.now())

    def test_tries_one_call_at_a_time(self, the_depot):
        self.swallow(the_depot, 7)
        Execution.objects.filter(status="unknown").update(ask_at=None)
        self.pause_ends()
        first, second = Execution.objects.filter(status="queued")
        claim = execution.take(first.pk)
        assert execution.intend(claim)
        assert execution.take(second.pk) is None
        assert "One call is being tried" in fresh(second.proposal).reason

    def test_a_worker_that_came_too_late_is_no_trial(self, the_depot):
        """Else nothing would be tried for as long as a trial may take, and nothing was sent."""
        self.swallow(the_depot, 6)
        Execution.objects.filter(status="unknown").update(ask_at=None)
        self.pause_ends()
        late = execution.take(Execution.objects.get(status="queued").pk)
        past = clock.now() - timedelta(seconds=1)
        Execution.objects.filter(status="claimed").update(lease_until=past)
        current = execution.take(late.execution.pk)
        assert execution.intend(late) is False
        assert Breaker.objects.get().trial_until is None
        assert execution.intend(current)

    def test_a_failed_trial_doubles_the_pause(self, the_depot, settings):
        self.swallow(the_depot, 6)
        Execution.objects.filter(status="unknown").update(ask_at=None)
        self.pause_ends()
        execution.run(Execution.objects.get(status="queued").pk)
        found = Breaker.objects.get()
        assert found.is_open
        assert found.pause_seconds == 2 * settings.BREAKER_PAUSE_SECONDS

    def test_what_is_unknown_already_is_the_trial_before_anything_new(self, the_depot):
        for _ in range(5):
            unknown(the_depot, Delivery.KEYED)
        new = approved(Delivery.KEYED)
        assert run(new).status == "approved"
        self.pause_ends()
        assert run(new).status == "approved"
        assert "unknown outcome is asked about first" in fresh(new).reason
        first = Execution.objects.filter(status="unknown").earliest("created_at")
        time_passes(5)
        resolving.run(first.pk)
        assert Execution.objects.get(pk=first.pk).status == "committed"
        self.pause_ends()
        assert run(new).status == "committed"

    def test_opens_when_half_of_ten_calls_failed(self, the_depot, settings):
        settings.BREAKER_WINDOW_SECONDS = 3600
        for _ in range(5):
            run(approved(Delivery.UNCERTAIN))
        assert not Breaker.objects.exclude(opened_at=None).exists()
        the_depot.failing = {"prepare": "unavailable"}
        for _ in range(5):
            run(approved(Delivery.UNCERTAIN))
        assert Breaker.objects.get().is_open
        assert re.fullmatch(r"\d+ of the last \d+ calls failed\.", Breaker.objects.get().reason)

    def test_stays_closed_while_answers_are_clear(self, the_depot):
        self.swallow(the_depot, 12, "refused")
        assert len(the_depot.requests) == 12
        assert not Breaker.objects.exclude(opened_at=None).exists()

    def test_a_person_with_the_right_may_have_one_call_tried_now(self, the_depot):
        self.swallow(the_depot, 5)
        found = Breaker.objects.get()
        with pytest.raises(NotEligible):
            services.try_target(breaker_id=found.pk, person=make_person("rita"))
        services.try_target(breaker_id=found.pk, person=operator())
        assert breakers.standing(TARGET, clock.now(), is_new=False) is None

    def test_is_decided_again_with_the_intent(self, the_depot):
        proposal = approved(Delivery.UNCERTAIN)
        claim = execution.take(attempt().pk)
        Breaker.objects.create(
            target=TARGET,
            opened_at=clock.now(),
            retry_at=clock.now() + timedelta(minutes=1),
            reason="5 calls in a row had no clear answer.",
        )
        assert execution.intend(claim) is False
        assert attempt().status == "queued"
        assert attempt().intended_at is None
        assert "are paused" in fresh(proposal).reason
        assert not Exchange.objects.exists()
