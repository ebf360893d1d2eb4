"""The pages of agents: who may see and do what there, what they show, and what is shown once."""

import json
import re
import shutil
import subprocess
import sys
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from budgets.models import Budget
from ledger import clock
from ledger.models import LedgerEntry
from proposals import rights, services, tokens
from proposals.console import snippets
from proposals.exceptions import InvalidRequest, NotEligible
from proposals.lifecycle import Status
from proposals.models import Agent, AgentToken, Proposal, Review
from proposals.registry import registry
from proposals.targets import wiring
from tests import factories, mail_fixture
from tests.factories import (
    fresh,
    make_agent,
    make_checked,
    make_person,
    painting,
    token_for,
    work,
)
from tests.proposals.test_console import GROUPS, Page, signed_in
from tests.toys import box

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.usefixtures("toybox")]
SHOWN_TOKEN = re.compile("cs_[0-9a-f]{16}_[0-9A-Za-z_-]{43}")


def one_of(group):
    return make_person(f"one-of-{group}", groups=[group])


def owner():
    return make_person("otto", groups=())


def pasted_from(page, name):
    """What somebody would copy of this snippet."""
    [pre] = [each for each in page.all("pre") if each["id"] == f"snippet-{name}"]
    return "".join(text for above, text in page.texts if ("pre", pre) in above)


def url(name, agent, query=""):
    return reverse(name, args=[agent.pk]) + query


def see(name, agent, person=None, query=""):
    answer = signed_in(person).get(url(name, agent, query))
    assert answer.status_code == 200, answer.content[:300]
    return Page(answer)


def words(page):
    """All that a page says, with a space between its elements."""
    return " ".join(" ".join(text for _, text in page.texts).split())


def send(name, agent, person, **data):
    return signed_in(person).post(url(name, agent), data, follow=True)


def kinds(agent):
    found = LedgerEntry.objects.filter(stream=f"agent:{agent.pk}").order_by("number")
    return list(found.values_list("kind", flat=True))


class TestWhoMay:
    """The table of the design page, for what is on these pages."""

    @pytest.mark.parametrize("group", [*GROUPS, "owner"])
    def test_follows_the_table_of_rights(self, group):
        agent = make_agent()
        person = owner() if group == "owner" else one_of(group)
        grants, keeps = group == "policy-administrators", group in {"operators", "owner"}
        page = see("agent", agent, person)
        assert bool(page.all("form", action=url("observe", agent))) is grants
        assert bool(page.all("form", action=url("issue-token", agent))) is keeps
        assert bool(page.all("form", action=url("suspend-agent", agent))) is (group != "auditors")

        send("observe", agent, person, reason="To look.")
        assert Agent.objects.get().is_observed is grants
        send("grants", agent, person, pattern="toys.*")
        assert agent.grants.filter(pattern="toys.*").exists() is grants
        send("remove-grant", agent, person, pattern="*")
        assert agent.grants.filter(pattern="*").exists() is not grants
        send("issue-token", agent, person, days=9, seen=0)
        assert AgentToken.objects.exists() is keeps
        issued = AgentToken.objects.first() or AgentToken.objects.get(
            key_id=tokens.key_id_of(token_for(agent))
        )
        send("rotate-token", agent, person, token=issued.pk, overlap=24)
        assert AgentToken.objects.get(pk=issued.pk).is_replaced is keeps
        send("revoke-token", agent, person, token=issued.pk)
        assert bool(AgentToken.objects.get(pk=issued.pk).revoked_at) is keeps
        send("suspend-agent", agent, person, reason="Loops.")
        assert Agent.objects.get().is_suspended is (group != "auditors")
        services.set_suspended(agent_id=agent.pk, is_suspended=True, reason="Loops.")
        send("resume-agent", agent, person, reason="It was mended.")
        assert Agent.objects.get().is_suspended is (group != "operators")

    @pytest.mark.parametrize("group", GROUPS)
    def test_lets_policy_administrators_alone_make_agents(self, group):
        person, may = one_of(group), group == "policy-administrators"
        data = {"name": "new-bot", "owner": owner().pk}
        answer = signed_in(person).post(reverse("new-agent"), data)
        assert answer.status_code == (302 if may else 422)
        assert Agent.objects.filter(name="new-bot").exists() is may
        assert bool(Page(signed_in(person).get(reverse("new-agent"))).all("select")) is may

    def test_counts_rights_by_name_and_not_superusers(self):
        agent = make_agent()
        root = make_person("root", groups=["auditors"], is_superuser=True, is_staff=True)
        for verb in (
            lambda: services.create_agent(name="a", owner=owner(), person=root),
            lambda: services.grant(agent=agent, pattern="toys.*", person=root),
            lambda: services.remove_grant(agent_id=agent.pk, pattern="*", person=root),
            lambda: services.change_agent(agent_id=agent.pk, owner=root, person=root),
            lambda: services.issue_token(agent_id=agent.pk, person=root),
        ):
            with pytest.raises(NotEligible):
                verb()


