"""What every test may rely on."""

import gc

import pytest
from django.conf import settings
from whitenoise.middleware import WhiteNoiseMiddleware

from tests import emptying

emptying.install()

_look_for_files = WhiteNoiseMiddleware.add_files_from_finders
_static_files: dict = {}


def _look_for_files_once(self: WhiteNoiseMiddleware) -> None:
    """Every test client loads the middleware anew; the static files stay the same."""
    if not _static_files:
        _look_for_files(self)
        _static_files.update(self.files)
    self.files.update(_static_files)


WhiteNoiseMiddleware.add_files_from_finders = _look_for_files_once

# A slow hash protects people's passwords; here it would only protect those of Rita and Saul.
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

pytest_plugins = [
    "tests.leaks",
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


def pytest_collection_finish() -> None:
    """What is loaded by now stays; the collector need not look at it over and over again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _fresh_cache():
    from django.core.cache import cache

    from proposals.outage import of_redis

    of_redis.ended()  # what one test found away is there for the next
    cache.clear()
