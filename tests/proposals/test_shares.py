"""One agent whose work takes its time takes only its share of the workers."""

import queue
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from ledger import clock
from proposals import checks, dispatch, services, shares
from proposals.models import Execution, Proposal, Share
from tests import factories
from tests.factories import fresh, make_agent, make_checked, make_person, make_proposal, painting
from tests.meanwhile import Meanwhile
from tests.processes import eventually

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]


@pytest.fixture(autouse=True)
def rung(monkeypatch):
    """Bells that are taken, and answered by nobody; none is held back until a commit."""
    bells: list[tuple[str, str]] = []

    def ring(task: str, row_id: Any) -> bool:
        bells.append((task, str(row_id)))
        return True

    monkeypatch.setattr("proposals.bell.send", ring)
    monkeypatch.setattr("proposals.bell.transaction.on_commit", lambda do, robust: do())
    return bells


@pytest.fixture(autouse=True)
def _default_rules():
    make_person()


@pytest.fixture(autouse=True)
def others(toybox, rung) -> Proposal:
    """What another agent waits for all the while."""
    waiting = wait_as_well("grey")
    rung.clear()
    return waiting


def wait_as_well(colour: str) -> Proposal:
    return make_proposal(agent=make_agent("patient-bot"), params=painting(colour))


def several(number: int, agent: str = "billing-bot", **params: Any) -> list[Proposal]:
    """Proposals of one agent, none a duplicate of another, oldest first."""
    asks = make_agent(agent)
    made = [make_proposal(agent=asks, params=painting(note=n, **params)) for n in range(number)]
    for place, each in enumerate(made):
        since = clock.now() - timedelta(seconds=2 * number - place)
        Proposal.objects.filter(pk=each.pk).update(due_at=since)
    return made


def statuses(rows: list[Proposal]) -> list[str]:
    return [fresh(row).status for row in rows]


def become_slow(seconds: float = 100, agent: str = "billing-bot") -> None:
    shares.give_back(make_agent(agent).pk, "what it did before", "", seconds)


def lapse(seconds: float) -> None:
    """So much time passes for every place that is taken, and for what is remembered."""
    by = timedelta(seconds=seconds)
    for share in Share.objects.all():
        share.slow_until -= by
        share.under_way = {
            row: (shares.moment(until) - by).isoformat() for row, until in share.under_way.items()
        }
        share.save()


class TestWorkThatIsQuick:
    @pytest.fixture(autouse=True)
    def _quick(self, monkeypatch):
        """However busy the machine is."""
        monkeypatch.setattr(shares, "SLOW_SECONDS", 60)

    def test_needs_no_place_and_costs_one_statement(self, monkeypatch):
        first, second = several(2)
        with CaptureQueriesContext(connection) as with_place:
            dispatch.check_and_commit(first.pk)
        monkeypatch.setattr(shares, "look", lambda asked: (None, False))
        with CaptureQueriesContext(connection) as without:
            dispatch.check_and_commit(second.pk)
        assert statuses([first, second]) == ["committed", "committed"]
        assert len(with_place) == len(without) + 1
        assert not Share.objects.exists()

    def test_of_an_agent_that_was_slow_once_is_free_again_a_minute_later(self, settings):
        settings.SLOW_WORK_PER_AGENT = 1
        first, second = several(2)
        become_slow()
        for seconds, status in ((30, "submitted"), (31, "committed")):
            lapse(seconds)
            with shares.place(Proposal.objects.filter(pk=first.pk), first.pk):
                dispatch.check_and_commit(second.pk)
            assert fresh(second).status == status

    def test_of_an_agent_that_had_a_hiccup_is_free_again_ten_times_as_long_after(self, monkeypatch):
        monkeypatch.setattr(shares, "SLOW_SECONDS", 0.6)
        make_proposal()
        become_slow(0.7)
        for seconds, is_slow in ((6, True), (1.1, False)):
            lapse(seconds)
            assert shares.look(Proposal.objects.filter(agent=make_agent()))[1] == is_slow

    def test_is_known_to_take_its_time_as_soon_as_it_did(self, monkeypatch):
        monkeypatch.setattr(shares, "SLOW_SECONDS", 0)
        dispatch.check_and_commit(make_proposal().pk)
        assert shares.look(Proposal.objects.filter(agent=make_agent())) == (make_agent().pk, True)


