"""One effect or an honest unknown, towards targets that keep keys, can be asked, or neither.

A search that finds something wrong prints the shortest history that leads there.
"""

import os

import pytest

from tests.model.outside import Outside
from tests.model.outside_world import KEYED, QUERYABLE, UNCERTAIN, VARIANTS, Limits

pytestmark = pytest.mark.once
SEARCHED = Limits(faults=3 if os.environ.get("COUNTERSIGN_LONG") == "1" else 2)
WITHOUT = Limits(faults=2)


@pytest.fixture(scope="module")
def searched():
    return Outside(limits=SEARCHED).search()


def test_every_run_has_one_effect_or_an_honest_unknown_and_comes_to_rest(searched):
    print(f"{searched.states} states, {searched.steps} steps")
    assert not searched.wrong, str(searched)
    assert searched.states > 20_000, "so few states cannot be all of them"


def test_every_class_reaches_every_end(searched):
    moves = {each for each in searched.seen if each}
    for delivery in (KEYED, QUERYABLE, UNCERTAIN):
        for start, to in (
            ("approved", "committed"),
            ("approved", "failed"),
            ("approved", "unknown"),
            ("unknown", "committed"),
            ("unknown", "failed"),
            ("failed", "approved"),
        ):
            assert (delivery, start, to) in moves


@pytest.mark.parametrize("variant", VARIANTS)
def test_without_this_guard_a_promise_breaks(variant):
    found = Outside(variant, WITHOUT).search()
    print(f"Where {VARIANTS[variant]}: {found}")
    assert found.wrong
