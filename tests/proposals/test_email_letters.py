"""A mail on the wire: it arrives to the letter, and nothing in it becomes a header."""

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.utils import parseaddr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proposals.actions import letters, smtp
from proposals.actions.letters import Mail
from proposals.exceptions import InvalidParams, TargetRefused
from proposals.registry import registry
from tests.mail_fixture import PARAMS, filled, force

pytestmark = pytest.mark.once
HEADERS = {
    *("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"),
    *("Content-Transfer-Encoding", "Auto-Submitted", "X-Auto-Response-Suppress"),
}
NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
SENDERS = (
    "orders@shop.example",
    "Shop <orders@shop.example>",
    '"Shöp, Inc." <orders@shop.example>',
)
# What a recipient could not see apart from the rest is refused before it comes here.
READABLE = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp")),
    min_size=1,
    max_size=200,
)
SUBJECTS = READABLE.filter(str.strip)
TEXTS = st.lists(st.one_of(READABLE, st.sampled_from(["", ".", "..", "From me", " x ", "=20"])))


def mail(**changes) -> Mail:
    given = {"sender": SENDERS[1], "to": "ana@shop.example", "subject": "Hello", "text": "Hi.\n"}
    return Mail(**given | changes)


def wire(sent: Mail) -> bytes:
    return letters.as_bytes(sent, key="k1", at=NOON)


def read(data: bytes):
    return message_from_bytes(data.replace(b"\r\n", b"\n"), policy=policy.default)


class TestAMail:
    @given(subject=SUBJECTS, lines=TEXTS, sender=st.sampled_from(SENDERS))
    def test_arrives_to_the_letter(self, subject, lines, sender):
        text = "\n".join(lines).rstrip() + "\n"
        data = wire(mail(subject=subject, text=text, sender=sender))
        arrived = read(data)
        assert arrived["Subject"] == subject
        assert arrived.get_content() == text
        assert parseaddr(str(arrived["From"]))[1] == "orders@shop.example"
        assert arrived["From"].addresses[0].display_name == parseaddr(sender)[0]
        assert set(arrived.keys()) == HEADERS
        smtp.require_smuggles_nothing(data)
        assert max(map(len, data.split(b"\r\n"))) <= 998

    @given(subject=st.sampled_from(["=?utf-8?q?Bcc=3A?=", "a  b", " a", "a ", "x" * 71, "ß"]))
    def test_is_encoded_where_a_reader_would_make_something_else_of_it(self, subject):
        assert letters.encoded(subject).startswith("=?utf-8?b?")

    def test_is_plain_text_from_a_machine_to_one_person(self):
        arrived = read(wire(mail()))
        assert arrived.get_content_type() == "text/plain"
        assert arrived["Auto-Submitted"] == "auto-generated"
        assert arrived["To"] == "ana@shop.example"

    def test_is_known_by_the_key_alone_and_from_every_machine(self):
        first, again = wire(mail()), wire(mail(subject="Another"))
        assert read(first)["Message-ID"] == read(again)["Message-ID"] == "<k1@shop.example>"
        other = letters.as_bytes(mail(), key="k2", at=NOON)
        assert read(other)["Message-ID"] != read(first)["Message-ID"]

    @pytest.mark.parametrize(
        "changes",
        [
            {"to": "ana@shop.example\r\nBcc: eve@evil.example"},
            {"to": "ana@shop.example\nBcc: eve@evil.example"},
            {"to": "ana@shop.example\r\n Bcc: eve@evil.example"},
            {"sender": "orders@shop.example\x00"},
        ],
    )
    def test_has_a_last_door_for_headers_that_nothing_should_reach(self, changes):
        with pytest.raises(ValueError, match="would not be one line"):
            wire(mail(**changes))

    def test_has_no_line_end_that_servers_understand_differently(self):
        for bad in (b"a\nb\r\n", b"a\rb\r\n", b"a\r\r\nb", b"\r\n.\n", b"\x00", b"\xff"):
            with pytest.raises(TargetRefused):
                smtp.require_smuggles_nothing(bad)

    def test_no_line_of_it_is_the_final_dot(self):
        assert smtp.stuffed(b".\r\na\r\n..\r\n.b") == b"..\r\na\r\n...\r\n..b\r\n"