class TestAnOwnerWithoutAGroup:
    def test_is_led_from_the_queue_to_their_agents(self):
        mine, other = make_agent(), make_agent("other-bot", owner=make_person())
        browser = signed_in(owner())
        assert browser.get(reverse("queue"))["Location"] == reverse("agents")
        page = Page(browser.get(reverse("agents")))
        assert mine.name in page.text
        assert other.name not in page.text
        assert not page.all("a", href=reverse("budgets"))
        assert browser.get(reverse("help")).status_code == 200

    def test_sees_what_is_theirs_and_nothing_else(self):
        mine = make_checked(params=painting(tier="medium"))
        other = make_agent("other-bot", owner=make_person())
        theirs = make_checked(agent=other, params=painting("pink", tier="medium"))
        browser = signed_in(owner())
        assert browser.get(url("proposal", mine)).status_code == 200
        assert browser.get(url("undo", mine)).status_code == 200
        for name, thing in (
            ("proposal", theirs),
            ("undo", theirs),
            ("agent", other),
            ("grants", other),
            ("observed", other),
        ):
            assert browser.get(url(name, thing)).status_code == 404, name
        for name in ("suspend-agent", "issue-token", "revoke-token", "rotate-token", "observe"):
            assert browser.post(url(name, other), {"reason": "Hm."}).status_code == 404, name
        for name in ("recent", "budgets", "stop"):
            assert browser.get(reverse(name)).status_code == 403, name
        shown = Page(browser.get(url("proposal", mine, "?tab=open")))
        assert str(theirs.pk) not in shown.html

    def test_never_decides(self):
        proposal = make_checked(params=painting(tier="medium"))
        page = see("proposal", proposal, owner())
        assert not page.all("input", name="decision")
        data = {"decision": "approve", "digest": proposal.current_check.digest, "reason": "Mine."}
        for name in ("decide", "retry", "reconcile"):
            assert signed_in(owner()).post(url(name, proposal), data).status_code == 403
        assert not Review.objects.exists()

    def test_asks_for_an_undo_that_somebody_else_decides_on(self):
        done = make_checked()
        assert done.status == Status.COMMITTED
        answer = signed_in(owner()).post(url("undo", done), {"reason": "A mix-up."}, follow=True)
        assert answer.status_code == 200
        undo = Proposal.objects.get(compensates=done)
        work()
        undo = fresh(undo)
        assert undo.status == Status.PENDING, "at low tier too"
        assert "undo-asked" in [reason["code"] for reason in undo.current_check.reasons]
        assert box.colours["bear"] == "blue"
        factories.approve(undo)
        work()
        assert box.colours["bear"] == "brown"

    def test_asks_for_no_undo_of_what_others_own(self):
        theirs = make_checked(agent=make_agent("other-bot", owner=make_person()))
        with pytest.raises(NotEligible):
            services.undo(proposal_id=theirs.pk, person=owner(), reason="Not mine.")

    def test_touches_no_token_of_another_agent_by_way_of_their_own(self):
        mine, other = make_agent(), make_agent("other-bot", owner=make_person())
        token_for(other)
        theirs = AgentToken.objects.get()
        for name in ("revoke-token", "rotate-token"):
            data = {"token": theirs.pk, "overlap": 0}
            assert signed_in(owner()).post(url(name, mine), data).status_code == 404
        theirs.refresh_from_db()
        assert theirs.revoked_at is None
        assert AgentToken.objects.count() == 1

    def test_is_shut_out_with_the_last_agent(self):
        agent = make_agent()
        services.change_agent(agent_id=agent.pk, owner=make_person())
        assert signed_in(owner()).get(reverse("agents")).status_code == 403


