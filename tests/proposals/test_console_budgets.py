"""The people's pages on budgets and stopping: what they say, and who may do what."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from budgets import refusals, standings
from budgets.models import Budget, Refusal, Reservation
from ledger import clock
from ledger.models import LedgerEntry
from proposals import execution, freezing, services
from proposals.console import budgets as words
from proposals.exceptions import OverBudget
from proposals.models import Agent, Execution, Freeze, Proposal
from tests import factories
from tests.factories import fresh, make_agent, make_checked, make_person, painting, work
from tests.proposals.test_budgets import put_off_behind_another
from tests.proposals.test_console import Page, address, no_verdicts, signed_in, waiting
from tests.toys import box

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.usefixtures("toybox")]

SENTINEL = "zq-agent-wrote-this"
STOPPERS = ("reviewers", "senior-reviewers", "operators", "policy-administrators")
GROUPS = (*STOPPERS, "auditors")


@pytest.fixture(autouse=True)
def _default_rules():
    make_person()


def cap(**fields) -> Budget:
    values = {"name": "Cap", "unit": "writes", "limit": 3, "window_seconds": 60}
    return services.save_budget(budget=Budget(**(values | fields)), person=None, is_new=True)


def one_of(group: str, **fields):
    return make_person(f"one-of-{group}", groups=[group], **fields)


def refused(**fields) -> None:
    """A proposal that a budget refuses, entered as the agents' door enters it."""
    agent = fields.pop("agent", None) or make_agent()
    with pytest.raises(OverBudget):
        factories.make_proposal(agent=agent, **fields)


def see(name: str, person=None) -> Page:
    answer = signed_in(person).get(reverse(name))
    assert answer.status_code == 200
    return Page(answer)


