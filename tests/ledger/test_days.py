"""The days above the list: what the clock counts is what the ledger holds, at any time it stops."""

import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from unittest import mock

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.db import connection, transaction
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ledger import clock, days, entries, sealer, strip
from ledger.finding import Filters
from ledger.models import DayCount, LedgerEntry, Walk

pytestmark = pytest.mark.django_db
LIST = reverse("admin:ledger_ledgerentry_changelist")
START = datetime(2026, 10, 30, 22, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.DATA_DIR = tmp_path


@pytest.fixture
def alma():
    user = User.objects.create_user("alma", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_ledgerentry"))
    browser = Client()
    with mock.patch("django.contrib.auth.signals.user_logged_in.send"):
        browser.force_login(user)
    return browser


def record(at, **facts):
    facts = {"kind": "a.b", "actor": "user:1"} | facts
    with transaction.atomic():
        return entries.record("policy", at=at, **facts)


def some_days(count=60):
    """Entries of four days, of three kinds and two tiers."""
    for number in range(count):
        body = {"tier": "high"} if number % 4 == 0 else {}
        record(START + timedelta(hours=number), kind=f"a.{number % 3}", body=body)


def counted():
    return {(str(one.day), one.kind, one.tier): one.count for one in DayCount.objects.all()}


def in_the_ledger():
    """The same, counted from the entries themselves: those that are sealed."""
    sealed = LedgerEntry.objects.exclude(pk__in=[one.pk for one in sealer.unsealed()])
    found = Counter()
    for entry in sealed.select_related("facet"):
        found[str(entry.at.astimezone(UTC).date()), entry.kind, entry.facet.tier] += 1
    return dict(found)


def shown(page):
    """Each day of the strip with the number that stands at it."""
    found = re.findall(
        r'<a href="([^"]+)"[^>]*>\s*<svg.*?day-name">([^<]+)<.*?day-number">([\d,]+)<', page, re.S
    )
    return {name: (int(number.replace(",", "")), url) for url, name, number in found}


def opened(browser, **query):
    answer = browser.get(LIST, query)
    assert answer.status_code == 200
    return answer.content.decode()


class TestCounting:
    def test_counts_what_is_sealed_and_nothing_else(self):
        some_days()
        days.tick()
        assert counted() == {}
        sealer.seal()
        record(START)
        days.tick()
        assert counted() == in_the_ledger()
        assert sum(counted().values()) == LedgerEntry.objects.count() - 1

    def test_is_the_same_in_any_steps_and_however_often(self):
        some_days(40)
        sealer.seal()
        assert days.roll_up(limit=7) == 7
        some_days(20)
        sealer.seal()
        while days.roll_up(limit=7):
            assert sum(counted().values()) == Walk.objects.get(name="days").position
        assert days.tick() == 0
        assert counted() == in_the_ledger()

    def test_a_step_that_fails_leaves_nothing_behind(self):
        some_days(30)
        sealer.seal()
        days.roll_up(limit=10)
        before = counted()
        with (
            mock.patch.object(Walk, "save", side_effect=OSError("full")),
            pytest.raises(OSError, match="full"),
        ):
            days.roll_up(limit=10)
        assert counted() == before
        days.tick()
        assert counted() == in_the_ledger()

    def test_many_old_entries_are_counted_in_bounded_steps(self, monkeypatch):
        monkeypatch.setattr(days, "BATCH", 5)
        some_days(60)
        sealer.seal()
        assert days.tick() == 5 * days.BATCHES
        assert Walk.objects.get(name="days").position == 5 * days.BATCHES
        while days.tick():
            pass
        assert counted() == in_the_ledger()

    def test_an_index_made_anew_is_counted_anew(self):
        some_days(30)
        sealer.seal()
        days.tick()
        DayCount.objects.filter(kind="a.1").delete()
        DayCount.objects.filter(kind="a.2").update(count=7)
        call_command("index_ledger", stdout=mock.Mock())
        days.tick()
        assert counted() == in_the_ledger()

    def test_nothing_is_asked_of_the_ledger_while_nothing_new_is_sealed(self):
        some_days(5)
        sealer.seal()
        days.tick()
        with CaptureQueriesContext(connection) as queries:
            days.tick()
        assert len(queries) == 2
        assert "ledger_ledgerentry" not in " ".join(query["sql"] for query in queries)

    def test_the_clock_counts(self):
        some_days(5)
        sealer.seal()
        call_command("clock", "--once")
        assert counted() == in_the_ledger()


class TestTheStrip:
    def test_has_a_bar_for_each_day_which_leads_to_that_day(self, alma):
        some_days()
        sealer.seal()
        days.tick()
        found = shown(opened(alma, at_from="2026-10-31"))
        assert list(found) == [f"{number:02} Oct" for number in range(1, 32)]
        assert {name: number for name, (number, _) in found.items() if number} == {
            "30 Oct": 2,
            "31 Oct": 24,
        }
        number, url = found["31 Oct"]
        listed = alma.get(LIST + url.replace("&amp;", "&"))
        assert len(listed.context["cl"].result_list) == number
        assert 'aria-current="true">\n      <svg' in listed.content.decode()

    def test_opens_on_the_last_days_also_where_a_month_begins(self, alma):
        record(clock.now())
        sealer.seal()
        days.tick()
        today = clock.now().date()
        found = shown(opened(alma))
        assert len(found) == strip.DAYS
        assert list(found)[-1] == f"{today:%d %b}"
        assert found[f"{today:%d %b}"][0] >= 1

    def test_counts_the_event_and_tier_that_are_asked_for_and_says_what_it_does_not(self, alma):
        some_days()
        sealer.seal()
        days.tick()
        page = opened(alma, tier="high", object="orders/1", at_from="2026-10-31")
        assert shown(page)["31 Oct"][0] == 6, "every fourth of the day's entries"
        assert "Tier: high" in page
        assert "Not narrowed by: Object." in page
        nothing = opened(alma, event="proposal.denied", outcome="proposal.failed", at="all")
        assert {number for number, _ in shown(nothing).values()} == {0}

    def test_leads_to_months_and_years_and_keeps_the_other_filters(self, alma):
        record(datetime(2024, 12, 31, tzinfo=UTC))
        some_days()
        sealer.seal()
        days.tick()
        page = opened(alma, tier="high", at_from="2026-10-31")
        spans = dict(re.findall(r'<li><a href="([^"]+)"[^>]*>([A-Z]?\w* ?\d{4})</a>', page))
        told = {words: url.replace("&amp;", "&") for url, words in spans.items()}
        assert {"2024", "2025", "2026", "Oct 2026", "Nov 2026"} <= set(told)
        assert told["2024"] == "?tier=high&at_from=2024-01-01&at_to=2025-01-01"
        assert told["Oct 2026"] == "?tier=high&at_from=2026-10-01&at_to=2026-11-01"

    def test_has_a_table_of_the_same_numbers(self, alma):
        some_days()
        sealer.seal()
        days.tick()
        page = opened(alma, at_from="2026-10-31")
        rows = re.findall(r">(\d{4}-\d\d-\d\d)</a></th><td>([\d,]+)</td>", page)
        assert ("2026-10-31", "24") in rows
        assert len(rows) == 31

    def test_reads_nothing_of_the_ledger(self):
        some_days()
        sealer.seal()
        days.tick()
        filters = Filters.parse({"at_from": "2026-10-31"}, clock.now())
        with CaptureQueriesContext(connection) as queries:
            walk = Walk.objects.get(name=days.NAME)
            strip.build(filters, QueryDict(), walk, clock.now())
        asked = [query["sql"] for query in queries]
        of_days = [sql for sql in asked if "ledger_daycount" in sql or "ledger_walk" in sql]
        assert len(of_days) == 3
        for table in ("ledger_ledgerentry", "ledger_facet", "ledger_leaf", "ledger_mention"):
            assert table not in " ".join(asked)

    def test_says_when_no_day_is_counted_and_when_the_clock_is_still_counting(self, alma):
        assert "No day is counted yet." in opened(alma)
        some_days(30)
        sealer.seal()
        days.roll_up(limit=10)
        assert "counted up to position 10 of 31; the clock is still counting." in opened(alma)

    @pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31", "9998-12-31 10:00"])
    def test_no_time_that_can_be_asked_for_breaks_it(self, alma, text):
        record(START)
        sealer.seal()
        days.tick()
        for name in ("at_from", "at_to"):
            assert "Entries each day" in opened(alma, **{name: text})


def test_a_month_is_shown_whole():
    filters = Filters.parse({"at_to": "2024-03-01"}, clock.now())
    shown_days = strip.shown_days(filters, clock.now())
    assert (shown_days[0], shown_days[-1]) == (date(2024, 2, 1), date(2024, 2, 29))
