"""A person has what moved checked anew: in their name, and only where it comes out otherwise."""

import pytest
from django.conf import settings
from django.test import Client

from ledger.models import LedgerEntry
from proposals import services
from proposals.exceptions import IllegalTransition, NotEligible, NotFound, StaleDigest
from proposals.models import Execution, Proposal, Rule
from tests import factories
from tests.factories import fresh, make_person, work
from tests.proposals.test_console import Page, address, senior, signed_in, waiting
from tests.toys import box

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]

BUTTON = "Re-check against live"


def recheck(proposal: Proposal, person=None, digest: str = "") -> Proposal:
    wanted = digest or fresh(proposal).current_check.digest
    return services.recheck_against_live(
        proposal_id=proposal.pk, person=person or make_person(), digest=wanted
    )


def buttons(proposal: Proposal, browser: Client | None = None) -> str:
    return Page((browser or signed_in()).get(address("proposal", proposal))).inside("button")


class TestThePage:
    def test_offers_it_where_the_target_moved_and_does_it_by_a_plain_form(self):
        proposal = waiting()
        assert BUTTON not in buttons(proposal)
        box.colours["bear"] = "green"
        browser = signed_in()
        assert BUTTON in buttons(proposal, browser)
        sent = {"digest": fresh(proposal).current_check.digest, "list": "tab=open"}
        answer = browser.post(address("recheck", proposal), sent)
        assert answer["Location"] == f"{address('proposal', proposal)}?tab=open"
        assert fresh(proposal).status == "submitted"
        work()
        page = Page(browser.get(answer["Location"]))
        assert "Checked again, with another result." in page.text
        assert "Rita sent it back to be checked" in page.text
        assert "The target moved since it was checked." in page.text
        assert BUTTON not in page.inside("button")
        factories.approve(proposal)
        work()
        assert box.colours["bear"] == "blue"

    def test_offers_it_to_whoever_may_decide_alone(self):
        proposal = waiting("high")
        box.colours["bear"] = "green"
        assert BUTTON not in buttons(proposal)
        assert BUTTON in buttons(proposal, signed_in(senior()))

    def test_offers_it_where_nothing_could_be_previewed(self):
        box.failing["preview"] = "unavailable"
        proposal = waiting()
        assert BUTTON in buttons(proposal, signed_in(senior()))
        with pytest.raises(IllegalTransition, match="cannot be previewed just now"):
            recheck(proposal, senior())
        box.failing.clear()
        recheck(proposal, senior())
        work()
        assert fresh(proposal).current_check.error == ""

    def test_says_why_nothing_was_done(self):
        proposal = waiting()
        sent = {"digest": fresh(proposal).current_check.digest}
        answer = signed_in().post(address("recheck", proposal), sent, follow=True)
        assert "Nothing was done: The target is as it was checked" in Page(answer).text
        answer = signed_in().post(address("recheck", proposal), {}, follow=True)
        assert "Nothing was done: What you were shown is no longer" in Page(answer).text


