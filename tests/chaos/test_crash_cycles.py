"""Workers killed at every named point, singly and in pairs: at most one effect, nothing stuck.

`make chaos` runs the long form; docs/reliability.md says what it found.
"""

import pytest
from django.db import connection

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
