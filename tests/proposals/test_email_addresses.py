"""To whom a mail can be addressed: one plain address of a listed domain, however it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proposals.actions import addresses

pytestmark = pytest.mark.once
PLAIN = (
    *("ana@shop.example", "ana.li@shop.example", "Ana.Li@SHOP.example", "a_b-c@a.b.example"),
    *("ana+orders@shop.example", "o'brien@shop.example", "4711@shop.example"),
    *("ana@xn--bcher-kva.example", "x@a-b.example", "ana@x1.co.uk"),
)
TRICKS = (
    # More than one, or none
    *("", "ana", "@shop.example", "ana@", "ana@@shop.example", "ana@b@shop.example"),
    *("ana@shop.example,eve@evil.example", "ana@shop.example;eve@evil.example"),
    *("ana@shop.example eve@evil.example", "ana@shop.example\neve@evil.example"),
    *("friends:ana@shop.example;", "undisclosed-recipients:;"),
    # Around it
    *("<ana@shop.example>", "Ana <ana@shop.example>", '"Ana" <ana@shop.example>'),
    *(" ana@shop.example", "ana@shop.example ", "ana@shop.example\r\n", "mailto:ana@shop.example"),
    *("ana@shop.example?bcc=eve@evil.example", "ana@shop.example#x", "ana@shop.example/x"),
    # Quotes, comments, routes
    *('"ana"@shop.example', '"ana@evil.example"@shop.example', '"a b"@shop.example'),
    *("ana(eve)@shop.example", "ana@shop.example(evil.example)", "ana\\@evil@shop.example"),
    *("@evil.example:ana@shop.example", "<@evil.example:ana@shop.example>"),
    *("eve%evil.example@shop.example", "evil.example!eve@shop.example"),
    *("SRS0=x=y=evil.example=eve@shop.example", "prvs=1=ana@shop.example"),
    # Dots and hyphens
    *(".ana@shop.example", "ana.@shop.example", "a..b@shop.example", "-oX@shop.example"),
    *("ana@shop.example.", "ana@.shop.example", "ana@shop..example", "ana@-shop.example"),
    *("ana@shop-.example", "ana@shop_a.example"),
    # Machines and single words
    *("ana@[127.0.0.1]", "ana@127.0.0.1", "ana@[IPv6:::1]", "ana@localhost", "ana@example"),
    # Other scripts, and what hides
    *("ana@shоp.example", "anа@shop.example", "ana@\uff53hop.example", "ana@ѕһор.example"),
    *(
        "ana@shop。example",
        "ana@bücher.example",
        "ana\u202e@shop.example",
        "ana\u200b@shop.example",
    ),
    *("ana@shop\u00ad.example", "ana@shop.example\x00", "ana\x00@shop.example"),
    *("ana@xn--a.example", "ana@xn--.example"),
    # Lines of a conversation
    *(
        "ana@shop.example>\r\nRCPT TO:<eve@evil.example",
        "ana\r\nBcc: eve@evil.example@shop.example",
    ),
    *("ana\n@shop.example", "ana@shop.example\x0b", "ana\t@shop.example", "ana@shop.exam\u2028ple"),
    # Too long
    *("a" * 65 + "@shop.example", "ana@" + "a" * 64 + ".example", "ana@" + "a." * 130 + "example"),
)


@pytest.mark.parametrize("value", PLAIN)
def test_one_plain_address_is_taken_as_it_is(value):
    assert addresses.address(value) == value


@pytest.mark.parametrize("value", TRICKS)
def test_anything_around_or_instead_of_it_is_refused(value):
    with pytest.raises(ValueError, match=r"address|domain"):
        addresses.address(value)


@given(st.text(max_size=40))
def test_what_is_taken_goes_through_a_conversation_as_one_word(local):
    value = f"{local}@shop.example"
    try:
        taken = addresses.address(value)
    except ValueError:
        return
    assert taken.isascii()
    assert not set(taken) & set(' \t\r\n<>()[],;:\\"%!=\x00')


class TestADomain:
    @pytest.mark.parametrize("value", ["shop.example", "a.b.shop.example", "xn--bcher-kva.example"])
    def test_is_listed_as_it_is(self, value):
        assert addresses.domain(value) == value

    @pytest.mark.parametrize(
        "value",
        [
            *("", "example", "com", "*.example", "*", ".example", "shop.example.", "Shop.example"),
            *("shop example", "@shop.example", "http://shop.example", "shop.example/x", "10.0.0.1"),
            *("shop.example:25", "shоp.example", "a" * 64 + ".example", "xn--zzzz9999.example"),
        ],
    )
    def test_that_would_reach_further_or_is_none_is_refused(self, value):
        with pytest.raises(ValueError, match="domain"):
            addresses.domain(value)

    def test_of_another_script_is_asked_for_in_punycode(self):
        with pytest.raises(ValueError, match=r"write it as xn--bcher-kva\.example"):
            addresses.domain("bücher.example")

    def test_is_shown_as_a_browser_would(self):
        assert addresses.in_unicode("xn--bcher-kva.example") == "bücher.example"


def test_one_person_is_counted_once_however_the_address_is_written():
    written = ("ana@shop.example", "ANA@shop.example", "ana+1@shop.example", "Ana+x@SHOP.example")
    assert {addresses.mailbox(one) for one in written} == {"ana@shop.example"}
    assert addresses.mailbox("bo@shop.example") != addresses.mailbox("ana@shop.example")
