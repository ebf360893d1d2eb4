"""The command that stops and starts: what it names, what it refuses, and how it ends."""

import io
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command

from ledger.models import LedgerEntry
from proposals import freezing, services
from proposals.management.commands.freeze import Command
from proposals.models import Agent, Freeze
from tests.factories import fresh, make_agent, make_checked, make_proposal, painting, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]


def freeze(*arguments):
    out = io.StringIO()
    call_command("freeze", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def scene():
    agent, other = make_agent(), make_agent("other-bot")
    run = make_proposal(agent=agent, run="nightly").run
    return SimpleNamespace(agent=agent, other=other, run=run)


SCOPES = {
    "everything": ["--everything"],
    "agent": ["--agent", "billing-bot"],
    "action": ["--action", "toys.*"],
    "run": ["--run", "nightly"],
}


class TestFreezing:
    @pytest.mark.parametrize("scope", SCOPES)
    def test_each_scope_is_stopped_and_lifted_with_its_reason(self, scene, scope):
        said = freeze(*SCOPES[scope], "--reason", "Prices look wrong.")
        found = Freeze.objects.get()
        stopped = {
            "everything": "everything",
            "agent": "agent billing-bot",
            "action": "action toys.*",
            "run": f"run {scene.run.pk} of agent billing-bot",
        }[scope]
        assert said == f"Frozen: {stopped}. No intent commits from now on.\n"
        assert (found.scope, found.reason) == (scope, "Prices look wrong.")
        assert "Frozen already: " in freeze(*SCOPES[scope], "--reason", "Once more.")
        lifted = freeze(*SCOPES[scope], "--off", "--reason", "They are right.")
        assert lifted == f"Lifted: {stopped}. What waited goes on.\n"
        assert not freezing.in_force().exists()
        told = LedgerEntry.objects.filter(stream="freezes").order_by("pk")
        assert [(one.kind, one.actor, one.body["reason"]) for one in told] == [
            ("freeze.set", "system:operator", "Prices look wrong."),
            ("freeze.lifted", "system:operator", "They are right."),
        ]

    @pytest.mark.parametrize("named", [[], ["--agent", "billing-bot"]])
    def test_the_short_form_takes_no_reason_and_without_a_name_means_everything(self, scene, named):
        freeze(*named)
        found = Freeze.objects.get()
        assert found.scope == ("agent" if named else "everything")
        assert found.reason == "Frozen from the command line."
        freeze(*named, "--off")
        assert not freezing.in_force().exists()

    def test_what_it_stopped_is_not_written_until_it_is_lifted(self, toybox):
        freeze("--action", "toys.*")
        waits = make_checked(params=painting("green"))
        work()
        assert (fresh(waits).status, toybox.effects) == ("approved", [])
        freeze("--action", "toys.*", "--off")
        work()
        assert fresh(waits).status == "committed"

    def test_lifting_says_what_is_still_frozen(self, scene):
        freeze()
        freeze("--run", "nightly")
        said = freeze("--off")
        assert f"Frozen now: run {scene.run.pk} of agent billing-bot." in said


class TestSuspending:
    def test_an_agent_is_suspended_and_resumed_with_a_reason(self, scene):
        said = freeze("--agent", "billing-bot", "--suspend", "--reason", "Its token leaked.")
        assert said.startswith("Suspended: agent billing-bot. Its proposals are refused")
        agent = Agent.objects.get(name="billing-bot")
        assert (agent.is_suspended, agent.suspended_reason) == (True, "Its token leaked.")
        said = freeze("--agent", "billing-bot", "--suspend", "--off", "--reason", "A new token.")
        assert said.startswith("Resumed: agent billing-bot.")
        assert not Agent.objects.get(name="billing-bot").is_suspended
        assert not Freeze.objects.exists()
        entry = LedgerEntry.objects.get(kind="agent.resumed")
        assert (entry.actor, entry.body["reason"]) == ("system:operator", "A new token.")


class TestRefusing:
    @pytest.mark.parametrize(
        ("arguments", "words", "status"),
        [
            (["--agent", "nobody-bot"], "There is no agent 'nobody-bot'.", 1),
            (["--action", "toys.sett"], "no action of this name", 1),
            (["--run", "weekly"], "There is no run 'weekly'.", 1),
            (["--agent", "other-bot", "--run", "nightly"], "agent 'other-bot' has no run", 1),
            (["--off"], "There is no such freeze to lift.", 1),
            (["--action", "toys.set", "--off"], "There is no such freeze to lift.", 1),
            (["--reason", " "], "Say why this is stopped.", 1),
            (["--agent", "billing-bot", "--suspend", "--reason", ""], "Say why the agent", 1),
            (["--agent", ""], "--agent is empty", 2),
            (["--agent", "", "--off"], "--agent is empty", 2),
            (["--run", " "], "--run is empty", 2),
            (["--action", ""], "--action is empty", 2),
            (["--everything", "--agent", "billing-bot"], "--everything and --agent do not", 2),
            (["--agent", "billing-bot", "--action", "toys.set"], "do not go together", 2),
            (["--action", "toys.set", "--run", "nightly"], "do not go together", 2),
            (["--suspend"], "--suspend takes an --agent", 2),
            (["--suspend", "--agent", "billing-bot", "--run", "nightly"], "takes an --agent", 2),
        ],
    )
    def test_a_mistake_is_a_sentence_and_changes_nothing(self, scene, arguments, words, status):
        with pytest.raises(CommandError) as refusal:
            freeze(*arguments)
        assert words in str(refusal.value)
        assert refusal.value.returncode == status
        assert not Freeze.objects.exists()
        assert not Agent.objects.filter(is_suspended=True).exists()

    def test_an_empty_name_does_not_lift_the_freeze_of_everything(self):
        """As from a script whose variable is not set."""
        services.freeze(reason="Stop.")
        with pytest.raises(CommandError, match="Nothing was changed"):
            freeze("--agent", "", "--off")
        assert freezing.is_everything_frozen()

    def test_a_run_whose_name_several_agents_use_is_named_with_its_agent(self, scene):
        theirs = make_proposal(agent=scene.other, run="nightly").run
        with pytest.raises(CommandError, match="belong to billing-bot, other-bot: say which"):
            freeze("--run", "nightly")
        assert not Freeze.objects.exists()
        freeze("--agent", "other-bot", "--run", "nightly")
        assert Freeze.objects.get().run == theirs


def test_help_has_an_example_of_each_scope():
    told = Command().create_parser("manage.py", "freeze").format_help()
    examples = told[told.index("examples:") :]
    for option in ("--agent", "--action", "--run", "--suspend", "--off"):
        assert f" {option} " in examples
    assert "Exit status: 0 done" in examples
