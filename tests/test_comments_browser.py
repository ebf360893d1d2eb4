"""Comments on a field in a real Chromium: without script, on a telephone, and accessible."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse

from proposals.models import Proposal, Resolution, Review
from tests.factories import approve, fresh, make_person, work
from tests.proposals.test_field_comments import amend, bob, comment, resolve
from tests.test_browser import (  # noqa: F401  (fixtures)
    LOOKS,
    NARROW,
    chromium,
    desk,
    pytestmark,
    unfold,
    waiting,
)


def commented() -> Proposal:
    """Three comments on a field: resolved, open, blocking nothing; and one about the whole."""
    proposal = waiting(note="a bear")
    resolve(comment(proposal), bob(), reason="We spoke about it, and blue is what they meant.")
    comment(proposal, reviewer=bob(), reason="Is this the bear with one ear?")
    comment(proposal, blocks=False, reason="A nice colour.")
    comment(proposal, about="", field="", reason="Wait until they are back.")
    return proposal


@pytest.mark.parametrize("look", LOOKS)
def test_the_pages_are_accessible_and_fit_their_width(desk, look):  # noqa: F811
    proposal = commented()
    gone = waiting(note="another")
    comment(gone)
    amend(gone, toy="duck", colour="green", tier="medium")
    work()
    page = desk.page(make_person(), reduced_motion="reduce", **look)
    at = reverse("proposal", args=[proposal.pk])
    for address in (at, f"{at}?about=bear&field=colour", reverse("proposal", args=[gone.pk])):
        page.goto(address)
        unfold(page)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        across = page.evaluate("document.documentElement.scrollWidth")
        assert across <= look["width"], f"{address} scrolls sideways: {across}"


def test_a_person_comments_and_another_resolves_without_script_on_a_telephone(desk):  # noqa: F811
    proposal = waiting()
    at = reverse("proposal", args=[proposal.pk])
    page = desk.page(make_person(), width=NARROW, java_script_enabled=False)
    page.goto(at)
    page.get_by_role("link", name="Comment on colour of bear").click()
    page.get_by_text("This comment is about colour of bear").wait_for()
    page.get_by_role("radio", name="Comment only").check()
    page.get_by_label("Reason", exact=True).fill("Is blue right?")
    page.get_by_label("Blocks approval until it is resolved").check()
    page.get_by_role("button", name="Submit decision").click()
    page.get_by_text("Comment added").wait_for()
    assert Review.objects.get().blocks

    other = desk.page(bob(), width=NARROW, java_script_enabled=False)
    other.goto(at)
    assert other.get_by_role("radio", name="Approve revision 1").is_disabled()
    other.get_by_role("link", name="See the comment").click()
    other.get_by_label("Why it is resolved").fill("They confirmed it.")
    other.get_by_role("button", name="Resolve the comment of Rita on colour of bear").click()
    other.get_by_text("It no longer keeps anybody from approving.").wait_for()
    assert Resolution.objects.get().reason == "They confirmed it."
    assert other.get_by_role("radio", name="Approve revision 1").is_enabled()
    assert approve(fresh(proposal), reviewer=bob()).status == "approved"


def test_the_tick_is_shown_for_a_comment_alone(desk):  # noqa: F811
    page = desk.page(make_person())
    page.goto(reverse("proposal", args=[waiting().pk]))
    tick = page.get_by_label("Blocks approval until it is resolved")
    assert not tick.is_visible()
    page.get_by_role("radio", name="Comment only").check()
    assert tick.is_visible()
    page.get_by_role("radio", name="Reject").check()
    assert not tick.is_visible()


def test_by_keyboard_from_the_row_to_the_end(desk):  # noqa: F811
    proposal = waiting()
    page = desk.page(make_person())
    page.goto(reverse("proposal", args=[proposal.pk]))
    page.get_by_role("link", name="Comment on colour of bear").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**field=colour**")
    page.get_by_role("radio", name="Comment only").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.type("Is blue right?")
    page.get_by_label("Blocks approval").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Control+Enter")
    page.get_by_text("Comment added").wait_for()
    assert Review.objects.get().blocks
    page.goto(reverse("proposal", args=[proposal.pk]))
    page.get_by_label("Why it is resolved").focus()
    page.keyboard.press("Enter")
    page.get_by_text("It no longer keeps anybody").wait_for()
    assert Resolution.objects.get().reason == ""
