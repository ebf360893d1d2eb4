"""What is committed is on disk, whatever the server was told."""

import pytest
from django.db import connection

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("told", "holds"), [("off", "on"), ("remote_apply", "remote_apply")])
def test_a_session_waits_for_the_disk_at_least(told, holds):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite is told in its settings.")
    session = connection.copy()
    options = f"-c synchronous_commit={told}"
    session.settings_dict["OPTIONS"] = session.settings_dict["OPTIONS"] | {"options": options}
    try:
        with session.cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            assert cursor.fetchone() == (holds,)
    finally:
        session.close()


def test_sqlite_waits_for_the_disk():
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL is asked by each session.")
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous")
        assert cursor.fetchone() == (2,), "FULL"
