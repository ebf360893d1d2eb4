"""What is lost within a transaction does not hold up the product's own database for ever."""

import threading
import time
from contextlib import contextmanager

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction

from proposals import freezing, services, sessions
from proposals.models import Freeze

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no server"),
]


def setting(session, name: str) -> str:
    with session.cursor() as cursor:
        cursor.execute("SELECT current_setting(%s)", [name])
        return cursor.fetchone()[0]


@contextmanager
def another(**options: str):
    """A session of another process, which the server was told this of by its operator."""
    session = connection.copy()
    told = " ".join(f"-c {name}={value}" for name, value in options.items())
    session.settings_dict["OPTIONS"] = session.settings_dict["OPTIONS"] | {"options": told}
    try:
        yield session
    finally:
        session.close()


@contextmanager
def lost_with_the_gate():
    """A session that holds the gate, as an intent does, and of which nothing is heard any more."""
    with another() as session:
        session.set_autocommit(False)
        with session.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [freezing.GATE])
        yield session


def test_a_session_is_limited_unless_the_operator_says_otherwise():
    with another(lock_timeout="7s") as session:
        assert setting(session, "lock_timeout") == "7s"
        assert setting(session, "idle_in_transaction_session_timeout") == "1min"
        assert setting(session, "client_connection_check_interval") == "5s"


def test_a_freeze_does_not_wait_for_a_session_that_was_lost(monkeypatch):
    monkeypatch.setitem(sessions.LIMITS, "idle_in_transaction_session_timeout", "500ms")
    with lost_with_the_gate() as lost:
        services.freeze(reason="Stop everything.")
        assert Freeze.objects.exists()
        with pytest.raises(DatabaseError, match="idle-in-transaction"):
            setting(lost, "lock_timeout")


def test_whoever_stops_everything_waits_longer_for_the_gate_than_others_for_a_lock():
    with lost_with_the_gate() as held:
        began = time.monotonic()
        threading.Timer(1.5, held.connection.rollback).start()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '300ms'")
            freezing.take_gate()
            assert time.monotonic() - began > 1
            assert setting(connection, "lock_timeout") == "300ms", "for all else it is as it was"

            def wait_as_others_do(session) -> None:
                with session.cursor() as waiting:
                    waiting.execute("SELECT pg_advisory_lock_shared(%s)", [freezing.GATE])

            with another(lock_timeout="300ms") as other, pytest.raises(OperationalError):
                wait_as_others_do(other)
