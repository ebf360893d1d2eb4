"""The pages on runs: what each did, what it may still do, and the undo of all of it."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from budgets.models import Budget
from ledger import clock
from proposals import services
from proposals.lifecycle import Status
from proposals.models import Agent, Freeze, Run, RunUndo
from proposals.rounds import Rounds
from tests import factories
from tests.factories import fresh, make_agent, make_checked, make_person, painting, work
from tests.proposals.test_console import Page, signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]

SENTINEL = "zq-agent-wrote-this"
TRICK = f"{SENTINEL}\u202e<b>"


@pytest.fixture(autouse=True)
def _default_rules():
    make_person()


@pytest.fixture
def olga():
    return make_person("olga", groups=["operators"])


def see(name: str, *args, person=None, query: str = "") -> Page:
    answer = signed_in(person).get(reverse(name, args=args) + query)
    assert answer.status_code == 200, answer.content.decode()[:500]
    return Page(answer)


def wrote(colour: str = "blue", **more):
    return make_checked(params=painting(colour, **more.pop("params", {})), **more)


class TestTheList:
    def test_says_what_each_run_did(self):
        first = wrote()
        wrote("green")
        make_checked(params=painting("black", toy="car", tier="medium"))
        refused = make_checked(params=painting("white", toy="car", tier="medium"))
        factories.review(refused, "reject")
        services.undo(proposal_id=first.pk, person=make_person(), reason="No.")
        page = see("runs")
        assert f"Run {first.run_id}" in page.text
        assert "1 open, 2 written, 1 ended without a write" in page.text
        assert "0 of 2" in page.text

    def test_adds_up_objects_and_money_by_currency(self, shop):
        agent = make_agent("shop-assistant", grants=["records.*"])
        prices = shop.rows("SELECT id, amount, currency FROM prices ORDER BY id LIMIT 2")
        for key, amount, _ in prices:
            change = {"table": "shop.prices", "key": str(key), "set": {"amount": amount_of(amount)}}
            proposal = make_checked(agent=agent, action="records.update", params=change)
            factories.approve(proposal)
        work()
        page = see("runs")
        impacts = [
            proposal.current_check.impact
            for proposal in Run.objects.get().proposals.filter(status="committed")
        ]
        assert len(impacts) == 2
        total = sum(float(impact["amount"]["amount"]) for impact in impacts)
        assert f"{total:,.2f} {prices[0][2]}" in page.text
        assert see("run", Run.objects.get().pk).text.count(f"{total:,.2f}") == 1

    def test_costs_the_same_however_many_there_are(self):
        browser = signed_in()
        counts = []
        for number in (1, 12):
            for each in range(number):
                wrote(run=f"run {number}.{each}")
            browser.get(reverse("runs"))
            with CaptureQueriesContext(connection) as captured:
                browser.get(reverse("runs"))
            counts.append(len(captured))
        assert counts[0] == counts[1]

    def test_is_paged_by_key(self):
        agent = make_agent()
        Run.objects.bulk_create([Run(agent=agent, name=f"run {n}") for n in range(30)])
        newest = Run.objects.order_by("-pk")
        page = see("runs")
        assert page.html.count("data-key-item") == 25
        older = see("runs", query=f"?before={newest[24].pk}")
        assert older.html.count("data-key-item") == 5
        assert "No runs here" in see("runs", query="?before=1").text
        for odd in ("?before=٣", "?before=" + "9" * 40, "?agent=nobody"):
            see("runs", query=odd)

    def test_narrows_to_an_agent(self):
        wrote()
        other = wrote(agent=make_agent("other-bot"), run="another")
        page = see("runs", query="?agent=other-bot")
        assert f"Run {other.run_id}" in page.text
        assert page.html.count("data-key-item") == 1

    def test_is_explained_when_it_is_empty(self):
        assert "No agent has run yet" in see("runs").text

    def test_shows_what_an_agent_called_it_only_as_agents_words(self):
        run_id = wrote(run=TRICK).run_id
        for page in (see("runs"), see("run", run_id), see("undo-run", run_id)):
            above = [
                tags
                for tags, text in page.texts
                if SENTINEL in text
                for tag, attributes in tags
                if attributes.get("class") == "agent-text"
            ]
            assert page.html.count(SENTINEL) == len(above)
            assert "\u202e" not in page.html
            assert SENTINEL not in page.inside("title", "h1", "h2")


def amount_of(found) -> str:
    return f"{float(found) * 1.1:.2f}"


class TestOneRun:
    def test_lists_in_order_what_it_did_and_who_let_it_through(self):
        alone = wrote()
        asked = make_checked(params=painting("green", tier="medium"))
        factories.approve(asked)
        work()
        rejected = make_checked(params=painting("white", tier="medium"))
        factories.review(rejected, "reject")
        page = see("run", alone.run_id)
        places = [page.html.index(str(one.pk)) for one in (alone, asked, rejected)]
        assert places == sorted(places)
        assert "policy, no person" in page.text
        assert page.text.count("Rita") >= 2

    def test_costs_the_same_however_much_it_did(self):
        run_id = wrote().run_id
        browser = signed_in()
        counts = []
        for number in (1, 6):
            for _ in range(number):
                make_checked(params=painting("black", tier="medium"))
            browser.get(reverse("run", args=[run_id]))
            with CaptureQueriesContext(connection) as captured:
                browser.get(reverse("run", args=[run_id]))
            counts.append(len(captured))
        assert counts[0] == counts[1]

    def test_is_paged_by_key(self, monkeypatch):
        monkeypatch.setattr("proposals.console.runs.PROPOSALS_LISTED", 2)
        made = [wrote(colour) for colour in ("blue", "green", "black")]
        page = see("run", made[0].run_id)
        assert str(made[2].pk) not in page.html
        rest = see("run", made[0].run_id, query=f"?after={made[1].pk}")
        assert str(made[2].pk) in rest.html
        assert rest.html.count("data-key-item") == 1
        see("run", made[0].run_id, query="?after=nonsense")

    def test_shows_the_budgets_that_count_it_apart(self):
        cap = Budget(name="Of a run", unit="writes", limit=4, per_run=True)
        services.save_budget(budget=cap, person=None, is_new=True)
        run_id = wrote().run_id
        wrote(run="another")
        assert "1 of 4 writes" in see("run", run_id).text

    def test_can_be_frozen_and_its_agent_suspended_from_there(self):
        run_id = wrote().run_id
        page = see("run", run_id)
        assert page.all("form", action=reverse("freeze"))
        sent = {"scope": "run", "run": str(run_id), "reason": "It loops."}
        signed_in().post(reverse("freeze"), sent)
        assert Freeze.objects.get().run_id == run_id
        signed_in().post(reverse("suspend"), {"agent": "billing-bot", "reason": "It loops."})
        assert Agent.objects.get().is_suspended
        page = see("run", run_id)
        assert "This run is frozen" in page.text
        assert "The agent is suspended" in page.text
        assert not page.all("form", action=reverse("freeze"))

    def test_offers_no_stop_to_those_who_may_not(self):
        run_id = wrote().run_id
        amir = make_person("amir", groups=["auditors"])
        page = see("run", run_id, person=amir)
        assert not page.all("form", action=reverse("freeze"))
        assert not page.all("form", action=reverse("suspend"))

    def test_that_is_not_there_answers_404(self):
        for run_id in (4711, 2**70):
            assert signed_in().get(f"/runs/{run_id}/").status_code == 404
            assert signed_in().get(f"/runs/{run_id}/undo/").status_code == 404

    def test_is_reached_from_each_of_its_proposals(self):
        proposal = wrote()
        page = see("proposal", proposal.pk)
        assert page.all("a", href=reverse("run", args=[proposal.run_id]))

    @pytest.mark.parametrize("name", ["runs", "rules"])
    def test_and_the_lists_open_for_people_alone(self, client, name):
        assert client.get(reverse(name)).status_code == 302
        stranger = make_person("stranger", groups=())
        assert signed_in(stranger).get(reverse(name)).status_code == 403


class TestUndoingIt:
    def sent(self, run_id, person, **more):
        data = {"reason": "The agent was misled.", **more}
        return signed_in(person).post(reverse("undo-run", args=[run_id]), data)

    def test_shows_what_it_would_do_and_does_nothing(self, olga, toybox):
        first = wrote()
        wrote("pink", params={"toy": "duck"})
        toybox.colours["duck"] = "purple"
        make_checked(params=painting("black", toy="car", tier="medium"))
        page = see("undo-run", first.run_id, person=olga)
        assert "Conflict: stays" in page.text
        assert "purple" in page.text
        assert "1 undo that you can make alone" in page.text
        assert "Withdraw the 1 proposal that is still open" in page.text
        assert not RunUndo.objects.exists()

    def test_is_asked_for_with_a_reason_and_followed_on_a_page(self, olga):
        first = wrote()
        wrote("green")
        pending = make_checked(params=painting("black", toy="car", tier="medium"))
        answer = self.sent(first.run_id, olga, withdraws_open="on", freezes="on")
        undoing = RunUndo.objects.get()
        here = reverse("run-undoing", args=[first.run_id, undoing.pk])
        assert answer["Location"] == here
        page = see("run-undoing", *here_args(undoing))
        assert "You may leave this page" in page.text
        [news] = [one for _, one in page.elements if "data-pulse" in one]
        ask = signed_in(olga).get
        assert ask(news["data-pulse"]).json()["news"] == ""
        for _ in range(4):
            RunUndo.objects.update(due_at=clock.now())
            Rounds().undo_runs(clock.now())
            work()
        page = see("run-undoing", *here_args(undoing))
        assert "Everything was taken back" in page.text
        assert "3 of 3" in page.text
        told = ask(news["data-pulse"]).json()
        assert (told["news"], told["stale"]) == ("Ended: 3 done", False)
        assert "data-pulse" not in page.html, "nothing more comes"
        assert "hx-" not in page.inside("main"), "what holds the focus is never replaced"
        assert fresh(pending).status == Status.WITHDRAWN
        assert Freeze.objects.filter(run=first.run_id).exists()
        assert (
            "everything that this run wrote is undone"
            in see("undo-run", first.run_id, person=olga).text.lower()
        )

    def test_pressed_twice_leads_to_the_same_page(self, olga):
        first = wrote()
        once, twice = (self.sent(first.run_id, olga)["Location"] for _ in range(2))
        assert once == twice
        answer = signed_in(olga).get(reverse("undo-run", args=[first.run_id]))
        assert answer["Location"] == once

    def test_without_a_reason_is_refused_in_place(self, olga):
        first = wrote()
        answer = self.sent(first.run_id, olga, reason=" ")
        assert answer.status_code == 409
        assert "Say why this run is taken back" in answer.content.decode()
        assert not RunUndo.objects.exists()

    def test_is_refused_to_those_without_the_right(self):
        first = wrote()
        amir = make_person("amir", groups=["auditors"])
        assert "You may not undo" in see("undo-run", first.run_id, person=amir).text
        assert self.sent(first.run_id, amir).status_code == 409
        assert not RunUndo.objects.exists()

    def test_says_per_object_what_stands_in_the_way(self, olga, toybox):
        first = wrote()
        wrote("green")
        toybox.colours["bear"] = "purple"
        self.sent(first.run_id, olga)
        undoing = RunUndo.objects.get()
        for _ in range(3):
            RunUndo.objects.update(due_at=clock.now())
            Rounds().undo_runs(clock.now())
            work()
        page = see("run-undoing", *here_args(undoing))
        assert "2 of 2 were not undone" in page.text
        assert "Go over it" in page.text
        assert "purple" in page.text
        assert "Kept behind a newer write" in page.text

    def test_costs_the_same_however_many_steps_there_are(self, olga):
        browser, counts = signed_in(olga), []
        for number in (2, 8):
            made = [wrote(f"grey {number}.{n}", run=f"of {number}") for n in range(number)]
            self.sent(made[0].run_id, olga)
            undoing = RunUndo.objects.get(run=made[0].run_id)
            address = reverse("run-undoing", args=here_args(undoing))
            browser.get(address)
            with CaptureQueriesContext(connection) as captured:
                browser.get(address)
            counts.append(len(captured))
        assert counts[0] == counts[1]

    def test_is_foreseen_at_the_same_cost_however_much_was_written(self, olga):
        browser, counts = signed_in(olga), []
        for number in (2, 8):
            made = [wrote(f"grey {number}.{n}", run=f"of {number}") for n in range(number)]
            address = reverse("undo-run", args=[made[0].run_id])
            browser.get(address)
            with CaptureQueriesContext(connection) as captured:
                browser.get(address)
            counts.append(len(captured))
        assert counts[0] == counts[1]

    def test_of_another_run_is_not_shown_under_this_one(self, olga):
        first, other = wrote(), wrote("green", run="other")
        self.sent(first.run_id, olga)
        undoing = RunUndo.objects.get()
        wrong = reverse("run-undoing", args=[other.run_id, undoing.pk])
        assert signed_in(olga).get(wrong).status_code == 404


def here_args(undoing: RunUndo) -> tuple:
    return undoing.run_id, undoing.pk
