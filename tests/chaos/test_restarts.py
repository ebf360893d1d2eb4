"""Real processes, killed and restarted under load, and a Redis that goes away.

Short forms; `make chaos` runs the long ones, and docs/reliability.md says what they found.
"""

import random
import shutil

import pytest
from django.db import connection

from bench.chaos.restarts import RESUME_SECONDS, dealt
from bench.chaos.silence import MOVING_SECONDS
from tests.chaos.harness import play

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]
VICTIMS = {"sqlite": {"web", "worker", "clock"}}
VICTIMS["postgresql"] = {*VICTIMS["sqlite"], "redis", "database, fast", "database, immediate"}
RESUMED = ("acceptance", "commit")


def test_nothing_that_was_accepted_is_lost_to_kills_and_restarts(shop):
    # A PostgreSQL of its own, for that of the tests is not to be stopped.
    database = "here" if connection.vendor == "sqlite" else "postgresql"
    short = ["--cycles", "240", "--seconds", "20", "--database", database]
    found = play("restarts", shop.url, *short)
    assert found["faults"] == []
    assert found["lost"] == found["double_effects"] == 0
    assert found["committed"] == found["accepted"] > 0
    assert set(found["done_to_it"]) >= VICTIMS[connection.vendor]
    if connection.vendor == "postgresql":
        for what in RESUMED:
            took = found["longest_seconds"][f"from the database's return to the next {what}"]
            assert took <= RESUME_SECONDS


def test_a_deck_deals_each_victim_once_before_any_comes_again():
    victims = sorted(VICTIMS["postgresql"])
    dealing = dealt(victims, random.Random(7))
    decks = [[next(dealing) for _ in victims] for _ in range(20)]
    assert all(sorted(deck) == victims for deck in decks)
    assert len({tuple(deck) for deck in decks}) > 1


@pytest.mark.skipif(not shutil.which("redis-server"), reason="no Redis server is installed")
def test_without_redis_everything_moves_on_within_seconds(shop):
    found = play("silence", shop.url, "--cycles", "80", "--seconds", "10")
    assert found["faults"] == []
    assert found["committed"] == found["accepted"] > 0
    longest = found["longest_seconds"]["to commit, proposed while Redis was away"]
    assert 0 < longest <= MOVING_SECONDS
