"""The pages on mail, and the review page of one, as people meet them."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from proposals import services
from proposals.exceptions import InvalidParams
from proposals.models import Execution, MailPolicy, MailTemplate
from proposals.registry import registry
from tests import factories
from tests.factories import fresh, make_checked, make_person, painting
from tests.mail_fixture import DEFINITION, PARAMS, asked, filled, lists, write
from tests.proposals.test_console import Page
from tests.proposals.test_table_pages import seen_in, sent, signed_in
from tests.target_fixture import paula

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("templates")]
ADD, ONE, DOMAINS = "/mail/templates/add/", "/mail/templates/order-shipped/", "/mail/domains/"
TYPED = {
    "name": "late",
    "label": "Late",
    "subject": "Order {order} is late",
    "body": "Dear {name},\r\n\r\n{why}\r\n",
    "tier": "high",
}


class TestTheList:
    def test_says_what_may_be_sent_to_whom_and_by_whom(self, mails):
        lists("customer.example", "xn--bcher-kva.example")
        page = Page(signed_in().get("/mail/"))
        assert "Order shipped" in page.text
        assert "Shop <orders@shop.example>" in page.text
        assert "xn--bcher-kva.example reads as bücher.example" in page.text
        assert "Nothing can be sent now" not in page.text

    def test_says_when_nothing_can_be_sent(self, settings):
        settings.MAIL_IS_ON = False
        page = Page(signed_in().get("/mail/"))
        assert "Nothing can be sent now" in page.text
        assert "EMAIL_URL" in page.text

    def test_is_in_the_navigation_of_those_who_set_it_up(self):
        assert "/mail/" in [link.get("href") for link in Page(signed_in().get("/")).all("a")]
        rita = Page(signed_in(make_person()).get("/"))
        assert "/mail/" not in [link.get("href") for link in rita.all("a")]

    def test_is_empty_in_words_before_anything_is_set_up(self):
        MailTemplate.objects.all().delete()
        MailPolicy.objects.all().delete()
        page = Page(signed_in().get("/mail/"))
        assert "No template yet" in page.text
        assert "no mail can be sent to anybody" in page.text


class TestWriting:
    def test_describes_each_gap_of_the_text_and_shows_an_example_before_it_is_kept(self):
        browser = signed_in()
        page = sent(browser, ADD, **TYPED)
        assert [one["name"] for one in page.all("select") if one["name"].endswith("-kind")] == [
            *("order-kind", "name-kind", "why-kind"),
        ]
        assert "Order (order) is late" in page.text
        assert "Dear (name)," in page.text
        assert not MailTemplate.objects.filter(name="late").exists()
        chosen = TYPED | {
            **{"order-kind": "integer", "name-kind": "choice", "name-choices": "Ana\r\nBo\r\n"},
            **{"why-kind": "paragraph", "why-max_length": "500", "why-label": "Why it is late"},
        }
        page = sent(browser, ADD, **chosen)
        assert "Order 42 is late" in page.text
        answer = browser.post(ADD, {**chosen, "seen": seen_in(page)})
        assert answer.url == "/mail/"
        assert MailTemplate.objects.get(name="late").fields == [
            {"name": "order", "kind": "integer", "label": ""},
            {"name": "name", "kind": "choice", "label": "", "choices": ["Ana", "Bo"]},
            {"name": "why", "kind": "paragraph", "label": "Why it is late", "max_length": 500},
        ]
        item = registry.get("email.send").schema()
        assert "late" in str(item)

    def test_keeps_exactly_what_the_example_was_of(self):
        browser = signed_in()
        seen = seen_in(sent(browser, ADD, **TYPED))
        again = sent(browser, ADD, **TYPED | {"subject": "Something else {order}", "seen": seen})
        assert "Something else (order)" in again.text
        assert not MailTemplate.objects.filter(name="late").exists()

    def test_shows_again_what_was_kept_and_changes_it(self):
        browser = signed_in()
        page = Page(browser.get(ONE))
        assert "Order 42 is on its way" in page.text
        assert page.all("input", name="subject")[0]["value"] == DEFINITION["subject"]
        assert page.all("input", name="name-max_length")[0]["value"] == "80"
        assert not page.all("input", name="name")
        form = {
            **{"label": "Sent", "subject": "Order {order}", "body": "Hi.\n", "tier": "medium"},
            "order-kind": "integer",
        }
        answer = browser.post(ONE, {**form, "seen": seen_in(sent(browser, ONE, **form))})
        assert answer.url == "/mail/"
        assert MailTemplate.objects.get().label == "Sent"
        assert "The mail as it was then" in Page(browser.get(ONE)).html

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"name": "Bad Name"}, "A name of lower-case letters"),
            ({"name": "order-shipped", "seen": True}, "a template of this name already"),
            ({"subject": "Order {order"}, "A brace stands for a field"),
            ({"subject": "Order {why}", "why-kind": "paragraph"}, "cannot stand in the subject"),
            ({"body": "   "}, "The text says something"),
            ({"body": "Hello\u202e {name} {why}"}, "U+202E RLO"),
            ({"tier": "low"}, "Select a valid choice"),
            ({"name-kind": "choice"}, "A choice lists its values"),
            ({"name-max_length": "0"}, "greater than or equal to 1"),
            ({"order-max_length": "400"}, "with the longest values the subject"),
        ],
    )
    def test_says_at_the_field_what_is_wrong_and_keeps_what_was_typed(self, changes, told):
        browser = signed_in()
        form = TYPED | changes
        if form.pop("seen", None):
            form["seen"] = seen_in(sent(browser, ADD, **form))
        answer = browser.post(ADD, form)
        page = Page(answer)
        assert answer.status_code == 422
        assert told.lower() in page.text.lower()
        assert page.all("input", name="label")[0]["value"] == "Late"
        assert MailTemplate.objects.count() == 1

    def test_a_stray_brace_loses_nothing_that_was_said_about_the_gaps(self):
        form = TYPED | {"subject": "Order {order", "name-label": "The customer's name"}
        page = Page(signed_in().post(ADD, form | {"name-kind": "line"}))
        assert "A brace stands for a field" in page.text
        assert page.all("input", name="name-label")[0]["value"] == "The customer's name"

    def test_a_new_one_is_in_force_for_the_next_proposal(self, mails):
        browser = signed_in()
        form = TYPED | {"tier": "medium"}
        browser.post(ADD, {**form, "seen": seen_in(sent(browser, ADD, **form))})
        fields = {"order": "42", "name": "Ana", "why": "Snow."}
        params = {"template": "late", "to": "ana@customer.example", "fields": fields}
        assert asked(params=params).current_check.sentence == "Send “Late” to ana@customer.example"


class TestDomains:
    def test_are_kept_one_a_line(self):
        answer = signed_in().post(DOMAINS, {"domains": "Shop.example \r\n\r\na.example\r\n"})
        assert answer.url == "/mail/"
        assert MailPolicy.objects.get().domains == ["a.example", "shop.example"]

    def test_say_what_is_none_and_keep_what_was_typed(self):
        answer = signed_in().post(DOMAINS, {"domains": "shop.example\n*.example"})
        page = Page(answer)
        assert answer.status_code == 422
        assert "cannot be listed" in page.text
        assert "*.example" in page.inside("textarea")
        assert MailPolicy.objects.get().domains == ["customer.example"]


class TestSwitching:
    def test_off_and_on_again(self, mails):
        browser = signed_in()
        page = Page(
            browser.post("/mail/templates/order-shipped/switch/", {"to": "off"}, follow=True)
        )
        assert "order-shipped is switched off" in page.text
        with pytest.raises(InvalidParams):
            asked()
        browser.post("/mail/templates/order-shipped/switch/", {"to": "on"})
        assert MailTemplate.objects.get().is_enabled

    def test_what_is_not_there_is_not_found(self):
        browser = signed_in()
        assert browser.get("/mail/templates/nope/").status_code == 404
        assert browser.post("/mail/templates/nope/switch/", {"to": "off"}).status_code == 404


class TestWhoMay:
    def test_look_at_it_and_who_may_change_it(self):
        for username, group, may in (
            ("rita", "reviewers", False),
            ("olga", "operators", False),
            ("amir", "auditors", False),
            ("paula", "policy-administrators", True),
        ):
            browser = signed_in(make_person(username, groups=[group]))
            assert browser.get("/mail/").status_code == 200
            page = Page(browser.get(ONE))
            assert "Order 42 is on its way" in page.text
            assert bool(page.all("textarea", name="body")) == may
            for address in (ADD, DOMAINS):
                assert browser.get(address).status_code == (200 if may else 403), address
            if not may:
                for address in (ADD, ONE, DOMAINS):
                    assert browser.post(address, TYPED).status_code == 403, address
        assert MailTemplate.objects.count() == 1

    def test_nobody_by_a_form_from_elsewhere(self):
        browser = Client(enforce_csrf_checks=True)
        browser.force_login(paula())
        for address in (ADD, ONE, DOMAINS, "/mail/templates/order-shipped/switch/"):
            assert browser.post(address, {"to": "off"}).status_code == 403
        assert MailTemplate.objects.get().is_enabled

    def test_an_owner_of_an_agent_alone_sees_none_of_it(self):
        browser = signed_in(make_person("otto", groups=()))
        assert browser.get("/mail/").status_code == 403


def letter_of(page: Page) -> str:
    """All text inside the frame of the mail."""
    return "".join(
        text for above, text in page.texts if any(a.get("class") == "letter" for _, a in above)
    )


def review(proposal) -> Page:
    return Page(signed_in(make_person()).get(reverse("proposal", args=[proposal.pk])))


class TestTheReviewPage:
    def test_shows_the_mail_as_its_recipient_would_read_it(self, mails):
        shown = letter_of(review(asked()))
        for said in (
            *("Shop <orders@shop.example>", "ana@customer.example", "Order 42 is on its way"),
            *("Dear Ana Łi,", "From here it goes by rail.", "arrives on 2026-12-02 by bike."),
        ):
            assert said in shown
        assert shown.index("Subject") < shown.index("Dear Ana")

    def test_says_that_it_goes_to_a_person_for_good(self, mails):
        page = review(asked())
        assert "Not reversible. An e-mail will be sent to a person outside" in page.text
        assert "There is none. An e-mail will be sent" in page.text
        assert "Send “Order shipped” to ana@customer.example" in page.inside("h1")
        assert "it cannot be undone" in page.text

    def test_shows_markup_as_text_and_closes_the_frame_itself(self, mails):
        note = "<b>x</b> <script>alert(1)</script>\n</div></div> & {order}\nhttps://evil.example"
        page = review(asked(params=filled(note=note)))
        shown = letter_of(page)
        assert "<script>alert(1)</script>" in shown
        assert "<b>x</b>" in shown
        assert "</div></div> & {order}" in shown
        assert "End of the mail." in shown
        assert not [link for link in page.all("a") if "evil" in (link.get("href") or "")]

    def test_shows_the_whole_of_a_long_mail(self, mails):
        write(
            body="{name}{order}{total}{day}{carrier}{note}\n",
            fields=[
                field | {"max_length": 5000} if field["name"] == "note" else field
                for field in DEFINITION["fields"]
            ],
        )
        long = "word " * 990 + "the end"
        assert "the end" in letter_of(review(asked(params=filled(note=long))))

    def test_shows_what_is_odd_and_harmless_as_what_it_is(self, mails):
        shown = letter_of(review(asked(params=filled(note="a\u00a0b\u00adc"))))
        assert "[U+00A0 NBSP]" in shown
        assert "[U+00AD SHY]" in shown

    def test_warns_when_the_template_is_another_now(self, mails):
        proposal = asked()
        write(subject="Order {order} is lost")
        page = review(proposal)
        assert "moved since proposed" in page.text
        assert "on its way" in letter_of(page), "what was checked, until it is checked again"

    def test_says_why_it_cannot_be_previewed(self, settings):
        settings.MAIL_IS_ON = False
        page = review(asked())
        assert "EMAIL_URL names no mail server" in page.text
        assert not letter_of(page)

    def test_shows_the_mail_after_it_was_sent_and_its_template_is_gone(self, mails):
        proposal = asked()
        factories.approve(proposal)
        factories.work()
        MailTemplate.objects.all().delete()
        assert fresh(proposal).status == "committed"
        assert "Order 42 is on its way" in letter_of(review(proposal))

    def test_shows_no_frame_for_what_nobody_reads(self, mails, toybox):
        assert not letter_of(review(make_checked(params=painting(tier="medium"))))

    def test_shows_even_when_an_action_cannot_say_how_it_reads(self, mails, monkeypatch):
        monkeypatch.setattr(registry.get("email.send"), "rendering", lambda after: 1 / 0)
        assert "Order 42 is on its way" in review(asked()).text


def test_whoever_looks_for_a_lost_mail_is_told_what_to_look_for(scripted):
    scripted.script["end"] = "drop"
    proposal = asked()
    factories.approve(proposal)
    factories.work()
    olga = signed_in(make_person("olga", groups=["operators"]))
    page = Page(olga.get(reverse("outcome", args=[proposal.pk])))
    assert f"<{Execution.objects.get().key}@shop.example>" in page.text
    assert "The whole mail was sent" in page.text
    assert "ana@customer.example" in page.text


def test_the_list_takes_a_number_of_statements_that_does_not_grow():
    browser = signed_in()

    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert browser.get("/mail/").status_code == 200
        return len(captured)

    browser.get("/mail/")
    before = statements()
    for number in range(5):
        services.save_mail_template(
            name=f"more-{number}", definition=DEFINITION | {"label": ""}, person=paula()
        )
    browser.get("/mail/")
    assert statements() == before
    assert PARAMS["to"] not in Page(browser.get("/mail/")).text
