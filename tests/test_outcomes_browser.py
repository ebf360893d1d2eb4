"""The pages on unknown outcomes in a real Chromium: accessible, by keyboard, and without script."""

import os
from datetime import timedelta

import pytest
from django.urls import reverse

from ledger import clock
from proposals.models import Attestation, Breaker, Exchange, Execution
from proposals.registry import Delivery
from tests.factories import fresh, make_person
from tests.proposals.test_outcome_pages import MUCH, TRICK, attempt, operator, say, unknown
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
    pytest.mark.usefixtures("the_depot"),
    pytest.mark.skipif(CHROMIUM is None, reason="No Chromium is installed."),
]


def every_page() -> dict[str, str]:
    """Each kind of page on unknown outcomes, with something on it."""
    settled = unknown(Delivery.KEYED)
    say(settled, evidence="In their list of today, 10:42.")
    money, asked = unknown(amount=MUCH), unknown(Delivery.QUERYABLE, amount="12.00")
    unknown(Delivery.KEYED)
    Execution.objects.filter(proposal=money).update(
        ask_at=None, unclear_at=clock.now() - timedelta(minutes=95)
    )
    say(money, operator("oskar"), evidence="In their dashboard, under payments of today.")
    say(
        money,
        operator("ola"),
        finding="cannot_tell",
        reference="",
        evidence="I have no access there.",
    )
    last = attempt(asked)
    for fence, end in ((7, "absent"), (8, "unclear")):
        Exchange.objects.create(
            execution=last,
            target=last.target,
            purpose="probe",
            fence=fence,
            key=last.key,
            started_at=clock.now(),
            ended_at=clock.now(),
            end=end,
            detail="The target knows nothing of it." if end == "absent" else TRICK,
            evidence={"status": 404, "excerpt": TRICK, "reference": "msg-77"},
        )
    Breaker.objects.create(
        target="https://pay.example",
        opened_at=clock.now() - timedelta(minutes=2),
        retry_at=clock.now() + timedelta(seconds=50),
        reason="5 calls in a row had no clear answer.",
    )
    return {
        "unknown outcomes": reverse("unknowns"),
        "an unknown outcome": reverse("outcome", args=[asked.pk]),
        "an unknown outcome for two people": reverse("outcome", args=[money.pk]),
        "an outcome that is known": reverse("outcome", args=[settled.pk]),
        "review of an unknown outcome": reverse("proposal", args=[asked.pk]),
        "undo of an unknown outcome": reverse("undo", args=[asked.pk]),
    }


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_accessible_and_fits_its_width(desk, look):  # noqa: F811
    pages = every_page()
    page = desk.page(operator(), reduced_motion="reduce", **look)
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


class TestTheForm:
    def test_asks_only_for_what_the_finding_needs_and_refuses_in_place(self, desk):  # noqa: F811
        proposal = unknown()
        page = desk.page(operator())
        page.goto(reverse("outcome", args=[proposal.pk]))
        reference = page.get_by_label("The target’s own reference")
        tick = page.get_by_label("it can no longer arrive")
        assert not reference.is_visible()
        assert not tick.is_visible()
        page.get_by_role("radio", name="It was applied").check()
        assert reference.is_visible()
        assert "make it Committed; it can be undone." in page.locator("output").inner_text()
        page.get_by_role("radio", name="It was not applied").check()
        assert tick.is_visible()
        assert not reference.is_visible()
        page.get_by_role("button", name="Record what I found").click()
        assert not Attestation.objects.exists(), "the browser asks for what is missing"
        page.get_by_role("radio", name="It was applied").check()
        reference.fill("r-1")
        page.evaluate("document.getElementById('id_reference').value = ' '")
        page.get_by_role("button", name="Record what I found").click()
        page.get_by_role("alert").filter(has_text="Nothing was recorded").wait_for()
        assert page.evaluate("document.activeElement.id") == "finding-title"
        assert page.locator("h1").count() == 1
        assert Axe().run(page).violations_count == 0
        page.get_by_label("The target’s own reference").fill("track-1")
        page.get_by_role("button", name="Record what I found").click()
        page.get_by_text("it is known that it was written").wait_for()
        assert fresh(proposal).status == "committed"

    def test_is_sent_by_keyboard(self, desk):  # noqa: F811
        proposal = unknown()
        page = desk.page(operator())
        page.goto(reverse("unknowns"))
        page.keyboard.press("j")
        page.keyboard.press("o")
        page.wait_for_url("**/outcome/")
        page.get_by_role("radio", name="It was applied").focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        page.get_by_label("Where you looked").focus()
        page.keyboard.type("Their log is down.")
        page.keyboard.press("Control+Enter")
        page.get_by_text("It stays unknown.").first.wait_for()
        assert Attestation.objects.get().finding == "cannot_tell"
        assert fresh(proposal).status == "unknown"

    def test_works_without_script(self, desk):  # noqa: F811
        proposal = unknown(Delivery.QUERYABLE)
        Execution.objects.update(last_unclear_at=clock.now() - timedelta(seconds=61), asked=2)
        breaker = Breaker.objects.create(
            target="https://pay.example",
            opened_at=clock.now(),
            retry_at=clock.now() + timedelta(seconds=50),
        )
        page = desk.page(operator(), java_script_enabled=False)
        page.goto(reverse("unknowns"))
        page.get_by_role("button", name="Try one call now").click()
        page.get_by_text("is let through").first.wait_for()
        breaker.refresh_from_db()
        assert breaker.retry_at <= clock.now()
        page.get_by_role("link", name="Send the parcel books").click()
        page.get_by_role("button", name="Ask the target now").click()
        page.get_by_text("asked within seconds").first.wait_for()
        page.get_by_role("radio", name="It was not applied").check()
        page.get_by_label("Where you looked").fill("Not in their list.")
        page.get_by_role("button", name="Record what I found").click()
        page.get_by_text("Tick that a retry is safe").first.wait_for()
        assert page.get_by_label("Where you looked").input_value() == "Not in their list."
        page.get_by_label("it can no longer arrive").check()
        page.get_by_role("button", name="Record what I found").click()
        page.get_by_text("it is known that nothing was written").wait_for()
        assert fresh(proposal).status == "failed"

    def test_is_large_enough_for_a_thumb(self, desk):  # noqa: F811
        page = desk.page(operator(), width=390)
        page.goto(reverse("outcome", args=[unknown().pk]))
        for target in page.locator("#finding .choice, #finding .submit").all():
            assert target.bounding_box()["height"] >= 44

    def test_lets_nothing_run_that_a_target_said(self, desk):  # noqa: F811
        attack = "<script>window.owned = 1</script><img src=x onerror='window.owned = 1'>"
        proposal = unknown()
        Exchange.objects.update(detail=attack, evidence={"body": attack, "reference": attack})
        page = desk.page(make_person())
        page.goto(reverse("outcome", args=[proposal.pk]))
        unfold(page)
        assert page.evaluate("window.owned") is None
        assert page.locator("main img").count() == 0
        assert page.get_by_text("<script>window.owned = 1</script>").count() >= 3
