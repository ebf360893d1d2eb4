"""What every test may rely on."""

import pytest
from django.conf import settings
from django.db import connection
from django.test import TransactionTestCase

from ledger import storage_guards

_tear_down = TransactionTestCase._fixture_teardown


def _tear_down_with_guards_lifted(self: TransactionTestCase) -> None:
    """The clean-up after a transactional test empties tables, which the guards rightly refuse."""
    with storage_guards.lifted(connection):
        _tear_down(self)


TransactionTestCase._fixture_teardown = _tear_down_with_guards_lifted

# A slow hash protects people's passwords; here it would only protect those of Rita and Saul.
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

pytest_plugins = [
    "tests.shop_fixture",
    "tests.target_fixture",
    "tests.toys",
    "tests.depot",
    "tests.post",
    "tests.mail_fixture",
]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that start processes and browsers come first: no long one is left for the end."""
    waits = {}
    for item in items:
        kind = item.get_closest_marker("processes") or item.get_closest_marker("browser")
        waits[item.path] = waits.get(item.path, False) or kind is not None
    items.sort(key=lambda item: not waits[item.path])


@pytest.fixture(autouse=True)
def _fresh_cache():
    from django.core.cache import cache

    cache.clear()