class TestBudgets:
    @pytest.mark.parametrize("group", GROUPS)
    def test_may_be_read_by_everybody_who_may_view(self, group):
        page = see("budgets", one_of(group))
        assert "Budgets" in page.inside("nav")
        assert no_verdicts(page)

    def test_has_two_kinds_of_empty(self):
        page = see("budgets")
        assert "No budget is in force" in page.text
        assert "No budget has refused anything" in page.text
        cap()
        assert "Nothing of it is used now: 3 writes left." in see("budgets").text

    def test_says_what_waits_for_a_slot_beside_what_is_used(self):
        put_off_behind_another("bear", "duck")
        cells = " ".join(see("budgets").inside("td").split())
        assert "1 of 1 write, 2 more wait for a slot" in cells

    def test_says_what_is_used_and_held_by_whom_and_what_is_left(self):
        cap(per_agent=True, per_run=True)
        make_checked(run="one")
        held = make_checked(params=painting("green", tier="medium"), run="one")
        page = see("budgets")
        cells = page.inside("td")
        assert "2 of 3 writes, 1 of them held (66 %)" in " ".join(cells.split())
        assert "billing-bot" in cells
        assert f"run {held.run_id}" in cells
        assert "1 write" in cells
        assert "free now" in cells
        addresses = [one["href"] for one in page.all("a")]
        assert f"{reverse('queue')}?tab=open&run={held.run_id}" in addresses
        listed = signed_in().get(f"{reverse('queue')}?tab=open&run={held.run_id}")
        assert str(held.pk) in listed.content.decode()
        assert "run " in Page(listed).inside("td")
        none = signed_in().get(f"{reverse('queue')}?tab=open&run={held.run_id + 1}")
        assert str(held.pk) not in none.content.decode()
        for odd in ("x", "0", str(2**70)):
            assert signed_in().get(f"{reverse('recent')}?run={odd}").status_code == 200

    def test_says_when_the_next_slot_of_a_full_window_frees(self):
        cap(limit=1, name="Of an hour", window_seconds=3600)
        make_checked()
        Reservation.objects.update(counted_at=clock.now() - timedelta(minutes=20))
        page = see("budgets")
        assert "full" in page.inside("td")
        assert "in 40 min, at" in page.inside("td")
        [used] = page.all("rect", **{"class": "gauge-used"})
        assert used["width"] == "100.0"

    def test_says_when_waiting_does_not_help(self):
        cap(limit=1, window_seconds=None, per_run=True)
        make_checked()
        assert "none, however long it waits" in see("budgets").inside("td")

    def test_names_what_is_counted_apart(self):
        cap(name="By action", per_action=True, per_resource=True)
        make_checked()
        cells = see("budgets").inside("td")
        assert "toys.set" in cells
        assert "toys/bear" in cells

    def test_lists_what_was_refused_with_how_often(self):
        budget = cap(limit=1)
        first = make_checked(run="one")
        refused(run="one", params=painting("green"))
        Refusal.objects.update(count=7, since=clock.now() - timedelta(minutes=2))
        assert refusals.sum_up() == 1
        page = see("budgets")
        cells = " ".join(page.inside("td").split())
        assert "once: asked for 1, with 1 of 1 writes spoken for" in cells
        assert "6 times more, in the minute after that" in cells
        assert f"run {first.run_id}" in cells
        assert budget.name in cells
        assert f"{reverse('recent')}?run={first.run_id}" in [one["href"] for one in page.all("a")]

    def test_links_to_ledger_and_administration_for_those_whom_they_let_in(self):
        budget = cap(limit=0)
        refused()
        entry = LedgerEntry.objects.get(kind="budget.refused")
        to_entry = reverse("admin:ledger_ledgerentry_change", args=[entry.pk])
        to_budget = reverse("admin:budgets_budget_change", args=[budget.pk])
        found = {}
        for group in GROUPS:
            person = one_of(group, is_staff=True)
            page = see("budgets", person)
            found[group] = {link for link in (to_entry, to_budget) if page.all("a", href=link)}
            for link in found[group]:
                assert signed_in(person).get(link).status_code == 200
        assert found.pop("auditors") == {to_entry}
        assert found.pop("policy-administrators") == {to_budget}
        assert not any(found.values())

    def test_never_shows_what_an_agent_wrote(self):
        cap(per_run=True, limit=1)
        make_checked(run=SENTINEL)
        refused(run=SENTINEL, params=painting("green"))
        answer = signed_in().get(reverse("budgets"))
        assert SENTINEL not in answer.content.decode()

    def test_takes_the_same_statements_for_few_rows_and_for_many(self):
        browser = signed_in()
        counts = []
        for rows in (1, 6):
            for number in range(rows):
                at = len(counts) * 10 + number
                cap(name=f"Cap {at}", per_run=True, limit=at % 2 + 1)
                agent = make_agent(f"bot-{at}")
                make_checked(agent=agent, run=f"run-{at}")
                refused(agent=agent, run=f"run-{at}", params=painting("green"))
                if at % 2:
                    services.freeze(agent=agent, reason="Loops.")
            with CaptureQueriesContext(connection) as captured:
                page = Page(browser.get(reverse("budgets")))
            counts.append(len(captured))
        assert page.html.count('<svg class="gauge"') > 20
        assert counts[0] == counts[1]


