"""Defining actions and keeping secrets: who may, what is recorded, what it does to what waits."""

import io
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command

from ledger.models import LedgerEntry
from proposals import checks, conformance, defaults, execution, services
from proposals.exceptions import (
    ActionNotGranted,
    InvalidRequest,
    NotEligible,
    NotFound,
    TargetUnavailable,
)
from proposals.http_actions import ready
from proposals.models import Execution, HttpAction, NamedSecret, Wiring
from proposals.registry import registry
from proposals.rounds import Rounds
from proposals.targets import wiring
from tests import factories
from tests.proposals.http_actions.conftest import PRICE, REFUND, SECRET, pricing, refunding
from tests.proposals.http_actions.service import Service
from tests.proposals.http_actions.steps import asked, look_again, take_back

pytestmark = pytest.mark.django_db


def kinds(stream: str) -> list[str]:
    found = LedgerEntry.objects.filter(stream__startswith=stream).order_by("id")
    return list(found.values_list("kind", flat=True))


def waiting(**more: Any) -> Any:
    proposal = factories.make_checked(action="items.set_price", params=PRICE, **more)
    assert proposal.status == "pending", proposal.reason
    return proposal


class TestDefining:
    def test_takes_the_right_of_a_policy_administrator(self, service: Service):
        for group in ("reviewers", "senior-reviewers", "operators", "auditors"):
            person = factories.make_person(f"one-of-{group}", groups=[group])
            with pytest.raises(NotEligible):
                services.save_http_action(definition=pricing(service), person=person)
            with pytest.raises(NotEligible):
                services.import_http_actions(text=ready.text("generic-json"), person=person)
            with pytest.raises(NotEligible):
                services.keep_secret(
                    name="a", origin="https://x.example", value=SECRET, person=person
                )
            with pytest.raises(NotEligible):
                services.forget_secret(name="a", person=person)
        assert not HttpAction.objects.exists()
        assert not NamedSecret.objects.exists()

    def test_has_an_entry_with_the_digest_and_the_whole_of_it(self, defined: Service, polly):
        row = HttpAction.objects.get(name="items.set_price")
        services.save_http_action(definition=pricing(defined, tier="high"), person=polly)
        services.save_http_action(definition=pricing(defined, tier="high"), person=polly)
        assert kinds(f"http_action:{row.pk}") == ["http_action.defined", "http_action.changed"]
        entry = LedgerEntry.objects.filter(kind="http_action.changed").get()
        examined = services.examine_http_action(definition=pricing(defined, tier="high"))
        assert entry.body["definition"] == examined.digest
        assert entry.body["is"]["tier"] == "high"
        assert entry.actor == f"user:{polly.pk}"
        assert row.history.count() == 2
        assert row.history.first().history_user == polly

    def test_says_beforehand_what_follows_and_what_is_missing(self, db, settings, polly):
        settings.HTTP_HOSTS = []
        examined = services.examine_http_action(definition=ready.definition("generic-json"))
        assert (examined.delivery, examined.undo_delivery) == ("keyed", "keyed")
        assert examined.is_new
        assert examined.warnings == ("The secret example is not kept yet.",)
        local = ready.definition("generic-json") | {"origin": "http://127.0.0.1:9"}
        told = services.examine_http_action(definition=local).warnings[0]
        assert told.startswith("Nothing can be sent to http://127.0.0.1:9")
        assert not HttpAction.objects.exists()

    def test_never_takes_the_name_of_an_action_in_code(self, toybox, service: Service, polly):
        with pytest.raises(InvalidRequest) as refusal:
            services.save_http_action(definition=pricing(service, name="toys.set"), person=polly)
        assert refusal.value.errors[0]["pointer"] == "/name"

    def test_offers_the_action_to_agents_but_not_its_undo(self, defined: Service):
        menu = [action.name for action in registry.menu()]
        assert "payments.refund" in menu
        assert "payments.refund.undo" not in menu
        assert "payments.refund.undo" in registry.names()
        with pytest.raises(ActionNotGranted):
            factories.make_proposal(action="payments.refund.undo", params={"params": REFUND})


