"""The pages on actions over HTTP, as a policy administrator, an operator and others meet them."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ledger.models import LedgerEntry
from proposals import services
from proposals.console.http_action_forms import DefinitionForm, as_sent
from proposals.console.http_lines import to_yaml
from proposals.http_actions import ready
from proposals.models import HttpAction
from proposals.targets import wiring
from tests import factories
from tests.factories import make_person
from tests.proposals.http_actions.conftest import SECRET, pricing, refunding
from tests.proposals.http_actions.service import Service
from tests.proposals.test_console import Page

pytestmark = pytest.mark.django_db
NEW, REFUND = "/actions/new/", "/actions/payments.refund/"
PARAMS = {
    "params-charge": "ch_abcd",
    "params-amount-amount": "12.00",
    "params-amount-currency": "EUR",
    "params-reason": "",
}


def signed_in(person: Any) -> Client:
    browser = Client(raise_request_exception=False)
    browser.force_login(person)
    return browser


def typed(raw: dict[str, Any], **more: str) -> dict[str, str]:
    """What a browser would send of the form that shows this."""
    return {**as_sent(raw), "view": "form", **more}


def seen_in(page: Page) -> str:
    return page.all("input", name="seen")[0]["value"]


@pytest.fixture
def browser(polly: Any) -> Client:
    return signed_in(polly)


class TestTheList:
    def test_shows_what_is_promised_of_each_action_and_which_secret_it_lacks(
        self, service: Service, polly: Any, browser: Client
    ):
        services.save_http_action(definition=refunding(service), person=polly)
        text = Page(browser.get("/actions/")).text
        assert "payments.refund" in text
        assert "Keyed: the provider honours a key for 24 h, and can be asked after that" in text
        assert "stripe not kept" in text
        assert service.origin in text
        assert "Transactional: effect and receipt commit together" in text
        services.keep_secret(name="stripe", origin=service.origin, value=SECRET, person=polly)
        assert "stripe kept" in Page(browser.get("/actions/")).text
        elsewhere = "https://api.example.com"
        services.keep_secret(name="stripe", origin=elsewhere, value=SECRET, person=polly)
        assert "kept for another host" in Page(browser.get("/actions/")).text

    def test_takes_no_more_statements_for_more_actions(self, service: Service, polly: Any):
        browser, counts = signed_in(polly), []
        for name in ("a.one", "b.two", "c.three"):
            services.save_http_action(definition=pricing(service, name=name), person=polly)
            browser.get("/actions/")
            with CaptureQueriesContext(connection) as captured:
                browser.get(reverse("actions"))
            with CaptureQueriesContext(connection) as more:
                browser.get(reverse("secrets"))
            counts.append((len(captured), len(more)))
        assert counts[0] == counts[-1], counts

    def test_offers_the_ready_made_definitions(self, browser: Client):
        links = [one.get("href", "") for one in Page(browser.get("/actions/")).all("a")]
        for name in ready.names():
            assert f"/actions/new/?ready={name}" in links
            for view in ("form", "yaml"):
                page = Page(browser.get(f"/actions/new/?ready={name}&as={view}"))
                assert page.all("input", name="view")[0]["value"] == view
        assert browser.get("/actions/new/?ready=nothing").status_code == 404


class TestDefining:
    def test_by_form_shows_first_what_it_means_and_keeps_that(
        self, service: Service, browser: Client
    ):
        raw = {**ready.definition("stripe-refund"), "origin": service.origin}
        page = Page(browser.post(NEW, typed(raw)))
        assert not HttpAction.objects.exists()
        assert "Refund 12.00 EUR of charge CHARGE" in page.text
        assert "Keyed: the provider honours a key for 24 h" in page.text
        assert "Cannot be undone, so a person must always approve it" in page.text
        assert "POST" in page.text
        assert "Authorization: Bearer [hidden]" in page.text
        assert "charge=CHARGE&amount=1200" in page.text
        assert "The secret stripe is not kept yet" in page.text
        assert service.asked == [], "nothing is sent to show what it means"
        seen = seen_in(page)
        answer = browser.post(NEW, typed(raw, do="keep", seen=seen))
        assert answer.url == REFUND
        assert HttpAction.objects.get().definition == raw

    @pytest.mark.parametrize("view", ["form", "yaml"])
    def test_keeps_exactly_what_was_seen(self, service: Service, browser: Client, view: str):
        raw = refunding(service)
        seen = seen_in(Page(browser.post(NEW, sent_as(view, raw))))
        other = {**raw, "tier": "low"}
        page = Page(browser.post(NEW, {**sent_as(view, other), "do": "keep", "seen": seen}))
        assert not HttpAction.objects.exists(), "something else was sent: look again"
        browser.post(NEW, {**sent_as(view, other), "do": "keep", "seen": seen_in(page)})
        assert HttpAction.objects.get().definition["tier"] == "low"

    def test_sees_a_change_that_somebody_else_made_meanwhile(
        self, defined: Service, browser: Client, polly: Any
    ):
        address, mine = f"{REFUND}change/", refunding(defined, tier="medium")
        seen = seen_in(Page(browser.post(address, typed(mine))))
        services.save_http_action(definition=refunding(defined, people=3), person=polly)
        page = Page(browser.post(address, typed(mine, do="keep", seen=seen)))
        assert HttpAction.objects.get(name="payments.refund").definition["people"] == 3
        assert "people: 3" in page.text
        browser.post(address, typed(mine, do="keep", seen=seen_in(page)))
        assert HttpAction.objects.get(name="payments.refund").definition["tier"] == "medium"

    def test_says_at_the_field_what_is_wrong_and_keeps_what_was_typed(
        self, service: Service, browser: Client
    ):
        sent = typed(refunding(service))
        sent |= {"path": "v1/refunds", "sentence": "Refund {charg}", "p1-maximum": "much"}
        sent |= {"applied": "fine", "origin": service.origin + "/v1"}
        answer = browser.post(NEW, sent)
        page = Page(answer)
        assert answer.status_code == 422
        assert "Line 1: write 200, or 200 where" in page.text
        assert page.all("input", name="path")[0]["value"] == "v1/refunds"
        page = Page(browser.post(NEW, {**sent, "applied": "200"}))
        assert "#id_path" in [one.get("href") for one in page.all("a")]
        assert "#id_p1-maximum" in [one.get("href") for one in page.all("a")]
        assert page.all("input", name="path")[0]["aria-invalid"] == "true"
        assert "It begins with / and holds no spaces." in page.text
        mended = {**sent, "applied": "200", "path": "/v1/refunds", "p1-maximum": "1000"}
        page = Page(browser.post(NEW, mended))
        assert "{charg} cannot be used here. Known: amount, charge, reason" in page.text
        assert "Scheme and host, and perhaps a port" in page.text
        assert not HttpAction.objects.exists()

    def test_says_in_which_line_of_a_piece_of_yaml_something_is_wrong(
        self, service: Service, browser: Client
    ):
        undo = "request:\n  method: POST\n  path: refunds\nanswers:\n  applied: [200]\n"
        page = Page(browser.post(NEW, typed(refunding(service), undo=undo)))
        assert "Line 3, request.path:" in page.text
        page = Page(browser.post(NEW, typed(refunding(service), undo="request:\n\t- x")))
        assert "Line 2, column 1" in page.text

    def test_as_yaml_names_the_line_and_the_path(self, service: Service, browser: Client):
        source = ready.text("stripe-refund").replace("/v1/refunds\n", "v1/refunds\n", 1)
        answer = browser.post(NEW, {"view": "yaml", "source": source})
        page = Page(answer)
        assert answer.status_code == 422
        line = source.splitlines().index("  path: v1/refunds") + 1
        assert f"Line {line}, request.path:" in page.text
        assert "path: v1/refunds" in page.inside("code")
        assert source in page.inside("textarea")
        page = Page(browser.post(NEW, {"view": "yaml", "source": "a: 1\n  b: 2"}))
        assert "Line 2, column 4" in page.text
        page = Page(browser.post(NEW, {"view": "yaml", "source": f"{source}---\n{source}"}))
        assert "One definition at a time" in page.text
        page = Page(browser.post(NEW, {"view": "yaml", "source": "name: x.y\n"}))
        assert "description: This is needed." in page.text

    def test_carries_what_was_typed_from_one_view_to_the_other(self, browser: Client):
        raw = ready.definition("generic-json")
        sent = typed(raw, do="yaml", path="/things/{item}")
        page = Page(browser.post(NEW, sent))
        assert "path: /things/{item}" in page.inside("textarea")
        source = page.inside("textarea").strip().replace("medium", "high")
        page = Page(browser.post(NEW, {"view": "yaml", "source": source, "do": "form"}))
        assert page.all("input", name="path")[0]["value"] == "/things/{item}"
        assert "selected" in page.all("option", value="high")[0]

    def test_shows_as_yaml_what_the_form_cannot_say(self, service: Service, browser: Client):
        raw = refunding(service)
        raw["request"] = {**raw["request"], "query": {"a": "one\ntwo"}}
        page = Page(browser.post(NEW, {**sent_as("yaml", raw), "do": "form"}))
        assert "says more than the form has fields for" in page.text
        assert page.all("input", name="view")[0]["value"] == "yaml"

    def test_gives_a_row_more_without_judging(self, service: Service, browser: Client):
        sent = typed(refunding(service), do="row", path="nonsense")
        answer = browser.post(NEW, sent)
        page = Page(answer)
        assert answer.status_code == 200
        assert page.all("input", name="p4-name")
        assert page.all("input", name="path")[0]["value"] == "nonsense"
        assert page.all("input", name="p0-name")[0]["value"] == "charge"
        assert not page.all("div", role="alert")

    def test_leaves_out_a_parameter_that_is_removed(self, service: Service, browser: Client):
        raw = refunding(service)
        sent = typed(raw, **{"p2-remove": "on", "body": "charge: {charge}\namount: {amount.minor}"})
        sent |= {"body": sent["body"] + "\nmetadata[countersign]: {key}"}
        seen = seen_in(Page(browser.post(NEW, sent)))
        browser.post(NEW, {**sent, "do": "keep", "seen": seen})
        assert list(HttpAction.objects.get().definition["parameters"]) == ["amount", "charge"]

    def test_takes_no_name_that_is_taken_and_changes_none(self, defined: Service, browser: Client):
        page = Page(browser.post(NEW, typed(refunding(defined, tier="low"))))
        assert "There is an action payments.refund already" in page.text
        renamed = refunding(defined, name="payments.other")
        page = Page(browser.post(f"{REFUND}change/", typed(renamed)))
        assert "The name stays payments.refund" in page.text
        page = Page(browser.post(NEW, typed(refunding(defined, name="email.send.x/y"))))
        assert "noun.verb" in page.text

    def test_copies_another_action_without_its_name(self, defined: Service, browser: Client):
        page = Page(browser.get("/actions/new/?copy=payments.refund"))
        assert page.all("input", name="name")[0].get("value", "") == ""
        assert page.all("input", name="origin")[0]["value"] == defined.origin
        assert browser.get("/actions/new/?copy=nothing.here").status_code == 404

    def test_a_blank_form_can_be_filled_in_from_nothing(self, service: Service, browser: Client):
        page = Page(browser.get(NEW))
        assert page.all("input", name="p0-name")
        sent = {name: "" for name in DefinitionForm().fields}
        sent |= {
            "view": "form",
            "name": "notes.add",
            "sentence": "Add a note to customer {customer}",
            "description": "Leaves a note for colleagues.",
            "origin": service.origin,
            "resource": "customers/{customer}",
            "method": "POST",
            "path": "/customers/{customer}/notes",
            "encoding": "json",
            "body": '{"text": "{text}", "urgent": true}',
            "applied": "200, 201",
            "answer_body": "any",
            "tier": "medium",
            "p0-name": "customer",
            "p0-kind": "identifier",
            "p0-description": "Whose note it is.",
            "p1-name": "text",
            "p1-kind": "text",
            "p1-description": "What it says.",
            "p1-max_length": "300",
        }
        page = Page(browser.post(NEW, sent))
        assert "Uncertain: people settle unknown outcomes" in page.text
        browser.post(NEW, {**sent, "do": "keep", "seen": seen_in(page)})
        kept = HttpAction.objects.get().definition
        assert kept["parameters"]["text"]["max_length"] == 300
        assert kept["request"]["json"] == {"text": "{text}", "urgent": True}
        assert "authentication" not in kept
        assert "idempotency" not in kept


def sent_as(view: str, raw: dict[str, Any]) -> dict[str, str]:
    return typed(raw) if view == "form" else {"view": "yaml", "source": to_yaml(raw)}


class TestTheForm:
    @pytest.mark.parametrize("name", ready.names())
    def test_says_a_definition_back_unchanged(self, name: str):
        raw = ready.definition(name)
        raw["key"] = {"format": "uuid"}
        raw["settling_seconds"] = 90
        raw["example"] = {"item": "lamp"}
        form = DefinitionForm(as_sent(raw))
        assert form.is_valid(), form.faults()
        assert form.definition() == raw

    def test_keeps_what_was_said_though_it_is_the_default(self, service: Service):
        raw = refunding(service, people=0, money="amount")
        raw["parameters"]["charge"] |= {"required": True, "max_length": 30}
        raw["parameters"]["amount"] |= {"minor_digits": {"ISK": 2}}
        raw["authentication"] = {"scheme": "bearer", "secret": "stripe", "prefix": ""}
        form = DefinitionForm(as_sent(raw))
        assert form.is_valid()
        assert form.definition() == raw

    @pytest.mark.parametrize("base", ["[" * 50_000, "{", "7", '{"request": 1, "parameters": []}'])
    def test_takes_no_harm_from_what_no_browser_of_ours_sends(
        self, service: Service, browser: Client, base: str
    ):
        answer = browser.post(NEW, {**typed(refunding(service)), "base": base})
        assert answer.status_code == 200
        for odd in ("- 1", "text", "7", "a: [1, {b: c}]", "parameters: [1]\nrequest: x"):
            for wanted in ("form", "yaml", "keep", ""):
                sent = {"view": "yaml", "source": odd, "do": wanted}
                assert browser.post(NEW, sent).status_code in {200, 422}


class TestOneAction:
    def test_shows_who_may_propose_it_and_every_change_with_who_and_what(
        self, defined: Service, polly: Any
    ):
        factories.make_agent("shop-bot", grants=["payments.*"])
        factories.make_agent("other-bot", grants=["items.*"])
        services.save_http_action(definition=refunding(defined, tier="medium"), person=polly)
        services.switch_http_action(name="payments.refund", is_enabled=False, person=polly)
        page = Page(signed_in(make_person("rita")).get(REFUND))
        assert "shop-bot (payments.*)" in page.text
        assert "other-bot" not in page.text
        assert re.search(r"polly: switched off.*polly: changed.*polly: defined", page.text)
        assert "was: tier: high" in page.text
        assert "becomes: tier: medium" in page.text

    def test_is_exported_as_yaml_that_can_be_imported(self, defined: Service, browser: Client):
        answer = browser.get(f"{REFUND}export/")
        assert answer["Content-Disposition"] == 'attachment; filename="payments.refund.yaml"'
        assert answer["Content-Type"].startswith("application/yaml")
        assert SECRET not in answer.content.decode()
        every = browser.get("/actions/export/").content.decode()
        HttpAction.objects.all().delete()
        page = Page(browser.post("/actions/import/", {"text": every}))
        assert not HttpAction.objects.exists()
        assert "Keep these 2 actions" in page.text
        sent = {"text": every, "do": "keep", "seen": seen_in(page)}
        assert browser.post("/actions/import/", sent).url == "/actions/"
        assert HttpAction.objects.count() == 2
        page = Page(browser.post("/actions/import/", {"text": every.replace("high", "low")}))
        assert "Changes the one in force" in page.text

    def test_is_imported_only_as_it_was_seen_and_all_or_none(
        self, service: Service, browser: Client
    ):
        text = ready.text("stripe-refund")
        seen = seen_in(Page(browser.post("/actions/import/", {"text": text})))
        other = {"text": text.replace("tier: high", "tier: low"), "do": "keep", "seen": seen}
        browser.post("/actions/import/", other)
        assert not HttpAction.objects.exists()
        broken = f"{text}---\nname: nothing.more\n"
        page = Page(browser.post("/actions/import/", {"text": broken, "do": "keep", "seen": seen}))
        line = len(text.splitlines()) + 2
        assert f"Line {line}" in page.text
        assert not HttpAction.objects.exists()

    def test_is_stopped_by_whoever_may_freeze_and_started_by_whoever_defines(
        self, defined: Service, browser: Client
    ):
        rita = signed_in(make_person("rita"))
        address = f"{REFUND}switch/"
        assert "is switched off" in Page(rita.post(address, {"to": "off"}, follow=True)).text
        refused = rita.post(address, {"to": "on"}, follow=True)
        assert "Nothing was changed" in Page(refused).text
        assert not HttpAction.objects.get(name="payments.refund").is_enabled
        assert "is on again" in Page(browser.post(address, {"to": "on"}, follow=True)).text
        assert HttpAction.objects.get(name="payments.refund").is_enabled

    def test_that_is_no_longer_understood_says_so_and_can_be_changed(
        self, defined: Service, browser: Client, polly: Any
    ):
        HttpAction.objects.filter(name="payments.refund").update(definition={"name": "odd"})
        wiring.forget()
        assert "not understood" in Page(browser.get("/actions/")).text
        assert "not understood" in Page(browser.get(REFUND)).text
        assert browser.get(f"{REFUND}change/").status_code == 200
        assert browser.get(f"{REFUND}try/").status_code == 302
        assert browser.get(f"{REFUND}export/").url == REFUND
        assert browser.get("/actions/export/").url == "/actions/"

    def test_hidden_characters_of_a_definition_are_shown(self, service: Service, browser: Client):
        raw = refunding(service, description="Refund\u202e something")
        browser.post(NEW, {**sent_as("yaml", raw), "do": "keep"})
        services.save_http_action(definition=raw, person=None)
        html = browser.get(REFUND).content.decode()
        assert "\u202e" not in html
        assert "U+202E" in html


class TestTrying:
    def test_shows_the_exact_request_and_sends_none(self, defined: Service):
        olga = signed_in(make_person("olga", groups=["operators"]))
        assert "Parameters" in Page(olga.get(f"{REFUND}try/")).text
        answer = olga.post(f"{REFUND}try/", PARAMS)
        page = Page(answer)
        assert answer.status_code == 200
        assert "Nothing was sent." in page.text
        assert f"POST {defined.origin}/v1/refunds" in page.text
        assert "amount=1200&charge=ch_abcd&metadata%5Bcountersign%5D=a%20key" in page.text
        assert "Authorization: Bearer [hidden]" in page.text
        assert "Idempotency-Key: a key of ours" in page.text
        assert "Refund 12.00 EUR of charge ch_abcd" in page.inside("h2")
        assert "becomes known after the write" in page.text
        assert "Cancel refund known after the write of charge ch_abcd" in page.text
        assert "12.00 EUR" in page.text
        assert defined.writes == []
        assert [one.target for one in defined.asked] == ["/v1/charges/ch_abcd"]
        assert SECRET not in page.html
        assert defined.asked[0].headers["authorization"] == f"Bearer {SECRET}"

    def test_says_at_the_field_which_parameter_does_not_fit(
        self, defined: Service, browser: Client
    ):
        sent = {**PARAMS, "params-charge": "nonsense", "params-amount-amount": "12"}
        answer = browser.post(f"{REFUND}try/", sent)
        page = Page(answer)
        assert answer.status_code == 422
        assert page.all("input", name="params-charge")[0]["aria-invalid"] == "true"
        assert page.all("input", name="params-amount-amount")[0]["aria-invalid"] == "true"
        assert page.all("input", name="params-charge")[0]["value"] == "nonsense"
        page = Page(browser.post(f"{REFUND}try/", {}))
        assert "This is needed." in page.text
        assert defined.asked == []

    def test_says_why_the_target_could_not_be_read(self, defined: Service, browser: Client):
        page = Page(browser.post(f"{REFUND}try/", {**PARAMS, "params-charge": "ch_none"}))
        assert f"{defined.origin} has no charges/ch_none." in page.text
        assert "charge=ch_none" in page.text, "the request is shown all the same"

    def test_shows_what_stood_there_and_how_it_is_put_back(self, defined: Service, browser: Client):
        sent = {"params-item": "lamp", "params-price": "12.50"}
        page = Page(browser.post("/actions/items.set_price/try/", sent))
        assert "was 10.00" in page.text
        assert "becomes 12.50" in page.text
        assert "Set the price of item lamp back" in page.text
        assert '{"price":"10.00"}' in page.text
        assert defined.effects == []

    def test_works_for_a_definition_that_is_not_kept_yet(self, service: Service, browser: Client):
        raw = pricing(service)
        del raw["authentication"]
        page = Page(browser.post("/actions/try/", typed(raw)))
        assert "not kept yet" in page.text
        draft = page.all("input", name="draft")[0]["value"]
        sent = {"draft": draft, "params-item": "lamp", "params-price": "12.50"}
        page = Page(browser.post("/actions/try/", sent))
        assert "becomes 12.50" in page.text
        assert not HttpAction.objects.exists()
        back = {"view": "yaml", "source": page.all("input", name="source")[0]["value"]}
        assert "Generic" not in Page(browser.post(NEW, back)).text
        assert browser.post("/actions/try/", {"draft": "name: x"}).status_code == 302


class TestWhoMay:
    @pytest.mark.parametrize(
        ("group", "sees", "tries", "defines"),
        [
            ("reviewers", True, False, False),
            ("senior-reviewers", True, False, False),
            ("operators", True, True, False),
            ("auditors", True, False, False),
            ("policy-administrators", True, True, True),
            ("", False, False, False),
        ],
    )
    def test_see_try_and_define(
        self, defined: Service, group: str, sees: bool, tries: bool, defines: bool
    ):
        groups = [group] if group else []
        browser = signed_in(make_person(f"one-of-{group or 'none'}", groups=groups))
        for may, addresses in (
            (sees, ["", "export/", "secrets/", "payments.refund/", "payments.refund/export/"]),
            (tries, ["payments.refund/try/"]),
            (defines, ["new/", "import/", "secrets/keep/", "secrets/stripe/replace/"]),
            (defines, ["secrets/stripe/forget/", "payments.refund/change/"]),
        ):
            for address in addresses:
                status = browser.get(f"/actions/{address}").status_code
                assert status == (200 if may else 403), address
        raw, before = refunding(defined, tier="low"), self.state()
        sent = {**typed(raw), "do": "keep", "text": "a: b", "origin": "https://else.example"}
        sent |= {"secret_value": "another-Value-of-it-3318", "name": "new.thing", "is_meant": "on"}
        for address in ("new/", "try/", "import/", "payments.refund/change/", "secrets/keep/"):
            status = browser.post(f"/actions/{address}", sent).status_code
            assert (status != 403) == defines, address
        assert (browser.post(f"{REFUND}try/", PARAMS).status_code == 200) == tries
        if not defines:
            for address in ("secrets/stripe/replace/", "secrets/stripe/forget/"):
                assert browser.post(f"/actions/{address}", sent).status_code == 403
            assert self.state() == before

    def state(self) -> list[Any]:
        kinds = LedgerEntry.objects.exclude(stream="auth").values_list("kind", flat=True)
        return [*kinds, *HttpAction.objects.values_list("name", "definition")]

    def test_a_superuser_without_the_right_changes_nothing(self, defined: Service):
        boss = make_person("boss", groups=["auditors"], is_superuser=True, is_staff=True)
        browser = signed_in(boss)
        assert browser.post(NEW, typed(refunding(defined))).status_code == 403
        assert browser.post(f"{REFUND}try/", PARAMS).status_code == 403

    def test_a_form_from_elsewhere_is_refused(self, defined: Service, polly: Any):
        browser = Client(enforce_csrf_checks=True)
        browser.force_login(polly)
        for address in ("new/", "import/", "payments.refund/switch/", "secrets/keep/"):
            assert browser.post(f"/actions/{address}", {"to": "off"}).status_code == 403
        assert HttpAction.objects.get(name="payments.refund").is_enabled
