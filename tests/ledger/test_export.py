"""An export holds what its manifest says, proves itself offline, and any change of it shows."""

import csv
import io
import json
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client
from django.urls import reverse

from ledger import clock, entries, export, keys, merkle, offline_verify, sealer, tree
from ledger.export import ExportRefused, gaps
from ledger.finding import BadFilter, Filters
from ledger.models import Access, Checkpoint, Leaf, LedgerEntry
from ledger.notes import SigningKey

pytestmark = pytest.mark.django_db
HIDDEN = "\u202e"
EXPORT = reverse("admin:ledger_ledgerentry_export")


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.DATA_DIR = tmp_path / "data"
    settings.DATA_DIR.mkdir()
    return tmp_path


@pytest.fixture
def ledger():
    """Forty sealed entries in four streams, and two that are not sealed."""
    for number in range(40):
        record(number)
    sealer.seal()
    record(40)
    record(41)


def record(number, **facts):
    facts = {"object": f"orders/{number % 5}", "body": {"reason": f"ticket {number}"}} | facts
    with transaction.atomic():
        return entries.record(f"policy{number % 4}", kind="a.b", actor="user:1", **facts)


def made(**given):
    """The bytes of an export by these filters, over all time unless they say otherwise."""
    filters = Filters.parse({"at": "all"} | given, clock.now())
    started = export.start(filters=filters, actor="user:1", actor_name="Alma", reason="The audit.")
    return b"".join(export.archive(started))


def opened(data):
    return zipfile.ZipFile(io.BytesIO(data))


def manifest_of(data):
    return json.loads(opened(data).read("manifest.json"))


def rows_of(data):
    text = opened(data).read("entries.csv").decode()
    return list(csv.DictReader(io.StringIO(text)))


def lines_of(data, name="entries.jsonl"):
    return [json.loads(line) for line in opened(data).read(name).splitlines()]


