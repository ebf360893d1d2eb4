"""The people's door: who may open it, what it shows, what it refuses, and what it never does."""

import re
from html.parser import HTMLParser

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ledger import clock
from proposals import services
from proposals.console import writes
from proposals.lifecycle import Status
from proposals.models import Execution, Proposal, Review
from tests import factories
from tests.factories import fresh, make_checked, make_person, make_proposal, painting, work
from tests.shop_calls import refund
from tests.toys import box

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.usefixtures("toybox")]

SENTINEL = "zq-agent-wrote-this"
GROUPS = ("reviewers", "senior-reviewers", "operators", "policy-administrators", "auditors")
HTMX = {"HX-Request": "true"}
VOID_TAGS = {"meta", "link", "input", "br", "col", "hr", "img", "path", "circle"}


class Page(HTMLParser):
    """A page as a tree that is only walked: each text and attribute with its ancestors."""

    def __init__(self, answer):
        super().__init__()
        self.html = answer.content.decode()
        self.stack: list[tuple[str, dict]] = []
        self.texts: list[tuple[tuple[tuple[str, dict], ...], str]] = []
        self.elements: list[tuple[str, dict]] = []
        self.feed(self.html)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID_TAGS:
            self.stack.append((tag, dict(attributes)))

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        while self.stack and self.stack.pop()[0] != tag:
            pass

    def handle_data(self, text):
        self.texts.append((tuple(self.stack), text))

    def inside(self, *tags: str) -> str:
        """All text inside elements of these kinds."""
        return " ".join(text for above, text in self.texts if any(tag in tags for tag, _ in above))

    def all(self, tag: str, **wanted: str) -> list[dict]:
        return [
            found
            for name, found in self.elements
            if name == tag and all(found.get(key) == value for key, value in wanted.items())
        ]

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(text for _, text in self.texts))


def signed_in(person=None) -> Client:
    browser = Client()
    browser.force_login(person or make_person())
    return browser


def address(name: str, proposal: Proposal, query: str = "") -> str:
    return reverse(name, args=[proposal.pk]) + query


def waiting(tier: str = "medium", **more) -> Proposal:
    """A proposal that waits for people."""
    params = painting(tier=tier, **more.pop("params", {}))
    return make_checked(params=params, **more)


def unknown_outcome() -> Proposal:
    """A proposal of which nobody can say whether it was written."""
    proposal = waiting()
    box.failing["apply"] = box.failing["void"] = "unclear"
    factories.approve(proposal)
    for _ in range(settings.EXECUTION_MAX_ATTEMPTS + 1):
        Execution.objects.filter(proposal=proposal).update(
            run_after=clock.now(), lease_until=clock.now()
        )
        work()
    box.failing.clear()
    assert fresh(proposal).status == Status.UNKNOWN
    return proposal


def verdict(proposal: Proposal, decision: str = "approve", **more: str) -> dict[str, str]:
    """What the decision form sends."""
    current = fresh(proposal).current_check
    return {
        "decision": decision,
        "digest": current.digest,
        "reason": "Asked for in writing.",
        "list": "tab=waiting",
        **more,
    }


