"""Everything can be read by those who may, nothing is decided, and no text deceives."""

import re
from html import unescape

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ledger.models import Access, LedgerEntry
from proposals import services
from proposals.models import (
    Agent,
    AgentToken,
    Check,
    Evidence,
    Execution,
    Freeze,
    IdempotencyKey,
    Proposal,
    Review,
    Revision,
    Rule,
    Run,
)
from tests import factories
from tests.proposals.admin.pages import (
    HIDDEN,
    MADE_BY_WORK,
    READ_ONLY,
    SAID,
    address,
    hostile_proposal,
    ledger_pages,
    pages,
    signed_in,
    text_of,
)

pytestmark = [pytest.mark.django_db, pytest.mark.once]


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


def test_opening_what_was_made_by_work_is_kept_in_the_access_log(amir, written):
    """With what it was and which, in one statement, and nothing of what it says."""
    opened = []
    for model in MADE_BY_WORK:
        pk = model.objects.order_by("-pk").values_list("pk", flat=True).first()
        with CaptureQueriesContext(connection) as queries:
            text_of(amir.get(address(model, "change", pk)))
        inserts = [query["sql"] for query in queries if "INSERT" in query["sql"]]
        assert len(inserts) == 1, model
        opened.append((f"user:{amir.person.pk}", model._meta.verbose_name, str(pk)))
    assert list(Access.objects.order_by("pk").values_list("actor", "what", "query")) == opened
    assert not {"proposal", "evidence"} - {what for _, what, _ in opened}


def test_reading_how_a_proposal_was_before_is_kept_in_the_access_log(amir, written):
    history = reverse("admin:proposals_proposal_history", args=[written.pk])
    text_of(amir.get(history))
    version = written.history.latest().pk
    text_of(amir.get(f"{history}{version}/"))
    kept = Access.objects.order_by("pk").values_list("what", "query")
    assert list(kept) == [
        ("proposal", f"{written.pk}, its history"),
        ("proposal", f"{written.pk}, version {version}"),
    ]


def test_what_was_not_there_or_refused_leaves_no_line(amir, written):
    amir.get(address(Proposal, "change", "none"))
    page = address(Evidence, "change", Evidence.objects.latest("pk").pk)
    assert signed_in("nora", []).get(page).status_code == 403
    assert not Access.objects.exists()


def test_a_bulk_action_finds_no_door(ada, written, outside):
    ada.get(address(LedgerEntry, "changelist"), {"q": "entry:1"})  # which leaves a trace of access
    for model, model_admin in admin.site._registry.items():
        if model._meta.app_label not in {"proposals", "ledger", "auth"}:
            continue
        pk = model.objects.values_list("pk", flat=True).first()
        if pk is None and model is Freeze:
            pk = services.freeze(reason="Stop.", action="email.send").pk
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


def test_evidence_is_shown_whole_and_said_to_be_the_agents(ada, written):
    evidence = Evidence.objects.get()
    html = text_of(ada.get(address(Evidence, "change", evidence.pk)))
    assert html.count("[U+202E RLO]") == 4  # title, URI, and a key and a value of the content
    assert "Not verified" in html


def test_no_page_needs_an_exception_from_the_content_policy(ada, written):
    token = AgentToken.objects.get()
    ada.person.groups.add(Group.objects.get(name="operators"))  # who may revoke
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
    assert entries.count('class="field-event">proposal.committed<') == 1
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


def test_a_list_takes_as_many_statements_for_ten_rows_as_for_two(ada, toybox):
    few = fill_and_count(ada, 2)
    many = fill_and_count(ada, 8)
    for model, (statements, rows) in few.items():
        assert many[model][0] == statements, model
        assert many[model][1] >= rows + 8, model


def fill_and_count(browser, count):
    """Add so many rows of everything; returns the statements and rows of each list."""
    for _ in range(count):
        name = f"bot-{next(factories.numbers)}"
        agent = factories.make_agent(name, grants=["toys.set"])
        factories.token_for(agent)
        factories.approve(
            factories.make_checked(
                agent=agent,
                params=factories.painting(tier="medium"),
                run=name,
                evidence=[{"kind": "other", "title": "t", "content": "c"}],
            )
        )
        factories.work()
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
    rest = re.sub(r'<input type="text"[^>]*id="searchbar"', "", html)  # repeats what was typed
    assert HIDDEN not in rest


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
