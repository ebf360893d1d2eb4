"""Sealing: every entry once, in dense places, under one key, and never past a changed tree."""

import logging
import random
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import Queue

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from ledger import entries, keys, merkle, sealer, storage_guards, tree
from ledger.models import Checkpoint, Leaf, LedgerEntry, Node, Walk
from ledger.notes import SigningKey, open_note
from ledger.sealer import Horizon
from ledger.verify import Result, verify

on_postgresql = pytest.mark.skipif(
    "connection.vendor != 'postgresql'", reason="SQLite has one writer at a time"
)


@pytest.fixture(autouse=True)
def folder(settings, tmp_path, monkeypatch):
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(sealer, "_complaint", ("", 0.0))
    return tmp_path


def record(count=1, stream="policy"):
    with transaction.atomic():
        return [
            entries.record(stream, kind="policy.changed", actor="user:1", body={"n": n})
            for n in range(count)
        ]


def sealed_ids():
    return list(Leaf.objects.order_by("leaf_index").values_list("entry_id", flat=True))


def execute(sql, params=None):
    with storage_guards.lifted(connection), connection.cursor() as cursor:
        cursor.execute(sql, params)


def floor():
    return Walk.objects.filter(name="seal").values_list("position", flat=True).first() or 0


def settle(horizon=None, ticks=4):
    """Let a leader come to rest: its floor at the newest entry, its look-back at its end."""
    horizon = horizon or Horizon()
    for _ in range(ticks):
        sealer.tick(horizon)
    return horizon


def count_on_from(following):
    """Go on counting ids here, as where many transactions were rolled back."""
    if connection.vendor == "postgresql":
        execute(
            "SELECT setval(pg_get_serial_sequence('ledger_ledgerentry', 'id'), %s)", [following]
        )
    else:
        execute(
            "UPDATE sqlite_sequence SET seq = %s WHERE name = 'ledger_ledgerentry'", [following]
        )


def draw():
    """An id that somebody took, and under which nothing is to be seen yet."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT nextval(pg_get_serial_sequence('ledger_ledgerentry', 'id'))")
        else:
            which = "WHERE name = 'ledger_ledgerentry'"
            cursor.execute(f"UPDATE sqlite_sequence SET seq = seq + 1 {which}")
            cursor.execute(f"SELECT seq FROM sqlite_sequence {which}")
        return cursor.fetchone()[0]


def insert(pk):
    """An entry under an id of somebody's choice, as only somebody with the database can."""
    made = record(1, stream="outside")[0]
    execute("DELETE FROM ledger_facet WHERE entry_id = %s", [made.pk])
    execute("UPDATE ledger_ledgerentry SET id = %s WHERE id = %s", [pk, made.pk])
    return pk


@contextmanager
def effort() -> Iterator[list[int]]:
    """What the database did meanwhile: rows that it read, or steps of SQLite's machine."""
    spent = [0]
    if connection.vendor == "postgresql":
        before = rows_read()
        yield spent
        spent[0] = rows_read() - before
        return

    def count():
        spent[0] += 1
        return 0

    connection.ensure_connection()
    connection.connection.set_progress_handler(count, 10)
    try:
        yield spent
    finally:
        connection.connection.set_progress_handler(None, 0)


def rows_read():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(pg_stat_get_xact_tuples_returned(oid)) FROM pg_class "
            "WHERE relname LIKE 'ledger%' AND relkind IN ('r', 'i')"
        )
        return int(cursor.fetchone()[0])


def assert_intact():
    report = verify()
    assert report.result is Result.INTACT, (report.first_bad, report.unproven)
    return report


