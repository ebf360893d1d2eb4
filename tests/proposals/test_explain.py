"""One page, and one command, that tell the whole story of a proposal and prove it."""

import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ledger import sealer, storage_guards
from ledger.models import Access, LedgerEntry
from proposals import services, story
from proposals.exceptions import NotFound
from tests import factories
from tests.proposals.admin.pages import HIDDEN, SAID, hostile_proposal, signed_in, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.DATA_DIR = tmp_path


@pytest.fixture
def amir():
    return signed_in("amir", ["auditors"])


@pytest.fixture
def written(toybox):
    """Proposed, approved by Rita, written, and sealed."""
    proposal = factories.make_checked(params=factories.painting(tier="medium"), run="run-1")
    factories.approve(proposal, reason="Asked for in writing, letter 12.")
    factories.work()
    sealer.seal()
    return factories.fresh(proposal)


def page(browser, proposal):
    return browser.get(reverse("explain", args=[proposal.pk]))


def printed(proposal):
    out = StringIO()
    call_command("explain", str(proposal.pk), stdout=out)
    return out.getvalue()


def tamper(proposal, sql, params=()):
    with storage_guards.lifted(connection), connection.cursor() as cursor:
        cursor.execute(sql, params)


def test_the_page_tells_who_what_and_why_in_order(amir, written):
    html = text_of(page(amir, written))
    for words in (
        "The agent billing-bot asked for this: Paint the bear blue. Approved by Rita. Committed.",
        "The agent billing-bot proposed toys.set on toys/bear, with no evidence.",
        "found medium tier; it can be undone",
        "Reason: “Asked for in writing, letter 12.”",
        "With the decision of Rita, every seat was filled: approved.",
        "computed anew from what is stored, it still has this digest",
        "Neither owns the agent (otto does), nor issued its token, nor proposed it, "
        "nor wrote the revision.",
        "Medium needs one reviewer, version 1",
        "Intact: ",
    ):
        assert words in re.sub(r"</?bdi>", "", html), words
    titles = re.findall(r"<h2[^>]*>\d+\. ([^<]+)</h2>", html)
    assert titles == [
        *("Summary", "What happened", "What the approver saw", "Rules", "Seats", "Budgets"),
        *("Attempts to commit", "Undo", "Around it", "Proof"),
    ]
    for entry in LedgerEntry.objects.filter(stream=written.stream):
        assert reverse("admin:ledger_ledgerentry_change", args=[entry.pk]) in html
        assert bytes(entry.hash).hex() in html


def test_the_terminal_prints_what_the_page_shows(written):
    told = story.build(written.pk)
    text = printed(written)
    for section in told.sections:
        assert section.title in text
    assert "With the decision of Rita, every seat was filled: approved." in text
    assert "Intact: " in text
    rows = sum(len(table.rows) for section in told.sections for table in section.tables)
    assert text.count("\n     ") == rows


def test_an_undo_is_told_from_both_sides(amir, written):
    olga = factories.make_person("olga", groups=["operators"])
    undo = services.undo(proposal_id=written.pk, person=olga, reason="A mix-up.")
    factories.work()
    assert str(undo.pk) in text_of(page(amir, written))
    assert "Committed, then undone" in text_of(page(amir, written))
    html = text_of(page(amir, undo))
    assert "Takes back" in html
    assert str(written.pk) in html


