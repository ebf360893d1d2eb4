"""Appending: in the caller's transaction, in order, and never anything but adding."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from unittest import mock

from django.db import IntegrityError, NotSupportedError, connection, transaction
from django.db.transaction import TransactionManagementError
from django.test import TestCase, TransactionTestCase, skipUnlessDBFeature
from django.test.utils import CaptureQueriesContext

from ledger import chain, clock, entries
from ledger.models import LedgerEntry, Stream
from ledger.verify import Result, verify


def make_entry(stream="policy", kind="policy.changed", actor="user:1", **facts):
    return entries.record(stream, kind=kind, actor=actor, **facts)


class AppendTests(TestCase):
    def test_columns_say_what_the_bytes_say(self):
        entry = make_entry(
            actor_name="Rita",
            body={"amount": "120.00"},
            proposal="p",
            agent="a",
            run="r",
            object="orders/42",
        )
        entry.refresh_from_db()
        self.assertEqual(bytes(entry.hash), chain.entry_hash(bytes(entry.canonical)))
        self.assertEqual(entry.body, {"amount": "120.00"})
        self.assertEqual((entry.stream, entry.number, entry.actor_name), ("policy", 1, "Rita"))
        self.assertEqual(
            (entry.proposal, entry.agent, entry.run, entry.object), ("p", "a", "r", "orders/42")
        )

    def test_entries_of_a_stream_are_linked_and_numbered_from_one(self):
        first, other, second = make_entry(), make_entry("auth"), make_entry()
        self.assertEqual([first.number, other.number, second.number], [1, 1, 2])
        self.assertEqual((first.previous, second.previous), (b"", first.hash))
        head = Stream.objects.get(name="policy")
        self.assertEqual((head.ledger_number, bytes(head.ledger_hash)), (2, second.hash))

    def test_one_statement_inserts_the_entry_and_one_its_facets(self):
        head = Stream.objects.create(name="policy")
        with CaptureQueriesContext(
            connection,
        ) as queries:
            entries.append(chain=head, kind="a.b", actor="system:x", at=clock.now())
        self.assertEqual(len(queries) - 1, 2)  # the other asked for the time
        self.assertEqual((head.ledger_number, len(head.ledger_hash)), (1, 32))
        head.refresh_from_db()
        self.assertEqual(head.ledger_number, 0)  # saving is the caller's

    def test_a_given_moment_is_kept_to_the_microsecond(self):
        at = datetime(2026, 11, 22, 9, 58, 3, 120, tzinfo=UTC)
        entry = make_entry(at=at)
        entry.refresh_from_db()
        self.assertEqual(entry.at, at)

    def test_a_chain_that_was_not_read_under_lock_is_refused(self):
        head = Stream.objects.create(name="policy")
        stale = Stream.objects.get(name="policy")
        entries.append(chain=head, kind="a.b", actor="system:x")
        with self.assertRaises(IntegrityError), transaction.atomic():
            entries.append(chain=stale, kind="a.c", actor="system:x")

    def test_what_does_not_fit_is_refused_on_every_database(self):
        for facts in (
            {"kind": ""},
            {"actor": ""},
            {"actor": "x" * 101},
            {"object": "x" * 501},
            {"run": "a\0b"},
            {"proposal": 1},
            {"body": {"amount": 1.5}},
            {"body": ["no object"]},
            {"at": datetime(2026, 1, 1)},
        ):
            with self.subTest(facts=facts), self.assertRaises(ValueError):
                make_entry(**facts)
        self.assertFalse(LedgerEntry.objects.exists())

    def test_a_nul_in_the_body_is_kept_as_an_escape(self):
        entry = make_entry(body={"note": "a\0b"})
        entry.refresh_from_db()
        self.assertEqual(entry.body, {"note": "a\0b"})

    def test_string_method_holds_system_values_only(self):
        entry = make_entry(actor_name="<agent>", run="run")
        self.assertEqual(str(entry), f"{entry.pk} policy.changed")


class RefusalTests(TestCase):
    """The first of three levels; the others are the storage guards and the chain."""

    def setUp(self):
        self.entry = make_entry()

    def test_python_refuses_to_change_or_remove(self):
        entry = LedgerEntry.objects.get()
        entry.kind = "policy.forged"
        attempts = {
            "save": entry.save,
            "save fields": lambda: entry.save(update_fields=["kind"]),
            "delete": entry.delete,
            "update": lambda: LedgerEntry.objects.update(kind="x"),
            "queryset delete": lambda: LedgerEntry.objects.all().delete(),
            "bulk update": lambda: LedgerEntry.objects.bulk_update([entry], ["kind"]),
            "update or create": lambda: LedgerEntry.objects.update_or_create(
                {"kind": "x"}, pk=entry.pk
            ),
        }
        for name, attempt in attempts.items():
            with self.subTest(name), self.assertRaises(TypeError), transaction.atomic():
                attempt()
        self.assertEqual(LedgerEntry.objects.get().kind, "policy.changed")


class ClockTests(TestCase):
    def test_now_is_aware_utc_and_moves_within_a_transaction(self):
        first = clock.now()
        time.sleep(0.005)
        second = clock.now()
        self.assertEqual(first.utcoffset(), timedelta(0))
        self.assertLess(first, second)

    def test_now_is_asked_of_the_database_in_one_statement(self):
        with CaptureQueriesContext(connection) as queries, mock.patch("time.time", return_value=0):
            answer = clock.now()
        self.assertEqual(len(queries), 1)
        self.assertLess(abs(datetime.now(UTC) - answer), timedelta(minutes=1))

    def test_an_unknown_database_has_no_clock(self):
        with mock.patch.object(connection, "vendor", "other"):
            self.assertRaises(NotSupportedError, clock.now)


class TransactionTests(TransactionTestCase):
    def test_an_entry_outside_a_transaction_is_refused(self):
        with self.assertRaises(TransactionManagementError):
            make_entry()
        with self.assertRaises(TransactionManagementError):
            entries.append(chain=Stream(name="policy"), kind="a.b", actor="system:x")
        self.assertFalse(Stream.objects.exists())

    def test_an_entry_is_forgotten_with_the_fact_it_records(self):
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            make_entry()
            1 / 0  # noqa: B018
        self.assertFalse(LedgerEntry.objects.exists())
        self.assertFalse(Stream.objects.exists())

    @skipUnlessDBFeature("has_select_for_update")
    def test_writers_at_once_make_one_dense_stream(self):
        """Also the first entry: eight transactions find no stream and all want to make it."""

        def write(n):
            try:
                for stream in ("auth", f"agent:{n % 2}", "policy"):
                    with transaction.atomic():
                        make_entry(stream, body={"n": n})
            finally:
                connection.close()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(40)))
        self.assertEqual(LedgerEntry.objects.filter(stream="auth").count(), 40)
        report = verify()
        self.assertEqual((report.result, report.entries), (Result.INTACT, 120))
