"""Stops every intent, or lets them go on, from the command line."""

from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    DjangoHelpFormatter,
)

from proposals import freezing, services, stops
from proposals.exceptions import ProposalError
from proposals.models import Agent, Run
from proposals.text import plain

EXAMPLES = """
examples:
  manage.py freeze --reason "Prices look wrong."           everything, undo included
  manage.py freeze --agent billing-bot --reason "A loop."
  manage.py freeze --action "payments.*" --reason "The provider is down."
  manage.py freeze --agent billing-bot --run nightly-7 --reason "Wrong input."
  manage.py freeze --agent billing-bot --suspend --reason "Its token leaked."
  manage.py freeze --action "payments.*" --off --reason "It answers again."

Naming nothing is --everything. --off takes the same names as the freeze that it lifts.
Exit status: 0 done, or it was so already; 1 refused, nothing was changed; 2 not understood.
"""
MISUSED = 2


class Formatter(DjangoHelpFormatter, RawDescriptionHelpFormatter):
    """Leaves the examples as they are laid out."""


class Command(BaseCommand):
    help = "Freeze everything, an agent, an action or a run, or suspend an agent; --off ends it."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        laid_out = {"epilog": EXAMPLES, "formatter_class": Formatter}
        return super().create_parser(prog_name, subcommand, **laid_out, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--everything", action="store_true", help="stop every write")
        parser.add_argument("--agent", metavar="NAME", help="this agent alone")
        parser.add_argument(
            "--action", metavar="PATTERN", help="this action, or all that fit: email.*"
        )
        parser.add_argument(
            "--run", metavar="NAME", help="this run; with --agent where several agents have one"
        )
        parser.add_argument(
            "--suspend", action="store_true", help="suspend the --agent: it proposes nothing more"
        )
        parser.add_argument("--off", action="store_true", help="lift the freeze, or resume")
        parser.add_argument("--reason", help="why; kept in the ledger and shown to people")

    def handle(self, *args: Any, **options: Any) -> None:
        require_one(options)
        ending = "lifted" if options["off"] else "suspended" if options["suspend"] else "frozen"
        reason = options["reason"]
        if reason is None:
            reason = f"{ending.capitalize()} from the command line."
        try:
            named = self.named(options)
            if options["suspend"]:
                self.suspend(named["agent"], not options["off"], reason)
            elif options["off"]:
                self.lift(named, reason)
            else:
                self.freeze(named, reason)
        except ProposalError as error:
            raise CommandError(str(error)) from error

    def named(self, options: dict[str, Any]) -> dict[str, Any]:
        """What the options name, as the service takes it; nothing for everything."""
        agent = None if options["agent"] is None else agent_named(options["agent"])
        if options["run"] is not None:
            return {"run": run_named(options["run"], agent)}
        if options["action"] is not None:
            return {"action": options["action"]}
        return {"agent": agent} if agent else {}

    def freeze(self, named: dict[str, Any], reason: str) -> None:
        is_new = not freezing.in_force().filter(**freezing.target(**named)).exists()
        found = services.freeze(reason=reason, **named)
        if is_new:
            self.say(f"Frozen: {stops.target(found)}. No intent commits from now on.")
        else:
            self.say(f"Frozen already: {stops.target(found)}, because: {plain(found.reason)}")

    def lift(self, named: dict[str, Any], reason: str) -> None:
        found = freezing.in_force().filter(**freezing.target(**named)).first()
        if found is None:
            raise CommandError(f"There is no such freeze to lift.{in_force()}")
        services.lift(freeze_id=found.pk, reason=reason)
        self.say(f"Lifted: {stops.target(found)}. What waited goes on.{in_force()}")

    def suspend(self, agent: Agent, is_suspended: bool, reason: str) -> None:
        services.set_suspended(agent_id=agent.pk, is_suspended=is_suspended, reason=reason)
        done = "Suspended" if is_suspended else "Resumed"
        then = stops.NOW_SUSPENDED if is_suspended else stops.GOES_ON
        self.say(f"{done}: agent {agent.name}. {then}")

    def say(self, line: str) -> None:
        self.stdout.write(line)


def require_one(options: dict[str, Any]) -> None:
    """What is named must be one thing: an option that is empty names nothing, and is a mistake."""
    given = [name for name in ("agent", "action", "run") if options[name] is not None]
    for name in given:
        if not options[name].strip():
            raise CommandError(f"--{name} is empty. Nothing was changed.", returncode=MISUSED)
    if options["suspend"] and given != ["agent"]:
        raise CommandError("--suspend takes an --agent, and nothing else.", returncode=MISUSED)
    wanted = ["everything"] * options["everything"] + given
    if len(wanted) > 1 and wanted != ["agent", "run"]:
        clash = " and ".join(f"--{name}" for name in wanted)
        raise CommandError(f"{clash} do not go together; name one.", returncode=MISUSED)


def agent_named(name: str) -> Agent:
    found = Agent.objects.filter(name=name).first()
    if found is None:
        raise CommandError(f"There is no agent {name!r}.")
    return found


def run_named(name: str, agent: Agent | None) -> Run:
    """The run of this name. Runs are named by agents: several may have one of the same name."""
    found = Run.objects.filter(name=name).select_related("agent").order_by("agent__name")
    runs = [run for run in found if agent is None or run.agent_id == agent.pk]
    if not runs:
        whose = f"The agent {agent.name!r} has no" if agent else "There is no"
        raise CommandError(f"{whose} run {name!r}.")
    if len(runs) > 1:
        owners = ", ".join(run.agent.name for run in runs)
        raise CommandError(f"Runs of this name belong to {owners}: say which with --agent.")
    return runs[0]


def in_force() -> str:
    """What is frozen now, as the end of a sentence; empty when nothing is."""
    found = freezing.in_force().select_related("agent", "run__agent").order_by("pk")
    frozen = [stops.target(one) for one in found]
    return f" Frozen now: {', '.join(frozen)}." if frozen else ""
