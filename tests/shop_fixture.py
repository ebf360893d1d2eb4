"""The demonstration shop as a target of its own: a fresh file, or a fresh PostgreSQL database."""

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connections
from django.db.utils import ConnectionHandler  # noqa: F401  (what `connections` is)

from proposals.demonstration import shop as demonstration


@dataclass(frozen=True)
class Shop:
    """A handle on the target that goes around the product, as somebody else would."""

    alias: str
    url: str

    def execute(self, sql: str, params: Any = ()) -> None:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(sql, params)

    def rows(self, sql: str, params: Any = ()) -> list[tuple]:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(sql, params)
            return cursor.fetchall()


def point_at(url: str) -> dict[str, Any]:
    """Let the alias mean this database from now on; returns what it meant before."""
    from approvals_site.settings import database

    former = connections.settings["shop"]
    fresh = connections.configure_settings({"default": {}, "shop": database(url)})["shop"]
    connections["shop"].close()
    connections.settings["shop"] = fresh
    if hasattr(connections._connections, "shop"):
        delattr(connections._connections, "shop")
    return former


@pytest.fixture
def shop(tmp_path: Path, django_db_blocker: Any) -> Iterator[Shop]:
    """A shop with its rows, reachable from threads and, by its address, from other processes."""
    server = os.environ.get("TEST_DATABASE_URL", "")
    name = f"countersign_shop_{uuid.uuid4().hex[:12]}"
    if server:
        base, _, _ = server.rpartition("/")
        admin = base.replace("postgres://", "postgresql://") + "/postgres"
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        url = f"{base}/{name}"
    else:
        url = f"sqlite:///{tmp_path / 'shop.sqlite3'}"
    former = point_at(url)
    with django_db_blocker.unblock():
        demonstration.ensure()
        yield Shop("shop", url)
        connections["shop"].close()
    point_back(former)
    if server:
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def point_back(former: dict[str, Any]) -> None:
    connections["shop"].close()
    connections.settings["shop"] = former
    delattr(connections._connections, "shop")


@pytest.fixture(autouse=True)
def _targets_are_open_to_tests(settings_of_targets: None) -> None:
    """Tests may reach targets without naming them: they are not the product's databases."""


@pytest.fixture
def settings_of_targets() -> None:
    assert "shop" in settings.DATABASES
