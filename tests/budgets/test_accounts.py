"""The four moves of a budget: to the limit and no further, at any concurrency."""

import threading
import time
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, connections, transaction
from django.db.transaction import TransactionManagementError

from budgets import accounts, claims, refusals, standings
from budgets.charges import Charge
from budgets.exceptions import BudgetExceeded
from budgets.models import Budget, Refusal, Reservation, Scope
from ledger import clock
from ledger.models import LedgerEntry
from tests.meanwhile import Meanwhile, waiting
from tests.processes import eventually

pytestmark = pytest.mark.django_db


def make_budget(**fields) -> Budget:
    values = {
        "name": f"cap {Budget.objects.count()}",
        "unit": "writes",
        "limit": 2,
        "window_seconds": 60,
    }
    budget = Budget(**(values | fields))
    budget.full_clean()
    budget.save()
    return budget


def charge(number: int = 1, **fields) -> Charge:
    values = {
        "proposal": f"p{number}",
        "agent": "a1",
        "agent_name": "bot",
        "run": "r",
        "action": "records.update",
        "resource": "shop.orders/1",
    }
    return Charge(**(values | fields))


def reserve(number: int = 1, **fields) -> None:
    with transaction.atomic():
        accounts.reserve(charge(number, **fields))


def refuses(number: int, **fields) -> BudgetExceeded:
    with pytest.raises(BudgetExceeded) as refusal:
        reserve(number, **fields)
    return refusal.value


def age(proposal: str, seconds: float) -> None:
    """Let a reservation have been counted so long ago."""
    then = clock.now() - timedelta(seconds=seconds)
    Reservation.objects.filter(proposal=proposal).update(counted_at=then)


def lower(budget: Budget) -> None:
    Budget.objects.filter(pk=budget.pk).update(limit=0)
    connections.close_all()


class TestReserve:
    def test_to_the_limit_and_no_further(self):
        make_budget()
        reserve(1)
        reserve(2)
        error = refuses(3)
        assert error.shortage.used == 2
        assert 1 <= error.shortage.retry_after <= 60
        assert Reservation.objects.count() == 2

    def test_all_budgets_or_none(self):
        make_budget(limit=10)
        make_budget(limit=1, per_resource=True)
        reserve(1)
        refuses(2)
        assert Reservation.objects.filter(proposal="p2").count() == 0

    def test_a_limit_of_nothing_allows_nothing(self):
        make_budget(limit=0)
        assert refuses(1).shortage.retry_after is None

    @pytest.mark.parametrize(
        ("apart", "other"),
        [
            ("per_agent", {"agent": "a2"}),
            ("per_run", {"run": "r2"}),
            ("per_action", {"action": "records.create"}),
            ("per_resource", {"resource": "shop.orders/2"}),
        ],
    )
    def test_what_is_counted_apart_has_its_own_cap(self, apart, other):
        make_budget(limit=1, **{apart: True})
        reserve(1)
        refuses(2)
        reserve(3, **other)

    def test_a_run_of_the_same_name_of_another_agent_is_another_run(self):
        make_budget(limit=1, per_run=True, window_seconds=None)
        reserve(1)
        reserve(2, agent="a2")

    @pytest.mark.parametrize(
        "pattern",
        [{"agent_pattern": "other"}, {"action_pattern": "email.*"}, {"resource_pattern": "x/*"}],
    )
    def test_what_it_does_not_cover_it_does_not_count(self, pattern):
        make_budget(limit=0, **pattern)
        reserve(1)

    def test_money_is_counted_by_currency(self):
        make_budget(unit="money", currency="EUR", limit=Decimal("100.00"))
        reserve(1, money={"EUR": Decimal("60.00")})
        reserve(2, money={"USD": Decimal("60.00")})
        error = refuses(3, money={"EUR": Decimal("60.00")})
        assert error.shortage.unit == "EUR"
        reserve(4, money={"EUR": Decimal("40.00")})

    def test_objects_are_counted_once_they_are_known(self):
        make_budget(unit="objects", limit=10)
        reserve(1)
        assert not Reservation.objects.exists()
        reserve(1, objects=8)
        refuses(2, objects=3)

    def test_more_than_the_whole_cap_never_fits(self):
        make_budget(unit="objects", limit=10)
        assert refuses(1, objects=11).shortage.free_at is None

    def test_asking_again_reserves_the_difference(self):
        make_budget(unit="objects", limit=10)
        reserve(1, objects=4)
        reserve(1, objects=9)
        refuses(2, objects=2)
        reserve(1, objects=3)
        reserve(2, objects=7)

    def test_what_no_longer_applies_is_released(self):
        make_budget(limit=1, per_resource=True)
        reserve(1)
        reserve(1, resource="shop.orders/2")
        reserve(2)
        refuses(3, resource="shop.orders/2")

    def test_it_needs_the_callers_transaction(self, transactional_db):
        make_budget()
        with pytest.raises(TransactionManagementError):
            accounts.reserve(charge())


