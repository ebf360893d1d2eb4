"""Every run of the protocol within the limits keeps every promise, and each guard is needed.

A search that finds something wrong prints the shortest history that leads there.
"""

import os

import pytest

from proposals.crashpoints import POINTS
from proposals.lifecycle import TRANSITIONS
from tests.model.protocol import Protocol
from tests.model.world import VARIANTS, Limits

pytestmark = pytest.mark.once
IS_LONG = os.environ.get("COUNTERSIGN_LONG") == "1"
SEARCHED = [Limits(faults=2, events=1), Limits(faults=1, events=2)]
if IS_LONG:
    SEARCHED += [Limits(faults=2, events=2), Limits(faults=3, events=1)]

# What a crash at each named point of the code leaves behind: a worker of the model that dies there.
# In a transaction just before its commit, that is where the worker was before the transaction.
CRASHES = {
    "submit.stored": "idle",
    "check.previewed": "previewed",
    "check.landed": "idle",
    "claim.taken": "idle",
    "claim.done": "claimed",
    "intent.done": "intended",
    "apply.written": "writing",
    "apply.done": "answered",
    "void.done": "voided",
    "settle.written": "answered",
    "settle.done": "idle",
}
# Crashes that no point of the code is named for: between trouble and its record, and an operator's.
UNNAMED = {"unclear", "reconciling"}


@pytest.fixture(scope="module")
def searched():
    return [(limits, Protocol(limits=limits).search()) for limits in SEARCHED]


@pytest.fixture(scope="module")
def seen(searched):
    return set().union(*(found.seen for _, found in searched))


def test_every_run_keeps_every_promise_and_comes_to_rest(searched, subtests):
    for limits, found in searched:
        with subtests.test(limits=limits):
            print(f"{limits}: {found.states} states, {found.steps} steps")
            assert not found.wrong, str(found)
            assert found.states > 50_000, "so few states cannot be all of them"


@pytest.mark.parametrize("variant", VARIANTS)
def test_without_this_guard_a_promise_breaks(variant):
    # Settling whichever attempt is unknown by then takes two attempts that end unknown.
    limits = Limits(faults=2, events=1, fences=1) if variant == "any unknown" else Limits(1, 1)
    found = Protocol(variant, limits).search()
    print(f"Where {VARIANTS[variant]}: {found}")
    assert found.wrong


def test_the_codes_transitions_are_the_models(seen):
    in_the_code = {
        (start.value, to.value) for start, onward in TRANSITIONS.items() for to in onward
    }
    assert {each[1:] for each in seen if each and each[0] == "move"} == in_the_code


def test_crashes_are_tried_where_the_code_names_points(seen):
    assert set(CRASHES) == set(POINTS)
    tried = {each[1] for each in seen if each and each[0] == "crash"}
    assert tried == set(CRASHES.values()) | UNNAMED
