"""Whoever owns the database is found out, as long as the key or a checkpoint is elsewhere."""

import json
import os
import random
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from ledger import clock, entries, keys, sealer, storage_guards
from ledger.models import Checkpoint, Leaf, LedgerEntry, Node, Stream
from ledger.notes import SigningKey
from ledger.verify import Result, verify

from .forgery import Forger, chained, execute, reseal, set_head

MUTATIONS = int(os.environ.get("LEDGER_MUTATIONS", "200"))
STREAMS = ("policy", "auth", "agent:1")

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    return tmp_path


def record(stream="policy", at=None):
    with transaction.atomic():
        body = {"note": "Saül", "n": LedgerEntry.objects.count()}
        return entries.record(stream, kind="a.b", actor="user:1", at=at, body=body)


@pytest.fixture
def ledger():
    """Three streams, forty entries, sealed at five sizes."""
    for n in range(40):
        record(STREAMS[n % 3])
        if n in (0, 9, 17, 30, 39):
            newest = sealer.seal()
    return newest


def run(*options):
    """Exit status and output of the command."""
    out = StringIO()
    try:
        call_command("verify_ledger", *options, stdout=out)
    except CommandError as error:
        return error.returncode, out.getvalue() + str(error)
    return 0, out.getvalue()


def tampered(sql, params=None, **given):
    """Why verification fails after a change behind its back, first problem first."""
    with storage_guards.lifted(connection):
        execute(sql, params)
    report = verify(**given)
    assert report.result is Result.TAMPERED
    return str(report.first_bad)


def test_a_sealed_ledger_is_intact(ledger):
    report = verify()
    assert report.result is Result.INTACT
    assert (report.entries, report.sealed, report.checkpoints, report.unsealed) == (41, 41, 5, 0)
    assert report.newest_checkpoint.startswith("41 of 2")


def test_a_sealed_ledger_is_intact_to_whoever_kept_a_checkpoint_and_the_key(ledger, folder):
    notes = list(Checkpoint.objects.values_list("note", flat=True))
    report = verify(keys=keys.verifying_keys(), checkpoints=notes)
    assert report.result is Result.INTACT
    assert len(report.not_checked) == 1  # whether the entries are true


def test_every_mutation_is_found(ledger):
    """P28. Any one change of what is sealed, clumsy or skilful, by whoever lacks the key."""
    seed = random.randrange(2**32)
    pinned, trusted = [ledger.note], keys.verifying_keys()
    forger = Forger(random.Random(seed))
    missed = []
    for number in range(MUTATIONS):
        with transaction.atomic():
            with storage_guards.lifted(connection):
                done = forger.mutate()
            if verify(keys=trusted, checkpoints=pinned).result is not Result.TAMPERED:
                missed.append(f"{number} {done}")
            transaction.set_rollback(True)
    assert not missed, f"seed {seed}"
    assert verify(keys=trusted, checkpoints=pinned).result is Result.INTACT


@pytest.mark.parametrize("depth", [0, 1, 2, 3, 4])
def test_a_perfect_rewriting_is_found_at_every_depth(ledger, depth):
    """Entry, chain, head, leaf, nodes, roots and even another signature all agree."""
    forger = Forger(random.Random(depth))
    forger.dice.randrange = lambda *args, plain=forger.dice.randrange: (
        depth if args == (5,) else plain(*args)
    )
    with storage_guards.lifted(connection):
        forger.do_rewrite_an_entry()
    report = verify()
    assert report.result is Result.TAMPERED
    why = ["not what was sealed", "leaves", "its root is not", "not that of its text", "no known"]
    problems = " ".join(str(problem) for problem in report.problems)
    if depth != 1:
        assert why[depth] in problems


