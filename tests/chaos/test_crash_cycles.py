"""Workers killed at every named point, singly and in pairs: at most one effect, nothing stuck.

`make chaos` runs the long form; docs/reliability.md says what it found.
"""

import pytest

from proposals.crashpoints import POINTS
from tests.chaos.harness import play

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]
MOST_CYCLES, SECONDS = 700, 45  # whichever comes first


def test_no_crash_leaves_a_second_effect_or_a_stuck_proposal(shop):
    found = play("crashes", shop.url, "--cycles", str(MOST_CYCLES), "--seconds", str(SECONDS))
    assert found["faults"] == []
    assert found["double_effects"] == 0
    assert found["committed"] > 0
    assert found["kills"] >= found["drawn"]
    assert set(found["killed_at"]) >= set(POINTS)
