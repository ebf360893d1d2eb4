"""Entries are found by fixed filters and exact searches, and their index can be made anew."""

import re
import uuid
from datetime import timedelta
from unittest import mock

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.db import OperationalError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ledger import admin as pages
from ledger import clock, entries, finding, index, kinds, sealer, storage_guards
from ledger.finding import BadFilter, Filters
from ledger.models import Access, Facet, LedgerEntry, Mention

pytestmark = pytest.mark.django_db
LIST = reverse("admin:ledger_ledgerentry_changelist")


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.DATA_DIR = tmp_path


@pytest.fixture
def alma():
    user = User.objects.create_user("alma", email="alma@example.com", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_ledgerentry"))
    browser = Client()
    with mock.patch("django.contrib.auth.signals.user_logged_in.send"):
        browser.force_login(user)
    browser.person = user
    return browser


def record(stream="policy", **facts):
    facts = {"kind": "policy.changed", "actor": "user:99"} | facts
    with transaction.atomic():
        return entries.record(stream, **facts)


def listed(browser, **query):
    answer = browser.get(LIST, query)
    assert answer.status_code == 200
    return [entry.pk for entry in answer.context["cl"].result_list]


def test_every_filter_finds_its_entries_and_no_other(alma):
    key, agent = str(uuid.uuid4()), str(uuid.uuid4())
    record(f"agent:{agent}", kind="agent.created", agent=agent, body={"name": "refund-bot"})
    asked = record(
        kind="proposal.submitted",
        actor=f"agent:{agent}",
        agent=agent,
        proposal=key,
        object="orders/42",
        body={"action": "payments.refund", "hidden_characters": ["U+202E RLO"]},
    )
    approved = record(
        kind="proposal.reviewed",
        actor=f"user:{alma.person.pk}",
        proposal=key,
        body={"decision": "approve", "tier": "high", "seconds": 4, "reason": "Charged twice."},
    )
    written = record(kind="proposal.committed", actor="system:worker", body={"key": "k-1"})
    let_through = record(
        kind="proposal.approved", actor="system:checks", body={"by": "policy", "tier": "low"}
    )
    for query, expected in (
        ({"event": "proposal.committed"}, [written]),
        ({"outcome": "proposal.committed"}, [written]),
        ({"tier": "high"}, [approved]),
        ({"origin": "agent"}, [asked]),
        ({"origin": "person", "tier": "high"}, [approved]),
        ({"flag": "hidden"}, [asked]),
        ({"flag": "quick"}, [approved]),
        ({"flag": "no_human"}, [let_through]),
        ({"agent": "refund-bot", "event": "proposal.submitted"}, [asked]),
        ({"agent": agent, "event": "proposal.submitted"}, [asked]),
        ({"agent": "nobody"}, []),
        ({"actor": "alma"}, [approved]),
        ({"actor": "alma@example.com"}, [approved]),
        ({"action": "payments.refund"}, [asked]),
        ({"object": "orders/42"}, [asked]),
        ({"object": "orders/4"}, []),
        ({"q": "orders/42"}, [asked]),
        ({"q": "alma@example.com"}, [approved]),
        ({"q": "agent:refund-bot", "event": "proposal.submitted"}, [asked]),
        ({"q": "key:k-1"}, [written]),
        ({"q": "request:none"}, []),
        ({"q": "reason:twice"}, [approved]),
        ({"q": "reason:never"}, []),
        ({"q": f"digest:{asked.hash.hex()[:12]}"}, [asked]),
        ({"q": asked.hash.hex()[:16]}, [asked]),
    ):
        assert listed(alma, **query) == [entry.pk for entry in expected], query


def test_a_digest_is_found_by_how_it_begins_and_not_by_less_than_six_digits(alma):
    digest = "ab12cd34" + "0" * 56
    stated = record(body={"digest": f"sha256:{digest}", "evidence": ["sha256:" + "e" * 64]})
    for term in (f"digest:{digest[:6]}", f"digest:sha256:{digest}", digest[:8], "digest:eeeeee"):
        assert listed(alma, q=term) == [stated.pk], term
    for term in ("digest:ab12", "digest:zzzzzz", "digest:ab12ce"):
        assert listed(alma, q=term) == [], term


def test_the_story_of_an_object_holds_every_event_that_touched_it(alma):
    """Members of a batch included, which the body lists."""
    first = record(object="orders/1")
    batch = record(object="orders", body={"objects": ["orders/1", "orders/2"]})
    record(object="orders/2")
    assert listed(alma, q="object:orders/1") == [batch.pk, first.pk]


def test_the_last_seven_days_are_a_chip_that_can_be_taken_away(alma):
    old = record(at=clock.now() - timedelta(days=8))
    new = record(at=clock.now() - timedelta(days=6))
    answer = alma.get(LIST)
    assert [entry.pk for entry in answer.context["cl"].result_list] == [new.pk]
    html = answer.content.decode()
    assert "Last 7 days" in html
    [away] = re.findall(r'Last 7 days</bdi> <a href="([^"]+)"', html)
    everything = alma.get(LIST + away)
    assert [entry.pk for entry in everything.context["cl"].result_list] == [new.pk, old.pk]
    assert "Last 7 days" not in everything.content.decode()
    assert listed(alma, q=f"entry:{old.pk}") == [old.pk], "an exact search is of all time"


def test_a_chip_takes_away_its_filter_and_leaves_the_others(alma):
    html = alma.get(LIST, {"tier": "low", "object": "orders/1"}).content.decode()
    chips = dict(re.findall(r"<li><bdi>([^<]+)</bdi> <a href=\"\?([^\"]*)\"", html))
    assert set(chips) == {"Tier: low", "Object: orders/1", "Last 7 days"}
    assert chips["Tier: low"] == "object=orders%2F1"


def test_what_cannot_be_meant_is_said_and_nothing_is_shown(alma):
    record()
    for query in ({"tier": "huge"}, {"event": "x"}, {"at_from": "soon"}, {"flag": "'"}):
        answer = alma.get(LIST, query)
        assert not answer.context["cl"].result_list, query
        assert len(list(answer.context["messages"])) == 1, query


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"at_from": "soon"}, "From is no time. A time looks like 2026-11-22 09:30, in UTC."),
        ({"at_to": "2026-02-30"}, "Before is no time. A time looks like 2026-11-22 09:30, in UTC."),
        (
            {"at_from": "2026-11-22", "at_to": "2026-11-01"},
            "No time is from 2026-11-22 00:00:00.000 UTC and before 2026-11-01 00:00:00.000 UTC: "
            "Before must be later than From.",
        ),
        (
            {"at_from": "2026-11-22", "at_to": "2026-11-22"},
            "No time is from 2026-11-22 00:00:00.000 UTC and before 2026-11-22 00:00:00.000 UTC: "
            "Before must be later than From.",
        ),
    ],
)
def test_a_time_that_is_none_and_a_window_that_holds_none_are_told_apart(alma, given, said):
    record()
    alma.person.user_permissions.add(Permission.objects.get(codename="export_ledger"))
    answer = alma.get(LIST, given)
    assert not answer.context["cl"].result_list
    assert [str(message) for message in answer.context["messages"]] == [said]
    assert f'value="{next(iter(given.values()))}"' in answer.content.decode(), "to be put right"
    export = alma.get(reverse("admin:ledger_ledgerentry_export"), given, follow=True)
    assert [str(message) for message in export.context["messages"]] == [said]


