"""Budgets and freezes in the life of a proposal, through the verbs and the agents' door."""

import time
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db.models import F, Sum

from budgets.models import Budget, Refusal, Reservation
from ledger import clock
from ledger.models import LedgerEntry
from proposals import execution, freezing, services, spending
from proposals.api import flood, patience
from proposals.exceptions import InvalidRequest, NotEligible, OverBudget
from proposals.models import Execution, Freeze, Proposal
from tests import factories
from tests.contract import assert_problem
from tests.factories import body, client_for, fresh, make_checked, make_person, painting, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]


HELD_SECONDS = flood.HELD_SECONDS


@pytest.fixture(autouse=True)
def _default_rules():
    make_person()


@pytest.fixture(autouse=True)
def _refusals_come_at_once(monkeypatch):
    monkeypatch.setattr(flood, "HELD_SECONDS", 0)


def flooding(**fields) -> flood.Sender:
    """A sender of whom all is shed in the tenth second."""
    return flood.Sender(10, "", False, refused=flood.MOST_REFUSALS_PER_SECOND, **fields)


def passing(monkeypatch) -> list[float]:
    """Time stands at the tenth second, and passes as the gate waits; how long it waited."""
    pauses: list[float] = []
    monkeypatch.setattr(flood, "HELD_SECONDS", HELD_SECONDS)
    monkeypatch.setattr(flood, "this_second", lambda: 10)
    monkeypatch.setattr(flood, "moment", lambda: 10 + sum(pauses))
    monkeypatch.setattr(flood.time, "sleep", pauses.append)
    return pauses


def cap(**fields) -> Budget:
    values = {"name": "Cap", "unit": "writes", "limit": 1, "window_seconds": 60}
    return services.save_budget(budget=Budget(**(values | fields)), person=None, is_new=True)


def put_off_behind_another(*toys: str) -> list[Proposal]:
    """Approved writes whose time in a window of one is over, put off behind one just written."""
    cap(limit=1)
    waiting = []
    for toy in toys:
        waiting.append(make_checked(params=painting("red", toy=toy, tier="medium"), run=toy))
        Reservation.objects.update(counted_at=clock.now() - timedelta(hours=1))
    assert make_checked(params=painting("pink", toy="duck"), run="another").status == "committed"
    for proposal in waiting:
        factories.approve(proposal)
        execution.run(Execution.objects.get(proposal=proposal).pk)
        assert fresh(proposal).is_held
    return waiting


def pass_seconds(seconds: float) -> None:
    """Let time pass for what budgets count, and for what waits for them."""
    ago = timedelta(seconds=seconds)
    Reservation.objects.update(counted_at=F("counted_at") - ago)
    Execution.objects.update(run_after=F("run_after") - ago)


def held() -> list[str]:
    return sorted(Reservation.objects.values_list("status", flat=True))


