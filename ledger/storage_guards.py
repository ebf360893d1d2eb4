"""Triggers that refuse to change, remove or replace rows of the protected tables.

Three of the databases' habits decide how this is done. PostgreSQL's TRUNCATE passes row triggers,
and `session_replication_role` passes triggers that are not ALWAYS enabled. SQLite's REPLACE passes
delete triggers, so a row that would take an existing place is refused before it is inserted. And
Django's rebuild of a SQLite table drops its triggers without a word, so they are not made by a
migration but asserted after every `migrate`.

Whoever owns the database can drop triggers. That is what `verify_ledger` is for.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import NotSupportedError, models, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

PROTECTED: list[type[models.Model]] = []

REFUSAL = "append-only: rows of this table are never changed, removed or replaced"
FUNCTION = "ledger_refuse_change"
POSTGRESQL_BODY = f"BEGIN RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'restrict_violation'; END"
POSTGRESQL_LIFTED = "BEGIN IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END"
POSTGRESQL_TRIGGERS = {
    # Suffix: (definition, pg_trigger.tgtype: ROW 1, BEFORE 2, DELETE 8, UPDATE 16, TRUNCATE 32)
    "rows": ("BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW", 1 | 2 | 8 | 16),
    "truncate": ("BEFORE TRUNCATE ON {table} FOR EACH STATEMENT", 2 | 32),
}


def protect(model: type[models.Model]) -> type[models.Model]:
    """Guard this model's table from the next `migrate` on. Usable as a decorator."""
    if model not in PROTECTED:
        PROTECTED.append(model)
    return model


def install(connection: BaseDatabaseWrapper) -> None:
    """Make the guards that are missing, for the protected tables that exist."""
    if not missing(connection):
        return
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_function(POSTGRESQL_BODY))
        tables = set(connection.introspection.table_names(cursor))
        for table, statements in _wanting(connection).values():
            if table in tables:
                for statement in statements:
                    cursor.execute(statement)  # without params, or % would be a placeholder


def missing(connection: BaseDatabaseWrapper) -> list[str]:
    """The guards that are absent, switched off or altered, by name."""
    return sorted(_wanting(connection))


def applicable(connection: BaseDatabaseWrapper) -> bool:
    """Whether this database has a protected table yet."""
    tables = set(connection.introspection.table_names())
    return any(model._meta.db_table in tables for model in _protected(connection))


