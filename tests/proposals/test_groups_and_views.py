"""Lists by group, whose order is what is seen; and lists that a person keeps under a name."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from proposals import services
from proposals.exceptions import InvalidRequest, NotFound
from proposals.models import SavedView
from proposals.models.desk import MOST_VIEWS
from tests import factories
from tests.factories import make_person
from tests.proposals.test_console import Page, address, no_verdicts, senior, signed_in, waiting
from tests.proposals.test_lists import again, decide, ids, listed, opened

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]


def headings(page: Page) -> list[str]:
    """The lines above groups, in order."""
    found: dict[int, str] = {}
    for above, text in page.texts:
        rows = [one for tag, one in above if tag == "tr" and one.get("class") == "group"]
        if rows:
            found[id(rows[0])] = f"{found.get(id(rows[0]), '')}{text}"
    return [" ".join(one.split()) for one in found.values()]


class TestGroups:
    def test_stand_where_their_first_item_would_and_next_follows_what_is_seen(self):
        bear, duck, bear_again = waiting(), waiting(params={"toy": "duck"}), waiting()
        browser = signed_in()
        assert listed(opened(browser)[0]) == ids(bear, duck, bear_again)
        page, query = opened(browser, "?group=object")
        assert listed(page) == ids(bear, bear_again, duck)
        assert headings(page) == ["Object toys/bear", "Object toys/duck"]
        answer = decide(browser, bear, query)
        assert answer["Location"].startswith(address("proposal", bear_again))
        page = Page(browser.get(answer["Location"]))
        [following] = page.all("a", **{"data-key": "n"})
        assert following["href"].startswith(address("proposal", duck))
        assert listed(again(browser, query)) == ids(bear, bear_again, duck)

    @pytest.mark.parametrize(
        ("by", "said"),
        [
            ("agent", ["Agent billing-bot", "Agent other-bot"]),
            ("action", ["Action toys.set"]),
        ],
    )
    def test_say_what_is_the_same(self, by, said):
        waiting(), waiting(agent=factories.make_agent("other-bot")), waiting()
        page, _ = opened(signed_in(), f"?tab=open&group={by}")
        assert headings(page) == said

    def test_of_runs_go_by_number_for_the_name_is_the_agents(self):
        first, second = waiting(run="run-a"), waiting(run="run-b")
        third = waiting(run="run-a")
        page, _ = opened(signed_in(), "?group=run")
        assert listed(page) == ids(first, third, second)
        assert headings(page) == [f"Run {first.run_id}", f"Run {second.run_id}"]
        assert "run-a" not in page.html

    def test_keep_what_a_person_proposed_apart_from_the_agents_own(self):
        done, agents = waiting("high"), waiting(params={"toy": "duck"})
        for name in ("sara", "saul"):
            factories.approve(done, reviewer=senior(name), fact="bear")
        factories.work()
        undo = services.undo(proposal_id=done.pk, person=senior("sara"), reason="A mix-up.")
        factories.work()
        page, _ = opened(signed_in(), "?tab=open&group=agent")
        assert listed(page) == ids(undo, agents)
        assert headings(page) == ["Agent Sara", "Agent billing-bot"]

    def test_make_a_list_of_their_own(self):
        bear, duck, last = waiting(), waiting(params={"toy": "duck"}), waiting()
        browser = signed_in()
        _, plain = opened(browser)
        _, by_object = opened(browser, "?group=object")
        assert listed(again(browser, plain)) == ids(bear, duck, last)
        assert listed(again(browser, by_object)) == ids(bear, last, duck)

    def test_group_decisions_too_and_take_nonsense_for_none(self):
        bear, duck, last = waiting(), waiting(params={"toy": "duck"}), waiting()
        for one in (bear, duck, last):
            factories.review(one, "reject")
        browser = signed_in()
        assert listed(opened(browser, "?tab=mine&group=object")[0]) == ids(last, bear, duck)
        assert headings(opened(browser, "?tab=mine&group=colour")[0]) == []

    def test_leave_nothing_out_and_so_are_no_filter(self):
        page = Page(signed_in().get(reverse("queue") + "?group=agent"))
        assert "Nothing is waiting on you." in page.text
        assert "No results for these filters" not in page.text

    def test_cost_one_statement_however_many_there_are(self):
        browser, counts = signed_in(), []
        for rows in (2, 6):
            for number in range(rows):
                waiting(run=f"run-{rows}-{number}", params={"note": number})
            for query in ("?tab=open", "?tab=open&group=run"):
                with CaptureQueriesContext(connection) as captured:
                    browser.get(reverse("queue") + query)
                counts.append(len(captured))
        assert counts[0] == counts[2]
        assert counts[1] == counts[3] == counts[0] + 1


def keep(name: str = "Night", query: str = "tab=open&tier=high", person=None) -> SavedView:
    return services.keep_view(person=person or make_person(), name=name, query=query)


class TestViews:
    def test_are_kept_by_the_form_that_the_list_leads_to(self):
        waiting()
        browser = signed_in()
        page, _ = opened(browser, "?tab=open&tier=medium&group=run&nonsense=1&marked=x")
        [link] = [one for one in page.all("a") if "?of=" in one.get("href", "")]
        page = Page(browser.get(link["href"]))
        [of] = page.all("input", name="of")
        assert of["value"] == "tab=open&tier=medium&group=run"
        assert "Group by: run" in page.text
        sent = {"of": of["value"] + "&nonsense=1", "name": "  Night shift "}
        page = Page(browser.post(reverse("saved-views"), sent, follow=True))
        assert "The view is kept." in page.text
        kept = SavedView.objects.get()
        assert (kept.name, kept.query) == ("Night shift", "tab=open&tier=medium&group=run")
        page = Page(browser.get(f"{reverse('queue')}?{kept.query}"))
        here = next(one for one in page.all("a") if one["href"] == f"/?{kept.query}")
        assert here["aria-current"] == "page"
        assert no_verdicts(page)

    def test_are_of_one_person_alone(self):
        kept = keep()
        other = signed_in(make_person("ravi"))
        assert "Night" not in Page(other.get(reverse("queue"))).text
        assert other.post(reverse("forget-view", args=[kept.pk])).status_code == 404
        with pytest.raises(NotFound):
            services.forget_view(person=make_person("ravi"), view_id=kept.pk)
        assert "Night" in Page(signed_in().get(reverse("queue"))).text
        signed_in().post(reverse("forget-view", args=[kept.pk]))
        assert not SavedView.objects.exists()

    def test_have_one_name_each_which_goes_to_the_latest(self):
        keep(query="tab=open")
        keep(query="tab=held")
        assert SavedView.objects.get().query == "tab=held"
        keep(person=make_person("ravi"))

    def test_are_limited_in_number(self):
        for number in range(MOST_VIEWS):
            keep(f"View {number}")
        with pytest.raises(InvalidRequest, match="cannot be kept"):
            keep("One more")
        keep("View 3", "tab=soon")
        sent = {"of": "tab=open", "name": "One more"}
        answer = signed_in().post(reverse("saved-views"), sent)
        assert answer.status_code == 422
        assert f"You have {MOST_VIEWS} views" in Page(answer).text

    @pytest.mark.parametrize("name", ["", "   ", "a" * 61, "paid \u202e twice", "nul\x00"])
    def test_have_a_plain_name(self, name):
        answer = signed_in().post(reverse("saved-views"), {"of": "tab=open", "name": name})
        assert answer.status_code == 422
        with pytest.raises(InvalidRequest):
            keep(name)
        assert not SavedView.objects.exists()

    def test_say_so_where_there_are_none(self):
        page = Page(signed_in().get(reverse("saved-views")))
        assert "You have kept no views." in page.text

    def test_are_no_way_to_somewhere_else(self):
        sent = {"of": "https://attacker.example/?tab=open&x=//a", "name": "Trap"}
        signed_in().post(reverse("saved-views"), sent)
        assert SavedView.objects.get().query == "tab=waiting"