class TestTheDoor:
    @pytest.mark.parametrize(
        "name", ["queue", "search", "preferences", "recent", "budgets", "stop", "help"]
    )
    def test_sends_strangers_to_sign_in_and_back(self, name):
        make_person()
        answer = Client().get(reverse(name))
        assert answer.status_code == 302
        assert answer["Location"] == f"{reverse('sign-in')}?next={reverse(name)}"

    @pytest.mark.parametrize("group", GROUPS)
    def test_opens_for_every_group(self, group):
        browser = signed_in(make_person(f"one-of-{group}", groups=[group]))
        assert browser.get(reverse("queue")).status_code == 200

    def test_stays_shut_for_people_in_no_group_even_superusers(self):
        proposal = waiting()
        root = make_person("root", groups=(), is_superuser=True, is_staff=True)
        browser = signed_in(root)
        assert browser.get(reverse("queue")).status_code == 403
        assert browser.get(address("proposal", proposal)).status_code == 403
        sent = browser.post(address("decide", proposal), verdict(proposal))
        assert sent.status_code == 403
        assert "not in a group that may open the console" in sent.content.decode()

    def test_takes_sessions_and_never_a_token(self):
        proposal = waiting()
        token = factories.token_for(proposal.agent)
        holder = Client(headers={"Authorization": f"Bearer {token}"})
        assert holder.get(reverse("queue")).status_code == 302
        answer = holder.post(address("decide", proposal), verdict(proposal))
        assert answer.status_code == 302
        assert reverse("sign-in") in answer["Location"]
        assert not Review.objects.exists()

    def test_stays_shut_for_the_service_account_of_an_agent(self):
        account = waiting().agent.user
        assert signed_in(account).get(reverse("queue")).status_code == 302
        account.is_active = True
        account.save()
        account.groups.set(make_person().groups.all())
        assert signed_in(account).get(reverse("queue")).status_code == 302

    def test_asks_htmx_to_sign_in_by_a_whole_page_and_to_come_back_to_the_proposal(self):
        proposal = waiting()
        answer = Client().post(address("decide", proposal), verdict(proposal), headers=HTMX)
        assert answer["HX-Redirect"].endswith(f"?next={address('proposal', proposal)}")

    def test_refuses_a_form_without_its_token_with_a_page(self):
        proposal = waiting()
        browser = Client(enforce_csrf_checks=True)
        browser.force_login(make_person())
        answer = browser.post(address("decide", proposal), verdict(proposal))
        assert answer.status_code == 403
        assert "Please send that again" in answer.content.decode()
        assert not Review.objects.exists()

    def test_signs_in_and_out(self):
        make_person("rita")
        browser = Client()
        page = Page(browser.get(reverse("sign-in")))
        assert not [one for _, one in page.elements if "autofocus" in one]
        wrong = browser.post(reverse("sign-in"), {"username": "rita", "password": "no"})
        assert "Please enter a correct username and password" in wrong.content.decode()
        right = {"username": "rita", "password": factories.PASSWORD}
        assert browser.post(reverse("sign-in"), right)["Location"] == reverse("queue")
        assert browser.get(reverse("sign-out")).status_code == 405
        assert browser.post(reverse("sign-out"))["Location"] == reverse("sign-in")
        assert browser.get(reverse("queue")).status_code == 302

    def test_answers_404_with_a_page(self):
        answer = signed_in().get("/proposals/0190f0a0-0000-7000-8000-000000000000/")
        assert answer.status_code == 404
        assert "There is nothing here" in answer.content.decode()


class TestTheQueue:
    def test_lists_what_this_person_could_approve_and_nothing_else(self):
        medium, high = waiting(), waiting("high")
        rita, saul = make_person("rita"), make_person("saul", groups=["senior-reviewers"])
        assert str(medium.pk) in signed_in(rita).get(reverse("queue")).content.decode()
        assert str(high.pk) not in signed_in(rita).get(reverse("queue")).content.decode()
        assert str(high.pk) in signed_in(saul).get(reverse("queue")).content.decode()
        owner = make_person("otto")
        owner.groups.set(rita.groups.all())
        assert (
            "Nothing is waiting on you" in signed_in(owner).get(reverse("queue")).content.decode()
        )

    def test_orders_by_tier_then_due_then_age(self):
        first, second, third = waiting(), waiting(), waiting("high")
        saul = make_person("saul", groups=["reviewers", "senior-reviewers"])
        Proposal.objects.filter(pk=second.pk).update(expires_at=clock.now())
        page = signed_in(saul).get(reverse("queue") + "?tab=open").content.decode()
        places = [page.index(str(one.pk)) for one in (third, second, first)]
        assert places == sorted(places)

    def test_narrows_by_filters_that_stand_in_the_address(self):
        medium, high = waiting(), waiting("high")
        page = signed_in().get(reverse("queue") + "?tab=open&tier=high").content.decode()
        assert str(high.pk) in page
        assert str(medium.pk) not in page
        assert f"{address('proposal', high)}?tab=open&amp;tier=high" in page

    def test_ignores_filters_it_does_not_know(self):
        proposal = waiting()
        answer = signed_in().get(reverse("queue") + "?tab=nonsense&tier=huge&agent=nobody")
        assert str(proposal.pk) in answer.content.decode()

    def test_has_two_kinds_of_empty(self):
        waiting("high")
        browser = signed_in()
        nothing = browser.get(reverse("queue")).content.decode()
        assert "Nothing is waiting on you." in nothing
        assert "1 open in all." in nothing
        filtered = browser.get(reverse("queue") + "?tab=open&tier=low").content.decode()
        assert "No results for these filters" in filtered
        assert "Clear the filters" in filtered

    def test_gives_htmx_the_part_and_a_restored_page_the_whole(self):
        waiting()
        browser = signed_in()
        part = browser.get(reverse("queue"), headers=HTMX).content.decode()
        assert "<html" not in part
        assert "<table" in part
        restored = {**HTMX, "HX-History-Restore-Request": "true"}
        assert "<html" in browser.get(reverse("queue"), headers=restored).content.decode()

    @pytest.mark.parametrize(
        ("number", "words"), [(0, "No proposals."), (1, "1 proposal."), (3, "3 proposals.")]
    )
    def test_says_how_many_a_filter_found_in_a_region_that_was_there_before(self, number, words):
        for _ in range(number):
            waiting()
        browser = signed_in()
        page = Page(browser.get(reverse("queue")))
        assert page.all("p", id="found", role="status")
        assert words not in page.text
        part = Page(browser.get(reverse("queue") + "?tier=medium", headers=HTMX))
        assert said(part) == [words]

    def test_shows_what_was_decided_and_what_needs_an_operator(self):
        rejected, failed = waiting(), waiting()
        factories.review(rejected, "reject")
        box.failing["apply"] = "refused"
        factories.approve(failed)
        work()
        assert fresh(failed).status == Status.FAILED
        browser = signed_in()
        mine = Page(browser.get(reverse("queue") + "?tab=mine"))
        assert "rejected" in mine.inside("td")
        stuck = browser.get(reverse("queue") + "?tab=stuck").content.decode()
        assert str(failed.pk) in stuck
        assert str(rejected.pk) not in stuck

    def test_describes_what_has_not_been_checked_yet(self):
        make_proposal()
        page = Page(signed_in().get(reverse("queue") + "?tab=open"))
        assert "Paint the bear blue" in page.inside("td")
        assert "checking" in page.inside("td")

    @pytest.mark.parametrize("tab", ["waiting", "open", "mine", "soon", "stuck"])
    def test_has_no_verdict_in_any_list(self, tab):
        factories.review(waiting(), "comment")
        waiting()
        answer = signed_in().get(reverse("queue") + f"?tab={tab}")
        assert no_verdicts(Page(answer))

    def test_takes_the_same_statements_for_2_rows_and_for_10(self):
        browser = signed_in()
        counts = []
        for rows in (2, 8):
            for number in range(rows):
                waiting(params={"note": number}, run=f"run-{number}")
            with CaptureQueriesContext(connection) as captured:
                page = Page(browser.get(reverse("queue")))
            assert page.html.count("data-key-item") == (2 if rows == 2 else 10)
            counts.append(len(captured))
        assert counts == [21, 21]