@pytest.mark.django_db
class TestSeal:
    def test_nothing_to_seal_is_none_and_makes_no_key(self, folder):
        assert sealer.seal() is None
        assert not list(folder.iterdir())

    def test_each_entry_gets_the_next_place_in_order_of_ids(self):
        record(3)
        first = sealer.seal()
        record(2, stream="auth")
        second = sealer.seal()
        ids = list(LedgerEntry.objects.order_by("pk").values_list("pk", flat=True))
        assert sealed_ids() == ids
        assert list(Leaf.objects.order_by("pk").values_list("pk", flat=True)) == list(range(6))
        assert (first.size, second.size) == (4, 6)  # the registration of the key is one of them
        assert_intact()

    def test_the_root_is_that_of_the_entries_and_the_note_says_so(self):
        record(20)
        checkpoint = sealer.seal()
        whole = merkle.Tree()
        for hash_ in LedgerEntry.objects.order_by("pk").values_list("hash", flat=True):
            whole.append(merkle.leaf_hash(bytes(hash_)))
        assert bytes(checkpoint.root) == whole.root()
        head, key = open_note(checkpoint.note, keys.verifying_keys())
        assert (head.size, head.root, head.at) == (21, whole.root(), checkpoint.at)
        assert key.id.hex() == checkpoint.key_id

    def test_a_limit_leaves_the_rest_for_the_next(self):
        record(5)
        assert sealer.seal(limit=4).size == 4
        assert sealer.seal(limit=4).size == 6
        assert sealer.seal() is None
        assert_intact()

    def test_any_batches_give_the_same_tree(self):
        """Peaks are read back from leaves and every fourth level: at all sizes, rightly."""
        record(600)
        whole, limits = merkle.Tree(), iter([1, 2, 3, 5, 8, 13, 16, 31, 64, 100, 256, 500, 1])
        while checkpoint := sealer.seal(limit=next(limits)):
            hashes = LedgerEntry.objects.order_by("pk").values_list("hash", flat=True)
            for hash_ in hashes[whole.size : checkpoint.size]:
                whole.append(merkle.leaf_hash(bytes(hash_)))
            assert bytes(checkpoint.root) == whole.root()
        assert whole.size == 601
        assert_intact()

    def test_the_stored_tree_proves_inclusion_and_consistency(self):
        record(70)
        roots = {}
        while checkpoint := sealer.seal(limit=9):
            roots[checkpoint.size] = bytes(checkpoint.root)
        size = max(roots)
        for leaf in Leaf.objects.all():
            proof = merkle.inclusion_proof(leaf.leaf_index, size, tree.lookup)
            assert merkle.is_included(bytes(leaf.hash), leaf.leaf_index, size, roots[size], proof)
        for first in roots:
            proof = merkle.consistency_proof(first, size, tree.lookup)
            assert merkle.is_consistent(first, roots[first], size, roots[size], proof)

    def test_tables_of_seals_are_guarded(self):
        record(20)
        sealer.seal()
        for model in (Leaf, Node, Checkpoint):
            assert model.objects.exists()
            table = model._meta.db_table
            for sql in (f"UPDATE {table} SET hash = hash", f"DELETE FROM {table}"):
                sql = sql.replace("hash", "root") if model is Checkpoint else sql
                with (
                    pytest.raises(IntegrityError, match="append-only"),
                    transaction.atomic(),
                    connection.cursor() as cursor,
                ):
                    cursor.execute(sql)
            with pytest.raises(TypeError):
                model.objects.first().delete()