@pytest.mark.once
class TestTheApi:
    def test_offers_it_with_a_schema_and_takes_a_proposal(self, defined: Service):
        client = factories.client_for()
        offered = {one["name"]: one for one in client.get("/actions").json()["results"]}
        assert "items.set_price.undo" not in offered
        schema = offered["items.set_price"]["schema"]
        assert schema["properties"]["price"]["description"] == "The new price, such as 12.00."
        assert offered["items.set_price"]["delivery"] == "keyed"
        taken = client.propose(action="items.set_price", params=PRICE)
        assert taken.status_code in {200, 201, 202}, taken.content
        refused = client.propose(action="items.set_price", params={**PRICE, "item": "a/b"})
        assert refused.status_code == 400
        assert refused.json()["errors"][0]["pointer"] == "/params/item"


class TestAChangedDefinition:
    def test_sends_what_waits_to_be_checked_again(self, defined: Service, polly):
        proposal = waiting()
        assert Rounds().recheck_for_new_tables() == 0
        services.save_http_action(definition=pricing(defined, tier="high"), person=polly)
        assert Rounds().recheck_for_new_tables() == 1
        factories.work()
        assert factories.fresh(proposal).current_check.tier == "high"
        assert Rounds().recheck_for_new_tables() == 0

    def test_between_check_and_commit_writes_nothing(self, defined: Service, polly):
        proposal = waiting()
        factories.approve(proposal)
        changed = pricing(defined)
        changed["request"] = {**changed["request"], "json": {"price": "0.01", "was": "{price}"}}
        services.save_http_action(definition=changed, person=polly)
        factories.work()
        assert defined.writes == []
        proposal = factories.fresh(proposal)
        assert proposal.status == "pending"  # what Rita approved is not what would be sent now
        assert proposal.current_check.definition == checks.definition_of(proposal.action, PRICE)

    def test_between_claim_and_intent_writes_nothing(self, defined: Service, polly):
        proposal = waiting()
        factories.approve(proposal)
        claim = execution.take(Execution.objects.get(proposal=proposal).pk)
        assert execution.prepare(claim)
        services.save_http_action(definition=pricing(defined, tier="high"), person=polly)
        assert not execution.intend(claim)
        assert factories.fresh(proposal).status == "submitted"

    def test_is_noticed_for_a_secret_that_was_entered_again(self, defined: Service, polly):
        before = checks.definition_of("items.set_price", PRICE)
        other = f"{SECRET}-2"
        services.keep_secret(name="stripe", origin=defined.origin, value=other, person=polly)
        assert checks.definition_of("items.set_price", PRICE) != before

    def test_is_not_sent_again_under_its_key_by_the_machine(self, defined: Service, polly):
        defined.hang_up_next()
        proposal = asked("items.set_price", PRICE)
        assert proposal.status == "unknown"
        services.save_http_action(definition=pricing(defined, tier="high"), person=polly)
        assert look_again(proposal).status == "unknown"
        assert len(defined.writes) == 1


class TestSwitchingOff:
    def test_is_for_whoever_may_freeze_and_on_again_for_whoever_may_define(
        self, defined: Service, polly
    ):
        rita = factories.make_person()
        services.switch_http_action(name="items.set_price", is_enabled=False, person=rita)
        with pytest.raises(NotEligible):
            services.switch_http_action(name="items.set_price", is_enabled=True, person=rita)
        services.switch_http_action(name="items.set_price", is_enabled=True, person=polly)
        services.switch_http_action(name="items.set_price", is_enabled=True, person=polly)
        row = HttpAction.objects.get(name="items.set_price")
        expected = ["http_action.defined", "http_action.disabled", "http_action.enabled"]
        assert kinds(f"http_action:{row.pk}") == expected
        with pytest.raises(NotFound):
            services.switch_http_action(name="no.such", is_enabled=True, person=polly)

    def test_stops_what_is_approved_and_what_would_be_proposed(self, defined: Service, polly):
        proposal = waiting()
        factories.approve(proposal)
        services.switch_http_action(name="items.set_price", is_enabled=False, person=polly)
        factories.work()
        proposal = factories.fresh(proposal)
        assert proposal.status == "pending"
        assert proposal.current_check.error == "The action items.set_price is switched off."
        assert defined.writes == []
        with pytest.raises(ActionNotGranted):
            waiting()
        services.switch_http_action(name="items.set_price", is_enabled=True, person=polly)
        assert Rounds().recheck_for_new_tables() == 1
        factories.work()
        assert factories.fresh(proposal).current_check.error == ""

    def test_stops_its_undo_as_well(self, defined: Service, polly):
        proposal = asked("items.set_price", PRICE)
        services.switch_http_action(name="items.set_price", is_enabled=False, person=polly)
        undone = take_back(proposal)
        assert undone.status == "pending"
        assert defined.items["lamp"]["price"] == "12.50"

    def test_stops_a_write_that_got_as_far_as_the_request(self, defined: Service, polly):
        services.switch_http_action(name="items.set_price", is_enabled=False, person=polly)
        wiring.refresh()
        action = registry.get("items.set_price")
        with pytest.raises(TargetUnavailable, match="Nothing was sent"):
            action.apply(PRICE, key="k" * 52, expected={})
        assert defined.writes == []