def no_verdicts(page: Page) -> bool:
    """The only form that posts signs out; nothing chooses or leads to a verdict."""
    posts = [one["action"] for one in page.all("form", method="post")]
    return posts == [reverse("sign-out")] and cannot_decide(page)


def cannot_decide(page: Page) -> bool:
    """Whatever else a page offers, it has no verdict to choose and no address to send one to."""
    return not page.all("input", name="decision") and "/decide/" not in page.html


def said(part: Page) -> list[str]:
    """What a part puts into the live region of the page that it comes into."""
    region = {"id": "found", "hx-swap-oob": "innerHTML"}
    return [text for above, text in part.texts if ("p", region) in above]


class TestOtherLists:
    @pytest.mark.parametrize("name", ["runs", "run", "unknowns", "agents", "agent", "rules"])
    def test_have_no_verdict_either_whoever_opens_them(self, name):
        pending = waiting()
        unknown_outcome()
        named = {"run": [pending.run_id], "agent": [pending.agent_id]}.get(name, [])
        page = Page(signed_in(make_person("ana", groups=GROUPS)).get(reverse(name, args=named)))
        assert page.inside("h1")
        assert cannot_decide(page)


class TestTheReviewPage:
    def test_is_read_in_the_order_of_evidence_first_verdict_last(self):
        page = Page(signed_in().get(address("proposal", waiting())))
        ids = [one["id"] for _, one in page.elements if "id" in one]
        order = ["change", "impact", "rules", "undo", "said", "evidence", "timeline", "decision"]
        assert [name for name in ids if name in order] == order
        assert len(page.all("h1")) == 1

    def test_shows_three_columns_with_a_word_for_every_change(self):
        proposal = waiting()
        page = Page(signed_in().get(address("proposal", proposal)))
        cells = page.inside("table")
        for words in ("When proposed", "Live now", "After commit", "brown", "blue", "changed"):
            assert words in cells
        assert "unchanged since proposed" in page.text

    def test_marks_what_moved_since(self):
        proposal = waiting()
        box.colours["bear"] = "green"
        page = Page(signed_in().get(address("proposal", proposal)))
        assert "green" in page.inside("td")
        assert "moved since proposed" in page.inside("td")
        assert "The target moved since it was checked." in page.text
        assert "a worker writes nothing and has it checked again" in page.text

    def test_puts_what_moved_before_what_did_not(self, shop):
        shop.rows("UPDATE orders SET status = 'paid' WHERE id IN (3, 4, 5) RETURNING id")
        proposal = make_checked(action="records.update", params=refund("3", "4", "5"))

        def objects() -> list[str]:
            page = Page(signed_in().get(address("proposal", proposal)))
            return re.findall(r'"object-name">\s*(?:<[^>]+>)+([^<]+)<', page.html)

        assert objects() == ["3 objects"]
        shop.rows("UPDATE orders SET status = 'shipped' WHERE id = 5 RETURNING id")
        assert objects() == ["5", "2 objects"]

    def test_survives_a_target_that_does_not_answer(self):
        proposal = waiting()
        box.failing["preview"] = "unavailable"
        answer = signed_in().get(address("proposal", proposal))
        assert answer.status_code == 200
        assert "The box is out of reach." in Page(answer).text
        assert "not read" in Page(answer).inside("td")

    def test_survives_a_failed_check_and_says_why_nobody_can_approve(self):
        box.failing["preview"] = "unclear"
        proposal = waiting()
        page = Page(signed_in(senior()).get(address("proposal", proposal)))
        assert "could not be previewed" in page.text
        [approve] = page.all("input", name="decision", value="approve")
        assert "disabled" in approve
        [reject] = page.all("input", name="decision", value="reject")
        assert "disabled" not in reject

    def test_preselects_nothing_and_takes_no_focus(self):
        page = Page(signed_in().get(address("proposal", waiting())))
        radios = page.all("input", name="decision")
        assert [one["value"] for one in radios] == [
            "approve",
            "request_changes",
            "reject",
            "comment",
        ]
        assert not [one for one in radios if "checked" in one]
        assert not [one for _, one in page.elements if "autofocus" in one]

    def test_explains_why_somebody_cannot_decide(self):
        proposal = waiting()
        owner = make_person("otto")
        owner.groups.add(*make_person("rita").groups.all())
        page = Page(signed_in(owner).get(address("proposal", proposal)))
        assert "You own the agent billing-bot" in page.text
        assert not page.all("input", name="decision")
        high = waiting("high")
        page = Page(signed_in().get(address("proposal", high)))
        assert "takes a right that you do not have" in page.text

    def test_says_what_each_verdict_will_do(self):
        high = waiting("high")
        browser = signed_in(senior())
        page = Page(browser.get(address("proposal", high)))
        assert "record approval 1 of 2; the write does not run yet" in page.text
        approve_high(high, senior("sara"))
        page = Page(browser.get(address("proposal", high)))
        assert "be the final approval" in page.text
        assert "you can undo it" in page.text

    def test_says_when_it_cannot_be_undone(self):
        proposal = waiting("high", params={"for_good": True})
        approve_high(proposal, senior("sara"))
        page = Page(signed_in(senior()).get(address("proposal", proposal)))
        assert "Not reversible." in page.text
        assert "it cannot be undone" in page.text

    def test_asks_at_high_tier_for_a_fact_and_at_medium_for_none(self):
        assert Page(signed_in(senior()).get(address("proposal", waiting("high")))).all(
            "input", name="fact"
        )
        page = Page(signed_in().get(address("proposal", waiting())))
        assert not page.all("input", name="fact")

    def test_says_what_changed_when_it_was_checked_again(self):
        proposal = waiting()
        box.colours["bear"] = "green"
        services.recheck(proposal_id=proposal.pk, reason="The target moved.")
        work()
        page = Page(signed_in().get(address("proposal", proposal)))
        assert "Checked again, with another result." in page.text

    def test_leads_to_its_neighbours_in_the_list(self):
        first, second, third = waiting(), waiting(), waiting()
        page = Page(signed_in().get(address("proposal", second, "?tab=waiting")))
        [previous], [following] = (
            page.all("a", **{"data-key": "p"}),
            page.all("a", **{"data-key": "n"}),
        )
        assert previous["href"].startswith(address("proposal", first))
        assert following["href"].startswith(address("proposal", third))

    def test_strikes_through_approvals_that_no_longer_count_and_says_why(self):
        proposal = waiting("high")
        factories.approve(proposal, reviewer=senior("sara"), fact="bear")
        page = Page(signed_in(senior()).get(address("proposal", proposal)))
        assert page.inside("del") == ""
        box.colours["bear"] = "green"
        services.recheck(proposal_id=proposal.pk, reason="Once more.")
        work()
        page = Page(signed_in(senior()).get(address("proposal", proposal)))
        assert page.inside("del").split() == ["Sara", "approved"]
        assert "No longer counts. The target, the rules or the tier are not" in page.text
        assert "0 of 2" in page.text

    def test_takes_a_bounded_number_of_statements(self):
        browser = signed_in()
        for rows in (2, 8):
            for number in range(rows):
                last = waiting(params={"note": number})
            with CaptureQueriesContext(connection) as captured:
                browser.get(address("proposal", last, "?tab=waiting"))
            assert len(captured) == 26

    def test_shows_no_form_once_it_is_decided(self):
        proposal = waiting()
        factories.review(proposal, "reject")
        page = Page(signed_in().get(address("proposal", proposal)))
        assert "Rejected" in page.text
        assert not page.all("input", name="decision")