class TestTheProfile:
    def test_tells_the_record_of_the_last_thirty_days(self):
        agent = make_agent()
        make_checked(agent=agent)
        approved = make_checked(agent=agent, params=painting("green", tier="medium"))
        factories.approve(approved)
        work()
        rejected = make_checked(agent=agent, params=painting("pink", tier="medium"))
        factories.review(rejected, "reject")
        make_checked(agent=agent, params=painting("gold", tier="medium"))
        services.undo(proposal_id=approved.pk, person=make_person(), reason="A mix-up.")
        work()
        old = make_checked(agent=agent, params=painting("grey"))
        Proposal.objects.filter(pk=old.pk).update(created_at=clock.now() - timedelta(days=31))
        services.set_observed(agent_id=agent.pk, is_observed=True)
        make_checked(agent=agent, params=painting("white"))
        text = words(see("agent", agent))
        for said in (
            "Proposed 4 ",
            "Open 1 ",
            "Committed by itself 1 ",
            "Approved by people 1 ",
            "Rejected 1 ",
            "Denied 0 ",
            "Failed 0 ",
            "Undone 1 ",
            "Unknown 0 ",
        ):
            assert said in text, said
        assert re.search(r"Median time to decision \d+ s", text)

    def test_takes_the_same_statements_for_few_proposals_and_for_many(self):
        agent, browser = make_agent(), signed_in()
        counts = []
        for round_number in range(2):
            for number in range(1 + round_number * 4):
                params = painting(f"blue-{round_number}-{number}", tier="medium")
                make_checked(agent=agent, run=f"run-{round_number}-{number}", params=params)
                services.grant(agent=agent, pattern=f"toys.x{round_number}{number}")
                token_for(agent)
            with CaptureQueriesContext(connection) as captured:
                assert browser.get(url("agent", agent)).status_code == 200
            counts.append(len(captured))
        assert counts[0] == counts[1]

    def test_lists_agents_in_the_same_statements_however_many_there_are(self):
        browser, counts = signed_in(), []
        for number in range(4):
            make_checked(agent=make_agent(f"bot-{number}"))
            with CaptureQueriesContext(connection) as captured:
                page = Page(browser.get(reverse("agents")))
            counts.append(len(captured))
            assert f"bot-{number}" in page.text
        assert len(set(counts)) == 1

    def test_shows_its_budgets_with_links_for_those_who_may_follow_them(self):
        agent = make_agent()
        budget = Budget(name="Toys of an agent", unit="writes", limit=4, window_seconds=60)
        services.save_budget(budget=budget, person=None, is_new=True)
        make_checked(agent=agent)
        link = f"{reverse('budgets')}#cap-{budget.pk}"
        page = see("agent", agent)
        assert "1 of 4 writes" in page.text
        assert page.all("a", href=link)
        own = see("agent", agent, owner())
        assert "1 of 4 writes" in own.text
        assert not own.all("a", href=link)

    def test_shows_nothing_that_an_agent_named(self):
        agent = make_agent()
        make_checked(agent=agent, run="zq-agent-wrote-this", rationale="zq-agent-wrote-this")
        assert "zq-agent-wrote-this" not in see("agent", agent).html

    def test_of_a_new_agent_says_what_is_missing(self):
        text = see("agent", make_agent(grants=[]), one_of("operators")).text
        assert "Nothing: every proposal of it is refused." in text
        assert "No token was issued yet" in text
        assert "It may propose nothing yet" in text


