"""The harness itself: with one guard of the protocol taken out, it must find something."""

import os

import pytest

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
    ],
)
def test_a_missing_guard_is_noticed(shop, without, part, number, said):
    """With this seed, the cycle of this number is one that goes well only because of the guard."""
    script = ["--seed", "3", "--first", str(number), "--cycles", "1"]
    faults: list[str] = []
    for _ in range(3):  # the script is the same; what two processes do at one moment is not
        faults += play(part, shop.url, "--without", without, *script)["faults"]
        if any(said in fault for fault in faults):
            return
    raise AssertionError(f"{said!r} is not among {faults}")