def senior(name: str = "saul"):
    return make_person(name, groups=["reviewers", "senior-reviewers"])


def approve_high(proposal: Proposal, person) -> None:
    factories.approve(proposal, reviewer=person, reason="It was asked for in writing.", fact="bear")


class TestWhatAnAgentWrote:
    def hostile(self, hidden: str = "\u202e") -> Proposal:
        return waiting(
            params={"note": SENTINEL},
            run=SENTINEL,
            rationale=f"{SENTINEL} <script>alert(1)</script> {hidden} approve",
            context={"model": SENTINEL},
            evidence=[
                {
                    "kind": "message",
                    "title": SENTINEL,
                    "content": SENTINEL,
                    "uri": f"javascript:{SENTINEL}",
                }
            ],
        )

    def test_never_reaches_a_list(self):
        self.hostile()
        committed = self.hostile(hidden="")
        factories.approve(committed)
        work()
        browser = signed_in()
        for page in ("?tab=open", "?tab=waiting", "?tab=mine"):
            assert SENTINEL not in browser.get(reverse("queue") + page).content.decode()
        writes = browser.get(reverse("recent")).content.decode()
        assert str(committed.pk) in writes
        assert SENTINEL not in writes

    def test_stays_in_its_frame_on_the_review_page(self):
        page = Page(signed_in().get(address("proposal", self.hostile())))
        found = [above for above, text in page.texts if SENTINEL in text]
        assert len(found) >= 6
        for above in found:
            assert any(one.get("class") == "agent-text" for _, one in above)
            assert not any(tag in {"title", "h1", "h2", "h3", "label", "a"} for tag, _ in above)
        assert not [one for _, one in page.elements if SENTINEL in str(one.values())]

    def test_is_neither_markup_nor_invisible(self):
        page = Page(signed_in().get(address("proposal", self.hostile())))
        assert "<script>alert" not in page.html
        assert "\u202e" not in page.html
        assert "[U+202E RLO]" in page.text
        assert "Hidden characters." in page.text
        assert "Written by agent billing-bot. Not verified." in page.text

    def test_is_visible_in_a_heading_that_an_action_completes_with_it(self):
        page = Page(
            signed_in(senior()).get(
                address("proposal", waiting(params={"colour": "\u202eder\u200b"}))
            )
        )
        heading = page.inside("h1").replace("  ", " ")
        assert "Paint the bear [U+202E RLO] der [U+200B ZWSP]" in heading
        assert "[U+202E RLO]" in page.inside("title")
        assert "\u202e" not in page.html


