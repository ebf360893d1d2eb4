"""The auditor's pages in a real Chromium: accessible in every look, and printable on A4."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse

from ledger import clock, days, sealer
from ledger.models import Broken, LedgerEntry
from proposals import freezing, services
from proposals.models import Proposal
from tests.factories import make_agent, make_person, make_proposal
from tests.proposals.admin.pages import hostile_proposal
from tests.test_browser import CHROMIUM, LOOKS, chromium, committed, desk

__all__ = ["chromium", "desk"]  # fixtures, found by their names

pytestmark = [
    pytest.mark.browser,
    pytest.mark.once,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="No Chromium is installed."),
]


@pytest.fixture
def auditor():
    return make_person("amir", groups=["auditors"], is_staff=True)


def operator():
    return make_person("olga", groups=["operators"], is_staff=True)


def auditors_pages() -> dict[str, str]:
    done = committed()
    sealer.seal()
    days.tick()
    altered = LedgerEntry.objects.filter(kind="proposal.committed").first()
    Broken.objects.create(entry_id=altered.pk, why="altered", found_at=clock.now())
    hidden = hostile_proposal()
    listed = reverse("admin:ledger_ledgerentry_changelist")
    entry = LedgerEntry.objects.filter(kind="proposal.reviewed").first()
    return {
        "index": reverse("admin:index"),
        "ledger": listed,
        "ledger, filtered": f"{listed}?tier=high&q=object:toys/bear",
        "ledger, nothing": f"{listed}?origin=clock&tier=low",
        "ledger, broken": f"{listed}?flag=broken",
        "entry": reverse("admin:ledger_ledgerentry_change", args=[entry.pk]),
        "export": reverse("admin:ledger_ledgerentry_export"),
        "access log": reverse("admin:ledger_access_changelist"),
        "proposals": reverse("admin:proposals_proposal_changelist"),
        "proposal": reverse("admin:proposals_proposal_change", args=[done.pk]),
        "explained": reverse("explain", args=[done.pk]),
        "evidence": reverse("evidence", args=[done.pk]),
        "explained, hidden characters": reverse("explain", args=[hidden.pk]),
    }


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_accessible_and_fits_its_width(desk, auditor, look):
    page = desk.page(auditor, reduced_motion="reduce", **look)
    faults = []
    for name, address in auditors_pages().items():
        page.goto(address)
        faults += [f"{name}: {complaint}" for complaint in desk.complaints]
        found = Axe().run(page)
        desk.complaints.clear()  # of axe, which tries styles that the policy refuses
        if found.violations_count:
            faults.append(f"{name}: {found.generate_report()}")
        across = page.evaluate("document.documentElement.scrollWidth")
        if across > look["width"]:
            faults.append(f"{name} scrolls sideways: {across}")
    assert not faults, "\n".join(faults)


def pages_that_stop() -> dict[str, str]:
    agent = make_agent()
    run = make_proposal(agent=agent).run
    frozen = services.freeze(reason="Prices look wrong.", action="toys.*")
    chosen = reverse("admin:proposals_freeze_set")
    return {
        "freezes": reverse("admin:proposals_freeze_changelist"),
        "freezes, none fits": f"{reverse('admin:proposals_freeze_changelist')}?state=over",
        "a freeze": reverse("admin:proposals_freeze_change", args=[frozen.pk]),
        "freeze": f"{chosen}?scope=run&run={run.pk}",
        "lift": reverse("admin:proposals_freeze_lift", args=[frozen.pk]),
        "run": reverse("admin:proposals_run_change", args=[run.pk]),
        "suspend": reverse("admin:proposals_agent_suspend", args=[agent.pk]),
    }


@pytest.mark.parametrize("look", LOOKS)
def test_stopping_is_accessible_and_fits_its_width(desk, look):
    """Each page, then the mistake at its field and the page that asks."""
    page = desk.page(operator(), reduced_motion="reduce", **look)
    faults = []

    def examine(name: str) -> None:
        found = Axe().run(page)
        desk.complaints.clear()  # of axe, which tries styles that the policy refuses
        if found.violations_count:
            faults.append(f"{name}: {found.generate_report()}")
        across = page.evaluate("document.documentElement.scrollWidth")
        if across > look["width"]:
            faults.append(f"{name} scrolls sideways: {across}")

    for name, address in pages_that_stop().items():
        page.goto(address)
        examine(name)
    page.goto(reverse("admin:proposals_freeze_set"))
    page.get_by_role("button", name="Continue").click()
    examine("freeze, mistaken")
    page.get_by_label("everything").check()
    page.get_by_label("Reason").fill("Prices look wrong.")
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("heading", name="Freeze everything?").wait_for()
    examine("freeze, asked")
    assert not faults, "\n".join(faults)


def test_an_operator_freezes_and_lifts_by_keyboard_and_without_script(desk):
    make_agent()
    page = desk.page(operator(), java_script_enabled=False)
    page.goto(reverse("admin:proposals_freeze_changelist"))
    page.get_by_role("link", name="Freeze…").focus()
    page.keyboard.press("Enter")
    page.get_by_role("group", name="What to freeze").wait_for()
    page.get_by_role("radio", name="one agent").focus()
    page.keyboard.press("Space")
    page.get_by_label("Agent:", exact=True).focus()
    page.keyboard.type("billing")
    page.keyboard.press("Tab")
    page.get_by_label("Reason").focus()
    page.keyboard.type("It loops.")
    for name in ("Continue", "Freeze"):
        page.get_by_role("button", name=name, exact=True).focus()
        page.keyboard.press("Enter")
    page.get_by_text("Frozen: agent billing-bot.").wait_for()
    page.get_by_role("link", name="Lift the freeze…").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Reason").focus()
    page.keyboard.type("It was mended.")
    page.get_by_role("button", name="Lift the freeze").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Lifted: agent billing-bot.").wait_for()
    assert not freezing.in_force().exists()
    assert not desk.complaints


def test_an_auditor_narrows_the_list_and_follows_a_story(desk, auditor):
    done = committed()
    page = desk.page(auditor, java_script_enabled=False)
    page.goto(reverse("admin:ledger_ledgerentry_changelist"))
    page.get_by_text("Last 7 days").wait_for()
    page.get_by_label("Event").select_option("proposal.committed")
    page.get_by_role("button", name="Show").click()
    page.get_by_text("Event: proposal.committed").wait_for()
    assert page.locator("#result_list tbody tr").count() == Proposal.objects.count()
    page.get_by_role("link", name=f"{done.pk}, revision 1").click()
    page.get_by_role("heading", name="10. Proof").wait_for()
    page.get_by_role("link", name="Verify again now").click()
    assert page.get_by_text("The ledger holds.").is_visible()


def test_a_filter_offers_what_the_ledger_holds_while_it_is_typed(desk, auditor):
    committed()
    page = desk.page(auditor)
    page.goto(reverse("admin:ledger_ledgerentry_changelist"))
    page.get_by_label("Action", exact=True).press_sequentially("toys")
    page.wait_for_selector("#filter-action-found option[value='toys.set']", state="attached")
    page.get_by_label("Action", exact=True).fill("toys.set")
    page.keyboard.press("Enter")
    page.get_by_text("Action: toys.set").wait_for()
    assert not desk.complaints


def test_a_story_fits_on_a4(desk, auditor):
    done = committed()
    page = desk.page(auditor, color_scheme="dark")
    page.goto(reverse("explain", args=[done.pk]))
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 687, "height": 1000})  # 182 mm: A4 within its margins
    assert page.evaluate("document.documentElement.scrollWidth") <= 687
    assert not page.get_by_role("navigation", name="Main").is_visible()
    assert len(page.pdf(prefer_css_page_size=True)) > 1000
