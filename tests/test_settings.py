"""Settings that cannot be meant end every command in one sentence that says what would be right."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.db import DatabaseError, connection

from bench.chaos.leases import short_leases
from proposals.actions import smtp
from proposals.management.databases import trouble
from proposals.outbound import client

pytestmark = pytest.mark.once


@pytest.fixture
def manage(tmp_path):
    """`manage.py` as an operator calls it, with these settings and a data folder of its own."""

    def run(*words: str, **more: str) -> subprocess.CompletedProcess:
        kept = {name: text for name, text in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        return subprocess.run(
            [sys.executable, str(settings.BASE_DIR / "manage.py"), *words],
            env=kept | {"COUNTERSIGN_DATA": str(tmp_path / "data"), "DEMO": "0", **more},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def value_of(manage, name: str, **more: str) -> str:
    """What a setting came to be, in a process of its own."""
    done = manage("shell", "--no-imports", "-c", f"import django.conf as c; print({name})", **more)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("PORT", "abc", "PORT must be a whole number from 1 to 65535, not 'abc'."),
        ("PORT", "70000", "PORT must be a whole number from 1 to 65535, not '70000'."),
        ("PORT", "0", "from 1 to 65535"),
        ("WEB_PROCESSES", "two", "WEB_PROCESSES must be a whole number from 1 to"),
        ("WORKER_PROCESSES", "0", "WORKER_PROCESSES must be a whole number from 1 to"),
        ("TRUSTED_PROXIES", "-1", "TRUSTED_PROXIES must be a whole number from 0 to"),
        ("EXECUTION_LEASE_SECONDS", "1.5", "not '1.5'"),
        ("EXECUTION_LEASE_SECONDS", "39", "must be a whole number from 40 to"),
        ("EXECUTION_LEASE_SECONDS", "9" * 5000, "EXECUTION_LEASE_SECONDS must be a whole number"),
        ("COUNTERSIGN_SECOND_PERSON_ABOVE", "-5", "COUNTERSIGN_SECOND_PERSON_ABOVE must be a"),
        ("MAX_OPEN_PROPOSALS_PER_AGENT", "x", "MAX_OPEN_PROPOSALS_PER_AGENT must be a whole"),
        ("DRY_RUNS_PER_MINUTE", "x", "DRY_RUNS_PER_MINUTE must be a whole number"),
        ("UNSEALED_LIMIT_SECONDS", "0", "UNSEALED_LIMIT_SECONDS must be a whole number"),
        ("UNSEALED_STOP_SECONDS", "0", "UNSEALED_STOP_SECONDS must be a whole number"),
        ("CLOCK_LIMIT_SECONDS", "0", "CLOCK_LIMIT_SECONDS must be a whole number"),
        ("LOG_LEVEL", "zip", "LOG_LEVEL must be DEBUG, INFO, WARNING, ERROR or CRITICAL, not"),
        ("DATABASE_URL", "zip", "DATABASE_URL must be like postgres://"),
        ("DATABASE_URL", "mariadb://u:word@host/x", "runs on PostgreSQL or SQLite"),
        ("DATABASE_URL", "postgres://u:word@host:x/y", "DATABASE_URL must be like postgres://"),
        ("COUNTERSIGN_APPS", "no_such", "there is none named 'no_such'"),
        ("COUNTERSIGN_APPS", "json,no_such.apps.Config", "none named 'no_such.apps.Config'"),
        ("COUNTERSIGN_APPS", " ", "there is none named ''"),
        ("COUNTERSIGN_APPS", "no_such..b", "there is none named 'no_such..b'"),
        ("COUNTERSIGN_DATA", "/dev/null/data", "not '/dev/null/data': Not a directory."),
    ],
)
def test_what_cannot_be_read_ends_in_one_sentence(manage, name, given, said):
    done = manage("start", **{name: given})
    assert done.returncode == 1
    assert said in done.stderr
    assert name in done.stderr
    assert done.stderr.count("\n") == 1, "one sentence, and no traceback"
    assert "word" not in done.stderr.replace("user:password@", ""), "nor a password"


@pytest.mark.parametrize("command", ["migrate", "check", "shell", "clock", "help", "no_such"])
def test_every_command_says_it_so(manage, command):
    done = manage(command, PORT="abc")
    assert done.returncode == 1
    assert done.stderr == "PORT must be a whole number from 1 to 65535, not 'abc'.\n"


@pytest.mark.parametrize(
    "words",
    [
        ("freeze", "--reason", "It loops."),
        ("issue_agent_token", "bot"),
        ("first_administrator", "a"),
    ],
    ids=lambda words: words[0],
)
def test_a_database_that_was_never_prepared_is_named_as_that(manage, words):
    done = manage(*words, COUNTERSIGN_ADMIN_PASSWORD="correct horse battery staple")
    assert done.returncode == 1
    assert done.stderr.startswith("This database was never prepared")
    assert done.stderr.count("\n") == 1


def test_a_database_that_does_not_answer_is_named_as_that(manage):
    url = "postgres://nobody:planted-word@127.0.0.1:1/x"
    done = manage("freeze", "--reason", "It loops.", DATABASE_URL=url)
    assert done.returncode == 1
    assert done.stderr.startswith("The database does not answer: ")
    assert done.stderr.count("\n") == 1
    assert "planted-word" not in done.stderr


@pytest.mark.parametrize(
    "more", [{"DEMO": "1"}, {"SECRET_KEY": ""}, {"SECRET_KEY": "0123456789abcdef" * 2}]
)
def test_a_data_folder_that_nothing_can_be_kept_in_is_said_to_be_none(manage, more):
    done = manage("check", COUNTERSIGN_DATA="/proc", **more)
    assert done.returncode == 1
    assert done.stderr.startswith("The data folder /proc, which COUNTERSIGN_DATA names, cannot be")
    assert done.stderr.count("\n") == 1


def test_a_damaged_secret_key_says_what_would_be_lost_with_it(manage, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "secret_key").write_text("short")
    done = manage("check")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    for lost in ("put back the copy", "signed out", "second factors", "undos", "other keys"):
        assert lost in done.stderr


def test_an_app_may_look_at_the_settings_when_it_is_loaded(manage, tmp_path):
    (tmp_path / "stickers").mkdir()
    reads = "from django.conf import settings\nTZ = settings.TIME_ZONE\n"
    (tmp_path / "stickers/__init__.py").write_text(reads)
    (tmp_path / "stickers/apps.py").write_text(
        "from django.apps import AppConfig\n\n\nclass Stickers(AppConfig):\n    name = 'stickers'\n"
    )
    given = {"COUNTERSIGN_APPS": "stickers.apps.Stickers", "PYTHONPATH": str(tmp_path)}
    listed = value_of(manage, "len(c.settings.INSTALLED_APPS)", **given)
    assert int(listed) == int(value_of(manage, "len(c.settings.INSTALLED_APPS)")) + 1


def test_what_was_not_looked_at_is_not_said_to_be_tampered_with(manage):
    assert manage("verify_ledger", LOG_LEVEL="zip").returncode == 3


def test_a_fault_of_the_product_is_not_laid_on_the_database(db):
    with pytest.raises(DatabaseError) as fault, connection.cursor() as cursor:
        cursor.execute("SELECT no_such_column FROM django_migrations")
    assert trouble(fault.value) == ""


def test_the_address_of_the_shop_is_told_from_our_own(manage):
    done = manage("check", DEMO="1", SHOP_DATABASE_URL="zip")
    assert done.returncode == 1
    assert done.stderr.startswith("SHOP_DATABASE_URL must be like postgres://")


def test_where_it_was_refused_is_shown_to_whoever_asks(manage):
    assert "Traceback" in manage("check", "--traceback", PORT="abc").stderr


def test_what_is_empty_is_the_default(manage):
    empty = dict.fromkeys(("PORT", "LOG_LEVEL", "WEB_PROCESSES", "COUNTERSIGN_APPS"), "")
    kept = "c.settings.PORT, c.settings.WEB_PROCESSES, c.settings.LOGGING['root']['level']"
    assert value_of(manage, kept, **empty) == "8000 2 INFO"


def test_a_lease_outlasts_the_longest_call_that_ships(manage):
    assert client.SECONDS <= settings.LONGEST_CALL_SECONDS
    assert smtp.DEADLINE_SECONDS <= settings.LONGEST_CALL_SECONDS
    lease = "c.settings.EXECUTION_LEASE_SECONDS"
    assert value_of(manage, lease, EXECUTION_LEASE_SECONDS="40") == "40"
    # Who kills workers on purpose names other settings, and no variable of an installation.
    assert value_of(manage, lease, **short_leases(2)) == "2"


def test_a_level_may_be_written_small_and_apps_with_spaces(manage, tmp_path: Path):
    for name in ("stickers", "labels"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "labels" / "apps.py").write_text(
        "from django.apps import AppConfig\nclass Labels(AppConfig):\n    name = 'labels'\n"
    )
    named = {"COUNTERSIGN_APPS": "stickers, labels.apps.Labels", "PYTHONPATH": str(tmp_path)}
    kept = "c.settings.INSTALLED_APPS[-2:], c.settings.LOGGING['root']['level']"
    said = value_of(manage, kept, LOG_LEVEL="warning", **named)
    assert said == "['stickers', 'labels.apps.Labels'] WARNING"