class TestIt:
    def test_is_in_the_ledger_with_who_wanted_it(self):
        proposal = waiting()
        seen = fresh(proposal).current_check.digest
        box.colours["bear"] = "green"
        recheck(proposal)
        entry = LedgerEntry.objects.filter(kind="proposal.submitted").latest("id")
        assert entry.actor == f"user:{make_person().pk}"
        assert entry.actor_name == "Rita"
        assert entry.body["digest"] == seen

    def test_leaves_everything_alone_where_nothing_moved(self):
        proposal = waiting("high")
        factories.approve(proposal, reviewer=senior("sara"), fact="bear")
        before, entries = fresh(proposal), LedgerEntry.objects.count()
        with pytest.raises(IllegalTransition, match="nothing to check anew"):
            recheck(proposal, senior())
        after = fresh(proposal)
        assert (after.round, after.status, after.updated_at) == (
            before.round,
            "pending",
            before.updated_at,
        )
        assert LedgerEntry.objects.count() == entries

    def test_voids_nothing_because_the_target_is_out_of_reach(self):
        proposal = waiting("high")
        factories.approve(proposal, reviewer=senior("sara"), fact="bear")
        box.failing["preview"] = "unavailable"
        with pytest.raises(IllegalTransition, match="cannot be previewed just now"):
            recheck(proposal, senior())
        assert fresh(proposal).round == 1

    def test_keeps_approvals_of_what_is_back_where_it_was_when_the_check_runs(self):
        proposal = waiting("high")
        factories.approve(proposal, reviewer=senior("sara"), fact="bear")
        box.colours["bear"] = "green"
        recheck(proposal, senior())
        box.colours["bear"] = "brown"
        work()
        assert fresh(proposal).status == "pending"
        page = Page(signed_in(senior()).get(address("proposal", proposal)))
        assert "1 of 2" in page.text
        factories.approve(proposal, reviewer=senior(), fact="bear")
        assert fresh(proposal).status == "approved"

    def test_makes_approvals_of_what_is_no_longer_true_stop_counting_and_says_so(self):
        proposal = waiting("high")
        factories.approve(proposal, reviewer=senior("sara"), fact="bear")
        box.colours["bear"] = "green"
        recheck(proposal, senior())
        work()
        page = Page(signed_in(senior()).get(address("proposal", proposal)))
        assert page.inside("del").split() == ["Sara", "approved"]
        assert "0 of 2" in page.text

    def test_never_lets_through_what_people_were_asked_about(self):
        proposal = waiting()
        Rule.objects.all().delete()
        Rule.objects.create(name="All", effect="allow")
        box.colours["bear"] = "green"
        recheck(proposal)
        work()
        assert fresh(proposal).status == "pending"
        assert not Execution.objects.exists()

    def test_is_none_of_the_rechecks_in_a_row_and_forgives_none(self):
        proposal = waiting()
        for colour in ("green", "pink", "grey"):
            factories.approve(proposal)
            Proposal.objects.filter(pk=proposal.pk).update(rechecks=2)
            box.colours["bear"] = colour
            work()
            assert fresh(proposal).rechecks == settings.RECHECKS_BEFORE_PEOPLE
        box.colours["bear"] = "red"
        recheck(proposal)
        work()
        after = fresh(proposal)
        assert (after.status, after.rechecks) == ("pending", settings.RECHECKS_BEFORE_PEOPLE)
        reasons = [one["code"] for one in after.current_check.reasons]
        assert "target-keeps-moving" in reasons

    def test_keeps_a_comment_that_blocks_in_the_way(self):
        proposal = waiting()
        factories.review(proposal, "comment", blocks=True)
        box.colours["bear"] = "green"
        recheck(proposal)
        work()
        with pytest.raises(NotEligible, match="blocks approval"):
            factories.approve(proposal)


class TestRefused:
    def test_is_who_may_not_decide_or_saw_something_else(self):
        proposal = waiting()
        box.colours["bear"] = "green"
        owner = proposal.agent.owner
        owner.groups.set(make_person().groups.all())
        for person in (owner, make_person("alma", groups=["auditors"])):
            with pytest.raises(NotEligible):
                recheck(proposal, person)
        with pytest.raises(StaleDigest):
            recheck(proposal, digest="sha256:" + "0" * 64)
        with pytest.raises(NotFound):
            services.recheck_against_live(
                proposal_id="0190f0a0-0000-7000-8000-000000000000",
                person=make_person(),
                digest="x",
            )
        assert fresh(proposal).round == 1

    @pytest.mark.parametrize("decision", ["approve", "reject", "request_changes"])
    def test_is_what_does_not_wait_for_people(self, decision):
        proposal = waiting()
        factories.review(proposal, decision)
        box.colours["bear"] = "green"
        before = fresh(proposal)
        with pytest.raises(IllegalTransition):
            recheck(proposal)
        assert fresh(proposal).status == before.status

    def test_is_whoever_came_too_late_while_the_target_was_read(self, monkeypatch):
        proposal = waiting()
        box.colours["bear"] = "green"

        def meanwhile(name, params):
            factories.review(proposal, "request_changes")
            return examined(name, params)

        from proposals import checks

        examined = checks.examine
        monkeypatch.setattr("proposals.checks.examine", meanwhile)
        with pytest.raises(IllegalTransition):
            recheck(proposal)
        assert fresh(proposal).status == "changes_requested"