class TestWords:
    @pytest.mark.parametrize(
        ("fields", "sentence"),
        [
            (
                {},
                "At most 3 writes in any minute, everything counted together. "
                "Covers what agents propose. Beyond it: refused.",
            ),
            (
                {"per_agent": True, "limit": 1, "window_seconds": 300, "unit": "proposals"},
                "At most 1 proposal in any 5 minutes, counted apart for each agent. "
                "Covers what agents propose. Beyond it: refused.",
            ),
            (
                {
                    "unit": "money",
                    "currency": "EUR",
                    "limit": 1204,
                    "per_run": True,
                    "per_resource": True,
                    "window_seconds": None,
                    "action_pattern": "payments.*",
                    "on_exceed": "suspend",
                },
                "At most 1,204.00 EUR in the life of a run, counted apart for each run and each "
                "object. Covers what agents propose, only actions like payments.*. "
                "Beyond it: refused, and the agent is suspended.",
            ),
            (
                {"lane": "undo", "window_seconds": 45},
                "At most 3 writes in any 45 seconds, everything counted together. "
                "Covers undo asked for by people. Beyond it: refused.",
            ),
        ],
    )
    def test_a_budget_is_said_in_sentences(self, fields, sentence):
        assert words.covers(cap(**fields)) == sentence

    @pytest.mark.parametrize(
        ("seconds", "said"),
        [(0.2, "1 s"), (40, "40 s"), (121, "3 min"), (7201, "3 h"), (200_000, "3 days")],
    )
    def test_a_wait_is_rounded_up(self, seconds, said):
        assert words.wait(timedelta(seconds=seconds)) == said

    def test_a_bar_never_leaves_its_frame(self):
        budget = Budget(limit=4)
        assert words.Bar.of(budget, 1, 2) == words.Bar(25, 50)
        assert words.Bar.of(budget, 3, 9) == words.Bar(75, 25)
        assert words.Bar.of(budget, 9, 1) == words.Bar(100, 0)
        assert words.Bar.of(Budget(limit=0), 0, 1) == words.Bar(100, 0)

    def test_a_scope_key_is_taken_apart_as_it_was_put_together(self):
        assert standings.parts_of("2:a;;3:b:4;0:;") == ["a;", "b:4", ""]


class TestTheReviewPage:
    def test_shows_each_budget_before_and_after_this_write(self):
        cap(limit=5)
        cap(name="Objects", unit="objects", limit=9, per_resource=True)
        cap(name="Elsewhere", action_pattern="email.*")
        cap(name="Asked", unit="proposals")
        make_checked()
        proposal = waiting()
        page = Page(signed_in().get(address("proposal", proposal)))
        assert "1 → 2 of 5 writes in any minute" in page.inside("dd")
        assert "1 → 2 of 9 objects in any minute" in page.inside("dd")
        assert "Elsewhere" not in page.text
        assert "Asked" not in page.inside("dt")

    def test_says_not_computed_of_what_only_a_preview_could_count(self):
        cap(unit="objects")
        box.failing["preview"] = "unclear"
        page = Page(signed_in().get(address("proposal", waiting())))
        assert "0 of 3 objects in any minute used; what this adds is not computed" in page.text

    def test_of_what_is_done_shows_no_meter(self):
        cap()
        page = Page(signed_in().get(address("proposal", make_checked())))
        assert "writes in any minute" not in page.text

    def test_says_what_holds_an_approved_write_until_when_and_who_may_raise_it(self):
        cap(limit=1)
        first = waiting()
        Reservation.objects.update(counted_at=clock.now() - timedelta(minutes=5))
        second = waiting(params={"colour": "green", "toy": "duck"})
        Reservation.objects.exclude(proposal=str(first.pk)).update(
            counted_at=clock.now() - timedelta(minutes=5)
        )
        factories.approve(first)
        work()
        page = Page(signed_in().get(address("proposal", second)))
        assert "1 → 2 of 1 write in any minute" in page.text
        assert "no room now, so it would wait" in page.text
        factories.approve(second)
        work()
        page = Page(signed_in().get(address("proposal", second)))
        [banner] = [one for one in notices(page) if "Held." in one]
        assert "The budget 'Cap' allows 1 writes in any 60 seconds, and 1 are spoken for." in banner
        assert "It is tried again in " in banner
        assert "A policy administrator may raise it." in banner
        assert "See the budgets" in banner
        assert not [one for one in notices(page) if "A worker commits it" in one]
        assert "held it back; nothing was written" in page.inside("li")

    @pytest.mark.parametrize("stop", ["freeze", "suspend"])
    def test_says_what_stops_an_approved_write(self, stop):
        proposal = waiting()
        factories.approve(proposal)
        if stop == "freeze":
            services.freeze(reason="A loop.", action="toys.set")
        else:
            services.set_suspended(agent_id=proposal.agent_id, is_suspended=True, reason="A loop.")
        page = Page(signed_in().get(address("proposal", proposal)))
        [banner] = [one for one in notices(page) if "Held." in one]
        said = "Frozen (action toys.set): A loop." if stop == "freeze" else "bot is suspended."
        assert said in banner
        assert "until an operator ends that" in banner

    def test_takes_the_same_statements_for_one_budget_and_for_many(self):
        browser, proposal = signed_in(), waiting()
        counts = []
        for number in range(4):
            cap(name=f"Cap {number}", per_agent=bool(number % 2))
            with CaptureQueriesContext(connection) as captured:
                browser.get(address("proposal", proposal))
            counts.append(len(captured))
        assert len(set(counts)) == 1


