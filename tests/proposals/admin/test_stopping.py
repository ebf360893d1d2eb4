"""Freezing, lifting, suspending and resuming in the admin: asked first, then by the verbs."""

import re
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse

from ledger.models import LedgerEntry
from proposals import execution, freezing, services
from proposals.models import Agent, Execution, Freeze, Run
from tests import factories
from tests.proposals.admin.pages import address, signed_in, text_of

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.usefixtures("toybox")]

SET = "/admin/proposals/freeze/set/"
LIST = "/admin/proposals/freeze/"
GROUPS = {
    "reviewers": (True, False),
    "senior-reviewers": (True, False),
    "operators": (True, True),
    "policy-administrators": (True, False),
    "auditors": (False, False),
}


@pytest.fixture
def olga():
    return signed_in("olga", ["operators"])


@pytest.fixture
def rita():
    return signed_in("rita", ["reviewers"])


@pytest.fixture
def approved():
    proposal = factories.make_checked(params=factories.painting(tier="medium"))
    factories.approve(proposal, reviewer=factories.make_person("saul"))
    return factories.fresh(proposal)


def words(response):
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", text_of(response))))


def lift_page(freeze):
    return reverse("admin:proposals_freeze_lift", args=[freeze.pk])


def agent_page(agent, verb):
    return reverse(f"admin:proposals_agent_{verb}", args=[agent.pk])