class TestDeciding:
    def test_records_the_verdict_and_goes_on_to_the_next_item(self):
        first, second = waiting(), waiting()
        browser = signed_in()
        answer = browser.post(address("decide", first), verdict(first))
        assert answer.status_code == 302
        assert answer["Location"] == address("proposal", second, "?tab=waiting")
        assert fresh(first).status == Status.APPROVED
        assert "That was the final approval" in browser.get(answer["Location"]).content.decode()
        last = browser.post(address("decide", second), verdict(second, "reject"))
        assert last["Location"] == reverse("queue") + "?tab=waiting"

    def test_takes_a_wish_for_changes_by_the_plain_form_and_its_page_says_so(self):
        proposal = waiting()
        browser = signed_in()
        wish = verdict(proposal, "request_changes", reason="A lighter blue, please.")
        answer = browser.post(address("decide", proposal), wish, follow=True)
        assert answer.redirect_chain == [(reverse("queue") + "?tab=waiting", 302)]
        assert "Changes requested: Paint the bear blue" in Page(answer).text
        assert Review.objects.get().decision == Review.Decision.REQUEST_CHANGES
        assert fresh(proposal).status == Status.CHANGES_REQUESTED
        page = Page(browser.get(address("proposal", proposal)))
        assert "Changes requested" in page.text
        assert "A lighter blue, please." in page.text
        assert not page.all("input", name="decision")

    def test_gives_htmx_the_next_page_as_an_address(self):
        proposal = waiting()
        answer = signed_in().post(address("decide", proposal), verdict(proposal), headers=HTMX)
        assert answer.status_code == 200
        assert answer["HX-Redirect"] == reverse("queue") + "?tab=waiting"

    def test_shows_what_is_missing_and_keeps_what_was_typed(self):
        proposal = waiting()
        browser = signed_in()
        without = verdict(proposal, "reject", reason="  ")
        answer = browser.post(address("decide", proposal), without)
        assert answer.status_code == 422
        page = Page(answer)
        assert "Say why, so that others can follow." in page.text
        assert page.all("a", href="#id_reason")
        [radio] = page.all("input", name="decision", value="reject")
        assert "checked" in radio
        part = browser.post(address("decide", proposal), without, headers=HTMX)
        assert part.status_code == 422
        assert "<html" not in part.content.decode()
        assert not Review.objects.exists()

    def test_asks_to_choose_when_no_verdict_was_chosen(self):
        proposal = waiting()
        data = verdict(proposal)
        del data["decision"]
        answer = signed_in().post(address("decide", proposal), data)
        assert answer.status_code == 422
        assert "Choose one of the four verdicts." in answer.content.decode()

    def test_takes_a_typed_fact_at_high_tier(self):
        proposal = waiting("high")
        browser = signed_in(senior())
        reason = "It was asked for in writing."
        wrong = browser.post(
            address("decide", proposal), verdict(proposal, reason=reason, fact="duck")
        )
        assert wrong.status_code == 422
        assert "does not match the evidence" in wrong.content.decode()
        right = verdict(proposal, reason=reason, fact="bear")
        assert browser.post(address("decide", proposal), right).status_code == 302
        assert fresh(proposal).status == Status.PENDING
        assert Review.objects.count() == 1

    def test_shows_why_somebody_is_not_eligible(self):
        proposal = waiting("high")
        answer = signed_in().post(address("decide", proposal), verdict(proposal))
        assert answer.status_code == 422
        assert "takes a right that you do not have" in answer.content.decode()
        assert not Review.objects.exists()

    def test_two_quick_submits_give_one_decision(self):
        proposal = waiting()
        browser, data = signed_in(), verdict(proposal)
        assert browser.post(address("decide", proposal), data).status_code == 302
        assert browser.post(address("decide", proposal), data).status_code == 409
        assert Review.objects.count() == Execution.objects.count() == 1

    @pytest.mark.parametrize("headers", [{}, HTMX])
    def test_on_something_else_than_is_true_now_is_refused_with_the_differences(self, headers):
        proposal = waiting()
        seen = verdict(proposal, reason="Blue is what they asked for.")
        box.colours["bear"] = "green"
        services.recheck(proposal_id=proposal.pk, reason="The target moved.")
        work()
        browser = signed_in()
        answer = browser.post(address("decide", proposal), seen, headers=headers)
        assert answer.status_code == 409
        page = Page(answer)
        assert "Your decision was not recorded" in page.inside("h1")
        assert "brown" in page.inside("td")
        assert "green" in page.inside("td")
        assert "Blue is what they asked for." in page.text
        assert answer.get("HX-Retarget") == ("#content" if headers else None)
        assert not Review.objects.exists()
        again = Page(browser.get(address("proposal", proposal)))
        assert "Blue is what they asked for." in again.inside("textarea")

    def test_on_a_digest_that_was_never_shown_is_refused(self):
        proposal = waiting()
        answer = signed_in().post(
            address("decide", proposal), verdict(proposal, digest="sha256:" + "0" * 64)
        )
        assert answer.status_code == 409
        assert "not on record" in answer.content.decode()

    def test_is_never_a_get(self):
        assert signed_in().get(address("decide", waiting())).status_code == 405


