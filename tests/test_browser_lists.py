"""Lists, live counts and preferences in a real Chromium: nothing moves by itself."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.urls import reverse

from ledger import clock
from proposals import services
from proposals.models import Proposal, Review, ReviewClaim
from tests import factories
from tests.factories import make_person, work
from tests.test_browser import (  # noqa: F401 (fixtures)
    CHROMIUM,
    LOOKS,
    Axe,
    chromium,
    desk,
    senior,
    settled,
    waiting,
)
from tests.toys import box

pytestmark = [
    pytest.mark.browser,
    pytest.mark.once,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="No Chromium is installed."),
]

ROWS = "[...document.querySelectorAll('tbody tr')].map(row => row.outerHTML).join()"
FOCUS = "document.activeElement.id || document.activeElement.name || document.activeElement.tagName"
SLOWEST = 90  # seconds until a page asks again, at the most, and some more
PLACES = "[...document.querySelectorAll('tbody tr')].map(row => row.getBoundingClientRect().top)"


def opened(desk, address: str, person=None):  # noqa: F811
    """A page whose timers this test drives."""
    page = desk.page(person or make_person())
    page.set_default_timeout(60_000)
    page.clock.install()
    page.goto(address)
    return page


def later(page) -> None:
    """Let the page's own time pass until it asks for news, and stand still until it has them.

    The page gives up after ten seconds of its own time, so none passes while it waits.
    """
    ended = []
    page.on("response", lambda response: ended.append(response.request))
    page.on("requestfailed", lambda request: ended.append(request))
    with page.expect_event("request", lambda request: "/pulse/" in request.url) as asked:
        for _ in range(SLOWEST):
            if asked.is_done():
                break
            page.clock.run_for(1000)
            page.wait_for_timeout(50)  # it may be told of a request a moment after
    for _ in range(600):
        if asked.value in ended:
            break
        page.wait_for_timeout(100)
    assert asked.value in ended, "no answer within a minute"
    page.wait_for_timeout(500)  # the page reads an answer a moment after it has come
    page.clock.run_for(100)


class TestTheQueueIsLive:
    def test_counts_and_news_change_and_the_list_and_the_focus_do_not(self, desk):  # noqa: F811
        first, _ = waiting(note="first"), waiting(note="second")
        page = opened(desk, reverse("queue"))
        page.locator(f"#row-{first.pk}").focus()
        rows, places = page.evaluate(ROWS), page.evaluate(PLACES)
        waiting(note="third")
        factories.review(first, "reject", reviewer=make_person("ana"))
        waiting("high", note="not for Rita")
        later(page)
        news = page.locator("[data-news]")
        news.get_by_text("1 new, 1 decided.").wait_for()
        assert page.locator("nav.tabs [data-count=open]").inner_text() == "3"
        assert page.evaluate(ROWS) == rows
        assert page.evaluate(PLACES) == places
        assert page.evaluate(FOCUS) == f"row-{first.pk}"
        assert page.locator("[aria-live=polite][data-news]").count() == 1
        assert Axe().run(page).violations_count == 0
        news.get_by_role("link", name="Refresh").click()
        page.wait_for_load_state()
        assert page.locator("tbody tr").count() == 2

    def test_says_at_most_one_thing_in_half_a_minute(self, desk):  # noqa: F811
        waiting(note="first")
        page = opened(desk, reverse("queue"))
        waiting(note="second")
        later(page)
        waiting(note="third")
        later(page)
        page.locator("nav.tabs [data-count=waiting]", has_text="3").wait_for()
        assert "1 new." in page.locator("[data-news]").inner_text()
        later(page)
        page.get_by_text("2 new.").wait_for()

    def test_says_since_when_it_is_not_live_and_recovers(self, desk):  # noqa: F811
        waiting()
        page = opened(desk, reverse("queue"))
        page.route("**/pulse/**", lambda route: route.abort())
        for _ in range(3):
            later(page)
        page.get_by_text("Not live since ").wait_for()
        page.unroute("**/pulse/**")
        waiting(note="second")
        later(page)
        page.get_by_text("1 new.").wait_for()
        desk.complaints = [one for one in desk.complaints if "ERR_FAILED" not in one]

    def test_asks_nothing_while_nobody_looks(self, desk):  # noqa: F811
        waiting()
        page = opened(desk, reverse("queue"))
        asked = []
        page.on("request", lambda request: asked.append(request) if "/pulse/" in request.url else 0)
        hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
        tell = "document.dispatchEvent(new Event('visibilitychange'))"
        page.evaluate(hide % "true" + tell)
        page.clock.run_for(200_000)
        assert not asked
        with page.expect_response(lambda answer: "/pulse/" in answer.url):
            page.evaluate(hide % "false" + tell)

    def test_going_back_finds_the_same_order(self, desk):  # noqa: F811
        first, second = waiting(note="first"), waiting(note="second")
        page = desk.page(make_person())
        page.goto(reverse("queue"))
        page.locator(f"#row-{first.pk}").click()
        page.wait_for_url(f"**{first.pk}**")
        factories.approve(first, reviewer=make_person("ana"))
        waiting(note="third")
        page.go_back()
        page.locator(".is-done").wait_for()
        assert page.locator("tbody tr").count() == 2
        assert "approved by Ana" in page.locator(".is-done").inner_text()
        assert page.locator(f"#row-{second.pk}").is_visible()


class TestTheReviewPageIsLive:
    def test_holds_the_submit_back_when_what_was_seen_is_no_longer_true(self, desk):  # noqa: F811
        proposal = waiting()
        page = opened(desk, reverse("proposal", args=[proposal.pk]))
        page.get_by_label("Approve revision 1").check()
        page.get_by_role("textbox", name="Reason").fill("Brown becomes blue.")
        content = page.locator("#content .evidence").inner_html()
        box.colours["bear"] = "green"
        services.recheck(proposal_id=proposal.pk, reason="The target moved.")
        work()
        later(page)
        page.get_by_text("Checked again at ").first.wait_for()
        assert page.evaluate(FOCUS) == "id_reason"
        assert page.locator("#content .evidence").inner_html() == content
        submit = page.get_by_role("button", name="Submit decision")
        assert submit.get_attribute("aria-disabled") == "true"
        assert "Open the page anew first" in page.locator("#stale-reason").inner_text()
        assert Axe().run(page).violations_count == 0
        submit.click(force=True)
        page.keyboard.press("Control+Enter")
        settled(page)
        assert not Review.objects.exists()
        page.get_by_role("link", name="Show what changed").click()
        page.get_by_text("Checked again, with another result.").wait_for()
        page.get_by_label("Approve revision 1").check()
        page.get_by_role("button", name="Submit decision").click()
        page.wait_for_url(lambda url: "/proposals/" not in url)
        assert Review.objects.count() == 1

    def test_stays_as_it_is_while_nothing_happens(self, desk):  # noqa: F811
        page = opened(desk, reverse("proposal", args=[waiting().pk]))
        later(page)
        assert page.locator("[data-news]").inner_text().strip() == ""
        submit = page.get_by_role("button", name="Submit decision")
        assert submit.get_attribute("aria-disabled") is None


class TestAClaim:
    def test_warns_two_minutes_before_its_end_and_goes_on_with_a_key(self, desk):  # noqa: F811
        page = opened(desk, reverse("proposal", args=[waiting().pk]))
        page.get_by_role("button", name="I am reviewing this").click()
        page.get_by_role("button", name="Not any more").wait_for()
        focused = page.evaluate("document.activeElement.textContent")
        assert focused == "Not any more", "the focus stays where it was"
        later(page)  # the click was a use too, and lets it last from here
        news = page.locator("[data-claim-news]")
        page.clock.run_for(7 * 60_000)
        assert news.inner_text() == ""
        page.clock.run_for(90_000)
        assert news.inner_text().startswith("In two minutes others will no longer see")
        ReviewClaim.objects.update(until=clock.now() + timedelta(minutes=2))
        page.keyboard.press("Shift")
        later(page)
        page.locator("[data-claim-news]:empty").wait_for(state="attached")
        assert ReviewClaim.objects.get().until > clock.now() + timedelta(minutes=9)
        page.clock.run_for(10 * 60_000 + 1000)
        assert news.inner_text() == "Others no longer see that you are reviewing this."

    def test_goes_on_although_the_answer_to_its_key_was_lost(self, desk):  # noqa: F811
        page = opened(desk, reverse("proposal", args=[waiting().pk]))
        page.get_by_role("button", name="I am reviewing this").click()
        page.get_by_role("button", name="Not any more").wait_for()
        later(page)
        news = page.locator("[data-claim-news]")
        page.clock.run_for(8 * 60_000 + 30_000)
        assert news.inner_text() != ""
        page.route("**/pulse/**", lambda route: route.abort())
        page.keyboard.press("Shift")
        later(page)
        page.unroute("**/pulse/**")
        ReviewClaim.objects.update(until=clock.now() + timedelta(minutes=8))
        later(page)
        assert ReviewClaim.objects.get().until > clock.now() + timedelta(minutes=9)
        desk.complaints = [one for one in desk.complaints if "ERR_FAILED" not in one]

    def test_of_somebody_else_shows_on_an_open_page(self, desk):  # noqa: F811
        proposal = waiting()
        page = opened(desk, reverse("proposal", args=[proposal.pk]))
        services.claim_review(proposal_id=proposal.pk, person=make_person("ana"))
        later(page)
        page.get_by_text("Ana is reviewing this, until").wait_for()
        submit = page.get_by_role("button", name="Submit decision")
        assert submit.get_attribute("aria-disabled") is None


class TestPages:
    @pytest.mark.parametrize("look", LOOKS)
    def test_are_accessible_and_fit_their_width(self, desk, look):  # noqa: F811
        waiting(note="first"), waiting("high", note="second")
        saul = senior()
        page = desk.page(saul, reduced_motion="reduce", **look)
        page.goto(reverse("queue"))
        here = settled(page).partition("?")[2]
        factories.approve(Proposal.objects.order_by("pk")[0], reviewer=make_person("ana"))
        mine, theirs = waiting(note="third"), waiting(note="fourth")
        box.colours["bear"] = "green"  # so that a check against live is offered
        for one, person in ((mine, saul), (theirs, make_person("ana"))):
            services.claim_review(proposal_id=one.pk, person=person)
        services.keep_view(person=saul, name="Night shift", query="tab=open&group=object")
        for name, address in {
            "what became of a list": f"{reverse('queue')}?{here}",
            "summary": f"{reverse('list-summary')}?{here}",
            "search": f"{reverse('search')}?q=toys/bear",
            "nothing found": f"{reverse('search')}?q=nobody",
            "preferences": reverse("preferences"),
            "by group": f"{reverse('queue')}?tab=open&group=object",
            "base moved": f"{reverse('queue')}?tab=moved",
            "held": f"{reverse('queue')}?tab=held",
            "a view to keep": f"{reverse('saved-views')}?of=tab%3Dopen%26group%3Drun",
            "kept views": reverse("saved-views"),
            "what I am reviewing": reverse("proposal", args=[mine.pk]),
            "what somebody reviews": reverse("proposal", args=[theirs.pk]),
        }.items():
            page.goto(address)
            found = Axe().run(page)
            assert found.violations_count == 0, f"{name}: {found.generate_report()}"
            across = page.evaluate("document.documentElement.scrollWidth")
            assert across <= look["width"], f"{name} scrolls sideways: {across}"
            assert page.locator("h1").count() == 1, name

    def test_look_as_somebody_prefers_and_turn_single_keys_off(self, desk):  # noqa: F811
        waiting()
        page = desk.page(make_person(), color_scheme="light")
        page.goto(reverse("preferences"))
        ground = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(ground) == "rgb(255, 255, 255)"
        page.get_by_label("Dark").check()
        page.get_by_label("Compact").check()
        page.get_by_label("Time zone").select_option("Europe/Berlin")
        page.get_by_label("Single keys are shortcuts").uncheck()
        page.get_by_role("button", name="Keep").click()
        page.get_by_text("Your preferences are kept.").wait_for()
        assert page.evaluate(ground) == "rgb(18, 22, 27)"
        page.goto(reverse("queue"))
        for key in "jo/?":
            page.keyboard.press(key)
        assert page.evaluate("document.activeElement.tagName") == "BODY"
        assert page.get_by_role("dialog").count() == 0
        assert settled(page).startswith(desk.url + reverse("queue") + "?tab=waiting")

    def test_are_found_by_the_slash(self, desk):  # noqa: F811
        proposal = waiting()
        page = desk.page(make_person())
        page.goto(reverse("proposal", args=[proposal.pk]))
        page.keyboard.press("/")
        page.wait_for_url(f"**{reverse('search')}")
        page.keyboard.press("/")
        page.keyboard.type("toys/bear")
        page.keyboard.press("Enter")
        page.locator(f"a[href*='{proposal.pk}']").wait_for()

    def test_lead_back_to_the_same_row_and_step_through_changed_fields(self, desk):  # noqa: F811
        waiting(note="first")
        second = waiting(note="second")
        page = desk.page(make_person())
        page.goto(reverse("queue"))
        for key in "jjo":
            page.keyboard.press(key)
        page.wait_for_url(f"**{second.pk}**")
        page.keyboard.press("j")
        assert page.evaluate("document.activeElement.dataset.marker") == "changed"
        page.keyboard.press("u")
        page.wait_for_url(f"**#row-{second.pk}")
        page.wait_for_function(f"document.activeElement.id === 'row-{second.pk}'")


@pytest.mark.once
def test_all_script_together_is_small(desk):  # noqa: F811
    """What a review page loads, as a browser gets it compressed: under 25 kB, htmx included."""
    import gzip

    page = desk.page(make_person())
    loaded = {}
    page.on(
        "response",
        lambda answer: (
            loaded.update({answer.url: answer.body()})
            if answer.request.resource_type == "script"
            else None
        ),
    )
    page.goto(reverse("proposal", args=[waiting().pk]))
    settled(page)
    assert {url.rpartition("/")[2] for url in loaded} == {
        "countersign.js",
        "pulse.js",
        "htmx-2.min.js",
    }
    assert sum(len(gzip.compress(body, 9)) for body in loaded.values()) < 25_000
    assert settings.STATIC_URL in next(iter(loaded))