def test_what_was_never_approved_is_told_too(amir, toybox):
    unchecked = factories.make_proposal()
    assert "The checks have not run" in text_of(page(amir, unchecked))
    waiting = factories.make_checked(params=factories.painting(tier="high"))
    assert "0 of 2 filled" in text_of(page(amir, waiting))
    assert "Nobody has approved it." in printed(waiting)
    assert "not yet sealed" in printed(waiting) or "nothing is sealed" in printed(waiting)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE ledger_ledgerentry SET kind = 'a.b' WHERE kind = 'proposal.approved'",
        "UPDATE ledger_ledgerentry SET previous = hash WHERE kind = 'proposal.approved'",
        "DELETE FROM ledger_ledgerentry WHERE kind = 'proposal.reviewed'",
        "UPDATE ledger_leaf SET hash = (SELECT hash FROM ledger_leaf WHERE leaf_index = 0) "
        "WHERE leaf_index = 4",
        "UPDATE proposals_proposal SET ledger_number = ledger_number + 1",
    ],
)
def test_a_change_of_stored_bytes_is_reported(amir, written, change):
    tamper(written, change)
    html = text_of(page(amir, written))
    assert "The ledger does not hold." in html
    assert "TAMPERED WITH: " in html
    with pytest.raises(CommandError, match="does not hold"):
        printed(written)


def test_bytes_that_cannot_be_read_are_reported_and_the_rest_is_told(amir, written):
    tamper(
        written,
        "UPDATE ledger_ledgerentry SET canonical = %s WHERE kind = 'proposal.reviewed'",
        [b"{"],
    )
    html = text_of(page(amir, written))
    assert "its bytes cannot be read; see the proof" in html
    assert "The ledger does not hold." in html


def test_a_check_that_was_changed_is_not_what_was_approved(amir, written):
    tamper(written, "UPDATE proposals_check SET tier = 'low'")
    assert "IT HAS ANOTHER DIGEST NOW" in text_of(page(amir, written))


def test_only_those_who_may_read_the_ledger_see_it(written):
    reviewer = signed_in("rita", ["reviewers"], is_superuser=True)
    assert page(reviewer, written).status_code == 403
    url = reverse("explain", args=[written.pk])
    assert url not in text_of(reviewer.get(reverse("proposal", args=[written.pk])))
    auditor = signed_in("amir", ["auditors"])
    assert url in text_of(auditor.get(reverse("proposal", args=[written.pk])))
    there = reverse("admin:proposals_proposal_change", args=[written.pk])
    assert url in text_of(auditor.get(there))
    entries = auditor.get(reverse("admin:ledger_ledgerentry_changelist"), {"q": str(written.pk)})
    assert url in text_of(entries)


def test_reading_a_story_is_kept_in_the_access_log(amir, written):
    page(amir, written)
    read = Access.objects.get()
    assert (read.what, read.query, read.actor) == (
        "explain",
        str(written.pk),
        f"user:{amir.person.pk}",
    )


def test_nothing_that_an_agent_wrote_is_shown_raw(amir, toybox):
    proposal = hostile_proposal()
    html = text_of(page(amir, proposal))
    assert HIDDEN not in html
    assert "<script>alert" not in html
    assert "[U+202E RLO]" in html
    title = "".join(re.findall(r"<title>.*?</title>|<h2.*?</h2>", html, re.S))
    assert SAID not in title
    out = printed(proposal)
    assert HIDDEN not in out
    assert "[U+202E RLO]" in out
    assert "\x1b" not in out


def test_a_control_character_does_not_reach_the_terminal(toybox):
    proposal = factories.make_checked(rationale="fine\x1b[2J\x1b[1;1Happroved\r\nby all")
    out = printed(proposal)
    assert "\x1b" not in out
    assert "[U+001B ESC]" in out
    assert "\nby all" not in out


def test_who_does_not_exist_has_no_story(amir):
    missing = "00000000-0000-7000-8000-000000000000"
    assert amir.get(reverse("explain", args=[missing])).status_code == 404
    with pytest.raises(NotFound):
        story.build(missing)
    for name in (missing, "nonsense"):
        with pytest.raises(CommandError, match="There is no proposal"):
            call_command("explain", name)


def test_a_long_run_takes_no_more_statements(amir, toybox):
    first = factories.make_checked(run="long")
    counts = []
    for _ in range(2):
        for _ in range(5):
            factories.make_proposal(run="long")
        with CaptureQueriesContext(connection) as queries:
            page(amir, first)
        counts.append(len(queries))
    assert counts[0] == counts[1]