def notices(page: Page) -> list[str]:
    """What each notice says."""
    found: dict[int, str] = {}
    for above, said in page.texts:
        for _, one in above:
            if "notice" in one.get("class", "").split():
                found[id(one)] = found.get(id(one), "") + said
    return [" ".join(said.split()) for said in found.values()]


class TestStopping:
    def frozen(self, **named) -> Freeze:
        return services.freeze(reason="Something is wrong.", **named)

    def send(self, verb: str, person, **data):
        return signed_in(person).post(reverse(verb), data)

    @pytest.mark.parametrize("group", GROUPS)
    def test_follows_the_table_of_rights(self, group):
        """Freeze and suspend: all but auditors. Lift and resume: operators alone."""
        person, agent = one_of(group), make_agent()
        may_stop, may_lift = group in STOPPERS, group == "operators"
        page = see("stop", person)
        assert bool(page.all("form", action=reverse("freeze"))) is may_stop
        assert bool(page.all("form", action=reverse("suspend"))) is may_stop
        assert bool(page.all("a", href=reverse("stop"))) is may_stop

        answer = self.send("freeze", person, scope="everything", reason="Stop.")
        assert answer.status_code == (302 if may_stop else 422)
        assert freezing.is_everything_frozen() is may_stop
        answer = self.send("suspend", person, agent=agent.name, reason="Loops.")
        assert answer.status_code == (302 if may_stop else 422)
        assert Agent.objects.get(pk=agent.pk).is_suspended is may_stop

        found = self.frozen()
        services.set_suspended(agent_id=agent.pk, is_suspended=True, reason="Loops.")
        page = see("stop", person)
        assert bool(page.all("form", action=reverse("lift"))) is may_lift
        assert bool(page.all("form", action=reverse("resume"))) is may_lift
        answer = self.send("lift", person, freeze=found.pk, reason="It is over.")
        assert answer.status_code == (302 if may_lift else 422)
        assert freezing.is_everything_frozen() is not may_lift
        resumed = self.send("resume", person, agent=agent.name, reason="It is over.")
        assert resumed.status_code == (302 if may_lift else 422)
        assert Agent.objects.get(pk=agent.pk).is_suspended is not may_lift
        for refusal in (answer, resumed):
            if not may_lift:
                assert "takes a right that you do not have" in Page(refusal).text

    def test_is_shut_for_people_in_no_group_even_superusers_and_owners(self):
        root = make_person("root", groups=(), is_superuser=True, is_staff=True)
        agent = make_agent()
        for person in (root, agent.owner):
            for verb in ("freeze", "lift", "suspend", "resume"):
                data = {"scope": "everything", "agent": agent.name, "reason": "Stop."}
                assert self.send(verb, person, **data).status_code == 403
            assert signed_in(person).get(reverse("stop")).status_code == 403
        assert not Freeze.objects.exists()

    def test_owners_who_may_view_stop_their_own_agents_and_no_others(self):
        owner = one_of("auditors")
        own, other = make_agent("own-bot", owner=owner), make_agent("other-bot")
        proposal = make_checked(agent=own)
        theirs = make_checked(agent=other, params=painting("green"))
        page = see("stop", owner)
        assert [one["value"] for one in page.all("input", name="scope")] == ["agent", "run"]
        assert "own-bot" in page.inside("option")
        assert "other-bot" not in page.inside("option")
        for data, status in (
            ({"scope": "everything"}, 422),
            ({"scope": "action", "action": "toys.set"}, 422),
            ({"scope": "agent", "agent": "other-bot"}, 422),
            ({"scope": "run", "run": theirs.run_id}, 422),
            ({"scope": "run", "run": proposal.run_id}, 302),
            ({"scope": "agent", "agent": "own-bot"}, 302),
        ):
            answer = self.send("freeze", owner, reason="Mine.", **data)
            assert answer.status_code == status, data
        assert self.send("suspend", owner, agent="other-bot", reason="Hm.").status_code == 422
        assert self.send("suspend", owner, agent="own-bot", reason="Hm.").status_code == 302
        assert self.send("resume", owner, agent="own-bot").status_code == 422
        assert freezing.in_force().count() == 2

    @pytest.mark.parametrize("scope", ["everything", "agent", "action", "run"])
    def test_freezes_what_was_chosen_and_says_what_happened(self, scope):
        proposal = waiting()
        factories.approve(proposal)
        browser = signed_in()
        named = {"agent": "billing-bot", "action": "toys.set", "run": f"run {proposal.run_id}"}
        # All fields are sent, as by a browser without script; only what was chosen counts.
        data = {**named, "scope": scope, "reason": "  A loop. "}
        page = Page(browser.post(reverse("freeze"), data, follow=True))
        found = Freeze.objects.get()
        assert (found.scope, found.reason, found.frozen_by) == (scope, "A loop.", make_person())
        said = {
            "everything": "Frozen: everything.",
            "agent": "Frozen: agent billing-bot.",
            "action": "Frozen: action toys.set.",
            "run": f"Frozen: run {proposal.run_id} of agent billing-bot.",
        }[scope]
        assert f"{said} No write of it begins from now on" in page.text
        assert "By Rita" in page.text
        assert "A loop." in page.inside("li")
        execution.run(Execution.objects.get().pk)
        assert box.effects == []
        again = Page(browser.post(reverse("freeze"), {**data, "reason": "Again."}, follow=True))
        assert "It was frozen already" in again.text
        assert Freeze.objects.count() == 1

    @pytest.mark.parametrize(
        ("data", "fault"),
        [
            ({"reason": "Stop."}, "Choose what to stop."),
            ({"scope": "world", "reason": "Stop."}, "Select a valid choice."),
            ({"scope": "everything", "reason": "  "}, "Say why this is stopped."),
            ({"scope": "everything", "reason": "x" * 501}, "at most 500 characters"),
            ({"scope": "agent", "reason": "Stop."}, "Choose which agent."),
            ({"scope": "agent", "agent": "nobody", "reason": "Stop."}, "There is no such agent."),
            ({"scope": "action", "reason": "Stop."}, "Choose which action."),
            ({"scope": "action", "action": "no.such", "reason": "Stop."}, "Select a valid choice."),
            ({"scope": "run", "reason": "Stop."}, "Give the number of the run."),
            ({"scope": "run", "run": "12", "reason": "Stop."}, "There is no run of this number."),
            ({"scope": "run", "run": "²", "reason": "Stop."}, "There is no run of this number."),
            ({"scope": "run", "run": "9" * 20, "reason": "Stop."}, "There is no run of this numb"),
        ],
    )
    def test_says_what_is_missing_and_keeps_what_was_typed(self, data, fault):
        answer = self.send("freeze", None, **data)
        assert answer.status_code == 422
        page = Page(answer)
        assert fault in page.inside("li")
        assert not Freeze.objects.exists()
        if data["reason"] == "Stop.":
            assert "Stop." in page.inside("textarea")

    def test_lifts_with_a_reason_and_what_waited_goes_on(self):
        proposal = waiting()
        factories.approve(proposal)
        found = self.frozen(agent=proposal.agent)
        work()
        operator = one_of("operators")
        without = self.send("lift", operator, freeze=found.pk, reason=" ")
        assert without.status_code == 422
        assert "Say why it is safe to go on." in Page(without).text
        browser = signed_in(operator)
        data = {"freeze": found.pk, "reason": "It was a false alarm."}
        page = Page(browser.post(reverse("lift"), data, follow=True))
        assert "Lifted: agent billing-bot. What was held goes on" in page.text
        assert "Nothing is stopped" in page.text
        work()
        assert fresh(proposal).status == "committed"
        entry = LedgerEntry.objects.get(kind="freeze.lifted")
        assert entry.body["reason"] == "It was a false alarm."
        assert browser.post(reverse("lift"), data).status_code == 302
        assert LedgerEntry.objects.filter(kind="freeze.lifted").count() == 1

    @pytest.mark.parametrize("freeze", ["", "0", "x", str(2**70)])
    def test_of_what_is_not_there_is_a_sentence_and_no_error(self, freeze):
        operator = one_of("operators")
        answer = self.send("lift", operator, freeze=freeze, reason="Over.")
        assert answer.status_code == 422
        assert "There is no such thing to let go on." in Page(answer).text
        assert self.send("resume", operator, agent="nobody").status_code == 422

    def test_suspends_with_a_reason_and_resumes(self):
        agent = make_agent()
        answer = self.send("suspend", None, agent=agent.name, reason=" ")
        assert "Say why the agent is suspended." in Page(answer).text
        page = Page(
            signed_in().post(
                reverse("suspend"), {"agent": agent.name, "reason": "It loops."}, follow=True
            )
        )
        assert "Suspended: agent billing-bot. Its proposals are refused" in page.text
        assert "It loops." in page.inside("li")
        assert "By Rita" in page.text
        operator = signed_in(one_of("operators"))
        page = Page(
            operator.post(
                reverse("resume"), {"agent": agent.name, "reason": "It was mended."}, follow=True
            )
        )
        assert "Resumed: agent billing-bot." in page.text
        assert not Agent.objects.get().is_suspended

    def test_says_which_part_of_the_system_suspended_an_agent(self):
        cap(limit=0, on_exceed="suspend")
        refused()
        assert "By a budget that was exceeded" in see("stop").text
        self.frozen()
        assert "By an operator at the command line" in see("stop").text

    def test_is_never_a_get_and_never_without_its_token(self):
        browser = Client(enforce_csrf_checks=True)
        browser.force_login(make_person())
        for verb in ("freeze", "lift", "suspend", "resume"):
            assert browser.get(reverse(verb)).status_code == 405
            data = {"scope": "everything", "reason": "Stop."}
            assert browser.post(reverse(verb), data).status_code == 403
        assert not Freeze.objects.exists()

    def test_preselects_nothing(self):
        page = see("stop")
        radios = page.all("input", name="scope")
        assert [one["value"] for one in radios] == ["everything", "agent", "action", "run"]
        assert not [one for one in radios if "checked" in one]

    def test_is_said_on_every_page_when_everything_is_frozen(self):
        proposal = waiting()
        paths = [reverse(name) for name in ("queue", "recent", "budgets", "stop", "help")]
        paths.append(address("proposal", proposal))
        browser = signed_in()
        for path in paths:
            assert "Everything is frozen." not in Page(browser.get(path)).inside("header")
        self.frozen(action="toys.set")
        assert "Everything is frozen." not in Page(browser.get(paths[0])).inside("header")
        self.frozen()
        for path in paths:
            header = Page(browser.get(path)).inside("header")
            assert "Everything is frozen." in header
            assert "Something is wrong." in header

    def test_shows_hidden_characters_of_a_reason(self):
        self.send("freeze", None, scope="everything", reason="Stop \u202e <b>now</b>")
        page = see("stop")
        assert "\u202e" not in page.html
        assert "<b>" not in page.html
        assert "[U+202E RLO]" in page.inside("header")

    def test_takes_the_same_statements_for_few_rows_and_for_many(self):
        browser = signed_in(one_of("operators"))
        counts = []
        for rows in (1, 5):
            for number in range(rows):
                agent = make_agent(f"bot-{len(counts)}-{number}")
                run = make_checked(agent=agent, run="one", params=painting(note=number)).run
                services.set_suspended(agent_id=agent.pk, is_suspended=True, reason="Loops.")
                self.frozen(agent=agent)
                self.frozen(run=run)
            with CaptureQueriesContext(connection) as captured:
                page = Page(browser.get(reverse("stop")))
            counts.append(len(captured))
        assert len(page.all("form", action=reverse("lift"))) == 12
        assert counts[0] == counts[1]