class TestWindow:
    def test_what_has_left_the_window_no_longer_counts(self):
        make_budget(limit=1)
        reserve(1)
        age("p1", 61)
        reserve(2)

    def test_there_is_no_burst_at_the_edge(self):
        """Fixed minutes would allow twice the cap around the turn of a minute."""
        make_budget(limit=1)
        reserve(1)
        age("p1", 59)
        refuses(2)

    def test_the_life_of_a_run_forgets_nothing(self):
        make_budget(limit=1, per_run=True, window_seconds=None)
        reserve(1)
        age("p1", 10**6)
        assert refuses(2).shortage.free_at is None

    def test_the_next_slot_is_when_enough_has_left(self):
        make_budget(limit=2)
        reserve(1)
        reserve(2)
        age("p1", 50)
        shortage = refuses(3).shortage
        assert 9 <= shortage.retry_after <= 10


class TestRestamp:
    def test_the_write_counts_when_it_happens(self):
        make_budget(limit=1)
        reserve(1)
        age("p1", 50)
        with transaction.atomic():
            claims.restamp(charge(1))
        age_now = clock.now() - Reservation.objects.get().counted_at
        assert age_now < timedelta(seconds=5)

    def test_a_window_that_filled_up_meanwhile_puts_it_off(self):
        make_budget(limit=1)
        reserve(1)
        age("p1", 61)
        reserve(2)
        with pytest.raises(BudgetExceeded), transaction.atomic():
            claims.restamp(charge(1))

    def test_a_budget_that_was_switched_off_refuses_nothing_that_is_held(self):
        budget = make_budget()
        reserve(1)
        budget.is_active, budget.limit = False, 0
        budget.save()
        with transaction.atomic():
            assert claims.restamp(charge(1)) is None
        accounts.capture("p1", clock.now())
        assert Reservation.objects.get().status == "captured", (
            "it counts if it is switched on again"
        )

    def test_a_budget_that_is_newer_counts_it_from_now_on(self):
        reserve(1)
        make_budget(limit=1)
        with transaction.atomic():
            assert claims.restamp(charge(1))
        refuses(2)

    def test_a_newer_budget_without_room_refuses_and_holds_nothing(self):
        make_budget(limit=1, resource_pattern="other")
        for number in (1, 2):
            reserve(number)
        budget = make_budget(limit=1)
        with transaction.atomic():
            claims.restamp(charge(1))
        with pytest.raises(BudgetExceeded), transaction.atomic():
            claims.restamp(charge(2))
        assert Reservation.objects.get().scope.budget == budget

    def test_a_newer_budget_of_proposals_does_not_count_what_was_submitted_before(self):
        make_budget(unit="proposals", limit=0)
        with transaction.atomic():
            assert claims.restamp(charge(1)) is None
        assert not Reservation.objects.exists()

    def test_what_is_counted_apart_since_is_reserved_there(self):
        budget = make_budget(limit=1)
        reserve(1)
        budget.per_resource = True
        budget.save()
        with transaction.atomic():
            claims.restamp(charge(1))
        refuses(2)
        reserve(3, resource="shop.orders/2")

    def test_it_takes_five_statements_and_one_where_nothing_counts(self, django_assert_num_queries):
        with django_assert_num_queries(1):
            claims.restamp(charge(1))
        for fields in ({}, {"per_agent": True}, {"unit": "proposals"}):
            make_budget(**fields)
        reserve(1)
        with django_assert_num_queries(5):
            assert claims.restamp(charge(1))

    def test_proposals_are_not_moved(self):
        make_budget(unit="proposals")
        reserve(1)
        age("p1", 30)
        before = Reservation.objects.get().counted_at
        with transaction.atomic():
            claims.restamp(charge(1))
        assert Reservation.objects.get().counted_at == before


