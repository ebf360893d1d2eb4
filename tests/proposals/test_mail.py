"""Mail through a real server: what it says, what it never says, and what a failing server costs."""

import re
import threading
import time
from email import policy
from email.parser import BytesParser
from io import StringIO

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse

from approvals_site import notices as site
from ledger import clock
from proposals import services, text
from proposals.lifecycle import Status
from proposals.models import Agent, Letter, Review
from proposals.notices import mail, post, sending, spreading, words
from tests import factories
from tests.factories import fresh, make_checked, make_person, painting
from tests.post import deliver
from tests.processes import eventually
from tests.proposals.test_notices import eager, senior, waiting

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.usefixtures("toybox")]

HIDDEN = "\u202e\u200b\u2066\U000e0041\u3164"
SENTINEL = f"zq{HIDDEN}\r\nBcc: evil@evil.example\r\n\r\nhttps://evil.example www.evil.example"


class TestAMail:
    def test_tells_what_waits_how_urgent_it_is_until_when_and_where(self, mails):
        eager()
        proposal = waiting()
        deliver()
        [one] = mails.mails
        body = one.get_content()
        assert one["Subject"] == (
            "[Countersign demonstration] Waits for a decision: toys.set by agent billing-bot, "
            "medium tier"
        )
        assert one["From"] == "Countersign <countersign@shop.example>"
        assert one.envelope == ["rita@example.com"]
        assert f"https://countersign.example{reverse('proposal', args=[proposal.pk])}\n" in body
        assert f"due {fresh(proposal).expires_at:%a %d %b %Y, %H:%M} UTC" in body
        assert "    Paint the bear blue\n" in body
        assert one["Auto-Submitted"] == "auto-generated"

    def test_is_plain_text_and_nothing_else(self, mails):
        eager()
        waiting()
        deliver()
        assert mails.mails[0].get_content_type() == "text/plain"
        assert not mails.mails[0].is_multipart()

    def test_opens_with_the_systems_words_as_far_as_a_preview_reaches(self, mails):
        eager()
        waiting()
        deliver()
        body = mails.mails[0].get_content()
        assert body.index("https://") > 200
        assert "Paint" not in body[:250]

    def test_leads_to_a_page_that_decides_nothing(self, mails, client):
        rita = eager()
        proposal = waiting()
        deliver()
        links = re.findall(r"https://countersign\.example(\S+)", mails.mails[0].get_content())
        client.force_login(rita)
        for link in links:
            assert client.get(link).status_code == 200
        assert fresh(proposal).status == Status.PENDING
        assert not Review.objects.exists()

    @pytest.mark.parametrize("is_digest", [False, True])
    def test_shows_nothing_hidden_and_no_words_of_the_agent_where_they_could_persuade(
        self, mails, is_digest
    ):
        make_person() if is_digest else eager()
        for toy in ("bear", "duck") if is_digest else ("bear",):
            make_checked(
                params={"toy": toy, "colour": SENTINEL[:40], "tier": "low", "note": SENTINEL},
                rationale=SENTINEL,
                run=SENTINEL[:100],
                context={"model": SENTINEL},
                evidence=[
                    {"kind": "other", "title": SENTINEL, "content": SENTINEL, "uri": SENTINEL}
                ],
            )
        spreading.spread_all()
        Letter.objects.update(next_at=clock.now())
        deliver()
        [one], [raw] = mails.mails, mails.raw
        shown = f"{one['Subject']}\n{one.get_content()}\n{raw.decode()}"
        assert text.alarming(f"{one['Subject']}{one.get_content()}".replace("\n", "")) == []
        for hidden in HIDDEN:
            assert hidden not in shown
        assert "zq" not in one["Subject"]
        assert "zq[U+202E RLO][U+200B ZWSP]" in one.get_content()
        assert one["Bcc"] is None
        assert one.envelope == ["rita@example.com"]
        links = re.findall(r"\S*(?:://|www\.)\S*", one.get_content())
        assert all(link.startswith("https://countersign.example/") for link in links)

    def test_cannot_be_given_a_header_by_the_name_of_an_agent(self, mails):
        eager()
        proposal = waiting()
        Agent.objects.filter(pk=proposal.agent_id).update(name="bot\r\nBcc: evil@evil.example")
        deliver()
        [one] = mails.mails
        assert one["Bcc"] is None
        assert "[U+000D CR]" in one["Subject"]
        headers = BytesParser(policy=policy.default).parsebytes(mails.raw[0], headersonly=True)
        assert set(headers.keys()) == {
            *("Content-Type", "MIME-Version", "Content-Transfer-Encoding", "Subject", "From"),
            *("To", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress"),
        }

    def test_of_a_sentence_has_nothing_that_becomes_a_link(self):
        told = words.inert("See https://a.example, www.b.example or c@d.example; 12.50 EUR.")
        assert "://" not in told.replace("[://]", "")
        assert re.search(r"\w\.[a-z]", told) is None
        assert "c[@]d" in told
        assert "12.50 EUR." in told


class TestAFailingServer:
    def test_a_crash_between_sending_and_recording_repeats_the_same_letter(
        self, mails, monkeypatch
    ):
        eager()
        waiting()
        with monkeypatch.context() as crash:
            crash.setattr(sending, "sent", lambda letter: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                deliver()
        deliver()
        assert len(mails.mails) == 1  # the lease of the dead one still holds
        Letter.objects.update(next_at=clock.now())
        deliver()
        first, second = mails.mails
        assert first["Message-ID"] == second["Message-ID"]
        assert first["Message-ID"].endswith("@shop.example>")
        assert Letter.objects.get().state == Letter.State.SENT

    def test_a_connection_lost_after_the_data_repeats_the_same_letter(self, mails):
        eager()
        waiting()
        mails.fault = "drop"
        deliver()
        letter = Letter.objects.get()
        assert (letter.state, letter.attempts) == (Letter.State.WAITING, 1)
        assert "SMTPServerDisconnected" in letter.last_error
        mails.fault, mail.of_mail.until = "", 0.0
        Letter.objects.update(next_at=clock.now())
        deliver()
        assert len({one["Message-ID"] for one in mails.mails}) == 1
        assert len(mails.mails) == 2

    def test_letters_to_different_people_have_different_ids(self, mails):
        eager()
        eager("ravi")
        waiting()
        deliver()
        assert len({one["Message-ID"] for one in mails.mails}) == 2

    def test_a_refused_mailbox_does_not_keep_the_others_waiting(self, mails):
        eager()
        eager("ravi")
        waiting()
        mails.fault = "refuse"
        deliver()
        assert set(Letter.objects.values_list("attempts", flat=True)) == {1}
        assert not mail.of_mail.spares()

    def test_a_server_that_is_down_costs_one_letter_an_attempt_and_no_more(self, mails, settings):
        eager()
        eager("ravi")
        waiting()
        settings.EMAIL_PORT = 9
        deliver()
        deliver()
        assert sorted(Letter.objects.values_list("attempts", flat=True)) == [0, 1]
        settings.EMAIL_PORT, mail.of_mail.until = mails.port, 0.0
        Letter.objects.update(next_at=clock.now())
        deliver()
        assert mails.everybody() == {"rita", "ravi"}

    def test_one_connection_carries_them_all(self, mails):
        eager()
        eager("ravi")
        senior()
        waiting()
        deliver()
        assert (len(mails.mails), mails.sessions) == (3, 1)

    def test_a_letter_that_cannot_be_written_does_not_stop_the_others(self, mails, monkeypatch):
        rita = eager()
        eager("ravi")
        waiting()
        write = words.mail

        def fragile(letter):
            if letter.person_id == rita.pk:
                raise KeyError("poison")
            return write(letter)

        monkeypatch.setattr(words, "mail", fragile)
        deliver()
        assert mails.everybody() == {"ravi"}
        assert "KeyError" in Letter.objects.get(person=rita).last_error


@pytest.mark.django_db(transaction=True)
class TestAServerThatHangs:
    def test_holds_up_no_check_and_no_commit(self, mails):
        eager()
        waiting()
        mails.fault = "hang"
        started = time.monotonic()
        post.wake()
        assert time.monotonic() - started < 1
        eventually(lambda: mails.sessions, what="the hanging session")
        proposal = make_checked(params=painting(toy="duck"))
        assert proposal.status == Status.COMMITTED
        assert not mails.mails
        mails.fault = ""
        mails.released.set()
        eventually(lambda: len(mails.mails) == 1, what="the mail")
        eventually(lambda: not working(), what="the end of the threads")

    def test_is_asked_by_one_thread_of_a_process_however_often_it_is_woken(self, mails):
        eager()
        waiting()
        for _ in range(20):
            post.wake()
        assert len(working()) <= 2  # one for each channel
        eventually(lambda: not working(), what="the end of the threads")
        assert len(mails.mails) == 1

    def test_what_comes_while_the_thread_is_about_to_end_is_not_left_lying(self, mails):
        eager()
        for number in range(3):
            waiting(run=f"run-{number}", params={"colour": f"c{number}"})
            post.wake()
        eventually(lambda: len(mails.mails) == 3, what="three mails")
        eventually(lambda: not working(), what="the end of the threads")


def working() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name.startswith("notices-")]


class TestTheCommand:
    def test_sends_a_test(self, mails):
        out = StringIO()
        call_command("send_test_mail", "rita@example.com", stdout=out)
        assert mails.mails[0]["To"] == "rita@example.com"
        assert "https://countersign.example" in mails.mails[0].get_content()
        assert "Taken by the mail server" in out.getvalue()

    def test_says_why_it_was_not_taken(self, mails):
        mails.fault = "refuse"
        with pytest.raises(CommandError, match="did not take it: SMTPRecipientsRefused"):
            call_command("send_test_mail", "rita@example.com")

    @pytest.mark.parametrize("address", ["rita", "", "a@b.example\nBcc: c@d.example", "A <a@b>"])
    def test_refuses_what_is_no_address(self, mails, address):
        with pytest.raises(CommandError, match="not an e-mail address"):
            call_command("send_test_mail", address)

    def test_says_when_mail_is_off(self, settings):
        settings.MAIL_IS_ON = False
        with pytest.raises(CommandError, match="EMAIL_URL"):
            call_command("send_test_mail", "rita@example.com")


class TestSettings:
    FROM = "Countersign <c@shop.example>"

    def test_without_a_server_mail_is_off(self):
        assert site.mail("", "")["MAIL_IS_ON"] is False

    def test_a_server_is_read_from_its_address(self):
        found = site.mail("smtp+tls://me:pass%20word@mail.example", self.FROM)
        assert found["EMAIL_HOST"] == "mail.example"
        assert found["EMAIL_PORT"] == 587
        assert found["EMAIL_USE_TLS"] is True
        assert found["EMAIL_HOST_PASSWORD"] == "pass word"
        assert found["EMAIL_TIMEOUT"] == site.TIMEOUT_SECONDS

    @pytest.mark.parametrize(
        ("url", "sender", "why"),
        [
            ("smtp://mail.example", "", "DEFAULT_FROM_EMAIL"),
            ("smtp://mail.example", "Nobody", "DEFAULT_FROM_EMAIL"),
            ("smtp://mail.example", "a@b.example\nBcc: x@y.example", "DEFAULT_FROM_EMAIL"),
            ("smtp://me:secret@mail.example", FROM, "without TLS"),
            ("gopher://mail.example", FROM, "EMAIL_URL must be like"),
            ("smtp://mail.example:port", FROM, "EMAIL_URL must be like"),
            ("smtp+tls://", FROM, "names no host"),
        ],
    )
    def test_what_would_leak_or_mislead_refuses_to_start(self, url, sender, why):
        with pytest.raises(ImproperlyConfigured, match=why):
            site.mail(url, sender)

    def test_a_password_may_go_to_this_very_machine(self):
        assert site.mail("smtp://me:secret@localhost", self.FROM)["EMAIL_PORT"] == 25

    def test_links_begin_with_what_the_operator_says_or_else_what_is_served(self):
        served = {"port": 8000, "outside": {"countersign.example"}, "https": True}
        assert site.public_url("", **served) == "https://countersign.example"
        assert site.public_url("https://countersign.example/", **served) == (
            "https://countersign.example"
        )
        assert site.public_url("", port=8001, outside=set(), https=False) == (
            "http://127.0.0.1:8001"
        )

    @pytest.mark.parametrize(
        "url",
        [
            "countersign.example",
            "http://countersign.example",
            "https://other.example",
            "https://user@countersign.example",
            "https://countersign.example/?x=1",
            "ftp://countersign.example",
        ],
    )
    def test_links_that_would_mislead_refuse_to_start(self, url):
        with pytest.raises(ImproperlyConfigured, match="COUNTERSIGN_URL"):
            site.public_url(url, port=8000, outside={"countersign.example"}, https=True)


def test_a_long_list_costs_a_number_of_statements_that_does_not_grow_with_what_is_left_out(mails):
    """A digest asks exactly about what it lists, and about all the rest in one statement."""
    from django.test.utils import CaptureQueriesContext

    rita = make_person()
    for number in range(words.MOST_LISTED + 5):
        waiting(run=f"run-{number}", params={"colour": f"c{number}"})
    spreading.spread_all()
    letter = Letter.objects.get(person=rita)

    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert words.mail(Letter.objects.get(pk=letter.pk)) is not None
        return len(captured)

    before = statements()
    for number in range(5):
        waiting(run=f"more-{number}", params={"colour": f"d{number}"})
    spreading.spread_all()
    assert statements() == before


def test_preferences_apply_to_what_is_already_written(mails):
    rita = eager()
    waiting()
    spreading.spread_all()
    services.save_notice_preference(person=rita, high="off", medium="off", low="off")
    deliver()
    assert not mails.mails


def test_a_person_in_two_groups_gets_one_mail(mails):
    senior()
    waiting()
    deliver()
    assert len(mails.mails) == 1


def test_of_two_seats_the_second_person_is_not_told_twice(mails):
    saul = senior()
    senior("sara")
    proposal = waiting("high")
    deliver()
    factories.approve(proposal, reviewer=saul, fact="bear")
    deliver()
    assert len(mails.mails) == 2
