"""The list of safety checks names code that is there: `make guards` removes what it says."""

from pathlib import Path

import pytest

from bench.guards import GUARDS

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("guard", GUARDS, ids=[guard.name for guard in GUARDS])
def test_the_code_of_each_check_stands_once_in_its_file(guard):
    assert (ROOT / guard.file).read_text().count(guard.code) == 1


def test_every_check_names_a_test_that_exists():
    missing = [
        (guard.name, name)
        for guard in GUARDS
        for name in guard.tests.split()
        if not (ROOT / name).exists()
    ]
    assert not missing
