"""The provider of the harness does what it is told to do, and writes down what it did."""

import json
import urllib.error
import urllib.request

import pytest

from bench.chaos.provider import client, faults

pytestmark = pytest.mark.once
PATIENCE = 0.4
NO_ANSWER = "no answer"
# What a fault leaves the sender with, and how many effects there are then, and later.
EXPECTED = {
    "": (201, 1, 1),
    "dropped before": (NO_ANSWER, 0, 0),
    "dropped after": (NO_ANSWER, 1, 1),
    "late": (NO_ANSWER, 0, 1),
    "working": (NO_ANSWER, 0, 1),
    "slow": (NO_ANSWER, 1, 1),
    "repeated": (201, 1, 1),
    "reset": (NO_ANSWER, 1, 1),
    "error before": (500, 0, 0),
    "error after": (500, 1, 1),
    "too many": (429, 0, 0),
    "refused": (402, 0, 0),
    "refused once": (402, 0, 0),
    "nonsense before": (200, 0, 0),
    "nonsense after": (200, 1, 1),
    "black hole": (NO_ANSWER, 0, 0),
}


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    running = client.start(tmp_path_factory.mktemp("provider"), seed=1, patience=2 * PATIENCE)
    yield running
    running.stop()


def send(provider, memo, *, target="keyed", key="k"):
    """The status of the answer, or that there was none."""
    request = urllib.request.Request(
        f"{provider.url}/{target}/refunds",
        data=json.dumps({"memo": memo}).encode(),
        headers={"Idempotency-Key": key},
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            answer.read()
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except (OSError, ValueError):
        return NO_ANSWER
    except Exception as error:  # an answer that was torn off
        return NO_ANSWER if "IncompleteRead" in repr(error) else repr(error)


def effects(provider, memo):
    rows = provider.book.all("SELECT count(*) FROM effects WHERE business = ?", [memo])
    return rows[0][0]


def script(provider, memo, *drawn):
    provider.control(script={memo: list(drawn)})


def test_every_fault_is_told_here():
    assert set(EXPECTED) == set(faults.WRITES)


@pytest.mark.parametrize("fault", EXPECTED)
def test_does_what_it_is_told(provider, fault):
    answer, at_once, later = EXPECTED[fault]
    memo = f"memo {fault}"
    script(provider, memo, fault)
    assert send(provider, memo, key=memo) == answer
    assert effects(provider, memo) == at_once
    provider.pass_time(faults.LATEST_SECONDS)
    assert effects(provider, memo) == later
    written = "SELECT fault FROM writes WHERE business = ?"
    assert provider.book.all(written, [memo]) == [(fault,)]


def test_honours_a_key_and_forgets_it_after_its_time(provider):
    script(provider, "kept", "dropped after", "", "")
    assert send(provider, "kept", key="one") == NO_ANSWER
    assert send(provider, "kept", key="one") == 201
    assert effects(provider, "kept") == 1
    provider.pass_time(25 * 3600)
    assert send(provider, "kept", key="one") == 201
    assert effects(provider, "kept") == 2


def test_replays_a_refusal_that_it_kept_and_no_other(provider):
    script(provider, "poor", "refused", "")
    assert [send(provider, "poor", key="two") for _ in range(2)] == [402, 402]
    script(provider, "rich", "refused once", "")
    assert [send(provider, "rich", key="three") for _ in range(2)] == [402, 201]


def test_what_still_travels_collapses_under_its_key_and_nowhere_else(provider):
    script(provider, "keyed twice", "late", "")
    send(provider, "keyed twice", key="four")
    send(provider, "keyed twice", key="four")
    script(provider, "plain twice", "late", "")
    send(provider, "plain twice", target="plain")
    send(provider, "plain twice", target="plain")
    provider.pass_time(faults.LATEST_SECONDS)
    assert effects(provider, "keyed twice") == 1
    assert effects(provider, "plain twice") == 2


def test_draws_the_same_for_the_same_seed_memo_and_number():
    drawn = [faults.draw_write(7, "memo", number) for number in range(1, 5)]
    assert drawn == [faults.draw_write(7, "memo", number) for number in range(1, 5)]
    assert faults.draw_write(7, "memo", faults.FAULTLESS_AFTER + 1) == ""
