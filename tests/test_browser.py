"""The console in a real Chromium: accessible, usable by keyboard and without script, and inert.

SCREENSHOTS=1 also writes the pictures of the README.
"""

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from budgets.models import Budget
from ledger import clock
from proposals import defaults, services
from proposals.demonstration import people
from proposals.exceptions import OverBudget
from proposals.lifecycle import Status
from proposals.models import Freeze, Letter, Notice, Proposal, Review, Rule, RunUndo
from proposals.notices import spreading
from tests import factories, people_pages
from tests.factories import fresh, make_checked, make_person, painting, work
from tests.target_fixture import paula
from tests.toys import box

playwright = pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed, so no browser can be driven."
)
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # Playwright's loop runs in this thread

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
ALL_HANDS = ["reviewers", "senior-reviewers", "operators", "policy-administrators"]
PICTURES = Path(settings.BASE_DIR) / "docs" / "screenshots"
REFUND = "Charged twice, ticket 8812"
WIDE, NARROW, ZOOMED = 1280, 390, 320  # 320 px is what 400 % zoom leaves of 1280

pytestmark = [
    pytest.mark.browser,
    pytest.mark.once,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="No Chromium is installed."),
]


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Desk:
    """A person's browser, signed in, and everything that it complained about."""

    chromium: object
    url: str

    def __post_init__(self):
        self.contexts, self.complaints = [], []

    def page(self, person=None, *, width: int = WIDE, **options):
        """A page in a fresh context; with a person, it is already signed in."""
        context = self.chromium.new_context(
            viewport={"width": width, "height": 844}, base_url=self.url, **options
        )
        self.contexts.append(context)
        if person is not None:
            session = Client()
            session.force_login(person)
            value = session.cookies[settings.SESSION_COOKIE_NAME].value
            context.add_cookies(
                [{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": self.url}]
            )
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda said: self.hear(said.type, said.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def hear(self, kind: str, text: str) -> None:
        """Errors count, but for the answers that a test provokes on purpose."""
        if kind == "error" and "the server responded with a status of 4" not in text:
            self.complaints.append(text)

    def close(self) -> None:
        for context in self.contexts:
            context.close()


@pytest.fixture
def desk(chromium, live_server, toybox):
    opened = Desk(chromium, live_server.url)
    yield opened
    opened.close()
    assert not opened.complaints


def waiting(tier: str = "medium", note: str = "", **more) -> Proposal:
    evidence = [{"kind": "message", "title": "A letter", "content": {"says": "Blue, please."}}]
    return make_checked(
        params=painting(tier=tier, note=note),
        evidence=evidence,
        context={"model": "one"},
        **more,
    )


def committed() -> Proposal:
    proposal = waiting(note="to be undone")
    factories.approve(proposal)
    work()
    return fresh(proposal)


def written_again(proposal: Proposal) -> Proposal:
    """The same at another tier, with other parameters: what a person saw is another revision."""
    factories.review(proposal, "comment", reviewer=senior())
    services.amend(
        agent=proposal.agent,
        proposal_id=proposal.pk,
        key=factories.new_key(),
        fingerprint=factories.new_key(),
        changes={"params": painting("black", toy="duck", tier="high", note="once more " * 9)},
    )
    work()
    return fresh(proposal)


def senior():
    return make_person("saul", groups=["reviewers", "senior-reviewers"])


def settled(page) -> str:
    """Wait for the page to come to rest; its address."""
    page.wait_for_load_state("networkidle")
    return page.url


def every_page() -> dict[str, str]:
    """Each kind of page, with something on it."""
    done = committed()
    taken_back = being_undone()
    box.colours["bear"] = "pink"
    moved, high, hidden = waiting(), waiting("high"), waiting(note="paid \u202e\u200b twice")
    back = sent_back()
    rewritten = written_again(waiting(note="first"))
    box.colours["bear"] = "green"
    watched = observed_agent(moved.agent)
    spend(moved.agent)
    hook = tell()
    item = "proposal"
    return {
        "queue": reverse("queue"),
        "open": reverse("queue") + "?tab=open",
        "mine": reverse("queue") + "?tab=mine",
        "no results": reverse("queue") + "?tab=open&tier=low",
        "review": reverse(item, args=[moved.pk]) + "?tab=waiting",
        "review at high tier": reverse(item, args=[high.pk]),
        "review with hidden characters": reverse(item, args=[hidden.pk]),
        "review of what I sent back": reverse(item, args=[back.pk]),
        "propose other values": reverse("edit", args=[hidden.pk]),
        "propose other values, refused": reverse("edit", args=[done.pk]),
        "review, as bytes": reverse(item, args=[hidden.pk]) + "?view=raw",
        "review, since I looked": reverse(item, args=[rewritten.pk]) + "?view=since",
        "review, of one revision": reverse(item, args=[moved.pk]) + "?view=since",
        "review of what is done": reverse(item, args=[done.pk]),
        "undo with a conflict": reverse("undo", args=[done.pk]),
        "recent": reverse("recent"),
        "runs": reverse("runs"),
        "run": reverse("run", args=[done.run_id]),
        "undo of a run with a conflict": reverse("undo-run", args=[done.run_id]),
        "undo of a run under way": reverse("run-undoing", args=[taken_back.run_id, taken_back.pk]),
        "rules": reverse("rules"),
        "try a rule": reverse("try-rule", args=[Rule.objects.earliest("pk").pk]),
        "always allow": reverse("always-allow", args=[moved.pk]),
        "always allow, refused": reverse("always-allow", args=[high.pk]),
        "budgets": reverse("budgets"),
        "lower a budget": reverse("lower-budget", args=[Budget.objects.earliest("pk").pk]),
        "agents": reverse("agents"),
        "new agent": reverse("new-agent"),
        "agent": reverse("agent", args=[moved.agent_id]),
        "observed agent": reverse("agent", args=[watched.pk]),
        "what was observed": reverse("observed", args=[watched.pk]),
        "grants": reverse("grants", args=[watched.pk]) + "?pattern=toys.*",
        "stop": reverse("stop"),
        "notifications": reverse("notifications"),
        "webhooks": reverse("webhooks"),
        "a webhook": reverse("webhook", args=[hook.pk]),
        "a new webhook": reverse("new-webhook"),
        "help": reverse("help"),
        "nothing there": "/nothing/",
    }


def sent_back() -> Proposal:
    """What the person who looks requested changes of, and could take back."""
    proposal = waiting(note="too blue")
    return factories.review(proposal, "request_changes", reviewer=senior())


def being_undone() -> RunUndo:
    """A run of which one write is in conflict, one is undone, and one waits for people."""
    kept, _, high = (
        make_checked(run="taken back", params=painting("pink", toy=toy, tier=tier))
        for toy, tier in (("duck", "low"), ("bear", "low"), ("car", "high"))
    )
    for name in ("saul", "sara"):
        groups = ["reviewers", "senior-reviewers", "operators", "policy-administrators"]
        factories.approve(high, reviewer=make_person(name, groups=groups), fact="car")
    work()
    box.colours["duck"] = "purple"
    olga = make_person("olga", groups=["operators"])
    undoing = services.undo_run(run_id=kept.run_id, person=olga, reason="A mix-up.")
    for _ in range(2):
        services.advance_run_undo(undoing_id=undoing.pk)
        work()
    services.advance_run_undo(undoing_id=undoing.pk)
    return undoing


def database_pages(crm) -> dict[str, str]:
    """A connected database with one table that may be written to, and one that is switched off."""
    crm.connect()
    crm.describe()
    services.switch_database(name="crm", is_enabled=False, person=paula())
    return {
        "databases": reverse("databases"),
        "connect a database": reverse("database-add"),
        "a database": reverse("database", args=["crm"]),
        "change a database": reverse("database-change", args=["crm"]),
        "its tables": reverse("database-tables", args=["crm"]),
        "a table": reverse("table", args=["crm", "customers"]),
    }


def tell():
    """A webhook that was switched off, one that is on, and letters sent and given up."""
    ada = make_person("ada", groups=["policy-administrators"])
    every = {"kinds": ["waits", "due"], "tiers": ["high"]}
    for name in ("On call", "Approvals"):
        hook = services.save_webhook(
            person=ada, name=name, url="https://hooks.example/services/T0/B0/x", **every
        ).webhook
    hook.is_active, hook.failures, hook.off_reason = False, 20, "20 failures in a row."
    hook.save()
    spreading.spread_all()
    now = clock.now()
    for number, person in enumerate([ada, senior()]):
        for state in Letter.State:
            Letter.objects.create(
                name=f"{number}:{state}",
                person=person,
                tier="high",
                state=state,
                attempts=12,
                last_error="OSError",
                next_at=now,
                created_at=now,
            ).notices.set(Notice.objects.all()[:1])
    return hook


def observed_agent(other):
    """An agent that is only observed, with something judged and a token."""
    agent = factories.make_agent("watched-bot", owner=other.owner)
    factories.token_for(agent)
    services.set_observed(agent_id=agent.pk, is_observed=True)
    for colour, tier in (("blue", "low"), ("green", "medium")):
        make_checked(agent=agent, params=painting(colour, tier=tier))
    return agent


def spend(agent) -> None:
    """Budgets that are half used, full and untouched, a refusal, and everything stopped."""
    for fields in (
        {"name": "Writes of an agent in an hour", "limit": 3, "per_agent": True},
        {"name": "Writes of a run", "limit": 1, "per_run": True, "window_seconds": None},
        {"name": "Writes to one toy", "limit": 9, "per_resource": True, "on_exceed": "suspend"},
        {"name": "Money", "limit": 500, "unit": "money", "currency": "EUR"},
    ):
        budget = Budget(**({"unit": "writes", "window_seconds": 3600} | fields))
        services.save_budget(budget=budget, person=None, is_new=True)
    for run, toy in (("spends", "duck"), ("spends", "car"), ("other", "bear")):
        with suppress(OverBudget):
            make_checked(agent=agent, run=run, params=painting(toy=toy, tier="medium"))
    services.freeze(reason="Prices look wrong.")
    services.freeze(reason="The mail server is full.", action="email.send")
    services.set_suspended(agent_id=agent.pk, is_suspended=True, reason="It loops.")


# Each theme and each width once; every pair of them, and what is rarer, in `make looks`.
WIDE_AND_LIGHT = {"color_scheme": "light", "width": WIDE}
EVERY_LOOK = [
    pytest.param(WIDE_AND_LIGHT, id="light-1280"),
    pytest.param({"color_scheme": "dark", "width": NARROW}, id="dark-390"),
    pytest.param({"color_scheme": "dark", "width": WIDE}, id="dark-1280"),
    pytest.param({"color_scheme": "light", "width": NARROW}, id="light-390"),
    pytest.param({"forced_colors": "active", "width": WIDE}, id="forced-colours"),
    pytest.param({"color_scheme": "light", "width": ZOOMED}, id="zoomed-to-400-percent"),
]
LOOKS = EVERY_LOOK if os.environ.get("COUNTERSIGN_LONG") == "1" else EVERY_LOOK[:2]


class TestEveryPage:
    @pytest.mark.parametrize("look", LOOKS)
    def test_is_accessible_and_fits_its_width(self, desk, look, crm):
        pages = database_pages(crm) | every_page()
        saul = make_person("saul", groups=defaults.GROUPS)
        saul.groups.set(Group.objects.all())
        page = desk.page(saul, reduced_motion="reduce", **look)
        pages |= people_pages.own_pages(saul)
        for name, address in {**pages, **people_pages.entrances()}.items():
            if name == "sign-in":
                page.context.clear_cookies()
            page.goto(address)
            unfold(page)
            found = Axe().run(page)
            assert found.violations_count == 0, f"{name}: {found.generate_report()}"
            across = page.evaluate("document.documentElement.scrollWidth")
            assert across <= look["width"], f"{name} scrolls sideways: {across}"
            assert page.locator("h1").count() == 1, name
            if os.environ.get("SCREENSHOTS") and look == WIDE_AND_LIGHT:
                picture = name.replace(", ", "-").replace(" ", "-")
                page.screenshot(path=PICTURES / "pages" / f"{picture}.png")

    def test_keeps_verdicts_and_submit_large_enough_for_a_thumb(self, desk):
        proposal = waiting("high")
        page = desk.page(senior(), width=NARROW)
        page.goto(reverse("proposal", args=[proposal.pk]))
        for target in page.locator("#decision .choice, #decision .submit").all():
            assert target.bounding_box()["height"] >= 44

    def test_lets_nothing_run_that_an_agent_wrote(self, desk):
        attack = (
            "<script>window.owned = 1</script><img src=x onerror='window.owned = 1'>"
            "<a href='javascript:window.owned=1' hx-get='/' hx-trigger='load'>look</a>"
        )
        proposal = make_checked(
            params=painting(tier="medium", note=attack),
            rationale=attack,
            run=attack[:100],
            context={"model": attack},
            evidence=[{"kind": "other", "title": attack, "content": attack, "uri": attack}],
        )
        page = desk.page(make_person())
        page.goto(reverse("proposal", args=[proposal.pk]))
        unfold(page)
        settled(page)
        assert page.evaluate("window.owned") is None
        assert page.locator("main img, main [hx-get]:not([id^=view-])").count() == 0
        assert page.get_by_text("<script>window.owned = 1</script>").count() >= 3


def unfold(page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")


class TestWithoutScript:
    def test_a_person_signs_in_filters_decides_and_undoes(self, desk):
        make_person("rita")
        first, second = waiting(note="first"), waiting(note="second")
        page = desk.page(java_script_enabled=False)
        page.goto(reverse("queue"))
        page.get_by_label("Name").fill("rita")
        page.get_by_label("Password").fill(factories.PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()

        page.get_by_label("Tier").select_option("medium")
        page.get_by_role("button", name="Filter").click()
        page.wait_for_url("**tier=medium**")
        page.locator("td.change a").first.click()
        page.wait_for_url(f"**{first.pk}**")
        assert page.get_by_text("be the final approval; a worker starts").is_visible()

        page.get_by_role("button", name="Submit decision").click()  # nothing is chosen yet
        page.get_by_label("Approve revision 1").check()
        page.get_by_role("button", name="Submit decision").click()
        page.wait_for_url(f"**{second.pk}**")
        assert "Approved: Paint the bear blue" in page.get_by_role("status").inner_text()
        work()

        page.goto(reverse("undo", args=[first.pk]))
        page.get_by_label("Reason").fill("A mix-up.")
        page.get_by_role("button", name="Propose undo").click()
        page.get_by_text("This is an undo.").wait_for()
        assert "The undo was proposed" in page.get_by_role("status").inner_text()
        work()
        assert box.colours["bear"] == "brown"

    def test_a_person_freezes_and_lifts(self, desk):
        waiting()
        olga = make_person("olga", groups=["operators"])
        page = desk.page(olga, java_script_enabled=False)
        page.goto(reverse("budgets"))
        page.get_by_role("link", name="Stop").click()
        page.get_by_role("radio", name="One agent").check()
        page.get_by_label("Which agent to freeze").select_option("billing-bot")
        page.locator("#freeze-reason").fill("It loops.")
        page.get_by_role("button", name="Freeze", exact=True).click()
        page.get_by_text("Frozen: agent billing-bot. No write").wait_for()
        assert Freeze.objects.filter(lifted_at=None).count() == 1
        page.get_by_label("Why it is safe to go on").fill("It was mended.")
        page.get_by_role("button", name="Lift").click()
        page.get_by_text("Lifted: agent billing-bot.").wait_for()
        assert not Freeze.objects.filter(lifted_at=None).exists()

    def test_a_person_undoes_a_run_and_tries_a_rule(self, desk):
        first = make_checked(params=painting("blue"))
        make_checked(params=painting("green"))
        olga = make_person("olga", groups=["operators", "policy-administrators"])
        page = desk.page(olga, java_script_enabled=False)
        page.goto(reverse("run", args=[first.run_id]))
        page.get_by_role("link", name="Undo the whole run").click()
        page.get_by_label("Reason").fill("A mix-up.")
        page.get_by_role("button", name="Undo this run").click()
        page.get_by_text("You may leave this page").first.wait_for()
        for _ in range(4):
            services.advance_run_undo(undoing_id=RunUndo.objects.get().pk)
            work()
        page.get_by_role("link", name="Look again").click()
        page.get_by_text("Everything was taken back").wait_for()
        assert box.colours["bear"] == "brown"

        page.get_by_role("link", name="Rules", exact=True).click()
        page.get_by_role("link", name="Medium needs one reviewer", exact=True).click()
        page.get_by_label("Approvals").fill("2")
        page.get_by_role("button", name="Show what this would have done").click()
        page.get_by_role("heading", name="What this would have done").wait_for()
        page.get_by_role("button", name="Save the rule").click()
        page.get_by_text("Saved: Medium needs one reviewer").wait_for()
        assert Rule.objects.get(name="Medium needs one reviewer").approvals == 2


class TestByKeyboard:
    def test_a_person_opens_an_item_chooses_gives_a_reason_and_submits(self, desk):
        first, second = waiting(note="first"), waiting(note="second")
        page = desk.page(make_person())
        page.goto(reverse("queue"))
        page.keyboard.press("j")
        page.keyboard.press("j")
        page.keyboard.press("k")
        page.keyboard.press("o")
        page.wait_for_url(f"**{first.pk}**")
        page.keyboard.press("n")
        page.wait_for_url(f"**{second.pk}**")
        page.keyboard.press("p")
        page.wait_for_url(f"**{first.pk}**")

        page.keyboard.press("a")
        assert page.get_by_label("Approve revision 1").is_checked()
        assert page.evaluate("document.activeElement.id") == "id_reason"
        page.keyboard.type("Asked for, as all can read")  # letters are letters in a field
        assert page.get_by_label("Approve revision 1").is_checked()
        assert "be the final approval" in page.locator("output").inner_text()
        page.keyboard.press("Control+Enter")
        page.wait_for_url(f"**{second.pk}**")
        assert fresh(first).status == Status.APPROVED
        assert Review.objects.get().reason == "Asked for, as all can read"

    def test_no_key_alone_submits_anything(self, desk):
        proposal = waiting()
        page = desk.page(make_person())
        sent = []
        page.on("request", lambda request: sent.append(request) if request.method == "POST" else 0)
        for key in [*"abcdefghijklmnopqrstvwxyz?/", "Space", "Enter"]:  # u leads back to the list
            page.goto(reverse("proposal", args=[proposal.pk]))
            page.keyboard.press(key)
        page.goto(reverse("proposal", args=[proposal.pk]))
        page.keyboard.press("Control+Enter")
        assert not sent
        assert not Review.objects.exists()

    def test_v_goes_through_the_views_of_the_change_and_keeps_what_was_typed(self, desk):
        proposal = waiting()
        page = desk.page(make_person())
        page.goto(reverse("proposal", args=[proposal.pk]))
        page.locator("#id_reason").fill("Half a reason")
        page.locator("h1").focus()
        for name in ("raw", "since", "fields"):
            page.keyboard.press("v")
            page.locator(f"#view-{name}[aria-current]").wait_for()
            assert f"view={name}" in page.url
        page.locator("#view-raw").click()
        page.locator("#view-raw[aria-current]").wait_for()
        assert page.evaluate("document.activeElement.id") == "view-raw"
        assert page.locator("#id_reason").input_value() == "Half a reason"

    def test_an_incomplete_form_is_not_sent(self, desk):
        proposal = waiting()
        page = desk.page(make_person())
        page.goto(reverse("proposal", args=[proposal.pk]))
        page.keyboard.press("r")
        page.keyboard.press("Control+Enter")
        assert page.evaluate("document.activeElement.id") == "id_reason"
        assert not Review.objects.exists()

    def test_the_help_is_made_of_the_keys_that_work_and_says_where_to_turn_them_off(self, desk):
        waiting()
        page = desk.page(make_person())
        page.goto(reverse("queue"))
        page.keyboard.press("?")
        dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
        assert "Next, previous row" in dialog.inner_text()
        assert "Go to the decision" not in dialog.inner_text()
        assert Axe().run(page).violations_count == 0
        page.keyboard.press("Escape")
        assert dialog.count() == 0
        page.keyboard.press("?")
        dialog.get_by_role("link", name="Single keys are on; turn them off").click()
        page.wait_for_url(f"**{reverse('preferences')}")

    def test_the_first_stop_skips_to_the_content(self, desk):
        page = desk.page(make_person())
        page.goto(reverse("help"))
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"


class TestTheDecisionForm:
    def test_asks_only_for_what_the_choice_needs(self, desk):
        page = desk.page(senior())
        page.goto(reverse("proposal", args=[waiting("high").pk]))
        fact = page.get_by_label("The key of the object")
        kinds = page.get_by_label("Kind of reason")
        assert not fact.is_visible()
        page.get_by_label("Approve revision 1").check()
        assert fact.is_visible()
        page.get_by_role("radio", name="Reject").check()
        assert not fact.is_visible()
        assert kinds.is_visible()
        assert "nothing is written" in page.locator("output").inner_text()

    def test_shows_what_the_service_refuses_in_place(self, desk):
        proposal = waiting("high")
        page = desk.page(senior())
        page.goto(reverse("proposal", args=[proposal.pk]))
        page.get_by_label("Approve revision 1").check()
        page.get_by_role("textbox", name="Reason").fill("It was asked for in writing.")
        page.get_by_label("The key of the object").fill("duck")
        page.get_by_role("button", name="Submit decision").click()
        page.get_by_role("alert").filter(has_text="Nothing was recorded").wait_for()
        assert "does not match the evidence" in page.locator("#decision").inner_text()
        assert page.evaluate("document.activeElement.id") == "decision-title"
        assert Axe().run(page).violations_count == 0
        page.get_by_label("The key of the object").fill("bear")
        page.get_by_role("button", name="Submit decision").click()
        page.wait_for_url("**tab=waiting**")
        assert Review.objects.count() == 1

    def test_sent_twice_in_a_hurry_counts_once(self, desk):
        proposal = waiting()
        page = desk.page(make_person())
        page.goto(reverse("proposal", args=[proposal.pk]))
        page.get_by_label("Approve revision 1").check()
        page.get_by_role("button", name="Submit decision").dblclick()
        page.wait_for_url("**tab=waiting**")
        assert Review.objects.count() == 1

    def test_shows_the_differences_when_the_world_moved_meanwhile(self, desk):
        proposal = waiting()
        page = desk.page(make_person())
        page.goto(reverse("proposal", args=[proposal.pk]))
        box.colours["bear"] = "green"
        services.recheck(proposal_id=proposal.pk, reason="The target moved.")
        work()
        page.get_by_label("Approve revision 1").check()
        page.get_by_role("textbox", name="Reason").fill("Brown becomes blue.")
        page.get_by_role("button", name="Submit decision").click()
        page.get_by_role("heading", name="Your decision was not recorded").wait_for()
        assert page.evaluate("document.activeElement.tagName") == "H1"
        assert page.locator("h1").count() == 1
        assert Axe().run(page).violations_count == 0
        page.get_by_role("link", name="Review it again with this reason").click()
        page.get_by_role("heading", name="Decision on revision 1").wait_for()
        assert page.get_by_role("textbox", name="Reason").input_value() == "Brown becomes blue."
        assert not Review.objects.exists()

    def test_keeps_the_reason_while_somebody_signs_in_again(self, desk):
        proposal = waiting()
        make_person("rita")
        page = desk.page(make_person())
        page.goto(reverse("proposal", args=[proposal.pk]))
        page.get_by_role("textbox", name="Reason").fill("Asked for in writing.")
        page.get_by_label("Approve revision 1").check()
        page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
        page.get_by_role("button", name="Submit decision").click()
        page.get_by_label("Name").fill("rita")
        page.get_by_label("Password").fill(factories.PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.wait_for_url(f"**{proposal.pk}**")
        assert page.get_by_role("textbox", name="Reason").input_value() == "Asked for in writing."
        assert not Review.objects.exists()

    def test_says_so_when_the_server_cannot_be_reached(self, desk):
        proposal = waiting()
        page = desk.page(make_person())
        page.goto(reverse("proposal", args=[proposal.pk]))
        page.get_by_label("Approve revision 1").check()
        page.context.set_offline(True)
        page.get_by_role("button", name="Submit decision").click()
        page.get_by_text("The server could not be reached. Nothing was recorded").wait_for()
        provoked = ("net::ERR_INTERNET_DISCONNECTED", "htmx:")
        desk.complaints = [
            one for one in desk.complaints if not any(word in one for word in provoked)
        ]
        page.context.set_offline(False)
        page.get_by_role("button", name="Submit decision").click()
        page.wait_for_url("**tab=waiting**")
        assert Review.objects.count() == 1


class TestFilters:
    def test_narrow_the_list_in_place_and_keep_the_focus(self, desk):
        waiting()
        page = desk.page(make_person())
        page.goto(reverse("queue") + "?tab=open")
        page.get_by_label("Tier").focus()
        page.get_by_label("Tier").select_option("high")
        page.get_by_text("No results for these filters").wait_for()
        assert "tier=high" in page.url
        assert page.evaluate("document.activeElement.name") == "tier"
        page.go_back()
        page.locator("td.change a").wait_for()
        assert page.locator("h1").count() == 1


@pytest.mark.skipif(not os.environ.get("SCREENSHOTS"), reason="SCREENSHOTS=1 takes pictures.")
def test_pictures_for_the_readme(chromium, live_server, shop):
    desk = Desk(chromium, live_server.url)
    saul = make_person("saul", last_name="Lindqvist", groups=["reviewers", "senior-reviewers"])
    defaults.add_rules(people.RULES)
    paid = shop.rows("SELECT id FROM orders WHERE status = 'paid' ORDER BY id LIMIT 4")
    prices = shop.rows("SELECT id, amount FROM prices ORDER BY id LIMIT 2")
    drafts = shop.rows("SELECT id FROM drafts WHERE archived_at IS NULL ORDER BY id LIMIT 2")
    asked = [
        *(("orders", key, {"status": "refunded", "note": REFUND}) for (key,) in paid),
        ("prices", prices[0][0], {"amount": f"{float(prices[0][1]) * 1.1:.2f}"}),
        ("prices", prices[1][0], {"amount": f"{float(prices[1][1]) * 3:.2f}"}),
        *(("drafts", key, {"subject": "About your return"}) for (key,) in drafts),
    ]
    agent = factories.make_agent("shop-assistant", grants=["records.*"])
    proposals = [
        make_checked(
            agent=agent,
            action="records.update",
            params={"table": f"shop.{table}", "key": str(key), "set": changes},
            run="returns-of-today",
            rationale="The customer was charged twice; the bank's statement is in the ticket.",
            evidence=[{"kind": "record", "title": "Bank statement", "content": {"charges": 2}}],
        )
        for table, key, changes in asked
    ]
    factories.approve(proposals[3], reviewer=saul)
    work()
    item = reverse("proposal", args=[proposals[0].pk]) + "?tab=waiting"
    done = reverse("undo", args=[proposals[3].pk])
    take(
        desk,
        saul,
        (
            ("queue", reverse("queue"), WIDE, "light"),
            ("review", item, WIDE, "light"),
            ("review-dark", item, WIDE, "dark"),
            ("review-mobile", item, NARROW, "light"),
            ("undo", done, WIDE, "light"),
            ("recent", reverse("recent"), WIDE, "dark"),
        ),
    )
    assert len(list(PICTURES.glob("*.png"))) >= 6


@pytest.mark.skipif(not os.environ.get("SCREENSHOTS"), reason="SCREENSHOTS=1 takes pictures.")
def test_pictures_of_budgets_and_stopping(chromium, live_server, shop):
    desk = Desk(chromium, live_server.url)
    olga = make_person(
        "olga", last_name="Petrova", groups=["reviewers", "operators", "auditors"], is_staff=True
    )
    defaults.ensure_budgets()
    paid = shop.rows("SELECT id FROM orders WHERE status = 'paid' ORDER BY id LIMIT 5")
    refunds = [refund(factories.make_agent("shop-assistant"), key, "returns") for (key,) in paid]
    for done in refunds[:3]:
        factories.approve(done, reviewer=olga)
    work()
    allow("Writes of an agent in a minute", 4)
    factories.approve(refunds[3], reviewer=olga)
    work()
    allow("Writes of a run", 6)
    runaway = factories.make_agent("night-cleaner")
    for key in range(9):
        with suppress(OverBudget):
            refund(runaway, paid[0][0] + key, "overnight")
    services.set_suspended(
        agent_id=runaway.pk, is_suspended=True, reason="It repeats itself.", person=olga
    )
    services.freeze(reason="Prices look wrong since noon.", action="records.create", person=olga)
    pages = {"budgets": reverse("budgets"), "stop": reverse("stop")}
    held = reverse("proposal", args=[refunds[3].pk])
    looks = (("", WIDE, "light"), ("-dark", WIDE, "dark"), ("-mobile", NARROW, "light"))
    shots = [
        (f"{name}{look}", address, width, scheme)
        for name, address in pages.items()
        for look, width, scheme in looks
    ]
    take(desk, olga, [*shots, ("held", held, WIDE, "light")])


def refund(agent, key: int, run: str) -> Proposal:
    return make_checked(
        agent=agent,
        action="records.update",
        params={"table": "shop.orders", "key": str(key), "set": {"status": "refunded"}},
        run=run,
        rationale="The customer was charged twice.",
    )


def allow(name: str, limit: int) -> None:
    budget = Budget.objects.get(name=name)
    budget.limit = limit
    services.save_budget(budget=budget, person=None, is_new=False)


def take(desk, person, shots) -> None:
    """A picture of each page, as this person sees it."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name, address, width, scheme in shots:
        page = desk.page(person, width=width, color_scheme=scheme)
        page.goto(address)
        settled(page)
        page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
    desk.close()
    assert not desk.complaints
