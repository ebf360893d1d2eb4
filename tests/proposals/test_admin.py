"""The admin: everything can be read, nothing is decided, every edit is told in the ledger."""

import re
from html import unescape

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ledger.identifiers import uuid7
from ledger.models import LedgerEntry
from ledger.verify import Result, verify
from proposals import services, tokens
from proposals.exceptions import InvalidRequest, NotFound
from proposals.models import (
    Agent,
    AgentToken,
    Check,
    Evidence,
    Execution,
    Grant,
    IdempotencyKey,
    Proposal,
    Review,
    Revision,
    Rule,
    Run,
)
from tests import factories

pytestmark = pytest.mark.django_db

MADE_BY_WORK = [Run, Proposal, Revision, Evidence, Check, Review, Execution, IdempotencyKey]
READ_ONLY = [*MADE_BY_WORK, AgentToken, Grant]
HIDDEN = "\u202e"
SAID = "zebra"
TOLD = f"{SAID}{HIDDEN}txt.exe <script>alert(1)</script>"


@pytest.fixture
def ada():
    return signed_in("ada", ["policy-administrators"], is_superuser=True)


@pytest.fixture
def amir():
    return signed_in("amir", ["auditors"])


@pytest.fixture
def paula():
    """A policy administrator without superuser status."""
    return signed_in("paula", ["policy-administrators"])


def signed_in(username, groups, **fields):
    browser = Client()
    browser.person = factories.make_person(username, groups=groups, is_staff=True, **fields)
    browser.force_login(browser.person)
    return browser


def hostile_proposal(**fields):
    """A committed write in which every text of the agent holds an override; hence high tier."""
    proposal = factories.make_checked(
        key=f"{factories.new_key()}-{TOLD}",
        run=TOLD,
        params=factories.painting(TOLD[:40], tier="medium", note={TOLD: [TOLD]}),
        rationale=TOLD,
        context={"prompt": TOLD},
        evidence=[{"kind": "message", "title": TOLD, "uri": TOLD, "content": {TOLD: TOLD}}],
        **fields,
    )
    for name in ("saul", "sara"):
        senior = factories.make_person(name, groups=["senior-reviewers"])
        factories.approve(proposal, reviewer=senior, fact="bear")
    factories.work()
    return factories.fresh(proposal)


@pytest.fixture
def written(toybox):
    factories.token_for(factories.make_agent())
    proposal = hostile_proposal()
    assert proposal.status == "committed"
    return proposal


