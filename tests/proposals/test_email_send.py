"""Sending a mail: it arrives as it was previewed, and each failure has the class it deserves."""

import socket
from select import select

import pytest
from django.core.exceptions import ImproperlyConfigured

from approvals_site import notices as site
from proposals import conformance
from proposals.actions import email, mailing, smtp
from proposals.exceptions import OutcomeUnknown, StaleTarget, TargetRefused, TargetUnavailable
from proposals.registry import Delivery, Tier, registry
from tests.mail_fixture import DEFINITION, PARAMS, SENDER, TEXT, filled, force

pytestmark = pytest.mark.once
KEY = "k" * 52


@pytest.fixture(autouse=True)
def _in_force(in_force):
    """Every test has the template and the domain."""


def send(key: str = KEY, params=PARAMS):
    action = registry.get("email.send")
    valid = action.validate(params)
    before = action.preview(valid).before
    action.prepare(valid, expected=before)
    return action.apply(valid, key=key, expected=before)


class TestThePreview:
    def test_is_the_mail_as_its_recipient_reads_it(self, mails):
        shown = registry.get("email.send").preview(PARAMS)
        assert shown.after == {
            "ana@customer.example": {
                "from": SENDER,
                "to": "ana@customer.example",
                "subject": "Order 42 is on its way",
                "text": TEXT,
            }
        }

    def test_says_that_it_leaves_for_good_and_reaches_a_person(self, mails):
        shown = registry.get("email.send").preview(PARAMS)
        assert shown.compensation is None
        assert (shown.impact.people, shown.impact.external, shown.impact.amount) == (1, True, None)
        assert shown.tier == Tier.MEDIUM
        assert registry.get("email.send").delivery is Delivery.UNCERTAIN

    def test_sends_nothing(self, scripted):
        registry.get("email.send").preview(PARAMS)
        registry.get("email.send").prepare(
            PARAMS, expected=registry.get("email.send").preview(PARAMS).before
        )
        assert scripted.sessions == 0

    def test_names_every_word_of_it_before_anything_is_sent(self, mails):
        action = registry.get("email.send")
        drafts = {
            str(action.preview(params).before)
            for params in (PARAMS, filled(order=43), PARAMS | {"to": "bo@customer.example"})
        }
        force(body=f"{DEFINITION['body']}Goodbye.\n")
        drafts.add(str(action.preview(PARAMS).before))
        assert len(drafts) == 4

    def test_is_refused_without_a_mail_server(self, settings):
        settings.MAIL_IS_ON = False
        with pytest.raises(TargetUnavailable, match="EMAIL_URL names no mail server"):
            registry.get("email.send").preview(PARAMS)

    def test_is_refused_where_mail_goes_anywhere_but_to_a_server(self, mails, settings):
        settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
        with pytest.raises(TargetUnavailable, match="names no mail server"):
            registry.get("email.send").preview(PARAMS)

    @pytest.mark.parametrize(
        "sender", ["Shop", "a@b.example\nBcc: c@d.example", "Shöp <ö@x.example>"]
    )
    def test_is_refused_for_a_sender_that_is_no_plain_address(self, mails, settings, sender):
        settings.OUTGOING_FROM_EMAIL = sender
        with pytest.raises(TargetRefused, match="sender"):
            registry.get("email.send").preview(PARAMS)

    def test_is_refused_once_the_domain_is_listed_no_longer(self, mails):
        force("partner.example")
        with pytest.raises(TargetRefused, match="/params/to"):
            registry.get("email.send").preview(PARAMS)

    def test_is_refused_once_the_template_is_off(self, mails):
        mailing.install(mailing.Mailing(closed={"order-shipped": "It is switched off."}))
        with pytest.raises(TargetRefused, match="switched off"):
            registry.get("email.send").preview(PARAMS)

    def test_is_refused_once_the_template_asks_for_something_else(self, mails):
        force(subject="Order", body="Hi {other}\n", fields=[{"name": "other"}])
        with pytest.raises(TargetRefused, match="/params/fields/"):
            registry.get("email.send").preview(PARAMS)


