"""All evidence on one proposal in one archive, which is checked with nothing but what is in it."""

import hashlib
import io
import json
import re
import subprocess
import sys
import zipfile

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from ledger import keys, sealer
from ledger.models import Access, LedgerEntry
from proposals import bundle, services
from tests import factories
from tests.proposals.admin.pages import HIDDEN, SAID, hostile_proposal, signed_in, text_of

pytestmark = pytest.mark.django_db
REASON = "The audit of November."


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.DATA_DIR = tmp_path / "data"
    settings.DATA_DIR.mkdir()
    return tmp_path


@pytest.fixture
def amir():
    return signed_in("amir", ["auditors"])


@pytest.fixture
def written(toybox):
    """Proposed, approved by Rita, written, and sealed."""
    proposal = factories.make_checked(params=factories.painting(tier="medium"), run="run-1")
    factories.approve(proposal, reason="Asked for in writing, letter 12.")
    factories.work()
    sealer.seal()
    return factories.fresh(proposal)


def address(proposal):
    return reverse("evidence", args=[proposal.pk])


def taken(browser, proposal):
    answer = browser.post(address(proposal), {"reason": REASON})
    assert answer.status_code == 200, text_of(answer)
    assert answer["Content-Type"] == "application/zip"
    return answer.content, answer["Content-Disposition"]


def permission(codename):
    return Permission.objects.get(codename=codename)


def opened(data):
    return zipfile.ZipFile(io.BytesIO(data))


def entries_of(data):
    lines = opened(data).read("entries.jsonl").splitlines()
    return [json.loads(json.loads(line)["canonical"]) for line in lines]


def checked(folder, data, *options):
    """What the program of the archive says of it, in a folder that holds nothing else."""
    with opened(data) as archive:
        archive.extract("verify.py", folder)
        archive.extract("public_keys.txt", folder)
    (folder / "evidence.zip").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-I", "verify.py", "evidence.zip", *options],
        cwd=folder,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


class TestTheArchive:
    def test_is_proved_by_its_own_program_and_keys(self, amir, written, folder):
        data, _ = taken(amir, written)
        status, said = checked(folder, data)
        assert (status, "intact" in said) == (2, True), "its key came with it"
        status, said = checked(folder, data, "--key", "public_keys.txt")
        assert (status, "intact" in said) == (0, True), said
        assert opened(data).read("public_keys.txt").decode().split() == [
            str(key) for key in keys.verifying_keys()
        ]

    def test_holds_every_sealed_entry_of_the_proposal(self, amir, written):
        data, _ = taken(amir, written)
        told = entries_of(data)
        assert [each["kind"] for each in told] == list(
            LedgerEntry.objects.filter(proposal=str(written.pk))
            .order_by("id")
            .values_list("kind", flat=True)
        )
        manifest = json.loads(opened(data).read("manifest.json"))
        assert manifest["filters"] == {"q": f"proposal:{written.pk}"}
        assert manifest["reason"] == REASON

    def test_holds_the_very_bytes_that_the_approval_in_the_ledger_is_bound_to(self, amir, written):
        data, _ = taken(amir, written)
        seen = opened(data).read("seen.json")
        digest = f"sha256:{hashlib.sha256(seen).hexdigest()}"
        [approval] = [each for each in entries_of(data) if each["kind"] == "proposal.reviewed"]
        assert approval["body"]["digest"] == digest
        assert json.loads(seen)["params"] == written.revision().params

    def test_tells_the_story_as_canonical_json_and_as_a_page_without_scripts(self, amir, written):
        data, _ = taken(amir, written)
        raw = opened(data).read("story.json")
        told = json.loads(raw)
        assert told["proposal"] == str(written.pk)
        assert told["is_intact"] is True
        assert bundle.canonical(told) == raw
        titles = [section["title"] for section in told["sections"]]
        assert (titles[0], titles[-1]) == ("Summary", "Proof")
        page = opened(data).read("story.html").decode()
        for title in titles:
            assert f". {title}</h2>" in page
        assert "Asked for in writing, letter 12." in page
        assert not re.search(r"<script|<link|<img|<iframe|<form|<a |\son\w+=|src=|url\(", page)
        assert "default-src 'none'" in page

    @pytest.mark.parametrize("name", ["seen.json", "story.json", "story.html"])
    def test_shows_when_one_of_its_files_was_changed(self, amir, written, folder, name):
        data, _ = taken(amir, written)
        result = io.BytesIO()
        with zipfile.ZipFile(result, "w") as changed:
            for each in opened(data).namelist():
                content = opened(data).read(each)
                changed.writestr(each, content + b" " if each == name else content)
        status, said = checked(folder, result.getvalue(), "--key", "public_keys.txt")
        assert (status, f"{name} is not the file" in said) == (1, True)

    def test_is_entered_in_the_ledger_with_the_digest_of_each_file(self, amir, written):
        data, _ = taken(amir, written)
        started, done = LedgerEntry.objects.filter(stream="export").order_by("number")
        assert (started.kind, done.kind) == ("export.started", "export.completed")
        assert started.body["reason"] == REASON
        assert started.actor == f"user:{amir.person.pk}"
        assert started.body["filters"] == {"q": f"proposal:{written.pk}"}
        for name in ("seen.json", "story.json", "story.html", "entries.jsonl"):
            digest = hashlib.sha256(opened(data).read(name)).hexdigest()
            assert done.body["files"][name] == f"sha256:{digest}"
        kept = Access.objects.get(what="export")
        assert kept.query == f"Evidence on proposal {written.pk}"

    def test_no_file_is_named_by_an_agent_and_nothing_it_wrote_is_shown_raw(self, amir, toybox):
        proposal = hostile_proposal()
        sealer.seal()
        data, disposition = taken(amir, proposal)
        assert re.fullmatch(
            rf'attachment; filename="countersign-evidence-{proposal.pk}-\d+-\w+\.zip"', disposition
        )
        assert sorted(opened(data).namelist()) == sorted(
            [
                *("checkpoint.txt", "entries.csv", "entries.jsonl", "manifest.json"),
                *("public_keys.txt", "seen.json", "story.html", "story.json"),
                *("tree.jsonl", "verify.py"),
            ]
        )
        for name in set(opened(data).namelist()) - {"seen.json"}:
            assert HIDDEN not in opened(data).read(name).decode(), name
        page = opened(data).read("story.html").decode()
        assert "<script>alert" not in page
        assert "[U+202E RLO]" in page
        titles = "".join(re.findall(r"<title>.*?</title>|<h\d.*?</h\d>", page, re.S))
        assert SAID not in titles

    def test_of_what_was_never_checked_has_no_snapshot(self, amir, toybox, folder):
        proposal = factories.make_proposal()
        sealer.seal()
        data, _ = taken(amir, proposal)
        assert "seen.json" not in opened(data).namelist()
        assert "No check of this proposal has ended" in opened(data).read("story.html").decode()
        assert checked(folder, data, "--key", "public_keys.txt")[0] == 0