@pytest.mark.once
class TestTryingOut:
    def test_shows_the_request_with_its_secret_hidden_and_sends_none(self, defined: Service):
        trial = services.try_http_action(definition=refunding(defined), params=REFUND)
        assert defined.writes == []
        assert trial.sentence == "Refund 12.00 EUR of charge ch_abcd"
        assert trial.request.method == "POST"
        assert trial.request.url == f"{defined.origin}/v1/refunds"
        assert trial.request.headers["Authorization"] == "Bearer [hidden]"
        assert trial.request.headers["Idempotency-Key"]
        assert "amount=1200" in trial.request.body
        assert trial.preview.before["charges/ch_abcd"]["amount"] == 5000
        assert trial.undo.method == "POST"
        assert SECRET not in repr(trial)

    def test_says_what_the_target_said(self, defined: Service):
        params = {**REFUND, "charge": "ch_none"}
        trial = services.try_http_action(definition=refunding(defined), params=params)
        assert trial.preview is None
        assert trial.error == f"{defined.origin} has no charges/ch_none."

    def test_is_for_operators_only_as_it_is_stored(self, defined: Service, polly):
        """A preview carries the secret, so whoever writes one decides what is asked with it."""
        olga = factories.make_person("olga", groups=["operators"])
        stored = refunding(defined)
        changed = {**stored, "tier": "medium"}
        assert services.try_http_action(definition=stored, params=REFUND, person=olga).preview
        assert services.try_http_action(definition=changed, params=REFUND, person=polly).preview
        asked_so_far = len(defined.asked)
        for definition, person in ((changed, olga), (stored, factories.make_person())):
            with pytest.raises(NotEligible):
                services.try_http_action(definition=definition, params=REFUND, person=person)
        assert len(defined.asked) == asked_so_far

    def test_needs_parameters_that_fit(self, defined: Service):
        with pytest.raises(InvalidRequest):
            services.try_http_action(definition=refunding(defined), params={"charge": "../x"})