class TestLife:
    def test_a_commit_captures(self):
        cap()
        make_checked()
        assert held() == ["captured"]

    @pytest.mark.parametrize("ending", ["reject", "withdraw", "expire", "deny"])
    def test_an_end_without_a_write_releases(self, ending):
        cap()
        proposal = make_checked(params=painting(tier="medium"))
        assert held() == ["held"]
        if ending == "reject":
            factories.review(proposal, "reject")
        elif ending == "withdraw":
            services.withdraw(agent=proposal.agent, proposal_id=proposal.pk)
        elif ending == "expire":
            Proposal.objects.filter(pk=proposal.pk).update(expires_at=clock.now())
            services.expire(proposal_id=proposal.pk)
        else:
            from proposals.models import Rule

            services.save_rule(
                rule=Rule(name="No", effect="deny", condition=""), person=None, is_new=True
            )
            services.recheck(proposal_id=proposal.pk, reason="New rule.")
            work()
        assert held() == ["released"]

    def test_an_unknown_outcome_holds_until_it_is_settled(self, toybox, settings):
        settings.EXECUTION_MAX_ATTEMPTS = 1
        cap()
        toybox.failing["answer"] = "unclear"
        proposal = make_checked()
        assert proposal.status == "unknown"
        assert held() == ["held"]
        toybox.failing.clear()
        olga = make_person("olga", groups=["operators"])
        services.reconcile(proposal_id=proposal.pk, person=olga, reason="Asked the target.")
        assert held() == ["captured"]

    def test_a_failure_releases_and_a_retry_reserves_again(self, toybox):
        cap()
        toybox.failing["apply"] = "refused"
        proposal = make_checked()
        assert held() == ["released"]
        toybox.failing.clear()
        olga = make_person("olga", groups=["operators"])
        services.retry(proposal_id=proposal.pk, person=olga, reason="Open again.")
        work()
        assert fresh(proposal).status == "committed"
        assert held() == ["captured"]

    def test_approvals_at_once_do_not_burst_the_cap(self, toybox):
        cap(limit=1, window_seconds=60)
        proposals = []
        for toy in toybox.colours:
            proposals.append(make_checked(params=painting(toy=toy, tier="medium")))
            # A day passes between the proposals: each left the window while it waited.
            Reservation.objects.update(counted_at=clock.now() - timedelta(days=1))
        for proposal in proposals:
            factories.approve(proposal)
        for execution_id in Execution.objects.values_list("pk", flat=True):
            execution.run(execution_id)
        states = [fresh(proposal) for proposal in proposals]
        waiting = [each for each in states if each.status != "committed"]
        assert len(waiting) == 2
        assert all("budget" in each.reason for each in waiting)
        queued = Execution.objects.filter(status="queued", proposal__in=waiting)
        assert all(each.run_after > clock.now() for each in queued)
        assert queued.count() == 2

    def test_what_was_approved_gets_the_slot_that_it_was_put_off_to(self):
        [waiting] = put_off_behind_another("bear")
        pass_seconds(61)
        with pytest.raises(OverBudget):
            factories.make_proposal(params=painting("teal"), run="a-loop")
        work()
        assert fresh(waiting).status == "committed"

    def test_each_that_waits_has_a_slot_of_its_own_and_comes_at_its_turn(self):
        first, second = put_off_behind_another("bear", "duck")
        slots = [Execution.objects.get(proposal=each).run_after for each in (first, second)]
        assert slots[1] - slots[0] == timedelta(seconds=60)
        pass_seconds(61)
        work()
        assert (fresh(first).status, fresh(second).status) == ("committed", "approved")

    def test_who_asks_before_its_turn_keeps_its_slot(self):
        waiting = put_off_behind_another("bear", "duck")
        slots = [Execution.objects.get(proposal=each).run_after for each in waiting]
        Execution.objects.update(run_after=clock.now())
        work()
        assert [Execution.objects.get(proposal=each).run_after for each in waiting] == slots

    def test_a_slot_is_booked_where_there_was_no_room_and_nowhere_else(self):
        cap(name="Wide", limit=9, window_seconds=86400)
        put_off_behind_another("bear")
        booked = Reservation.objects.filter(counted_at__gt=clock.now())
        assert list(booked.values_list("scope__budget__name", flat=True)) == ["Cap"]

    def test_a_slot_is_kept_also_in_a_budget_that_is_newer_than_what_waits(self):
        waiting = make_checked(params=painting("red", tier="medium"))
        factories.approve(waiting)
        cap(limit=1)
        assert make_checked(params=painting("pink", toy="duck"), run="b").status == "committed"
        work()
        assert fresh(waiting).is_held
        pass_seconds(61)
        with pytest.raises(OverBudget):
            factories.make_proposal(params=painting("teal"), run="a-loop")
        work()
        assert fresh(waiting).status == "committed"

    def test_fractions_of_a_cent_are_rounded_up_and_move_with_the_claim(self, the_depot):
        cap(unit="money", currency="EUR", limit=100)
        sent = make_checked(action="parcels.keyed", params={"parcel": "books", "amount": "9.006"})
        Reservation.objects.update(counted_at=clock.now() - timedelta(hours=1))
        factories.approve(sent)
        work()
        counted = Reservation.objects.get(status="captured")
        assert (counted.amount, fresh(sent).status) == (Decimal("9.01"), "committed")
        assert counted.counted_at > clock.now() - timedelta(minutes=1)

    def test_an_amount_beyond_what_any_limit_allows_is_refused_and_no_fault(self, the_depot):
        cap(unit="money", currency="EUR", limit=10**15)
        with pytest.raises(OverBudget):
            make_checked(action="parcels.keyed", params={"parcel": "books", "amount": "9e40"})

    def test_a_negative_amount_counts_like_any_and_makes_no_room(self, the_depot):
        cap(unit="money", currency="EUR", limit=100)
        make_checked(action="parcels.keyed", params={"parcel": "books", "amount": "-60.00"})
        assert Reservation.objects.get().amount == 60
        with pytest.raises(OverBudget):
            make_checked(action="parcels.keyed", params={"parcel": "pens", "amount": "-60.00"})

    def test_a_budget_may_name_its_currency_in_small_letters(self, the_depot):
        cap(unit="money", currency="eur", limit=100)
        with pytest.raises(OverBudget):
            make_checked(action="parcels.keyed", params={"parcel": "books", "amount": "100.01"})

    def test_undo_by_people_has_its_own_lane(self):
        cap(limit=1)
        proposal = make_checked()
        undo = services.undo(proposal_id=proposal.pk, person=make_person(), reason="A mix-up.")
        work()
        assert fresh(undo).status == "committed"

    def test_the_undo_lane_is_capped_too(self):
        cap(limit=0, lane="undo")
        proposal = make_checked()
        with pytest.raises(OverBudget):
            services.undo(proposal_id=proposal.pk, person=make_person(), reason="A mix-up.")

    def test_objects_over_the_cap_are_refused_when_the_preview_shows_them(self):
        cap(unit="objects", limit=0)
        proposal = make_checked()
        assert proposal.status == "denied"
        assert proposal.error["code"] == "budget-exceeded"

    def test_a_retry_without_room_is_refused_and_nothing_is_lost(self, toybox):
        cap(on_exceed="suspend")
        toybox.failing["apply"] = "refused"
        proposal = make_checked()
        toybox.failing.clear()
        make_checked(params=painting("red", toy="duck"))
        olga = make_person("olga", groups=["operators"])
        again = {"proposal_id": proposal.pk, "person": olga, "reason": "Open again."}
        free_at = Reservation.objects.get(status="captured").counted_at + timedelta(seconds=60)
        with pytest.raises(OverBudget, match=f"'Cap'.*room for it at {free_at:%Y-%m-%d %H:%M:%S}"):
            services.retry(**again)
        found = fresh(proposal)
        assert (found.status, found.generation) == ("failed", proposal.generation)
        assert not found.agent.is_suspended
        assert held() == ["captured", "released"]
        Reservation.objects.update(counted_at=clock.now() - timedelta(seconds=61))
        services.retry(**again)
        work()
        assert fresh(proposal).status == "committed"

    def test_what_a_retry_reserves_is_there_when_it_is_checked(self, toybox):
        cap()
        toybox.failing["apply"] = "refused"
        proposal = make_checked()
        toybox.failing.clear()
        olga = make_person("olga", groups=["operators"])
        services.retry(proposal_id=proposal.pk, person=olga, reason="Open again.")
        with pytest.raises(OverBudget):
            factories.make_proposal(params=painting("red", toy="duck"))
        work()
        assert fresh(proposal).status == "committed"

    @pytest.mark.parametrize("road", ["withdrawn decision", "retry", "rules"])
    def test_a_later_check_that_is_over_budget_destroys_nothing(self, road, toybox):
        """A budget that is new since, or a target that grew: nobody's excess, so people look."""
        proposal = make_checked(params=painting(tier="medium"))
        if road == "withdrawn decision":
            factories.approve(proposal)
            digest = fresh(proposal).current_check.digest
            services.withdraw_decision(
                proposal_id=proposal.pk, reviewer=make_person(), digest=digest
            )
        elif road == "retry":
            toybox.failing["apply"] = "refused"
            factories.approve(proposal)
            work()
            toybox.failing.clear()
            olga = make_person("olga", groups=["operators"])
            services.retry(proposal_id=proposal.pk, person=olga, reason="Open again.")
        else:
            services.recheck(proposal_id=proposal.pk, reason="The rules changed.")
        budget = cap(unit="objects", limit=0, on_exceed="suspend")
        work()
        found = fresh(proposal)
        assert found.status == "pending"
        assert found.current_check.error.startswith("It does not fit now: The budget 'Cap'")
        assert not found.agent.is_suspended
        with pytest.raises(NotEligible, match="nothing definite"):
            factories.approve(proposal)
        budget.limit = 1
        services.save_budget(budget=budget, person=None, is_new=False)
        services.recheck_against_live(
            proposal_id=proposal.pk, person=make_person(), digest=found.current_check.digest
        )
        work()
        if fresh(proposal).status == "pending":  # what was approved as it is now, still counts
            factories.approve(proposal)
        work()
        assert fresh(proposal).status == "committed"
        assert held() == ["captured"]