class TestWorkThatTakesItsTime:
    @pytest.fixture(autouse=True)
    def _slow(self, settings):
        settings.SLOW_WORK_PER_AGENT = 1
        become_slow()

    def taken(self, row: Proposal) -> Any:
        return shares.place(Proposal.objects.filter(pk=row.pk), row.pk)

    def test_leaves_the_other_workers_to_others(self):
        first, second = several(2)
        other = make_proposal(agent=make_agent("calm-bot"), params=painting("red"))
        with self.taken(first) as is_taken:
            assert is_taken
            dispatch.check_and_commit(second.pk)
            dispatch.check_and_commit(other.pk)
        assert statuses([second, other]) == ["submitted", "committed"]

    @pytest.mark.parametrize("left", ["nothing", "a check", "a write"])
    def test_takes_all_workers_while_nobody_else_has_anything_due(self, others, left):
        if left == "nothing":
            services.withdraw(agent=others.agent, proposal_id=others.pk)
        elif left == "a write":
            checks.run(others.pk)
        first, second = several(2)
        with self.taken(first), self.taken(second) as is_second:
            assert is_second == (left == "nothing")

    def test_may_take_as_many_as_are_configured(self, settings):
        settings.SLOW_WORK_PER_AGENT = 2
        first, second, third = several(3)
        with self.taken(first), self.taken(second) as is_second, self.taken(third) as is_third:
            assert (is_second, is_third) == (True, False)

    def test_is_begun_once(self, settings):
        settings.SLOW_WORK_PER_AGENT = 2
        [row] = several(1)
        with self.taken(row), self.taken(row) as is_again:
            assert not is_again

    def test_goes_on_with_what_waited_longest_without_waiting_for_the_clock(self, rung):
        first, second, third = several(3)
        with self.taken(first):
            dispatch.check_and_commit(third.pk)
            dispatch.check_and_commit(second.pk)
            rung.clear()
            Proposal.objects.filter(pk=first.pk).update(status="withdrawn")
        assert rung == [("proposals.check", str(second.pk))]

    def test_goes_on_with_what_is_to_be_written_first(self, rung):
        approved = make_checked(params=painting(tier="medium"))
        first, _ = several(2)
        factories.approve(approved)
        wait_as_well("pink")
        with self.taken(first):
            rung.clear()
        [attempt] = approved.executions.all()
        assert rung == [("proposals.execute", str(attempt.pk))]

    def test_gives_its_place_back_whatever_happens(self, rung):
        first, second = several(2)
        rung.clear()
        with pytest.raises(ZeroDivisionError), self.taken(first):
            raise ZeroDivisionError
        assert rung == [], "or what cannot be done would be rung for, again and again"
        with self.taken(second) as is_taken:
            assert is_taken

    def test_loses_the_place_of_a_process_that_died_by_the_databases_clock(self):
        first, second, third = several(3)
        assert shares.take(first.agent_id, str(first.pk))
        become_slow()
        with self.taken(second) as is_taken:
            assert not is_taken
        lapse(shares.LEASE.total_seconds() / 2)
        become_slow()
        with self.taken(second) as is_taken:
            assert not is_taken
        lapse(shares.LEASE.total_seconds() / 2 + 1)
        become_slow()
        with self.taken(third) as is_taken:
            assert is_taken

    def test_ends_nobody_elses_place_when_it_comes_back_late(self):
        [row] = several(1)
        with self.taken(row):
            lapse(shares.LEASE.total_seconds() + 1)
            become_slow()
            assert shares.take(row.agent_id, str(row.pk))
        [until] = Share.objects.values_list("under_way", flat=True)
        assert list(until) == [str(row.pk)]

    def test_that_is_approved_waits_in_its_row_as_well(self):
        approved = make_checked(params=painting(tier="medium"))
        factories.approve(approved)
        [attempt] = approved.executions.all()
        [row] = several(1)
        wait_as_well("pink")
        with self.taken(row):
            dispatch.commit(attempt.pk)
        attempt.refresh_from_db()
        assert (attempt.status, attempt.fence) == ("queued", 0)
        dispatch.commit(attempt.pk)
        assert fresh(approved).status == "committed"

    def test_keeps_no_undo_waiting_that_people_ask_for(self, toybox):
        written = make_checked()
        undo = services.undo(proposal_id=written.pk, person=make_person(), reason="Wrong.")
        [row] = several(1)
        with self.taken(row):
            dispatch.check_and_commit(undo.pk)
        assert fresh(undo).status == "committed"


