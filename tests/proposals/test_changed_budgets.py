"""What a change of a budget means for what it holds already, and for claims of the same moment."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection

from budgets import claims
from budgets.models import Budget, Reservation
from ledger import clock
from proposals import execution, services
from proposals.models import Execution, Proposal
from proposals.services import endings
from tests import factories
from tests.factories import fresh, make_checked, make_person, painting, work
from tests.meanwhile import Meanwhile
from tests.proposals.test_budgets import cap, held, put_off_behind_another

pytestmark = pytest.mark.usefixtures("toybox")


def waiting_in_a_run(*toys: str) -> list[Proposal]:
    found = [make_checked(params=painting("red", toy=toy, tier="medium"), run="r") for toy in toys]
    for proposal in found:
        factories.approve(proposal)
    return found


def claim_all() -> None:
    for pk in Execution.objects.values_list("pk", flat=True):
        execution.run(pk)


@pytest.mark.django_db
class TestAChange:
    @pytest.fixture(autouse=True)
    def _default_rules(self):
        make_person()

    @pytest.mark.parametrize("change", [{"limit": 2}, {"is_active": False}])
    def test_what_waits_for_a_slot_goes_on_at_once_when_there_is_room(self, change):
        budget = cap(limit=1, window_seconds=3600)
        waiting = make_checked(params=painting(tier="medium"))
        Reservation.objects.update(counted_at=clock.now() - timedelta(days=1))
        make_checked(params=painting("red", toy="duck"))
        factories.approve(waiting)
        work()
        assert fresh(waiting).status == "approved"
        assert Execution.objects.get(proposal=waiting).run_after > clock.now()
        for name, value in change.items():
            setattr(budget, name, value)
        services.save_budget(budget=budget, person=None, is_new=False)
        work()
        assert fresh(waiting).status == "committed"

    def test_a_changed_budget_has_its_slots_given_out_anew(self):
        first, second = put_off_behind_another("bear", "duck")
        cap = Budget.objects.get()
        cap.limit = 2
        services.save_budget(budget=cap, person=None, is_new=False)
        work()
        assert fresh(first).status == "committed"
        gap = Execution.objects.get(proposal=second).run_after - clock.now()
        assert gap < timedelta(seconds=61), "the first slot that frees, and not the second"

    def test_a_budget_that_counts_otherwise_since_gives_back_what_it_held(self):
        one = cap(limit=3)
        waiting = make_checked(params=painting("red", tier="medium"))
        factories.approve(waiting)
        one.per_agent = True
        services.save_budget(budget=one, person=None, is_new=False)
        work()
        assert fresh(waiting).status == "committed"
        assert held() == ["captured", "released"], "and does not count it twice"

    def test_who_has_a_slot_in_a_budget_that_counts_otherwise_since_keeps_it(self):
        one, waiting = cap(limit=1), []
        for toy in ("bear", "car"):
            waiting.append(make_checked(params=painting("red", toy=toy, tier="medium"), run=toy))
            Reservation.objects.update(counted_at=clock.now() - timedelta(hours=1))
            factories.approve(waiting[-1])
        one.per_agent = True
        change(one)
        assert make_checked(params=painting("pink", toy="duck"), run="b").status == "committed"
        slots = [Execution.objects.get(proposal=each).run_after for each in waiting]
        assert abs(slots[0] - slots[1]) == timedelta(seconds=60)
        for proposal in waiting:
            Execution.objects.filter(proposal=proposal).update(run_after=clock.now())
            execution.run(Execution.objects.get(proposal=proposal).pk)
        assert [Execution.objects.get(proposal=each).run_after for each in waiting] == slots

    def test_a_lowered_cap_of_a_run_stops_what_was_reserved_under_the_higher_one(self):
        budget = cap(per_run=True, window_seconds=None, limit=3)
        waiting = waiting_in_a_run("bear", "duck", "car")
        services.lower_budget(
            budget_id=budget.pk,
            limit=Decimal(1),
            reason="It loops.",
            person=make_person("olga", groups=["operators"]),
        )
        claim_all()
        assert {fresh(each).status for each in waiting} == {"approved"}
        assert all("Cap" in fresh(each).reason for each in waiting), "and each says what holds it"
        for proposal in waiting[1:]:
            services.withdraw(agent=proposal.agent, proposal_id=proposal.pk)
        Execution.objects.update(run_after=clock.now())
        claim_all()
        assert fresh(waiting[0]).status == "committed", "as soon as it is within the cap"

    def test_a_cap_of_a_run_that_stands_as_it_was_lets_pass_what_it_reserved(self):
        cap(per_run=True, window_seconds=None, limit=2)
        waiting = waiting_in_a_run("bear", "duck")
        claim_all()
        assert [fresh(each).status for each in waiting] == ["committed", "committed"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="there is one writer at a time")
class TestInTheSameMoment:
    def test_a_change_and_a_withdrawal_do_not_wait_for_each_other(self, monkeypatch):
        make_person()
        [waiting] = put_off_behind_another("bear")
        budget = Budget.objects.get()
        budget.limit = 2
        move, others = endings.transition, []

        def transition(*args, **kwargs):
            others.append(Meanwhile(lambda: change(budget)))
            move(*args, **kwargs)

        monkeypatch.setattr(endings, "transition", transition)
        services.withdraw(agent=waiting.agent, proposal_id=waiting.pk)
        assert others[0].has_waited
        assert others[0].came_to() == budget

    def test_what_is_claimed_while_a_budget_changes_counts_from_its_claim(self, monkeypatch):
        make_person()
        budget = cap(limit=1, window_seconds=3600)
        first = make_checked(params=painting("red", tier="medium"))
        factories.approve(first)
        pk, others = Execution.objects.get().pk, []

        class Clock:
            @staticmethod
            def now():
                """Whoever changes the budget has read the time, and has not written yet."""
                now = clock.now()
                others.append(Meanwhile(lambda: execution.take(pk)))
                return now

        monkeypatch.setattr(claims, "clock", Clock)
        change(budget)
        monkeypatch.undo()
        claim = others[0].came_to()
        assert execution.intend(claim)
        execution.write(claim)
        assert fresh(first).status == "committed"
        [counted] = Reservation.objects.all()
        assert counted.counted_at > clock.now() - timedelta(seconds=60), "and holds its slot"


def change(budget: Budget) -> Budget:
    return services.save_budget(budget=budget, person=None, is_new=False)
