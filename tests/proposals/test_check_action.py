"""The conformance test of actions: what keeps its promises passes, what does not is named."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from pydantic import BaseModel, ConfigDict, Field

from proposals import conformance
from proposals.actions import tables
from proposals.exceptions import StaleTarget
from proposals.registry import Call, Delivery, Outcome, registry
from tests.shop_calls import everything
from tests.toys import SetColour, box

pytestmark = [pytest.mark.django_db, pytest.mark.once]


class PaintParams(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    toy: str = Field(pattern="^(bear|duck|car)$", description="Which toy")
    colour: str = Field(pattern="^[a-z]{3,10}$", description="Its new colour")


class Paint(SetColour):
    """One that keeps its promises; those below break one each."""

    name = "toys.paint"
    Params = PaintParams

    def example(self) -> dict[str, Any]:
        return {"toy": "bear", "colour": "blue"}

    def observed(self, params: dict[str, Any]) -> Any:
        return box.colours


class PreviewsByWriting(Paint):
    def preview(self, params):
        shown = super().preview(params)
        box.colours["duck"] = "dirty"
        return shown


class TramplesOnOthers(Paint):
    def apply(self, params, *, key, expected):
        return super().apply(params, key=key, expected={})


class RestoresSomethingElse(Paint):
    def reversal(self, params, found):
        return super().reversal(params, "grey")


class ForgetsReceipts(Paint):
    """Refuses what moved, and yet writes again under the same key."""

    def apply(self, params, *, key, expected):
        if isinstance(box.receipts.get(key), Outcome):
            del box.receipts[key]
        return super().apply(params, key=key, expected=expected)


class AppliesWhatWasVoided(Paint):
    def apply(self, params, *, key, expected):
        if box.receipts.get(key) == "void":
            del box.receipts[key]
        return super().apply(params, key=key, expected=expected)


class RepeatsTheAgent(Paint):
    class Params(PaintParams):
        colour: str = Field(description="Any text at all")


class SaysNothingOfItsParameters(Paint):
    class Params(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)

        toy: str = Field(pattern="^(bear|duck|car)$", description="Which toy")
        colour: str = Field(pattern="^[a-z]{3,10}$")


class TakesWhatItDoesNotKnow(Paint):
    class Params(BaseModel):
        toy: str = Field(pattern="^(bear|duck|car)$", description="Which toy")
        colour: str = Field(pattern="^[a-z]{3,10}$", description="Its new colour")


class WritesBeforeItRefuses(Paint):
    def apply(self, params, *, key, expected):
        if expected and expected["bear"]["colour"] != box.colours["bear"]:
            box.colours["bear"] = params["colour"]
            raise StaleTarget(expected)
        return super().apply(params, key=key, expected=expected)


class TakesItBackIntoNowhere(Paint):
    def reversal(self, params, found):
        return Call("toys.unpaint", {})


class NamesWhatCannotBeSearched(Paint):
    def objects(self, params, images):
        return [f"toys/{toy}\0" for toy in images]


class HasNoExample(Paint):
    def example(self):
        raise NotImplementedError


def failed(action: type) -> conformance.Finding:
    [last] = [each for each in conformance.examine(action()) if each.holds is False]
    return last


@pytest.mark.usefixtures("toybox")
class TestWhatItFinds:
    def test_nothing_in_an_action_that_keeps_its_promises(self):
        found = list(conformance.examine(Paint()))
        assert [each.holds for each in found] == [True] * 9 + [None]
        assert box.colours["bear"] == "brown", "and what it wrote was taken back"

    @pytest.mark.parametrize(
        ("broken", "sentence", "why"),
        [
            (PreviewsByWriting, "Previewing writes nothing", "changed while it was previewed"),
            (TramplesOnOthers, "over a value that moved", "It wrote, although"),
            (WritesBeforeItRefuses, "over a value that moved", "had written all the same"),
            (RestoresSomethingElse, "restores it exactly", "the target holds"),
            (TakesItBackIntoNowhere, "restores it exactly", "no registered action"),
            (ForgetsReceipts, "The same key twice", "effect of its own"),
            (AppliesWhatWasVoided, "voided never applies", "had been voided"),
            (RepeatsTheAgent, "repeats no text", "/colour"),
            (SaysNothingOfItsParameters, "describes every parameter", "colour"),
            (TakesWhatItDoesNotKnow, "refuses a parameter", "unknown_to_all"),
            (NamesWhatCannotBeSearched, "names its resource", "objects() must be texts"),
            (HasNoExample, "has an example", "no example()"),
        ],
    )
    def test_each_broken_promise_by_its_sentence(self, broken, sentence, why):
        found = failed(broken)
        assert sentence in found.sentence
        assert why in found.why

    def test_an_action_that_cannot_be_undone_passes_if_it_says_so(self):
        class ForGood(Paint):
            is_reversible = False

            def reversal(self, params, found):
                return None

        found = {each.sentence: each for each in conformance.examine(ForGood())}
        told = [each for each in found.values() if "says so" in each.why]
        assert len(told) == 1
        assert not [each for each in found.values() if each.holds is False]

    def test_receipts_are_only_asked_of_those_that_promise_them(self):
        class Loose(Paint):
            delivery = Delivery.UNCERTAIN

        skipped = [each for each in conformance.examine(Loose()) if each.holds is None]
        assert len(skipped) == 3


@pytest.mark.parametrize(
    "name", ["records.update", "records.create", "records.archive", "records.restore"]
)
def test_our_own_actions_keep_their_promises_on_the_shop(shop, name):
    before = everything(shop)
    out = io.StringIO()
    call_command("check_action", name, stdout=out)
    assert f"{name} keeps what it promises." in out.getvalue()
    assert "FAIL" not in out.getvalue()
    after = everything(shop)
    assert after[:2] == before[:2], "orders and prices are as they were"


@pytest.mark.parametrize(
    ("name", "lacks"),
    [
        (
            "records.update",
            "No described table has a writable column and holds a row to try it with.",
        ),
        ("records.create", "No described table is creatable and holds a row to try it with."),
        (
            "records.archive",
            "No described table has an archive_column and holds a row to try it with.",
        ),
    ],
)
def test_our_own_actions_say_what_they_cannot_be_tried_with(monkeypatch, name, lacks):
    monkeypatch.setattr(tables, "tables", dict)
    assert failed(type(registry.get(name))).why == lacks


class TestTheCommand:
    def test_ends_with_the_sentence_that_failed(self, toybox):
        registry.register(TramplesOnOthers)
        try:
            out = io.StringIO()
            with pytest.raises(CommandError, match="over a value that moved"):
                call_command("check_action", "toys.paint", stdout=out)
            assert "ok    Its schema describes every parameter." in out.getvalue()
            assert "FAIL  It writes nothing over a value that moved" in out.getvalue()
        finally:
            registry.actions.pop("toys.paint")

    def test_takes_other_parameters(self, toybox):
        registry.register(HasNoExample)
        try:
            out = io.StringIO()
            params = '{"toy": "duck", "colour": "green"}'
            call_command("check_action", "toys.paint", params=params, stdout=out)
            assert "keeps what it promises" in out.getvalue()
            with pytest.raises(CommandError, match="no JSON"):
                call_command("check_action", "toys.paint", params="{", stdout=out)
            for params, fields in (
                ('{"toy": "hare"}', ("/toy: String should match", "/colour: Field required")),
                ("{}", ("/toy: Field required; /colour: Field required",)),
            ):
                with pytest.raises(CommandError) as refusal:
                    call_command("check_action", "toys.paint", params=params, stdout=out)
                assert "What it is tried with does not fit" in str(refusal.value)
                assert all(field in str(refusal.value) for field in fields)
                assert "example" not in str(refusal.value)
        finally:
            registry.actions.pop("toys.paint")

    def test_knows_no_other_action_and_tries_nothing_in_production(self, settings):
        with pytest.raises(CommandError, match="There is no action"):
            call_command("check_action", "toys.eat")
        settings.ENVIRONMENT_NAME = "Production"
        with pytest.raises(CommandError, match="meant for it"):
            call_command("check_action", "records.update")


class TestAnAppOfOnesOwn:
    @pytest.fixture
    def made(self, tmp_path):
        call_command("new_action_app", "stickers", directory=str(tmp_path), stdout=io.StringIO())
        return tmp_path

    def run(self, made: Path, *words: str, **more: str) -> subprocess.CompletedProcess:
        environment = {
            **{name: text for name, text in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
            "PYTHONPATH": f"{made}{os.pathsep}{settings.BASE_DIR}",
            "COUNTERSIGN_APPS": "stickers",
            "COUNTERSIGN_DATA": str(made / "data"),
            "DEMO": "0",
            **more,
        }
        return subprocess.run(
            [sys.executable, *words],
            cwd=settings.BASE_DIR,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @pytest.mark.once
    def test_is_installed_by_its_name_and_keeps_what_actions_promise(self, made):
        environment = {"DATABASE_URL": f"sqlite:///{made / 'own.sqlite3'}"}
        migrated = self.run(made, "manage.py", "migrate", "--verbosity=0", **environment)
        assert migrated.returncode == 0, migrated.stderr
        done = self.run(made, "manage.py", "check_action", "stickers.set", **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "stickers.set keeps what it promises." in done.stdout
        actions = made / "stickers" / "actions.py"
        text = actions.read_text()
        guard = 'if expected != {params["name"]: {"state": held}}:'
        assert guard in text
        actions.write_text(text.replace(guard, "if False:"))
        done = self.run(made, "manage.py", "check_action", "stickers.set", **environment)
        assert done.returncode == 1
        assert "over a value that moved" in done.stderr

    @pytest.mark.once
    def test_comes_with_tests_that_pass(self, made):
        done = self.run(
            made, "-m", "pytest", "-q", "-c", "pyproject.toml", str(made / "stickers" / "tests.py")
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert " passed" in done.stdout or "100%" in done.stdout

    def test_is_never_written_over_another(self, made):
        with pytest.raises(CommandError, match="already exists"):
            call_command("new_action_app", "stickers", directory=str(made))

    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("bad-name", "a lower-case letter, then up to 39 more, digits and underscores"),
            ("Stickers", "a lower-case letter, then"),
            ("9lives", "a lower-case letter, then"),
            ("s" * 41, "up to 39 more"),
            ("proposals", "another Python module"),
            ("json", "another Python module"),
            ("class", "'class' is a keyword of Python"),
        ],
    )
    def test_has_a_name_that_can_be_imported_and_is_not_taken(self, tmp_path, name, why):
        with pytest.raises(CommandError, match=why):
            call_command("new_action_app", name, directory=str(tmp_path))
        assert not list(tmp_path.iterdir())

    def test_is_not_written_where_nobody_said(self):
        with pytest.raises(CommandError, match="--directory is empty"):
            call_command("new_action_app", "stickers", directory="")
