"""The pages of notifications: who may open them, what they save, and what they never show."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ledger.models import LedgerEntry
from proposals import services
from proposals.models import Letter, NoticePreference, Webhook
from proposals.notices import sending, spreading
from tests import factories
from tests.factories import make_person
from tests.post import deliver
from tests.proposals.test_console import Page, signed_in
from tests.proposals.test_notices import AT_ONCE, eager, senior, waiting
from tests.proposals.test_webhooks import EVERYTHING, ada, make_webhook, secret_of

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.usefixtures("toybox")]
NOTIFICATIONS = "/notifications/"
WEBHOOKS = "/notifications/webhooks/"
FILLED = {"name": "Approvals", "url": "https://hooks.example/T0K3N", **EVERYTHING}


class TestThePageOfNotifications:
    def test_is_for_people_who_may_open_the_console(self):
        make_person()
        assert reverse("sign-in") in Client().get(NOTIFICATIONS)["Location"]
        assert signed_in(make_person("nobody", groups=())).get(NOTIFICATIONS).status_code == 403
        assert signed_in().get(NOTIFICATIONS).status_code == 200

    def test_says_where_mail_goes_and_how_it_comes_unless_somebody_chooses(self, mails):
        page = Page(signed_in().get(NOTIFICATIONS))
        assert "Mail goes to rita@example.com" in page.text
        chosen = [one["value"] for one in page.all("option") if "selected" in one]
        assert chosen == ["at_once", "hourly", "hourly"]
        assert "Nothing yet" in page.text

    def test_says_when_there_is_no_address_and_when_there_is_no_server(self, settings):
        settings.MAIL_IS_ON = False
        page = Page(signed_in(make_person(email="")).get(NOTIFICATIONS))
        assert "Your account has no e-mail address" in page.text
        assert "This installation has no mail server" in page.text

    def test_saves_what_is_chosen_for_oneself_alone(self, mails):
        rita = make_person()
        answer = signed_in(rita).post(NOTIFICATIONS, {**AT_ONCE, "low": "off"}, follow=True)
        assert "Saved." in answer.content.decode()
        saved = NoticePreference.objects.get()
        assert (saved.person, saved.low, saved.medium) == (rita, "off", "at_once")

    @pytest.mark.parametrize("sent", [{}, {"high": "never"}, {**AT_ONCE, "medium": "\0"}])
    def test_refuses_what_it_does_not_know(self, sent):
        answer = signed_in().post(NOTIFICATIONS, sent)
        assert answer.status_code == 422
        assert not NoticePreference.objects.exists()

    def test_refuses_to_turn_high_off_for_a_senior_reviewer_and_says_why(self, mails):
        saul = senior()
        answer = signed_in(saul).post(NOTIFICATIONS, {**AT_ONCE, "high": "off"})
        assert answer.status_code == 422
        assert "only while a webhook is told of it" in answer.content.decode()
        assert NoticePreference.objects.get().high == "at_once"

    def test_lists_what_was_sent_to_oneself_and_nobody_elses(self, mails):
        rita, saul = eager(), senior()
        waiting()
        deliver()
        waiting("high")
        deliver()
        assert Page(signed_in(rita).get(NOTIFICATIONS)).text.count("Waits for a decision") == 1
        assert Page(signed_in(saul).get(NOTIFICATIONS)).text.count("Waits for a decision") == 2

    def test_shows_operators_what_could_not_be_sent(self, mails):
        eager()
        waiting()
        spreading.spread_all()
        Letter.objects.filter(is_digest=False).update(attempts=sending.MOST_ATTEMPTS - 1)
        mails.fault = "refuse"
        deliver()
        olga = make_person("olga", groups=["operators"])
        shown = Page(signed_in(olga).get(NOTIFICATIONS)).text
        assert "Could not be sent" in shown
        assert "12 tries" in shown
        assert "12 tries" not in Page(signed_in(make_person("ravi")).get(NOTIFICATIONS)).text

    def test_takes_as_many_statements_for_many_letters_as_for_few(self, mails):
        browser = signed_in(eager())

        def statements() -> int:
            with CaptureQueriesContext(connection) as captured:
                assert browser.get(NOTIFICATIONS).status_code == 200
            return len(captured)

        waiting()
        deliver()
        before = statements()
        for number in range(4):
            waiting(run=f"run-{number}", params={"colour": f"c{number}"})
        deliver()
        assert statements() == before


class TestThePagesOfWebhooks:
    @pytest.mark.parametrize("group", ["reviewers", "senior-reviewers", "operators", "auditors"])
    def test_are_shut_for_whoever_may_not_configure_even_superusers(self, group):
        hook = make_webhook()
        person = make_person(f"one-of-{group}", groups=[group], is_superuser=True, is_staff=True)
        browser = signed_in(person)
        own = f"{WEBHOOKS}{hook.pk}/"
        assert browser.get(WEBHOOKS).status_code == 403
        assert browser.get(own).status_code == 403
        for address in (f"{WEBHOOKS}new/", own, f"{own}switch/", f"{own}test/"):
            assert browser.post(address, FILLED).status_code == 403
        hook.refresh_from_db()
        assert (Webhook.objects.count(), hook.is_active, hook.name) == (1, True, "chat")

    def test_make_one_and_show_its_secret_once(self):
        browser = signed_in(ada())
        assert "There are no webhooks" in Page(browser.get(WEBHOOKS)).text
        answer = browser.post(f"{WEBHOOKS}new/", FILLED)
        hook = Webhook.objects.get()
        assert secret_of(hook) in answer.content.decode()
        assert "no-store" in answer["Cache-Control"]
        for address in (WEBHOOKS, f"{WEBHOOKS}{hook.pk}/"):
            assert secret_of(hook) not in browser.get(address).content.decode()
        assert LedgerEntry.objects.filter(kind="webhook.created").count() == 1

    def test_change_one_and_keep_its_secret(self):
        hook = make_webhook()
        before = secret_of(hook)
        browser = signed_in(ada())
        page = Page(browser.get(f"{WEBHOOKS}{hook.pk}/"))
        assert len([one for one in page.all("input", type="checkbox") if "checked" in one]) == 17
        answer = browser.post(f"{WEBHOOKS}{hook.pk}/", {**FILLED, "tiers": ["high"]})
        assert answer.status_code == 302
        hook.refresh_from_db()
        assert (hook.name, hook.tiers, secret_of(hook)) == ("Approvals", ",high,", before)

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"url": "http://hooks.example"}, "begins with https://"),
            ({"url": ""}, "required"),
            ({"kinds": []}, "Choose what to tell of"),
            ({"kinds": ["nonsense"]}, "nonsense"),
            ({"tiers": []}, "at least one tier"),
            ({"secret": "weak"}, "whsec_"),
            ({"name": "chat"}, "already a webhook of this name"),
            ({"name": "x" * 81}, "at most 80"),
        ],
    )
    def test_refuse_by_the_field_and_keep_what_was_typed(self, changes, why):
        make_webhook()
        answer = signed_in(ada()).post(f"{WEBHOOKS}new/", {**FILLED, **changes})
        assert answer.status_code == 422
        assert why in Page(answer).text
        assert Webhook.objects.count() == 1
        if "url" not in changes:
            assert "https://hooks.example/T0K3N" in answer.content.decode()
        assert 'value="weak"' not in answer.content.decode()

    def test_switch_it_off_and_on_with_a_ledger_entry_each(self):
        hook = make_webhook()
        browser = signed_in(ada())
        for active in ("0", "0", "1"):
            browser.post(f"{WEBHOOKS}{hook.pk}/switch/", {"active": active})
            hook.refresh_from_db()
            assert hook.is_active == (active == "1")
        kinds = LedgerEntry.objects.filter(stream=f"webhook:{hook.pk}").order_by("id")
        assert [one.kind for one in kinds] == [
            "webhook.created",
            "webhook.switched_off",
            "webhook.switched_on",
        ]

    def test_send_a_test_and_say_whether_it_arrived(self, receiver):
        hook = make_webhook(url=receiver.url)
        browser = signed_in(ada())
        address = f"{WEBHOOKS}{hook.pk}/test/"
        assert "The test arrived." in browser.post(address, follow=True).content.decode()
        receiver.status = 500
        assert "It answered 500" in browser.post(address, follow=True).content.decode()
        assert browser.get(address).status_code == 405

    def test_know_nothing_of_a_webhook_that_is_not_there(self):
        browser = signed_in(ada())
        assert browser.get(f"{WEBHOOKS}99/").status_code == 404
        for verb in ("switch", "test"):
            assert browser.post(f"{WEBHOOKS}99/{verb}/").status_code == 404
        assert browser.post(f"{WEBHOOKS}99/", FILLED).status_code == 404

    def test_show_an_address_with_nothing_hidden_in_it(self):
        """One that came into the database by another door."""
        hook = make_webhook()
        Webhook.objects.filter(pk=hook.pk).update(url="https://a\u202eb.example/<script>")
        shown = signed_in(ada()).get(WEBHOOKS).content.decode()
        assert "\u202e" not in shown
        assert "[U+202E RLO]" in shown
        assert "<script>" not in shown.partition("<main")[2]

    def test_take_as_many_statements_for_many_as_for_few(self):
        browser = signed_in(ada())

        def statements() -> int:
            with CaptureQueriesContext(connection) as captured:
                assert browser.get(WEBHOOKS).status_code == 200
            return len(captured)

        make_webhook()
        before = statements()
        for number in range(4):
            make_webhook(name=f"chat {number}")
        assert statements() == before


def test_opening_any_page_changes_nothing(mails):
    hook = make_webhook()
    proposal = waiting()
    browser = signed_in(ada())
    entries = LedgerEntry.objects.count()
    for address in (NOTIFICATIONS, WEBHOOKS, f"{WEBHOOKS}new/", f"{WEBHOOKS}{hook.pk}/"):
        assert browser.get(address).status_code == 200
    assert LedgerEntry.objects.count() == entries
    assert factories.fresh(proposal).status == proposal.status
    assert not NoticePreference.objects.exists()


def test_a_changed_preference_of_one_person_is_read_by_the_service_for_that_person_alone():
    rita, ravi = make_person(), make_person("ravi")
    services.save_notice_preference(person=rita, **AT_ONCE)
    assert not NoticePreference.objects.filter(person=ravi).exists()