class TestUndoing:
    def committed(self, **params) -> Proposal:
        proposal = waiting(params=params)
        factories.approve(proposal)
        work()
        return fresh(proposal)

    def test_shows_before_the_write_live_now_and_after_undo(self):
        page = Page(signed_in().get(address("undo", self.committed())))
        cells = page.inside("table")
        for words in ("Before the write", "Live now", "After undo", "brown", "blue"):
            assert words in cells
        assert "Paint the bear brown again" in page.text

    def test_proposes_the_undo_and_leads_to_it(self):
        forward = self.committed()
        answer = signed_in().post(address("undo", forward), {"reason": "A mix-up."})
        made = Proposal.objects.get(compensates=forward)
        assert answer["Location"] == address("proposal", made)
        work()
        assert box.colours["bear"] == "brown"
        assert fresh(forward).is_undone

    def test_takes_an_empty_form_for_one_without_a_reason(self):
        forward = self.committed()
        answer = signed_in().post(address("undo", forward))
        assert "Say why this is taken back." in Page(answer).text
        assert not Proposal.objects.filter(compensates=forward).exists()

    def test_says_what_is_wrong_with_a_reason_and_proposes_nothing(self):
        forward = self.committed()
        lines = "\r\n".join(["A mix-up."] * 200)
        answer = signed_in().post(address("undo", forward), {"reason": lines})
        page = Page(answer)
        assert "Nothing was proposed." in page.text
        assert "A reason has at most 2,000 characters; this one has" in page.text
        assert not Proposal.objects.filter(compensates=forward).exists()

    def test_marks_conflicts_field_by_field_and_offers_to_go_over_them(self):
        forward = self.committed()
        box.colours["bear"] = "pink"
        browser = signed_in()
        page = Page(browser.get(address("undo", forward)))
        assert "pink" in page.inside("td")
        assert "Changed since: the write left blue." in page.inside("td")
        assert "1 field changed since the write." in page.text
        browser.post(address("undo", forward), {"reason": "Yes.", "over_conflicts": "on"})
        work()
        made = Proposal.objects.get(compensates=forward)
        assert made.status == Status.PENDING
        assert box.colours["bear"] == "pink"

    def test_that_would_change_nothing_cannot_be_submitted(self):
        forward = self.committed()
        box.colours["bear"] = "brown"  # put back by hand
        browser = signed_in()
        page = Page(browser.get(address("undo", forward)))
        assert "Undoing would change nothing" in page.text
        assert not page.all("textarea", name="reason")
        for data in ({"reason": "Yes."}, {"reason": "Yes.", "over_conflicts": "on"}):
            answer = browser.post(address("undo", forward), data)
            assert answer.status_code == 409
            assert "Undoing would change nothing" in answer.content.decode()
        assert not Proposal.objects.filter(compensates=forward).exists()

    def test_needs_a_reason(self):
        forward = self.committed()
        answer = signed_in().post(address("undo", forward), {"reason": ""})
        assert answer.status_code == 409
        assert "Say why this is taken back." in answer.content.decode()
        assert not Proposal.objects.filter(compensates=forward).exists()

    def test_of_what_was_not_written_or_cannot_be_undone_shows_no_form(self):
        browser = signed_in()
        for proposal in (waiting(), self.for_good()):
            page = Page(browser.get(address("undo", proposal)))
            assert "There is nothing to undo." in page.text
            assert not page.all("textarea")

    def for_good(self) -> Proposal:
        proposal = waiting("high", params={"for_good": True})
        approve_high(proposal, senior())
        approve_high(proposal, senior("sara"))
        work()
        assert fresh(proposal).status == Status.COMMITTED
        return fresh(proposal)

    def test_twice_is_refused_and_says_so(self):
        forward = self.committed()
        browser = signed_in()
        browser.post(address("undo", forward), {"reason": "A mix-up."})
        answer = browser.post(address("undo", forward), {"reason": "A mix-up."})
        assert answer.status_code == 409
        assert "already open or committed" in answer.content.decode()
        assert Proposal.objects.filter(compensates=forward).count() == 1

    def test_is_refused_to_those_without_the_right(self):
        forward = self.committed()
        auditor = signed_in(make_person("amir", groups=["auditors"]))
        page = Page(auditor.get(address("undo", forward)))
        assert "You may not undo." in page.text
        assert not page.all("textarea")
        assert auditor.post(address("undo", forward), {"reason": "Mine."}).status_code == 409
        assert not Proposal.objects.filter(compensates=forward).exists()

    def test_survives_a_target_that_does_not_answer(self):
        forward = self.committed()
        box.failing["preview"] = "unavailable"
        answer = signed_in().get(address("undo", forward))
        assert answer.status_code == 200
        assert "cannot be shown" in Page(answer).text


