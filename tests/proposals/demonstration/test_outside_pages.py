"""The pages of the demonstration's outside systems in a real browser."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe

from proposals.demonstration import mailbox, outside, provider
from proposals.demonstration.charges import Charge, Charges
from tests.test_browser import CHROMIUM, NARROW, WIDE, Desk, chromium

pytestmark = [
    pytest.mark.browser,
    pytest.mark.once,
    pytest.mark.skipif(CHROMIUM is None, reason="No Chromium is installed."),
]
__all__ = ["chromium"]
LONG = "An explanation of unbroken-" + "length" * 30


@pytest.fixture
def charges(tmp_path):
    made = Charges(tmp_path / "payments.sqlite3")
    made.know(Charge(f"ch_{order:06}", str(order), 4_857, "eur", 0) for order in (7, 8, 42))
    made.give_back({"charge": "ch_000042", "amount": "4000"}, key="k" * 52)
    made.note("POST /v1/refunds", "k" * 52, provider.Answer(400, {"error": {"message": LONG}}))
    return made


@pytest.fixture
def mails(tmp_path):
    made = mailbox.Mails(tmp_path / "mail.sqlite3")
    made.keep("a@shop.example", ["b@mail.example"], f"Subject: {LONG}\r\n\r\n{LONG}".encode())
    return made


@pytest.fixture
def pages(charges, mails):
    """The provider's page, the list of mails, and one mail."""
    payments, mail = provider.Provider(0, charges, "sk"), mailbox.PageServer(0, mails)
    with outside.serving(payments), outside.serving(mail):
        at = f"http://127.0.0.1:{mail.server_port}"
        yield f"http://127.0.0.1:{payments.server_port}/", f"{at}/", f"{at}/mail/1"


@pytest.fixture
def desk(chromium, pages):
    opened = Desk(chromium, pages[0])
    yield opened
    opened.close()
    assert not opened.complaints


@pytest.mark.parametrize(("width", "scheme"), [(WIDE, "light"), (NARROW, "dark")])
def test_every_page_is_accessible_and_fits(desk, pages, width, scheme):
    page = desk.page(width=width, color_scheme=scheme)
    for address in pages:
        page.goto(address)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address


def test_the_next_answer_is_lost_at_the_press_of_a_button(desk, charges):
    page = desk.page()
    page.goto("/")
    page.get_by_role("button", name="Lose the next answer").click()
    page.get_by_text("The answer to the next write will be lost.").wait_for()
    assert charges.answer_is_lost()
    assert not charges.answer_is_lost()


def test_a_charge_is_found_by_its_order(desk):
    page = desk.page()
    page.goto("/")
    page.get_by_label("Order").fill("7")
    page.get_by_role("button", name="Find").click()
    page.get_by_text("ch_000007").wait_for()
    assert page.get_by_text(re.compile("^ch_000008$")).count() == 0
