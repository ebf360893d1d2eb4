"""Rules, agents, grants and tokens: edited by few, through the verbs, with ledger and history."""

import re
from decimal import Decimal

import pytest

from budgets.models import Budget
from ledger.identifiers import uuid7
from ledger.models import LedgerEntry
from ledger.verify import Result, verify
from proposals import services, tokens
from proposals.admin.agents import AgentAdmin
from proposals.admin.budgets import BudgetAdmin
from proposals.admin.rules import RuleAdmin
from proposals.exceptions import InvalidRequest, NotFound
from proposals.models import (
    Agent,
    AgentToken,
    Grant,
    Rule,
)
from tests import factories
from tests.proposals.admin.pages import (
    address,
    kinds,
    signed_in,
    text_of,
)

pytestmark = [pytest.mark.django_db, pytest.mark.once]


def management(prefix, initial=0, **more):
    counts = {"TOTAL_FORMS": initial, "INITIAL_FORMS": initial}
    return {f"{prefix}-{name}": value for name, value in (counts | more).items()}


def rule_form(**changes):
    return {
        "name": "Nobody paints the car",
        "action": "toys.*",
        "condition": 'params.toy == "car"',
        "effect": "deny",
        "approvals": "1",
        "group": "",
        "tier": "",
        "message": "The car stays red.",
        "is_active": "on",
        **changes,
    }


def test_a_rule_is_edited_with_version_ledger_and_history(paula):
    assert paula.post(address(Rule, "add"), rule_form()).status_code == 302
    rule = Rule.objects.get(name="Nobody paints the car")
    page = address(Rule, "change", rule.pk)
    assert paula.post(page, rule_form(effect="review", group="reviewers")).status_code == 302
    rule.refresh_from_db()
    assert (rule.version, rule.effect, rule.group) == (2, "review", "reviewers")
    assert paula.post(page, rule_form(effect="review", group="reviewers")).status_code == 302
    rule.refresh_from_db()
    assert rule.version == 2  # saving what is there already is no change
    actor = f"user:{paula.person.pk}"
    assert kinds(stream="policy", actor=actor) == ["rule.created", "rule.changed"]
    assert LedgerEntry.objects.filter(kind="rule.changed").get().body["effect"] == "review"
    versions = [(one.version, one.history_user) for one in rule.history.order_by("history_id")]
    assert versions == [(1, paula.person), (2, paula.person)]
    history = text_of(paula.get(address(Rule, "history", rule.pk)))
    assert "deny → review" in re.sub(r"\s+", " ", history)
    assert verify().result is Result.INTACT


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"condition": 'params.toy == "car'}, "condition", ""),
        ({"effect": "raise"}, "tier", "must say to which"),
        ({"effect": "review", "approvals": "0"}, "approvals", "at least one person"),
        ({"effect": "review"}, "group", "Name the group"),
        ({"group": "no such group"}, "group", "Select a valid choice"),
    ],
)
def test_a_rule_that_could_not_be_evaluated_is_refused_at_its_field(paula, changes, field, words):
    before = Rule.objects.count()
    response = paula.post(address(Rule, "add"), rule_form(**changes))
    errors = response.context["adminform"].form.errors
    assert list(errors) == [field]
    assert words in errors[field][0]
    assert f'id="id_{field}_error"' in text_of(response)
    assert Rule.objects.count() == before
    assert kinds(stream="policy", actor=f"user:{paula.person.pk}") == []


def test_rules_are_changed_by_policy_administrators_and_deleted_by_nobody(amir, ada, paula):
    rule = Rule.objects.first()
    assert amir.get(address(Rule, "change", rule.pk)).status_code == 200
    assert amir.post(address(Rule, "change", rule.pk), rule_form()).status_code == 403
    assert amir.post(address(Rule, "add"), rule_form()).status_code == 403
    for browser in (ada, paula, amir):
        assert browser.post(address(Rule, "delete", rule.pk), {"post": "yes"}).status_code == 403
    rule.refresh_from_db()
    assert rule.version == 1