@pytest.mark.django_db
class TestKey:
    def test_it_is_made_on_first_use_for_its_owner_alone(self, folder):
        record()
        sealer.seal()
        mode = (folder / "sealing_key").stat().st_mode
        assert stat.S_IMODE(mode) == 0o600
        assert sorted(path.name for path in folder.iterdir()) == ["sealing_key", "sealing_key.pub"]
        assert "PRIVATE" not in (folder / "sealing_key.pub").read_text()

    def test_it_is_registered_in_the_ledger_once(self):
        record()
        sealer.seal()
        record()
        sealer.seal()
        entry = LedgerEntry.objects.get(kind="seal.key_registered")
        assert entry.stream == "seal"
        assert entry.body == {"key": str(keys.verifying_keys()[0])}
        assert Leaf.objects.filter(entry_id=entry.pk).exists()

    def test_its_public_half_is_printed_and_where_there_is_none_that_is_said(self, folder, capsys):
        with pytest.raises(CommandError, match=r"No key was made yet in .*: the clock makes it"):
            call_command("sealing_key")
        record()
        sealer.seal()
        call_command("sealing_key")
        assert capsys.readouterr().out == (folder / "sealing_key.pub").read_text()
        (folder / "sealing_key.pub").unlink()
        with pytest.raises(CommandError, match="is missing: the clock writes it again"):
            call_command("sealing_key")
        assert capsys.readouterr().out == ""

    def test_two_that_start_at_once_share_one_key(self):
        with ThreadPoolExecutor(8) as pool:
            made = pool.map(lambda n: str(keys.signing_key(may_generate=True)), range(16))
        assert len(set(made)) == 1

    def test_a_missing_key_is_not_replaced_in_silence(self, folder):
        record()
        sealer.seal()
        (folder / "sealing_key").unlink()
        record()
        with pytest.raises(keys.KeyProblem, match="is missing"):
            sealer.seal()
        assert not (folder / "sealing_key").exists()

    @pytest.mark.parametrize(
        ("damage", "why"),
        [
            (lambda path: path.chmod(0o640), "read by others"),
            (lambda path: path.write_text("x"), "damaged"),
            (lambda path: path.write_bytes(b"\xff\xfe"), "damaged"),
        ],
    )
    def test_a_damaged_or_open_key_is_refused(self, folder, damage, why):
        keys.signing_key(may_generate=True)
        damage(folder / "sealing_key")
        with pytest.raises(keys.KeyProblem, match=why):
            keys.signing_key(may_generate=True)

    def test_a_replaced_key_goes_on_and_both_are_trusted(self, folder):
        record()
        sealer.seal()
        call_command("sealing_key", "--replace", verbosity=0)
        record()
        assert sealer.seal().size == 4
        assert len({checkpoint.key_id for checkpoint in Checkpoint.objects.all()}) == 2
        assert LedgerEntry.objects.filter(kind="seal.key_registered").count() == 2
        assert len(keys.verifying_keys()) == 2
        assert len(list(folder.glob("sealing_key.retired-*"))) == 1
        assert_intact()

    def test_the_key_of_another_log_does_not_seal(self, folder):
        record()
        sealer.seal()
        other = SigningKey("countersign/other", b"x" * 32)
        (folder / "sealing_key").write_text(other.secret())
        record()
        with pytest.raises(sealer.SealRefused, match="another log"):
            sealer.seal()
        assert str(other.public) not in (folder / "sealing_key.pub").read_text()

    def test_what_would_hinder_a_sealer_is_told_to_one_that_does_not_seal_yet(self, folder):
        assert sealer.hindrance() == ""
        assert not list(folder.iterdir()), "it makes no key"
        record()
        sealer.seal()
        assert sealer.hindrance() == ""
        keys.private_path().rename(folder / "kept")
        assert "is missing" in sealer.hindrance()
        keys.private_path().write_text(f"{SigningKey.generate('countersign/other').secret()}\n")
        keys.private_path().chmod(0o600)
        assert "is another key: copy the one" in sealer.hindrance()
        keys.private_path().chmod(0o644)
        assert "can be read by others" in sealer.hindrance()

    def test_a_retired_key_on_another_machine_is_told(self, folder):
        record()
        sealer.seal()
        former = keys.private_path().read_text()
        keys.replace()
        record()
        sealer.seal()
        assert sealer.hindrance() == ""
        keys.private_path().write_text(former)
        assert "is another key" in sealer.hindrance()

    def test_lost_public_keys_are_written_again(self, folder):
        record()
        sealer.seal()
        public = (folder / "sealing_key.pub").read_text()
        (folder / "sealing_key.pub").unlink()
        record()
        sealer.seal()
        assert (folder / "sealing_key.pub").read_text() == public


@pytest.mark.django_db
class TestRefusals:
    """The sealer does not sign over what somebody did to the stored tree."""

    @pytest.mark.parametrize(
        "sql",
        [
            "UPDATE ledger_leaf SET hash = %s WHERE leaf_index = 32",
            "UPDATE ledger_node SET hash = %s WHERE level = 4 AND position = 1",
            "DELETE FROM ledger_leaf WHERE hash <> %s AND leaf_index = 32",
            "UPDATE ledger_checkpoint SET note = replace(note, 'after 0', 'after 1') "
            "WHERE root <> %s",
            "DELETE FROM ledger_checkpoint WHERE root <> %s",
        ],
    )
    def test_a_changed_tree_is_not_continued(self, sql, caplog):
        record(32)
        sealer.seal()
        execute(sql, [b"x" * 32])
        record()
        with pytest.raises(sealer.SealRefused, match="verify_ledger"):
            sealer.seal()
        with caplog.at_level(logging.ERROR, "ledger.sealer"):
            sealer.tick(Horizon())
        assert "Sealing stopped" in caplog.text
        assert verify().result is Result.TAMPERED

    def test_somebody_elses_checkpoint_is_not_continued(self):
        record(3)
        forged = SigningKey("countersign/forged", b"x" * 32)
        own = keys.signing_key(may_generate=True)
        checkpoint = sealer.seal()
        head, _ = open_note(checkpoint.note, [own.public])
        execute("UPDATE ledger_checkpoint SET note = %s", [forged.sign(head.text())])
        record()
        with pytest.raises(sealer.SealRefused, match="no known key"):
            sealer.seal()


