"""Who is reviewing what: a note for colleagues that nobody waits for and nothing is decided by."""

from datetime import timedelta
from functools import partial

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from ledger import clock
from ledger.models import LedgerEntry
from proposals import services
from proposals.exceptions import AlreadyDecided, IllegalTransition, NotEligible, NotFound
from proposals.management.commands.clock import Tidying
from proposals.models import Proposal, ReviewClaim
from tests import factories
from tests.factories import fresh, make_person, work
from tests.proposals.test_console import HTMX, Page, address, senior, signed_in, verdict, waiting
from tests.proposals.test_idempotency import all_at_once
from tests.proposals.test_lists import again, decide, opened, pulse
from tests.toys import box

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]


def ana():
    return make_person("ana")


def claim(proposal: Proposal, person=None) -> ReviewClaim:
    return services.claim_review(proposal_id=proposal.pk, person=person or ana())


def page_of(proposal: Proposal, browser: Client | None = None) -> Page:
    return Page((browser or signed_in()).get(address("proposal", proposal)))


def pass_time(minutes: float) -> None:
    for one in ReviewClaim.objects.all():
        ReviewClaim.objects.filter(pk=one.pk).update(until=one.until - timedelta(minutes=minutes))


def ends_in() -> float:
    """Minutes until the one claim there is ends."""
    return (ReviewClaim.objects.get().until - clock.now()).total_seconds() / 60


class TestAClaim:
    def test_is_made_by_a_plain_form_and_told_to_others_who_can_decide_all_the_same(self):
        proposal = waiting()
        anas = signed_in(ana())
        answer = anas.post(address("claim-review", proposal), {"do": "claim"}, follow=True)
        assert "You are reviewing this until" in Page(answer).text
        assert "Ana is reviewing this, until" not in Page(answer).text
        page = page_of(proposal)
        assert "Ana is reviewing this, until" in page.text
        assert not page.all("input", name="do"), "there is nothing to claim"
        factories.approve(proposal)
        work()
        assert fresh(proposal).status == "committed"

    def test_is_no_fact_for_the_ledger(self):
        proposal = waiting()
        before = LedgerEntry.objects.count()
        claim(proposal)
        services.renew_review_claim(proposal_id=proposal.pk, person=ana())
        services.release_review_claim(proposal_id=proposal.pk, person=ana())
        assert LedgerEntry.objects.count() == before

    def test_marks_lists_and_never_in_a_closed_one(self):
        proposal = waiting()
        browser = signed_in()
        _, query = opened(browser)
        claim(proposal)
        assert "Ana is reviewing" in again(browser, query).text
        assert "you are reviewing" in opened(signed_in(ana()))[0].text
        factories.review(proposal, "reject")
        assert "is reviewing" not in again(browser, query).text

    def test_comes_with_htmx_as_the_note_alone(self):
        proposal = waiting()
        answer = signed_in().post(address("claim-review", proposal), {"do": "claim"}, headers=HTMX)
        page = Page(answer)
        assert "You are reviewing this" in page.text
        assert not page.all("h1")
        [note] = [one for one in page.all("form") if "data-claim-seconds" in one]
        assert 590 < int(note["data-claim-seconds"]) <= 600

    def test_of_somebody_else_is_not_taken_over(self):
        proposal = waiting()
        claim(proposal)
        with pytest.raises(AlreadyDecided, match="Ana is reviewing this"):
            claim(proposal, make_person())
        assert ReviewClaim.objects.get().person == ana()
        answer = signed_in().post(address("claim-review", proposal), {"do": "claim"}, follow=True)
        assert "Nothing was noted: Ana is reviewing this" in Page(answer).text

    def test_is_one_at_a_time_so_that_nobody_keeps_a_whole_list(self):
        first, second = waiting(), waiting()
        claim(first)
        claim(second)
        assert [one.proposal for one in ReviewClaim.objects.all()] == [second]

    @pytest.mark.parametrize("who", ["otto", "vera", "nobody"])
    def test_is_for_whoever_may_decide(self, who):
        proposal = waiting("high" if who == "vera" else "medium")
        groups = {"otto": ["reviewers"], "vera": ["reviewers"], "nobody": ["auditors"]}[who]
        person = make_person(who, groups=groups)
        if who == "otto":  # owns the agent
            person.groups.set(make_person().groups.all())
        with pytest.raises(NotEligible):
            claim(proposal, person)
        page = page_of(proposal, signed_in(person))
        assert not page.all("input", name="do")
        signed_in(person).post(address("claim-review", proposal), {"do": "claim"})
        assert not ReviewClaim.objects.exists()

    def test_is_of_what_waits_for_people(self):
        unchecked = factories.make_proposal()
        with pytest.raises(IllegalTransition):
            claim(unchecked)
        done = waiting()
        factories.review(done, "reject")
        with pytest.raises(IllegalTransition):
            claim(done)
        nobody = "0190f0a0-0000-7000-8000-000000000000"
        with pytest.raises(NotFound):
            services.claim_review(proposal_id=nobody, person=ana())

    def test_given_up_while_somebody_else_asks_for_it_is_theirs(self):
        """The insert of the one meets the claim of the other, and the look afterwards no more."""
        proposal, ravi = waiting(), make_person("ravi")
        met = []

        def meets(execute, sql, params, many, context):
            if not met and sql.startswith('INSERT INTO "proposals_reviewclaim"'):
                met.append(sql)
                until = clock.now() + timedelta(minutes=5)
                proposal.refresh_from_db()
                ReviewClaim.objects.create(
                    proposal=proposal, person=ravi, round=proposal.round, until=until
                )
            return execute(sql, params, many, context)

        with connection.execute_wrapper(meets):  # its savepoint takes the other's claim back
            claim(proposal)
        assert met
        assert ReviewClaim.objects.get().person == ana()


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_claims_of_two_by_one_person_leave_one_of_them(self):
        first, second = waiting(), waiting(params={"toy": "duck"})
        person = ana()
        for _ in range(15):
            ReviewClaim.objects.all().delete()
            all_at_once([lambda: claim(first, person), lambda: claim(second, person)])
            assert ReviewClaim.objects.count() == 1

    def test_two_people_who_go_from_one_to_the_other_wait_for_no_one(self):
        first, second = waiting(), waiting(params={"toy": "duck"})
        people = ana(), make_person("ravi")
        for _ in range(10):
            for one, person in zip((first, second), people, strict=True):
                ReviewClaim.objects.filter(proposal=one).delete()
                claim(one, person)
            pass_time(11)
            crossing = zip((second, first), people, strict=True)
            all_at_once([partial(claim, one, person) for one, person in crossing])
            found = {each.person: each.proposal for each in ReviewClaim.objects.all()}
            assert found == {people[0]: second, people[1]: first}


