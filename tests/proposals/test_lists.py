"""Lists that are worked down: their order stays, what became of items is said, counts are live."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ledger import clock
from proposals import services
from proposals.management.commands.clock import Tidying
from proposals.models import Proposal, Review, StoredList
from proposals.models.desk import LIST_LIFETIME
from tests import factories
from tests.factories import make_person, work
from tests.proposals.test_console import Page, address, senior, signed_in, verdict, waiting
from tests.toys import box

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]


def opened(browser: Client, query: str = "") -> tuple[Page, str]:
    """The queue as it is opened, and the query of its stored list."""
    page = Page(browser.get(reverse("queue") + query))
    [here] = [one for tag, one in page.elements if "data-list-url" in one]
    return page, here["data-list-url"].partition("?")[2]


def listed(page: Page) -> list[str]:
    """The ids of the rows, in order."""
    return [one["id"].removeprefix("row-") for one in page.all("a") if "data-key-item" in one]


def again(browser: Client, query: str) -> Page:
    return Page(browser.get(f"{reverse('queue')}?{query}"))


def decide(browser: Client, proposal: Proposal, query: str, decision: str = "approve"):
    sent = verdict(proposal, decision, list=query)
    return browser.post(address("decide", proposal), sent)


def ids(*proposals: Proposal) -> list[str]:
    return [str(one.pk) for one in proposals]


def pulse(browser: Client, query: str, **headers: str):
    return browser.get(f"{reverse('pulse')}?{query}", headers=headers)


class TestAStoredList:
    def test_keeps_its_order_while_others_arrive_and_are_decided(self):
        first, second = waiting(), waiting()
        browser = signed_in()
        page, query = opened(browser)
        assert listed(page) == ids(first, second)
        decide(browser, first, query)
        waiting("medium", params={"note": "late"})
        Proposal.objects.filter(pk=second.pk).update(expires_at=clock.now())
        assert listed(again(browser, query)) == ids(first, second)

    def test_says_of_items_decided_meanwhile_by_whom_and_when_and_dims_them(self):
        mine, theirs, expired, open_ = waiting(), waiting(), waiting(), waiting()
        browser = signed_in()
        _, query = opened(browser)
        decide(browser, mine, query)
        factories.review(theirs, "reject", reviewer=make_person("ana", last_name="Ruiz"))
        Proposal.objects.filter(pk=expired.pk).update(expires_at=clock.now())
        services.expire(proposal_id=expired.pk)
        page = again(browser, query)
        cells = page.inside("td")
        assert "approved by you," in cells
        assert "rejected by Ana Ruiz," in cells
        assert "expired," in cells
        assert len(page.all("tr", **{"class": "is-done"})) == 3
        assert str(open_.pk) in page.html

    def test_leads_to_the_next_item_that_is_left_and_back_to_the_same_place(self):
        first, second, third = waiting(), waiting(), waiting()
        browser = signed_in()
        _, query = opened(browser)
        factories.approve(second, reviewer=make_person("ana"))
        answer = decide(browser, first, query)
        assert answer["Location"] == f"{address('proposal', third)}?{query}"
        page = Page(browser.get(answer["Location"]))
        assert "That was the final approval" in page.text
        [back] = page.all("a", **{"data-key": "u"})
        assert back["href"] == f"{reverse('queue')}?{query}#row-{third.pk}"
        [previous] = page.all("a", **{"data-key": "p"})
        assert previous["href"] == f"{address('proposal', second)}?{query}"

    def test_goes_back_to_items_that_were_skipped_before_it_ends(self):
        first, second = waiting(), waiting()
        browser = signed_in()
        _, query = opened(browser)
        assert decide(browser, second, query)["Location"].startswith(address("proposal", first))

    def test_ends_with_how_it_came_out(self):
        mine, theirs, expired, late = waiting(), waiting(), waiting(), waiting()
        browser = signed_in()
        _, query = opened(browser)
        factories.approve(theirs, reviewer=make_person("ana"))
        Proposal.objects.filter(pk=expired.pk).update(expires_at=clock.now())
        services.expire(proposal_id=expired.pk)
        decide(browser, late, query, "comment")
        answer = decide(browser, mine, query)
        assert answer["Location"] == f"{reverse('list-summary')}?{query}"
        page = Page(browser.get(answer["Location"]))
        wanted = "You decided 1, commented on 1, 1 was decided by others, 1 expired."
        assert wanted in page.inside("h1")
        assert "1 of it is still in the list." in page.text
        assert "Approved: Paint the bear blue" in page.text

    def test_does_not_lead_in_circles_through_comments(self):
        first, second = waiting(), waiting()
        browser = signed_in()
        _, query = opened(browser)
        answer = decide(browser, first, query, "comment")
        assert answer["Location"].startswith(address("proposal", second))
        answer = decide(browser, second, query, "comment")
        assert answer["Location"].startswith(reverse("list-summary"))

    def test_is_of_no_use_to_anybody_else_or_with_other_filters(self):
        first, second = waiting(), waiting()
        _, query = opened(signed_in())
        factories.approve(first)
        other = signed_in(make_person("ravi"))
        assert listed(again(other, query)) == ids(second)
        elsewhere = query.replace("tab=waiting", "tab=open&tier=medium")
        assert "is-done" not in again(signed_in(), elsewhere).html

    @pytest.mark.parametrize("key", ["nonsense", "a" * 300, "é", "%F0%9F%98%80"])
    def test_that_is_not_known_is_built_anew(self, key):
        proposal = waiting()
        assert listed(again(signed_in(), f"tab=waiting&list={key}")) == ids(proposal)
        answer = signed_in().get(f"{reverse('list-summary')}?tab=waiting&list={key}")
        assert answer["Location"] == f"{reverse('queue')}?tab=waiting"

    def test_is_kept_once_when_opened_again_unchanged(self):
        waiting()
        browser = signed_in()
        queries = {opened(browser)[1] for _ in range(3)}
        assert len(queries) == 1
        assert StoredList.objects.count() == 1
        waiting()
        assert opened(browser)[1] not in queries

    def test_is_removed_by_the_clock_when_nobody_works_it_down_any_more(self):
        waiting()
        browser = signed_in()
        _, old = opened(browser)
        StoredList.objects.update(made_at=clock.now() - LIST_LIFETIME)
        _, young = opened(browser, "?tab=open")
        Tidying().run()
        assert [one.key in young for one in StoredList.objects.all()] == [True]
        assert opened(browser)[1] != old

    def test_comes_in_pages_that_keep_the_list(self, monkeypatch):
        monkeypatch.setattr("proposals.console.lists.PAGE", 2)
        made = [waiting(params={"note": number}) for number in range(5)]
        browser = signed_in()
        first, query = opened(browser)
        [following] = first.all("a", **{"data-key": "n"})
        waiting()
        second = Page(browser.get(following["href"]))
        last = Page(browser.get(f"{reverse('queue')}?{query}&page=99"))
        assert listed(first) + listed(second) + listed(last) == ids(*made)
        assert "3 to 4 of 5." in second.text
        page = Page(browser.get(f"{address('proposal', made[3])}?{query}"))
        [back] = page.all("a", **{"data-key": "u"})
        assert "&page=2#row-" in back["href"]

    def test_tells_htmx_the_address_that_names_its_order(self):
        waiting()
        answer = signed_in().get(reverse("queue") + "?tab=open", headers={"HX-Request": "true"})
        assert answer["HX-Push-Url"].startswith(f"{reverse('queue')}?tab=open&list=")

    def test_says_as_which_group_a_person_would_fill_a_seat(self):
        waiting("high")
        cells = Page(signed_in(senior()).get(reverse("queue"))).inside("td")
        assert "0 of 2" in cells
        assert "you would be: senior-reviewers" in cells


class TestAListsMarks:
    def test_name_a_comment_that_blocks_until_it_is_resolved(self):
        blocked, free = waiting(), waiting(params={"toy": "duck"})
        ana = make_person("ana")
        factories.review(blocked, "comment", reviewer=ana)
        browser = signed_in()
        assert "blocked by a comment" not in opened(browser)[0].text, "that one blocks nothing"
        factories.review(blocked, "comment", reviewer=ana, blocks=True)
        page, query = opened(browser)
        assert listed(page) == ids(blocked, free)
        assert page.text.count("blocked by a comment") == 1
        assert "0 of 1" in page.text, "it fills no seat"
        services.resolve_comment(review_id=Review.objects.latest("pk").pk, person=ana)
        assert "blocked by a comment" not in again(browser, query).text

    def test_name_what_holds_an_approved_write_and_only_that(self):
        held, free = waiting(), waiting(params={"toy": "duck"})
        for one in (held, free):
            factories.approve(one)
        browser = signed_in()
        assert "held" not in opened(browser, "?tab=open")[0].inside("span").split()
        services.freeze(reason="A loop.", run=held.run)
        Proposal.objects.filter(pk=free.pk).update(run=None)
        page, _ = opened(browser, "?tab=open")
        assert page.inside("span").split().count("held") == 1


class TestFilters:
    @pytest.mark.parametrize(
        "chosen",
        ["object=toys/duck", "marked=for-good", "marked=hidden", "checks=none", "due=24"],
    )
    def test_find_what_the_system_computed(self, chosen):
        plain = waiting()
        wanted = {
            "object=toys/duck": lambda: waiting(params={"toy": "duck"}),
            "marked=for-good": lambda: waiting(params={"for_good": True}),
            "marked=hidden": lambda: waiting(params={"note": "paid \u202e twice"}),
            "checks=none": factories.make_proposal,
            "due=24": lambda: waiting("high"),
        }[chosen]()
        browser = signed_in(senior())
        page, _ = opened(browser, f"?tab=open&{chosen}")
        assert listed(page) == ids(wanted)
        assert str(plain.pk) in browser.get(reverse("queue") + "?tab=open").content.decode()

    def test_find_failed_previews_conflicts_duplicates_and_undos(self):
        box.failing["preview"] = "unclear"
        failed = waiting()
        box.failing.clear()
        twin = waiting(params={"toy": "duck"})
        double = waiting(params={"toy": "duck"})
        factories.approve(twin)
        work()
        undo = services.undo(proposal_id=twin.pk, person=make_person("ana"), reason="A mix-up.")
        browser = signed_in()
        for chosen, found in (
            ("checks=error", failed),
            ("marked=duplicate", double),
            ("marked=undo", undo),
        ):
            page, _ = opened(browser, f"?tab=open&{chosen}")
            assert listed(page) == ids(found), chosen

    def test_name_what_was_chosen_in_words_when_nothing_is_found(self):
        waiting()
        page = Page(signed_in().get(reverse("queue") + "?tab=open&marked=for-good&due=4"))
        assert "Marked: Not reversible" in page.text
        assert "Due: Within 4 hours" in page.text

    @pytest.mark.parametrize("nonsense", ["marked=x", "due=-1", "object=" + "a" * 999])
    def test_that_make_no_sense_are_ignored(self, nonsense):
        proposal = waiting()
        assert listed(opened(signed_in(), f"?tab=open&{nonsense}")[0]) == ids(proposal)


class TestThePulse:
    def test_counts_every_list_and_says_what_is_new_and_decided(self):
        first, _ = waiting(), waiting()
        browser = signed_in()
        _, query = opened(browser)
        facts = pulse(browser, query).json()
        assert facts == {
            "counts": {
                "waiting": "2",
                "mine": "0",
                "open": "2",
                "moved": "0",
                "held": "0",
                "soon": "0",
                "stuck": "0",
                "unknown": "0",
            },
            "news": "",
            "stale": False,
        }
        waiting(params={"note": "new"})
        factories.approve(first, reviewer=make_person("ana"))
        facts = pulse(browser, query).json()
        assert facts["news"] == "1 new, 1 decided"
        assert facts["counts"]["waiting"] == "2"

    def test_says_nothing_new_of_what_the_filters_leave_out(self):
        waiting()
        browser = signed_in()
        _, query = opened(browser, "?tab=open&tier=medium")
        waiting("high")
        assert pulse(browser, query).json()["news"] == ""

    def test_tells_of_what_became_visible_only_after_the_list_was_read(self):
        waiting()
        browser = signed_in()
        _, query = opened(browser)
        late, stored = waiting(params={"note": "late"}), StoredList.objects.get()
        Proposal.objects.filter(pk=late.pk).update(updated_at=stored.made_at - timedelta(seconds=5))
        assert pulse(browser, query).json()["news"] == "1 new"

    def test_answers_304_until_something_happens(self, monkeypatch):
        monkeypatch.setattr("proposals.console.pulse.time.time", lambda: 0.0)
        proposal = waiting()
        browser = signed_in()
        _, query = opened(browser)
        tag = pulse(browser, query)["ETag"]
        same = pulse(browser, query, if_none_match=tag)
        assert (same.status_code, same.content, same["ETag"]) == (304, b"", tag)
        assert pulse(signed_in(senior()), query, if_none_match=tag).status_code == 200
        factories.review(proposal, "comment")
        assert pulse(browser, query, if_none_match=tag).status_code == 200

    def test_forgets_after_a_minute_because_time_alone_makes_things_due(self, monkeypatch):
        browser = signed_in()
        moments = [0.0]
        monkeypatch.setattr("proposals.console.pulse.time.time", lambda: moments[0])
        tag = pulse(browser, "tab=open")["ETag"]
        moments[0] = 61.0
        assert pulse(browser, "tab=open", if_none_match=tag).status_code == 200

    def test_takes_few_statements_whatever_the_number_of_rows(self, monkeypatch):
        monkeypatch.setattr("proposals.console.pulse.time.time", lambda: 0.0)
        browser = signed_in()
        counts = []
        for rows in (3, 20):
            for number in range(rows):
                waiting(params={"note": number})
            _, query = opened(browser)
            with CaptureQueriesContext(connection) as captured:
                answer = pulse(browser, query)
            with CaptureQueriesContext(connection) as unchanged:
                pulse(browser, query, if_none_match=answer["ETag"])
            counts.append((len(captured), len(unchanged)))
        assert counts == [(14, 6), (14, 6)]

    def test_is_for_people_alone_and_harms_nobody_who_asks_nonsense(self):
        assert Client().get(reverse("pulse")).status_code == 302
        browser = signed_in()
        assert pulse(browser, "tab=x&list=nonsense").json()["news"] == ""
        assert pulse(browser, "proposal=nonsense").status_code == 404
        nobody = "0190f0a0-0000-7000-8000-000000000000"
        assert pulse(browser, f"proposal={nobody}").status_code == 404
        assert browser.post(reverse("pulse")).status_code == 405


class TestNewsOnTheReviewPage:
    def asked(self, browser: Client, proposal: Proposal) -> str:
        """Where its page asks for news."""
        page = Page(browser.get(address("proposal", proposal)))
        [news] = [one for _, one in page.elements if "data-news" in one]
        return news["data-pulse"].partition("?")[2]

    def test_is_none_while_nothing_changed_or_only_a_comment_was_made(self):
        proposal = waiting()
        browser = signed_in()
        query = self.asked(browser, proposal)
        factories.review(proposal, "comment", reviewer=make_person("ana"))
        assert pulse(browser, query).json()["stale"] is False

    def test_tells_of_a_decision_of_somebody_else(self):
        proposal = waiting("high")
        browser = signed_in(senior())
        query = self.asked(browser, proposal)
        factories.approve(proposal, reviewer=senior("sara"), fact="bear")
        facts = pulse(browser, query).json()
        assert facts["news"].startswith("Sara approved at ")
        assert facts["stale"] is True

    @pytest.mark.parametrize(
        ("who", "said"),
        [("rita", "You resolved your own comment at "), ("ana", "Ana resolved your comment at ")],
    )
    def test_tells_of_the_end_of_a_comment_that_blocked(self, who, said):
        proposal = waiting()
        browser = signed_in()
        factories.review(proposal, "comment", about="bear", field="colour", blocks=True)
        query = self.asked(browser, proposal)
        written = Review.objects.get()
        person = make_person(who)
        services.resolve_comment(review_id=written.pk, person=person, reason="I have looked.")
        facts = pulse(browser, query).json()
        assert facts["news"].startswith(said)
        assert facts["stale"] is True

    def test_tells_of_another_result_of_the_checks_and_of_another_revision(self):
        proposal, amended = waiting(), waiting(params={"toy": "duck"})
        browser = signed_in()
        query, other = self.asked(browser, proposal), self.asked(browser, amended)
        box.colours["bear"] = "green"
        services.recheck(proposal_id=proposal.pk, reason="The target moved.")
        work()
        said = pulse(browser, query).json()["news"]
        assert said.startswith("Checked again at ")
        Proposal.objects.filter(pk=amended.pk).update(revision_number=2)
        assert "Revision 2 was written at " in pulse(browser, other).json()["news"]

    def test_tells_that_it_ended(self):
        proposal = waiting()
        browser = signed_in()
        query = self.asked(browser, proposal)
        Proposal.objects.filter(pk=proposal.pk).update(expires_at=clock.now())
        services.expire(proposal_id=proposal.pk)
        assert "it is: expired." in pulse(browser, query).json()["news"]

    def test_is_not_asked_for_where_nothing_can_change(self):
        proposal = waiting()
        factories.review(proposal, "reject")
        assert "data-pulse" not in Page(signed_in().get(address("proposal", proposal))).html