class TestRecentWrites:
    def test_lists_commits_newest_first_with_who_let_them_through(self):
        alone = make_checked()
        reviewed = waiting()
        factories.approve(reviewed)
        work()
        page = signed_in().get(reverse("recent"))
        html = page.content.decode()
        assert html.index(str(reviewed.pk)) < html.index(str(alone.pk))
        assert "policy, no person" in Page(page).inside("td")
        assert "Rita" in Page(page).inside("td")
        assert no_verdicts(Page(page))
        filtered = signed_in().get(reverse("recent") + "?alone=on").content.decode()
        assert str(alone.pk) in filtered
        assert str(reviewed.pk) not in filtered

    def test_say_how_many_a_filter_found(self, monkeypatch):
        monkeypatch.setattr(writes, "LONGEST", 2)
        browser = signed_in()
        assert Page(browser.get(reverse("recent"))).all("p", id="found", role="status")
        for number, words in enumerate(
            ["No writes.", "1 write.", "2 writes.", "2 writes shown; there are others."]
        ):
            if number:
                make_checked(params=painting(note=number))
            assert said(Page(browser.get(reverse("recent"), headers=HTMX))) == [words]

    def test_goes_back_page_by_page_without_losing_or_repeating_any(self, monkeypatch):
        monkeypatch.setattr(writes, "LONGEST", 5)
        made = {str(make_checked(params=painting(note=number)).pk) for number in range(8)}
        browser = signed_in()
        first = Page(browser.get(reverse("recent")))
        [older] = first.all("a", **{"data-key": "n"})
        second = Page(browser.get(older["href"]))
        pattern = r"/proposals/([0-9a-f-]{36})/"
        on_first, on_second = (set(re.findall(pattern, one.html)) for one in (first, second))
        assert len(on_first) == 5
        assert on_first | on_second == made
        assert not on_first & on_second
        assert browser.get(reverse("recent") + "?before=nonsense").status_code == 200

    def test_takes_the_same_statements_for_2_rows_and_for_10(self):
        browser = signed_in()
        counts = []
        for rows in (2, 8):
            for number in range(rows):
                make_checked(params=painting(note=number))
            with CaptureQueriesContext(connection) as captured:
                browser.get(reverse("recent"))
            counts.append(len(captured))
        assert counts == [15, 15]


