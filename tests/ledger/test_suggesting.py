"""What the filters for agent, actor and action offer: what the ledger holds, in a few look-ups."""

import uuid
from unittest import mock

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ledger import entries, suggesting

pytestmark = pytest.mark.django_db
SUGGEST = reverse("admin:ledger_ledgerentry_suggest")
LIST = reverse("admin:ledger_ledgerentry_changelist")


@pytest.fixture
def alma():
    user = User.objects.create_user(
        "alma", email="a.ruiz@example.com", first_name="Alma", last_name="Ruiz", is_staff=True
    )
    user.user_permissions.set(Permission.objects.filter(codename="view_ledgerentry"))
    browser = Client()
    with mock.patch("django.contrib.auth.signals.user_logged_in.send"):
        browser.force_login(user)
    browser.person = user
    return browser


def record(stream="policy", **facts):
    facts = {"kind": "a.b", "actor": "user:99"} | facts
    with transaction.atomic():
        return entries.record(stream, **facts)


def make_agent(name):
    key = str(uuid.uuid4())
    return record(f"agent:{key}", kind="agent.created", agent=key, body={"name": name})


def offered(browser, of, term):
    answer = browser.get(SUGGEST, {"of": of, "term": term})
    assert answer.status_code == 200
    return [each["value"] for each in answer.json()["found"]]


def test_agents_are_offered_by_how_their_names_begin(alma):
    for name in ("refund-bot", "refund-agent", "mailer"):
        make_agent(name)
    assert offered(alma, "agent", "refund") == ["refund-agent", "refund-bot"]
    assert offered(alma, "agent", "mail") == ["mailer"]
    assert offered(alma, "agent", "bot") == []
    assert len(offered(alma, "agent", "")) == 3


def test_actors_are_people_by_name_or_address_and_who_else_the_ledger_names(alma):
    for actor in ("system:worker", "system:clock", "user:99"):
        record(actor=actor)
    User.objects.create_user("agent:refund-bot")
    assert offered(alma, "actor", "al") == ["alma"]
    assert offered(alma, "actor", "a.ruiz@") == ["alma"]
    assert offered(alma, "actor", "system:") == ["system:clock", "system:worker"]
    assert offered(alma, "actor", "user:9") == ["user:99"]
    assert offered(alma, "actor", "agent:refund") == [], "an account's name finds no entry"
    found = alma.get(SUGGEST, {"of": "actor", "term": "alma"}).json()["found"]
    assert found == [{"value": "alma", "label": "Alma Ruiz"}]


def test_actions_are_those_that_entries_have(alma):
    for action in ("records.update", "records.create", "payments.refund", "records.update"):
        record(body={"action": action})
    assert offered(alma, "action", "records.") == ["records.create", "records.update"]
    assert offered(alma, "action", "") == ["payments.refund", "records.create", "records.update"]


def test_what_is_offered_finds_its_entries(alma):
    made = make_agent("refund-bot")
    [name] = offered(alma, "agent", "ref")
    answer = alma.get(LIST, {"agent": name})
    assert [entry.pk for entry in answer.context["cl"].result_list] == [made.pk]


def test_a_value_with_characters_that_would_not_be_seen_is_not_offered(alma):
    make_agent("refund\u202e-bot")
    make_agent("refund-bot")
    assert offered(alma, "agent", "refund") == ["refund-bot"]


def test_many_entries_and_values_cost_a_bounded_number_of_look_ups(alma):
    for number in range(40):
        record(body={"action": f"a.n{number:02}"})
        record(body={"action": "a.n00"})
    with CaptureQueriesContext(connection) as queries:
        assert len(offered(alma, "action", "a.")) == suggesting.SHOWN
    asked = [query["sql"] for query in queries if "ledger_facet" in query["sql"]]
    assert len(asked) <= suggesting.SHOWN + 1
    assert all("LIMIT 1" in sql and "DISTINCT" not in sql for sql in asked)


def test_nobody_without_the_right_to_see_the_ledger_is_offered_anything(alma):
    make_agent("refund-bot")
    alma.person.user_permissions.clear()
    for is_superuser in (False, True):
        User.objects.filter(pk=alma.person.pk).update(is_superuser=is_superuser)
        for of in ("agent", "actor", "action"):
            assert alma.get(SUGGEST, {"of": of, "term": ""}).status_code == 403
    assert Client().get(SUGGEST, {"of": "agent"}).status_code == 302


def test_what_cannot_be_meant_is_refused(alma):
    for query in ({}, {"of": "object"}, {"of": "agent", "term": "x" * 101}, {"of": "x"}):
        assert alma.get(SUGGEST, query).status_code == 400
    assert alma.get(SUGGEST, {"of": "agent", "term": "\0"}).status_code == 400


def test_the_inputs_are_plain_ones_that_name_where_to_ask(alma):
    page = alma.get(LIST, {"agent": "refund-bot"}).content.decode()
    assert f'value="refund-bot" size="18" data-suggest="{SUGGEST}?of=agent"' in page
    assert "<datalist" not in page
    assert page.count("data-suggest=") == 3
