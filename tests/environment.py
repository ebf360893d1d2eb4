"""Loaded before the settings: gives each test run its own data folder and chosen database."""

import os
import tempfile

_folder = tempfile.TemporaryDirectory(prefix="countersign-tests-")
os.environ["COUNTERSIGN_DATA"] = os.environ.get("COUNTERSIGN_TEST_DATA", _folder.name)
os.environ["DEMO"] = "1"
os.environ["EMAIL_URL"] = ""  # a test that sends has a mail server of its own
os.environ.pop("REDIS_URL", None)
os.environ["DATABASE_URL"] = os.environ.get("TEST_DATABASE_URL", "")
os.environ.setdefault("LOG_LEVEL", "ERROR")
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