class TestMakingAnAgent:
    def make(self, **data):
        paula = one_of("policy-administrators")
        return signed_in(paula).post(reverse("new-agent"), data, follow=True)

    def test_goes_on_to_its_grants_and_starts_observed_if_asked(self):
        answer = self.make(name="new-bot", owner=owner().pk, is_observed="on")
        agent = Agent.objects.get()
        assert answer.redirect_chain[-1][0] == url("grants", agent)
        assert (agent.owner, agent.is_observed) == (owner(), True)
        assert kinds(agent) == ["agent.created"]

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            ({}, "Give it a name"),
            ({"name": "New Bot"}, "Lower-case letters, digits and hyphens."),
            ({"name": "x" * 65}, "at most 64 characters"),
            ({"name": "taken-bot", "owner": "otto"}, "already an agent named taken-bot"),
            ({"name": "new-bot", "owner": "999999"}, "There is no such person"),
            ({"name": "new-bot"}, "Choose the person who answers for it."),
        ],
    )
    def test_refuses_what_does_not_fit_and_says_where(self, data, said):
        make_agent("taken-bot")
        if data.get("owner") == "otto":
            data = {**data, "owner": owner().pk}
        answer = self.make(**data)
        assert answer.status_code == 422
        assert said in Page(answer).text
        assert Agent.objects.count() == 1

    def test_offers_no_service_account_as_owner(self):
        account = make_agent("taken-bot").user
        answer = self.make(name="new-bot", owner=account.pk)
        assert answer.status_code == 422


class TestGranting:
    def test_shows_what_a_pattern_covers_before_it_is_granted(self):
        agent, paula = make_agent(grants=[]), one_of("policy-administrators")
        page = see("grants", agent, paula, "?pattern=toys.*")
        assert "toys.* covers 1 action:" in page.text
        assert page.all("button", type="submit")
        assert "toys.restore" not in page.text, "what is internal is on no menu"
        part = signed_in(paula).get(
            url("grants", agent), {"pattern": "toys.*"}, headers={"HX-Request": "true"}
        )
        assert b"<html" not in part.content
        assert "covers nothing there is now" in see("grants", agent, paula, "?pattern=x.y").text
        assert not agent.grants.exists()

    def test_grants_what_was_chosen_and_says_what_it_covers(self):
        agent, paula = make_agent(grants=[]), one_of("policy-administrators")
        page = Page(send("grants", agent, paula, actions=["toys.set"], pattern="letters.*"))
        assert "Granted toys.set, letters.*: covers 1 action." in page.text
        assert sorted(agent.grants.values_list("pattern", flat=True)) == ["letters.*", "toys.set"]
        assert kinds(agent)[-2:] == ["grant.created", "grant.created"]
        page = Page(send("remove-grant", agent, paula, pattern="letters.*"))
        assert "Removed letters.*" in page.text
        assert kinds(agent)[-1] == "grant.removed"

    @pytest.mark.parametrize("data", [{}, {"pattern": "Toys !"}, {"actions": ["toys.restore"]}])
    def test_refuses_what_is_no_pattern_and_no_action(self, data):
        agent, paula = make_agent(grants=[]), one_of("policy-administrators")
        answer = signed_in(paula).post(url("grants", agent), data)
        assert answer.status_code == 422
        assert "Nothing was changed." in Page(answer).text
        assert not agent.grants.exists()
        shown = signed_in(paula).get(url("grants", agent), {"pattern": "Toys !"})
        assert "An action name; * stands for any part." in Page(shown).text


