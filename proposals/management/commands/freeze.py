"""Stops every intent, or lets them go on, from the command line."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from proposals import freezing, services
from proposals.exceptions import ProposalError
from proposals.models import Agent, Freeze


class Command(BaseCommand):
    help = "Freeze everything, or one agent; --off lifts it again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--agent", metavar="NAME", help="freeze this agent alone")
        parser.add_argument("--off", action="store_true", help="lift the freeze")
        parser.add_argument("--reason", default="Frozen from the command line.")

    def handle(self, *args: Any, **options: Any) -> None:
        agent = None
        if options["agent"]:
            agent = Agent.objects.filter(name=options["agent"]).first()
            if agent is None:
                raise CommandError(f"There is no agent {options['agent']!r}.")
        try:
            if options["off"]:
                self.lift(agent, options["reason"])
            else:
                found = services.freeze(agent=agent, reason=options["reason"])
                self.stdout.write(f"Frozen: {found.target}. No intent commits from now on.")
        except ProposalError as error:
            raise CommandError(str(error)) from error

    def lift(self, agent: Agent | None, reason: str) -> None:
        scope = Freeze.Scope.AGENT if agent else Freeze.Scope.EVERYTHING
        found = freezing.in_force().filter(scope=scope, agent=agent).first()
        if found is None:
            raise CommandError("There is no such freeze to lift.")
        services.lift(freeze_id=found.pk, reason=reason)
        self.stdout.write(f"Lifted: {found.target}. What waited goes on.")
