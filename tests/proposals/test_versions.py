"""The change in three views: its fields, the bytes that are hashed, and what is new to a person."""

import hashlib
import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from proposals import services
from proposals.models import Check
from tests import factories
from tests.factories import fresh, make_person, new_key, painting, work
from tests.proposals.test_console import HTMX, Page, address, senior, signed_in, waiting
from tests.toys import box

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.usefixtures("toybox")]


def amend(proposal, *, rationale="As you asked.", **params):
    """The agent writes the next revision, and it is checked."""
    services.amend(
        agent=factories.make_agent(),
        proposal_id=proposal.pk,
        key=new_key(),
        fingerprint=new_key(),
        changes={"params": painting(**{"tier": "medium"} | params), "rationale": rationale},
    )
    work()
    return fresh(proposal)


def comment(proposal, person=None):
    factories.review(proposal, "comment", reviewer=person or make_person())


def opened(proposal, query="", person=None):
    return Page(signed_in(person).get(address("proposal", proposal, f"?tab=open{query}")))


def since(proposal, query="", person=None):
    return opened(proposal, f"&view=since{query}", person)


def change_of(page) -> str:
    """The text of the change's section alone."""
    inside = [text for above, text in page.texts if ("section", "change") in ids(above)]
    return " ".join(" ".join(inside).split())


def ids(above):
    return [(tag, one.get("id")) for tag, one in above]


def tabs(page) -> dict[str, dict]:
    return {one["id"]: one for one in page.all("a") if one.get("id", "").startswith("view-")}


class TestTheViews:
    def test_are_links_that_keep_the_place_in_the_list(self):
        found = tabs(opened(waiting(), "&tier=medium"))
        assert list(found) == ["view-fields", "view-raw", "view-since"]
        assert found["view-fields"]["aria-current"] == "page"
        for name, one in found.items():
            assert "tab=open" in one["href"]
            assert "tier=medium" in one["href"]
            assert one["href"].endswith(f"&view={name.removeprefix('view-')}#change")

    def test_begin_with_the_fields_whatever_else_is_asked_for(self):
        for nonsense in ("", "&view=", "&view=everything", "&view=since&view=x"):
            page = opened(waiting(), nonsense)
            assert tabs(page)["view-fields"]["aria-current"] == "page"
            assert "When proposed" in change_of(page)

    def test_leave_everything_else_of_the_page_as_it_is(self):
        proposal = waiting()
        for view in ("fields", "raw", "since"):
            page = opened(proposal, f"&view={view}")
            assert page.all("input", name="decision"), view
            assert len(page.all("h1")) == 1

    def test_come_alone_to_htmx_so_that_what_is_typed_stays(self):
        url = address("proposal", waiting(), "?tab=open&view=since")
        part = signed_in().get(url, headers={**HTMX, "HX-Target": "change"}).content.decode()
        assert part.strip().startswith("<section")
        assert "<form" not in part
        whole = signed_in().get(url, headers={**HTMX, "HX-History-Restore-Request": "true"})
        assert "<form" in whole.content.decode()

    def test_of_the_fields_take_no_statement_more_than_before_there_were_others(self):
        proposal = amend(waiting(), colour="green")
        with CaptureQueriesContext(connection) as captured:
            opened(proposal)
        names = [one["sql"] for one in captured if "proposals_review" in one["sql"]]
        own = [sql for sql in names if '"number"' in sql and "LIMIT 1" in sql]
        assert len(own) == 1, (
            "which revision they saw last is asked once, and only if there are two"
        )


class TestTheRawView:
    def test_shows_the_very_bytes_that_hash_to_the_digest(self):
        proposal = waiting(params={"note": 'ü "quoted" \u202e'})
        answer = signed_in(senior()).get(address("proposal", proposal, "?view=bytes"))
        assert answer["Content-Disposition"].startswith("attachment")
        digest = fresh(proposal).current_check.digest
        assert f"sha256:{hashlib.sha256(answer.content).hexdigest()}" == digest
        told = json.loads(answer.content)
        assert told["params"]["note"] == 'ü "quoted" \u202e'
        page = opened(proposal, "&view=raw", senior())
        assert digest in change_of(page)
        assert '"approvals":' in change_of(page)
        assert "do not have the digest" not in page.text

    def test_shows_hidden_characters_by_name(self):
        page = opened(waiting(params={"note": "\u202e<b>"}), "&view=raw", senior())
        assert "[U+202E RLO]" in change_of(page)
        assert "\u202e" not in page.html
        assert "<b>" not in page.html

    def test_warns_when_the_stored_digest_is_another(self, monkeypatch):
        proposal = waiting()
        monkeypatch.setattr(Check, "group_names", ["nobody"])
        assert "do not have the digest that people decide on" in opened(proposal, "&view=raw").text

    @pytest.mark.parametrize("rule", ["two groups", "failed preview", "recheck"])
    def test_is_true_of_every_kind_of_check(self, rule):
        if rule == "failed preview":
            box.failing["preview"] = "unclear"
        proposal = waiting("high" if rule == "two groups" else "medium")
        if rule == "recheck":
            box.colours["bear"] = "green"
            services.recheck(proposal_id=proposal.pk, reason="The target moved.")
            work()
        answer = signed_in().get(address("proposal", proposal, "?view=bytes"))
        digest = fresh(proposal).current_check.digest
        assert f"sha256:{hashlib.sha256(answer.content).hexdigest()}" == digest

    def test_says_that_there_is_nothing_yet_before_the_check(self):
        proposal = factories.make_proposal()
        assert "nothing yet that is hashed" in opened(proposal, "&view=raw").text
        answer = signed_in().get(address("proposal", proposal, "?view=bytes"))
        assert answer["Content-Type"].startswith("text/html")


