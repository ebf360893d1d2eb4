"""`make run` on the embedded default: started, used, stopped and started again, as people do."""

import json
import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from django.conf import settings

from proposals.demonstration import ports
from proposals.management import supervisor
from proposals.management.commands import clock
from proposals.management.supervisor import CannotStart, Supervisor, lock_folder, require_port
from tests.installations import STOP_SECONDS, Installation, free_port
from tests.processes import eventually

on_sqlite = pytest.mark.skipif(
    bool(os.environ.get("TEST_DATABASE_URL")), reason="Part of the run on SQLite, the default."
)
PEOPLE = "SELECT count(*) FROM auth_user"
# What a start makes or could make twice; not the clock's own notes.
COUNTED = {
    "countersign.sqlite3": (
        "auth_user",
        "budgets_budget",
        "proposals_agent",
        "proposals_agenttoken",
        "proposals_check",
        "proposals_execution",
        "proposals_grant",
        "proposals_proposal",
        "proposals_rule",
    ),
    "shop.sqlite3": ("customers", "orders", "prices", "drafts"),
    "demonstration-payments.sqlite3": ("charges", "refunds"),
}


def ask(path: Path, question: str) -> int:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return connection.execute(question).fetchone()[0]
    finally:
        connection.close()


def counts(folder: Path) -> dict[str, int]:
    return {
        table: ask(folder / file, f"SELECT count(*) FROM {table}")
        for file, tables in COUNTED.items()
        for table in tables
    }


def rests(folder: Path) -> bool:
    """Whether the machine has nothing left to do."""
    question = "SELECT count(*) FROM proposals_proposal WHERE status IN ('submitted', 'approved')"
    return ask(folder / "countersign.sqlite3", question) == 0


def is_alive(installation: Installation) -> bool:
    address = f"http://127.0.0.1:{installation.port}/healthz"
    with urllib.request.urlopen(address, timeout=10) as answer:
        return answer.status == 200


def outside(installation: Installation) -> ports.Ports:
    """Where the demonstration's own systems say that they are."""
    kept = ports.read(installation.folder)
    assert kept is not None
    return kept


