"""Prints the HTTP actions of this installation as YAML; secrets are only named in it."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from proposals import services
from proposals.exceptions import ProposalError


class Command(BaseCommand):
    help = "Print the HTTP actions, or those of these names, as YAML."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="*", help="such as payments.refund; all, if not said")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.stdout.write(services.export_http_actions(names=options["names"]), ending="")
        except ProposalError as error:
            raise CommandError(str(error)) from error