class TestResolve:
    def test_what_is_released_makes_room_and_what_is_captured_does_not(self):
        make_budget(limit=1)
        reserve(1)
        accounts.release("p1", clock.now())
        reserve(2)
        accounts.capture("p2", clock.now())
        refuses(3)

    def test_a_reservation_is_resolved_once(self):
        make_budget(limit=1)
        reserve(1)
        accounts.capture("p1", clock.now())
        accounts.release("p1", clock.now())
        assert Reservation.objects.get().status == "captured"

    def test_counted_proposals_are_never_given_back(self):
        make_budget(unit="proposals", limit=1)
        reserve(1)
        accounts.release("p1", clock.now())
        refuses(2)

    def test_after_a_release_the_same_proposal_may_reserve_again(self):
        make_budget(limit=1)
        reserve(1)
        accounts.release("p1", clock.now())
        reserve(1)
        refuses(2)


class TestDefinition:
    @pytest.mark.parametrize(
        "fields",
        [
            {"window_seconds": None},
            {"window_seconds": 0},
            {"unit": "money"},
            {"currency": "EUR"},
            {"limit": Decimal("-1")},
        ],
    )
    def test_what_could_not_be_counted_is_refused(self, fields):
        with pytest.raises(ValidationError):
            make_budget(**fields)


class TestRefusals:
    def test_a_loop_leaves_two_entries_and_the_sum_is_right(self):
        budget = make_budget(limit=0)
        shortage = refuses(1).shortage
        for _ in range(50):
            refusals.note(shortage, agent="a1", agent_name="bot", run="r")
        Refusal.objects.update(since=clock.now() - timedelta(minutes=2))
        refusals.sum_up()
        refusals.sum_up()
        told = LedgerEntry.objects.filter(stream=f"budget:{budget.pk}", kind="budget.refused")
        assert told.count() == 2
        assert sum(entry.body["count"] for entry in told) == 50

    def test_what_was_shed_before_the_first_is_in_the_sum_and_in_nothing_else(self):
        make_budget(limit=0)
        shortage = refuses(1).shortage
        for times in (500, 1):
            refusals.note(shortage, agent="a1", agent_name="bot", run="r", times=times)
        assert told() == [1]
        Refusal.objects.update(since=clock.now() - timedelta(minutes=2))
        refusals.sum_up()
        assert told() == [1, 500]


def told() -> list[int]:
    """How many refusals each entry of the ledger speaks of."""
    entries = LedgerEntry.objects.filter(kind="budget.refused").order_by("pk")
    return [entry.body["count"] for entry in entries]


class TestStandings:
    def test_a_gauge_tells_used_held_and_the_next_slot(self):
        make_budget(limit=2, per_agent=True)
        reserve(1)
        accounts.capture("p1", clock.now())
        reserve(2)
        [gauge] = standings.binding("a1", "bot")
        assert (gauge.used, gauge.held, gauge.remaining, gauge.percent) == (2, 1, 0, 100)
        assert gauge.free_at > clock.now()

    def test_an_agent_does_not_see_the_scopes_of_another(self):
        make_budget(limit=2, per_agent=True)
        reserve(1, agent="a2")
        [gauge] = standings.binding("a1", "bot")
        assert gauge.used == 0


