"""Large changes, long text, and undos of some objects in a real Chromium."""

import os

import pytest
from django.urls import reverse

from proposals import defaults, services
from proposals.demonstration import people
from proposals.models import Proposal
from tests.factories import client_for, fresh, make_agent, make_person, new_key, work
from tests.shop_calls import DRAFT
from tests.test_browser import (  # noqa: F401 (fixtures)
    CHROMIUM,
    LOOKS,
    PICTURES,
    WIDE_AND_LIGHT,
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


def proposed(agent, action="records.update", **params) -> Proposal:
    answer = agent.propose(action=action, params=params, run=new_key())
    assert answer.status_code == 201, answer.content
    work()
    return Proposal.objects.get(pk=answer.json()["id"])


@pytest.fixture
def written(shop, paid) -> dict[str, Proposal]:
    """A change of sixty orders in many ways, one of long text, and one that is partly undone."""
    defaults.ensure()
    defaults.add_rules(people.RULES)
    agent = client_for(make_agent("shop-assistant", grants=["records.*"]))
    body = "Dear \u202efriend, " + "we are sorry about your order. " * 90
    long = proposed(agent, "records.create", table="shop.drafts", values=DRAFT | {"body": body})
    some = proposed(agent, table="shop.orders", keys=paid[:4], set={"note": "Ring twice."})
    olga = make_person("olga", groups=["operators"])
    services.undo(proposal_id=some.pk, person=olga, reason="A mix-up.", objects=paid[:1])
    work()
    shop.execute(f"UPDATE orders SET note = 'Mind the dog.' WHERE id = {paid[1]}")
    keys = [str(row[0]) for row in shop.rows("SELECT id FROM orders ORDER BY id LIMIT 60")]
    for number, key in enumerate(keys[:30]):
        shop.execute(f"UPDATE orders SET note = 'own {number}' WHERE id = {key}")
    large = proposed(agent, table="shop.orders", keys=keys, set={"note": "Leave it."})
    return {"large": large, "long": long, "some": some}


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_accessible_and_fits_its_width(desk, look, written):  # noqa: F811
    review = {name: reverse("proposal", args=[one.pk]) for name, one in written.items()}
    pages = {
        "review of a large change": review["large"] + "?part=2",
        "review of long text": review["long"],
        "review of a write partly undone": review["some"],
        "undo of some objects": reverse("undo", args=[written["some"].pk]),
    }
    page = desk.page(make_person("olga", groups=["operators"]), reduced_motion="reduce", **look)
    for name, address in pages.items():
        page.goto(address)
        unfold(page)
        found = Axe().run(page)
        assert found.violations_count == 0, f"{name}: {found.generate_report()}"
        across = page.evaluate("document.documentElement.scrollWidth")
        assert across <= look["width"], f"{name} scrolls sideways: {across}"
        assert page.locator("h1").count() == 1, name
        if os.environ.get("SCREENSHOTS") and look == WIDE_AND_LIGHT:
            picture = name.replace(" ", "-")
            page.screenshot(path=PICTURES / "pages" / f"{picture}.png", full_page=True)


def test_the_parts_of_a_large_change_keep_what_was_typed(desk, written):  # noqa: F811
    page = desk.page(make_person("saul", groups=["reviewers", "senior-reviewers"]))
    page.goto(reverse("proposal", args=[written["large"].pk]))
    page.locator("textarea[name=reason]").fill("I asked the shop.")
    page.get_by_role("link", name="Next 25").press("Enter")
    page.get_by_text("Part 2 of 2").wait_for()
    assert "part=2" in page.url
    assert page.locator("textarea[name=reason]").input_value() == "I asked the shop."


def test_the_rest_is_undone_by_keyboard(desk, written, paid):  # noqa: F811
    page = desk.page(make_person("olga", groups=["operators"]))
    page.goto(reverse("undo", args=[written["some"].pk]))
    changed = page.get_by_role("checkbox", name=paid[1])
    assert not changed.is_checked()
    page.get_by_role("checkbox", name=paid[2]).press("Space")
    reason = page.get_by_label("Reason")
    reason.fill("A mix-up.")
    reason.press("Control+Enter")
    page.wait_for_url("**/proposals/**")
    work()
    assert fresh(written["some"]).taken_back == sorted([paid[0], paid[3]])
