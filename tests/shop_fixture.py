"""The demonstration shop as a target of its own: a fresh file, or a fresh PostgreSQL database.

It is filled once per run and copied for each test, so that a test may do with it what it likes.
"""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connections
from psycopg import sql

from approvals_site import database_urls
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


@contextmanager
def meaning(url: str) -> Iterator[None]:
    """Let the alias mean this database, in this thread and in threads that start meanwhile."""
    former = connections.settings["shop"]
    former_connection = connections["shop"]
    connections.settings["shop"] = connections.configure_settings(
        {"default": {}, "shop": database_urls.entry(url)}
    )["shop"]
    del connections["shop"]
    try:
        yield
    finally:
        connections["shop"].close()
        connections.settings["shop"] = former
        connections["shop"] = former_connection


def server() -> str:
    return os.environ.get("TEST_DATABASE_URL", "").rpartition("/")[0]


def administer(statement: str, *names: str) -> None:
    url = server().replace("postgres://", "postgresql://") + "/postgres"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def fresh_name() -> str:
    return f"countersign_shop_{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def filled_shop(tmp_path_factory: Any, django_db_blocker: Any) -> Iterator[str]:
    """The name of a filled database, or the path of a filled file, that is only ever copied."""
    name = fresh_name()
    if server():
        administer("CREATE DATABASE {}", name)
        source, url = name, f"{server()}/{name}"
    else:
        source = str(tmp_path_factory.mktemp("shop") / "filled.sqlite3")
        url = f"sqlite:///{source}"
    with django_db_blocker.unblock(), meaning(url):
        demonstration.ensure()
    yield source
    if server():
        administer("DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def shop(filled_shop: str, tmp_path: Path, django_db_blocker: Any) -> Iterator[Shop]:
    """A shop with its rows, reachable from threads and, by its address, from other processes."""
    name = fresh_name()
    if server():
        administer("CREATE DATABASE {} TEMPLATE {}", name, filled_shop)
        url = f"{server()}/{name}"
    else:
        shutil.copyfile(filled_shop, tmp_path / "shop.sqlite3")
        url = f"sqlite:///{tmp_path / 'shop.sqlite3'}"
    try:
        with django_db_blocker.unblock(), meaning(url):
            yield Shop("shop", url)
    finally:
        if server():
            administer("DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def paid(shop: Shop) -> list[str]:
    """The keys of a dozen paid orders."""
    found = shop.rows("SELECT id FROM orders WHERE status = 'paid' ORDER BY id LIMIT 12")
    return [str(row[0]) for row in found]