class TestItsEnd:
    def test_comes_after_ten_minutes(self):
        proposal = waiting()
        claim(proposal)
        pass_time(9.9)
        assert "Ana is reviewing" in page_of(proposal).text
        pass_time(0.2)
        assert "Ana is reviewing" not in page_of(proposal).text
        assert claim(proposal, make_person()).person.username == "rita"

    def test_comes_with_the_decision_of_whoever_claimed(self):
        proposal = waiting("high")
        sara = senior("sara")
        claim(proposal, sara)
        factories.approve(proposal, reviewer=senior(), fact="bear")
        assert ReviewClaim.objects.get().person == sara, "she is still at it"
        factories.approve(proposal, reviewer=sara, fact="bear")
        assert not ReviewClaim.objects.exists()

    def test_comes_with_a_fresh_check_and_with_a_new_revision(self):
        proposal = waiting()
        claim(proposal)
        services.recheck(proposal_id=proposal.pk, reason="Once more.")
        work()
        assert "is reviewing" not in page_of(proposal).text
        assert claim(proposal, make_person()).person.username == "rita"

    def test_comes_when_it_is_said_and_by_nobody_elses_saying(self):
        proposal = waiting()
        claim(proposal)
        signed_in().post(address("claim-review", proposal), {"do": "release"})
        assert ReviewClaim.objects.exists()
        answer = signed_in(ana()).post(address("claim-review", proposal), {"do": "release"})
        assert answer.status_code == 302
        assert not ReviewClaim.objects.exists()

    def test_leaves_no_row_behind(self):
        claim(waiting())
        Tidying().run()
        assert ReviewClaim.objects.exists()
        pass_time(11)
        Tidying().run()
        assert not ReviewClaim.objects.exists()


