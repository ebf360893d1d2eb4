"""The clock's own hand: a row that takes its time holds up nothing but the rows behind it."""

import os
import signal
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connections

from ledger import clock, heartbeat
from ledger.models import Checkpoint
from proposals import attempts, crashpoints, dispatch, execution, leadership
from proposals.hand import Hand
from proposals.models import Execution, Proposal
from tests import factories
from tests.factories import fresh, make_checked, make_proposal, painting
from tests.processes import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toybox", "rung")]


@pytest.fixture
def rung(monkeypatch):
    """Bells that are taken, and answered by nobody."""
    bells: list[tuple] = []
    monkeypatch.setattr("celery.current_app.send_task", lambda *args, **kwargs: bells.append(args))
    return bells


@pytest.fixture(autouse=True)
def _default_rules():
    factories.make_person()


@pytest.fixture
def late(toybox):
    """A proposal that waits for people and is past its deadline."""
    made = make_checked(params=painting("green", tier="medium"))
    Proposal.objects.filter(pk=made.pk).update(expires_at=clock.now())
    return made


@pytest.fixture
def slow(toybox, monkeypatch):
    """A target that does not answer a preview before it is told to."""
    answer = Paused()
    monkeypatch.setattr(toybox, "fail", lambda step: step == "preview" and answer.wait())
    yield answer
    answer.go_on.set()


class Paused:
    """Where a thread waits, and how many came there."""

    def __init__(self) -> None:
        self.came, self.go_on = 0, threading.Event()

    def wait(self) -> None:
        self.came += 1
        assert self.go_on.wait(30)


@pytest.fixture
def hand():
    """A hand that is at rest again, its connections closed, when the test is over."""
    made = Hand()
    yield made
    if made.thread is not None:
        made.thread.join(30)
    assert made.thread is None


def overdue(proposal: Proposal, seconds: float = 10) -> Proposal:
    since = clock.now() - timedelta(seconds=seconds)
    Proposal.objects.filter(pk=proposal.pk).update(due_at=since)
    return proposal


def several(number: int) -> list[Proposal]:
    """Overdue proposals, none a duplicate of another, oldest first."""
    made = [make_proposal(params=painting(note=each)) for each in range(number)]
    return [overdue(row, 20 - place) for place, row in enumerate(made)]


def statuses(rows: list[Proposal]) -> set[str]:
    return {fresh(row).status for row in rows}


def has_beaten() -> bool:
    return heartbeat.is_fresh("clock", within=timedelta(seconds=30))


def at_rest(hand: Hand) -> Callable[[], bool]:
    return lambda: hand.thread is None


def while_the_clock_runs(look: Callable[[], None]) -> None:
    """Run the clock here, look from another thread, and stop the clock as its supervisor does."""
    failures: list[BaseException] = []

    def watch() -> None:
        try:
            look()
        except BaseException as failure:
            failures.append(failure)
        finally:
            connections.close_all()
            os.kill(os.getpid(), signal.SIGTERM)

    former = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGTERM, lambda *received: None)  # until the clock has its own
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        call_command("clock", interval=0.05)
    finally:
        watcher.join(30)
        for name, handler in former.items():
            signal.signal(name, handler)
    if failures:
        raise failures[0]


@pytest.fixture
def lead(monkeypatch, tmp_path):
    lock = leadership.FileLock(tmp_path / "clock.lock")
    monkeypatch.setattr(leadership, "stand", lambda: lock)
    return lock


class TestWhileARowTakesItsTime:
    def test_the_clock_beats_seals_and_expires(self, late, slow, lead, settings, tmp_path):
        settings.DATA_DIR = tmp_path
        rows = several(3)

        def look() -> None:
            try:
                eventually(lambda: slow.came, what="the preview of the first row")
                eventually(has_beaten, within=10, what="a beat")
                eventually(Checkpoint.objects.exists, within=10, what="a seal")
                eventually(lambda: fresh(late).status == "expired", what="the expiry of another")
                assert statuses(rows) == {"submitted"}
            finally:
                slow.go_on.set()
            eventually(lambda: statuses(rows) == {"committed"}, what="the rows that had to wait")

        while_the_clock_runs(look)

    def test_it_is_not_begun_twice_and_one_is_worked_on_at_a_time(self, slow, hand):
        rows = several(3)
        sweep = dispatch.Sweep(hand.take)
        for _ in range(3):
            sweep.run()
            eventually(lambda: slow.came, what="the preview of the first row")
            sweep.rung.clear()  # as if it had waited for long
        assert slow.came == 1
        slow.go_on.set()
        eventually(at_rest(hand))
        assert statuses(rows) == {"committed"}

    def test_commits_do_not_wait_for_every_slow_preview(self, slow, hand):
        begun: list[str] = []

        def check(row_id: str) -> None:
            begun.append("check")
            slow.wait()

        hand.take(check, "1")
        eventually(lambda: slow.came)
        for name in ("2", "3"):
            hand.take(check, name)
        hand.take(lambda row_id: begun.append("commit"), "4")
        slow.go_on.set()
        eventually(at_rest(hand))
        assert begun == ["check", "commit", "check", "check"]

    def test_one_agents_many_do_not_keep_others_waiting(self, slow, hand):
        begun: list[str] = []

        def check(row_id: str) -> None:
            begun.append(row_id)
            slow.wait()

        for name in ("busy-1", "busy-2", "busy-3", "calm-1"):
            hand.take(check, name, name.partition("-")[0])
        eventually(lambda: slow.came)
        slow.go_on.set()
        eventually(at_rest(hand))
        assert begun == ["busy-1", "calm-1", "busy-2", "busy-3"]


