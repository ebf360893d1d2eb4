"""Workers killed at every named point, singly and in pairs: at most one effect, nothing stuck.

`make chaos` runs the long form; docs/reliability.md says what it found.
"""

import pytest

from proposals.crashpoints import POINTS
from tests.chaos.harness import play

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]
# A draw counts once, and again where its commit is undone under crashes of its own.
DRAWN, CYCLES, SECONDS = 780, 1000, 500


def test_no_crash_leaves_a_second_effect_or_a_stuck_proposal(shop):
    found = play("crashes", shop.url, "--cycles", str(DRAWN), "--seconds", str(SECONDS))
    assert found["faults"] == []
    assert found["double_effects"] == 0
    assert found["cycles"] >= CYCLES
    assert found["committed"] > 0
    assert found["kills"] >= found["drawn"]
    assert set(found["killed_at"]) >= set(POINTS)