class TestGoingOn:
    def test_follows_from_opening_the_page_and_for_whoever_claimed_alone(self):
        proposal = waiting()
        claim(proposal)
        pass_time(5)
        page_of(proposal)
        assert ends_in() < 6
        page = page_of(proposal, signed_in(ana()))
        assert ends_in() > 9
        [note] = [one for one in page.all("form") if "data-claim-seconds" in one]
        assert int(note["data-claim-seconds"]) > 590

    def test_follows_from_the_pulse_of_a_page_that_is_used(self):
        proposal = waiting()
        claim(proposal)
        browser, query = signed_in(ana()), f"proposal={proposal.pk}"
        pass_time(5)
        pulse(browser, query)
        assert ends_in() < 6, "an open page that nobody uses is no activity"
        answer = pulse(browser, query, x_active="1")
        assert ends_in() > 9
        assert int(answer["X-Claim-Seconds"]) > 590
        until = ReviewClaim.objects.get().until
        again_ = pulse(browser, query, x_active="1", if_none_match=answer["ETag"])
        assert ReviewClaim.objects.get().until == until, "a page in use writes once a minute"
        assert int(again_["X-Claim-Seconds"]) > 580, "whoever missed the answer is told by the next"
        pass_time(2)
        pulse(browser, query, x_active="1", if_none_match=answer["ETag"])
        assert ends_in() > 9

    def test_follows_from_nothing_once_it_has_ended(self):
        proposal = waiting()
        claim(proposal)
        pass_time(10.1)
        assert services.renew_review_claim(proposal_id=proposal.pk, person=ana()) is None
        claim(proposal)
        pass_time(5)
        services.recheck(proposal_id=proposal.pk, reason="Once more.")
        work()
        assert services.renew_review_claim(proposal_id=proposal.pk, person=ana()) is None

    def test_is_told_to_the_open_pages_of_others(self):
        proposal = waiting()
        browser, query = signed_in(), f"proposal={proposal.pk}"
        assert pulse(browser, query).json()["claimed"] == ""
        claim(proposal)
        facts = pulse(browser, query).json()
        assert facts["claimed"].startswith("Ana is reviewing this, until ")
        assert pulse(signed_in(ana()), query).json()["claimed"] == ""

    @pytest.mark.parametrize("query", ["", "proposal=nonsense", "tab=open"])
    def test_takes_nonsense_for_nothing(self, query):
        assert pulse(signed_in(), query, x_active="1").status_code in {200, 404}


class TestTheNext:
    def test_of_others_skips_what_somebody_is_reviewing(self):
        first, claimed, third = waiting(), waiting(), waiting()
        claim(claimed)
        browser = signed_in()
        _, query = opened(browser)
        page = Page(browser.get(f"{address('proposal', first)}?{query}"))
        [following] = page.all("a", **{"data-key": "n"})
        assert following["href"].startswith(address("proposal", third))
        assert decide(browser, first, query)["Location"].startswith(address("proposal", third))
        page = Page(browser.get(f"{address('proposal', third)}?{query}"))
        [before] = page.all("a", **{"data-key": "p"})
        assert before["href"].startswith(address("proposal", claimed)), "going back leads to all"

    def test_of_the_claimer_does_not(self):
        first, claimed = waiting(), waiting()
        claim(claimed, make_person())
        browser = signed_in()
        _, query = opened(browser)
        assert decide(browser, first, query)["Location"].startswith(address("proposal", claimed))

    def test_ends_in_the_summary_which_says_what_is_left(self):
        mine, claimed = waiting(), waiting()
        claim(claimed)
        browser = signed_in()
        _, query = opened(browser)
        answer = decide(browser, mine, query)
        assert answer["Location"].startswith(reverse("list-summary"))
        page = Page(browser.get(answer["Location"]))
        assert "1 of it is still in the list." in page.text
        assert "Somebody else is reviewing 1 of these." in page.text

    def test_skips_nothing_once_the_claim_has_ended(self):
        first, claimed = waiting(), waiting()
        claim(claimed)
        pass_time(11)
        browser = signed_in()
        _, query = opened(browser)
        assert decide(browser, first, query)["Location"].startswith(address("proposal", claimed))


def test_a_claim_holds_no_write_whose_target_moved_either():
    proposal = waiting()
    claim(proposal)
    browser = signed_in()
    browser.post(address("decide", proposal), verdict(proposal))
    box.colours["bear"] = "green"
    work()
    assert fresh(proposal).status == "pending"
    assert "Needs review" in page_of(proposal).text
