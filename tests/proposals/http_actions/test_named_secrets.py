"""A secret goes into one header of one host, and is found nowhere else."""

import base64
import json
import logging
from typing import Any
from urllib.parse import quote

import pytest
from django.apps import apps
from django.test import Client

from ledger.models import LedgerEntry
from proposals import redaction, services, vault
from proposals.exceptions import InvalidRequest, OutcomeUnknown, TargetUnavailable
from proposals.models import NamedSecret, Secret
from proposals.registry import registry
from proposals.targets import wiring
from tests import factories
from tests.proposals.http_actions.conftest import PRICE, REFUND, SECRET, pricing, refunding
from tests.proposals.http_actions.service import Service
from tests.proposals.http_actions.steps import asked, attempt_of

pytestmark = [pytest.mark.django_db, pytest.mark.once]
SPELLINGS = {SECRET, quote(SECRET, safe=""), base64.b64encode(SECRET.encode()).decode()}


def everything_stored() -> str:
    """Every value in every table of ours, as text."""
    return "\n".join(
        repr(row) for model in apps.get_models() for row in model._default_manager.values()
    )


def echo(service: Service) -> dict[str, Any]:
    """An answer that repeats whatever it was asked with, in every way there is."""
    last = service.asked[-1] if service.asked else None
    return {
        "id": "re_1",
        "status": "succeeded",
        "headers": last.headers if last else {},
        "note": f"You sent {SECRET} and {quote(SECRET, safe='')}",
        "raw": base64.b64encode(SECRET.encode()).decode(),
    }


