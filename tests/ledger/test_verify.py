"""The third level: whoever gets past Python and the database is found out."""

import json
import random
from io import StringIO
from unittest import mock

from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import TestCase, TransactionTestCase

from ledger import chain, entries, storage_guards, verify
from ledger.models import LedgerEntry, Stream
from ledger.verify import Problem, Result

from .test_storage_guards import TABLE, execute, on_sqlite


def tamper(sql, params=None):
    with storage_guards.lifted(connection):
        execute(sql, params)


def rewrite(entry, **changes):
    """Change an entry as somebody would who knows the format: columns, bytes and hash agree."""
    facts = json.loads(bytes(entry.canonical)) | changes
    data = chain.ledger_canonical(facts)
    columns = {name: facts[name] for name in ("kind", "actor", "object")}
    names = ", ".join(f"{name} = %s" for name in (*columns, "canonical", "hash"))
    values = [*columns.values(), data, chain.entry_hash(data), entry.pk]
    tamper(f"UPDATE {TABLE} SET {names} WHERE id = %s", values)


class VerifyTests(TestCase):
    def setUp(self):
        self.policy, self.auth = [], []
        for n in range(5):
            body = {"amount": "120.00", "n": n}
            self.policy.append(
                entries.record("policy", kind="policy.changed", actor="user:1", body=body)
            )
            self.auth.append(
                entries.record("auth", kind="auth.failed", actor="user:2", actor_name="Saül")
            )

    def assert_bad(self, entry, why, *, number=None):
        """The first bad entry is this one, for this reason."""
        report = verify.verify()
        self.assertIs(report.result, Result.TAMPERED)
        bad = report.first_bad
        self.assertEqual((bad.stream, bad.id), (entry.stream, None if number else entry.pk))
        self.assertEqual(bad.number, number or entry.number)
        self.assertIn(why, bad.why)

    def test_an_untouched_ledger_is_intact(self):
        report = verify.verify()
        self.assertIs(report.result, Result.INTACT)
        self.assertEqual((report.entries, report.streams), (10, 2))

    def test_every_column_is_compared_with_the_bytes(self):
        entry = self.policy[2]
        text = ("kind", "actor", "actor_name", "proposal", "agent", "run", "object", "stream")
        moved = "2020-01-01 00:00:00+00:00"
        for column, value in (dict.fromkeys(text, "forged") | {"number": 77, "at": moved}).items():
            with self.subTest(column), transaction.atomic():
                tamper(f"UPDATE {TABLE} SET {column} = %s WHERE id = %s", [value, entry.pk])
                report = verify.verify()
                self.assertEqual(report.first_bad.id, entry.pk)
                self.assertIn(f"column {column} ", report.first_bad.why)
                transaction.set_rollback(True)

    def test_changed_bytes_are_named(self):
        data = bytes(self.policy[2].canonical).replace(b"120.00", b"920.00")
        tamper(f"UPDATE {TABLE} SET canonical = %s WHERE id = %s", [data, self.policy[2].pk])
        self.assert_bad(self.policy[2], "its hash is not that of its bytes")

    def test_changed_hash_is_named(self):
        tamper(f"UPDATE {TABLE} SET hash = %s WHERE id = %s", [b"x" * 32, self.policy[2].pk])
        self.assert_bad(self.policy[2], "its hash is not that of its bytes")

    def test_a_forgery_that_agrees_with_itself_is_told_by_its_successor(self):
        rewrite(self.policy[2], actor="user:9", body={"amount": "920.00"})
        self.assert_bad(self.policy[3], "does not continue")

    def test_a_forged_last_entry_is_told_by_the_head(self):
        rewrite(self.policy[4], body={"amount": "920.00"})
        self.assert_bad(self.policy[4], "its head at 5 does not say so")

    def test_a_deleted_entry_is_told_by_its_successor(self):
        tamper(f"DELETE FROM {TABLE} WHERE id = %s", [self.policy[2].pk])
        self.assert_bad(self.policy[3], "number 4 follows 2")

    def test_a_deleted_first_entry_is_told_by_its_successor(self):
        tamper(f"DELETE FROM {TABLE} WHERE id = %s", [self.policy[0].pk])
        self.assert_bad(self.policy[1], "number 2 follows 0")

    def test_a_missing_tail_is_tampering(self):
        tamper(f"DELETE FROM {TABLE} WHERE stream = 'policy' AND number > 3")
        self.assert_bad(self.policy[3], "the tail is gone", number=4)

    def test_a_missing_stream_is_tampering(self):
        tamper(f"DELETE FROM {TABLE} WHERE stream = 'policy'")
        self.assert_bad(self.policy[4], "there are none", number=5)

    def test_a_stream_without_its_head_is_tampering(self):
        Stream.objects.filter(name="policy").delete()
        self.assert_bad(self.policy[0], "no head")

    def test_a_head_that_was_set_back_is_tampering(self):
        Stream.objects.filter(name="policy").update(
            ledger_number=4, ledger_hash=self.policy[3].hash
        )
        self.assert_bad(self.policy[4], "its head at 4 does not say so")

    def test_a_head_with_another_hash_is_tampering(self):
        Stream.objects.filter(name="policy").update(ledger_hash=b"x" * 32)
        self.assert_bad(self.policy[4], "its head at 5 does not say so")

    def test_an_entry_that_was_slipped_in_is_tampering(self):
        stale = Stream(name="policy", ledger_number=5, ledger_hash=self.policy[4].hash)
        forged = entries.append(chain=stale, kind="policy.changed", actor="user:9")
        self.assert_bad(forged, "its head at 5 does not say so")

    def test_a_forged_stream_is_tampering(self):
        forged = entries.append(chain=Stream(name="forged"), kind="a.b", actor="user:9")
        self.assert_bad(forged, "no head")

    def test_exchanged_entries_are_tampering(self):
        one, two = self.policy[1], self.policy[2]
        tamper(f"UPDATE {TABLE} SET id = -1 WHERE id = {one.pk}")
        tamper(f"UPDATE {TABLE} SET id = {one.pk} WHERE id = {two.pk}")
        tamper(f"UPDATE {TABLE} SET id = {two.pk} WHERE id = -1")
        self.assert_bad(LedgerEntry(id=one.pk, stream="policy", number=3), "its id is not above")

    def test_the_oldest_of_several_bad_entries_is_first(self):
        for entry in (self.auth[1], self.policy[3], self.auth[3]):
            tamper(f"UPDATE {TABLE} SET object = 'x' WHERE id = %s", [entry.pk])
        self.assert_bad(self.auth[1], "column object")
        self.assertEqual(verify.verify().problem_count, 3)

    def test_random_changes_of_bytes_are_all_found(self):
        seed = random.randrange(2**32)
        dice = random.Random(seed)
        for _ in range(200):
            entry = dice.choice(self.policy + self.auth)
            column = dice.choice(["canonical", "hash", "previous"])
            data = bytearray(getattr(entry, column) or b"\0")
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            if bytes(data) == getattr(entry, column):
                continue
            with self.subTest(seed=seed, entry=entry, column=column), transaction.atomic():
                tamper(f"UPDATE {TABLE} SET {column} = %s WHERE id = %s", [bytes(data), entry.pk])
                self.assertEqual(verify.verify().first_bad.id, entry.pk)
                transaction.set_rollback(True)

    @on_sqlite
    def test_values_of_another_kind_are_tampering(self):
        for column, value in {
            "at": "yesterday",
            "number": "one",
            "canonical": "text",
            "hash": "text",
            "previous": 7,
            "stream": b"bytes",
        }.items():
            with self.subTest(column), transaction.atomic():
                tamper(
                    f"UPDATE {TABLE} SET {column} = %s WHERE id = %s", [value, self.policy[2].pk]
                )
                self.assertIs(verify.verify().result, Result.TAMPERED)
                transaction.set_rollback(True)

    @on_sqlite
    def test_heads_of_another_kind_are_tampering(self):
        for column, value in {"ledger_number": "five", "ledger_hash": "text"}.items():
            with self.subTest(column), transaction.atomic():
                execute(f"UPDATE ledger_stream SET {column} = %s", [value])
                report = verify.verify()
                self.assertIs(report.result, Result.TAMPERED)
                self.assertIn("cannot be read", report.first_bad.why)
                transaction.set_rollback(True)