class TestWhatAnActionRaises:
    """Whatever an action raises is a sentence on a page."""

    @pytest.mark.parametrize("failure", ["unclear", "unavailable", "refused"])
    def test_while_an_undo_is_previewed(self, failure):
        proposal = waiting()
        factories.approve(proposal)
        work()
        box.failing["preview"] = failure
        answer = signed_in().get(address("undo", proposal))
        assert answer.status_code == 200
        assert "What undoing would do cannot be shown." in Page(answer).text
        if failure == "unclear":
            assert "toys.restore failed unexpectedly" in Page(answer).text
            assert "snatched" not in Page(answer).text

    @pytest.mark.parametrize("failure", ["unclear", "unavailable"])
    def test_while_an_outcome_is_reconciled(self, failure, settings):
        settings.EXECUTION_MAX_ATTEMPTS = 1
        box.failing |= {"answer": "unclear", "void": failure}
        proposal = make_checked()
        assert proposal.status == "unknown"
        browser = signed_in(one_of("operators"))
        url = address("reconcile", proposal)
        page = Page(browser.post(url, {"reason": "Asked the target."}, follow=True))
        assert "Nothing was done:" in page.text
        assert Proposal.objects.get().status == "unknown"
        box.failing.clear()
        browser.post(url, {"reason": "Asked the target again."})
        assert Proposal.objects.get().status == "committed"