class TestRefusal:
    def test_it_names_the_budget_and_when_to_come_back_and_gives_the_key_back(self):
        cap()
        client = client_for()
        assert client.propose(key="k1").status_code == 201
        answer = client.propose(key="k2", params=painting("green"))
        assert answer.status_code == 429
        problem = answer.json()
        assert problem["code"] == "budget-exceeded"
        assert problem["budget"]["name"] == "Cap"
        assert problem["budget"]["window_seconds"] == 60
        assert 1 <= int(answer["Retry-After"]) <= 60
        assert answer["RateLimit-Policy"] == '"cap";q=1;w=60'
        assert answer["RateLimit"].startswith('"cap";r=0;t=')
        assert Proposal.objects.count() == 1
        Reservation.objects.update(counted_at=clock.now() - timedelta(seconds=61))
        from django.core.cache import cache

        cache.clear()
        assert client.propose(key="k2", params=painting("green")).status_code == 201

    def test_a_replay_never_meets_a_budget(self):
        cap()
        client = client_for()
        assert client.propose(key="k1").status_code == 201
        assert client.propose(key="k2", params=painting("green")).status_code == 429
        assert client.propose(key="k1").status_code == 200

    def test_a_created_answer_tells_the_tightest_budget(self):
        cap(limit=10)
        cap(name="Tighter", limit=4)
        answer = client_for().propose()
        assert answer["RateLimit-Policy"] == '"tighter";q=4;w=60'
        assert answer["RateLimit"] == '"tighter";r=3'

    def test_a_loop_leaves_a_handful_of_entries(self):
        cap(limit=0)
        client = client_for()
        for number in range(60):
            assert client.propose(key=f"k{number}").status_code == 429
        assert LedgerEntry.objects.filter(kind="budget.refused").count() <= 3

    def test_a_flood_is_shed_before_it_costs_a_transaction(self, django_assert_max_num_queries):
        cap(limit=0)
        client = client_for()
        assert client.propose().status_code == 429
        with django_assert_max_num_queries(4) as queries:
            assert client.propose().status_code == 429
        assert not [one for one in queries.captured_queries if "INSERT" in one["sql"]]

    def test_a_fast_flood_is_shed_after_one_look_at_its_key(
        self, monkeypatch, django_assert_num_queries
    ):
        cap(limit=0)
        now = [100]
        monkeypatch.setattr(flood, "this_second", lambda: now[0])
        loop, calm = client_for(), client_for(factories.make_agent("calm-bot"))
        for _ in range(flood.MOST_REFUSALS_PER_SECOND):
            assert loop.propose().json()["code"] == "budget-exceeded"
        with django_assert_num_queries(2):
            for sent in (b"{", body()):
                answer = loop.post("/proposals", sent)
                assert_problem(answer, 429, "rate-limited")
                assert answer["Retry-After"] == "1"
                assert answer["RateLimit-Policy"] == '"cap";q=0;w=60'
                assert answer["RateLimit"].startswith('"cap";r=0')
        assert loop.get("/me").status_code == 200, "reading costs no budget"
        assert calm.propose().json()["code"] == "budget-exceeded", "others are judged as always"
        now[0] += 1
        assert loop.propose().json()["code"] == "budget-exceeded", "each second begins anew"

    def test_a_flood_never_refuses_a_repeat_of_what_is_stored(self, monkeypatch):
        cap(limit=1)
        monkeypatch.setattr(flood, "this_second", lambda: 100)
        client = client_for()
        stored = client.propose(key="kept")
        assert stored.status_code == 201
        for _ in range(flood.MOST_REFUSALS_PER_SECOND):
            client.propose()
        assert client.propose().json()["code"] == "rate-limited"
        again = client.propose(key="kept")
        assert (again.status_code, again["Idempotent-Replayed"]) == (200, "true")
        assert again.json()["id"] == stored.json()["id"]
        other = client.propose(key="kept", rationale="Something else.")
        assert_problem(other, 422, "idempotency-key-reused")
        assert client.propose().json()["code"] == "rate-limited"

    def test_a_flood_is_answered_late_so_that_a_loop_comes_seldom(self, monkeypatch):
        cap(limit=0)
        pauses = passing(monkeypatch)
        client = client_for()
        for _ in range(flood.MOST_REFUSALS_PER_SECOND):
            client.propose()
        assert pauses == [], "whom the database refuses is answered at once"
        assert client.propose().json()["code"] == "rate-limited"
        assert sum(pauses) == pytest.approx(1)

    def test_late_answers_leave_threads_to_others(self, monkeypatch):
        passing(monkeypatch)
        gate, sender = flood.FloodGate(lambda _: None), flooding()
        taken = []
        pass_time = flood.time.sleep

        def more_come(seconds: float) -> None:
            taken.append(patience.wait_for_machine(uuid4(), 1) if len(taken) == 11 else None)
            gate.waits(b"", sender)
            pass_time(seconds)

        monkeypatch.setattr(flood.time, "sleep", more_come)
        began = time.perf_counter()
        assert not gate.waits(b"", sender)
        assert len(taken) == 12, "of a process's 16 threads"
        assert taken[-1] is False, "nor does anybody else wait then"
        assert time.perf_counter() - began < 0.9, "nor does one wait for a place"

    def test_whoever_was_held_makes_room_again(self, monkeypatch):
        pauses = passing(monkeypatch)
        gate = flood.FloodGate(lambda _: None)
        for _ in range(20):
            gate.waits(b"", flooding())
        assert len(pauses) == 20

    def test_whoever_is_held_is_judged_when_a_slot_frees(self, monkeypatch):
        pauses = passing(monkeypatch)
        gate = flood.FloodGate(lambda _: None)
        assert gate.waits(b"", flooding(opens_at=10.12))
        assert sum(pauses) == pytest.approx(0.12)
        assert not gate.waits(b"", flooding(opens_at=11.5))
        assert sum(pauses) == pytest.approx(1.12)

    def test_whoever_is_held_is_judged_when_those_that_are_tried_were_let_in(self, monkeypatch):
        pauses = passing(monkeypatch)
        gate = flood.FloodGate(lambda _: None)
        sender = gate.senders[b""] = flooding(is_flood=True, opens_at=9.0, tried=1)
        sleep = flood.time.sleep

        def one_is_let_in(seconds: float) -> None:
            sleep(seconds)
            if len(pauses) == 3:
                gate.judged(b"", is_refused=False)

        monkeypatch.setattr(flood.time, "sleep", one_is_let_in)
        assert gate.waits(b"", sender)
        assert pauses == [flood.LOOK_SECONDS] * 3

    def test_a_key_that_no_database_holds_is_an_answer_and_no_fault(self, monkeypatch):
        cap(limit=0)
        monkeypatch.setattr(flood, "this_second", lambda: 100)
        client = client_for()
        for _ in range(flood.MOST_REFUSALS_PER_SECOND + 1):
            client.propose()
        assert client.propose(key="\0").status_code in {400, 429}

    def test_a_flood_that_goes_on_is_shed_after_one_refusal_in_the_next_second(self, monkeypatch):
        cap(limit=0)
        now = [100]
        monkeypatch.setattr(flood, "this_second", lambda: now[0])
        client = client_for()

        def told(times: int) -> list[str]:
            return [client.propose().json()["code"] for _ in range(times)]

        told(flood.MOST_REFUSALS_PER_SECOND + 1)
        now[0] += 1
        assert told(2) == ["budget-exceeded", "rate-limited"]
        now[0] += 1
        assert told(1) == ["budget-exceeded"]
        now[0] += 1
        assert told(2) == ["budget-exceeded"] * 2, "a second without shedding ends it"
        told(flood.MOST_REFUSALS_PER_SECOND)
        now[0] += 2
        assert told(2) == ["budget-exceeded"] * 2, "a second of silence ends it too"

    def test_a_flood_that_goes_on_is_judged_by_one_request_at_a_time(self, monkeypatch):
        cap(limit=0)
        monkeypatch.setattr(spending, "REMEMBERED_SECONDS", 0)
        now = [100]
        monkeypatch.setattr(flood, "this_second", lambda: now[0])
        client, meanwhile = client_for(), []
        for _ in range(flood.MOST_REFUSALS_PER_SECOND + 1):
            client.propose()
        judge = spending.Shedding.refuse_if_remembered

        def another_comes(shedding):
            meanwhile.append(client.propose().json()["code"])
            judge(shedding)

        monkeypatch.setattr(spending.Shedding, "refuse_if_remembered", another_comes)
        now[0] += 1
        assert client.propose().json()["code"] == "budget-exceeded"
        assert meanwhile == ["rate-limited"]
        now[0] += 2
        monkeypatch.setattr(spending.Shedding, "refuse_if_remembered", judge)
        client.propose()
        [counted] = Refusal.objects.values_list("count", flat=True)
        assert counted == flood.MOST_REFUSALS_PER_SECOND + 4, "none is lost in the sum"

    def test_of_a_flood_as_many_more_are_judged_at_once_as_are_let_in(self, monkeypatch):
        monkeypatch.setattr(flood, "this_second", lambda: 10)
        gate, sender = flood.FloodGate(lambda _: None), flooding(is_flood=True, opens_at=0.0)
        gate.senders[b""] = sender

        def judged_at_once() -> int:
            begun = 0
            while not sender.is_shed(10):
                begun += gate.let_through(b"")
            for _ in range(begun):
                sender.tried -= 1
            return begun

        told = []
        for is_refused in (False, False, True, False):
            gate.let_through(b"")
            gate.judged(b"", is_refused)
            told.append(judged_at_once())
        assert told == [2, 4, 1, 2]

    def test_who_was_refused_once_may_still_ask_many_things_at_once(self, monkeypatch):
        monkeypatch.setattr(flood, "this_second", lambda: 10)
        gate, sender = flood.FloodGate(lambda _: None), flood.Sender(10, "", False, refused=1)
        gate.senders[b""] = sender
        for _ in range(5):
            assert not sender.is_shed(10)
            gate.let_through(b"")

    def test_a_flood_of_proposals_leaves_the_other_verbs_open(self, monkeypatch):
        cap(limit=1)
        monkeypatch.setattr(flood, "this_second", lambda: 100)
        client = client_for()
        stored = client.propose().json()
        for _ in range(flood.MOST_REFUSALS_PER_SECOND):
            client.propose()
        assert client.propose().json()["code"] == "rate-limited"
        assert client.post(f"/proposals/{stored['id']}/withdraw").status_code == 200

    def test_a_flood_is_let_through_again_as_soon_as_a_slot_is_free(self, monkeypatch):
        budget = cap(limit=1)
        monkeypatch.setattr(spending, "REMEMBERED_SECONDS", 0)
        monkeypatch.setattr(flood, "this_second", lambda: 100)
        client = client_for()
        assert client.propose().status_code == 201
        for _ in range(flood.MOST_REFUSALS_PER_SECOND):
            assert client.propose().json()["code"] == "budget-exceeded"
        assert client.propose().json()["code"] == "rate-limited"
        freed = flood.moment() + budget.window_seconds
        monkeypatch.setattr(flood, "moment", lambda: freed)
        then = clock.now() - budget.window
        Reservation.objects.update(counted_at=then)
        assert client.propose().status_code == 201
        assert client.propose().json()["code"] == "budget-exceeded"
        assert client.propose().json()["code"] == "rate-limited", "one refusal shuts it again"

    def test_what_was_shed_is_in_the_sum_of_refusals(self, monkeypatch):
        cap(limit=0)
        monkeypatch.setattr(spending, "REMEMBERED_SECONDS", 0)
        now = [100]
        monkeypatch.setattr(flood, "this_second", lambda: now[0])
        client = client_for()
        for _ in range(flood.MOST_REFUSALS_PER_SECOND + 30):
            client.propose()
        now[0] += 1
        client.propose()
        assert Refusal.objects.get().count == flood.MOST_REFUSALS_PER_SECOND + 31

    def test_what_was_shed_for_another_reason_is_no_refusal_of_a_budget(
        self, monkeypatch, settings
    ):
        settings.MAX_OPEN_PROPOSALS_PER_AGENT = 0
        now = [100]
        monkeypatch.setattr(flood, "this_second", lambda: now[0])
        client = client_for()
        for _ in range(flood.MOST_REFUSALS_PER_SECOND):
            assert client.propose().json()["code"] == "queue-full"
        assert client.propose().json()["code"] == "rate-limited"
        now[0] += 1
        settings.MAX_OPEN_PROPOSALS_PER_AGENT = 1000
        cap(limit=0)
        assert client.propose().json()["code"] == "budget-exceeded"
        assert Refusal.objects.get().count == 1

    def test_a_budget_may_suspend_the_agent_as_well(self):
        cap(limit=0, on_exceed="suspend")
        agent = factories.make_agent()
        client = client_for(agent)
        assert client.propose().json()["code"] == "budget-exceeded"
        agent.refresh_from_db()
        assert agent.is_suspended
        assert client.propose().json()["code"] == "agent-suspended"
        assert LedgerEntry.objects.filter(kind="agent.suspended").count() == 1

    def test_too_many_open_proposals_are_refused(self, settings):
        settings.MAX_OPEN_PROPOSALS_PER_AGENT = 1
        client = client_for()
        assert client.propose().status_code == 201
        cap(limit=0, agent_pattern="other-*")
        cap(name="Wide", limit=50)
        answer = client.propose()
        assert (answer.status_code, answer.json()["code"]) == (429, "queue-full")
        assert answer["RateLimit"] == '"wide";r=50', "every 429 names the tightest budget"

    def test_a_refusal_of_money_names_the_currency_as_the_list_of_budgets_does(self, the_depot):
        cap(unit="money", currency="EUR", limit=1)
        client = client_for()
        asked = {"action": "parcels.keyed", "params": {"parcel": "books", "amount": "9.00"}}
        answer = client.propose(**asked)
        assert_problem(answer, 429, "budget-exceeded")
        [listed] = client.get("/budgets").json()["results"]
        told = answer.json()["budget"]
        assert (told["unit"], told["currency"]) == ("money", "EUR")
        assert (listed["unit"], listed["currency"]) == ("money", "EUR")

    def test_the_ledger_alone_tells_what_was_counted(self, the_depot):
        for unit in ("money", "objects", "writes"):
            currency = "EUR" if unit == "money" else ""
            cap(name=unit, unit=unit, currency=currency, limit=100)
        for parcel, amount in (("books", "9.00"), ("pens", "1.50")):
            sent = make_checked(action="parcels.keyed", params={"parcel": parcel, "amount": amount})
            if sent.status == "pending":
                factories.approve(sent)
                work()
            assert fresh(sent).status == "committed"
        assert make_checked().status == "committed"
        refused = make_checked(params=painting(tier="medium"), run="other")
        factories.review(refused, decision="reject", reason="No.")
        told = {"money": Decimal(0), "objects": 0, "writes": 0}
        for entry in LedgerEntry.objects.filter(kind="execution.claimed"):
            asks = entry.body["asks"]
            told["objects"] += asks["objects"]
            told["writes"] += asks["writes"]
            told["money"] += Decimal(asks["money"].get("EUR", 0))
        captured = Reservation.objects.filter(status="captured")
        counted = captured.values_list("scope__budget__name").annotate(Sum("amount"))
        assert told == dict(counted)

    @pytest.mark.parametrize("window", [None, 60])
    def test_a_refusal_that_waiting_does_not_end_says_when_to_ask_again_all_the_same(self, window):
        cap(limit=0, window_seconds=window, per_run=window is None)
        answer = client_for().propose()
        assert_problem(answer, 429, "budget-exceeded")
        assert answer["Retry-After"] == str(answer.json()["retry_after"]) == "3600"
        assert ";t=" not in answer["RateLimit"], "no slot frees by then"

    def test_the_agent_sees_its_budgets(self):
        cap(limit=2, per_agent=True)
        client = client_for()
        client.propose()
        [gauge] = client.get("/budgets").json()["results"]
        assert gauge["used"] == "1"
        assert gauge["held"] == "1"
        assert gauge["remaining"] == "1"

    def test_what_is_booked_for_later_is_no_longer_left(self):
        cap(limit=3)
        for toy in ("bear", "duck"):
            make_checked(params=painting("red", toy=toy, tier="medium"), run=toy)
        later = Reservation.objects.order_by("pk").last()
        Reservation.objects.filter(pk=later.pk).update(counted_at=clock.now() + timedelta(30))
        [gauge] = client_for().get("/budgets").json()["results"]
        assert (gauge["used"], gauge["held"], gauge["remaining"]) == ("1", "1", "1")