class RegisteredTests(TestCase):
    """What other apps register."""

    def setUp(self):
        for name in ("_head_providers", "_fact_checks"):
            patch = mock.patch.object(verify, name, [])
            patch.start()
            self.addCleanup(patch.stop)
        self.chain = Stream(name="proposal:1")  # never saved: its head is kept elsewhere
        with transaction.atomic():
            self.entry = entries.append(chain=self.chain, kind="a.b", actor="user:1")

    def heads(self):
        yield "proposal:1", self.chain.ledger_number, self.chain.ledger_hash
        yield "proposal:2", 0, b""

    def test_a_head_elsewhere_counts(self):
        self.assertIn("no head", verify.verify().first_bad.why)
        verify.register_heads(self.heads)
        self.assertIs(verify.verify().result, Result.INTACT)

    def test_a_head_elsewhere_is_compared(self):
        verify.register_heads(self.heads)
        self.chain.ledger_hash = b"x" * 32
        self.assertEqual(verify.verify().first_bad.id, self.entry.pk)
        self.chain.ledger_number = 2
        self.assertIn("the tail is gone", verify.verify().first_bad.why)

    def test_a_second_head_hides_nothing(self):
        """Else a deleted proposal's stream could be given a head of its own."""
        verify.register_heads(self.heads)
        Stream.objects.create(name="proposal:1", ledger_number=1, ledger_hash=self.entry.hash)
        self.assertIn("two heads", verify.verify().first_bad.why)

    def test_more_heads_than_a_batch_are_all_compared(self):
        for n in range(8):
            entries.record(f"agent:{n}", kind="a.b", actor="user:1")
        verify.register_heads(self.heads)
        with mock.patch.object(verify, "BATCH", 3):
            self.assertIs(verify.verify().result, Result.INTACT)
            Stream.objects.filter(name="agent:6").update(ledger_number=9)
            self.assertEqual(verify.verify().first_bad.stream, "agent:6")

    def test_facts_that_do_not_agree_are_tampering(self):
        verify.register_heads(self.heads)
        problem = Problem("proposal:1", 1, self.entry.pk, "revision 1 was changed")
        verify.register_facts(lambda: [problem])
        report = verify.verify()
        self.assertEqual((report.result, report.first_bad), (Result.TAMPERED, problem))


