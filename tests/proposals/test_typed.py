"""A reason that was typed while the session ended is there again after signing in; and theirs."""

from datetime import timedelta

import pytest
import time_machine
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from proposals.console import typed
from proposals.models import Proposal, Review
from tests.factories import PASSWORD, make_person
from tests.proposals.test_console import HTMX, Page, address, signed_in, verdict, waiting

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]

REASON = "The invoice says so, page 2."


def form_of(browser: Client, proposal: Proposal) -> dict[str, str]:
    """What the form on the page sends, with a reason typed into it."""
    page = Page(browser.get(address("proposal", proposal)))
    [ticket] = page.all("input", name="ticket")
    return verdict(proposal, reason=REASON, ticket=ticket["value"])


def end_session(browser: Client) -> None:
    """As when its eight hours are over: the browser has the cookie for forms, and no session."""
    del browser.cookies[settings.SESSION_COOKIE_NAME]


def sign_in(browser: Client, name: str) -> None:
    answer = browser.post(reverse("sign-in"), {"username": name, "password": PASSWORD})
    assert answer.status_code == 302, answer.content


def reason_on(browser: Client, proposal: Proposal) -> str:
    return Page(browser.get(address("proposal", proposal))).inside("textarea").strip()


@pytest.fixture
def proposal() -> Proposal:
    return waiting()


class TestAReasonTypedWhileTheSessionEnded:
    @pytest.mark.parametrize("headers", [{}, HTMX])
    def test_is_there_again_after_signing_in_and_nothing_was_recorded(self, proposal, headers):
        browser = signed_in()
        form = form_of(browser, proposal)
        end_session(browser)
        answer = browser.post(address("decide", proposal), form, headers=headers)
        to = answer["HX-Redirect"] if headers else answer["Location"]
        assert to == f"{reverse('sign-in')}?next={address('proposal', proposal)}"
        assert "Nothing was recorded: your session had ended." in Page(browser.get(to)).text
        sign_in(browser, "rita")
        assert reason_on(browser, proposal) == REASON
        assert reason_on(browser, proposal) == REASON
        assert not Review.objects.exists()

    def test_is_gone_once_the_decision_is_made(self, proposal):
        browser = signed_in()
        form = form_of(browser, proposal)
        end_session(browser)
        browser.post(address("decide", proposal), form)
        sign_in(browser, "rita")
        comment = form_of(browser, proposal) | {"decision": "comment"}
        assert browser.post(address("decide", proposal), comment).status_code == 302
        assert Review.objects.get().reason == REASON
        assert reason_on(browser, proposal) == ""

    def test_is_shown_to_nobody_else_and_dropped(self, proposal):
        make_person("sam")
        browser = signed_in()
        form = form_of(browser, proposal)
        end_session(browser)
        browser.post(address("decide", proposal), form)
        sign_in(browser, "sam")
        assert REASON not in browser.get(address("proposal", proposal)).content.decode()
        assert not {typed.TYPED, "reasons"} & set(browser.session.keys())

    def test_is_kept_for_an_hour(self, proposal):
        browser = signed_in()
        form = form_of(browser, proposal)
        end_session(browser)
        browser.post(address("decide", proposal), form)
        with time_machine.travel(timezone.now() + timedelta(minutes=61)):
            sign_in(browser, "rita")
            assert reason_on(browser, proposal) == ""

    @pytest.mark.parametrize("ticket", ["", "made-up", "of-another-form"])
    def test_is_not_kept_of_a_form_that_was_not_rendered_here(self, proposal, ticket):
        browser = signed_in()
        form = form_of(browser, proposal)
        kept = typed.signing.dumps([make_person().pk, str(proposal.pk)], salt=typed.TYPED)
        end_session(browser)
        Session.objects.all().delete()
        sent = form | {"ticket": kept if ticket == "of-another-form" else ticket}
        assert browser.post(address("decide", proposal), sent).status_code == 302
        assert not Session.objects.exists()

    def test_is_not_kept_of_a_form_that_is_over_a_day_old(self, proposal):
        browser = signed_in()
        form = form_of(browser, proposal)
        with time_machine.travel(timezone.now() + timedelta(hours=25)):
            browser.post(address("decide", proposal), form)
            sign_in(browser, "rita")
            assert reason_on(browser, proposal) == ""
