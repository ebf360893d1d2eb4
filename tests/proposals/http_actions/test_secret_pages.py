"""The pages on secrets: a value goes in and is in no page, log, ledger, history or error report."""

import logging
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from ledger.models import LedgerEntry
from proposals import services, vault
from proposals.models import NamedSecret
from tests import factories
from tests.factories import make_person
from tests.proposals.http_actions.conftest import REFUND, pricing, refunding
from tests.proposals.http_actions.service import Service
from tests.proposals.http_actions.test_pages import PARAMS, signed_in, typed
from tests.proposals.test_console import Page
from tests.proposals.test_secrets import everything_stored

pytestmark = pytest.mark.django_db
KEEP = "/actions/secrets/keep/"
SENTINEL = "sk_live_zq-Sentinel_7731+never/shown="


def sent(service: Service, value: str = SENTINEL, **more: str) -> dict[str, str]:
    return {"name": "stripe", "origin": service.origin, "secret_value": value, **more}


@pytest.fixture
def browser(polly: Any) -> Client:
    return signed_in(polly)


class TestKeeping:
    def test_keeps_replaces_and_forgets(self, service: Service, browser: Client, polly: Any):
        assert "No secret is kept yet" in Page(browser.get("/actions/secrets/")).text
        assert browser.post(KEEP, sent(service)).url == "/actions/secrets/"
        secret = NamedSecret.objects.get()
        assert vault.reveal(secret.secret_name) == SENTINEL
        address = "/actions/secrets/stripe/replace/"
        browser.post(address, {"origin": service.origin, "secret_value": "another-One-of-it-7"})
        assert vault.reveal(secret.secret_name) == "another-One-of-it-7"
        page = Page(browser.get("/actions/secrets/"))
        assert "version 2" in page.text
        assert "nothing" in page.text
        browser.post("/actions/secrets/stripe/forget/")
        assert vault.reveal(secret.secret_name) is None
        assert "forgotten" in Page(browser.get("/actions/secrets/")).text

    def test_shows_what_needs_it_and_asks_before_that_stops(
        self, defined: Service, browser: Client
    ):
        address = "/actions/secrets/stripe/forget/"
        page = Page(browser.get(address))
        assert "items.set_price, payments.refund" in page.text
        refused = browser.post(address)
        assert refused.status_code == 422
        assert "Tick that they may stop" in Page(refused).text
        assert NamedSecret.objects.get().is_kept
        browser.post(address, {"is_meant": "on"})
        assert not NamedSecret.objects.get().is_kept

    def test_needs_no_tick_while_what_needs_it_is_off(
        self, service: Service, browser: Client, polly: Any
    ):
        services.save_http_action(definition=refunding(service), person=polly)
        browser.post(KEEP, sent(service))
        services.switch_http_action(name="payments.refund", is_enabled=False, person=polly)
        browser.post("/actions/secrets/stripe/forget/")
        assert not NamedSecret.objects.get().is_kept

    def test_offers_to_keep_what_an_action_lacks(
        self, service: Service, browser: Client, polly: Any
    ):
        services.save_http_action(definition=refunding(service), person=polly)
        page = Page(browser.get("/actions/secrets/"))
        link = next(one["href"] for one in page.all("a") if "?name=" in one.get("href", ""))
        page = Page(browser.get(link))
        assert page.all("input", name="name")[0]["value"] == "stripe"
        assert page.all("input", name="origin")[0]["value"] == service.origin

    def test_says_at_the_field_what_is_wrong_and_forgets_what_was_typed(
        self, service: Service, browser: Client
    ):
        for wrong, told in (
            ({"origin": f"{service.origin}/path"}, "Scheme and host"),
            ({"name": "Bad Name"}, "Lower-case letters"),
            ({"secret_value": "short"}, "at least 8 characters"),
            ({"secret_value": f"with spaces {SENTINEL}"}, "without spaces"),
        ):
            answer = browser.post(KEEP, sent(service) | wrong)
            page = Page(answer)
            assert answer.status_code == 422
            assert told in page.text
            assert "value" not in page.all("input", name="secret_value")[0]
            assert page.all("input", name="secret_value")[0]["type"] == "password"
            assert page.all("input", name="secret_value")[0]["autocomplete"] == "off"
            assert "Sentinel" not in page.html
        assert not NamedSecret.objects.exists()

    def test_takes_no_place_of_another(self, defined: Service, browser: Client):
        answer = browser.post(KEEP, sent(defined))
        assert "There is a secret of this name" in Page(answer).text
        assert NamedSecret.objects.get().version == 1
        assert browser.get("/actions/secrets/nothing/replace/").status_code == 404


