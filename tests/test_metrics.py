"""What Prometheus is told, and who else is not."""

import re
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from budgets.models import Budget, Refusal
from ledger import clock, heartbeat, sealer
from ledger.models import Broken, Checkpoint, Heartbeat, LedgerEntry
from proposals import execution, services
from proposals.models import Execution, Letter, Proposal, Webhook
from tests.factories import (
    approve,
    client_for,
    make_agent,
    make_checked,
    make_person,
    make_proposal,
    painting,
    suspend,
    work,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]
TOKEN = "a-token-of-the-one-who-scrapes"
SAMPLE = re.compile(r'countersign_([a-z_]+)(?:\{[a-z]+="([a-z_]+)"\})? (\d+(?:\.\d+)?)')


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.DATA_DIR = tmp_path


def told(client):
    """Every sample by its name and label, each of a family that was introduced before it."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    text = answer.content.decode()
    assert text.endswith("\n")
    found, family = {}, ""
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            family, kind = line.removeprefix("# TYPE countersign_").split(" ")
            assert kind == "gauge"
        elif not line.startswith("# HELP "):
            name, label, value = SAMPLE.fullmatch(line).groups()
            assert name == family
            found[f"{name} {label}" if label else name] = float(value)
    return found


def test_nothing_yet_is_nought(client):
    numbers = told(client)
    assert numbers["proposals_open pending"] == numbers["oldest_pending_age_seconds"] == 0
    assert numbers["unknown_outcomes"] == numbers["executions queued"] == 0
    assert "clock_beat_age_seconds" not in numbers
    assert "ledger_checkpoint_age_seconds" not in numbers


def test_proposals_are_counted_by_status_and_the_oldest_pending_has_an_age(client):
    first = make_checked(params=painting(tier="medium"))
    make_checked(params=painting("red", tier="medium"))
    make_proposal(params=painting("green"))
    Proposal.objects.filter(pk=first.pk).update(created_at=clock.now() - timedelta(hours=2))
    numbers = told(client)
    assert numbers["proposals_open pending"] == 2
    assert numbers["proposals_open submitted"] == 1
    assert numbers["oldest_pending_age_seconds"] == pytest.approx(7200, abs=60)
    assert "proposals_open committed" not in numbers


def test_executions_are_counted_by_status(client):
    pending = [make_checked(params=painting(tier="medium", toy=toy)) for toy in ("bear", "duck")]
    for proposal in pending:
        approve(proposal)
    assert told(client)["executions queued"] == 2
    execution.take(Execution.objects.first().pk)
    numbers = told(client)
    assert (numbers["executions queued"], numbers["executions claimed"]) == (1, 1)


def test_unknown_outcomes_are_counted_and_the_oldest_has_an_age(client):
    proposal = make_checked(params=painting(tier="medium"))
    approve(proposal)
    since = clock.now() - timedelta(minutes=30)
    Execution.objects.update(status="unknown", unclear_at=since)
    numbers = told(client)
    assert numbers["unknown_outcomes"] == 1
    assert numbers["oldest_unknown_age_seconds"] == pytest.approx(1800, abs=60)


class TestWhatWorkersLeave:
    """With no worker and no clock nothing else tells that nothing goes on."""

    def test_the_oldest_proposal_that_wants_a_check_has_an_age(self, client):
        first, _ = make_proposal(), make_proposal(params=painting("red"))
        assert told(client)["oldest_unchecked_age_seconds"] < 60
        since = clock.now() - timedelta(minutes=3)
        Proposal.objects.filter(pk=first.pk).update(due_at=since)
        assert told(client)["oldest_unchecked_age_seconds"] == pytest.approx(180, abs=60)
        suspend(make_agent())
        assert told(client)["oldest_unchecked_age_seconds"] == 0, "it is held"

    def test_the_oldest_attempt_that_is_due_has_an_age(self, client):
        pending = [make_checked(params=painting(tier="medium", toy=t)) for t in ("bear", "duck")]
        for proposal in pending:
            approve(proposal)
        assert told(client)["oldest_due_execution_age_seconds"] < 60
        first = Execution.objects.earliest("created_at")
        now = clock.now()
        Execution.objects.update(run_after=now + timedelta(minutes=1))
        assert told(client)["oldest_due_execution_age_seconds"] == 0, "it is held"
        Execution.objects.filter(pk=first.pk).update(run_after=now - timedelta(minutes=5))
        assert told(client)["oldest_due_execution_age_seconds"] == pytest.approx(300, abs=60)
        execution.take(first.pk)
        assert told(client)["oldest_due_execution_age_seconds"] == 0, "a worker has it"
        Execution.objects.filter(pk=first.pk).update(lease_until=now - timedelta(minutes=2))
        assert told(client)["oldest_due_execution_age_seconds"] == pytest.approx(120, abs=60)

    def test_altered_entries_of_the_ledger_are_counted(self, client):
        assert told(client)["ledger_entries_altered"] == 0
        Broken.objects.create(entry_id=7, why="it is gone", found_at=clock.now())
        assert told(client)["ledger_entries_altered"] == 1

    def test_letters_that_were_given_up_today_are_counted_by_whom_they_were_for(self, client):
        webhook = Webhook.objects.create(name="Channel", url="https://chat.example/", is_chat=True)
        now = clock.now()
        for number, (recipient, state, ago) in enumerate(
            (
                ({"person": make_person()}, "given_up", 1),
                ({"person": make_person()}, "given_up", 25),
                ({"person": make_person()}, "sent", 1),
                ({"webhook": webhook}, "given_up", 1),
                ({"webhook": webhook}, "given_up", 2),
            )
        ):
            at = now - timedelta(hours=ago)
            Letter.objects.create(
                name=str(number), state=state, settled_at=at, next_at=at, created_at=at, **recipient
            )
        numbers = told(client)
        assert numbers["letters_given_up people"] == 1
        assert numbers["letters_given_up webhooks"] == 2

    def test_webhooks_that_were_given_up_are_counted(self, client):
        for name, is_active, reason in (
            ("on", True, ""),
            ("switched off by a person", False, ""),
            ("given up", False, "20 failures in a row."),
        ):
            Webhook.objects.create(
                name=name, url="https://chat.example/", is_active=is_active, off_reason=reason
            )
        assert told(client)["webhooks_given_up"] == 1


def test_refusals_are_summed(client):
    budget = Budget(name="None", unit="proposals", limit=0, window_seconds=60)
    services.save_budget(budget=budget, person=None, is_new=True)
    for name in ("first-bot", "second-bot"):
        assert client_for(make_agent(name)).propose().status_code == 429
    assert told(client)["refusals_not_yet_summed"] == 2
    Refusal.objects.update(is_summed=True)
    assert told(client)["refusals_not_yet_summed"] == 0


def test_unsealed_entries_are_counted_and_the_last_checkpoint_has_an_age(client):
    make_proposal()
    assert told(client)["ledger_entries_unsealed"] == LedgerEntry.objects.count()
    sealer.seal()
    numbers = told(client)
    assert numbers["ledger_entries_unsealed"] == 0
    assert 0 <= numbers["ledger_checkpoint_age_seconds"] < 60
    assert Checkpoint.objects.exists()


def test_the_clock_has_an_age(client):
    heartbeat.beat("clock")
    Heartbeat.objects.update(at=clock.now() - timedelta(seconds=90))
    heartbeat.beat("other")
    assert told(client)["clock_beat_age_seconds"] == pytest.approx(90, abs=10)


def test_more_rows_are_not_more_statements(client):
    def statements():
        with CaptureQueriesContext(
            connection,
        ) as asked:
            told(client)
        return len(asked)

    none = statements()
    for colour in ("red", "green", "blue"):
        make_checked(params=painting(colour, tier="medium"))
    work()
    assert statements() == none < 17


class TestWhoMayAsk:
    @pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1"])
    def test_this_machine(self, client, address):
        assert client.get("/metrics", REMOTE_ADDR=address).status_code == 200

    @pytest.mark.parametrize("address", ["10.0.0.7", "203.0.113.9", "::2", "", "localhost"])
    def test_no_other_one(self, client, address):
        assert client.get("/metrics", REMOTE_ADDR=address).status_code == 404

    @pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded"])
    @pytest.mark.parametrize("value", ["127.0.0.1", "203.0.113.9", ""])
    def test_not_through_a_proxy_on_this_machine(self, client, header, value):
        assert client.get("/metrics", headers={header: value}).status_code == 404

    def test_who_has_the_token_from_anywhere(self, client, settings):
        settings.METRICS_TOKEN = TOKEN
        outside = {"REMOTE_ADDR": "203.0.113.9"}
        for said, status in (
            (f"Bearer {TOKEN}", 200),
            (f"Bearer {TOKEN}x", 404),
            (f"Bearer {TOKEN[:-1]}", 404),
            (f"Basic {TOKEN}", 404),
            ("Bearer é", 404),
            ("Bearer ", 404),
            ("", 404),
        ):
            answer = client.get("/metrics", headers={"Authorization": said}, **outside)
            assert answer.status_code == status, said
        forwarded = {"Authorization": f"Bearer {TOKEN}", "X-Forwarded-For": "203.0.113.9"}
        assert client.get("/metrics", headers=forwarded).status_code == 200

    @pytest.mark.parametrize("said", ["Bearer ", "Bearer", ""])
    def test_nobody_with_no_token_where_none_is_set(self, client, settings, said):
        settings.METRICS_TOKEN = ""
        answer = client.get("/metrics", headers={"Authorization": said}, REMOTE_ADDR="203.0.113.9")
        assert answer.status_code == 404

    @pytest.mark.parametrize("host", ["10.0.0.7:8000", "[fd00::5]:8000", "elsewhere.example", ""])
    def test_who_has_the_token_by_whatever_name_it_calls_this_machine(self, client, settings, host):
        settings.METRICS_TOKEN = TOKEN
        outside = {"REMOTE_ADDR": "203.0.113.9", "HTTP_HOST": host}
        known = {"Authorization": f"Bearer {TOKEN}"}
        assert client.get("/metrics", headers=known, **outside).status_code == 200
        guessed = {"Authorization": "Bearer x"}
        assert client.get("/metrics", headers=guessed, **outside).status_code in (400, 404)

    @pytest.mark.parametrize("host", ["127.0.0.1:8000", "10.0.0.7:8000", "[::1]:8000", ""])
    def test_this_machine_by_address(self, client, settings, host):
        settings.ALLOWED_HOSTS = ["countersign.example"]
        assert client.get("/metrics", HTTP_HOST=host).status_code == 200

    @pytest.mark.parametrize("host", ["elsewhere.example", "elsewhere.example:8000", "not a host"])
    def test_no_page_in_a_browser_on_this_machine_by_a_name_that_was_made_to_lead_here(
        self, client, host
    ):
        assert client.get("/metrics", HTTP_HOST=host).status_code == 400

    def test_it_only_reads(self, client):
        assert client.post("/metrics").status_code == 405


def test_a_database_that_does_not_answer_is_said(client, monkeypatch):
    def gone():
        raise OperationalError("gone")

    monkeypatch.setattr("approvals_site.metrics.clock.now", gone)
    assert client.get("/metrics").status_code == 503