@pytest.mark.django_db(transaction=True)
class TestConcurrency:
    def test_eighty_tries_for_twenty_slots_by_eight_threads(self):
        make_budget(limit=20)
        make_budget(limit=1000, per_agent=True)
        admitted, errors = [], []

        def tries(worker: int) -> None:
            try:
                for number in range(10):
                    try:
                        reserve(worker * 10 + number, agent=f"a{worker % 3}")
                        admitted.append(number)
                    except BudgetExceeded:
                        pass
            except Exception as error:
                errors.append(error)
            finally:
                connections.close_all()

        threads = [threading.Thread(target=tries, args=(worker,)) for worker in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        assert len(admitted) == 20

    def test_of_many_first_refusals_at_once_one_is_entered_and_all_are_counted(self):
        make_budget(limit=0)
        shortage, errors = refuses(1).shortage, []

        def refused() -> None:
            try:
                refusals.note(shortage, agent="a1", agent_name="bot", run="r")
            except Exception as error:
                errors.append(error)
            finally:
                connections.close_all()

        with transaction.atomic():
            refusals.note(shortage, agent="a1", agent_name="bot", run="r")
            others = [threading.Thread(target=refused) for _ in range(7)]
            for each in others:
                each.start()
            if connection.vendor == "postgresql":
                eventually(lambda: waiting() == 7, what="the others, at the first one's row")
        for each in others:
            each.join()
        assert not errors
        assert told() == [1]
        assert Refusal.objects.get().count == 8

    @pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time.")
    def test_two_who_meet_at_new_scopes_do_not_wait_for_each_other(self, monkeypatch):
        """One holds the new second scope and wants the first; the other wants them in order."""
        everybody, agents = make_budget(), make_budget(per_agent=True)
        make, met, made, errors = accounts.make, threading.Barrier(2), threading.Event(), []

        def make_when_both_are_there(missing, charge):
            met.wait(timeout=10)
            if charge.proposal == "p2":
                made.wait(timeout=10)
            make(missing, charge)
            made.set()

        def tries(number: int) -> None:
            try:
                reserve(number)
            except Exception as error:
                errors.append(error)
            finally:
                connections.close_all()

        first = threading.Thread(target=tries, args=(1,))
        monkeypatch.setattr(accounts, "make", make_when_both_are_there)
        first.start()
        eventually(lambda: met.n_waiting == 1, what="the first, who found nothing")
        with transaction.atomic():
            make([(everybody, "")], charge())
        second = threading.Thread(target=tries, args=(2,))
        second.start()
        first.join()
        second.join()
        assert not errors
        assert agents.scopes.count() == 1
        assert Reservation.objects.count() == 4

    @pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time.")
    @pytest.mark.parametrize("move", [accounts.reserve, claims.restamp])
    def test_of_two_who_want_the_last_slot_the_second_sees_what_the_first_took(self, move):
        make_budget(limit=1)
        if move is claims.restamp:  # both were reserved so long ago that neither counts any more
            for number in (1, 2):
                reserve(number)
                age(f"p{number}", 120)

        def comes_second() -> object:
            with transaction.atomic():
                return move(charge(2))

        with transaction.atomic():
            assert move(charge(1))
            second = Meanwhile(comes_second)
        refusal = second.came_to()
        assert isinstance(refusal, BudgetExceeded)
        assert refusal.shortage.used == 1

    @pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time.")
    @pytest.mark.parametrize("move", [accounts.reserve, claims.restamp])
    def test_whoever_waited_while_a_cap_was_lowered_is_judged_by_the_lower_one(self, move):
        budget, answers = make_budget(), []
        reserve(1)

        def waits() -> None:
            try:
                with transaction.atomic():
                    answers.append(move(charge(1 if move is claims.restamp else 2)))
            except BudgetExceeded as error:
                answers.append(error.shortage.limit)
            finally:
                connections.close_all()

        waiter = threading.Thread(target=waits)
        with transaction.atomic():
            list(Scope.objects.select_for_update(no_key=True))
            waiter.start()
            eventually(lambda: waiting() == 1, what="the other, at the lock")
            lowering = threading.Thread(target=lower, args=(budget,))
            lowering.start()
            lowering.join()
        waiter.join()
        assert answers == [0]

    def test_no_window_of_any_position_holds_more_than_its_cap(self):
        """A short window under pressure; judged by a sweep over the times in the rows."""
        make_budget(limit=5, window_seconds=1)
        stop = time.monotonic() + 4

        def press(worker: int) -> None:
            number = 0
            while time.monotonic() < stop:
                number += 1
                try:
                    reserve(worker * 100_000 + number)
                except BudgetExceeded:
                    time.sleep(0.005)
            connections.close_all()

        threads = [threading.Thread(target=press, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        times = sorted(Reservation.objects.values_list("counted_at", flat=True))
        window = timedelta(seconds=1)
        for index, end in enumerate(times):
            counted = sum(1 for at in times[: index + 1] if at > end - window)
            assert counted <= 5
        assert len(times) >= 15, connection.vendor