class TestASecretIsNowhere:
    def test_not_on_any_page_in_any_log_or_in_anything_stored(
        self, service: Service, browser: Client, caplog: Any, capsys: Any, monkeypatch: Any
    ):
        caplog.set_level(logging.DEBUG)
        browser.post(KEEP, sent(service))
        raw = refunding(service)
        seen = Page(browser.post("/actions/new/", typed(raw))).all("input", name="seen")
        browser.post("/actions/new/", typed(raw, do="keep", seen=seen[0]["value"]))
        services.save_http_action(definition=pricing(service), person=None)
        proposal = factories.make_checked(action="payments.refund", params=REFUND)
        pages = [
            browser.get(address)
            for address in (
                *("/actions/", "/actions/secrets/", KEEP, "/actions/new/?ready=stripe-refund"),
                *("/actions/secrets/stripe/replace/", "/actions/secrets/stripe/forget/"),
                *("/actions/payments.refund/", "/actions/payments.refund/change/"),
                *("/actions/payments.refund/change/?as=yaml", "/actions/payments.refund/try/"),
                *("/actions/payments.refund/export/", "/actions/export/"),
                reverse("proposal", args=[proposal.pk]),
            )
        ]
        pages += [
            browser.post("/actions/payments.refund/try/", PARAMS),
            browser.post("/actions/payments.refund/change/", typed(raw)),
            browser.post(KEEP, sent(service)),
            browser.post("/actions/secrets/stripe/replace/", sent(service, origin="nonsense")),
        ]
        assert all(page.status_code in {200, 422} for page in pages)
        monkeypatch.setattr(vault, "store", lambda name, value: 1 / 0)
        broken = browser.post("/actions/secrets/stripe/replace/", sent(service))
        assert broken.status_code == 500
        for page in [*pages, broken]:
            assert "Sentinel" not in page.content.decode()
        assert [one.headers["authorization"] for one in service.asked] == [
            f"Bearer {SENTINEL}"
        ] * len(service.asked)
        assert len(service.asked) > 1, "it was used"
        assert "Sentinel" not in everything_stored()
        assert not any("Sentinel" in str(entry.body) for entry in LedgerEntry.objects.all())
        call_command("export_http_actions")
        heard = capsys.readouterr()
        assert "Sentinel" not in heard.out + heard.err + caplog.text

    @pytest.mark.parametrize("debug", [True, False])
    def test_not_on_the_page_of_an_error(
        self, service: Service, browser: Client, settings: Any, monkeypatch: Any, debug: bool
    ):
        settings.DEBUG = debug
        unknown = f"never-remembered-{debug}-77x"
        monkeypatch.setattr(services, "keep_secret", lambda **given: 1 / 0)
        answer = browser.post(KEEP, sent(service, value=unknown))
        assert answer.status_code == 500
        assert unknown not in answer.content.decode()

    def test_others_see_that_it_is_kept_and_cannot_keep_one(self, defined: Service):
        rita = signed_in(make_person("rita"))
        page = Page(rita.get("/actions/secrets/"))
        assert "stripe" in page.text
        assert not [one for one in page.all("a") if "replace" in one.get("href", "")]
        assert rita.post(KEEP, sent(defined)).status_code == 403