class TestProblemsAreNamed:
    def test_a_changed_entry(self, ledger):
        entry = LedgerEntry.objects.get(stream="auth", number=13)
        with storage_guards.lifted(connection):
            forged = entry.hash[:31] + bytes([entry.hash[31] ^ 1])
            execute("UPDATE ledger_ledgerentry SET hash = %s WHERE id = %s", [forged, entry.pk])
            set_head("auth")
        why = [str(problem) for problem in verify().problems]
        place = f"Entry {entry.pk} (auth, number 13): "
        assert place + "its hash is not that of its bytes." in why
        assert place + f"it is not what was sealed as leaf {leaf_of(entry)}." in why

    def test_a_removed_entry(self, ledger):
        assert "number" in tampered("DELETE FROM ledger_ledgerentry WHERE number = 2")
        assert any("which was sealed, is gone" in problem.why for problem in verify().problems)

    def test_a_removed_leaf(self, ledger):
        assert "Leaf 7: leaf 8 is in its place" in tampered(
            "DELETE FROM ledger_leaf WHERE leaf_index = 7"
        )

    def test_a_removed_last_leaf(self, ledger):
        assert "Checkpoint 41: it counts more leaves than there are, 40" in tampered(
            "DELETE FROM ledger_leaf WHERE leaf_index = 40"
        )

    def test_a_removed_checkpoint(self, ledger):
        size = list(Checkpoint.objects.order_by("size"))[2].size
        why = tampered("DELETE FROM ledger_checkpoint WHERE size = %s", [size])
        assert f"it follows checkpoint {size}" in why

    def test_a_removed_newest_checkpoint(self, ledger):
        assert "no checkpoint covers it" in tampered(
            "DELETE FROM ledger_checkpoint WHERE size = 41"
        )

    def test_all_checkpoints_removed(self, ledger):
        assert "Leaf 0: no checkpoint covers it" in tampered("DELETE FROM ledger_checkpoint")

    def test_a_changed_node(self, ledger):
        why = tampered("UPDATE ledger_node SET hash = %s WHERE position = 1", [b"x" * 32])
        assert "its stored node 4, 1 is not the one computed" in why

    def test_a_node_too_many(self, ledger):
        Node(level=8, position=0, hash=b"x" * 32).save(force_insert=True)
        assert "goes beyond the last leaf" in str(verify().first_bad)

    def test_one_wrong_root_is_said_once(self, ledger):
        with storage_guards.lifted(connection):
            execute("DELETE FROM ledger_ledgerentry WHERE number = 2 AND stream = 'policy'")
            reseal(2)
        roots = [p for p in verify().problems if "its root is not that" in p.why]
        assert len(roots) == 1

    @pytest.mark.skipif("connection.vendor != 'sqlite'", reason="columns have types elsewhere")
    @pytest.mark.parametrize(
        "sql",
        [
            "UPDATE ledger_leaf SET hash = 'text' WHERE leaf_index = 5",
            "UPDATE ledger_leaf SET hash = 7 WHERE leaf_index = 5",
            "UPDATE ledger_leaf SET leaf_index = 'text' WHERE leaf_index = 5",
            "UPDATE ledger_checkpoint SET at = 'yesterday' WHERE size = 41",
            "UPDATE ledger_checkpoint SET root = 'text' WHERE size = 41",
            "UPDATE ledger_node SET position = 'one' WHERE position = 1",
        ],
    )
    def test_values_of_another_kind(self, ledger, sql):
        with storage_guards.lifted(connection):
            execute("PRAGMA ignore_check_constraints = 1")
            execute(sql)
            execute("PRAGMA ignore_check_constraints = 0")
        assert verify().result is Result.TAMPERED


def leaf_of(entry):
    return Leaf.objects.get(entry_id=entry.pk).leaf_index


class TestPinned:
    """P29. With one checkpoint outside, no older and no other log passes."""

    @pytest.fixture
    def pinned(self, ledger, tmp_path):
        path = tmp_path / "kept.txt"
        path.write_text(ledger.note)
        return path

    def test_it_may_have_grown_since(self, pinned):
        record()
        sealer.seal()
        assert run("--checkpoint", str(pinned))[0] == 0

    def test_an_older_log_is_tampering(self, pinned):
        with storage_guards.lifted(connection):
            Forger(random.Random(1)).do_go_back_in_time()
        assert run()[0] == 0  # nothing inside tells, which is why checkpoints are kept outside
        status, said = run("--checkpoint", str(pinned))
        assert status == 1
        assert "the ledger is older than this checkpoint" in said

    def test_an_older_log_that_was_sealed_on_is_tampering(self, pinned):
        with storage_guards.lifted(connection):
            Forger(random.Random(1)).do_go_back_in_time()
        for _ in range(50):
            record()
        sealer.seal()
        assert run()[0] == 0
        status, said = run("--checkpoint", str(pinned))
        assert status == 1
        assert "is not the one of the checkpoint kept elsewhere" in said

    def test_another_history_under_the_same_key_is_tampering(self, pinned):
        """Even who has stolen the key cannot take back a checkpoint that others hold."""
        for model in ("ledgerentry", "leaf", "node", "checkpoint"):
            with storage_guards.lifted(connection):
                execute(f"DELETE FROM ledger_{model}")
        execute("DELETE FROM ledger_stream")
        for _ in range(60):
            record()
        sealer.seal()
        assert run()[0] == 0
        assert run("--checkpoint", str(pinned))[0] == 1

    def test_an_exchanged_key_is_tampering(self, pinned, folder):
        """New key, new seals and new public key in the folder: the kept checkpoint tells."""
        other = SigningKey("countersign/other", b"o" * 32)
        (folder / "sealing_key.pub").write_text(f"{other.public}\n")
        assert run()[0] == 1
        status, said = run("--checkpoint", str(pinned))
        assert status == 1
        assert "The checkpoint kept elsewhere: no known key has signed it" in said

    def test_a_kept_key_tells_another_from_the_folders(self, pinned, folder, tmp_path):
        kept = tmp_path / "kept.pub"
        kept.write_text((folder / "sealing_key.pub").read_text())
        assert run("--key", str(kept), "--checkpoint", str(pinned))[0] == 0
        kept.write_text(str(SigningKey("countersign/other", b"o" * 32).public))
        assert run("--key", str(kept))[0] == 1

    def test_an_altered_copy_is_refused(self, pinned):
        pinned.write_text(pinned.read_text().replace("\n41\n", "\n40\n"))
        assert run("--checkpoint", str(pinned))[0] == 1

    def test_files_that_are_not_there_are_wrong_use(self, pinned, tmp_path):
        assert run("--checkpoint", str(tmp_path / "none"))[0] == 3
        (tmp_path / "notes.txt").write_text("A page of notes.\n")
        status, said = run("--checkpoint", str(tmp_path / "notes.txt"))
        assert status == 3
        assert "notes.txt is no checkpoint" in said
        assert "TAMPERED" not in said
        assert run("--checkpoint=")[0] == run("--key=")[0] == 3
        assert run("--key", str(tmp_path / "none"))[0] == 3
        assert run("--key", str(pinned))[0] == 3


