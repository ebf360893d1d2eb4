"""What became of a write without a clear answer, by each delivery that a definition can have."""

from typing import Any

import pytest

from ledger import clock
from proposals import services
from proposals.exceptions import InvalidRequest, OutcomeUnknown, TargetRefused, TargetUnavailable
from proposals.registry import Delivery, registry
from proposals.targets import wiring
from tests import factories
from tests.proposals.http_actions.conftest import PRICE, REFUND, pricing, refunding
from tests.proposals.http_actions.service import Service
from tests.proposals.http_actions.steps import asked, attempt_of, look_again, take_back

pytestmark = pytest.mark.django_db


def without_a_key(definition: dict[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in definition.items() if name != "idempotency"}


def define(definition: dict[str, Any], polly: Any) -> Any:
    services.save_http_action(definition=definition, person=polly)
    wiring.refresh()
    return registry.get(definition["name"])


class TestWithAProbeAlone:
    def test_what_arrived_is_found_by_our_key_and_can_be_taken_back(self, defined: Service, polly):
        action = define(without_a_key(refunding(defined)), polly)
        assert action.delivery is Delivery.QUERYABLE
        defined.hang_up_next()
        proposal = asked("payments.refund", REFUND)
        assert proposal.status == "unknown"
        proposal = look_again(proposal, after=61)
        assert proposal.status == "committed", proposal.reason
        assert attempt_of(proposal).evidence["by"] == "probe"
        assert attempt_of(proposal).compensation["params"]["reference"] == "re_1"
        assert defined.effects == ["refund re_1"]

    def test_what_never_arrived_is_left_to_people_where_money_is_involved(
        self, defined: Service, polly
    ):
        define(without_a_key(refunding(defined)), polly)
        defined.answer_next(500, {})
        proposal = asked("payments.refund", REFUND)
        for _ in range(6):
            proposal = look_again(proposal, after=4000)
        assert proposal.status == "unknown"
        assert len(defined.writes) == 1

    @pytest.mark.parametrize("answer", [(500, {}), (200, b"x"), (302, {})])
    def test_an_answer_that_says_neither_leaves_it_open(self, defined: Service, polly, answer):
        action = define(without_a_key(refunding(defined)), polly)
        defined.read = lambda asked: answer  # type: ignore[method-assign]
        with pytest.raises(OutcomeUnknown, match="says neither") as unclear:
            action.probe(REFUND, key="k" * 52, expected={})
        assert unclear.value.evidence["status"] == answer[0]

    def test_what_was_found_is_taken_back_to_what_was_there_before(self, defined: Service, polly):
        definition = without_a_key(pricing(defined))
        definition["request"]["json"]["by"] = "{key}"
        asking = {"path": "/items/{item}", "query": {"by": "{key}"}}
        definition["probe"] = {"request": asking, "found": [200]}
        assert define(definition, polly).delivery is Delivery.QUERYABLE
        defined.hang_up_next()
        proposal = look_again(asked("items.set_price", PRICE), after=61)
        assert proposal.status == "committed", proposal.reason
        undone = take_back(proposal)
        assert undone.status == "committed", undone.reason
        assert defined.items["lamp"]["price"] == "10.00"


class TestWithNeither:
    def test_it_is_sent_once_and_waits_for_a_person(self, defined: Service, polly):
        definition = without_a_key(pricing(defined))
        action = define(definition, polly)
        assert action.delivery is Delivery.UNCERTAIN
        assert not action.can_probe(PRICE)
        assert "cannot be asked afterwards" in str(action.preview(PRICE).impact.reasons)
        defined.hang_up_next()
        proposal = asked("items.set_price", PRICE)
        assert proposal.status == "unknown"
        assert look_again(proposal, after=4000).status == "unknown"
        assert len(defined.writes) == 1


class TestWhatAPersonVouchesFor:
    def test_can_be_taken_back_where_the_undo_needs_the_reference_alone(self, defined: Service):
        action = registry.get("payments.refund")
        outcome = action.attested(REFUND, reference="re_77", expected={})
        assert outcome.result == {"reference": "re_77"}
        assert outcome.compensation.params["reference"] == "re_77"
        undo = registry.get("payments.refund.undo")
        assert undo.validate(outcome.compensation.params)

    def test_is_taken_back_to_what_was_there_before(self, defined: Service, polly):
        define(without_a_key(pricing(defined)), polly)
        defined.hang_up_next()
        proposal = asked("items.set_price", PRICE)
        assert (proposal.status, defined.items["lamp"]["price"]) == ("unknown", "12.50")
        services.attest(
            proposal_id=proposal.pk,
            person=factories.make_person("olga", groups=["operators"]),
            authenticated_at=clock.now(),
            finding="applied",
            reference="seen",
        )
        undone = take_back(proposal)
        assert undone.status == "committed", undone.reason
        assert defined.items["lamp"]["price"] == "10.00"

    def test_cannot_be_taken_back_where_the_undo_needs_more_of_the_answer(
        self, defined: Service, polly
    ):
        definition = pricing(defined, result={"version": "/version"})
        definition["undo"]["request"]["json"]["version"] = "{result.version}"
        before = {"items/lamp": {"price": "10.00"}}
        found = define(definition, polly).attested(PRICE, reference="any", expected=before)
        assert found.compensation is None

    @pytest.mark.parametrize("reference", ["", "two words", "x" * 201, "ä"])
    def test_is_named_by_one_word(self, defined: Service, reference):
        with pytest.raises(InvalidRequest):
            registry.get("payments.refund").attested(REFUND, reference=reference, expected={})


class TestATargetOutOfReach:
    def test_is_tried_later_and_nothing_was_sent(self, defined: Service, settings, polly):
        closed = "http://127.0.0.1:1"
        settings.HTTP_HOSTS = ["127.0.0.1:1"]
        services.keep_secret(name="other", origin=closed, value="planted-Other-3318", person=polly)
        definition = pricing(defined, origin=closed)
        definition["authentication"]["secret"] = "other"
        action = define(definition, polly)
        assert action.target(PRICE) == closed
        for step in (
            lambda: action.preview(PRICE),
            lambda: action.prepare(PRICE, expected={}),
            lambda: action.apply(PRICE, key="k" * 52, expected={}),
        ):
            with pytest.raises(TargetUnavailable, match="Nothing was sent"):
                step()

    def test_that_nobody_listed_is_never_asked(self, defined: Service, settings):
        settings.HTTP_HOSTS = []
        action = registry.get("items.set_price")
        with pytest.raises(TargetUnavailable, match="Nothing was sent"):
            action.apply(PRICE, key="k" * 52, expected={})
        assert defined.asked == []


class TestAnUndo:
    def test_without_a_clear_answer_is_resent_under_its_own_key(self, defined: Service):
        proposal = asked("items.set_price", PRICE)
        defined.hang_up_next()
        undone = take_back(proposal)
        assert undone.status == "unknown"
        undone = look_again(undone)
        assert undone.status == "committed"
        assert factories.fresh(proposal).is_undone
        keys = [one.headers["idempotency-key"] for one in defined.writes]
        assert keys[0] != keys[1] == keys[2]
        assert defined.effects == ["price of lamp", "price of lamp"]


class TestImpact:
    def test_is_measured_in_the_answer_and_has_a_most(self, defined: Service, polly):
        definition = pricing(defined)
        amount = {"pointer": "/price", "currency": "EUR", "at_most": "50"}
        measures = {"objects": {"pointer": "/stock", "at_most": 5}, "amount": amount}
        definition["preview"] = {**definition["preview"], "measures": measures}
        action = define(definition, polly)
        impact = action.preview(PRICE).impact
        assert impact.objects == 3
        assert impact.amount.as_json() == {"amount": "10.00", "currency": "EUR"}
        defined.items["lamp"]["stock"] = 6
        assert error_of(action) == "It would touch 6 objects, and at most 5 are allowed."
        defined.items["lamp"] |= {"stock": 1, "price": "50.01"}
        assert error_of(action) == "It is about 50.01 EUR, and at most 50 is allowed."

    def test_needs_every_field_it_is_read_from(self, defined: Service):
        del defined.items["lamp"]["price"]
        told = error_of(registry.get("items.set_price"))
        assert told == "What was read has no single value at /price for price."


def error_of(action: Any) -> str:
    with pytest.raises(TargetRefused) as refusal:
        action.preview(PRICE)
    return str(refusal.value)
