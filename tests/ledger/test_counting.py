"""Counting exactly: asked for on a page, done by the clock in steps, shown on the same list."""

import json
from datetime import timedelta
from unittest import mock

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.db import OperationalError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ledger import clock, counting, entries, sealer
from ledger.counting import CountRefused
from ledger.finding import BadFilter, Filters
from ledger.models import Access, ExactCount, Leaf

pytestmark = pytest.mark.django_db
LIST = reverse("admin:ledger_ledgerentry_changelist")
COUNT = reverse("admin:ledger_ledgerentry_count")


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.DATA_DIR = tmp_path


@pytest.fixture(autouse=True)
def low_cap():
    with mock.patch("ledger.readonly_admin.COUNT_CAP", 5):
        yield


@pytest.fixture
def alma():
    user = User.objects.create_user("alma", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_ledgerentry"))
    browser = Client()
    with mock.patch("django.contrib.auth.signals.user_logged_in.send"):
        browser.force_login(user)
    browser.person = user
    return browser


def record(count, **facts):
    facts = {"kind": "a.b", "actor": "user:99"} | facts
    with transaction.atomic():
        for _ in range(count):
            entries.record("policy", **facts)


@pytest.fixture
def ledger():
    """Twelve high entries among thirty that are sealed with their key, and four that are not."""
    record(12, body={"tier": "high"})
    record(18)
    sealer.seal()
    record(4, body={"tier": "high"})


def ask(browser, **query):
    query_string = "&".join(f"{name}={value}" for name, value in query.items())
    address = f"{COUNT}?{query_string}"
    answer = browser.post(address)
    assert answer.status_code == 302
    assert answer["Location"] == f"{LIST}?{query_string}"
    return answer


def page(browser, **query):
    return " ".join(browser.get(LIST, query).content.decode().split())


def work():
    while ExactCount.objects.filter(finished_at=None).exists():
        counting.tick()


class TestTheCount:
    def test_is_that_of_the_sealed_entries_of_the_filter_whatever_the_steps(self, ledger, alma):
        for batch in (1, 7, 1000):
            for given, expected in (
                ({"tier": "high"}, 12),
                ({}, Leaf.objects.count()),
                ({"q": "kind:a.b"}, 30),
                ({"tier": "low"}, 0),
            ):
                filters = Filters.parse({"at": "all"} | given, clock.now())
                row = counting.ask(filters, alma.person)
                with mock.patch.object(counting, "BATCH", batch):
                    work()
                row.refresh_from_db()
                assert (row.count, row.upto, row.error) == (expected, Leaf.objects.count(), "")

    def test_stops_where_the_seal_stood_when_it_was_asked(self, ledger, alma):
        row = counting.ask(Filters.parse({"tier": "high"}, clock.now()), alma.person)
        sealer.seal()
        work()
        row.refresh_from_db()
        assert row.count == 12
        counting.ask(Filters.parse({"tier": "high"}, clock.now()), alma.person)
        work()
        row.refresh_from_db()
        assert row.count == 16, "asked again, it is counted anew"

    def test_goes_on_where_it_was_and_counts_nothing_twice_when_a_step_fails(self, ledger, alma):
        row = counting.ask(Filters.parse({"at": "all"}, clock.now()), alma.person)
        with mock.patch.object(counting, "BATCH", 10):
            assert counting.advance(row.pk)
            with (
                mock.patch.object(ExactCount, "save", side_effect=OSError("full")),
                pytest.raises(OSError, match="full"),
            ):
                counting.advance(row.pk)
            row.refresh_from_db()
            assert (row.position, row.count) == (10, 10)
        work()
        row.refresh_from_db()
        assert row.count == Leaf.objects.count()

    def test_the_same_filters_are_counted_once_and_wait_in_order(self, ledger, alma):
        first = counting.ask(Filters.parse({"tier": "high"}, clock.now()), alma.person)
        counting.ask(Filters.parse({"tier": "low"}, clock.now()), alma.person)
        later = clock.now() + timedelta(days=1)  # another window, and still the last seven days
        assert counting.ask(Filters.parse({"tier": "high"}, later), alma.person).pk == first.pk
        assert ExactCount.objects.count() == 2
        counting.tick()
        first.refresh_from_db()
        assert first.finished_at
        assert ExactCount.objects.filter(finished_at=None).count() == 1

    def test_is_refused_where_nothing_is_sealed_meant_or_too_much_waits(self, alma):
        filters = Filters.parse({"at": "all"}, clock.now())
        with pytest.raises(CountRefused, match="Nothing is sealed yet"):
            counting.ask(filters, alma.person)
        record(1)
        sealer.seal()
        with pytest.raises(BadFilter):
            counting.ask(Filters.parse({"q": "refund"}, clock.now()), alma.person)
        for number in range(counting.MOST_WAITING):
            counting.ask(Filters.parse({"actor": f"user:{number}"}, clock.now()), alma.person)
        with pytest.raises(CountRefused, match="20 counts wait already"):
            counting.ask(filters, alma.person)
        assert ExactCount.objects.count() == counting.MOST_WAITING

    def test_one_that_takes_too_long_ends_and_delays_no_other(self, ledger, alma):
        class Cancelled(Exception):
            sqlstate = "57014"

        slow = OperationalError("canceling statement due to statement timeout")
        slow.__cause__ = Cancelled()
        counting.ask(Filters.parse({"at": "all"}, clock.now()), alma.person)
        with mock.patch.object(counting.export, "chosen", side_effect=slow):
            counting.tick()
        assert "It could not be counted exactly: a step took longer" in page(alma, at="all")
        other = counting.ask(Filters.parse({"tier": "high"}, clock.now()), alma.person)
        down = OperationalError("the disk is full")
        with (
            mock.patch.object(counting.export, "chosen", side_effect=down),
            pytest.raises(OperationalError),
        ):
            counting.tick()
        work()
        other.refresh_from_db()
        assert other.count == 12

    def test_old_ones_are_forgotten_when_another_is_asked_for(self, ledger, alma):
        counting.ask(Filters.parse({"tier": "low"}, clock.now()), alma.person)
        work()
        ExactCount.objects.update(finished_at=clock.now() - timedelta(days=31))
        counting.ask(Filters.parse({"tier": "high"}, clock.now()), alma.person)
        assert ExactCount.objects.count() == 1


class TestThePage:
    def test_a_button_asks_and_the_clock_answers_on_the_list(self, ledger, alma):
        assert "Count exactly</button>" in page(alma, tier="high")
        ask(alma, tier="high")
        with mock.patch.object(counting, "BATCH", 10):
            counting.advance(ExactCount.objects.get().pk)
        asked = page(alma, tier="high")
        size = Leaf.objects.count()
        assert f"Counting exactly: 10 so far, 10 of {size} entries looked at." in asked
        assert "by alma." in asked
        assert "Count exactly</button>" not in asked
        call_command("clock", "--once")
        told = page(alma, tier="high")
        upto = ExactCount.objects.get().upto
        assert "Exactly <strong>12</strong> sealed entries from " in told
        assert f"up to position {upto}, counted at " in told
        assert "Count exactly again</button>" in told
        assert "Exactly" not in page(alma, tier="high", object="orders/1")

    def test_is_not_offered_where_the_count_is_exact_already(self, ledger, alma):
        assert "Count exactly" not in page(alma, tier="low")

    def test_no_request_counts(self, ledger, alma):
        with CaptureQueriesContext(connection) as queries:
            ask(alma, at="all")
        asked = [query["sql"] for query in queries if "COUNT(" in query["sql"].upper()]
        assert not asked
        assert ExactCount.objects.get().count == 0

    def test_asking_is_kept_in_the_access_log(self, ledger, alma):
        ask(alma, tier="high")
        kept = Access.objects.get(what="count")
        assert (kept.actor, kept.query) == (
            f"user:{alma.person.pk}",
            "Tier: high; Last 7 days",
        )

    def test_what_cannot_be_counted_is_said_and_not_kept(self, ledger, alma):
        for query in ({"tier": "huge"}, {"q": "refund"}):
            ask(alma, **query)
        assert not ExactCount.objects.exists()
        assert not Access.objects.filter(what="count").exists()

    def test_only_who_may_see_the_ledger_may_ask_and_only_by_a_form(self, ledger, alma):
        assert alma.get(COUNT).status_code == 405
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(alma.person)
        assert strict.post(COUNT).status_code == 403
        alma.person.user_permissions.clear()
        User.objects.filter(pk=alma.person.pk).update(is_superuser=True)
        assert alma.post(COUNT).status_code == 403
        assert alma.get(COUNT).status_code == 403
        assert not ExactCount.objects.exists()


def test_filters_are_the_same_from_what_was_stated_of_them():
    now = clock.now()
    for given in (
        {"at": "all"},
        {"tier": "high", "agent": "bot", "q": "object:orders/1"},
        {"at_from": "2026-11-01 10:30", "at_to": "2026-11-02", "flag": "broken"},
    ):
        filters = Filters.parse(given, now)
        stated = json.loads(json.dumps(filters.as_json()))
        again = Filters.from_json(stated)
        assert again.as_json() == filters.as_json()
        if not filters.is_default_window:
            assert again == filters
            assert again.key == filters.key