@pytest.mark.django_db
class TestTick:
    def test_it_seals_all_there_is_and_then_asks_once(self):
        record(5)
        horizon = Horizon()
        for _ in range(3):
            sealer.tick(horizon)
        assert len(sealed_ids()) == 6
        with CaptureQueriesContext(connection) as queries:
            sealer.tick(horizon)
        assert len(queries) == 1
        record()
        sealer.tick(horizon)
        assert len(sealed_ids()) == 7
        assert_intact()

    def test_a_backlog_is_taken_in_shares(self, monkeypatch):
        monkeypatch.setattr(sealer, "LIMIT", 10)
        monkeypatch.setattr(sealer, "BATCHES", 3)
        record(99)
        horizon, sizes = Horizon(), []
        for _ in range(5):
            sealer.tick(horizon)
            sizes.append(len(sealed_ids()))
        assert sizes == [30, 60, 90, 100, 100]
        assert_intact()

    def test_a_missing_key_is_logged_once_and_stops_nobody(self, folder, caplog):
        record()
        sealer.tick(Horizon())
        (folder / "sealing_key").unlink()
        record()
        with caplog.at_level(logging.ERROR, "ledger.sealer"):
            for _ in range(3):
                sealer.tick(Horizon())
        assert caplog.text.count("Sealing stopped") == 1
        record()

    def test_an_unwritable_folder_is_logged(self, settings, folder, caplog):
        settings.DATA_DIR = folder / "nowhere"
        record()
        with caplog.at_level(logging.ERROR, "ledger.sealer"):
            sealer.tick(Horizon())
        assert "Sealing stopped" in caplog.text

    def test_the_clock_seals(self):
        record(2)
        call_command("clock", "--once")
        assert len(sealed_ids()) == 3

    def test_a_table_that_shrank_is_asked_anew(self):
        settle()
        Walk.objects.update_or_create(name="seal", defaults={"position": 10**9})
        record()
        settle(Horizon(look_back_at=float("inf")))
        assert len(sealed_ids()) == 2
        assert floor() == LedgerEntry.objects.order_by("pk").last().pk
        settle(Horizon(ceiling=10**9, look_back_at=float("inf")))
        assert floor() < 10**9