def checked(folder, data, *options):
    """What the stand-alone program says of an archive: its exit status and words."""
    path = folder / "export.zip"
    path.write_bytes(data)
    program = folder / "verify.py"
    program.write_bytes(opened(data).read("verify.py"))
    done = subprocess.run(
        [sys.executable, "-I", program, path, *options], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def kept_key(folder):
    path = folder / "kept.pub"
    path.write_text("\n".join(map(str, keys.verifying_keys())) + "\n")
    return "--key", path


def changed(data, **files):
    """The archive with some files replaced, and a manifest that agrees with the new ones."""
    import hashlib

    result, bundle = io.BytesIO(), opened(data)
    contents = {name: bundle.read(name) for name in bundle.namelist()}
    contents |= {name.replace("__", "."): content for name, content in files.items()}
    manifest = json.loads(contents["manifest.json"])
    for name in manifest["files"]:
        digest = hashlib.sha256(contents[name]).hexdigest()
        manifest["files"][name] = {"bytes": len(contents[name]), "sha256": digest}
    if "manifest__json" not in files:
        contents["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(result, "w") as written:
        for name, content in contents.items():
            written.writestr(name, content)
    return result.getvalue()


class TestTheArchive:
    def test_holds_exactly_what_the_filter_means_and_the_manifest_says(self, ledger):
        data = made(object="orders/3")
        told, wanted = manifest_of(data), LedgerEntry.objects.filter(object="orders/3")
        assert told["count"] == len(lines_of(data)) == len(rows_of(data)) == 8
        assert {line["entry"] for line in lines_of(data)} == {
            *wanted.filter(pk__in=Leaf.objects.values("entry_id")).values_list("pk", flat=True)
        }
        assert told["filters"] == {"object": "orders/3"}
        assert told["filters_in_words"] == ["Object: orders/3"]
        assert told["made_by"] == {"actor": "user:1", "name": "Alma"}
        assert told["reason"] == "The audit."
        assert told["first"]["entry"] == lines_of(data)[0]["entry"]
        assert told["last"]["entry"] == lines_of(data)[-1]["entry"]

    def test_stops_at_the_sealed_position_and_counts_what_it_left_out(self, ledger):
        data = made()
        told, size = manifest_of(data), Checkpoint.objects.latest("size").size
        assert told["sealed"]["size"] == size == told["count"]
        # The two that were recorded last, and the entry about this export.
        assert told["left_out_because_not_yet_sealed"] == 3
        assert max(line["leaf"] for line in lines_of(data)) == size - 1

    def test_is_the_same_over_many_pages(self, ledger, monkeypatch):
        whole = made()
        monkeypatch.setattr(export, "BATCH", 3)
        assert lines_of(made()) == lines_of(whole)
        assert checked_tree(made())

    def test_holds_canonical_bytes_and_no_hidden_character(self):
        record(1, object=f"orders/{HIDDEN}", body={"reason": f"x{HIDDEN}y\x1b"})
        sealer.seal()
        data = made()
        for name in ("entries.jsonl", "entries.csv", "manifest.json"):
            assert HIDDEN not in opened(data).read(name).decode(), name
        entry = LedgerEntry.objects.get(kind="a.b")
        [line] = [each for each in lines_of(data) if each["entry"] == entry.pk]
        assert line["canonical"].encode() == bytes(entry.canonical)
        [row] = [each for each in rows_of(data) if each["entry"] == str(entry.pk)]
        assert row["object"] == "orders/\\u202e"
        assert row["reason"] == "x\\u202ey\\x1b"

    @pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
    def test_no_cell_is_a_formula(self, start):
        record(1, object=f"{start}1+1", run=f"{start}cmd", body={"reason": f"{start}HYPERLINK()"})
        sealer.seal()
        row = next(each for each in rows_of(made()) if each["event"] == "a.b")
        for name in ("object", "run", "reason"):
            assert row[name].startswith("'"), row[name]

    def test_making_it_is_told_before_and_after(self, ledger):
        data = made(object="orders/3")
        started, done = LedgerEntry.objects.filter(stream="export").order_by("number")
        assert (started.kind, done.kind) == ("export.started", "export.completed")
        assert started.body["reason"] == "The audit."
        assert started.body["filters"] == {"object": "orders/3"}
        digests = {
            name: f"sha256:{each['sha256']}" for name, each in manifest_of(data)["files"].items()
        }
        assert done.body["files"] == digests
        assert done.body["count"] == 8

    def test_is_refused_without_a_reason_a_seal_or_a_meaning(self, ledger):
        filters = Filters.parse({"at": "all"}, clock.now())
        who = {"actor": "user:1", "actor_name": ""}
        for reason in ("", "  ", "x" * 501):
            with pytest.raises(ExportRefused):
                export.start(filters=filters, reason=reason, **who)
        vague = Filters.parse({"q": "refund"}, clock.now())
        with pytest.raises(BadFilter):
            export.start(filters=vague, reason="The audit.", **who)
        assert not LedgerEntry.objects.filter(stream="export").exists()

    def test_is_refused_while_nothing_is_sealed(self):
        record(1)
        with pytest.raises(ExportRefused, match="Nothing is sealed yet"):
            made()


def checked_tree(data):
    """Whether the entries and the hashes between them give the root of the checkpoint."""
    with opened(data) as bundle:
        lines = [str(key) for key in keys.verifying_keys()]
        return offline_verify.verify(bundle, lines)["count"] > 0


class TestTheStandAloneProgram:
    def test_accepts_a_good_export(self, ledger, folder):
        for filters in ({}, {"object": "orders/3"}, {"q": "entry:7"}, {"object": "no/such"}):
            status, said = checked(folder, made(**filters), *kept_key(folder))
            assert (status, "intact" in said) == (0, True), said

    def test_says_when_the_key_came_with_the_export(self, ledger, folder):
        status, said = checked(folder, made())
        assert status == offline_verify.UNPROVEN
        assert "Pass the one you keep" in said

    @pytest.mark.parametrize(
        "name", ["entries.jsonl", "entries.csv", "tree.jsonl", "checkpoint.txt"]
    )
    def test_refuses_one_flipped_bit_anywhere(self, ledger, folder, name):
        """Even where the manifest was made to agree with it."""
        data, dice = made(object="orders/3"), random.Random(name)
        for _ in range(6):
            content = bytearray(opened(data).read(name))
            place = dice.randrange(len(content))
            content[place] ^= 1 << dice.randrange(7)
            plain = changed(data, **{name.replace(".", "__"): bytes(content)})
            lines = [str(key) for key in keys.verifying_keys()]
            if name == "entries.csv":  # a copy to read: only its digest and its length are bound
                continue
            with pytest.raises((offline_verify.Tampered, ValueError, KeyError, TypeError)):
                offline_verify.verify(opened(plain), lines)

    def test_refuses_a_file_that_the_manifest_does_not_name(self, ledger, folder):
        result, data = io.BytesIO(), made()
        with zipfile.ZipFile(result, "w") as written:
            for name in opened(data).namelist():
                content = opened(data).read(name)
                written.writestr(name, content + b" " if name == "entries.csv" else content)
        status, said = checked(folder, result.getvalue(), *kept_key(folder))
        assert (status, "entries.csv is not the file" in said) == (1, True)

    def test_refuses_an_entry_that_was_left_out(self, ledger, folder):
        data = made()
        kept = opened(data).read("entries.jsonl").splitlines(keepends=True)[:-1]
        rows = opened(data).read("entries.csv").splitlines(keepends=True)[:-1]
        told = manifest_of(data) | {"count": len(kept)}
        data = changed(data, entries__jsonl=b"".join(kept), entries__csv=b"".join(rows))
        data = changed_manifest(data, count=told["count"])
        status, said = checked(folder, data, *kept_key(folder))
        assert status == 1, said

    def test_refuses_another_history_under_another_key(self, ledger, folder):
        data = made()
        note = opened(data).read("checkpoint.txt").decode()
        forger = SigningKey.generate(note.split("\n")[0])
        text = note.rpartition("\n\n")[0] + "\n"
        forged = changed(
            data,
            checkpoint__txt=forger.sign(text).encode(),
            public_keys__txt=f"{forger.public}\n".encode(),
        )
        assert checked(folder, forged)[0] == offline_verify.UNPROVEN
        status, said = checked(folder, forged, *kept_key(folder))
        assert (status, "No known key" in said) == (1, True)

    def test_refuses_another_root_than_that_of_the_checkpoint_kept(self, ledger, folder):
        data = made()
        kept = folder / "kept.txt"
        kept.write_text(Checkpoint.objects.latest("size").note)
        assert checked(folder, data, *kept_key(folder), "--checkpoint", kept)[0] == 0

    def test_says_what_is_no_export(self, ledger, folder):
        path = folder / "export.zip"
        path.write_bytes(b"nothing")
        assert offline_verify.main([str(path)]) == offline_verify.WRONG_USE
        assert offline_verify.main([str(folder / "absent.zip")]) == offline_verify.WRONG_USE
        path.write_bytes(made())
        key = folder / "bad.pub"
        key.write_text("nonsense\n")
        assert offline_verify.main([str(path), "--key", str(key)]) == offline_verify.WRONG_USE

    @pytest.mark.parametrize(
        "text", ["", "A page of notes.\n", "a\n5\nAAAA\n\nno signature\n", b"\xff\xfe"]
    )
    @pytest.mark.parametrize("option", ["--key", "--checkpoint"])
    def test_what_is_kept_and_no_key_or_checkpoint_says_nothing_about_the_export(
        self, ledger, folder, capsys, option, text
    ):
        path, kept = folder / "export.zip", folder / "kept.txt"
        path.write_bytes(made())
        kept.write_bytes(text if isinstance(text, bytes) else text.encode())
        assert offline_verify.main([str(path), option, str(kept)]) == offline_verify.WRONG_USE
        assert offline_verify.main([str(path), option, ""]) == offline_verify.WRONG_USE
        said = capsys.readouterr()
        assert "TAMPERED" not in said.out
        assert "Nothing was checked" in said.err

    def test_needs_nothing_of_the_product(self):
        source = Path(offline_verify.__file__).read_text()
        assert "django" not in source.lower()
        assert "from ledger" not in source


def changed_manifest(data, **facts):
    result, bundle = io.BytesIO(), opened(data)
    with zipfile.ZipFile(result, "w") as written:
        for name in bundle.namelist():
            content = bundle.read(name)
            if name == "manifest.json":
                content = json.dumps(json.loads(content) | facts).encode()
            written.writestr(name, content)
    return result.getvalue()


def test_gaps_and_leaves_are_the_whole_tree_at_any_size():
    dice = random.Random(5)
    for size in (1, 2, 3, 7, 8, 13, 64, 100):
        leaves = [merkle.leaf_hash(bytes([n])) for n in range(size)]
        whole = merkle.Tree()
        for leaf in leaves:
            whole.append(leaf)
        for _ in range(5):
            chosen = sorted(dice.sample(range(size), dice.randrange(size + 1)))
            between = [
                {
                    "level": n,
                    "position": at,
                    "hash": merkle.fold(leaves[at << n : at + 1 << n]).hex(),
                }
                for n, at in gaps(chosen, size)
            ]
            known = {index: leaves[index] for index in chosen}
            assert offline_verify.compute_root(known, iter(between), size) == whole.root()


def test_many_subtrees_are_looked_up_as_each_would_be(ledger):
    wanted = [(0, 3), (1, 2), (2, 1), (3, 0), (4, 1), (5, 0)]
    assert tree.lookup_many(wanted) == {place: tree.lookup(*place) for place in wanted}


class TestTheDoor:
    def auditor(self, *rights, **fields):
        user = User.objects.create_user(f"user{User.objects.count()}", is_staff=True, **fields)
        user.user_permissions.set(Permission.objects.filter(codename__in=rights))
        browser = Client()
        browser.force_login(user)
        return browser

    def test_opens_with_both_rights_by_name_and_for_no_superuser(self, ledger):
        listed = reverse("admin:ledger_ledgerentry_changelist")
        for browser, status in (
            (self.auditor(), 403),
            (self.auditor("view_ledgerentry"), 403),
            (self.auditor("export_ledger"), 403),
            (self.auditor("view_ledgerentry", is_superuser=True), 403),
            (self.auditor("view_ledgerentry", "export_ledger"), 200),
        ):
            assert browser.get(EXPORT).status_code == status
            answer = browser.post(EXPORT, {"reason": "The audit."})
            assert answer.status_code == status
            if browser.get(listed).status_code == 200:
                assert (EXPORT in browser.get(listed).content.decode()) == (status == 200)
            b"".join(answer.streaming_content if status == 200 else ())
        assert LedgerEntry.objects.filter(kind="export.started").count() == 1

    def test_sends_what_the_list_showed_and_keeps_that_it_did(self, ledger):
        browser = self.auditor("view_ledgerentry", "export_ledger")
        address = f"{EXPORT}?at=all&object=orders/3"
        asked = browser.get(address).content.decode()
        assert "Object: orders/3" in asked
        assert "8 entries match." in asked
        answer = browser.post(address, {"reason": "The audit."})
        data = b"".join(answer.streaming_content)
        assert answer["Content-Type"] == "application/zip"
        assert manifest_of(data)["count"] == 8
        assert Access.objects.get(what="export").query == "Object: orders/3"

    def test_asks_again_without_a_reason(self, ledger):
        browser = self.auditor("view_ledgerentry", "export_ledger")
        answer = browser.post(EXPORT, {"reason": " "})
        assert answer.status_code == 422
        assert b"Say what this export is for." in answer.content
        assert browser.post(EXPORT, {"reason": "Quarterly\0"}).status_code == 422
        assert browser.get(f"{EXPORT}?tier=none").status_code == 302
        assert browser.get(f"{EXPORT}?q=refund").status_code == 302
        assert not LedgerEntry.objects.filter(stream="export").exists()


class TestTheCommand:
    def test_writes_the_archive_to_a_new_file(self, ledger, folder):
        path = folder / "out.zip"
        call_command("export_ledger", "--output", str(path), "--search", "object:orders/3")
        assert manifest_of(path.read_bytes())["count"] == 8
        with pytest.raises(CommandError):
            call_command("export_ledger", "--output", str(path))

    @pytest.mark.parametrize("name", ["there.zip", "nowhere/out.zip", "", "."])
    def test_enters_no_export_that_cannot_be_written(self, ledger, folder, name):
        (folder / "there.zip").write_bytes(b"kept")
        path = str(folder / name) if name else ""
        with pytest.raises(CommandError):
            call_command("export_ledger", f"--output={path}")
        assert not LedgerEntry.objects.filter(stream="export").exists()
        assert (folder / "there.zip").read_bytes() == b"kept"

    def test_leaves_no_file_where_the_export_is_refused(self, ledger, folder):
        with pytest.raises(CommandError, match="Say what this export is for"):
            call_command("export_ledger", "--output", str(folder / "a.zip"), "--reason", " ")
        assert not (folder / "a.zip").exists()

    def test_takes_a_window(self, ledger, folder):
        path = folder / "out.zip"
        call_command("export_ledger", "--from", "2030-01-01", "--output", str(path))
        told = manifest_of(path.read_bytes())
        assert (told["count"], told["first"]) == (0, None)
        assert told["filters"] == {"from": "2030-01-01T00:00:00.000000Z"}
        with pytest.raises(CommandError, match="A time looks like"):
            call_command("export_ledger", "--to", "soon", "--output", str(folder / "b.zip"))
