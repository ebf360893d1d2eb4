"""Real processes, killed and restarted under load, and a Redis that goes away.

Short forms; `make chaos` runs the long ones, and docs/reliability.md says what they found.
"""

import shutil

import pytest
from django.db import connection

from tests.chaos.harness import play

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]
WITHOUT_REDIS_SECONDS = 15


def test_nothing_that_was_accepted_is_lost_to_kills_and_restarts(shop):
    # A PostgreSQL of its own, for that of the tests is not to be stopped.
    database = "here" if connection.vendor == "sqlite" else "postgresql"
    found = play("restarts", shop.url, "--cycles", "90", "--seconds", "15", "--database", database)
    assert found["faults"] == []
    assert found["lost"] == found["double_effects"] == 0
    assert found["committed"] == found["accepted"] > 0
    assert found["done_to_it"]


@pytest.mark.skipif(not shutil.which("redis-server"), reason="no Redis server is installed")
def test_without_redis_everything_moves_on_within_seconds(shop):
    found = play("silence", shop.url, "--cycles", "80", "--seconds", "10")
    assert found["faults"] == []
    assert found["committed"] == found["accepted"] > 0
    longest = found["longest_seconds"]["to commit, proposed while Redis was away"]
    assert 0 < longest <= WITHOUT_REDIS_SECONDS