def test_an_old_version_can_be_read_and_not_put_back_past_the_ledger(paula, amir):
    rule = Rule.objects.order_by("pk").first()
    first = rule.history.latest()
    rule.is_active = False
    services.save_rule(rule=rule, person=paula.person, is_new=False)
    page = address(Rule, "simple_history", rule.pk, first.pk)
    for browser in (paula, amir):
        html = text_of(browser.get(page))
        assert "Revert" not in html
        assert browser.post(page, rule_form()).status_code == 403
    rule.refresh_from_db()
    assert (rule.is_active, rule.version) == (False, 2)


def test_a_budget_is_not_saved_over_what_somebody_changed_meanwhile(paula, amir):
    budget = services.save_budget(
        budget=Budget(name="Cap", unit="writes", limit=100, window_seconds=60),
        person=None,
        is_new=True,
    )
    page = address(Budget, "change", budget.pk)
    form = paula.get(page).context["adminform"].form
    sent = {name: form[name].value() for name in form.fields}
    sent = {name: value for name, value in sent.items() if value not in (None, False)}
    olga = factories.make_person("olga", groups=["operators"])
    services.lower_budget(budget_id=budget.pk, limit=Decimal(1), reason="It loops.", person=olga)
    response = paula.post(page, sent | {"name": "Cap of writes"})
    assert "Somebody changed this budget meanwhile." in text_of(response)
    del sent["seen"]
    assert "Somebody changed this budget meanwhile." in text_of(paula.post(page, sent))
    budget.refresh_from_db()
    assert (budget.name, budget.limit) == ("Cap", 1)

    seen = paula.get(page).context["adminform"].form["seen"].value()
    assert paula.post(page, sent | {"limit": "50", "seen": seen}).status_code == 302
    budget.refresh_from_db()
    assert budget.limit == 50
    assert 'name="seen"' not in text_of(amir.get(page)), "who may only read sends nothing"
    new = {name: value for name, value in sent.items() if name != "id"} | {"name": "Another"}
    assert paula.post(address(Budget, "add"), new).status_code == 302


def budget_form(**changes):
    return {
        "name": "Cap",
        "unit": "writes",
        "limit": "10",
        "window_seconds": "60",
        "on_exceed": "refuse",
        "lane": "forward",
        "agent_pattern": "*",
        "action_pattern": "*",
        "resource_pattern": "*",
        "is_active": "on",
        **changes,
    }


def meanwhile(monkeypatch, editor, happens):
    """What happens between a form that was found sound, and the saving of it."""
    save_form = editor.save_form

    def late(self, *args, **kwargs):
        happens()
        return save_form(self, *args, **kwargs)

    monkeypatch.setattr(editor, "save_form", late)


def refused(response, words, **kept):
    """The page again, with what was typed and why it was not saved."""
    form = response.context["adminform"].form
    assert any(words in said for said in form.non_field_errors())
    assert words in text_of(response)
    assert {name: form[name].value() for name in kept} == kept


def test_a_name_that_somebody_took_meanwhile_is_a_message_at_the_form(monkeypatch, paula):
    def rule():
        one = Rule(name=rule_form()["name"], action="toys.*", effect="deny")
        services.save_rule(rule=one, person=None, is_new=True)

    def budget():
        one = Budget(name="Cap", unit="writes", limit=1, window_seconds=60)
        services.save_budget(budget=one, person=None, is_new=True)

    otto = factories.make_person("otto", groups=())
    agent = {"name": "new-bot", "owner": otto.pk, **management("grants")}
    for model, editor, form, happens in (
        (Rule, RuleAdmin, rule_form(), rule),
        (Budget, BudgetAdmin, budget_form(), budget),
        (Agent, AgentAdmin, agent, lambda: services.create_agent(name="new-bot", owner=otto)),
    ):
        with monkeypatch.context() as patch:
            meanwhile(patch, editor, happens)
            response = paula.post(address(model, "add"), form)
        refused(response, "already", name=form["name"])
        assert paula.post(address(model, "add"), form).status_code == 302


