"""Workers killed at every named point, singly and in pairs: at most one effect, nothing stuck.

`make chaos` runs the long form; docs/reliability.md says what it found.
"""

import pytest
from django.db import connection

from bench.chaos.pairs import NEVER, PAIRS
from proposals.crashpoints import POINTS
from tests.chaos.harness import play

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]
# Two thousand in all; a cycle on PostgreSQL takes twice as long. A draw counts once, and again
# where its commit is undone under crashes of its own.
CYCLES = {"sqlite": 1600, "postgresql": 400}
SECONDS = 2700  # patience for a busy machine, not a promise


def test_no_crash_leaves_a_second_effect_or_a_stuck_proposal(shop):
    cycles = CYCLES[connection.vendor]
    drawn = str(cycles * 4 // 5)
    found = play("crashes", shop.url, "--cycles", drawn, "--seconds", str(SECONDS))
    assert found["faults"] == []
    assert found["double_effects"] == 0
    assert found["cycles"] >= cycles
    assert found["committed"] > 0
    assert found["kills"] >= found["drawn"]
    assert set(found["killed_at"]) >= set(POINTS)
    assert found["refused"] > 0, "no cap was ever full"
    assert found["waited"] > 0, "nothing ever waited for a slot"


def test_no_pair_of_crashes_does_either_and_each_that_can_happen_does(shop):
    found = play("pairs", shop.url)
    assert found["faults"] == []
    assert found["double_effects"] == 0
    assert found["pairs"] == found["drawn"] == len(PAIRS)
    assert found["kills"] >= 2 * len(PAIRS)


def test_pairs_are_of_every_point_at_which_a_worker_can_die():
    worker = set(POINTS) - {"submit.stored"}
    assert {first for first, _ in PAIRS} == {second for _, second in PAIRS} == worker
    assert len(PAIRS) + len(NEVER) == len(worker) ** 2
