"""Empties the databases after a transactional test: only the tables that hold something.

Django's own way truncates every table and then makes content types and permissions anew, which is
most of what a short transactional test costs. What migrations and their signals made stays.
"""

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import TransactionTestCase

from ledger import storage_guards

KEPT = {"django_migrations", "django_content_type", "auth_permission"}


def install() -> None:
    """Let every transactional test be followed by this, and not by a flush."""
    TransactionTestCase._fixture_teardown = _tear_down


def _tear_down(self: TransactionTestCase) -> None:
    for alias in self._databases_names(include_mirrors=False):
        empty(connections[alias])


def empty(connection: BaseDatabaseWrapper) -> None:
    """Delete all rows but those of migrations, content types and permissions."""
    tables = filled(connection)
    if not tables:
        return
    with (
        connection.constraint_checks_disabled(),
        storage_guards.lifted(connection),
        connection.cursor() as cursor,
    ):
        if connection.vendor == "postgresql":  # for this transaction: no foreign keys
            cursor.execute("SET LOCAL session_replication_role = replica")
        for table in tables:
            cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")
        if connection.vendor == "sqlite":  # as after a test that was rolled back: from 1 again
            cursor.execute("DELETE FROM sqlite_sequence WHERE name NOT LIKE 'django_%'")


def filled(connection: BaseDatabaseWrapper) -> list[str]:
    """The tables that hold rows, found with one statement."""
    names = [
        name
        for name in connection.introspection.django_table_names(only_existing=True)
        if name not in KEPT
    ]
    asked = " UNION ALL ".join(
        f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {connection.ops.quote_name(name)})"
        for name in names
    )
    with connection.cursor() as cursor:
        cursor.execute(asked)
        return [row[0] for row in cursor.fetchall()]