@contextmanager
def lifted(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Take the guards away within one transaction. For tests: to tamper, and to flush."""
    with transaction.atomic(using=connection.alias):
        with connection.cursor() as cursor:
            for statement in _lifting(connection):
                cursor.execute(statement)
        yield
        install(connection)


def _protected(connection: BaseDatabaseWrapper) -> list[type[models.Model]]:
    return [m for m in PROTECTED if router.allow_migrate_model(connection.alias, m)]


def _wanting(connection: BaseDatabaseWrapper) -> dict[str, tuple[str, list[str]]]:
    """Each guard that does not hold: its table, and the statements that make it."""
    models_here = _protected(connection)
    if connection.vendor == "sqlite":
        return _wanting_on_sqlite(connection, models_here)
    if connection.vendor == "postgresql":
        return _wanting_on_postgresql(connection, models_here)
    raise NotSupportedError(f"No storage guards are known for {connection.vendor}.")


def _lifting(connection: BaseDatabaseWrapper) -> list[str]:
    models_here = _protected(connection)
    if connection.vendor == "sqlite":
        return [
            f'DROP TRIGGER IF EXISTS "{n}"' for m in models_here for n in _on_sqlite(m, connection)
        ]
    if connection.vendor == "postgresql":
        # The function and not the triggers: a table with pending deferred checks, as any that
        # was written in this transaction may have, cannot be altered.
        return [_function(POSTGRESQL_LIFTED)]
    raise NotSupportedError(f"No storage guards are known for {connection.vendor}.")


def _on_sqlite(model: type[models.Model], connection: BaseDatabaseWrapper) -> dict[str, str]:
    """Trigger names and definitions for one table."""
    table = model._meta.db_table
    refuse = f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    conditions = {"update": "", "delete": "", "insert": f"WHEN {_taken(model, connection)} "}
    return {
        f"{table}_refuses_{event}": (
            f'CREATE TRIGGER "{table}_refuses_{event}" BEFORE {event.upper()} ON "{table}" '
            f"{condition}{refuse}"
        )
        for event, condition in conditions.items()
    }


def _taken(model: type[models.Model], connection: BaseDatabaseWrapper) -> str:
    """Whether NEW would take a place that only one row can hold: what a REPLACE would empty."""
    options = model._meta
    table = options.db_table
    places: list[tuple[list[str], str]] = [(["rowid"], "")]
    places += [([str(field.column)], "") for field in options.local_concrete_fields if field.unique]
    places += [(_columns(model, names), "") for names in options.unique_together]
    for constraint in options.constraints:
        if isinstance(constraint, models.UniqueConstraint):
            if constraint.expressions:
                raise NotSupportedError(f"{constraint.name} cannot be guarded: it has expressions.")
            editor: Any = connection.schema_editor()
            unique: Any = constraint  # Django keeps the next method to itself
            condition = unique._get_condition_sql(model, editor) or ""
            places.append((_columns(model, constraint.fields), condition.replace("%%", "%")))
    new = ", ".join(f'NEW."{f.column}" AS "{f.column}"' for f in options.local_concrete_fields)
    clauses = []
    for columns, condition in places:
        same = " AND ".join(f'"{column}" = NEW."{column}"' for column in columns)
        clause = f'EXISTS (SELECT 1 FROM "{table}" WHERE {same}'
        if condition:  # it must hold for both rows, or they do not compete
            clause += (
                f" AND {condition}) AND EXISTS (SELECT 1 FROM (SELECT {new}) WHERE {condition}"
            )
        clauses.append(f"({clause}))")
    return " OR ".join(clauses)


def _columns(model: type[models.Model], names: Iterable[str]) -> list[str]:
    fields: list[Any] = [model._meta.get_field(name) for name in names]
    return [field.column for field in fields]


def _wanting_on_sqlite(
    connection: BaseDatabaseWrapper, models_here: list[type[models.Model]]
) -> dict[str, tuple[str, list[str]]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        found = dict(cursor.fetchall())
    return {
        name: (model._meta.db_table, [f'DROP TRIGGER IF EXISTS "{name}"', definition])
        for model in models_here
        for name, definition in _on_sqlite(model, connection).items()
        if found.get(name) != definition
    }


def _function(body: str) -> str:
    return (
        f"CREATE OR REPLACE FUNCTION {FUNCTION}() RETURNS trigger LANGUAGE plpgsql "
        f"AS $body${body}$body$"
    )


def _wanting_on_postgresql(
    connection: BaseDatabaseWrapper, models_here: list[type[models.Model]]
) -> dict[str, tuple[str, list[str]]]:
    wanting = {}
    for model in models_here:
        table = model._meta.db_table
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT t.tgname, t.tgtype FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
                "WHERE t.tgrelid = to_regclass(%s) AND NOT t.tgisinternal AND t.tgenabled = 'A' "
                "AND t.tgqual IS NULL AND t.tgattr = '' AND p.proname = %s AND p.prosrc = %s",
                [connection.ops.quote_name(table), FUNCTION, POSTGRESQL_BODY],
            )
            found = dict(cursor.fetchall())
        for suffix, (where, kind) in POSTGRESQL_TRIGGERS.items():
            name = f"{table}_refuses_{suffix}"
            if found.get(name) != kind:
                definition = where.format(table=f'"{table}"')
                wanting[name] = (
                    table,
                    [
                        f'CREATE OR REPLACE TRIGGER "{name}" {definition} '
                        f"EXECUTE FUNCTION {FUNCTION}()",
                        f'ALTER TABLE "{table}" ENABLE ALWAYS TRIGGER "{name}"',
                    ],
                )
    return wanting