INJECTED = "Bcc: eve@evil.example"
PAYLOADS = [
    *(f"x{end}{INJECTED}" for end in ("\r\n", "\n", "\r", "\n\r", "\r\r\n", "\r\n\t", "\r\n ")),
    *(f"x{end}{INJECTED}" for end in ("\v", "\f", "\x1c", "\x1d", "\x1e", "\x85")),
    *(f"x{end}{INJECTED}" for end in ("\u2028", "\u2029", "\u0000", "\x1b[2J", "\x7f", "\x08")),
    *("\r\n\r\n<html>", "\n\nA second text", "x\r\n.\r\nMAIL FROM:<eve@evil.example>"),
    *("x\n.\nRCPT TO:<eve@evil.example>", "x\r.\rQUIT", "x\r\n.\r\n", "\n.\n", "x\r\n--boundary"),
    *("x\r\nContent-Type: text/html\r\n\r\n<b>", "x\r\nReply-To: eve@evil.example"),
    *("x\nFrom: boss@shop.example", "x\nSubject: another", "x\nTo: eve@evil.example"),
    *("x\u202etxt.exe", "x\u2066y\u2069", "x\u200by", "x\u2060y", "x\ufeffy", "x\u00ad\u200dy"),
    *("x\U000e0041\U000e0042", "x\u3164y", "x\uffa0y", "x\u115fy", "x\u2800y", "x\u034fy"),
    *("x\ue000", "x" + "\u0301" * 6, "x\u061cy", "x\u180ey", "x\ud800y", "\udfff"),
]
HARMLESS = [
    *("=?utf-8?q?Bcc=3A_eve?=", "=?iso-8859-1?b?QmNjOg==?=", "%0d%0aBcc: eve@evil.example"),
    *("&#13;&#10;Bcc: eve", "\\r\\nBcc: eve", "<b>bold</b>", "{order}", "{{order}}", "${order}"),
    *(
        "{name.__class__}",
        "%(name)s",
        "<script>alert(1)</script>",
        "Bcc: eve@evil.example",
        "=0D=0A",
    ),
    *("Ана", "日本語", "e\u0301", "👩‍💻 done", "a\u00a0b", "ü" * 80, "  spaced  ", ".", "From me"),
]


@pytest.fixture
def both_places(in_force):
    """The same field in the subject and in the text."""
    force(
        subject="About {name}",
        body="Dear {name}\n{note}\n",
        fields=[
            {"name": "name", "max_length": 80},
            {"name": "note", "kind": "paragraph", "max_length": 1000},
        ],
    )
    return registry.get("email.send")


def of(**fields):
    return PARAMS | {"fields": {"name": "Ana", "note": "Hi.", **fields}}


def test_there_are_enough_payloads_to_mean_something():
    assert len(set(PAYLOADS)) >= 40


@pytest.mark.parametrize("payload", PAYLOADS, ids=ascii)
def test_nothing_that_could_begin_a_line_or_hide_is_taken_by_a_field(both_places, payload):
    with pytest.raises(InvalidParams) as refusal:
        both_places.validate(of(name=payload))
    assert refusal.value.errors[0]["pointer"] == "/params/fields/name"
    if "\n" not in payload or not set(payload) & set("\r\v\f\x85\u2028\u2029\x00"):
        return
    with pytest.raises(InvalidParams):
        both_places.validate(of(note=payload))


@pytest.mark.parametrize("payload", PAYLOADS, ids=ascii)
def test_whatever_a_paragraph_takes_stays_in_the_text(both_places, payload):
    try:
        params = both_places.validate(of(note=payload))
    except InvalidParams as refusal:
        [place] = [error["pointer"] for error in refusal.errors]
        params = None
    if params is None:
        assert place == "/params/fields/note"
        return
    _, made = both_places.mail(params)
    arrived = read(wire(made))
    assert set(arrived.keys()) == HEADERS
    assert arrived.get_content() == made.text
    assert payload.strip() in made.text


@pytest.mark.parametrize("payload", PAYLOADS, ids=ascii)
def test_no_address_takes_any_of_it(both_places, payload):
    for address in (
        f"ana{payload}@customer.example",
        f"ana@customer.example{payload}",
        f"{payload}@customer.example",
        f"ana@{payload}.customer.example",
        f"{payload}",
    ):
        with pytest.raises(InvalidParams) as refusal:
            both_places.validate(of() | {"to": address})
        assert refusal.value.errors[0]["pointer"] == "/params/to"


@pytest.mark.parametrize("payload", HARMLESS)
def test_what_only_looks_like_it_arrives_as_it_was_read(both_places, payload):
    _, made = both_places.mail(both_places.validate(of(name=payload, note=payload)))
    arrived = read(wire(made))
    assert set(arrived.keys()) == HEADERS
    assert arrived["Subject"] == made.subject == f"About {payload}"
    assert arrived.get_content() == f"Dear {payload}\n{payload}\n".rstrip() + "\n"


def test_parts_that_are_plain_alone_may_not_hide_anything_together(in_force):
    force(
        subject="x\u0301\u0301\u0301{name}",
        body="Hi.\n",
        fields=[{"name": "name"}],
    )
    with pytest.raises(InvalidParams) as refusal:
        registry.get("email.send").validate(PARAMS | {"fields": {"name": "\u0301\u0301y"}})
    assert refusal.value.errors[0]["pointer"] == "/params/fields"


@pytest.mark.parametrize("to", ["ana@customer.example", "Ana+1@CUSTOMER.example"])
def test_a_cap_counts_by_person(in_force, to):
    assert registry.get("email.send").resource(filled() | {"to": to}) == "mail/ana@customer.example"


def test_a_domain_below_or_above_a_listed_one_is_another(in_force):
    force("mail.customer.example")
    with pytest.raises(InvalidParams):
        registry.get("email.send").validate(PARAMS)