class TestAMail:
    def test_arrives_exactly_as_previewed(self, mails):
        shown = registry.get("email.send").preview(PARAMS).after["ana@customer.example"]
        outcome = send()
        [arrived] = mails.mails
        assert arrived["Subject"] == shown["subject"]
        assert arrived["From"] == shown["from"]
        assert arrived["To"] == shown["to"]
        assert arrived.get_content() == shown["text"]
        assert arrived.envelope == ["ana@customer.example"]
        assert outcome.after == {"ana@customer.example": shown}
        assert outcome.compensation is None

    def test_goes_to_one_person_and_says_what_it_is(self, mails):
        send()
        [arrived] = mails.mails
        assert (arrived["Cc"], arrived["Bcc"]) == (None, None)
        assert arrived["Auto-Submitted"] == "auto-generated"
        assert arrived.get_content_type() == "text/plain"
        assert mails.sessions == 1

    def test_has_the_id_of_its_execution_whoever_sends_it(self, mails):
        send(), send(), send(key="other")
        first, again, other = (one["Message-ID"] for one in mails.mails)
        assert first == again == f"<{KEY}@shop.example>"
        assert other != first

    def test_is_not_sent_when_it_is_not_to_the_letter_what_was_approved(self, scripted):
        action = registry.get("email.send")
        approved = action.preview(PARAMS).before
        force(subject="Order {order} is lost")
        for step in (
            lambda: action.prepare(PARAMS, expected=approved),
            lambda: action.apply(PARAMS, key=KEY, expected=approved),
            lambda: action.apply(PARAMS, key=KEY, expected={}),
        ):
            with pytest.raises(StaleTarget):
                step()
        assert scripted.sessions == 0

    def test_is_evidenced_by_what_the_server_said(self, scripted):
        outcome = send()
        assert outcome.evidence == {
            "message_id": f"<{KEY}@shop.example>",
            "server": f"smtp://127.0.0.1:{scripted.port}",
            "to": "ana@customer.example",
            "reply": "250 2.0.0 Ok: queued as 4F1A9C",
            "reference": "4F1A9C",
        }

    @pytest.mark.parametrize(
        ("reply", "reference"),
        [
            ("250 OK id=1tHabc-000000001Xy-0abc", "1tHabc-000000001Xy-0abc"),
            ("250-Good\n250 2.6.0 queued as ABC123", "ABC123"),
            ("250", f"<{KEY}@shop.example>"),
            ("250 Bye", f"<{KEY}@shop.example>"),
        ],
    )
    def test_is_taken_by_a_250_however_it_is_put(self, scripted, reply, reference):
        scripted.script["end"] = reply
        assert send().evidence["reference"] == reference

    def test_leaves_no_password_in_what_is_kept(self, scripted, settings):
        settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "me", "planted-Secret-31f9"
        scripted.script["end"] = "250 Taken for planted-Secret-31f9 \x1b[2J\u202e"
        outcome = send()
        assert "planted" not in str(outcome)
        assert "\x1b" not in outcome.evidence["reply"]
        assert "planted" not in repr(smtp.server())

    def test_is_vouched_for_by_the_servers_own_id(self):
        found = registry.get("email.send").attested(PARAMS, reference="4F1A9C", expected={})
        assert found.result == {"to": "ana@customer.example", "reference": "4F1A9C"}


NOTHING_SENT = {
    "greeting": ["421 Too busy", "drop", "xyz not mail", "250 Odd"],
    "EHLO": ["421 Going down", "drop"],
    "MAIL": ["451 Later", "421 Bye", "drop", "", "252 Perhaps"],
    "RCPT": ["450 Mailbox busy", "452 Full", "drop", "354 Odd", "-1"],
    "DATA": ["451 Later", "421 Bye", "drop", "250 Odd"],
    "end": ["451 Later", "452 Full", "421 Bye"],
}
REFUSED = {
    "greeting": ["554 Go away"],
    "MAIL": ["550 Not from you", "553 No"],
    "RCPT": ["550 No such mailbox", "551 Elsewhere", "553 No", "554 No"],
    "DATA": ["554 No"],
    "end": ["550 Spam", "552 Too big", "554 No"],
}
UNKNOWN = ["drop", "", "2", "hello", "150 Wait", "200 Fine", "251 Perhaps", "354 More", "600 What"]


def each(table):
    return [(step, said) for step, answers in table.items() for said in answers]