class TestTokens:
    def issued(self, answer):
        [token] = set(SHOWN_TOKEN.findall(answer.content.decode()))
        return token

    def test_a_token_is_shown_once_and_by_no_reload(self):
        agent, browser = make_agent(), signed_in(owner())
        data = {"days": 30, "seen": 0}
        answer = browser.post(url("issue-token", agent), data)
        token = self.issued(answer)
        assert "no-store" in answer["Cache-Control"]
        assert tokens.authenticate(token).agent == agent
        again = browser.post(url("issue-token", agent), data, follow=True)
        assert "A token was issued after this page was opened" in Page(again).text
        assert AgentToken.objects.count() == 1
        assert token not in browser.get(url("agent", agent)).content.decode()
        stored = AgentToken.objects.get()
        assert stored.issued_by == owner()
        assert abs(stored.expires_at - clock.now() - timedelta(days=30)) < timedelta(minutes=1)
        page = Page(browser.get(url("agent", agent)))
        assert f"by {owner().get_full_name() or owner().get_username()}" in page.text
        assert "Whoever issues it has no say in what billing-bot asks for" in page.text

    def test_rotating_leaves_the_old_one_valid_for_the_overlap_alone(self):
        agent = make_agent()
        old = token_for(agent)
        stored = AgentToken.objects.get()
        answer = signed_in(owner()).post(
            url("rotate-token", agent), {"token": stored.pk, "overlap": 24}
        )
        new = self.issued(answer)
        assert tokens.authenticate(old).agent == tokens.authenticate(new).agent == agent
        stored.refresh_from_db()
        ends = stored.expires_at - clock.now()
        assert timedelta(hours=23, minutes=58) < ends <= timedelta(hours=24)
        assert kinds(agent)[-2:] == ["token.issued", "token.rotated"]
        assert AgentToken.objects.latest("pk").issued_by == owner()
        entry = LedgerEntry.objects.latest("id")
        assert entry.body["replaced_by"] == tokens.key_id_of(new)
        AgentToken.objects.filter(pk=stored.pk).update(expires_at=clock.now())
        assert tokens.authenticate(old) is None
        assert tokens.authenticate(new) is not None

    def test_rotating_without_overlap_ends_the_old_one_and_twice_is_refused(self):
        agent = make_agent()
        old = token_for(agent)
        stored = AgentToken.objects.get()
        services.rotate_token(token_id=stored.pk, person=owner(), overlap_hours=0)
        assert tokens.authenticate(old) is None
        with pytest.raises(InvalidRequest):
            services.rotate_token(token_id=stored.pk, person=owner(), overlap_hours=0)
        assert AgentToken.objects.count() == 2

    def test_an_overlap_never_makes_a_token_last_longer(self):
        agent = make_agent()
        tokens.issue(agent=agent, actor="user:1", days=1)
        stored = AgentToken.objects.get()
        services.rotate_token(token_id=stored.pk, person=owner(), overlap_hours=168)
        assert AgentToken.objects.get(pk=stored.pk).expires_at == stored.expires_at

    @pytest.mark.parametrize(
        ("verb", "limits"),
        [
            ("issue_token", {"days": 0}),
            ("issue_token", {"days": 366}),
            ("rotate_token", {"overlap_hours": -1}),
            ("rotate_token", {"overlap_hours": 169}),
            ("rotate_token", {"overlap_hours": 1, "days": 0}),
        ],
    )
    def test_limits_are_kept(self, verb, limits):
        agent = make_agent()
        token_for(agent)
        stored = AgentToken.objects.get()
        target = {"agent_id": agent.pk} if verb == "issue_token" else {"token_id": stored.pk}
        with pytest.raises(InvalidRequest):
            getattr(services, verb)(**target, **limits, person=owner())
        assert AgentToken.objects.count() == 1

    @pytest.mark.parametrize(
        ("name", "data"),
        [
            ("issue-token", {"days": "x", "seen": "0"}),
            ("issue-token", {}),
            ("rotate-token", {"token": "1", "overlap": "5"}),
            ("revoke-token", {"token": "99999999999999999999"}),
        ],
    )
    def test_nonsense_changes_nothing_and_is_said(self, name, data):
        agent = make_agent()
        answer = signed_in(owner()).post(url(name, agent), data, follow=True)
        assert answer.status_code == 200
        assert "Nothing was changed:" in Page(answer).text
        assert not AgentToken.objects.exists()