def shows(url: str, text: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return text in answer.read().decode()
    except OSError:
        return False


def give_back(installation: Installation, charge: str) -> None:
    """One cent, from the provider itself, as Countersign would ask for it."""
    secret = (installation.folder / "demonstration-provider-key").read_text().strip()
    request = urllib.request.Request(
        f"{outside(installation).provider_url}/v1/refunds",
        data=f"charge={charge}&amount=1".encode(),
        headers={"Authorization": f"Bearer {secret}", "Idempotency-Key": f"cent-of-{charge}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    made = Installation(tmp_path_factory.mktemp("installation") / "data")
    try:
        yield made.start()
    finally:
        made.put_down()


@on_sqlite
@pytest.mark.processes
class TestAStartedInstallation:
    def test_the_printed_line_commits_within_a_second_when_pasted(self, installation):
        words = installation.words
        line = words[words.index("curl -sS") : words.index("Ctrl-C")]
        took = []
        for more in ("", " Twice.", " Thrice."):  # the quickest counts: the machine may be busy
            pasted = line.replace("please.", f"please.{more}").replace(
                "hello-$", f"hello-{len(took)}-$"
            )
            began = time.monotonic()
            done = subprocess.run(["bash", "-c", pasted], capture_output=True, check=True)
            took.append(time.monotonic() - began)
            assert json.loads(done.stdout)["status"] == "committed"
            if took[-1] < 1:
                break
        assert min(took) < 1

    def test_a_second_start_on_its_folder_is_refused_with_a_sentence(self, installation):
        done = installation.manage("start", PORT=str(free_port()))
        assert done.returncode == 1
        assert f"already running on {installation.folder} (process" in done.stderr
        assert "Traceback" not in done.stderr

    def test_another_start_on_its_port_is_refused_with_a_sentence(self, installation, tmp_path):
        other = Installation(tmp_path / "other", PORT=str(installation.port))
        done = other.manage("start")
        assert done.returncode == 1
        assert f"Port {installation.port} cannot be used: Address already in use." in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_clean_one_beside_it_disturbs_nothing_and_leaves_no_orphan(
        self, installation, tmp_path
    ):
        eventually(lambda: rests(installation.folder), within=60, what="rest")
        before = counts(installation.folder)
        clean = Installation(tmp_path / "clean", DEMO="0")
        try:
            clean.start()
            assert "first_administrator NAME" in clean.words
            code = re.search(r"one-time code: (\S+)", clean.words)[1]
            kept = clean.folder / "setup-code"
            assert stat.S_IMODE(kept.stat().st_mode) == 0o600
            assert code not in kept.read_text()
            assert ask(clean.folder / "countersign.sqlite3", PEOPLE) == 0
            assert not (clean.folder / "shop.sqlite3").exists()
            password = "a long enough password"
            done = clean.manage("first_administrator", "anna", COUNTERSIGN_ADMIN_PASSWORD=password)
            assert done.returncode == 0, done.stderr
            assert not kept.exists()
            assert ask(clean.folder / "countersign.sqlite3", PEOPLE) == 1
            assert is_alive(clean)
            assert is_alive(installation)
            os.kill(clean.process.pid, signal.SIGKILL)
            clean.process.wait()
            eventually(lambda: not clean.processes(), within=STOP_SECONDS, what="no orphan")
        finally:
            clean.put_down()
        assert counts(installation.folder) == before

    def test_outside_systems_of_its_own_answer_take_mail_and_are_revived(self, installation):
        where = outside(installation)
        assert f"payment provider  {where.provider_url}/" in installation.words
        assert f"mail              {where.mailbox_url}/" in installation.words
        assert shows(f"{where.provider_url}/?order=1", "ch_000001")
        done = installation.manage("send_test_mail", "rita@shop.example")
        assert done.returncode == 0, done.stderr
        assert shows(where.mailbox_url, "rita@shop.example")
        [pid] = installation.processes("proposals.demonstration.provider")
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: shows(where.provider_url, "Payment provider"), what="the provider")
        assert "The provider ended" in installation.words

    def test_ctrl_c_stops_everything_and_the_next_start_makes_nothing_twice(self, installation):
        eventually(lambda: rests(installation.folder), within=60, what="rest")
        sign_ins = installation.folder / "demonstration-sign-ins.txt"
        give_back(installation, "ch_000001")
        before, people = counts(installation.folder), sign_ins.read_text()
        was = outside(installation)
        assert before["proposals_proposal"] >= 10
        assert installation.interrupt() == 0
        assert installation.processes() == []
        assert "Stopped. Nothing is lost" in installation.words
        # Somebody else took the mail server's port meanwhile.
        with socket.create_server(("127.0.0.1", was.smtp)):
            installation.start()
        eventually(lambda: rests(installation.folder), within=60, what="rest")
        assert "proposed 0 writes" in installation.words
        assert outside(installation).smtp != was.smtp
        assert shows(outside(installation).mailbox_url, "rita@shop.example")
        assert counts(installation.folder) == before
        assert sign_ins.read_text() == people
        assert installation.interrupt() == 0


class TestWhatAStartLooksAtFirst:
    def test_a_folder_has_one_holder_at_a_time(self, tmp_path):
        with lock_folder(tmp_path), pytest.raises(CannotStart, match=f"process {os.getpid()}"):
            lock_folder(tmp_path)
        lock_folder(tmp_path).close()

    def test_a_port_that_somebody_listens_on_is_refused(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            with pytest.raises(CannotStart, match="Address already in use"):
                require_port("127.0.0.1", listener.getsockname()[1])
        require_port("127.0.0.1", free_port())

    def test_a_port_that_cannot_exist_is_refused(self):
        with pytest.raises(CannotStart, match="no such port"):
            require_port("127.0.0.1", 70_000)


class TestAStop:
    def test_ends_what_others_write_to_after_them(self, tmp_path):
        said = tmp_path / "said"
        script = (
            "import signal, sys, time\n"
            "def end(*received):\n"
            "    time.sleep(float(sys.argv[2]))\n"
            f"    open({str(said)!r}, 'a').write(sys.argv[1] + ' ')\n"
            "    sys.exit()\n"
            "signal.signal(signal.SIGTERM, end)\n"
            "print('ready', flush=True)\n"
            "signal.pause()\n"
        )
        keeper = Supervisor(tmp_path / "logs", say=print, outlasting=frozenset({"provider"}))
        keeper.start(
            {
                "provider": [sys.executable, "-c", script, "provider", "0"],
                "worker": [sys.executable, "-c", script, "worker", "0.2"],
            }
        )
        for name in keeper.lines:
            eventually(lambda name=name: "ready" in keeper.log(name).read_text(), what=name)
        keeper.stop()
        assert said.read_text() == "worker provider "


class TestWhatIsToBeTyped:
    """docs/operations.md, Several machines: what an operator types is what `make run` starts."""

    @pytest.mark.parametrize("name", ["web", "worker", "clock"])
    def test_the_lines_of_the_documentation_are_those_of_the_supervisor(self, name):
        ours = supervisor.commands(8000, has_redis=True)[name]
        text = (settings.BASE_DIR / "docs" / "operations.md").read_text().replace("\\\n", " ")
        if name == "worker":  # on a machine of its own it needs no name of its own
            at = ours.index("--hostname")
            del ours[at : at + 2]
        assert ".venv/bin/python " + " ".join(ours[1:]) in map(spaced, text.splitlines())


def spaced(line: str) -> str:
    return " ".join(line.split())


class TestWhatWouldGrow:
    def test_a_log_keeps_one_full_predecessor(self, tmp_path, monkeypatch):
        monkeypatch.setattr(supervisor, "LOG_BYTES", 10)
        keeper = Supervisor(tmp_path, say=print, lines={"web": [], "clock": []})
        with (tmp_path / "web.log").open("a") as log:
            log.write("a full log\n")
            log.flush()
            keeper.trim_logs()
            log.write("new")
        (tmp_path / "clock.log").write_text("short")
        keeper.trim_logs()
        assert (tmp_path / "web.log").read_text() == "new"
        assert (tmp_path / "web.log.1").read_text() == "a full log\n"
        assert not (tmp_path / "clock.log.1").exists()

    def test_old_messages_of_the_embedded_broker_are_removed(self, tmp_path):
        (tmp_path / "message").write_text("{}")
        clock.prune(tmp_path, seconds=60)
        assert (tmp_path / "message").exists()
        clock.prune(tmp_path, seconds=-1)
        assert not (tmp_path / "message").exists()

    def test_the_clock_prunes_what_workers_have_heard(self, tmp_path, settings, monkeypatch):
        settings.BROKER_DIR = tmp_path
        for name in ("processed", "queue"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "message").write_text("{}")
        monkeypatch.setattr(clock, "HEARD_BELLS_SECONDS", -1)
        clock.Pruning().run()
        assert not (tmp_path / "processed" / "message").exists()
        assert (tmp_path / "queue" / "message").exists()