class TestFreezing:
    @pytest.mark.parametrize("scope", ["everything", "agent", "action", "pattern", "run"])
    def test_each_scope_is_asked_about_then_stopped_and_said(self, rita, approved, toybox, scope):
        named, said = {
            "everything": ({"scope": "everything"}, "everything"),
            "agent": ({"scope": "agent", "agent": "billing-bot"}, "agent billing-bot"),
            "action": ({"scope": "action", "action": "toys.set"}, "action toys.set"),
            "pattern": ({"scope": "action", "action": "toys.*"}, "action toys.*"),
            "run": (
                {"scope": "run", "run": str(approved.run_id)},
                f"run {approved.run_id} of agent billing-bot",
            ),
        }[scope]
        assert f'href="{SET}"' in text_of(rita.get(LIST))
        form = {**named, "reason": " A loop. "}
        asked = words(rita.post(SET, form))
        assert f"Freeze {said}?" in asked
        assert "Approved and not yet written: 1." in asked
        assert "Reason: A loop." in asked
        assert ("Undo asked for by people goes on." in asked) is (scope != "everything")
        assert ("It stops toys." in asked) is (scope in {"action", "pattern"})
        assert not Freeze.objects.exists(), "being asked stopped nothing"

        done = rita.post(SET, {**form, "step": "freeze"}, follow=True)
        assert f"Frozen: {said}. No write of it begins from now on" in words(done)
        found = Freeze.objects.get()
        assert (found.reason, found.frozen_by) == ("A loop.", rita.person)
        assert done.redirect_chain[-1][0] == address(Freeze, "change", found.pk)
        execution.run(Execution.objects.get().pk)
        assert toybox.effects == []
        entry = LedgerEntry.objects.get(kind="freeze.set")
        assert (entry.actor, entry.body["reason"]) == (f"user:{rita.person.pk}", "A loop.")

    def test_what_was_typed_can_be_changed_before_anything_is_stopped(self, rita):
        factories.make_agent()
        form = {"scope": "agent", "agent": "billing-bot", "reason": "A loop.", "step": "choose"}
        page = text_of(rita.post(SET, form))
        assert re.search(r'value="agent"[^>]*checked', page)
        assert re.search(r'<option value="billing-bot" selected', page)
        assert "A loop." in page
        assert not Freeze.objects.exists()

    @pytest.mark.parametrize("step", ["", "freeze"])
    @pytest.mark.parametrize(
        ("changes", "field", "fault"),
        [
            ({"scope": ""}, "scope", "Choose what to stop."),
            ({"scope": "world"}, "scope", "Select a valid choice."),
            ({"reason": " "}, "reason", "Say why this is stopped."),
            ({"reason": "x" * 501}, "reason", "at most 500 characters"),
            ({"scope": "agent"}, "agent", "Choose which agent."),
            ({"scope": "agent", "agent": "nobody"}, "agent", "There is no such agent."),
            ({"scope": "action"}, "action", "Choose which action."),
            ({"scope": "action", "action": "toys.sett"}, "action", "There is no action of this"),
            ({"scope": "run"}, "run", "Give the number of the run."),
            ({"scope": "run", "run": "4711"}, "run", "There is no run of this number."),
            ({"scope": "run", "run": "9" * 20}, "run", "There is no run of this number."),
        ],
    )
    def test_a_mistake_is_named_at_its_field_and_stops_nothing(
        self, rita, changes, field, fault, step
    ):
        form = {"scope": "everything", "reason": "Stop.", "step": step, **changes}
        response = rita.post(SET, form)
        assert list(response.context["form"].errors) == [field]
        page = text_of(response)
        assert fault in response.context["form"].errors[field][0]
        assert f'id="id_{field}_error"' in page
        assert f'aria-describedby="id_{field}' in page
        assert "<title>Error: " in re.sub(r"<title>\s*", "<title>", page)
        assert not Freeze.objects.exists()

    @pytest.mark.parametrize("scope", ["everything", "agent", "action", "run"])
    def test_what_is_frozen_already_is_said_at_its_field_with_the_reason(
        self, rita, approved, scope
    ):
        named = {
            "everything": {},
            "agent": {"agent": approved.agent},
            "action": {"action": "toys.set"},
            "run": {"run": approved.run},
        }[scope]
        services.freeze(reason="Prices look wrong.", **named)
        form = {"agent": "billing-bot", "action": "toys.set", "run": approved.run_id}
        response = rita.post(SET, {**form, "scope": scope, "reason": "Again.", "step": "freeze"})
        errors = response.context["form"].errors
        assert list(errors) == ["scope" if scope == "everything" else scope]
        [[fault]] = errors.values()
        assert fault.startswith("Frozen already since ")
        assert fault.endswith(" UTC, because: Prices look wrong.")
        assert Freeze.objects.count() == 1

    def test_the_page_chooses_nothing_by_itself_and_has_a_name_for_every_field(self, rita):
        factories.make_agent()
        page = text_of(rita.get(SET))
        assert "checked" not in re.sub(r"<script.*?</script>", "", page, flags=re.S)
        assert "autofocus" not in page
        for name in ("agent", "action", "run", "reason"):
            assert f'<label for="id_{name}">' in page or f'for="id_{name}"' in page
        assert re.search(r"<fieldset[^>]*><legend[^>]*>What to freeze", page)
        assert '<option value="toys.set">' in page

    def test_a_run_and_an_agent_lead_to_the_page_with_themselves_chosen(self, rita, approved):
        for row, chosen in (
            (approved.agent, '<option value="billing-bot" selected'),
            (approved.run, f'name="run" value="{approved.run_id}"'),
        ):
            page = unescape(text_of(rita.get(address(type(row), "change", row.pk))))
            [there] = re.findall(rf'href="({SET}\?[^"]+)"', page)
            assert chosen in text_of(rita.get(there))

    def test_a_form_of_another_site_stops_nothing(self, rita):
        browser = Client(enforce_csrf_checks=True)
        browser.force_login(rita.person)
        form = {"scope": "everything", "reason": "Stop.", "step": "freeze"}
        assert browser.post(SET, form).status_code == 403
        assert not Freeze.objects.exists()