def test_what_a_verb_refuses_of_a_sound_form_saves_nothing_of_the_page(monkeypatch, paula):
    agent = factories.make_agent("toy-bot", grants=[])
    olga = factories.make_person("olga", groups=())
    told = of_agent(agent)
    row = {"grants-TOTAL_FORMS": 1, "grants-0-agent": str(agent.pk), "grants-0-pattern": "email.*"}
    stopped = {"is_suspended": "on", "suspended_reason": "It loops."}
    other = Agent.objects.filter(pk=factories.make_agent("other-bot").pk)
    meanwhile(monkeypatch, AgentAdmin, lambda: other.update(user=olga))
    form = agent_form(agent, owner=olga.pk, **stopped, **row)
    response = paula.post(address(Agent, "change", agent.pk), form)
    refused(response, "owned by a person", suspended_reason="It loops.")
    agent.refresh_from_db()
    assert (agent.owner == olga, agent.is_suspended) == (False, False)
    assert of_agent(agent) == told
    assert not agent.grants.exists()


def agent_form(agent, **changes):
    grants = list(agent.grants.order_by("pk"))
    rows = {}
    for index, grant in enumerate(grants):
        rows |= {f"grants-{index}-id": grant.pk, f"grants-{index}-agent": str(agent.pk)}
    return {
        "owner": agent.owner_id,
        "suspended_reason": agent.suspended_reason,
        **({"is_suspended": "on"} if agent.is_suspended else {}),
        **management("grants", len(grants)),
        **rows,
        **changes,
    }


def of_agent(agent):
    return kinds(stream=f"agent:{agent.pk}")


def test_an_agent_is_made_with_its_grants(paula):
    otto = factories.make_person("otto", groups=())
    grants = {**management("grants", TOTAL_FORMS=1), "grants-0-pattern": "toys.*"}
    form = {"name": "new-bot", "owner": otto.pk, **grants}
    assert paula.post(address(Agent, "add"), form).status_code == 302
    agent = Agent.objects.get(name="new-bot")
    assert (agent.owner, agent.user.username) == (otto, "agent:new-bot")
    assert not agent.user.is_active
    assert agent.may_propose("toys.set")
    assert of_agent(agent) == ["agent.created", "grant.created"]
    actors = set(LedgerEntry.objects.filter(agent=str(agent.pk)).values_list("actor", flat=True))
    assert actors == {f"user:{paula.person.pk}"}
    response = paula.post(address(Agent, "add"), form)
    assert list(response.context["adminform"].form.errors) == ["name"]


def test_an_agent_changes_owner_is_suspended_and_resumed_by_an_operator_alone(paula):
    agent = factories.make_agent("toy-bot", grants=[])
    page, olga = address(Agent, "change", agent.pk), factories.make_person("olga", groups=())
    told = len(of_agent(agent))
    paula.post(page, agent_form(agent))
    assert len(of_agent(agent)) == told
    response = paula.post(page, agent_form(agent, is_suspended="on"))
    assert list(response.context["adminform"].form.errors) == ["suspended_reason"]

    form = agent_form(agent, owner=olga.pk, is_suspended="on", suspended_reason="It loops.")
    assert paula.post(page, form | {"name": "renamed"}).status_code == 302
    agent.refresh_from_db()
    assert (agent.name, agent.owner) == ("toy-bot", olga)
    assert (agent.is_suspended, agent.suspended_reason) == (True, "It loops.")

    form = agent_form(agent)
    del form["is_suspended"]
    assert paula.post(page, form).status_code == 302
    agent.refresh_from_db()
    assert agent.is_suspended, "who may suspend may not resume"
    operator = factories.make_person("oscar", groups=["operators"])
    services.set_suspended(agent_id=agent.pk, is_suspended=False, person=operator)
    agent.refresh_from_db()
    assert (agent.is_suspended, agent.suspended_reason) == (False, "")
    assert of_agent(agent)[told:] == ["agent.suspended", "agent.changed", "agent.resumed"]
    assert [one.history_user for one in agent.history.all()[1:3]] == [paula.person] * 2
    history = text_of(paula.get(address(Agent, "history", agent.pk)))
    assert "It loops." in history