class TestFreeze:
    @pytest.fixture
    def approved(self):
        proposal = make_checked(params=painting(tier="medium"))
        factories.approve(proposal)
        return fresh(proposal)

    def freeze(self, proposal: Proposal, scope: str):
        named = {
            "everything": {},
            "agent": {"agent": proposal.agent},
            "action": {"action": proposal.action},
            "run": {"run": proposal.run},
        }
        return services.freeze(reason="Something is wrong.", **named[scope])

    @pytest.mark.parametrize("scope", ["everything", "agent", "action", "run"])
    def test_what_is_approved_waits_and_goes_on_after_the_lift(self, approved, toybox, scope):
        found = self.freeze(approved, scope)
        execution.run(Execution.objects.get().pk)
        assert fresh(approved).status == "approved"
        assert "Something is wrong." in fresh(approved).reason
        assert toybox.effects == []
        assert Execution.objects.get().fence == 0, "it was not even claimed"
        services.lift(freeze_id=found.pk, reason="It was a false alarm.")
        work()
        assert fresh(approved).status == "committed"

    @pytest.mark.parametrize("scope", ["agent", "action", "run"])
    def test_a_freeze_of_something_else_stops_nothing(self, approved, scope):
        other = make_checked(
            agent=factories.make_agent("other-bot"), run="run-2", params=painting("red", toy="duck")
        )
        if scope == "action":
            services.freeze(reason="Stop.", action="email.send")
        else:
            self.freeze(other, scope)
        execution.run(Execution.objects.get(proposal=approved).pk)
        assert fresh(approved).status == "committed"

    def test_it_holds_between_claim_and_intent(self, approved, toybox):
        claim = execution.take(Execution.objects.get().pk)
        found = self.freeze(approved, "everything")
        assert execution.intend(claim) is False
        assert Execution.objects.get().status == "queued"
        services.lift(freeze_id=found.pk, reason="Over.")
        work()
        assert fresh(approved).status == "committed"
        assert len(toybox.effects) == 1

    def test_an_intent_from_before_is_not_repeated_while_frozen(self, approved, toybox):
        claim = execution.take(Execution.objects.get().pk)
        execution.intend(claim)
        self.freeze(approved, "everything")
        Execution.objects.update(lease_until=clock.now())
        execution.run(Execution.objects.get().pk)
        assert toybox.effects == []
        assert Execution.objects.get().status == "intended"

    def test_freezing_everything_refuses_new_proposals(self, approved):
        self.freeze(approved, "everything")
        answer = client_for(approved.agent).propose()
        assert (answer.status_code, answer.json()["code"]) == (503, "writes-frozen")
        assert answer["Retry-After"]

    def test_everything_takes_no_new_revision_either(self):
        client = client_for()
        proposal = client.propose(params=painting(tier="medium")).json()
        freezing_all = services.freeze(reason="Halt.")
        answer = client.post(f"/proposals/{proposal['id']}/revisions", {"rationale": "Better."})
        assert_problem(answer, 503, "writes-frozen")
        services.lift(freeze_id=freezing_all.pk, reason="Over.", person=None)
        again = client.post(f"/proposals/{proposal['id']}/revisions", {"rationale": "Better."})
        assert again.status_code == 201

    def test_undo_by_people_is_stopped_by_the_freeze_of_everything_alone(self, toybox):
        proposal = make_checked()
        for scope in ("agent", "action", "run"):
            self.freeze(proposal, scope)
        services.set_suspended(agent_id=proposal.agent_id, is_suspended=True, reason="Loops.")
        undo = services.undo(proposal_id=proposal.pk, person=make_person(), reason="A mix-up.")
        work()
        assert fresh(undo).status == "committed"
        other = services.undo(proposal_id=undo.pk, person=make_person(), reason="No, keep it.")
        self.freeze(proposal, "everything")
        from proposals import checks

        execution_id = checks.run(other.pk)
        execution.run(execution_id)
        assert fresh(other).status == "approved"

    def test_whoever_may_freeze_may_not_lift(self):
        rita = make_person()
        found = services.freeze(reason="Stop.", person=rita)
        with pytest.raises(NotEligible):
            services.lift(freeze_id=found.pk, reason="Go.", person=rita)
        olga = make_person("olga", groups=["operators"])
        services.lift(freeze_id=found.pk, reason="Go.", person=olga)
        assert not freezing.in_force().exists()

    def test_an_auditor_may_not_freeze(self):
        with pytest.raises(NotEligible):
            services.freeze(reason="Stop.", person=make_person("amir", groups=["auditors"]))

    def test_an_owner_may_stop_their_own_agent_but_not_start_it_again(self):
        owner = make_person("otto", groups=())
        agent = factories.make_agent(owner=owner)
        services.set_suspended(agent_id=agent.pk, is_suspended=True, reason="Hm.", person=owner)
        with pytest.raises(NotEligible):
            services.set_suspended(agent_id=agent.pk, is_suspended=False, person=owner)

    def test_a_pattern_stops_every_action_that_fits_it_until_it_is_lifted(self, approved, toybox):
        found = services.freeze(reason="The toys are recalled.", action="toys.*")
        work()
        assert fresh(approved).status == "approved"
        assert toybox.effects == []
        services.lift(freeze_id=found.pk, reason="They are safe.")
        work()
        assert fresh(approved).status == "committed"

    @pytest.mark.parametrize("action", ["toys.sett", "toy.*", "[t]oys.set", "toys.se?", "*" * 129])
    def test_what_fits_no_action_is_refused_as_it_would_stop_nothing(self, action):
        with pytest.raises(InvalidRequest, match="no action of this name") as refusal:
            services.freeze(reason="Stop.", action=action)
        assert [fault["pointer"] for fault in refusal.value.errors] == ["/action"]
        assert not Freeze.objects.exists()

    def test_a_second_freeze_is_the_first(self):
        first = services.freeze(reason="Stop.")
        assert services.freeze(reason="Stop again.").pk == first.pk
        assert LedgerEntry.objects.filter(kind="freeze.set").count() == 1