class TestTheSweep:
    def test_takes_agents_in_turn(self, rung, monkeypatch):
        monkeypatch.setattr(dispatch, "BATCH", 3)
        many = several(5, "busy-bot")
        [one] = several(1, "calm-bot", toy="duck")
        rung.clear()
        dispatch.Sweep(lambda *row: None).run()
        assert [row_id for _, row_id in rung] == [str(each.pk) for each in (many[0], one, many[1])]

    def test_takes_agents_in_turn_with_what_is_approved_too(self, rung, monkeypatch):
        monkeypatch.setattr(dispatch, "BATCH", 2)
        approved = several(3, "busy-bot", tier="medium") + several(1, "calm-bot", tier="medium")
        factories.work()
        for each in approved:
            factories.approve(each)
        ids = {row.proposal_id: str(row.pk) for row in Execution.objects.all()}
        for place, each in enumerate(approved):
            since = clock.now() - timedelta(seconds=9 - place)
            Execution.objects.filter(proposal=each).update(run_after=since)
        rung.clear()
        dispatch.Sweep(lambda *row: None).run()
        assert [row_id for _, row_id in rung] == [ids[approved[0].pk], ids[approved[3].pk]]


@pytest.mark.django_db(transaction=True)
class TestManyWorkers:
    """Two workers take bells in the order in which they were rung, as those of Redis do."""

    @pytest.fixture(autouse=True)
    def _bells(self, monkeypatch, settings):
        settings.SLOW_WORK_PER_AGENT = 1
        monkeypatch.setattr(shares, "SLOW_SECONDS", 0.02)
        self.queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        monkeypatch.setattr("proposals.bell.send", lambda task, row_id: self.queue.put(row_id))
        yield
        for _ in self.workers:
            self.queue.put(None)
        for worker in self.workers:
            worker.join(30)

    def start(self) -> None:
        self.workers = [threading.Thread(target=self.work) for _ in range(2)]
        for worker in self.workers:
            worker.start()

    def work(self) -> None:
        try:
            while (row_id := self.queue.get()) is not None:
                dispatch.check_and_commit(row_id)
        finally:
            connections.close_all()

    def test_one_agents_slow_previews_keep_nobody_else_waiting(self, toybox, monkeypatch):
        goes_on = threading.Event()
        monkeypatch.setattr("tests.toys.SetColour.preview", slow_preview({"red": goes_on}))
        many = several(12, "busy-bot", colour="red")
        become_slow(agent="busy-bot")
        [one] = several(1, "calm-bot", toy="duck")
        self.start()
        try:
            eventually(lambda: fresh(one).status == "committed", what="the quick one")
            assert set(statuses(many)) == {"submitted"}, "it waited for what was under way alone"
        finally:
            goes_on.set()
        eventually(lambda: set(statuses(many)) == {"committed"}, what="all the others")

    def test_no_two_take_the_last_place(self, toybox, settings):
        self.workers = []
        if connection.vendor == "sqlite":
            pytest.skip("SQLite has one writer at a time.")
        settings.SLOW_WORK_PER_AGENT = 1
        become_slow()
        agent = make_agent()
        with transaction.atomic():
            assert shares.take(agent.pk, "one row")
            other = Meanwhile(lambda: shares.take(agent.pk, "another"))
        assert other.has_waited
        assert other.came_to() is None


def slow_preview(slow: dict[str, threading.Event]) -> Callable[..., Any]:
    """The preview of the toys, which for some colours takes until something happens."""
    from tests.toys import SetColour

    real = SetColour.preview

    def preview(self: Any, params: dict[str, Any]) -> Any:
        if params["colour"] in slow:
            slow[params["colour"]].wait(30)
        return real(self, params)

    return preview