class TestLowering:
    """An operator may tighten a cap at once; loosening it takes a policy administrator."""

    def lower(self, budget, person, **form):
        form = {"limit": "1", "reason": "Something loops."} | form
        return signed_in(person).post(reverse("lower-budget", args=[budget.pk]), form)

    def test_an_operator_lowers_a_limit_and_the_next_write_meets_it(self):
        budget = cap()
        factories.make_proposal()
        answer = self.lower(budget, one_of("operators"))
        assert answer.status_code == 302
        budget.refresh_from_db()
        assert budget.limit == 1
        refused()
        entry = LedgerEntry.objects.get(kind="budget.lowered")
        assert entry.body == {"was": "3.00", "becomes": "1", "reason": "Something loops."}

    @pytest.mark.parametrize(
        "form",
        [
            {"limit": "3"},
            {"limit": "4"},
            {"limit": "-1"},
            {"limit": "0.123"},
            {"limit": "NaN"},
            {"limit": "one"},
            {"limit": ""},
            {"reason": " "},
        ],
        ids=str,
    )
    def test_what_is_not_lower_or_has_no_reason_changes_nothing(self, form):
        budget = cap()
        answer = self.lower(budget, one_of("operators"), **form)
        assert answer.status_code == 422
        assert "Nothing was changed" in Page(answer).text
        budget.refresh_from_db()
        assert budget.limit == 3
        assert not LedgerEntry.objects.filter(kind="budget.lowered").exists()

    @pytest.mark.parametrize("group", GROUPS)
    def test_takes_the_right_for_it(self, group):
        budget = cap()
        may = group in {"operators", "policy-administrators"}
        person = one_of(group)
        assert self.lower(budget, person).status_code == (302 if may else 403)
        assert ("Lower" in see("budgets", person).text) == may
        budget.refresh_from_db()
        assert budget.limit == (1 if may else 3)