class TestWhatFailed:
    """Before the final dot nothing was sent; after it only the server's own answer tells."""

    @pytest.mark.parametrize(("step", "said"), each(NOTHING_SENT))
    def test_for_now_may_be_tried_later(self, scripted, step, said):
        scripted.script[step] = said
        with pytest.raises(TargetUnavailable):
            send()
        assert scripted.ended == (step == "end")

    def test_in_the_middle_of_the_text_sent_nothing(self, scripted, monkeypatch):
        """As far as it can be seen: a line that dies unseen just before the dot is unknown."""
        scripted.script["text"] = "drop"
        monkeypatch.setattr(smtp, "readable", lambda line: bool(select([line], [], [], 5)[0]))
        with pytest.raises(TargetUnavailable, match="the text failed"):
            send()
        assert scripted.ended == 0

    @pytest.mark.parametrize(("step", "said"), each(REFUSED))
    def test_for_good_is_said_in_the_servers_words(self, scripted, step, said):
        scripted.script[step] = said
        with pytest.raises(TargetRefused, match=said):
            send()
        assert scripted.ended == (step == "end")

    @pytest.mark.parametrize("said", UNKNOWN)
    def test_after_the_final_dot_is_unknown(self, scripted, said):
        scripted.script["end"] = said
        with pytest.raises(OutcomeUnknown, match="The whole mail was sent") as lost:
            send()
        assert lost.value.evidence["message_id"] == f"<{KEY}@shop.example>"
        assert lost.value.evidence["to"] == "ana@customer.example"
        assert (scripted.ended, scripted.sessions) == (1, 1), "it is offered once"

    @pytest.mark.parametrize("step", ["greeting", "EHLO", "MAIL", "RCPT", "DATA"])
    @pytest.mark.parametrize("how", ["hang", "drip"])
    def test_to_answer_in_time_before_the_final_dot_sent_nothing(
        self, scripted, step, how, monkeypatch
    ):
        monkeypatch.setattr(smtp, "DEADLINE_SECONDS", 0.2)
        scripted.script[step] = how
        with pytest.raises(TargetUnavailable, match="took longer than"):
            send()
        assert scripted.ended == 0

    @pytest.mark.parametrize("how", ["hang", "drip"])
    def test_to_answer_in_time_after_the_final_dot_is_unknown(self, scripted, how, monkeypatch):
        monkeypatch.setattr(smtp, "DEADLINE_SECONDS", 0.2)
        scripted.script["end"] = how
        with pytest.raises(OutcomeUnknown, match=r"did not answer within 0\.2 seconds"):
            send()
        assert scripted.ended == 1

    def test_to_connect_sent_nothing(self, scripted, settings):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
            settings.EMAIL_PORT = taken.getsockname()[1]
            with pytest.raises(TargetUnavailable, match="the connection failed"):
                send()

    def test_to_be_found_sent_nothing(self, scripted, settings):
        settings.EMAIL_HOST = "nowhere.invalid"
        with pytest.raises(TargetUnavailable, match="the connection failed"):
            send()

    def test_to_encrypt_sent_nothing_not_even_the_password(self, scripted, settings):
        settings.EMAIL_USE_TLS = True
        settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "me", "planted-Secret-31f9"
        for answer in ("250-x\n250 SIZE 1", "250-x\n250 STARTTLS"):
            scripted.script |= {"EHLO": answer, "STARTTLS": "454 Not now"}
            with pytest.raises(TargetUnavailable, match=r"encryption|STARTTLS"):
                send()
        assert not [line for line in scripted.heard if line.startswith(("AUTH", "MAIL"))]

    def test_to_prove_who_it_is_sent_nothing(self, scripted, settings):
        settings.EMAIL_USE_SSL = True
        scripted.script["greeting"] = "hello, this is no TLS"
        with pytest.raises(TargetUnavailable, match="the connection failed"):
            send()

    @pytest.mark.parametrize(
        ("said", "expected"), [("535 Who are you", TargetRefused), ("454 Later", TargetUnavailable)]
    )
    def test_to_sign_in_sent_nothing(self, scripted, settings, said, expected):
        settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "me", "planted-Secret-31f9"
        scripted.script["AUTH"] = said
        with pytest.raises(expected) as refusal:
            send()
        assert "planted" not in str(refusal.value)
        assert scripted.ended == 0

    def test_by_talking_without_end_sent_nothing(self, scripted):
        scripted.script["EHLO"] = "\n".join(["250-more"] * 20_000)
        with pytest.raises(TargetUnavailable):
            send()

    def test_by_speaking_out_of_turn_is_not_taken_for_an_answer(self, scripted):
        scripted.script["DATA"] = "354 Go on\n250 Taken already"
        with pytest.raises(TargetUnavailable):
            send()
        assert scripted.ended == 0

    def test_in_a_way_that_nobody_foresaw_before_the_final_dot_sent_nothing(
        self, scripted, monkeypatch
    ):
        monkeypatch.setattr(smtp, "stuffed", lambda message: 1 / 0)
        with pytest.raises(TargetUnavailable, match="ZeroDivisionError"):
            send()
        assert scripted.ended == 0


@pytest.mark.parametrize("sender", ["Nobody", "Shop <a@b.example>\nBcc: c@d.example", "<>"])
def test_a_sender_that_could_not_be_one_refuses_to_start(sender):
    with pytest.raises(ImproperlyConfigured, match="OUTGOING_FROM_EMAIL"):
        site.mail("", "", sender)
    assert site.mail("", "", SENDER)["OUTGOING_FROM_EMAIL"] == SENDER


def test_it_keeps_what_every_action_promises(scripted):
    force("shop.example", "customer.example")
    found = list(conformance.examine(registry.get("email.send")))
    assert not [each for each in found if each.holds is False]
    assert sum(each.holds is True for each in found) >= 6
    to = {line for line in scripted.heard if line.startswith("RCPT")}
    assert to == {"RCPT TO:<orders@shop.example>"}, "a trial writes to nobody else"


def test_samples_fit_their_own_template(mails):
    example = registry.get("email.send").example() | {"to": "ana@customer.example"}
    assert registry.get("email.send").validate(example) == example
    assert email.sender() == (SENDER, "orders@shop.example")