class TestWhatIsTaken:
    def test_a_row_that_fails_costs_the_others_nothing(self, hand):
        def poison(row_id: str) -> None:
            raise RuntimeError("poison")

        row = overdue(make_proposal())
        hand.take(poison, row.pk)
        hand.take(dispatch.check_and_commit, row.pk)
        eventually(at_rest(hand))
        assert fresh(row).status == "committed"

    def test_what_piled_up_is_rung_for_as_well(self, rung, hand):
        row = overdue(make_proposal())
        rung.clear()
        dispatch.Sweep(hand.take).run()
        assert [name for name, *_ in rung] == ["proposals.check"]
        eventually(lambda: fresh(row).status == "committed")
        eventually(at_rest(hand))

    @pytest.mark.parametrize("status", ["claimed", "intended"])
    def test_what_a_worker_left_behind_is_rung_for_before_the_clock_does_it(self, rung, status):
        """It was queued long ago, but it is due only since its lease ended."""
        proposal = make_checked(params=painting(tier="medium"))
        factories.approve(proposal)
        claim = execution.take(Execution.objects.get().pk)
        assert status == "claimed" or execution.intend(claim)
        now = clock.now()
        Execution.objects.update(run_after=now - timedelta(seconds=90), lease_until=now)
        rung.clear()
        dispatch.Sweep().run()
        assert [name for name, *_ in rung] == ["proposals.execute"]
        assert Execution.objects.get().status == status

    def test_a_row_that_never_ends_is_complained_of(self, slow, hand, settings, caplog):
        row = several(1)[0]
        hand.take(dispatch.check_and_commit, row.pk)
        eventually(lambda: slow.came)
        hand.take(dispatch.check_and_commit, row.pk)
        assert not caplog.records
        settings.EXECUTION_LEASE_SECONDS = 0
        hand.take(dispatch.check_and_commit, row.pk)
        assert str(row.pk) in caplog.text
        slow.go_on.set()


class TestAStop:
    def test_what_only_waits_is_left_in_its_row(self, slow, hand):
        first, second = several(2)
        dispatch.Sweep(hand.take).run()
        eventually(lambda: slow.came)
        stopping = threading.Thread(target=stop, args=[hand])
        stopping.start()
        eventually(lambda: hand.is_stopping and not hand.waiting)
        slow.go_on.set()
        stopping.join(30)
        assert at_rest(hand)()
        assert [fresh(first).status, fresh(second).status] == ["committed", "submitted"]
        hand.take(dispatch.check_and_commit, second.pk)
        assert at_rest(hand)()

    def test_a_claim_that_would_take_longer_is_handed_back(self, hand, monkeypatch, toybox):
        proposal = make_checked(params=painting(tier="medium"))
        factories.approve(proposal)
        [row] = Execution.objects.all()
        pause = Paused()
        monkeypatch.setattr(
            crashpoints, "hook", lambda point: point == "claim.done" and pause.wait()
        )
        hand.take(execution.run, row.pk)
        eventually(lambda: pause.came)
        assert Execution.objects.get().claimed_by == attempts.WORKER
        hand.stop(patience=0.1)
        assert Execution.objects.get().status == "queued"
        pause.go_on.set()
        eventually(at_rest(hand))
        assert (fresh(proposal).status, toybox.effects) == ("approved", [])

    def test_the_clock_hands_back_what_it_claimed(self, lead):
        factories.approve(make_checked(params=painting(tier="medium")))
        assert execution.take(Execution.objects.get().pk)
        while_the_clock_runs(lambda: eventually(has_beaten, what="a beat"))
        assert Execution.objects.get().status == "queued"


def stop(hand: Hand) -> None:
    hand.stop()
    connections.close_all()