def test_a_suspended_agent_proposes_nothing(paula, toybox):
    agent = factories.make_agent()
    form = agent_form(agent, is_suspended="on", suspended_reason="It loops.")
    paula.post(address(Agent, "change", agent.pk), form)
    answer = factories.client_for(agent).propose()
    assert (answer.status_code, answer.json()["code"]) == (403, "agent-suspended")


def test_grants_are_added_and_removed_on_the_page_of_their_agent(paula, amir):
    agent = factories.make_agent("toy-bot", grants=["toys.set"])
    page = address(Agent, "change", agent.pk)
    more = {"grants-TOTAL_FORMS": 2, "grants-1-id": "", "grants-1-pattern": "email.*"}
    form = agent_form(agent, **{"grants-0-DELETE": "on", "grants-1-agent": str(agent.pk)}, **more)
    assert amir.post(page, form).status_code == 403
    assert paula.post(page, form).status_code == 302
    assert [grant.pattern for grant in agent.grants.all()] == ["email.*"]
    assert of_agent(agent)[-2:] == ["grant.removed", "grant.created"]
    removed = LedgerEntry.objects.get(kind="grant.removed")
    assert (removed.actor, removed.body) == (f"user:{paula.person.pk}", {"pattern": "toys.set"})
    assert Grant.history.filter(history_type="-").get().history_user == paula.person

    tampered = agent_form(agent, **{"grants-0-pattern": "*"})
    assert paula.post(page, tampered).status_code == 302
    assert [grant.pattern for grant in agent.grants.all()] == ["email.*"]


def test_an_agent_belongs_to_a_person(paula):
    agent, other = factories.make_agent("toy-bot"), factories.make_agent("other-bot")
    form = agent_form(agent, owner=other.user_id)
    response = paula.post(address(Agent, "change", agent.pk), form)
    assert list(response.context["adminform"].form.errors) == ["owner"]
    with pytest.raises(InvalidRequest):
        services.change_agent(agent_id=agent.pk, owner=other.user)
    with pytest.raises(InvalidRequest):
        services.create_agent(name="third-bot", owner=other.user)


def test_the_verbs_of_configuration_are_the_same_once_or_twice(paula):
    agent = factories.make_agent("toy-bot", grants=["toys.set"])
    told = len(of_agent(agent))
    for _ in range(2):
        services.set_suspended(agent_id=agent.pk, is_suspended=True, reason=" It loops. ")
        services.remove_grant(agent_id=agent.pk, pattern="toys.set")
        services.change_agent(agent_id=agent.pk, owner=paula.person)
    assert of_agent(agent)[told:] == ["agent.suspended", "grant.removed", "agent.changed"]
    with pytest.raises(InvalidRequest):
        services.set_suspended(agent_id=agent.pk, is_suspended=True, reason=" ")
    with pytest.raises(NotFound):
        services.set_suspended(agent_id=uuid7(), is_suspended=False)


def test_a_token_is_revoked_by_an_operator_and_by_nobody_else(amir, paula):
    agent = factories.make_agent()
    issued = factories.token_for(agent)
    token = AgentToken.objects.get()
    page = address(AgentToken, "revoke", token.pk)
    seen = address(AgentToken, "change", token.pk)
    assert page not in text_of(amir.get(seen))
    for browser in (amir, paula):
        assert browser.get(page).status_code == 403
        assert browser.post(page).status_code == 403
    assert tokens.authenticate(issued) is not None

    olga = signed_in("olga", ["operators"])
    assert page in text_of(olga.get(seen))
    assert token.key_id in text_of(olga.get(page))
    assert tokens.authenticate(issued) is not None  # looking ended nothing
    assert text_of(olga.post(page, follow=True)).count("no longer works") == 1
    assert tokens.authenticate(issued) is None
    assert page not in text_of(olga.get(seen))
    entry = LedgerEntry.objects.get(kind="token.revoked")
    assert (entry.actor, entry.body) == (f"user:{olga.person.pk}", {"key_id": token.key_id})
    assert token.digest not in text_of(olga.get(seen))