@pytest.mark.django_db
class TestTheFloor:
    """What a tick looks at, and what it need not look at, however long the ledger is."""

    @pytest.fixture(autouse=True)
    def small_slices(self, monkeypatch):
        monkeypatch.setattr(sealer, "LOOK", 20, raising=False)
        monkeypatch.setattr(sealer, "LIMIT", 10)

    def dearest_tick(self, horizon=None, ticks=6):
        horizon, found = horizon or Horizon(), []
        for _ in range(ticks):
            record()
            with effort() as spent:
                sealer.tick(horizon)
            found += spent
        return max(found)

    def sealed(self, count):
        record(count)
        settle(ticks=count // 5 + 4)
        assert Leaf.objects.count() == LedgerEntry.objects.count()

    def test_a_new_leader_reads_no_more_of_a_longer_ledger(self):
        self.sealed(100)
        short = self.dearest_tick()
        self.sealed(1500)
        assert self.dearest_tick() < 2 * short

    def test_a_ledger_of_which_no_floor_is_known_is_taken_in_slices(self):
        """As after an upgrade: all is sealed, and nobody wrote down that it is."""
        self.sealed(100)
        Walk.objects.all().delete()
        short = self.dearest_tick()
        self.sealed(1500)
        Walk.objects.all().delete()
        horizon = Horizon()
        assert self.dearest_tick(horizon) < 2 * short
        assert Leaf.objects.count() == LedgerEntry.objects.count()  # what is new does not wait
        settle(horizon, ticks=1600 // 20 + 4)
        assert floor() == LedgerEntry.objects.order_by("pk").last().pk

    def test_is_known_to_the_next_leader(self):
        self.sealed(30)
        assert floor() == LedgerEntry.objects.order_by("pk").last().pk
        horizon = Horizon(look_back_at=float("inf"))
        with CaptureQueriesContext(connection) as queries:
            sealer.tick(horizon)
        assert len(queries) == 1

    def test_hides_nothing_for_good_that_was_put_below_it(self):
        self.sealed(100)
        newest = LedgerEntry.objects.order_by("pk").last().pk
        holes = [newest + n for n in (150, 120, 110)]
        count_on_from(newest + 200)
        self.sealed(20)
        for pk in holes:
            insert(pk)
        assert floor() > max(holes)
        horizon = Horizon()
        for _ in range(LedgerEntry.objects.count() // 20 + 8):
            sealer.tick(horizon)
        assert set(holes) <= set(sealed_ids())
        assert Leaf.objects.count() == LedgerEntry.objects.count()

    def test_is_doubted_again_and_again(self, monkeypatch):
        self.sealed(100)
        horizon = settle(ticks=12)
        with CaptureQueriesContext(connection) as queries:
            sealer.tick(horizon)
        assert len(queries) == 1  # between two rounds it rests
        horizon.look_back_at = 0.0
        place = []
        for _ in range(7):
            sealer.tick(horizon)
            place.append(Walk.objects.get(name="look_back").position)
        assert place[:4] == sorted(set(place[:4]))
        assert 0 in place

    def test_a_look_back_is_gone_on_with_by_the_next_leader(self):
        self.sealed(100)
        Walk.objects.filter(name="look_back").update(position=0)
        place = []
        for _ in range(4):
            sealer.tick(Horizon())
            place.append(Walk.objects.get(name="look_back").position)
        assert place == sorted(set(place))

    def test_does_not_pass_what_is_still_to_be_sealed(self):
        """More are missing in a slice than one batch takes: the floor stops at the last of it."""
        newest = record(70)[-1].pk
        sealer.seal(limit=1, floor=newest - 1)
        horizon = Horizon(look_back_at=float("inf"))
        for _ in range(20):
            sealer.tick(horizon)
            sealed = set(sealed_ids())
            below = LedgerEntry.objects.filter(pk__lte=floor()).values_list("pk", flat=True)
            assert set(below) <= sealed
        assert Leaf.objects.count() == LedgerEntry.objects.count()
        assert_intact()

    def test_rises_also_where_writers_never_pause(self, monkeypatch):
        record()
        horizon, sign = settle(Horizon(look_back_at=float("inf"))), sealer._sign

        def sign_while_others_write(*args, **kwargs):
            record()
            return sign(*args, **kwargs)

        monkeypatch.setattr(sealer, "_sign", sign_while_others_write)
        record()
        before = floor()
        settle(horizon)
        assert floor() > before
        assert LedgerEntry.objects.count() - Leaf.objects.count() <= 1

    @pytest.mark.parametrize("seed", range(4))
    def test_never_passes_an_id_that_is_still_to_come(self, seed, monkeypatch):
        """Whoever draws ids, commits late or never, and takes the lead, in whatever order."""
        chance, open_ids = random.Random(seed), set()
        steps = ["record", "draw", "commit", "rollback", "lead", *["tick"] * 3]
        monkeypatch.setattr(sealer, "LOOK", 5)
        monkeypatch.setattr(sealer, "LIMIT", 4)
        monkeypatch.setattr(sealer, "_writers", lambda: {str(pk) for pk in open_ids})
        record()
        horizon = Horizon(look_back_at=float("inf"))
        for _ in range(120):
            match chance.choice(steps):
                case "record":
                    record(chance.randrange(1, 8))
                case "draw":
                    open_ids.add(draw())
                case "commit" if open_ids:
                    pk = chance.choice(sorted(open_ids))
                    insert(pk)
                    open_ids.remove(pk)
                case "rollback" if open_ids:
                    open_ids.remove(chance.choice(sorted(open_ids)))
                case "lead":
                    horizon = Horizon(look_back_at=float("inf"))
                case _:
                    sealer.tick(horizon)
            assert floor() < min(open_ids, default=float("inf"))
            below = LedgerEntry.objects.filter(pk__lte=floor()).values_list("pk", flat=True)
            assert set(below) <= set(sealed_ids())
        open_ids.clear()
        settle(horizon, ticks=LedgerEntry.objects.count())
        assert Leaf.objects.count() == LedgerEntry.objects.count()
        assert floor() == LedgerEntry.objects.order_by("pk").last().pk


class Writer:
    """A transaction in another thread that appends when told and commits when told."""

    def __init__(self, stream):
        self.stream, self.orders, self.answers = stream, Queue(), Queue()
        self.pool = ThreadPoolExecutor(1)
        self.done = self.pool.submit(self.work)
        self.entry_id = self.answers.get(timeout=20)

    def work(self):
        try:
            with transaction.atomic():
                self.answers.put(record(1, stream=self.stream)[0].pk)
                if self.orders.get(timeout=20) == "roll back":
                    transaction.set_rollback(True)
        finally:
            connection.close()

    def end(self, how):
        self.orders.put(how)
        self.done.result(timeout=20)
        self.pool.shutdown()


@on_postgresql
@pytest.mark.django_db(transaction=True)
class TestLateEntries:
    def test_a_lower_id_that_commits_later_is_sealed_after_the_higher(self):
        record()
        horizon = Horizon()
        for _ in range(3):
            sealer.tick(horizon)
        late = Writer("late")
        higher = record()[0].pk
        assert higher > late.entry_id
        for _ in range(5):  # however often it looks, it does not give the id up
            sealer.tick(horizon)
            record()
        sealed = sealed_ids()
        assert higher in sealed
        assert late.entry_id not in sealed
        assert floor() < late.entry_id
        late.end("commit")
        sealer.tick(horizon)
        assert late.entry_id in sealed_ids()
        for _ in range(3):
            sealer.tick(horizon)
        assert floor() == LedgerEntry.objects.order_by("pk").last().pk
        assert_intact()

    def test_an_id_that_was_rolled_back_is_not_waited_for(self):
        record()
        horizon = Horizon()
        gone = Writer("gone")
        record()
        sealer.tick(horizon)
        gone.end("roll back")
        for _ in range(4):
            sealer.tick(horizon)
        assert floor() > gone.entry_id
        assert len(sealed_ids()) == 3
        assert_intact()

    def test_writers_that_overlap_without_end_do_not_hold_the_floor(self):
        record()
        horizon = Horizon()
        last = Writer("chain-0")
        for n in range(1, 6):
            following = Writer(f"chain-{n}")  # begins before the one before it ends
            last.end("commit")
            last = following
            sealer.tick(horizon)
        assert floor() > 0
        last.end("commit")
        for _ in range(4):
            sealer.tick(horizon)
        assert len(sealed_ids()) == LedgerEntry.objects.count()

    def test_one_that_never_ends_hides_no_other_however_much_is_written(self, monkeypatch):
        monkeypatch.setattr(sealer, "LOOK", 5)
        record()
        horizon = settle(Horizon(look_back_at=float("inf")))
        stuck, late = Writer("stuck"), Writer("late")
        for _ in range(12):
            record(3)
            sealer.tick(horizon)
        late.end("commit")
        for _ in range(10):
            sealer.tick(horizon)
        assert late.entry_id in sealed_ids()
        assert floor() < stuck.entry_id
        stuck.end("commit")
        settle(horizon, ticks=12)
        assert floor() == LedgerEntry.objects.order_by("pk").last().pk
        assert_intact()

    def test_one_seals_at_a_time(self):
        record(3)
        with ThreadPoolExecutor(1) as pool:

            def other():
                try:
                    return sealer.seal()
                finally:
                    connection.close()

            with transaction.atomic():
                assert sealer.seal().size == 4
                record()
                assert pool.submit(other).result(timeout=20) is None
        assert sealer.seal().size == 5
        assert_intact()


@pytest.mark.django_db(transaction=True)
def test_many_sealers_and_writers_leave_one_dense_tree():
    def write(n):
        try:
            for _ in range(15):
                record(1, stream=f"stream-{n}")
        finally:
            connection.close()

    def keep_sealing(n):
        horizon = Horizon()
        try:
            for _ in range(25):
                sealer.tick(horizon)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        jobs = [pool.submit(job, n) for n in range(3) for job in (write, keep_sealing)]
        for job in jobs:
            job.result(timeout=60)
    while sealer.seal():
        pass
    report = assert_intact()
    assert report.sealed == report.entries == 46


@pytest.mark.django_db
def test_a_sealer_that_dies_before_it_commits_leaves_nothing(monkeypatch):
    record(3)

    def die(*args, **kwargs):
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(sealer, "_sign", die)
        with pytest.raises(RuntimeError):
            sealer.seal()
    assert not Leaf.objects.exists()
    assert not LedgerEntry.objects.filter(stream="seal").exists()
    assert sealer.seal().size == 4