class TestTheDoor:
    def test_opens_with_both_rights_by_name_and_for_no_superuser(self, written, amir):
        rita = signed_in("rita", ["reviewers"], is_superuser=True)
        viewer = signed_in("vera", ["reviewers"])
        viewer.person.user_permissions.add(permission("view_ledgerentry"))
        exporter = signed_in("edda", ["reviewers"])
        exporter.person.user_permissions.add(permission("export_ledger"))
        for browser in (rita, viewer, exporter):
            assert browser.get(address(written)).status_code == 403
            assert browser.post(address(written), {"reason": REASON}).status_code == 403
        assert not LedgerEntry.objects.filter(stream="export").exists()
        explained = text_of(viewer.get(reverse("explain", args=[written.pk])))
        assert address(written) not in explained
        assert address(written) in text_of(amir.get(reverse("explain", args=[written.pk])))
        assert amir.get(address(written)).status_code == 200

    def test_asks_again_without_a_reason_and_takes_nothing_away(self, amir, written):
        answer = amir.post(address(written), {"reason": " "})
        assert answer.status_code == 422
        assert "Say what this export is for." in answer.content.decode()
        assert not LedgerEntry.objects.filter(stream="export").exists()
        assert not Access.objects.filter(what="export").exists()

    def test_refuses_what_is_too_long_for_a_page_and_names_the_way(
        self, amir, written, monkeypatch
    ):
        monkeypatch.setattr(bundle, "MOST_ENTRIES", 3)
        answer = amir.post(address(written), {"reason": REASON})
        assert answer.status_code == 422
        assert f"search for proposal:{written.pk}" in answer.content.decode()

    def test_refuses_while_nothing_of_the_proposal_is_sealed(self, amir, written, toybox):
        later = factories.make_checked(params=factories.painting(tier="high"))
        answer = amir.post(address(later), {"reason": REASON})
        assert answer.status_code == 422
        assert "None of its entries is sealed yet" in answer.content.decode()

    def test_what_came_after_the_seal_is_counted_and_left_out(self, amir, written, folder):
        olga = factories.make_person("olga", groups=["operators"])
        services.undo(proposal_id=written.pk, person=olga, reason="A mix-up.")
        factories.work()
        data, _ = taken(amir, written)
        manifest = json.loads(opened(data).read("manifest.json"))
        assert manifest["left_out_because_not_yet_sealed"] >= 1
        assert checked(folder, data, "--key", "public_keys.txt")[0] == 0

    def test_of_what_is_not_there_is_not_found(self, amir):
        missing = reverse("evidence", args=["00000000-0000-7000-8000-000000000000"])
        assert amir.get(missing).status_code == 404
        assert amir.post(missing, {"reason": REASON}).status_code == 404
