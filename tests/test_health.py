"""What a load balancer is told."""

import json
from datetime import timedelta
from unittest import mock

import pytest
import redis
from django.core.management import call_command
from django.db import OperationalError, connection, transaction

from ledger import clock, entries, heartbeat, sealer
from ledger.models import Heartbeat, LedgerEntry

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    settings.REDIS_URL = ""


def ask(client):
    response = client.get("/readyz")
    said = json.loads(response.content)
    assert set(said) == {"status", "checks"}
    assert (said["status"] == "ready") == (response.status_code == 200)
    assert response.status_code in (200, 503)
    return response.status_code, said["checks"]


def test_ready_once_the_clock_has_run(client):
    assert ask(client) == (
        503,
        {"database": "ok", "broker": "not configured", "clock": "failed", "sealer": "ok"},
    )
    call_command("clock", "--once")
    assert ask(client)[0] == 200


def test_a_clock_that_stopped_is_not_ready(client, settings):
    heartbeat.beat("clock")
    assert ask(client)[0] == 200
    Heartbeat.objects.update(at=clock.now() - timedelta(seconds=settings.CLOCK_LIMIT_SECONDS + 1))
    assert ask(client) == (503, mock.ANY)
    assert ask(client)[1]["clock"] == "failed"


def test_a_web_machine_is_ready_while_the_clock_and_the_sealer_are_not(client):
    with transaction.atomic():
        old = clock.now() - timedelta(hours=1)
        entries.record("auth", kind="a.b", actor="user:1", at=old)
    assert ask(client)[0] == 503
    answer = client.get("/readyz?only=web")
    assert answer.status_code == 200
    assert answer.json()["checks"] == {"database": "ok", "broker": "not configured"}
    for other in ("/readyz?only=", "/readyz?only=clock", "/readyz?web"):
        assert set(client.get(other).json()["checks"]) == {"database", "broker", "clock", "sealer"}


def test_a_web_machine_without_its_database_is_not_ready(client):
    def down(*args):
        raise OperationalError("refused")

    with connection.execute_wrapper(down):
        answer = client.get("/readyz?only=web")
    assert (answer.status_code, answer.json()["checks"]["database"]) == (503, "failed")


def test_a_beat_from_the_future_is_no_beat(client):
    Heartbeat.objects.create(name="clock", at=clock.now() + timedelta(hours=1))
    assert ask(client)[1]["clock"] == "failed"
    heartbeat.beat("other")
    assert ask(client)[1]["clock"] == "failed"


def test_beats_are_written_at_most_every_few_seconds():
    heartbeat.beat("clock")
    before = Heartbeat.objects.get().at
    heartbeat.beat("clock")
    assert Heartbeat.objects.get().at == before
    Heartbeat.objects.update(at=before - heartbeat.EVERY)
    heartbeat.beat("clock")
    assert Heartbeat.objects.get().at >= before


def test_a_sealer_that_is_behind_is_not_ready(client):
    heartbeat.beat("clock")
    with transaction.atomic():
        entries.record("policy", kind="a.b", actor="user:1")
        assert ask(client)[1]["sealer"] == "ok"
        old = clock.now() - timedelta(seconds=61)
        entries.record("auth", kind="a.b", actor="user:1", at=old)
    sealer.seal(limit=1)
    assert ask(client) == (503, mock.ANY)
    assert ask(client)[1]["sealer"] == "failed"
    sealer.seal()
    assert ask(client)[0] == 200
    assert LedgerEntry.objects.count() == 3


def test_redis_that_is_down_is_degraded_and_still_ready(client, settings):
    heartbeat.beat("clock")
    settings.REDIS_URL = "redis://:secret-password@127.0.0.1:1/0"
    status, checks = ask(client)
    assert (status, checks["broker"]) == (200, "degraded")
    assert "secret" not in client.get("/readyz").content.decode()


def test_redis_that_answers_is_ok(client, settings):
    heartbeat.beat("clock")
    settings.REDIS_URL = "redis://127.0.0.1:6379/0"
    with mock.patch.object(redis.Redis, "ping", return_value=True) as ping:
        assert ask(client)[1]["broker"] == "ok"
    ping.assert_called_once()


def test_a_database_that_is_down_is_not_ready_and_not_explained(client):
    heartbeat.beat("clock")

    def down(*args):
        raise OperationalError("password=secret refused")

    with connection.execute_wrapper(down):
        status, checks = ask(client)
    assert status == 503
    assert checks == {
        "database": "failed",
        "broker": "not configured",
        "clock": "failed",
        "sealer": "failed",
    }


def test_alive_asks_nobody(client):
    with connection.execute_wrapper(lambda *args: pytest.fail("asked the database")):
        response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "alive"})


class TestProbesByAddress:
    """Kubernetes, load balancers and Prometheus ask machines, which know no name of the site."""

    HOSTS = ("10.0.0.7:8000", "[fd00::5]:8000", "10.0.0.7", "elsewhere.example", "not a host", "")

    @pytest.mark.parametrize("host", HOSTS)
    @pytest.mark.parametrize("ask", ["get", "head"])
    def test_whatever_the_host_is_called_they_are_answered(self, client, host, ask):
        heartbeat.beat("clock")
        for path in ("/healthz", "/readyz"):
            answer = getattr(client, ask)(path, HTTP_HOST=host)
            assert answer.status_code == 200
            assert answer["X-Content-Type-Options"] == "nosniff"
            assert host == "" or host not in answer.content.decode()

    @pytest.mark.parametrize("host", HOSTS[:-1])
    @pytest.mark.parametrize(
        "path", ["/", "/healthz/", "/readyz/", "//healthz", "/healthz/x", "/metrics/", "/sign-in/"]
    )
    def test_every_other_address_wants_a_listed_host(self, client, path, host):
        assert client.get(path, HTTP_HOST=host).status_code == 400

    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
    @pytest.mark.parametrize("ask", ["post", "put", "delete", "options"])
    def test_so_does_whoever_does_more_than_look(self, client, path, ask):
        assert getattr(client, ask)(path, HTTP_HOST="10.0.0.7").status_code == 400
