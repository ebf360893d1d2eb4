"""Values by their labels and names, and the parts of a large undo, in a real Chromium."""

import os

import pytest
from django.urls import reverse

from tests.factories import make_person
from tests.proposals.test_undo_parts import large, orders  # noqa: F401 (fixtures)
from tests.proposals.test_value_labels import TABLE, changing, visits  # noqa: F401 (a fixture)
from tests.target_fixture import paula
from tests.test_browser import (  # noqa: F401 (fixtures)
    CHROMIUM,
    LOOKS,
    Axe,
    chromium,
    desk,
    unfold,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.once,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="No Chromium is installed."),
]


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_accessible_and_fits_its_width(desk, look, visits, large):  # noqa: F811
    labelled = changing(customer_id=2, state="done", is_paid=True, rank=2)
    olga = make_person("olga", groups=["operators"])
    for name, person, address in (
        ("review by labels and names", olga, reverse("proposal", args=[labelled.pk])),
        ("undo of a large write", olga, reverse("undo", args=[large.pk]) + "?part=2"),
        ("description with labels", paula(), TABLE),
    ):
        page = desk.page(person, reduced_motion="reduce", **look)
        page.goto(address)
        unfold(page)
        found = Axe().run(page)
        assert found.violations_count == 0, f"{name}: {found.generate_report()}"
        across = page.evaluate("document.documentElement.scrollWidth")
        assert across <= look["width"], f"{name} scrolls sideways: {across}"
        assert page.locator("h1").count() == 1, name
        if folder := os.environ.get("SHOWN"):
            looks = f"{look['width']}-{look.get('color_scheme', 'light')}"
            page.screenshot(path=f"{folder}/{name.replace(' ', '-')}-{looks}.png", full_page=True)


def test_ticks_and_reason_stay_when_another_part_is_opened(desk, large, orders):  # noqa: F811
    page = desk.page(make_person("olga", groups=["operators"]))
    page.goto(reverse("undo", args=[large.pk]))
    tick = page.get_by_role("checkbox", name=orders[0], exact=True)
    tick.uncheck()
    page.get_by_label("Reason").fill("A mix-up.")
    page.get_by_role("link", name="Next 25").press("Enter")
    page.get_by_text("Part 2 of 2").wait_for()
    assert not tick.is_checked()
    assert page.get_by_role("checkbox", name=orders[-1], exact=True).is_checked()
    assert page.get_by_label("Reason").input_value() == "A mix-up."
    assert "part=" not in page.url, "a reload begins at the first part, with the ticks as at first"
