"""Mail templates and domains: what may be written, by whom, and what is kept of a change."""

import pytest
from django.core.exceptions import ValidationError

from ledger.models import LedgerEntry
from proposals import services
from proposals.actions import mailing
from proposals.exceptions import InvalidParams, InvalidRequest, NotEligible, NotFound
from proposals.models import MailPolicy, MailTemplate
from proposals.registry import registry
from proposals.targets import wiring
from tests.factories import make_person
from tests.mail_fixture import DEFINITION, FIELDS, PARAMS, filled, lists, write
from tests.target_fixture import paula

pytestmark = pytest.mark.django_db
LINE = {"name": "who"}


def described(**changes):
    given = {"subject": "Hello {who}", "body": "Hello.\n", "fields": [LINE]} | changes
    return mailing.described_by("hello", given)


class TestATemplate:
    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"subject": "Hello {whom}"}, "no declared field"),
            ({"fields": [LINE, {"name": "other"}]}, "nowhere in subject or text"),
            ({"fields": [LINE, LINE]}, "every field once"),
            ({"subject": "Hello {who"}, "brace"),
            ({"subject": "Hello {who.__class__}"}, "brace"),
            ({"subject": "Hello {who!r:>10}"}, "brace"),
            ({"subject": "Hello {0}{who}"}, "brace"),
            ({"body": "Hello }{who}\n"}, "brace"),
            ({"subject": "Hello {who}\nBcc: eve@evil.example"}, "one line"),
            ({"subject": "Hello {who}\r"}, "U\\+000D"),
            ({"subject": " Hello {who}"}, "something to read"),
            ({"subject": "Hello\u202e {who}"}, "U\\+202E"),
            ({"body": "Hello\u200b\n"}, "U\\+200B"),
            ({"body": "Hello\r\n"}, "U\\+000D"),
            ({"body": " \n"}, "says something"),
            ({"fields": [{"name": "who", "kind": "paragraph"}]}, "cannot stand in the subject"),
            ({"fields": [{"name": "who", "max_length": 300}]}, "306 characters; at most 250"),
            ({"tier": "low"}, "never low"),
            ({"fields": [{"name": "who", "kind": "choice"}]}, "lists its values"),
            ({"fields": [{"name": "who", "choices": ["a"]}]}, "lists its values"),
            ({"fields": [{"name": "who", "kind": "choice", "choices": ["a\nb"]}]}, "one line"),
            ({"fields": [{"name": "Who"}]}, "match pattern"),
            ({"fields": [{"name": "who", "kind": "html"}]}, "paragraph"),
            ({"html": "<b>"}, "unexpected"),
            (
                {
                    "body": "{long}" * 11,
                    "fields": [LINE, {"name": "long", "kind": "paragraph", "max_length": 5000}],
                },
                "at most 50000",
            ),
        ],
    )
    def test_that_could_mislead_or_not_be_filled_is_refused(self, changes, told):
        with pytest.raises(InvalidRequest, match=f"(?i){told}"):
            described(**changes)

    def test_is_filled_literally_and_in_one_pass(self):
        template = described(
            subject="{who}: {{who}}", body="{who}{other}\n", fields=[LINE, {"name": "other"}]
        )
        values = {"who": "{other}", "other": "{who} {{ }}"}
        assert template.filled(template.subject, values) == "{other}: {who}"
        assert template.filled(template.body, values) == "{other}{who} {{ }}\n"

    @pytest.mark.parametrize("name", ["to", "fields", "template", "add", "Ab", "a b", "a_b", ""])
    def test_has_a_name_that_is_one_word_and_no_parameter(self, name):
        with pytest.raises((ValidationError, InvalidRequest)):
            services.save_mail_template(name=name, definition=DEFINITION, person=paula())


class TestWriting:
    def test_takes_the_right_by_name_whatever_else_somebody_is(self, templates):
        boss = make_person("boss", groups=["operators"], is_superuser=True)
        for verb in (
            lambda: services.save_mail_template(name="x", definition=DEFINITION, person=boss),
            lambda: services.list_mail_domains(domains=["evil.example"], person=boss),
            lambda: services.switch_mail_template(
                name="order-shipped", is_enabled=True, person=boss
            ),
        ):
            with pytest.raises(NotEligible):
                verb()
        assert MailPolicy.objects.get().domains == ["customer.example"]

    def test_stopping_is_easy_and_starting_again_takes_more(self, templates):
        rita = make_person()
        services.switch_mail_template(name="order-shipped", is_enabled=False, person=rita)
        wiring.refresh()
        assert "order-shipped" in mailing.current().closed
        with pytest.raises(NotEligible):
            services.switch_mail_template(name="order-shipped", is_enabled=True, person=rita)
        auditor = make_person("amir", groups=["auditors"])
        with pytest.raises(NotEligible):
            services.switch_mail_template(name="order-shipped", is_enabled=False, person=auditor)
        with pytest.raises(NotFound):
            services.switch_mail_template(name="nothing", is_enabled=False, person=rita)

    def test_every_change_has_its_ledger_entry_and_history_and_the_same_again_has_none(
        self, templates
    ):
        write(), lists("customer.example")
        write(subject="Your order {order}")
        for is_enabled in (False, False, True):
            services.switch_mail_template(
                name="order-shipped", is_enabled=is_enabled, person=paula()
            )
        lists("customer.example", "partner.example"), lists("partner.example")
        kinds = LedgerEntry.objects.filter(kind__startswith="mail_").order_by("id")
        assert list(kinds.values_list("kind", flat=True)) == [
            "mail_template.written",
            "mail_domains.changed",
            "mail_template.changed",
            "mail_template.disabled",
            "mail_template.enabled",
            "mail_domains.changed",
            "mail_domains.changed",
        ]
        last = kinds.last()
        assert (last.actor, last.actor_name) == (f"user:{paula().pk}", "Paula")
        assert last.body["removed"] == ["customer.example"]
        assert MailTemplate.objects.get().history.count() == 4
        assert MailPolicy.objects.get().history.count() == 3

    def test_line_ends_of_a_browser_become_those_of_a_mail(self, templates):
        write(body="Dear {name},\r\n\r\n{note} {total} {day} {carrier}\r\n\r\n")
        assert "\r" not in MailTemplate.objects.get().body
        assert MailTemplate.objects.get().body.endswith("{carrier}\n")

    @pytest.mark.parametrize("domain", ["*.example", "example", "shop.example.", "bücher.example"])
    def test_lists_no_domain_that_reaches_further_than_it_reads(self, templates, domain):
        with pytest.raises(InvalidRequest, match="cannot be listed"):
            lists(domain)
        assert MailPolicy.objects.get().domains == ["customer.example"]

    def test_what_a_later_release_wrote_is_closed_and_not_guessed_at(self, templates):
        MailTemplate.objects.update(fields=[{"name": "order", "kind": "picture"}])
        wiring.announce()
        wiring.refresh()
        assert "is not understood" in mailing.current().closed["order-shipped"]
        assert not mailing.current().templates