@pytest.mark.once
class TestYaml:
    def test_is_exported_and_imported_unchanged(self, defined: Service, polly, tmp_path: Path):
        before = {row.name: row.definition for row in HttpAction.objects.all()}
        out = io.StringIO()
        call_command("export_http_actions", stdout=out)
        assert SECRET not in out.getvalue()
        path = tmp_path / "actions.yaml"
        path.write_text(out.getvalue())
        entries = LedgerEntry.objects.count()
        call_command("import_http_actions", str(path), stdout=io.StringIO())
        assert {row.name: row.definition for row in HttpAction.objects.all()} == before
        assert LedgerEntry.objects.count() == entries

    def test_stores_all_of_a_file_or_nothing(self, db, polly):
        broken = ready.text("generic-json") + "---\nname: a.b\n"
        with pytest.raises(InvalidRequest):
            services.import_http_actions(text=broken, person=polly)
        twice = ready.text("generic-json") + "---\n" + ready.text("generic-json")
        with pytest.raises(InvalidRequest, match="defined twice"):
            services.import_http_actions(text=twice, person=polly)
        assert not HttpAction.objects.exists()

    def test_tells_the_command_what_is_wrong(self, db, tmp_path: Path):
        call_command("import_http_actions", "stripe-refund", stdout=io.StringIO())
        assert HttpAction.objects.get().name == "payments.refund"
        with pytest.raises(CommandError, match="cannot be read"):
            call_command("import_http_actions", str(tmp_path / "none.yaml"))
        (tmp_path / "bad.yaml").write_text("name: x\n")
        with pytest.raises(CommandError, match="Field required"):
            call_command("import_http_actions", str(tmp_path / "bad.yaml"))
        with pytest.raises(CommandError, match="The file name is empty"):
            call_command("import_http_actions", "")
        with pytest.raises(CommandError, match=r"named no\.such or nor\.this\.$"):
            call_command("export_http_actions", "nor.this", "payments.refund", "no.such")

    def test_tells_every_fault_of_every_definition_in_a_file(self, db, tmp_path: Path):
        path = tmp_path / "bad.yaml"
        path.write_text(
            ready.text("stripe-refund").replace("kind: money", "kind: gold")
            + "---\nname: shelf.fill\ndescription: 7\n---\nname: ''\n---\njust words\n"
        )
        with pytest.raises(CommandError) as refusal:
            call_command("import_http_actions", str(path))
        said = str(refusal.value).splitlines()
        assert said[0] == "Nothing was stored."
        assert said[1].startswith("payments.refund /parameters/amount")
        assert "shelf.fill /description: Input should be a valid string" in said
        assert "shelf.fill /request: Field required" in said
        assert "definition 3 /request: Field required" in said
        assert [line for line in said if line.startswith("definition 4: ")]
        assert not HttpAction.objects.exists()

    def test_tells_which_definitions_of_a_file_have_a_name_that_is_taken(self, db, monkeypatch):
        names = ("payments.refund", "items.set_price")
        monkeypatch.setattr(registry, "actions", dict.fromkeys(names))
        text = ready.text("stripe-refund") + "---\n" + ready.text("generic-json")
        with pytest.raises(InvalidRequest) as refusal:
            services.import_http_actions(text=text, person=None)
        assert str(refusal.value).splitlines() == [
            f"{name} /name: {name} is the name of another action; choose another." for name in names
        ]


@pytest.mark.once
class TestConformance:
    def test_a_configured_action_keeps_what_every_action_promises(self, defined: Service):
        for name, params in (("items.set_price", PRICE), ("payments.refund", REFUND)):
            found = list(conformance.examine(registry.get(name), params))
            assert [each for each in found if each.holds is False] == []
            assert sum(each.holds is True for each in found) >= 7


@pytest.mark.once
class TestAnUndo:
    def test_that_somebody_else_made_is_no_call(self, defined: Service):
        proposal = asked("items.set_price", PRICE)
        call = proposal.executions.get().compensation
        undo = registry.get("items.set_price.undo")
        assert undo.validate(call["params"]) == call["params"]
        for change in (
            {"before": {"price": "0.01"}},
            {"params": {**PRICE, "item": "other"}},
            {"expect": {}},
            {"mark": "0" * 64},
        ):
            with pytest.raises(InvalidRequest):
                undo.validate({**call["params"], **change})

    def test_made_under_a_former_key_is_still_ours(self, defined: Service, settings):
        call = asked("items.set_price", PRICE).executions.get().compensation
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "another key that is long enough for anything"
        undo = registry.get("items.set_price.undo")
        assert undo.validate(call["params"]) == call["params"]


class TestEveryProcess:
    def test_knows_at_once_what_another_one_defined(self, defined: Service):
        wiring.forget()
        assert registry.configured == {}
        assert registry.get("payments.refund.undo").is_internal
        with pytest.raises(LookupError):
            registry.get("payments.nothing")

    def test_hears_of_a_change(self, defined: Service, polly):
        token = Wiring.objects.get().token
        services.save_http_action(definition=pricing(defined, tier="high"), person=polly)
        assert Wiring.objects.get().token != token
        services.forget_secret(name="stripe", person=polly)
        assert NamedSecret.objects.get().version == 2


class TestAnOlderInstallation:
    def test_gives_the_new_right_to_whoever_makes_policy(self):
        defaults.ensure()
        group = Group.objects.get(name="policy-administrators")
        group.permissions.remove(*group.permissions.filter(codename="configure_actions"))
        defaults.ensure()
        assert group.permissions.filter(codename="configure_actions").exists()