class TestASecret:
    def test_goes_out_in_its_header_and_nowhere_else(self, defined: Service):
        asked("payments.refund", REFUND)
        asked("items.set_price", PRICE)
        refund, price = defined.writes
        assert refund.headers["authorization"] == f"Bearer {SECRET}"
        assert price.headers["x-api-key"] == SECRET
        for each in defined.asked:
            others = {
                name: value
                for name, value in each.headers.items()
                if name not in {"authorization", "x-api-key"}
            }
            assert SECRET not in json.dumps(others) + each.target + each.body.decode()

    def test_is_in_no_row_log_line_or_page_though_the_provider_repeats_it(
        self, defined: Service, caplog, polly
    ):
        caplog.set_level(logging.DEBUG)
        result = {"status": "/status", "note": "/note"}
        definition = refunding(defined, result=result)
        definition["answers"] = {**definition["answers"], "message": "/note"}
        services.save_http_action(definition=definition, person=polly)
        defined.before_write = lambda: defined.answer_next(200, echo(defined))
        done = asked("payments.refund", REFUND)
        assert done.status == "committed", done.reason
        excerpt = attempt_of(done).evidence["excerpt"]
        assert redaction.HIDDEN in excerpt
        assert redaction.HIDDEN in done.result["note"]
        other = {**REFUND, "amount": {"amount": "1.00", "currency": "EUR"}}
        defined.before_write = lambda: defined.answer_next(404, echo(defined))
        failed = asked("payments.refund", other)
        assert failed.status == "failed"
        defined.before_write = lambda: defined.answer_next(500, echo(defined))
        other["amount"] = {"amount": "2.00", "currency": "EUR"}
        unknown = asked("payments.refund", other)
        assert unknown.status == "unknown"
        stored = everything_stored()
        pages = "".join(page_of(each) for each in (done, failed, unknown))
        lines = "\n".join(record.getMessage() for record in caplog.records)
        for spelling in SPELLINGS:
            assert spelling not in stored
            assert spelling not in pages
            assert spelling not in redaction.redact(lines)

    def test_is_not_kept_in_the_clear(self, defined: Service):
        sealed = Secret.objects.get(name=NamedSecret.objects.get().secret_name).sealed
        assert SECRET not in sealed
        assert vault.reveal(NamedSecret.objects.get().secret_name) == SECRET

    def test_of_basic_authentication_is_hidden_in_its_coded_form(self, defined: Service, polly):
        how = {"scheme": "basic", "user": "shop", "secret": "stripe"}
        definition = pricing(defined)
        definition["authentication"] = how
        services.save_http_action(definition=definition, person=polly)
        asked("items.set_price", PRICE)
        pair = base64.b64encode(f"shop:{SECRET}".encode()).decode()
        assert defined.writes[-1].headers["authorization"] == f"Basic {pair}"
        assert pair not in redaction.redact(f"Basic {pair}")

    def test_that_is_not_kept_stops_before_anything_is_sent(self, defined: Service, polly):
        services.forget_secret(name="stripe", person=polly)
        wiring.refresh()
        action: Any = registry.get("items.set_price")
        for step in (
            lambda: action.preview(PRICE),
            lambda: action.prepare(PRICE, expected={}),
            lambda: action.apply(PRICE, key="k" * 52, expected={}),
        ):
            with pytest.raises(TargetUnavailable, match="the secret stripe is not kept"):
                step()
        assert defined.asked == []
        assert not Secret.objects.exists()

    def test_that_cannot_be_read_any_more_says_so(self, defined: Service):
        Secret.objects.update(sealed="damaged")
        with pytest.raises(TargetUnavailable, match="stripe cannot be read any more"):
            registry.get("items.set_price").preview(PRICE)

    def test_is_never_sent_to_another_place(self, defined: Service, polly):
        elsewhere = pricing(defined, origin="https://other.example")
        with pytest.raises(InvalidRequest) as refusal:
            services.save_http_action(definition=elsewhere, person=polly)
        assert refusal.value.errors[0]["pointer"] == "/authentication/secret"
        NamedSecret.objects.update(origin="https://other.example")
        with pytest.raises(TargetUnavailable, match=r"is kept for https://other\.example"):
            registry.get("items.set_price").preview(PRICE)
        assert defined.asked == []

    @pytest.mark.parametrize(
        ("change", "pointer"),
        [
            ({"value": "short"}, "/value"),
            ({"value": "with space inside"}, "/value"),
            ({"value": "line\r\nX-Evil: 1"}, "/value"),
            ({"value": "umläut-and-more"}, "/value"),
            ({"name": "Stripe"}, "/name"),
            ({"name": "a" * 41}, "/name"),
            ({"origin": "https://x.example/path"}, "/origin"),
        ],
    )
    def test_has_a_plain_name_place_and_value(self, polly, change, pointer):
        given = {"name": "stripe", "origin": "https://x.example", "value": SECRET, **change}
        with pytest.raises(InvalidRequest) as refusal:
            services.keep_secret(**given, person=polly)
        assert pointer in [error["pointer"] for error in refusal.value.errors]
        assert given["value"] not in str(refusal.value.errors)

    def test_is_recorded_by_name_and_version(self, defined: Service, polly):
        services.forget_secret(name="stripe", person=polly)
        services.forget_secret(name="stripe", person=polly)
        entries = LedgerEntry.objects.filter(stream__startswith="secret:").order_by("id")
        assert [entry.kind for entry in entries] == ["secret.kept", "secret.forgotten"]
        assert entries[1].body == {
            "name": "stripe",
            "origin": defined.origin,
            "version": 2,
            "kept": False,
        }


class TestAnErrorText:
    def test_of_an_unclear_answer_hides_it(self, defined: Service):
        action: Any = registry.get("payments.refund")
        defined.answer_next(500, echo(defined))
        with pytest.raises(OutcomeUnknown) as unclear:
            action.apply(REFUND, key="k" * 52, expected={})
        told = str(unclear.value) + json.dumps(unclear.value.evidence)
        assert not any(spelling in told for spelling in SPELLINGS)

    def test_of_an_answer_keeps_four_kibibytes_at_most(self, defined: Service):
        action: Any = registry.get("payments.refund")
        defined.answer_next(500, (f"{SECRET} " * 2000).encode())
        with pytest.raises(OutcomeUnknown) as unclear:
            action.apply(REFUND, key="k" * 52, expected={})
        excerpt = unclear.value.evidence["excerpt"]
        assert len(excerpt.encode()) <= 4096
        assert SECRET[:12] not in excerpt


def page_of(proposal: Any) -> str:
    client = Client()
    client.force_login(factories.make_person("rita"))
    answer = client.get(f"/proposals/{proposal.pk}/")
    assert answer.status_code == 200
    return answer.content.decode()
