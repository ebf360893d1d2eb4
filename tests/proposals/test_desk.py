"""A person's preferences, and finding a proposal by what it is called."""

import re
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from proposals import services
from proposals.exceptions import InvalidRequest
from proposals.models import Preferences, Proposal
from tests import factories
from tests.factories import make_person
from tests.proposals.test_console import SENTINEL, Page, address, no_verdicts, signed_in, waiting

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]

WANTED = {
    "theme": "dark",
    "density": "compact",
    "time_zone": "Asia/Kolkata",
    "has_shortcuts": False,
}


def prefer(person, **changes) -> None:
    services.save_preferences(person=person, **WANTED | changes)


class TestPreferences:
    def test_are_kept_by_the_form_for_this_person_alone(self):
        browser = signed_in()
        sent = {**WANTED, "has_shortcuts": ""}
        answer = browser.post(reverse("preferences"), sent, follow=True)
        page = Page(answer)
        assert "Your preferences are kept." in page.text
        [html] = page.all("html")
        assert html["data-theme"] == "dark"
        assert html["data-density"] == "compact"
        assert html["data-shortcuts"] == "off"
        [zone] = page.all("option", value="Asia/Kolkata")
        assert "selected" in zone
        [html] = Page(signed_in(make_person("ravi")).get(reverse("help"))).all("html")
        assert html["data-theme"] == "system"
        assert "data-shortcuts" not in html

    def test_show_every_time_in_the_chosen_zone_with_utc_beside(self):
        proposal = waiting()
        at = datetime(2026, 11, 22, 20, 42, tzinfo=UTC)
        Proposal.objects.filter(pk=proposal.pk).update(expires_at=at)
        rita = make_person()
        browser = signed_in(rita)
        assert "22 Nov 2026, 20:42 UTC" in Page(browser.get(address("proposal", proposal))).text
        prefer(rita)
        page = Page(browser.get(address("proposal", proposal)))
        assert "23 Nov 2026, 02:12 IST (22 Nov, 20:42 UTC)" in page.text
        times = [text for above, text in page.texts if above and above[-1][0] == "time"]
        exact = [text for text in times if re.search(r"\d\d:\d\d", text)]
        assert exact
        assert all("IST" in text and "UTC" in text for text in exact)

    def test_do_not_leak_a_zone_into_the_next_request(self):
        rita = make_person()
        prefer(rita)
        proposal = waiting()
        signed_in(rita).get(address("proposal", proposal))
        page = Page(signed_in(make_person("ravi")).get(address("proposal", proposal)))
        assert "IST" not in page.text

    @pytest.mark.parametrize(
        ("field", "wrong", "said"),
        [
            ("theme", "pink", "Select a valid choice"),
            ("density", "", "This field is required"),
            ("time_zone", "Mars/Olympus", "No such time zone"),
        ],
    )
    def test_that_make_no_sense_are_refused_by_field(self, field, wrong, said):
        browser = signed_in()
        answer = browser.post(reverse("preferences"), {**WANTED, field: wrong})
        assert answer.status_code == 422
        assert said in Page(answer).inside("a")
        assert not Preferences.objects.exists()

    def test_are_refused_by_the_service_too(self):
        with pytest.raises(InvalidRequest) as refused:
            prefer(make_person(), time_zone="Mars/Olympus", theme="pink")
        pointers = {one["pointer"] for one in refused.value.errors}
        assert pointers == {"/time_zone", "/theme"}
        assert not Preferences.objects.exists()

    def test_survive_a_zone_that_this_machine_forgot(self):
        rita = make_person()
        prefer(rita)
        Preferences.objects.update(time_zone="Atlantis/Centre")
        assert signed_in(rita).get(reverse("queue")).status_code == 200

    def test_are_for_people_who_are_signed_in(self):
        assert Client().get(reverse("preferences")).status_code == 302
        assert Client().post(reverse("preferences"), WANTED).status_code == 302
        assert not Preferences.objects.exists()


def found(term: str, person=None) -> list[str]:
    """The ids of the proposals that a search shows, in order."""
    page = Page(signed_in(person).get(reverse("search"), {"q": term}))
    links = [one["href"] for one in page.all("a") if "data-key-item" in one]
    return [link.split("/")[2] for link in links]


class TestSearch:
    def test_finds_by_id_object_key_run_and_agent(self):
        bear = waiting(run="run-7", key="key-of-the-bear")
        duck = waiting(params={"toy": "duck"}, run="run-8", agent=factories.make_agent("other-bot"))
        for term in (
            str(bear.pk),
            bear.pk.hex,
            "toys/bear",
            "key-of-the-bear",
            "run-7",
            str(bear.run_id),
            "billing-bot",
            "  toys/bear ",
        ):
            assert found(term) == [str(bear.pk)], term
        assert found("other-bot") == [str(duck.pk)]

    def test_finds_what_is_decided_too_the_latest_first(self):
        first, second = waiting(), waiting(params={"note": "second"})
        factories.review(first, "reject")
        assert found("toys/bear") == [str(second.pk), str(first.pk)]

    def test_says_when_nothing_is_called_so_and_what_may_be_typed(self):
        page = Page(signed_in().get(reverse("search"), {"q": "no\u202esuch"}))
        assert "Nothing is called no[U+202E RLO]such" in page.inside("h2")
        assert "an agent by its name" in page.text
        empty = Page(signed_in().get(reverse("search")))
        assert "an agent by its name" in empty.text
        assert not empty.all("h2")

    @pytest.mark.parametrize("term", ["a" * 256, "\ud800"])
    def test_refuses_what_no_database_could_look_up(self, term):
        answer = signed_in().get(reverse("search"), {"q": term.encode("utf-8", "surrogatepass")})
        assert answer.status_code in {200, 422}
        assert "h1" in {tag for tag, _ in Page(answer).elements}

    @pytest.mark.parametrize("term", ["9" * 30, "²", "%", "' OR 1=1 --", "0"])
    def test_survives_odd_terms(self, term):
        waiting()
        assert found(term) == []

    def test_shows_neither_verdicts_nor_what_an_agent_wrote(self):
        waiting(run=SENTINEL, params={"note": SENTINEL}, rationale=SENTINEL)
        page = Page(signed_in().get(reverse("search"), {"q": "toys/bear"}))
        assert no_verdicts(page)
        assert SENTINEL not in page.html

    def test_takes_the_same_statements_for_2_rows_and_for_10(self):
        browser = signed_in()
        counts = []
        for rows in (2, 8):
            for number in range(rows):
                waiting(params={"note": number})
            with CaptureQueriesContext(connection) as captured:
                browser.get(reverse("search"), {"q": "toys/bear"})
            counts.append(len(captured))
        assert counts == [17, 17]
