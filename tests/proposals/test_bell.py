"""Bells that nobody answers: what is due is found without them, so only the newest are kept."""

import uuid
from unittest import mock

import pytest
import redis
from celery import Celery
from django.conf import settings as configured

from proposals import bell
from proposals.management.commands.clock import Pruning
from proposals.outage import Outage
from tests.installations import REDIS, redis_answers

on_redis = pytest.mark.skipif(not redis_answers(), reason="No Redis answers on port 6379.")


@pytest.fixture(autouse=True)
def outage(monkeypatch):
    """What this process knows of Redis, forgotten afterwards."""
    known = Outage()
    monkeypatch.setattr(bell, "of_redis", known)
    return known


@pytest.fixture
def prefix(settings):
    """Settings of an installation on that Redis; what it keeps there is removed afterwards."""
    found = f"countersign:test-{uuid.uuid4().hex[:8]}:"
    settings.REDIS_URL = REDIS
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {"global_keyprefix": found}
    yield found
    client = redis.Redis.from_url(REDIS)
    for key in client.scan_iter(match=f"{found}*") if redis_answers() else ():
        client.delete(key)


def ring(prefix: str, numbers: range) -> None:
    app = Celery(broker=REDIS, set_as_current=False)
    app.conf.broker_transport_options = {"global_keyprefix": prefix}
    app.conf.task_default_queue = configured.CELERY_TASK_DEFAULT_QUEUE
    with app.connection_for_write() as connection:
        for number in numbers:
            app.send_task("proposals.check", kwargs={"row_id": number}, connection=connection)


def waiting(prefix: str) -> list[bytes]:
    """The bells that wait, the newest first."""
    key = f"{prefix}{configured.CELERY_TASK_DEFAULT_QUEUE}"
    return redis.Redis.from_url(REDIS).lrange(key, 0, -1)


@on_redis
def test_the_newest_are_kept_where_celery_has_them(prefix, monkeypatch):
    monkeypatch.setattr(bell, "MOST_BELLS", 3)
    ring(prefix, range(5))
    before = waiting(prefix)
    Pruning().run()
    assert len(before) == 5
    assert waiting(prefix) == before[:3]


@on_redis
def test_few_are_left_alone(prefix):
    ring(prefix, range(5))
    bell.forget_oldest()
    assert len(waiting(prefix)) == 5


def test_once_a_minute_is_enough(prefix):
    pruning = Pruning()
    with mock.patch.object(redis.Redis, "ltrim") as trim:
        for _ in range(3):
            pruning.run()
    trim.assert_called_once_with(
        f"{prefix}{configured.CELERY_TASK_DEFAULT_QUEUE}", 0, bell.MOST_BELLS - 1
    )


@pytest.mark.parametrize("failure", [redis.ConnectionError, redis.TimeoutError, OSError])
def test_a_redis_that_is_down_is_no_error_and_is_spared(prefix, outage, failure):
    with mock.patch.object(redis.Redis, "ltrim", side_effect=failure("gone")) as trim:
        bell.forget_oldest()
        bell.forget_oldest()
    assert trim.call_count == 1
    assert outage.spares()


def test_without_redis_there_is_nothing_to_forget(settings, tmp_path):
    settings.REDIS_URL, settings.BROKER_DIR = "", tmp_path
    for name in ("processed", "queue"):
        (tmp_path / name).mkdir()
    with mock.patch.object(redis.Redis, "ltrim") as trim:
        Pruning().run()
    assert not trim.called