class TestTheSchema:
    def test_lists_exactly_what_there_is(self, templates):
        write("goodbye", label="", subject="Goodbye", body="Goodbye.\n", fields=[])
        wiring.refresh()
        schema = registry.get("email.send").schema()
        assert schema["discriminator"]["propertyName"] == "template"
        fields = schema["$defs"]["Fields_order_shipped"]["properties"]
        assert list(fields) == list(FIELDS)
        assert fields["name"]["description"] == "The customer's name"
        assert fields["carrier"]["enum"] == ["post", "bike"]
        assert "customer.example" in str(schema["$defs"]["Send_goodbye"]["properties"]["to"])

    def test_takes_nothing_before_there_is_a_template(self, db):
        wiring.forget()
        with pytest.raises(InvalidParams):
            registry.get("email.send").validate(PARAMS)

    def test_of_a_template_without_gaps_asks_for_none(self, templates):
        write("goodbye", label="", subject="Goodbye", body="Goodbye.\n", fields=[])
        wiring.refresh()
        asked = {"template": "goodbye", "to": "ana@customer.example"}
        assert registry.get("email.send").validate(asked) == asked

    @pytest.mark.parametrize(
        ("params", "place"),
        [
            ([], "/params"),
            ({}, "/params/template"),
            (PARAMS | {"template": "nope"}, "/params/template"),
            (PARAMS | {"template": None}, "/params/template"),
            (PARAMS | {"cc": "eve@customer.example"}, "/params/cc"),
            (PARAMS | {"bcc": "eve@customer.example"}, "/params/bcc"),
            (PARAMS | {"subject": "x"}, "/params/subject"),
            (PARAMS | {"to": ["ana@customer.example"]}, "/params/to"),
            (PARAMS | {"to": "ana@evil.example"}, "/params/to"),
            (PARAMS | {"to": "ana@mail.customer.example"}, "/params/to"),
            (PARAMS | {"to": "ana@example"}, "/params/to"),
            (PARAMS | {"to": "ana@customer.example.evil.example"}, "/params/to"),
            (PARAMS | {"to": "ana@evilcustomer.example"}, "/params/to"),
            (PARAMS | {"to": "ana@сustomer.example"}, "/params/to"),
            (PARAMS | {"to": "ana@xn--ustomer-8ij.example"}, "/params/to"),
            (filled(order="42"), "/params/fields/order"),
            (filled(order=4.5), "/params/fields/order"),
            (filled(order=True), "/params/fields/order"),
            (filled(name=""), "/params/fields/name"),
            (filled(name="  "), "/params/fields/name"),
            (filled(name="x" * 81), "/params/fields/name"),
            (filled(name=None), "/params/fields/name"),
            (filled(name={"a": 1}), "/params/fields/name"),
            (filled(day="2026-02-30"), "/params/fields/day"),
            (filled(day="2026-12-02T00:00:00"), "/params/fields/day"),
            (filled(carrier="train"), "/params/fields/carrier"),
            (filled(total="120 EUR"), "/params/fields/total"),
            (filled(total={"amount": "1e3", "currency": "EUR"}), "/params/fields/total/amount"),
            (filled(total={"amount": "1", "currency": "eur"}), "/params/fields/total/currency"),
            (filled(unknown="x"), "/params/fields/unknown"),
        ],
    )
    @pytest.mark.parametrize("others", [0, 1])
    def test_names_the_parameter_that_does_not_fit(self, in_force, params, place, others):
        if others:
            now = mailing.current()
            goodbye = {"subject": "Goodbye", "body": "Goodbye.\n"}
            more = {"goodbye": mailing.described_by("goodbye", goodbye)}
            mailing.install(mailing.Mailing(now.templates | more, domains=now.domains))
        with pytest.raises(InvalidParams) as refusal:
            registry.get("email.send").validate(params)
        assert place in [error["pointer"] for error in refusal.value.errors]