class TestSinceARevision:
    def test_says_when_there_is_one_alone(self):
        assert "There is one revision." in change_of(since(waiting()))

    def test_is_the_one_this_person_decided_or_commented_on(self):
        proposal = waiting()
        comment(proposal)
        proposal = amend(amend(proposal, colour="green"), colour="black")
        page = opened(proposal)
        assert "Since revision 1 that I last saw" in change_of(page)
        told = change_of(since(proposal))
        assert "Revision 1" in told
        assert "Revision 3, now" in told
        assert "You commented on it" in told
        assert "was blue" in told
        assert "becomes black" in told
        assert "green" not in told

    def test_is_the_previous_one_for_whoever_said_nothing(self):
        proposal = waiting()
        comment(proposal)
        proposal = amend(amend(proposal, colour="green"), colour="black")
        told = change_of(since(proposal, person=senior()))
        assert "Since revision 2" in told
        assert "that I last saw" not in told
        assert "was green" in told
        assert "becomes black" in told
        assert "You did not decide or comment on revision 2." in told

    def test_is_any_other_by_a_link(self):
        proposal = amend(amend(waiting(), colour="green"), colour="black")
        page = since(proposal)
        [link] = [one for one in page.all("a") if "since=1" in one["href"]]
        told = change_of(Page(signed_in().get(reverse("queue") + link["href"].lstrip("/"))))
        assert "was blue" in told
        assert "becomes black" in told

    @pytest.mark.parametrize("nonsense", ["0", "3", "99", "-1", "x", "²", "1" * 40])
    def test_is_the_usual_one_when_no_such_revision_is_there(self, nonsense):
        proposal = amend(amend(waiting(), colour="green"), colour="black")
        assert "was green" in change_of(since(proposal, f"&since={nonsense}"))

    def test_compares_parameters_and_what_is_before_and_after_field_by_field(self):
        proposal = waiting()
        box.colours["duck"] = "pink"
        proposal = amend(proposal, toy="duck", note="more")
        told = change_of(since(proposal))
        assert "Parameters of the call" in told
        assert "was bear" in told
        assert "becomes duck" in told
        assert "added" in told
        assert "more" in told
        assert "touched only now" in told
        assert "no longer touched" in told

    def test_shows_what_else_is_decided_on(self):
        proposal = amend(waiting(), tier="high")
        told = change_of(since(proposal))
        for words in ("Tier", "medium", "high", "Approvals required"):
            assert words in told

    def test_tells_of_words_that_were_rewritten_without_showing_them_there(self):
        proposal = amend(waiting(), rationale="zq-other-words", colour="blue")
        told = change_of(since(proposal))
        assert "were rewritten as well" in told
        assert "zq-other-words" not in told

    def test_tells_an_equal_revision_by_its_digest(self):
        told = change_of(since(amend(waiting(), colour="blue")))
        assert "Nothing is different." in told
        assert "Equal in both." in told

    def test_is_the_same_revision_when_it_was_checked_again_since(self):
        proposal = waiting()
        comment(proposal)
        box.colours["bear"] = "green"
        services.recheck(proposal_id=proposal.pk, reason="The target moved.")
        work()
        told = change_of(since(proposal))
        assert "Revision 1" in told
        assert "checked again" in told
        assert "was brown" in told
        assert "becomes green" in told

    def test_compares_parameters_alone_while_a_revision_is_not_checked(self):
        proposal = waiting()
        services.amend(
            agent=factories.make_agent(),
            proposal_id=proposal.pk,
            key=new_key(),
            fingerprint=new_key(),
            changes={"params": painting("green", tier="medium")},
        )
        told = change_of(since(proposal))
        assert "has not been checked yet" in told
        assert "was blue" in told
        assert "becomes green" in told

    def test_compares_parameters_alone_with_one_that_never_was(self):
        unchecked = factories.make_proposal(params=painting(tier="medium"))
        told = change_of(since(amend(unchecked, colour="green")))
        assert "Revision 1 was never checked" in told
        assert "was blue" in told
        assert "becomes green" in told

    def test_shows_what_an_agent_wrote_only_through_the_renderer(self):
        proposal = amend(waiting(), note="\u202e<script>alert(1)</script>")
        page = since(proposal, person=senior())
        assert "[U+202E RLO]" in change_of(page)
        assert "<script>alert" not in page.html
        assert "\u202e" not in page.html

    def test_tells_an_owner_without_a_group_the_same(self):
        proposal = amend(waiting(), colour="green")
        page = Page(
            signed_in(make_person("otto")).get(address("proposal", proposal, "?view=since"))
        )
        assert "was blue" in change_of(page)
