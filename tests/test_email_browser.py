"""The pages on mail, and the review page of one, in a real Chromium."""

import os

import pytest
from django.contrib.auth.models import Group
from django.urls import reverse

from proposals.targets import wiring
from tests.factories import make_person
from tests.mail_fixture import asked, filled, lists, write
from tests.target_fixture import paula
from tests.test_browser import (  # noqa: F401 (fixtures)
    CHROMIUM,
    LOOKS,
    PICTURES,
    WIDE_AND_LIGHT,
    Axe,
    chromium,
    desk,
    settled,
    unfold,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.once,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="No Chromium is installed."),
]


@pytest.fixture
def office(mails, settings):
    """Templates and domains as an office would have them."""
    settings.OUTGOING_FROM_EMAIL = "Shop <orders@shop.example>"
    write()
    write("refund-delayed", label="", tier="high")
    lists("customer.example", "xn--bcher-kva.example")
    wiring.refresh()
    yield mails
    wiring.forget()


def pages() -> dict[str, str]:
    waiting = asked(rationale="The parcel left this morning.")
    odd = filled(name="Ana\u00a0Li", note="<b>Now</b> https://evil.example\n" + "word " * 150)
    return {
        "mail": reverse("mail"),
        "a mail template": reverse("mail-template", args=["order-shipped"]),
        "mail domains": reverse("mail-domains"),
        "review of a mail": reverse("proposal", args=[waiting.pk]),
        "review of an odd mail": reverse(
            "proposal", args=[asked(params=odd, run="another run").pk]
        ),
    }


class TestEveryPageOnMail:
    @pytest.mark.parametrize("look", LOOKS)
    def test_is_accessible_and_fits_its_width(self, desk, office, look):  # noqa: F811
        everybody = make_person("saul")
        everybody.groups.set(Group.objects.all())
        page = desk.page(everybody, reduced_motion="reduce", **look)
        for name, address in pages().items():
            page.goto(address)
            unfold(page)
            found = Axe().run(page)
            assert found.violations_count == 0, f"{name}: {found.generate_report()}"
            across = page.evaluate("document.documentElement.scrollWidth")
            assert across <= look["width"], f"{name} scrolls sideways: {across}"
            assert page.locator("h1").count() == 1, name
            if os.environ.get("SCREENSHOTS") and look == WIDE_AND_LIGHT:
                page.screenshot(path=PICTURES / "pages" / f"{name.replace(' ', '-')}.png")


class TestWritingATemplate:
    def test_goes_from_a_text_to_its_gaps_to_an_example_to_the_list(self, desk, office):  # noqa: F811
        page = desk.page(paula())
        page.goto(reverse("mail-template-add"))
        page.get_by_label("Name", exact=True).fill("late")
        page.get_by_label("Subject").fill("Order {order} is late")
        page.get_by_label("Text", exact=True).fill("Dear {name},\n\nwe are sorry.\n")
        page.get_by_role("button", name="Show an example").click()
        page.get_by_label("Kind of order").select_option("integer")
        page.get_by_label("What name means").fill("The customer's name")
        page.get_by_role("button", name="Show an example").click()
        letter = page.get_by_role("group", name="The mail, as its recipient would read it")
        assert "Order 42 is late" in letter.inner_text()
        assert "Dear (The customer's name),\n\nwe are sorry." in letter.inner_text()
        assert Axe().run(page).violations_count == 0
        page.get_by_role("button", name="Keep this template").click()
        settled(page)
        assert page.get_by_role("link", name="late", exact=True).count() == 1


def test_the_mail_reads_as_it_will_arrive(desk, office):  # noqa: F811
    proposal = asked()
    page = desk.page(make_person())
    page.goto(reverse("proposal", args=[proposal.pk]))
    letter = page.get_by_role("group", name="The mail, as its recipient would read it")
    text = proposal.current_check.after["ana@customer.example"]["text"]
    assert letter.locator(".letter-text").inner_text().strip() == text.strip()
