"""Embedded mode is server mode: six writers at once, and none finds the database locked."""

import pytest
from django.db import connection

from tests.chaos.harness import play

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has no such lock")
def test_six_writers_over_http_never_find_the_database_locked(shop):
    found = play("writers", shop.url, "--cycles", "90", "--seconds", "120")
    assert found["faults"] == []
    assert found["answers"] == {"201": found["accepted"]}
    assert found["committed"] == found["accepted"] == 90