def test_words_of_a_reason_need_a_window_of_ninety_days(alma):
    record(body={"reason": "Charged twice."})
    assert listed(alma, q="reason:twice", at="all") == []
    month = clock.now() - timedelta(days=31)
    assert len(listed(alma, q="reason:twice", at_from=f"{month:%Y-%m-%d}")) == 1
    year = clock.now() - timedelta(days=365)
    assert listed(alma, q="reason:twice", at_from=f"{year:%Y-%m-%d}") == []


def test_the_chain_of_each_row_is_ok_not_yet_sealed_or_broken(alma):
    sealed, changed = record(), record()
    sealer.seal()
    waiting = record()
    with storage_guards.lifted(connection), connection.cursor() as cursor:
        sql = "UPDATE ledger_ledgerentry SET hash = %s WHERE id = %s"
        cursor.execute(sql, [b"x" * 32, changed.pk])
    html = alma.get(LIST).content.decode()
    states = dict(
        re.findall(r'field-id"><a href="[^"]*/(\d+)/change/.*?class="chain-\w+">([^<]+)<', html)
    )
    assert states[str(sealed.pk)] == "ok"
    assert states[str(changed.pk)] == "broken"
    assert states[str(waiting.pk)] == "not yet sealed"


def test_what_an_entry_does_not_say_is_what_its_stream_said_before():
    said = {"tier": "high", "action": "toys.set", "revision": 2}
    entry = record("proposal:1", facets=said)
    facet = Facet.objects.get(entry=entry)
    assert (facet.tier, facet.action, facet.revision) == ("high", "toys.set", 2)
    facet = Facet.objects.get(entry=record("proposal:1", facets=said, body={"tier": "low"}))
    assert (facet.tier, facet.action) == ("low", "toys.set")