class TestFreshness:
    def test_fresh_entries_may_wait(self, ledger):
        record()
        status, said = run()
        assert status == 0
        assert "Not checked: The 1 entries that are not sealed yet" in said

    def test_an_entry_beyond_the_limit_is_incomplete(self, ledger):
        record(at=clock.now() - timedelta(seconds=61))
        record()
        status, said = run()
        assert status == 2
        assert "1 entries are unsealed beyond the limit of 30 s" in said
        sealer.seal()
        assert run()[0] == 0

    def test_the_limit_is_a_setting(self, ledger, settings):
        settings.UNSEALED_LIMIT_SECONDS = 3600
        record(at=clock.now() - timedelta(seconds=61))
        assert run()[0] == 0

    def test_a_clock_that_never_ran_is_incomplete(self):
        record(at=clock.now() - timedelta(minutes=2))
        status, said = run()
        assert status == 2
        assert "is the clock running?" in said

    def test_an_entry_that_the_sealer_passed_over_is_found(self, ledger):
        """A low id without a leaf, beneath many that have one."""
        with storage_guards.lifted(connection):
            for entry in chained_stream_with_low_id():
                entry.save(force_insert=True)
        status, said = run()
        assert status == 2
        assert "unsealed beyond the limit" in said

    def test_tampering_comes_before_staleness(self, ledger):
        record(at=clock.now() - timedelta(minutes=2))
        tampered("UPDATE ledger_leaf SET hash = %s WHERE leaf_index = 3", [b"x" * 32])
        assert run()[0] == 1


def chained_stream_with_low_id():
    first = LedgerEntry.objects.order_by("pk").first()
    said = json.loads(bytes(first.canonical)) | {
        "stream": "late",
        "at": "2020-01-01T00:00:00.000000Z",
    }
    (entry,) = chained([(first.pk - 1000, said)])
    Stream.objects.create(name="late", ledger_number=1, ledger_hash=entry.hash)
    return [entry]


class TestKeys:
    def test_without_a_public_key_nothing_is_proven(self, ledger, folder):
        (folder / "sealing_key.pub").unlink()
        status, said = run()
        assert status == 2
        assert "no public key" in said

    def test_a_damaged_public_key_is_incomplete(self, ledger, folder):
        (folder / "sealing_key.pub").write_text("x")
        status, said = run()
        assert status == 2
        assert "holds no public keys" in said

    def test_what_was_not_checked_follows_from_what_was_given(self, ledger, folder, tmp_path):
        said = run()[1]
        assert "--key" in said
        assert "--checkpoint" in said
        kept = tmp_path / "kept.txt"
        kept.write_text(ledger.note)
        said = run("--key", str(folder / "sealing_key.pub"), "--checkpoint", str(kept))[1]
        assert "--key" not in said
        assert "--checkpoint" not in said
        assert "Not checked: Whether what the entries say was true" in said

    def test_json_says_it_too(self, ledger):
        status, said = run("--json")
        report = json.loads(said)
        assert (status, report["sealed"], report["unsealed"]) == (0, 41, 0)
        assert any("--checkpoint" in line for line in report["not_checked"])