class TestSuspending:
    def test_keeps_the_reason_of_both_in_ledger_and_history(self):
        agent = make_agent()
        olga = one_of("operators")
        send("suspend-agent", agent, owner(), reason="It loops.")
        text = see("agent", agent, olga).text
        assert "Suspended. It loops." in text
        send("resume-agent", agent, olga, reason="The loop was mended.")
        entries = LedgerEntry.objects.filter(stream=f"agent:{agent.pk}").order_by("-number")
        assert [(one.kind, one.body["reason"]) for one in entries[:2]] == [
            ("agent.resumed", "The loop was mended."),
            ("agent.suspended", "It loops."),
        ]
        assert entries[0].body["was_suspended_for"] == "It loops."
        reasons = list(agent.history.values_list("history_change_reason", flat=True)[:2])
        assert reasons == ["The loop was mended.", "It loops."]

    @pytest.mark.parametrize("name", ["suspend-agent", "resume-agent", "observe", "let-go"])
    def test_takes_a_reason(self, name):
        agent = make_agent()
        person = make_person("all", groups=["operators", "policy-administrators"])
        services.set_suspended(
            agent_id=agent.pk, is_suspended=name == "resume-agent", reason="Loops."
        )
        services.set_observed(agent_id=agent.pk, is_observed=name == "let-go", reason="Odd.")
        told = kinds(agent)
        for reason in ("", " ", "x" * 501):
            page = Page(send(name, agent, person, reason=reason))
            assert "Nothing was changed:" in page.text
        assert kinds(agent) == told


class TestObserved:
    def test_compares_what_would_have_happened(self):
        agent = make_agent()
        services.set_observed(agent_id=agent.pk, is_observed=True)
        for colour in ("blue", "green"):
            make_checked(agent=agent, params=painting(colour))
        waited = make_checked(agent=agent, params=painting("pink", tier="medium"))
        box.failing["preview"] = "unavailable"
        make_checked(agent=agent, params=painting("gold"))
        box.failing.clear()
        cap = Budget(name="No objects", unit="objects", limit=0, window_seconds=60)
        services.save_budget(budget=cap, person=None, is_new=True)
        make_checked(agent=agent, params=painting("grey"))
        page = see("observed", agent)
        for said in (
            "Would have committed by itself 2",
            "Would have waited 1",
            "Would have been denied 1",
            "Could not be checked 1",
            "2 would have committed by itself Low and reversible commits by itself 2 objects",
            "1 would have waited for 1 of reviewers Medium needs one reviewer 1 object",
        ):
            assert said in words(page), said
        assert page.all("a", href=url("proposal", waited))
        assert "The budget 'No objects' allows" in page.text
        assert "pink" in page.inside("td"), "what would have changed"
        shown = see("proposal", waited)
        assert "Observed only: nothing is written." in shown.text
        assert "Observation ended it: nothing is written" in shown.text

    def test_counts_every_reason_apart(self):
        agent = make_agent()
        services.set_observed(agent_id=agent.pk, is_observed=True)
        make_checked(agent=agent, params=painting("blue", tier="medium"))
        make_checked(agent=agent, params=painting("blue", for_good=True))
        text = see("observed", agent).text
        assert "Medium needs one reviewer" in text
        assert "What cannot be undone needs people" in text

    def test_takes_the_same_statements_however_many_there_are(self):
        agent, browser, counts = make_agent(), signed_in(), []
        services.set_observed(agent_id=agent.pk, is_observed=True)
        for round_number in range(2):
            for number in range(6):
                make_checked(agent=agent, params=painting(f"blue-{round_number}-{number}"))
            with CaptureQueriesContext(connection) as captured:
                assert browser.get(url("observed", agent)).status_code == 200
            counts.append(len(captured))
        assert counts[0] == counts[1]

    def test_says_so_when_there_is_nothing(self):
        assert "Nothing was observed" in see("observed", make_agent()).text


