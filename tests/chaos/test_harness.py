"""The harness itself: with one guard of the protocol taken out, it must find something."""

import os

import pytest

from bench.chaos.cycle import CAP
from tests.chaos.harness import play

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.processes,
    pytest.mark.skipif(
        bool(os.environ.get("TEST_DATABASE_URL")), reason="The harness is the same on both."
    ),
]


@pytest.mark.parametrize(
    ("without", "part", "number", "said"),
    [
        ("receipts", "crashes", 116, "it is committed and has 2 effects"),
        ("capture", "crashes", 6, "Writes of an agent: 1 held for what is committed"),
        ("voids", "pauses", 138, "it changed what was finished"),
        ("fences", "pauses", 21, "A committed proposal cannot become committed"),
        ("doubt", "outside --only keyed", 77, "it is failed and has 1 effects"),
        ("stable keys", "outside --only keyed", 250, "it has 2 effects"),
        ("end of keys", "outside --only keyed", 267, "sent again when it was too old"),
        ("patience", "outside --only keyed", 1790, "it has 2 effects"),
        ("second question", "outside --only others", 785, "it has 2 effects"),
        ("restraint", "outside --only others", 274, "sent 2 times to what keeps no keys"),
    ],
)
def test_a_missing_guard_is_noticed(shop, without, part, number, said):
    """With this seed, the cycle of this number is one that goes well only because of the guard."""
    part, *only = part.split()
    script = [*only, "--seed", "3", "--first", str(number), "--cycles", "1"]
    faults: list[str] = []
    # The script is the same; what two processes do at one moment is not. Only the outside begins
    # afresh each time: what was written to the shop is there, and would be counted again.
    for _ in range(3 if part == "outside" else 1):
        faults += play(part, shop.url, "--without", without, *script)["faults"]
        if any(said in fault for fault in faults):
            return
    raise AssertionError(f"{said!r} is not among {faults}")


def test_more_than_a_cap_allows_is_noticed(shop):
    """The writes of these numbers are under a tight cap, and more than it allows at once."""
    script = ["--seed", "3", "--first", "76", "--cycles", str(CAP + 2)]
    found = play("crashes", shop.url, "--without", "caps", *script)
    assert any(f"writes counted in one window, the cap is {CAP}" in one for one in found["faults"])
