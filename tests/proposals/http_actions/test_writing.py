"""Writing through a configured action, by the product's own verbs and over a real socket."""

from typing import Any

import pytest

from proposals import services
from proposals.models import Execution, Proposal
from tests import factories
from tests.proposals.http_actions.conftest import PRICE, REFUND, pricing
from tests.proposals.http_actions.service import Service
from tests.proposals.http_actions.steps import (
    approved,
    asked,
    attempt_of,
    look_again,
    take_back,
)

pytestmark = pytest.mark.django_db


def refund(**more: Any) -> Proposal:
    return asked("payments.refund", REFUND, **more)


def price() -> Proposal:
    return asked("items.set_price", PRICE)


class TestARefund:
    def test_is_sent_once_as_it_was_seen(self, defined: Service):
        proposal = refund()
        assert proposal.status == "committed", proposal.reason
        (write,) = defined.writes
        assert write.form["charge"] == "ch_abcd"
        assert write.form["amount"] == "1200"
        assert "reason" not in write.form
        assert write.headers["idempotency-key"] == attempt_of(proposal).key
        assert write.form["metadata[countersign]"] == attempt_of(proposal).key
        assert proposal.result == {"refund": "re_1", "status": "succeeded", "reference": "re_1"}
        assert attempt_of(proposal).evidence["status"] == 200
        assert attempt_of(proposal).evidence["reference"] == "re_1"

    def test_is_shown_with_what_was_there_and_how_it_is_taken_back(self, defined: Service):
        check = factories.make_checked(action="payments.refund", params=REFUND).current_check
        assert check.sentence == "Refund 12.00 EUR of charge ch_abcd"
        assert check.before["charges/ch_abcd"]["amount_refunded"] == 0
        assert check.after["charges/ch_abcd"]["amount_refunded"] == "known after the write"
        assert check.impact["amount"] == {"amount": "12.00", "currency": "EUR"}
        assert check.impact["external"]
        assert check.tier == "high"
        assert check.compensation["action"] == "payments.refund.undo"
        assert check.compensation["params"]["reference"] == "known after the write"

    def test_proposed_again_under_its_key_is_the_same_and_not_sent_again(self, defined: Service):
        first = refund(key="key-of-the-agent")
        again = factories.make_proposal(
            action="payments.refund", params=REFUND, key="key-of-the-agent"
        )
        factories.work()
        assert again.pk == first.pk
        assert defined.effects == ["refund re_1"]

    def test_is_taken_back_by_a_second_request(self, defined: Service):
        proposal = refund()
        undo = approved(take_back(proposal))
        assert undo.status == "committed", undo.reason
        assert factories.fresh(proposal).is_undone
        assert defined.effects == ["refund re_1", "cancel re_1"]
        assert defined.charges["ch_abcd"]["amount_refunded"] == 0
        assert undo.current_check.sentence == "Cancel refund re_1 of charge ch_abcd"

    def test_that_is_refused_has_failed_and_says_why(self, defined: Service):
        params = {**REFUND, "amount": {"amount": "999.00", "currency": "EUR"}}
        proposal = asked("payments.refund", params)
        assert proposal.status == "failed"
        assert "Refund amount is greater than what is left" in proposal.reason
        assert defined.effects == []

    def test_of_a_charge_that_is_not_there_waits_for_people(self, defined: Service):
        params = {**REFUND, "charge": "ch_none"}
        proposal = factories.make_checked(action="payments.refund", params=params)
        assert proposal.status == "pending"
        assert proposal.current_check.error == f"{defined.origin} has no charges/ch_none."

    def test_of_what_is_refunded_already_says_so(self, defined: Service):
        defined.charges["ch_abcd"]["refunded"] = True
        proposal = factories.make_checked(action="payments.refund", params=REFUND)
        assert proposal.current_check.error == "refunded is true, and it must be false."

    def test_whose_charge_moved_meanwhile_is_checked_again(self, defined: Service):
        proposal = factories.make_checked(action="payments.refund", params=REFUND)
        defined.charges["ch_abcd"]["amount_refunded"] = 100
        proposal = approved(proposal)
        assert defined.writes == []
        assert proposal.status == "pending"
        assert proposal.current_check.before["charges/ch_abcd"]["amount_refunded"] == 100


class TestAnUnclearEnd:
    def test_is_unknown_and_the_same_key_finds_out(self, defined: Service):
        defined.hang_up_next()
        proposal = refund()
        assert proposal.status == "unknown"
        proposal = look_again(proposal)
        assert proposal.status == "committed"
        assert proposal.result["reference"] == "re_1"
        first, second = defined.writes
        assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
        assert first.body == second.body
        assert defined.effects == ["refund re_1"]

    def test_is_whatever_the_definition_does_not_list(self, defined: Service):
        defined.answer_next(302, {}, Location="/elsewhere")
        proposal = refund()
        assert proposal.status == "unknown"
        assert len(defined.writes) == 1
        assert attempt_of(proposal).compensation is None

    def test_is_a_success_without_its_reference(self, defined: Service):
        defined.answer_next(200, {"status": "succeeded"})
        assert refund().status == "unknown"


class TestWhatWasNotTaken:
    def test_is_sent_later_under_the_same_key(self, defined: Service):
        defined.answer_next(429, {}, Retry_After="7")
        proposal = refund()
        assert proposal.status == "approved"
        Execution.objects.update(run_after="2020-01-01T00:00Z")
        factories.work()
        assert factories.fresh(proposal).status == "committed"
        assert len({one.headers["idempotency-key"] for one in defined.writes}) == 1


class TestAPrice:
    def test_is_put_back_to_what_it_was(self, defined: Service):
        proposal = price()
        assert proposal.status == "committed", proposal.reason
        assert defined.items["lamp"]["price"] == "12.50"
        assert services.preview_undo(proposal_id=proposal.pk).conflicts == ()
        undone = take_back(proposal)
        assert undone.status == "committed", undone.reason
        assert defined.items["lamp"]["price"] == "10.00"

    def test_is_put_back_although_the_definition_does_not_tell_what_that_leaves(
        self, defined: Service, polly: Any
    ):
        definition = pricing(defined)
        del definition["preview"]["after"]
        services.save_http_action(definition=definition, person=polly)
        undone = take_back(price())
        assert undone.status == "committed", undone.reason
        assert defined.items["lamp"]["price"] == "10.00"

    def test_that_somebody_changed_since_is_a_conflict(self, defined: Service):
        proposal = price()
        defined.items["lamp"]["price"] = "99.00"
        (conflict,) = services.preview_undo(proposal_id=proposal.pk).conflicts
        assert (conflict.field, conflict.expected, conflict.found) == ("price", "12.50", "99.00")
        undone = take_back(proposal)
        assert undone.status == "pending"
        assert defined.items["lamp"]["price"] == "99.00"

    def test_over_a_conflict_takes_somebody_else(self, defined: Service):
        proposal = price()
        defined.items["lamp"]["price"] = "99.00"
        undone = approved(take_back(proposal, over_conflicts=True))
        assert undone.status == "committed", undone.reason
        assert defined.items["lamp"]["price"] == "10.00"
