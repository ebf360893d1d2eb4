"""Several clocks: one leads, and another takes over when it goes."""

import os

import pytest
from django.db import connection, transaction

from ledger import entries, sealer
from ledger.models import Checkpoint
from proposals import leadership
from proposals.management.commands.clock import Understudy
from tests.processes import Process, environment, eventually

on_postgresql = pytest.mark.skipif(
    not os.environ.get("TEST_DATABASE_URL"), reason="TEST_DATABASE_URL is not set."
)
owns_rows = pytest.mark.django_db(transaction=True)


class TestTheLeadingClock:
    def test_one_file_lock_leads_and_the_next_takes_over(self, tmp_path):
        first, second = (leadership.FileLock(tmp_path / "lock") for _ in range(2))
        assert [first.is_ours(), second.is_ours(), first.is_ours()] == [True, False, True]
        first.file.close()
        assert second.is_ours()

    @on_postgresql
    @owns_rows
    def test_a_lost_session_is_a_lost_lead_until_it_is_taken_again(self):
        first, second = leadership.SessionLock(), leadership.SessionLock()
        try:
            assert [first.is_ours(), second.is_ours(), first.is_ours()] == [True, False, True]
            assert first.ask("SELECT pg_backend_pid()") != 0
            with connection.cursor() as cursor:
                pid = first.ask("SELECT pg_backend_pid()")
                cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
            assert [first.is_ours(), first.is_ours(), second.is_ours()] == [False, True, False]
            first.resign()
            assert second.is_ours()
        finally:
            first.resign()
            second.resign()

    @owns_rows
    @pytest.mark.processes
    def test_the_standby_takes_over_within_three_seconds_of_a_kill(self, shop, tmp_path):
        env = environment(shop.url)
        clocks = [Process("clock", env, tmp_path / f"{name}.log") for name in ("one", "two")]

        def says(process: Process, word: str) -> bool:
            return f"This clock {word} now" in process.log.read_text()

        try:
            leader, standby = clocks
            leader.start()
            eventually(lambda: says(leader, "leads"), within=60, what="the lead of the first")
            standby.start()
            eventually(lambda: says(standby, "stands by"), within=60, what="standing by")
            leader.kill()
            eventually(lambda: says(standby, "leads"), within=3, what="taking over")
        finally:
            for process in clocks:
                process.stop()


class TestAClockThatStandsBy:
    def test_says_each_hindrance_once_and_when_it_is_over_again(self, monkeypatch, caplog):
        understudy = Understudy()
        for problem in ("No key.", "No key.", "Another.", "", "Another."):
            monkeypatch.setattr(sealer, "hindrance", lambda problem=problem: problem)
            understudy.next = 0.0
            understudy.run()
            understudy.run()
        said = [line.getMessage() for line in caplog.records if line.levelname == "WARNING"]
        could_not = "If this clock had to lead, it could not seal: {}"
        assert said == [could_not.format(one) for one in ("No key.", "Another.", "Another.")]

    @owns_rows
    @on_postgresql
    @pytest.mark.processes
    def test_warns_at_start_where_the_sealing_key_was_not_copied(self, shop, tmp_path):
        folders = [tmp_path / name for name in ("one", "two")]
        clocks = []
        for folder in folders:
            env = environment(shop.url, COUNTERSIGN_DATA=str(folder), DEMO="0")
            clocks.append(Process("clock", env, tmp_path / f"{folder.name}.log"))
        leader, standby = clocks
        try:
            with transaction.atomic():
                entries.record("policy", kind="policy.changed", actor="user:1")
            leader.start()
            eventually((folders[0] / "sealing_key").exists, within=60, what="the first seal")
            eventually(Checkpoint.objects.exists, within=20, what="the first checkpoint")
            standby.start()
            eventually(
                lambda: "could not seal" in standby.log.read_text(), within=60, what="the warning"
            )
            assert not (folders[1] / "sealing_key").exists()
        finally:
            for process in clocks:
                process.stop()
        assert leader.log.read_text().count("could not seal") == 0
        assert standby.log.read_text().count("could not seal") == 1