class TestLifting:
    def test_it_is_asked_for_a_reason_and_what_waited_goes_on(self, olga, approved):
        found = services.freeze(reason="A loop.", run=approved.run)
        page = address(Freeze, "change", found.pk)
        assert f'href="{lift_page(found)}"' in text_of(olga.get(page))
        asked = words(olga.get(lift_page(found)))
        assert f"Lift the freeze of run {approved.run_id} of agent billing-bot?" in asked
        assert "Approved and not yet written: 1." in asked
        assert "Stopped because: A loop." in asked
        refused = olga.post(lift_page(found), {"reason": " "})
        assert refused.context["form"].errors == {"reason": ["Say why it is safe to go on."]}
        assert freezing.in_force().exists()

        done = olga.post(lift_page(found), {"reason": "It was mended."}, follow=True)
        assert "Lifted: run " in words(done)
        assert done.redirect_chain[-1][0] == page
        assert not freezing.in_force().exists()
        entry = LedgerEntry.objects.get(kind="freeze.lifted")
        told = (entry.actor, entry.body["reason"])
        assert told == (f"user:{olga.person.pk}", "It was mended.")
        factories.work()
        assert factories.fresh(approved).status == "committed"

        again = olga.post(lift_page(found), {"reason": "Once more."}, follow=True)
        assert "Lifted already: run " in words(again)
        assert LedgerEntry.objects.filter(kind="freeze.lifted").count() == 1
        assert lift_page(found) not in text_of(olga.get(page))

    def test_of_what_is_not_there_is_not_found(self, olga):
        for number in (4711, 2**70):
            assert olga.get(f"{LIST}{number}/lift/").status_code == 404


class TestSuspending:
    def test_an_agent_is_suspended_by_a_reviewer_and_resumed_by_an_operator(self, rita, olga):
        agent = factories.make_agent()
        page = address(Agent, "change", agent.pk)
        suspend, resume = (agent_page(agent, verb) for verb in ("suspend", "resume"))
        assert f'href="{suspend}"' in text_of(rita.get(page))
        refused = rita.post(suspend, {"reason": ""})
        assert list(refused.context["form"].errors) == ["reason"]
        done = rita.post(suspend, {"reason": "It loops."}, follow=True)
        assert "Suspended: agent billing-bot. Its proposals are refused" in words(done)
        agent.refresh_from_db()
        assert (agent.is_suspended, agent.suspended_reason) == (True, "It loops.")
        assert agent.history.first().history_user == rita.person
        assert resume not in text_of(rita.get(page))

        assert f'href="{resume}"' in text_of(olga.get(page))
        assert "Stopped because: It loops." in words(olga.get(resume))
        refused = olga.post(resume, {"reason": ""})
        assert refused.context["form"].errors == {"reason": ["Say why it is safe to go on."]}
        done = olga.post(resume, {"reason": "It was mended."}, follow=True)
        assert "Resumed: agent billing-bot." in words(done)
        agent.refresh_from_db()
        assert not agent.is_suspended
        actors = LedgerEntry.objects.filter(kind__in=["agent.suspended", "agent.resumed"])
        assert list(actors.order_by("pk").values_list("actor", flat=True)) == [
            f"user:{rita.person.pk}",
            f"user:{olga.person.pk}",
        ]

    def test_what_is_so_already_is_said(self, olga):
        agent = factories.make_agent()
        done = olga.post(agent_page(agent, "resume"), {"reason": "Go."}, follow=True)
        assert "The agent billing-bot is not suspended." in words(done)
        services.set_suspended(agent_id=agent.pk, is_suspended=True, reason="It loops.")
        done = olga.post(agent_page(agent, "suspend"), {"reason": "Mine."}, follow=True)
        assert "The agent billing-bot is suspended already." in words(done)
        agent.refresh_from_db()
        assert agent.suspended_reason == "It loops."


