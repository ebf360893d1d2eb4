"""Tries an action out, and says whether it keeps what every action promises."""

import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from proposals import conformance
from proposals.registry import registry
from proposals.targets import wiring

MARKS = {True: "ok  ", False: "FAIL", None: "--  "}


class Command(BaseCommand):
    help = (
        "Try an action with its own example: it writes to the target, and takes back what it "
        "wrote. Exits 1 with the first sentence that does not hold."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the action, such as records.update")
        parser.add_argument(
            "--params", metavar="JSON", help="try it with these parameters instead of its example"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if "prod" in settings.ENVIRONMENT_NAME.lower():
            raise CommandError(
                f"This is {settings.ENVIRONMENT_NAME}: actions are tried on a target meant for it."
            )
        wiring.refresh()
        try:
            action = registry.get(options["name"])
        except LookupError:
            known = ", ".join(registry.names())
            raise CommandError(
                f"There is no action {options['name']!r}. There are: {known}. An app of yours is "
                "named in COUNTERSIGN_APPS."
            ) from None
        for finding in conformance.examine(action, self.params(options)):
            self.stdout.write(f"{MARKS[finding.holds]}  {finding.sentence} {finding.why}".rstrip())
            if finding.holds is False:
                raise CommandError(f"{action.name}: {finding.sentence} {finding.why}")
        self.stdout.write(f"{action.name} keeps what it promises.")

    def params(self, options: dict[str, Any]) -> dict[str, Any] | None:
        if options["params"] is None:
            return None
        try:
            found = json.loads(options["params"])
        except ValueError as error:
            raise CommandError(f"--params is no JSON: {error}") from None
        if not isinstance(found, dict):
            raise CommandError("--params must be a JSON object.")
        return found