class TestSnippets:
    def test_hold_a_placeholder_but_right_after_issuing(self):
        agent, browser = make_agent(), signed_in(owner())
        assert snippets.PLACEHOLDER in browser.get(url("agent", agent)).content.decode()
        answer = browser.post(url("issue-token", agent), {"days": 1, "seen": 0})
        html = answer.content.decode()
        assert snippets.PLACEHOLDER not in html
        token = SHOWN_TOKEN.search(html)[0]
        assert html.count(token) >= 3

    def test_offer_the_granted_actions_alone(self):
        agent = make_agent(grants=["records.update"])
        page = see("agent", agent)
        assert "records.update" in page.inside("pre")
        assert "toys.set" not in page.inside("pre")
        other = see("agent", make_agent(), query="?example=toys.set")
        assert '"action": "toys.set"' in other.inside("pre")
        assert see("agent", make_agent(), query="?example=no.such").inside("pre")

    def test_name_the_server_that_a_host_of_models_reaches_with_the_token(self):
        browser, agent = signed_in(owner()), make_agent(owner=owner())
        answer = browser.post(url("issue-token", agent), {"days": 1, "seen": 0})
        text = pasted_from(Page(answer), "mcp")
        server = json.loads(text)["mcpServers"]["countersign"]
        assert server["url"] == "http://testserver/mcp"
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        called = Client().post("/mcp", ping, "application/json", headers=server["headers"])
        assert called.json()["result"] == {}

    def test_every_action_on_the_menu_has_an_example_that_fits(self):
        mail_fixture.write()
        mail_fixture.lists("customer.example")
        wiring.refresh()
        for action in registry.menu():
            params, fits = snippets.example_of(action)
            assert fits, (action.name, params)

    def test_tools_have_whole_schemas_and_names_that_models_take(self):
        for action in registry.menu():
            tool = snippets.tool(action)
            assert re.fullmatch("[a-zA-Z0-9_-]{1,64}", tool["name"])
            schema = tool["input_schema"]
            for found in re.findall(r'"#/\$defs/([^"]+)"', json.dumps(schema)):
                assert found in schema["$defs"], found
            assert "$defs" not in schema["properties"]["params"]

    def test_a_quote_in_a_parameter_breaks_neither_shell_nor_python(self):
        body = {"action": "x.y", "params": {"note": 'it\'s "so" $(date) `date` \\'}}
        shell = snippets.curl("http://localhost:1/x", body, "to'ken")
        echoed = shell.replace("curl -sS", "printf '%s\\n'")
        said = subprocess.run(
            ["sh", "-c", echoed], capture_output=True, text=True, check=True
        ).stdout
        assert "it's" in said
        assert "$(date) `date`" in said
        assert "Bearer to'ken" in said
        compile(snippets.python("http://localhost:1/x", body, "to'ken"), "snippet", "exec")


@pytest.mark.django_db(transaction=True)
class TestPasting:
    """The snippets as they stand on the page, run by a shell and by a Python of its own."""

    def pasted(self, live_server, name):
        browser = signed_in(owner())
        host = live_server.url.removeprefix("http://")
        answer = browser.post(
            url("issue-token", Agent.objects.get()),
            {"days": 1, "seen": AgentToken.objects.count()},
            headers={"Host": host},
        )
        return pasted_from(Page(answer), name)

    @pytest.mark.parametrize("name", ["curl", "python"])
    def test_answers_a_dry_run_and_then_proposes(self, live_server, name):
        if name == "curl" and shutil.which("curl") is None:
            pytest.skip("There is no curl here.")
        make_person()
        make_agent(grants=["toys.set"])
        source = self.pasted(live_server, name)
        assert live_server.url in source
        found = self.run(name, source)
        assert '"dry_run": true' in found.replace('"dry_run":true', '"dry_run": true')
        assert not Proposal.objects.exists()
        for line in (',\n  "dry_run": true', 'proposal["dry_run"] = True'):
            source = source.replace(line, "")
        assert "submitted" in self.run(name, source)
        proposal = Proposal.objects.get()
        assert (proposal.action, proposal.agent.name) == ("toys.set", "billing-bot")

    def run(self, name, source):
        command = ["bash", "-c", source] if name == "curl" else [sys.executable, "-c", source]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


def test_signed_out_a_form_leads_back_to_its_agent():
    agent = make_agent()
    answer = Client().post(url("suspend-agent", agent), {"reason": "Stop."})
    assert answer["Location"].endswith(f"next={url('agent', agent)}")
    assert not rights.owns_agents(agent.user)
