"""The second level: what the database itself refuses, whoever asks and however."""

from functools import partial
from unittest import mock, skipUnless

from django.core import checks
from django.core.management import call_command
from django.db import (
    IntegrityError,
    NotSupportedError,
    connection,
    models,
    transaction,
)
from django.test import TestCase
from django.test.utils import isolate_apps

from ledger import entries, storage_guards
from ledger.apps import check_guards
from ledger.models import LedgerEntry
from ledger.verify import Result, verify

TABLE = LedgerEntry._meta.db_table
COLUMNS = ", ".join(f'"{field.column}"' for field in LedgerEntry._meta.fields)
on_sqlite = skipUnless(connection.vendor == "sqlite", "SQLite only")
on_postgresql = skipUnless(connection.vendor == "postgresql", "PostgreSQL only")


def execute(sql, params=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, params)


def stored():
    """Every byte of the table."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {COLUMNS} FROM {TABLE} ORDER BY id")
        return [tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in cursor]


class AttackTests(TestCase):
    def setUp(self):
        for n in range(3):
            self.entry = entries.record("policy", kind="a.b", actor="user:1", body={"n": n})
        self.before = stored()

    def assert_refused(self, name, attack):
        with self.subTest(name):
            with self.assertRaisesMessage(IntegrityError, "append-only"), transaction.atomic():
                attack()
            self.assertEqual(stored(), self.before)
            self.assertIs(verify().result, Result.INTACT)

    def values(self, **changes):
        """A copy of the last entry with some columns changed, as an INSERT takes it."""
        row = {f.column: getattr(self.entry, f.attname) for f in LedgerEntry._meta.fields}
        row = row | {"kind": "a.forged"} | changes
        names = ", ".join(f'"{name}"' for name in row)
        marks = ", ".join(["%s"] * len(row))
        return f"INTO {TABLE} ({names}) VALUES ({marks})", list(row.values())

    def places(self):
        """Copies that compete with a stored entry for its id, its place in a stream, its hash."""
        free = {"id": 999, "stream": "other", "hash": b"other"}
        for kept, names in {"id": ["id"], "stream": ["stream"], "hash": ["hash"]}.items():
            changes = {name: value for name, value in free.items() if name not in names}
            yield kept, *self.values(**changes)

    def test_updates_are_refused(self):
        self.assert_refused("raw", lambda: execute(f"UPDATE {TABLE} SET kind = 'x'"))
        self.assert_refused("same value", lambda: execute(f"UPDATE {TABLE} SET kind = kind"))
        orm = models.QuerySet(LedgerEntry)
        self.assert_refused("orm", lambda: orm.filter(pk=self.entry.pk).update(kind="x"))
        base = LedgerEntry._base_manager
        self.assert_refused("base manager", lambda: base.update(kind="x"))
        forged = LedgerEntry(
            **{f.attname: getattr(self.entry, f.attname) for f in LedgerEntry._meta.fields}
        )
        self.assert_refused("save as new", forged.save)

    def test_deletes_are_refused(self):
        self.assert_refused("raw", lambda: execute(f"DELETE FROM {TABLE} WHERE number = 3"))
        self.assert_refused("orm", lambda: models.QuerySet(LedgerEntry).delete())
        self.assert_refused("orm raw", lambda: LedgerEntry.objects.all()._raw_delete("default"))

    def test_insert_on_conflict_update_is_refused(self):
        for place, insert, params in self.places():
            target = {"id": "id", "stream": "stream, number", "hash": "hash"}[place]
            sql = f"INSERT {insert} ON CONFLICT ({target}) DO UPDATE SET kind = 'x'"
            self.assert_refused(place, partial(execute, sql, params))
        copy = LedgerEntry(
            **{f.attname: getattr(self.entry, f.attname) for f in LedgerEntry._meta.fields}
        )
        self.assert_refused(
            "orm",
            lambda: LedgerEntry.objects.bulk_create(
                [copy], update_conflicts=True, unique_fields=["id"], update_fields=["kind"]
            ),
        )

    @on_sqlite
    def test_replace_is_refused(self):
        for place, insert, params in self.places():
            for verb in ("REPLACE", "INSERT OR REPLACE"):
                self.assert_refused(
                    f"{verb} {place}",
                    partial(execute, f"{verb} {insert}", params),
                )
        for alias in ("rowid", "_rowid_", "oid"):
            sql, params = self.replace_with(stream="other", hash=b"other")
            self.assert_refused(alias, partial(execute, sql.replace('"id"', alias), params))
        self.assert_refused(
            "text for a number",
            lambda: execute(*self.replace_with(id=str(self.entry.pk), stream="o", hash=b"o")),
        )
        self.assert_refused(
            "update or replace", lambda: execute(f"UPDATE OR REPLACE {TABLE} SET id = id + 1")
        )

    def replace_with(self, **changes):
        sql, params = self.values(**changes)
        return f"REPLACE {sql}", params

    @on_postgresql
    def test_truncate_is_refused(self):
        for suffix in ("", " CASCADE", " RESTART IDENTITY"):
            self.assert_refused(f"truncate{suffix}", partial(execute, f"TRUNCATE {TABLE}{suffix}"))

    @on_postgresql
    def test_merge_is_refused(self):
        sql = f"MERGE INTO {TABLE} t USING (SELECT 1) s ON t.number = 3 WHEN MATCHED THEN {{}}"
        for verb in ("DELETE", "UPDATE SET kind = 'x'"):
            self.assert_refused(verb, partial(execute, sql.format(verb)))

    @on_postgresql
    def test_a_replica_session_is_refused_too(self):
        def attack(statement):
            execute("SET LOCAL session_replication_role = replica")
            execute(statement)

        for sql in (f"UPDATE {TABLE} SET kind = 'x'", f"DELETE FROM {TABLE}", f"TRUNCATE {TABLE}"):
            self.assert_refused(sql, partial(attack, sql))

    def test_flush_is_refused(self):
        with self.assertRaises(Exception) as caught, transaction.atomic():
            call_command("flush", interactive=False, verbosity=0)
        self.assertIn("append-only", f"{caught.exception} {caught.exception.__cause__}")
        self.assertEqual(stored(), self.before)

    def test_adding_goes_on(self):
        entries.record("policy", kind="a.b", actor="user:1")
        self.assertEqual(len(stored()), 4)


class InstallTests(TestCase):
    def names(self):
        suffixes = {"sqlite": ("delete", "insert", "update"), "postgresql": ("rows", "truncate")}
        return [f"{TABLE}_refuses_{suffix}" for suffix in suffixes[connection.vendor]]

    def missing_here(self):
        return [name for name in storage_guards.missing(connection) if name in self.names()]

    def drop(self, name):
        execute(f"DROP TRIGGER {name}" + (f" ON {TABLE}" * (connection.vendor == "postgresql")))

    def test_migrating_has_installed_them(self):
        self.assertEqual(storage_guards.missing(connection), [])

    def test_each_guard_that_is_dropped_is_named_and_made_again(self):
        for name in self.names():
            with self.subTest(name):
                self.drop(name)
                self.assertEqual(self.missing_here(), [name])
                storage_guards.install(connection)
                self.assertEqual(storage_guards.missing(connection), [])

    def test_installing_twice_changes_nothing(self):
        with self.assertNumQueries(len(storage_guards.PROTECTED) if self.is_pg() else 1):
            storage_guards.install(connection)

    def is_pg(self):
        return connection.vendor == "postgresql"

    @on_sqlite
    def test_an_altered_trigger_is_named(self):
        self.drop(f"{TABLE}_refuses_update")
        execute(
            f"CREATE TRIGGER {TABLE}_refuses_update BEFORE UPDATE ON {TABLE} BEGIN SELECT 1; END"
        )
        self.assertEqual(self.missing_here(), [f"{TABLE}_refuses_update"])

    @on_postgresql
    def test_an_altered_or_disabled_trigger_is_named(self):
        rows, truncate = self.names()
        function = f"EXECUTE FUNCTION {storage_guards.FUNCTION}()"
        weaker = {
            "disabled": f"ALTER TABLE {TABLE} DISABLE TRIGGER {rows}",
            "not always": f"ALTER TABLE {TABLE} ENABLE TRIGGER {rows}",
            "one column": f"CREATE OR REPLACE TRIGGER {rows} BEFORE UPDATE OF kind OR DELETE "
            f"ON {TABLE} FOR EACH ROW {function}",
            "no delete": f"CREATE OR REPLACE TRIGGER {rows} BEFORE UPDATE ON {TABLE} "
            f"FOR EACH ROW {function}",
            "conditional": f"CREATE OR REPLACE TRIGGER {rows} BEFORE UPDATE OR DELETE ON {TABLE} "
            f"FOR EACH ROW WHEN (false) {function}",
        }
        for name, sql in weaker.items():
            with self.subTest(name):
                execute(sql)
                if not name.startswith(("disabled", "not")):
                    execute(f"ALTER TABLE {TABLE} ENABLE ALWAYS TRIGGER {rows}")
                self.assertEqual(self.missing_here(), [rows])
                storage_guards.install(connection)
                self.assertEqual(self.missing_here(), [])
        execute(storage_guards._function("BEGIN RETURN NEW; END"))
        self.assertEqual(self.missing_here(), [rows, truncate])

    def test_guards_are_made_again_after_migrate(self):
        for name in self.names():
            self.drop(name)
        call_command("migrate", "ledger", verbosity=0, skip_checks=True)
        self.assertEqual(storage_guards.missing(connection), [])

    def test_lifting_ends_with_the_guards_in_place(self):
        entries.record("policy", kind="a.b", actor="user:1")
        with storage_guards.lifted(connection):
            self.assertNotEqual(self.missing_here(), [])
            execute(f"DELETE FROM {TABLE}")
        self.assertEqual(storage_guards.missing(connection), [])
        with self.assertRaises(ZeroDivisionError), storage_guards.lifted(connection):
            raise ZeroDivisionError
        self.assertEqual(storage_guards.missing(connection), [])

    def test_the_database_check_warns(self):
        self.assertEqual(check_guards(databases=["default"]), [])
        self.drop(self.names()[0])
        (warning,) = check_guards(databases=["default"])
        self.assertIn(self.names()[0], warning.msg)
        self.assertIn(warning, checks.run_checks(tags=["database"], databases=["default"]))
        self.assertEqual(check_guards(databases=None), [])

    def test_an_unknown_database_is_refused(self):
        with mock.patch.object(connection, "vendor", "other"):
            for verb in (storage_guards.install, storage_guards.missing):
                with self.assertRaises(NotSupportedError):
                    verb(connection)
            with self.assertRaises(NotSupportedError), storage_guards.lifted(connection):
                pass


class OtherTableTests(TestCase):
    """A table of another app, with a text key and a place that is unique under a condition."""

    @isolate_apps("ledger")
    def setUp(self):
        class Seat(models.Model):  # noqa: DJ008
            code = models.CharField(max_length=10, primary_key=True)
            room = models.CharField(max_length=10)
            state = models.CharField(max_length=10)

            class Meta:
                app_label = "ledger"
                db_table = "other_seat"
                constraints = [
                    models.UniqueConstraint(
                        fields=["room"], condition=models.Q(state="100%"), name="one_full"
                    )
                ]

        execute(
            "CREATE TABLE other_seat (code varchar(10) PRIMARY KEY, room varchar(10), "
            "state varchar(10))"
        )
        execute("CREATE UNIQUE INDEX one_full ON other_seat (room) WHERE state = '100%'")
        protected = mock.patch.object(storage_guards, "PROTECTED", [*storage_guards.PROTECTED])
        protected.start()
        self.addCleanup(protected.stop)
        self.model = storage_guards.protect(Seat)

    def test_a_registered_table_is_guarded(self):
        self.assertTrue(any("other_seat" in n for n in storage_guards.missing(connection)))
        storage_guards.install(connection)
        self.assertEqual(storage_guards.missing(connection), [])
        execute("INSERT INTO other_seat VALUES ('a', 'r', '100%')")
        for sql in ("UPDATE other_seat SET room = 'x'", "DELETE FROM other_seat"):
            with self.subTest(sql), self.assertRaises(IntegrityError), transaction.atomic():
                execute(sql)

    @on_sqlite
    def test_replace_is_refused_in_each_unique_place(self):
        storage_guards.install(connection)
        execute("INSERT INTO other_seat VALUES ('a', 'r', '100%')")
        execute("INSERT INTO other_seat VALUES ('b', 'r', 'free')")  # does not compete
        execute("INSERT INTO other_seat VALUES ('c', 'r', 'free')")
        for sql in (
            "REPLACE INTO other_seat VALUES ('a', 'z', 'free')",
            "REPLACE INTO other_seat VALUES ('z', 'r', '100%')",
            "REPLACE INTO other_seat (rowid, code, room, state) VALUES (1, 'z', 'z', 'free')",
        ):
            with self.subTest(sql), self.assertRaises(IntegrityError), transaction.atomic():
                execute(sql)

    def test_a_table_that_is_not_there_yet_is_passed_over(self):
        execute("DROP TABLE other_seat")
        storage_guards.install(connection)
        self.assertTrue(any("other_seat" in n for n in storage_guards.missing(connection)))