def address(model, page, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def pages(model):
    """Every page of the newest row of a model."""
    pk = model.objects.order_by("-pk").values_list("pk", flat=True).first()
    assert pk is not None, model
    found = [address(model, "changelist"), address(model, "change", pk)]
    found.append(address(model, "history", pk))
    if hasattr(model, "history"):
        version = model.history.latest().pk
        found.append(address(model, "simple_history", pk, version))
    return found


def text_of(response):
    assert response.status_code == 200, response
    return response.content.decode()


def kinds(**facts):
    entries = LedgerEntry.objects.filter(**facts).order_by("id")
    return [entry.kind for entry in entries]


def management(prefix, initial=0, **more):
    counts = {"TOTAL_FORMS": initial, "INITIAL_FORMS": initial}
    return {f"{prefix}-{name}": value for name, value in (counts | more).items()}


# Reading


@pytest.mark.parametrize("who", ["ada", "amir"])
def test_what_was_made_by_work_has_four_doors_shut(who, written, request):
    browser = request.getfixturevalue(who)
    for model in READ_ONLY:
        for page in pages(model):
            assert browser.get(page).status_code == 200, page
        pk = model.objects.values_list("pk", flat=True).first()
        before = model.objects.count()
        shut = [
            address(model, "add"),
            address(model, "delete", pk),
        ]
        for page in shut:
            assert browser.get(page).status_code == 403, page
        for page in [*shut, address(model, "change", pk)]:
            assert browser.post(page, {"post": "yes"}).status_code == 403, page
        if model in MADE_BY_WORK:
            bulk = {"action": "delete_selected", "_selected_action": [pk], "post": "yes"}
            assert browser.post(address(model, "changelist"), bulk).status_code == 403
        assert model.objects.count() == before


def test_a_bulk_action_finds_no_door(ada, written):
    for model, model_admin in admin.site._registry.items():
        if model._meta.app_label not in {"proposals", "ledger", "auth"}:
            continue
        pk = model.objects.values_list("pk", flat=True).first()
        bulk = {"action": "delete_selected", "_selected_action": [pk], "post": "yes", "index": 0}
        ada.post(address(model, "changelist"), bulk)
        assert model.objects.filter(pk=pk).exists(), model
        assert model_admin.actions is None, model
        assert ada.post(address(model, "delete", pk), {"post": "yes"}).status_code == 403, model


def test_without_the_right_there_is_nothing_to_see(written):
    stranger = signed_in("nora", [])
    reviewer = Client()
    reviewer.force_login(factories.make_person("rita"))
    for browser in (stranger, reviewer):
        for model in (*READ_ONLY, Agent, Rule, LedgerEntry):
            page = address(model, "changelist")
            assert browser.get(page, follow=True).status_code == 403, page
            pk = model.objects.values_list("pk", flat=True).first()
            page = address(model, "change", pk)
            assert browser.get(page, follow=True).status_code == 403, page


def test_agents_text_is_shown_only_where_it_is_framed_and_never_raw(ada, written):
    shown = set()
    for model in (*READ_ONLY, Agent, Rule, LedgerEntry):
        for page in pages(model) if model is not LedgerEntry else ledger_pages():
            html = text_of(ada.get(page))
            assert HIDDEN not in html, page
            assert "<script>alert" not in html, page
            heads = "".join(re.findall(r"<(?:title|h1|h2)\b.*?</(?:title|h1|h2)>", html, re.S))
            assert SAID not in heads, page
            if model is not LedgerEntry and page == address(model, "changelist"):
                assert SAID not in html, page
            if "[U+202E RLO]" in html:
                shown.add(model)
    assert shown == {Run, Revision, Evidence, Check, Execution, Proposal, IdempotencyKey}


def ledger_pages():
    entries = LedgerEntry.objects.order_by("-pk")[:40]
    return [address(LedgerEntry, "changelist")] + [
        address(LedgerEntry, "change", entry.pk) for entry in entries
    ]


def test_evidence_is_shown_whole_and_said_to_be_the_agents(ada, written):
    evidence = Evidence.objects.get()
    html = text_of(ada.get(address(Evidence, "change", evidence.pk)))
    assert html.count("[U+202E RLO]") == 4  # title, URI, and a key and a value of the content
    assert "Not verified" in html


def test_no_page_needs_an_exception_from_the_content_policy(ada, written):
    token = AgentToken.objects.get()
    others = [
        reverse("admin:index"),
        address(Rule, "add"),
        address(Agent, "add"),
        address(AgentToken, "revoke", token.pk),
        address(get_user_model(), "change", ada.person.pk),
        address(Group, "changelist"),
    ]
    for page in [*others, *(page for model in (*READ_ONLY, Agent, Rule) for page in pages(model))]:
        response = ada.get(page)
        html = text_of(response)
        assert "style-src 'self'" in response["Content-Security-Policy"]
        assert not re.search(r"<[^>]+\s(style|on\w+)=", html), page
        for script in re.findall(r"<script\b([^>]*)>", html):
            assert "src=" in script, page


def test_a_proposal_leads_to_what_belongs_to_it_and_back(amir, written):
    page = address(Proposal, "change", written.pk)
    html = unescape(text_of(amir.get(page)))
    belongings = [
        *(written.revisions.all()),
        *(written.checks.all()),
        *(written.reviews.all()),
        *(written.executions.all()),
        *(written.keys.all()),
    ]
    assert len(belongings) == 6
    for row in belongings:
        there = address(type(row), "change", row.pk)
        assert f'href="{there}"' in html
        assert f'href="{page}"' in text_of(amir.get(there))
    assert f'href="{reverse("proposal", args=[written.pk])}"' in html
    [ledger] = re.findall(r'href="([^"]*ledgerentry/\?q=[^"]*)"', html)
    entries = text_of(amir.get(ledger))
    assert entries.count("proposal.committed") == 1
    for link in set(re.findall(r'href="(/[^"]+)"', html)):
        assert amir.get(link).status_code < 400, link


def test_more_than_can_be_listed_has_a_link_to_the_list(ada, toybox):
    agent = factories.make_agent()
    for number in range(22):
        factories.make_proposal(agent=agent, run="long", rationale=str(number))
    run = Run.objects.get()
    html = unescape(text_of(ada.get(address(Run, "change", run.pk))))
    assert len(re.findall(r"/proposal/[0-9a-f-]{36}/change/", html)) == 20
    [everything] = re.findall(r'href="([^"]+)">all</a>', html)
    assert text_of(ada.get(everything)).count('class="field-status"') == 22


def test_a_list_takes_as_many_statements_for_fifty_rows_as_for_five(ada, toybox):
    few = fill_and_count(ada, 5)
    many = fill_and_count(ada, 45)
    for model, (statements, rows) in few.items():
        assert many[model][0] == statements, model
        assert many[model][1] >= rows + 45, model


def fill_and_count(browser, count):
    """Add so many rows of everything; returns the statements and rows of each list."""
    for _ in range(count):
        name = f"bot-{next(factories.numbers)}"
        agent = factories.make_agent(name, grants=["toys.set"])
        factories.token_for(agent)
        hostile_proposal(agent=agent)
        rule = Rule(name=name, effect="deny", condition='action == "no.such"', is_active=False)
        services.save_rule(rule=rule, person=None, is_new=True)
    found = {}
    for model in (*READ_ONLY, Agent, Rule):
        with CaptureQueriesContext(connection) as queries:
            html = text_of(browser.get(address(model, "changelist")))
        assert "DISTINCT" not in "".join(query["sql"] for query in queries)
        found[model] = (len(queries), html.count("<tr>"))
    return found


def test_a_search_is_one_exact_look_up_or_a_hint(amir, written):
    other = factories.make_checked(agent=factories.make_agent("other-bot"), run="elsewhere")
    page = address(Proposal, "changelist")
    for term, expected in {
        str(written.pk): {written.pk},
        f"id:{other.pk}": {other.pk},
        "agent:other-bot": {other.pk},
        "agent:OTHER-bot": set(),
        "agent:other": set(),
        "toys/bear": {written.pk, other.pk},
        "resource: toys/bear": {written.pk, other.pk},
        "toys/": set(),
        f"run:{other.run_id}": {other.pk},
        "run:none": set(),
        "id:none": set(),
    }.items():
        with CaptureQueriesContext(connection) as queries:
            html = text_of(amir.get(page, {"q": term}))
        found = {pk for pk in (written.pk, other.pk) if f"/proposal/{pk}/change/" in html}
        assert found == expected, term
        assert not re.search(r"\bI?LIKE\b", "".join(query["sql"] for query in queries)), term
        is_hinted = "followed by the exact value.</li>" in html
        assert is_hinted == (term in {"run:none", "id:none"}), term


def test_each_list_finds_what_belongs_to_a_proposal(amir, written):
    hostile_proposal(agent=factories.make_agent("other-bot"))
    for model in (Revision, Evidence, Check, Review, Execution, IdempotencyKey):
        owner = "revision__proposal" if model is Evidence else "proposal"
        html = text_of(amir.get(address(model, "changelist"), {"q": f"proposal:{written.pk}"}))
        for row in model.objects.all():
            is_its = model.objects.filter(pk=row.pk, **{owner: written}).exists()
            assert (f'href="{address(model, "change", row.pk)}' in html) == is_its, row
    key = IdempotencyKey.objects.get(proposal=written).key
    html = text_of(amir.get(address(IdempotencyKey, "changelist"), {"q": f"key:{key}"}))
    assert str(written.pk) in html
    assert HIDDEN not in html.replace(f'value="key:{key}"', "")


@pytest.mark.parametrize(
    ("model", "filters"),
    [
        (Proposal, {"status__exact": "committed", "tier": "high", "is_undone__exact": "0"}),
        (Check, {"tier": "high", "effect": "review"}),
        (Review, {"decision__exact": "approve"}),
        (Execution, {"status__exact": "committed"}),
        (Evidence, {"kind__exact": "message"}),
    ],
)
def test_filters_are_fixed_choices(model, filters, amir, written):
    html = text_of(amir.get(address(model, "changelist"), filters))
    assert 'class="field-id' in html
    for name in filters:
        other = {"is_undone__exact": "1", "decision__exact": "reject"}.get(name, "low")
        html = text_of(amir.get(address(model, "changelist"), filters | {name: other}))
        assert 'class="field-id' not in html, name


def test_addresses_that_lead_nowhere_are_not_errors(ada, written):
    for model in (Proposal, Agent, Rule):
        history = reverse(f"admin:proposals_{model._meta.model_name}_history", args=["none"])
        assert ada.get(history).status_code == 404
        assert ada.get(f"{history}none/").status_code == 404
        assert ada.get(address(model, "change", "none")).status_code == 302


# Rules


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


# Agents, grants, tokens


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


def test_an_agent_changes_owner_is_suspended_and_resumes(paula):
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
    assert (agent.is_suspended, agent.suspended_reason) == (False, "")
    assert of_agent(agent)[told:] == ["agent.changed", "agent.suspended", "agent.resumed"]
    assert [one.history_user for one in agent.history.all()[:3]] == [paula.person] * 3
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


# People, groups, signing in


def user_form(user, **changes):
    return {
        "username": user.username,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.email,
        "is_active": "on",
        "groups": [group.pk for group in user.groups.all()],
        "date_joined_0": "2026-11-22",
        "date_joined_1": "09:30:00",
        **changes,
    }


def auth_entries(kind):
    return [entry.body for entry in LedgerEntry.objects.filter(stream="auth", kind=kind)]


def test_a_change_of_somebodys_rights_is_told_in_the_ledger(ada):
    rita = factories.make_person("rita")
    page = address(get_user_model(), "change", rita.pk)
    assert ada.post(page, user_form(rita)).status_code == 302
    assert auth_entries("user.changed") == []
    senior = Group.objects.get(name="senior-reviewers")
    right = Permission.objects.get(codename="retry_proposal")
    form = user_form(rita, groups=[senior.pk], user_permissions=[right.pk], is_staff="on")
    assert ada.post(page, form | {"email": "new@example.com"}).status_code == 302
    [body] = auth_entries("user.changed")
    assert body == {
        "user": rita.pk,
        "name": "rita",
        "changes": {
            "is_staff": {"was": False, "becomes": True},
            "groups": {"was": ["reviewers"], "becomes": ["senior-reviewers"]},
            "permissions": {"was": [], "becomes": ["proposals.retry_proposal"]},
        },
        "also": ["email"],
    }
    assert LedgerEntry.objects.get(kind="user.changed").actor == f"user:{ada.person.pk}"


def test_a_new_account_and_a_new_password_are_told_and_the_password_is_not(ada):
    secret = "entirely new words 4711"
    passwords = {"password1": secret, "password2": secret, "usable_password": "true"}
    page = address(get_user_model(), "add")
    assert ada.post(page, {"username": "nina", **passwords}).status_code == 302
    nina = get_user_model().objects.get(username="nina")
    [made] = auth_entries("user.created")
    assert (made["user"], made["changes"]["groups"]["becomes"]) == (nina.pk, [])
    page = reverse("admin:auth_user_password_change", args=[nina.pk])
    mistyped = passwords | {"password2": "something else"}
    ada.post(page, mistyped)
    assert auth_entries("user.changed") == []
    other = "quite different words 4712"
    assert ada.post(page, passwords | {"password1": other, "password2": other}).status_code == 302
    [changed] = auth_entries("user.changed")
    assert (changed["changes"], changed["also"]) == ({}, ["password"])
    nina.refresh_from_db()
    assert nina.check_password(other)
    for entry in LedgerEntry.objects.filter(stream="auth"):
        assert secret not in bytes(entry.canonical).decode()
        assert other not in bytes(entry.canonical).decode()
        assert "argon2" not in bytes(entry.canonical).decode()


def test_a_change_of_a_groups_rights_is_told_in_the_ledger(ada):
    group = Group.objects.get(name="auditors")
    kept = list(group.permissions.exclude(codename="view_agenttoken"))
    form = {"name": "auditors", "permissions": [right.pk for right in kept]}
    assert ada.post(address(Group, "change", group.pk), form).status_code == 302
    [body] = auth_entries("group.changed")
    change = body["changes"]["permissions"]
    assert set(change["was"]) - set(change["becomes"]) == {"proposals.view_agenttoken"}
    assert ada.post(address(Group, "add"), {"name": "painters"}).status_code == 302
    assert auth_entries("group.created")[0]["name"] == "painters"


def test_the_account_of_an_agent_is_not_edited(ada):
    account = factories.make_agent().user
    page = address(get_user_model(), "change", account.pk)
    assert ada.get(page).status_code == 200
    assert ada.post(page, user_form(account)).status_code == 403
    password = reverse("admin:auth_user_password_change", args=[account.pk])
    assert ada.post(password, {"password1": "x", "password2": "x"}).status_code == 403
    account.refresh_from_db()
    assert not account.is_active


def test_there_is_one_page_to_sign_in(ada):
    browser, index = Client(), reverse("admin:index")
    response = browser.get(index, follow=True)
    assert response.request["PATH_INFO"] == reverse("sign-in")
    form = {"username": "ada", "password": factories.PASSWORD}
    response = browser.post(f"{reverse('admin:login')}?next={index}", form)
    assert response["Location"].startswith(reverse("sign-in"))
    assert "sessionid" not in browser.session
    assert not browser.session.get("_auth_user_id")
    response = browser.post(f"{reverse('sign-in')}?next={index}", form | {"next": index})
    assert response["Location"] == index
    html = text_of(browser.get(index))
    assert "Countersign" in html
    assert f'href="{reverse("queue")}"' in html
    away = f"{reverse('admin:login')}?next=https://elsewhere.example/"
    assert browser.get(away)["Location"] == index


def test_signing_in_failing_to_and_signing_out_are_told_in_the_ledger():
    factories.make_person("rita")
    browser, page = Client(), reverse("sign-in")
    tried = f"rita{HIDDEN}" + "x" * 120
    browser.post(page, {"username": tried, "password": "no secret at all"})
    browser.post(page, {"username": "rita", "password": factories.PASSWORD})
    browser.post(reverse("sign-out"))
    browser.post(reverse("sign-out"))
    entries = list(LedgerEntry.objects.filter(stream="auth").order_by("id"))
    assert [entry.kind for entry in entries] == [
        "user.sign_in_failed",
        "user.signed_in",
        "user.signed_out",
    ]
    failed = entries[0].body["username"]
    assert failed.startswith("rita[U+202E RLO]xxx")
    assert len(failed) < 150
    assert entries[0].actor == "system:sign-in"
    assert "no secret" not in bytes(entries[0].canonical).decode()
    assert entries[1].actor == entries[2].actor == f"user:{factories.make_person('rita').pk}"