class TestWhoMay:
    @pytest.mark.parametrize("group", GROUPS)
    def test_stopping_and_starting_follow_the_table_of_rights(self, group):
        browser, agent = signed_in(f"one-of-{group}", [group]), factories.make_agent()
        may_stop, may_lift = GROUPS[group]
        assert (SET in text_of(browser.get(LIST))) is may_stop
        form = {"scope": "everything", "reason": "Stop.", "step": "freeze"}
        assert browser.post(SET, form).status_code == (302 if may_stop else 403)
        assert freezing.is_everything_frozen() is may_stop
        stopped = browser.post(agent_page(agent, "suspend"), {"reason": "Loops."})
        assert stopped.status_code == (302 if may_stop else 403)
        assert Agent.objects.get().is_suspended is may_stop

        found = services.freeze(reason="Stop.")
        services.set_suspended(agent_id=agent.pk, is_suspended=True, reason="Loops.")
        page = text_of(browser.get(address(Freeze, "change", found.pk)))
        assert (lift_page(found) in page) is may_lift
        for there in (lift_page(found), agent_page(agent, "resume")):
            assert browser.get(there).status_code == (200 if may_lift else 403)
            answer = browser.post(there, {"reason": "Over."})
            assert answer.status_code == (302 if may_lift else 403)
        assert freezing.is_everything_frozen() is not may_lift
        assert Agent.objects.get().is_suspended is not may_lift

    def test_an_owner_stops_their_own_agents_and_runs_and_lifts_nothing(self):
        oona = signed_in("oona", [])
        own = factories.make_agent("own-bot", owner=oona.person)
        other = factories.make_agent("other-bot")
        mine, theirs = (factories.make_proposal(agent=agent).run for agent in (own, other))
        page = text_of(oona.get(SET))
        assert '<option value="own-bot">' in page
        assert "other-bot" not in page
        for named in (
            {"scope": "everything"},
            {"scope": "action", "action": "toys.set"},
            {"scope": "agent", "agent": "other-bot"},
            {"scope": "run", "run": theirs.pk},
        ):
            response = oona.post(SET, {**named, "reason": "Hm.", "step": "freeze"})
            assert response.context["form"].errors, named
            assert not Freeze.objects.exists()
        assert oona.post(agent_page(other, "suspend"), {"reason": "Hm."}).status_code == 403
        for named in ({"scope": "agent", "agent": "own-bot"}, {"scope": "run", "run": mine.pk}):
            done = oona.post(SET, {**named, "reason": "Mine.", "step": "freeze"}, follow=True)
            assert "Frozen: " in words(done)
        assert oona.post(agent_page(own, "suspend"), {"reason": "Mine."}).status_code == 302
        assert oona.post(agent_page(own, "resume"), {"reason": "Mine."}).status_code == 403
        assert oona.post(lift_page(Freeze.objects.first()), {"reason": "x"}).status_code == 403
        assert freezing.in_force().count() == 2

    @pytest.mark.parametrize("is_superuser", [True, False])
    def test_without_a_group_nothing_opens_not_even_to_a_superuser(self, is_superuser):
        browser, agent = signed_in("nora", [], is_superuser=is_superuser), factories.make_agent()
        found = services.freeze(reason="Stop.", action="toys.set")
        for there in (SET, lift_page(found), agent_page(agent, "suspend")):
            assert browser.get(there).status_code == 403
            form = {"scope": "everything", "reason": "Stop.", "step": "freeze"}
            assert browser.post(there, form).status_code == 403
        assert Freeze.objects.count() == 1


class TestReading:
    def test_the_list_says_what_is_stopped_by_whom_and_until_when(self, olga, approved):
        services.freeze(reason="A loop.", run=approved.run, person=olga.person)
        over = services.freeze(reason="Too dear.", action="toys.*")
        services.lift(freeze_id=over.pk, reason="Cheap.", person=olga.person)
        page = text_of(olga.get(LIST))
        run = address(Run, "change", approved.run_id)
        assert f'href="{run}">run {approved.run_id} of agent billing-bot</a>' in page
        assert "an operator at the command line" in page
        assert "olga" in words(olga.get(address(Freeze, "change", over.pk)))
        now, then = (text_of(olga.get(LIST, {"state": state})) for state in ("now", "over"))
        assert ("A loop." in now, "Too dear." in now) == (True, False)
        assert ("A loop." in then, "Too dear." in then) == (False, True)

    def test_an_empty_list_says_which_kind_of_empty_it_is(self, olga):
        assert "Nothing is frozen, and nothing was." in text_of(olga.get(LIST))
        services.freeze(reason="A loop.")
        filtered = text_of(olga.get(LIST, {"state": "over"}))
        assert "No freeze fits these filters." in filtered
        assert "and nothing was" not in filtered

    def test_rows_are_still_neither_added_nor_changed_nor_deleted(self, olga):
        found = services.freeze(reason="A loop.")
        for page in ("add", "delete"):
            there = address(Freeze, page, *([found.pk] if page == "delete" else []))
            assert olga.post(there, {"post": "yes"}).status_code == 403
        form = {"reason": "Another.", "scope": "run"}
        assert olga.post(address(Freeze, "change", found.pk), form).status_code == 403
        found.refresh_from_db()
        assert (found.scope, found.reason) == ("everything", "A loop.")
