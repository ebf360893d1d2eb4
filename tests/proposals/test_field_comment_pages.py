"""Comments on a field, on the review page: the link, the form, what is shown where, and the end."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.http import urlencode

from proposals import services
from proposals.console import news
from proposals.models import Proposal, Resolution, Review
from tests import factories
from tests.factories import fresh, make_agent, make_checked, make_person, work
from tests.proposals.test_console import HTMX, Page, address, signed_in, verdict, waiting
from tests.proposals.test_field_comments import PLACE, WHY, amend, bob, comment, resolve
from tests.toys import box

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.usefixtures("toybox")]
ASKED = f"?tab=waiting&{urlencode(PLACE)}"
SAID = "Rita’s comment on colour of bear blocks approval until it is resolved."


def opened(proposal: Proposal, query: str = "?tab=waiting", person=None) -> Page:
    return Page(signed_in(person).get(address("proposal", proposal, query)))


def end_of(written: Review) -> str:
    return reverse("resolve-comment", args=[written.proposal_id, written.pk])


def send_comment(proposal: Proposal, **more: str):
    data = verdict(proposal, "comment", **{**PLACE, "reason": "Is blue right?", **more})
    return signed_in().post(address("decide", proposal), data)


class TestTheLink:
    def test_of_a_changed_field_leads_to_the_form_and_keeps_the_place_in_the_list(self):
        proposal = waiting()
        [link] = opened(proposal).all("a", **{"class": "comment-link"})
        assert link["href"] == f"{address('proposal', proposal)}{ASKED}#decision"

    def test_is_not_there_for_who_may_not_decide(self):
        proposal = waiting()
        olga = make_person("olga", groups=["operators"])
        assert not opened(proposal, person=olga).all("a", **{"class": "comment-link"})

    def test_is_not_there_once_it_is_decided(self):
        proposal = waiting()
        factories.review(proposal, "reject")
        assert not opened(proposal).all("a", **{"class": "comment-link"})

    def test_is_not_on_the_undo_page(self):
        done = make_checked()
        olga = make_person("olga", groups=["operators"])
        page = Page(signed_in(olga).get(address("undo", done)))
        assert not page.all("a", **{"class": "comment-link"})

    def test_is_asked_for_in_a_notice_with_the_place_in_the_form(self):
        page = opened(waiting(), ASKED)
        assert "This comment is about colour of bear" in page.text
        assert page.all("input", type="hidden", name="about", value="bear")
        assert page.all("input", type="hidden", name="field", value="colour")
        assert page.all("input", type="checkbox", name="blocks")
        assert not [one for one in page.all("input", name="decision") if "checked" in one]

    @pytest.mark.parametrize(
        "asked",
        [
            {"about": "bear", "field": "size"},
            {"about": "Call this number", "field": "now"},
            {"about": "bear"},
        ],
    )
    def test_to_what_is_not_shown_is_said_and_puts_nothing_into_the_page(self, asked):
        page = opened(waiting(), f"?{urlencode(asked)}")
        assert "no such field to comment on" in page.text
        assert "Call this number" not in page.html
        assert not page.all("input", name="about")


class TestTheForm:
    def test_stores_a_comment_on_the_field_that_blocks(self):
        proposal = waiting()
        assert send_comment(proposal, blocks="on").status_code == 302
        written = Review.objects.get()
        assert (written.object, written.field, written.blocks) == ("bear", "colour", True)

    def test_without_the_tick_blocks_nothing(self):
        proposal = waiting()
        send_comment(proposal)
        assert not Review.objects.get().blocks

    def test_takes_another_verdict_as_about_the_whole(self):
        proposal = waiting()
        answer = signed_in().post(
            address("decide", proposal), verdict(proposal, "request_changes", **PLACE)
        )
        assert answer.status_code == 302
        assert Review.objects.get().field == ""

    @pytest.mark.parametrize("headers", [{}, HTMX])
    def test_refuses_an_approval_with_the_tick_and_lets_it_be_sent_again(self, headers):
        proposal, browser = waiting(), signed_in()
        answer = browser.post(
            address("decide", proposal), verdict(proposal, blocks="on"), headers=headers
        )
        assert answer.status_code == 422
        page = Page(answer)
        assert "Only a comment can block approval" in page.text
        assert not Review.objects.exists()
        [tick] = page.all("input", name="blocks")
        assert "checked" not in tick
        [chosen] = page.all("input", name="decision", value="approve")
        assert "checked" in chosen

    def test_keeps_what_was_typed_when_the_reason_is_missing(self):
        page = Page(send_comment(waiting(), reason=" ", blocks="on"))
        assert "Say why, so that others can follow." in page.text
        assert page.all("input", name="about", value="bear")
        [tick] = page.all("input", name="blocks")
        assert "checked" in tick

    @pytest.mark.parametrize(
        "odd", [{"about": "x" * 300}, {"field": "size"}, {"field": ""}, {"about": "<b>&\u202e"}]
    )
    def test_says_so_when_the_field_is_not_there(self, odd):
        answer = send_comment(waiting(), **odd)
        assert answer.status_code == 422
        assert "Nothing was recorded." in Page(answer).text
        assert "<b>&\u202e" not in answer.content.decode()
        assert not Review.objects.exists()


class TestAComment:
    def test_is_under_its_row_with_who_and_when(self):
        proposal = waiting()
        written = comment(proposal, blocks=False)
        page = opened(proposal, person=bob())
        [row] = page.all("tr", **{"class": "remarks"})
        assert row
        assert page.all("div", **{"class": "remark"}, id=f"comment-{written.pk}")
        assert "Rita commented" in page.text
        assert page.inside("blockquote").count("Is blue the right one?") == 2, "timeline and row"
        assert "Fix:" not in page.text
        assert not page.all("form", action=end_of(written))

    def test_holds_a_reviewers_words_made_visible(self):
        proposal = waiting()
        comment(proposal, reason="<script>alert(1)</script>\u202e", field="colour")
        page = opened(proposal, person=bob())
        assert "<script>alert(1)" not in page.html
        assert "\u202e" not in page.html
        assert page.text.count("[U+202E RLO]") == 2

    def test_that_blocks_is_first_among_what_is_in_the_way(self):
        proposal = waiting()
        written = comment(proposal)
        page = opened(proposal, person=bob())
        assert f"Fix: {SAID}" in page.text
        assert page.all("a", href=f"#comment-{written.pk}")
        [approve] = page.all("input", name="decision", value="approve")
        assert "disabled" in approve
        [reject] = page.all("input", name="decision", value="reject")
        assert "disabled" not in reject
        assert page.all("form", action=end_of(written))

    def test_that_blocks_is_no_row_of_an_undone_or_ended_proposal(self):
        proposal = waiting()
        written = comment(proposal)
        factories.review(proposal, "reject", reviewer=bob())
        page = opened(proposal, person=bob())
        assert "Fix:" not in page.text
        assert "was not resolved" in page.text
        assert not page.all("form", action=end_of(written))

    def test_on_a_field_that_is_not_shown_any_more_is_among_the_blockers(self):
        proposal = waiting()
        written = comment(proposal)
        amend(proposal, toy="duck", colour="green", tier="medium")
        work()
        page = opened(proposal, person=bob())
        assert not page.all("tr", **{"class": "remarks"})
        assert f"Fix: {SAID}" in page.text
        assert page.all("form", action=end_of(written))
        assert "Rita commented on colour of bear" in page.text

    def test_on_a_field_that_no_longer_changes_is_among_the_blockers(self):
        """Its row is folded, and what blocks must be seen."""
        proposal = waiting()
        written = comment(proposal)
        amend(proposal, colour=box.colours["bear"], tier="medium")
        work()
        page = opened(proposal, person=bob())
        assert page.all("form", action=end_of(written))
        assert len(page.all("div", id=f"comment-{written.pk}")) == 1

    def test_about_the_whole_is_among_the_blockers(self):
        proposal = waiting()
        written = comment(proposal, about="", field="")
        page = opened(proposal, person=bob())
        assert "Fix: Rita’s comment blocks approval until it is resolved." in page.text
        assert page.all("form", action=end_of(written))

    def test_is_all_that_is_missing_to_what_the_rules_allow(self):
        proposal = waiting()
        comment(proposal)
        amend(proposal, colour="green", tier="low")
        work()
        assert "Needs review, a comment to resolve" in opened(proposal).text
        listed = Page(signed_in().get(reverse("queue")))
        assert "a comment to resolve" in listed.text

    def test_offers_no_end_to_who_may_not_resolve_it(self):
        owner = make_person("otis", groups=["reviewers"])
        proposal = waiting(agent=make_agent("toy-bot", owner=owner))
        written = comment(proposal)
        page = opened(proposal, person=owner)
        assert f"Fix: {SAID}" in page.text
        assert not page.all("form", action=end_of(written))

    def test_is_news_of_an_open_page_if_it_blocks(self):
        proposal = waiting()
        seen = news.standing(proposal)
        comment(proposal, blocks=False)
        assert news.standing(proposal) == seen
        written = comment(proposal)
        assert news.standing(proposal)["review"] == written.pk

    def test_takes_no_more_statements_for_many(self):
        proposal, browser = waiting(), signed_in(bob())

        def statements() -> int:
            with CaptureQueriesContext(connection) as captured:
                browser.get(address("proposal", proposal))
            return len(captured)

        resolve(comment(proposal))
        comment(proposal)
        before = statements()
        for _ in range(4):
            comment(proposal)
        assert statements() == before


class TestResolving:
    def test_comes_back_to_the_comment_in_the_same_place_of_the_list(self):
        proposal = waiting()
        written = comment(proposal)
        answer = signed_in(bob()).post(end_of(written), {**WHY, "list": "tab=waiting"})
        page = f"{address('proposal', proposal)}?tab=waiting#comment-{written.pk}"
        assert (answer.status_code, answer["Location"]) == (302, page)
        shown = opened(proposal, person=bob())
        assert "Resolved by Bob" in shown.text
        assert "We spoke about it." in shown.text
        assert "Bob resolved the comment on colour of bear" in shown.text, "the timeline"
        [approve] = shown.all("input", name="decision", value="approve")
        assert "disabled" not in approve

    def test_of_the_last_one_says_that_it_is_approved(self):
        proposal = waiting()
        written = comment(proposal)
        amend(proposal, colour="green", tier="low")
        work()
        browser = signed_in()
        answer = browser.post(end_of(written), follow=True)
        assert "Nothing else was missing, so it is approved" in Page(answer).text
        assert fresh(proposal).status == "approved"

    def test_keeps_what_was_typed_when_it_is_refused(self):
        proposal = waiting()
        written = comment(proposal)
        answer = signed_in(bob()).post(end_of(written), {"reason": " ", "list": "tab=waiting"})
        assert answer.status_code == 422
        page = Page(answer)
        assert "it is not your own comment" in page.text
        long = signed_in(bob()).post(end_of(written), {"reason": "y" * 501})
        assert long.status_code == 422
        assert "y" * 501 in long.content.decode()
        assert not Resolution.objects.exists()

    def test_by_who_may_not_is_refused_with_the_reason(self):
        proposal = waiting()
        written = comment(proposal)
        olga = make_person("olga", groups=["operators"])
        answer = signed_in(olga).post(end_of(written), WHY)
        assert answer.status_code == 422
        assert not Resolution.objects.exists()

    def test_twice_says_that_it_was_done(self):
        proposal = waiting()
        written = comment(proposal)
        browser = signed_in(bob())
        browser.post(end_of(written), WHY)
        answer = browser.post(end_of(written), WHY, follow=True)
        assert "Bob has already resolved this comment." in Page(answer).text
        assert Resolution.objects.count() == 1

    def test_of_another_proposals_comment_is_not_there(self):
        proposal, other = waiting(), waiting(params={"note": 1})
        written = comment(other)
        url = reverse("resolve-comment", args=[proposal.pk, written.pk])
        assert signed_in(bob()).post(url, WHY).status_code == 404
        huge = reverse("resolve-comment", args=[proposal.pk, 10**30])
        assert signed_in(bob()).post(huge, WHY).status_code == 404

    def test_takes_a_post(self):
        written = comment(waiting())
        assert signed_in(bob()).get(end_of(written)).status_code == 405


def test_the_story_of_a_proposal_tells_of_the_comment_and_its_end():
    proposal = waiting()
    written = comment(proposal)
    services.resolve_comment(review_id=written.pk, person=bob(), **WHY)
    alma = make_person("alma", groups=["auditors"])
    text = Page(signed_in(alma).get(address("explain", proposal))).text
    assert "Rita commented on colour of bear, in revision 1" in text
    assert "nobody can approve until that is resolved" in text
    assert "Bob resolved the comment on colour of bear that blocked approval." in text
    assert "it blocked approval until Bob resolved it: We spoke about it." in text
