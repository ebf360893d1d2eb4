"""Prints a new token for an agent, once."""

import json
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from proposals import services, tokens
from proposals.exceptions import ProposalError
from proposals.models import Agent


class Command(BaseCommand):
    help = "Issue a bearer token for an agent and print it. It cannot be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the agent")
        parser.add_argument("--create", action="store_true", help="make the agent if it is new")
        parser.add_argument(
            "--observe", action="store_true", help="with --create: only observe it at first"
        )
        parser.add_argument("--owner", help="username of the person who answers for a new agent")
        parser.add_argument(
            "--grant",
            action="append",
            default=[],
            metavar="PATTERN",
            help="let it propose these actions, such as records.*; may be repeated",
        )
        parser.add_argument("--days", type=int, default=tokens.LIFETIME_DAYS)
        parser.add_argument("--json", action="store_true", help="print a JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["days"] <= 365:
            raise CommandError("--days must be from 1 to 365.")
        try:
            with transaction.atomic():
                agent = self.agent(options)
                for pattern in options["grant"]:
                    services.grant(agent=agent, pattern=pattern)
                token = tokens.issue(agent=agent, actor="system:operator", days=options["days"])
        except ProposalError as error:
            raise CommandError(str(error)) from error
        except ValidationError as error:
            raise CommandError(" ".join(faults(error))) from error
        if options["json"]:
            answer = {"agent": agent.name, "agent_id": str(agent.pk), "token": token}
            self.stdout.write(json.dumps(answer))
        else:
            self.stdout.write(token)

    def agent(self, options: dict[str, Any]) -> Agent:
        found = Agent.objects.filter(name=options["name"]).first()
        if found is not None:
            refuse_for_known(found, options)
            return found
        if not options["create"]:
            raise CommandError(f"There is no agent {options['name']!r}; --create makes one.")
        if not options["owner"]:
            raise CommandError("A new agent needs --owner: the person who answers for it.")
        owner = get_user_model().objects.filter(username=options["owner"]).first()
        if owner is None:
            raise CommandError(f"There is no user {options['owner']!r}.")
        return services.create_agent(
            name=options["name"], owner=owner, is_observed=options["observe"]
        )


def refuse_for_known(agent: Agent, options: dict[str, Any]) -> None:
    """What is only said of a new agent must not seem to be done to one that is there.

    Who runs this with `--observe` relies on it that nothing of the agent is written.
    """
    known = f"The agent {agent.name!r} is there already, and"
    if options["observe"] and not agent.is_observed:
        raise CommandError(
            f"{known} --observe is for a new one. Its page in the console has it observed from now "
            "on. No token was issued."
        )
    if options["owner"] and options["owner"] != agent.owner.get_username():
        raise CommandError(
            f"{known} {options['owner']!r} does not answer for it. No token was issued."
        )


def faults(error: ValidationError) -> list[str]:
    """What is wrong, with the name of what it is wrong with."""
    if not hasattr(error, "error_dict"):
        return error.messages
    named = error.message_dict
    return [f"{field}: {message}" for field, told in named.items() for message in told]
