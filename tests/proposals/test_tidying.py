"""What is of no use any more is removed, in batches; what somebody still reads stays."""

from datetime import timedelta
from unittest import mock

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext

from budgets import refusals
from budgets.models import Budget, Refusal
from ledger import clock, pruning
from ledger.models import LedgerEntry
from proposals import services
from proposals.management.commands.clock import Tidying
from proposals.models import Letter, Notice
from proposals.notices import finder
from tests.factories import make_person

pytestmark = pytest.mark.django_db
LONG_AGO = timedelta(days=31)


def budget() -> Budget:
    one = Budget(name="None", unit="proposals", limit=0, window_seconds=60)
    services.save_budget(budget=one, person=None, is_new=True)
    return one


def refuse(count: int = 1, *, ago: timedelta = LONG_AGO, is_summed: bool = True) -> None:
    at, cap = clock.now() - ago, Budget.objects.first() or budget()
    Refusal.objects.bulk_create(
        Refusal(
            budget=cap,
            agent=str(number),
            agent_name="bot",
            since=at,
            last_at=at,
            count=2,
            is_summed=is_summed,
        )
        for number in range(count)
    )


def sign_in(*, ends_in: timedelta) -> str:
    session = SessionStore()
    session["shop"] = "open"
    session.set_expiry(clock.now() + ends_in)
    session.save()
    return session.session_key


def letters(count: int, state: str = "sent", ago: timedelta = LONG_AGO) -> None:
    """One notice and one letter about it, each."""
    at, person = clock.now() - ago, make_person()
    before = Letter.objects.count()
    made = [Notice(kind="waits", subject="x", actor="a", at=at, spread_at=at) for _ in range(count)]
    Notice.objects.bulk_create(made)
    sent = [
        Letter(
            name=str(before + n), person=person, tier="low", state=state, created_at=at, next_at=at
        )
        for n in range(count)
    ]
    Letter.objects.bulk_create(sent)
    Letter.notices.through.objects.bulk_create(
        Letter.notices.through(letter=letter, notice=notice)
        for letter, notice in zip(sent, made, strict=True)
    )


def plan(rows: QuerySet) -> str:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
    return rows.explain()


class TestRefusals:
    def test_that_were_summed_a_month_ago_are_removed(self):
        refuse(3)
        Tidying().run()
        assert not Refusal.objects.exists()

    def test_that_are_younger_or_not_summed_yet_stay(self):
        refuse(1, is_summed=False)
        refuse(2, ago=timedelta(days=29))
        refusals.prune(now=clock.now())
        assert Refusal.objects.count() == 3

    def test_are_in_the_ledger_whether_their_row_is_there_or_not(self):
        refuse(1, is_summed=False)
        refusals.sum_up()
        Tidying().run()
        assert not Refusal.objects.exists()
        assert LedgerEntry.objects.get(kind="budget.refused").body["count"] == 1

    def test_are_found_by_their_age(self):
        refuse(1)
        assert "refusal_by_age" in plan(Refusal.objects.old(clock.now()))


class TestSessions:
    def test_that_have_ended_are_removed_and_others_stay(self):
        sign_in(ends_in=timedelta(hours=-1))
        valid = sign_in(ends_in=timedelta(hours=1))
        Tidying().run()
        assert [one.session_key for one in Session.objects.all()] == [valid]

    def test_are_removed_by_the_way_of_their_engine(self):
        with mock.patch.object(SessionStore, "clear_expired") as cleared:
            Tidying().run()
        cleared.assert_called_once_with()

    def test_that_piled_up_are_removed_in_batches_over_several_minutes(self, monkeypatch):
        monkeypatch.setattr(pruning, "BATCH", 3)
        monkeypatch.setattr(pruning, "BATCHES", 2)
        for _ in range(8):
            sign_in(ends_in=timedelta(hours=-1))
        left = []
        for _ in range(2):
            Tidying().run()
            left.append(Session.objects.count())
        assert left == [2, 0]


class TestLetters:
    def test_and_their_notices_go_in_bounded_batches_oldest_first(self, monkeypatch):
        monkeypatch.setattr(pruning, "BATCH", 3)
        monkeypatch.setattr(pruning, "BATCHES", 2)
        letters(4)
        letters(4, ago=timedelta(days=60))
        with CaptureQueriesContext(connection) as queries:
            finder.prune()
        deleted = [one["sql"] for one in queries if one["sql"].startswith("DELETE")]
        assert Letter.objects.count() == Notice.objects.count() == 2
        assert Letter.objects.filter(name__gte="4").count() == 0
        assert len([sql for sql in deleted if 'FROM "proposals_letter" ' in sql]) == 2

    def test_of_a_busy_hour_are_gone_within_an_hour(self):
        removed = 3600 / finder.PRUNE_SECONDS * pruning.BATCH * pruning.BATCHES
        assert removed >= 100_000

    def test_that_still_wait_stay_with_what_they_tell_and_stop_no_others(self, monkeypatch):
        monkeypatch.setattr(pruning, "BATCH", 3)
        letters(4, state="waiting", ago=timedelta(days=60))
        letters(5)
        letters(2, ago=timedelta(days=1))
        finder.prune()
        assert Letter.objects.filter(state="waiting").count() == 4
        assert Letter.objects.count() == Notice.objects.count() == 6

    def test_are_found_by_their_age(self):
        letters(1)
        assert "letter_by_age" in plan(finder.old_letters(clock.now()))
        assert "notice_by_age" in plan(finder.spent_notices(clock.now()))