def test_the_index_can_be_made_anew_from_the_entries_alone():
    record("proposal:1", body={"action": "toys.set", "revision": 1, "key": "k"}, object="toys/bear")
    said = {"action": "toys.set", "revision": 1}
    record("proposal:1", body={"tier": "high", "reason": "xy"}, facets=said)
    record("proposal:1", facets=said | {"tier": "high"}, object="toys/bear")
    record("auth", kind="user.signed_in")
    facets, mentions = (
        list(Facet.objects.order_by("pk").values()),
        sorted(Mention.objects.values_list("name", "value", "entry_id")),
    )
    assert len(facets) == 4
    assert len(mentions) == 3
    Facet.objects.all().delete()
    Mention.objects.filter(name="object").delete()
    call_command("index_ledger", stdout=mock.Mock())
    assert list(Facet.objects.order_by("pk").values()) == facets
    assert sorted(Mention.objects.values_list("name", "value", "entry_id")) == mentions


def test_a_list_takes_as_many_statements_for_fifty_rows_as_for_five(alma):
    counts = []
    for rows in (5, 45):
        for number in range(rows):
            agent = str(uuid.uuid4())
            record(f"agent:{agent}", kind="agent.created", agent=agent, body={"name": f"b{number}"})
        with CaptureQueriesContext(connection) as queries:
            alma.get(LIST)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def kept(browser):
    """What the access log holds of this person, the oldest first; nothing of anybody else."""
    found = Access.objects.order_by("pk").values_list("actor", "what", "query")
    assert {actor for actor, _, _ in found} <= {f"user:{browser.person.pk}"}
    return [(what, query) for _, what, query in found]


def test_every_page_of_the_list_is_kept_in_the_access_log_with_what_it_showed(alma):
    """Also each step further back, and forward again: nobody walks the ledger unseen."""
    first, second, third, fourth, fifth = (record().pk for _ in range(5))
    with mock.patch.object(pages.LedgerEntryAdmin, "list_per_page", 2):
        alma.get(LIST)
        alma.get(LIST, {"older": fourth})
        alma.get(LIST, {"newer": first, "at": "all"})
    assert kept(alma) == [
        ("list", f"entries {fifth} to {fourth}; Last 7 days"),
        ("page", f"entries {third} to {second}; Last 7 days"),
        ("page", f"entries {third} to {second}"),
    ]


