"""Both tellings of a proposal say what became of approvals, and which seat each one filled."""

import html
import re

import pytest
from django.urls import reverse

from ledger.models import LedgerEntry
from proposals import asides, services
from tests import factories
from tests.factories import fresh, make_checked, make_person, painting, work
from tests.proposals.admin.pages import signed_in, text_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]
SENIOR = ["reviewers", "senior-reviewers"]


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.DATA_DIR = tmp_path


@pytest.fixture
def amir():
    return signed_in("amir", ["auditors"])


@pytest.fixture
def proposal():
    return make_checked(params=painting(tier="high"))


def amend(proposal, **changes):
    services.amend(
        agent=proposal.agent,
        proposal_id=proposal.pk,
        key=factories.new_key(),
        fingerprint=factories.new_key(),
        changes=changes,
    )


def approve(proposal, name):
    factories.approve(proposal, reviewer=make_person(name, groups=SENIOR), fact="bear")


def words(answer):
    bare = re.sub(r"<[^>]+>", " ", text_of(answer))
    return re.sub(r" ([.,;:])", r"\1", " ".join(html.unescape(bare).split()))


def timeline(browser, proposal):
    """The timeline of the review page."""
    text = words(browser.get(reverse("proposal", args=[proposal.pk])))
    return text[text.index("From the ledger") :]


def explained(browser, proposal):
    return words(browser.get(reverse("explain", args=[proposal.pk])))


class TestAnAmendment:
    def test_of_the_words_alone_keeps_approvals_and_both_tellings_say_so(self, amir, proposal):
        approve(proposal, "saul")
        amend(proposal, rationale="Said in other words.")
        work()
        kept = "wrote revision 2; what it writes is the same, so approvals still count"
        assert kept in timeline(amir, proposal)
        assert f"{kept}." in explained(amir, proposal)
        approve(proposal, "sara")
        assert fresh(proposal).status == "approved"

    def test_of_what_is_written_voids_approvals_and_both_tellings_say_so(self, amir, proposal):
        approve(proposal, "saul")
        amend(proposal, params=painting("green", tier="high"))
        work()
        lost = "wrote revision 2; earlier approvals do not count for it"
        assert lost in timeline(amir, proposal)
        assert f"{lost}." in explained(amir, proposal)
        approve(proposal, "sara")
        assert fresh(proposal).status == "pending"

    def test_back_to_what_was_approved_has_its_approvals_again(self, amir, proposal):
        approve(proposal, "saul")
        amend(proposal, params=painting("green", tier="high"))
        work()
        amend(proposal, params=painting("blue", tier="high"))
        work()
        assert "wrote revision 2; earlier approvals do not" in timeline(amir, proposal)
        assert "wrote revision 3; what it writes is the same" in timeline(amir, proposal)
        approve(proposal, "sara")
        assert fresh(proposal).status == "approved"

    def test_says_nothing_of_approvals_before_it_was_checked_or_where_there_are_none(
        self, amir, proposal
    ):
        amend(proposal, rationale="Said in other words.")
        work()
        approve(proposal, "saul")
        amend(proposal, params=painting("green", tier="high"))
        for told in (timeline(amir, proposal), explained(amir, proposal)):
            assert "wrote revision 2" in told
            assert "wrote revision 3" in told
            assert "approvals still count" not in told
            assert "do not count" not in told

    def test_does_not_keep_an_approval_that_was_taken_back(self, amir, proposal):
        approve(proposal, "saul")
        services.withdraw_decision(
            proposal_id=proposal.pk,
            reviewer=make_person("saul"),
            digest=fresh(proposal).current_check.digest,
        )
        work()
        amend(proposal, rationale="Said in other words.")
        work()
        assert "approvals still count" not in timeline(amir, proposal)


class TestAnApproval:
    def test_is_told_with_its_seat_of_how_many_and_the_groups_that_gave_it(self, amir, proposal):
        approve(proposal, "saul")
        approve(proposal, "sara")
        told = explained(amir, proposal)
        assert re.search(r"Saul approved revision 1, \d s after it was checked, seat 1 of 2", told)
        assert "seat 2 of 2, as one of senior-reviewers." in told
        assert "revision 1, seat 2 of 2, as one of senior-reviewers" in timeline(amir, proposal)

    def test_keeps_its_seat_through_an_amendment_of_the_words(self, amir, proposal):
        approve(proposal, "saul")
        amend(proposal, rationale="Said in other words.")
        work()
        approve(proposal, "sara")
        assert re.search(
            r"Sara approved revision 2, \d s after it was checked, seat 2 of 2",
            explained(amir, proposal),
        )

    def test_of_another_content_begins_at_the_first_seat(self, amir, proposal):
        approve(proposal, "saul")
        amend(proposal, params=painting("green", tier="high"))
        work()
        approve(proposal, "sara")
        told = explained(amir, proposal)
        assert told.count("seat 1 of 2") == 2
        assert "seat 2 of 2" not in told

    def test_on_top_of_all_that_were_needed_has_no_seat(self):
        """As where what kept coming back is put before people once more."""
        stream = [(LedgerEntry(number=1, kind="proposal.checked"), {"approvals": 1})]
        for number in (2, 3):
            entry = LedgerEntry(number=number, kind="proposal.reviewed", actor=f"user:{number}")
            stream.append((entry, {"decision": "approve", "digest": "d"}))
        assert asides.told(stream) == {2: ", seat 1 of 1", 3: ""}
