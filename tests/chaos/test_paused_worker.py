"""A worker that slept past its lease changes nothing when it wakes."""

import pytest

from tests.chaos.harness import play

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]


def test_a_worker_that_wakes_up_late_writes_nothing(shop):
    found = play("pauses", shop.url, "--cycles", "20")
    assert found["faults"] == []
    assert found["stale_writes"] == found["double_effects"] == 0
    assert found["pauses"] == 20