def test_a_search_is_kept_in_the_access_log_with_what_it_found(alma):
    found = record().pk
    alma.get(LIST, {"tier": "low"})
    alma.get(LIST, {"q": f"entry:{found}"})
    alma.get(LIST, {"q": f"entry:{found}", "older": found})
    alma.get(LIST, {"object": "x" * 2000})
    assert kept(alma)[:3] == [
        ("search", "no entries; Tier: low; Last 7 days"),
        ("search", f"entries {found} to {found}; Search: entry:{found}"),
        ("page", f"no entries; Search: entry:{found}"),
    ]
    assert kept(alma)[3][1].startswith("no entries; "), "however long it was what was asked for"


def test_opening_an_entry_is_kept_in_the_access_log_and_only_if_it_was_there(alma):
    found = record().pk
    for key in (found, found + 1):
        alma.get(reverse("admin:ledger_ledgerentry_change", args=[key]))
    assert kept(alma) == [("ledger entry", str(found))]


def test_a_list_that_takes_too_long_says_what_to_narrow(alma):
    class Cancelled(Exception):
        sqlstate = "57014"

    slow = OperationalError("canceling statement due to statement timeout")
    slow.__cause__ = Cancelled()
    with mock.patch.object(pages.KeysetAdmin, "changelist_view", side_effect=slow):
        answer = alma.get(LIST, {"at": "all", "tier": "low"})
        assert answer.status_code == 503
        assert "Narrow From and To first" in answer.content.decode()
        assert "Narrow by an exact value" in alma.get(LIST).content.decode()
    other = OperationalError("the disk is full")
    with (
        mock.patch.object(pages.KeysetAdmin, "changelist_view", side_effect=other),
        pytest.raises(OperationalError),
    ):
        alma.get(LIST)


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="only PostgreSQL can give up")
def test_a_statement_of_a_list_is_given_up_after_five_seconds():
    with pages.patience(), connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("5s",)


def test_whoever_may_not_see_the_ledger_gets_no_list_object_or_autocomplete(alma):
    entry = record()
    alma.person.user_permissions.clear()
    autocomplete = reverse("admin:autocomplete")
    asked = "?app_label=ledger&model_name=mention&field_name=entry&term=1"
    for url in (
        LIST,
        f"{LIST}?q=entry:{entry.pk}",
        reverse("admin:ledger_ledgerentry_change", args=[entry.pk]),
        reverse("admin:ledger_ledgerentry_history", args=[entry.pk]),
        reverse("admin:ledger_ledgerentry_export"),
        reverse("admin:ledger_access_changelist"),
        f"{autocomplete}{asked}",
    ):
        assert alma.get(url).status_code == 403, url


def test_every_event_of_the_product_is_offered_as_a_filter():
    offered = {kind for group in kinds.KINDS.values() for kind in group}
    assert set(kinds.OUTCOMES) <= offered
    from proposals.lifecycle import Status

    assert {f"proposal.{status}" for status in Status} <= offered


def test_filters_say_what_they_mean():
    now = clock.now()
    asked = Filters.parse({"tier": "high", "at_from": "2026-11-01"}, now)
    assert asked.words() == {"tier": "Tier: high", "at_from": "From 2026-11-01 00:00:00.000 UTC"}
    assert asked.as_json() == {"tier": "high", "from": "2026-11-01T00:00:00.000000Z"}
    with pytest.raises(BadFilter):
        Filters.parse({"tier": "x"}, now)


def test_the_origin_of_an_entry_is_told_by_its_actor():
    for actor, expected in {
        "user:1": "person",
        "agent:x": "agent",
        "system:worker": "worker",
        "system:clock": "clock",
        "system:operator": "command",
        "system:budget:3": "worker",
    }.items():
        assert index.origin(actor) == expected


def test_lists_have_one_order_and_read_no_bodies():
    sql = str(finding.listed().query)
    assert "canonical" not in sql
    assert 'ORDER BY "ledger_facet"."at" DESC, "ledger_facet"."entry_id" DESC' in sql
    assert LedgerEntry.objects.count() == 0