class CommandTests(TestCase):
    def setUp(self):
        self.entry = entries.record("policy", kind="a.b", actor="user:1")

    def run_command(self, *options):
        """Exit status and output."""
        out = StringIO()
        try:
            call_command("verify_ledger", *options, stdout=out)
        except CommandError as error:
            return error.returncode, out.getvalue()
        return 0, out.getvalue()

    def test_intact_is_0_and_says_what_was_not_checked(self):
        status, said = self.run_command()
        self.assertEqual(status, 0)
        self.assertIn("Intact.", said)
        self.assertIn("Not checked: The 1 entries that are not sealed yet", said)

    def test_tampered_is_1_and_names_the_entry(self):
        tamper(f"UPDATE {TABLE} SET kind = 'x'")
        status, said = self.run_command()
        self.assertEqual(status, 1)
        self.assertIn(f"Entry {self.entry.pk} (policy, number 1): column kind", said)

    def test_missing_guards_are_2_unless_tampering_is_found(self):
        name = f"{TABLE}_refuses_{'update' if connection.vendor == 'sqlite' else 'rows'}"
        execute(f"DROP TRIGGER {name}" + f" ON {TABLE}" * (connection.vendor == "postgresql"))
        status, said = self.run_command()
        self.assertEqual(status, 2)
        self.assertIn(name, said)
        execute(f"UPDATE {TABLE} SET kind = 'x'")
        self.assertEqual(self.run_command()[0], 1)

    def test_a_table_that_cannot_be_read_is_2(self):
        with transaction.atomic():
            execute("ALTER TABLE ledger_stream RENAME TO elsewhere")
            status, said = self.run_command()
            self.assertEqual(status, 2)
            self.assertIn("could not be read", said)
            transaction.set_rollback(True)

    def test_json_is_one_document(self):
        status, said = self.run_command("--json")
        report = json.loads(said)
        self.assertEqual((status, report["result"], report["entries"]), (0, "intact", 1))
        self.assertIsNone(report["first_bad"])
        tamper(f"UPDATE {TABLE} SET kind = 'x'")
        status, said = self.run_command("--json")
        self.assertEqual((status, json.loads(said)["first_bad"]["id"]), (1, self.entry.pk))


class SnapshotTests(TransactionTestCase):
    def test_what_is_written_meanwhile_is_not_mistaken_for_tampering(self):
        """Heads are read after entries; without one snapshot a busy ledger would look forged."""
        with transaction.atomic():
            entries.record("policy", kind="a.b", actor="user:1")
        with verify._snapshot(), connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SHOW transaction_isolation")
                self.assertEqual(cursor.fetchone()[0], "repeatable read")
                cursor.execute("SHOW transaction_read_only")
                self.assertEqual(cursor.fetchone()[0], "on")
            else:
                self.assertTrue(connection.connection.in_transaction)
                self.assertFalse(connection.in_atomic_block)
        self.assertIs(verify.verify().result, Result.INTACT)
        with transaction.atomic():  # the connection is as it was
            entries.record("policy", kind="a.b", actor="user:1")
        self.assertEqual(verify.verify().entries, 2)