class TestTheOperatorsVerbs:
    def failed(self) -> Proposal:
        proposal = waiting()
        box.failing["apply"] = "refused"
        factories.approve(proposal)
        work()
        box.failing.clear()
        return fresh(proposal)

    def test_retry_starts_from_a_fresh_check(self):
        proposal = self.failed()
        operator = signed_in(make_person("olga", groups=["operators"]))
        page = Page(operator.get(address("proposal", proposal)))
        assert "Failed." in page.text
        assert page.all("form", action=address("retry", proposal))
        operator.post(address("retry", proposal), {"reason": "The box is open again."})
        assert fresh(proposal).status == Status.SUBMITTED

    def test_retry_is_refused_to_reviewers_with_the_reason(self):
        proposal = self.failed()
        browser = signed_in()
        assert not Page(browser.get(address("proposal", proposal))).all(
            "form", action=address("retry", proposal)
        )
        answer = browser.post(address("retry", proposal), {"reason": "Please."}, follow=True)
        assert "takes the right of an operator" in Page(answer).text
        assert fresh(proposal).status == Status.FAILED

    @pytest.mark.parametrize(("verb", "made"), [("retry", "failed"), ("reconcile", "unknown")])
    def test_an_owner_is_offered_none_of_them_and_told_why(self, verb, made):
        proposal = self.failed() if made == "failed" else unknown_outcome()
        owner = proposal.agent.owner
        owner.groups.set(make_person("olga", groups=["operators"]).groups.all())
        browser = signed_in(owner)
        page = Page(browser.get(address("proposal", proposal)))
        assert "You own the agent billing-bot: somebody else has to" in page.text
        assert not page.all("form", action=address(verb, proposal))
        if made == "unknown":
            page = Page(browser.get(address("outcome", proposal)))
            assert "You own the agent billing-bot" in page.text
            assert not page.all("form", action=address(verb, proposal))
        answer = browser.post(address(verb, proposal), {"reason": "Mine."}, follow=True)
        assert "Nothing was done: You own the agent billing-bot" in Page(answer).text
        assert fresh(proposal).status == made

    def test_an_unknown_outcome_is_settled_by_asking_the_target(self):
        proposal = unknown_outcome()
        operator = signed_in(make_person("olga", groups=["operators"]))
        page = Page(operator.get(address("proposal", proposal)))
        assert "Outcome unknown." in page.text
        assert page.all("form", action=address("reconcile", proposal))
        operator.post(address("reconcile", proposal), {"reason": "The box answers again."})
        assert fresh(proposal).status == Status.FAILED
        assert box.colours["bear"] == "brown"


class TestEveryPage:
    def test_carries_no_inline_script_or_style_and_a_strict_policy(self):
        browser = signed_in()
        proposal = waiting()
        for path in (
            reverse("queue"),
            reverse("search"),
            reverse("preferences"),
            reverse("recent"),
            reverse("budgets"),
            reverse("stop"),
            reverse("help"),
            address("proposal", proposal),
            address("undo", proposal),
        ):
            answer = browser.get(path)
            page = Page(answer)
            assert "script-src 'self'" in answer["Content-Security-Policy"]
            assert all("src" in one for one in page.all("script"))
            assert not page.all("style")
            assert not [one for _, one in page.elements if "style" in one]
            assert not [
                name for _, one in page.elements for name in one if name.startswith(("on", "hx-on"))
            ]
            assert "no-store" in answer["Cache-Control"]

    def test_configures_htmx_without_eval_or_history(self):
        page = Page(signed_in().get(reverse("help")))
        [config] = page.all("meta", name="htmx-config")
        for setting in (
            '"allowEval":false',
            '"includeIndicatorStyles":false',
            '"historyCacheSize":0',
            '"selfRequestsOnly":true',
            '"allowScriptTags":false',
        ):
            assert setting in config["content"]
        assert [one for one in page.all("script") if "htmx-2.min.js" in one["src"]]

    def test_names_the_product_the_environment_and_the_person(self):
        page = Page(signed_in().get(reverse("help")))
        assert "Countersign" in page.inside("header")
        assert "demonstration" in page.inside("header")
        assert "Rita" in page.inside("header")
        assert page.all("a", href="#main")
