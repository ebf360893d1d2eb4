"""Stores the HTTP actions that a YAML file defines."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from proposals import services
from proposals.exceptions import ProposalError
from proposals.http_actions import ready


class Command(BaseCommand):
    help = "Store every HTTP action that a YAML file defines, or none (docs/http.md)."

    def add_arguments(self, parser: CommandParser) -> None:
        names = ", ".join(ready.names())
        parser.add_argument("file", help=f"a file, or one that comes with the product: {names}")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            stored = services.import_http_actions(text=text_of(options["file"]), person=None)
        except ProposalError as error:
            raise CommandError(f"Nothing was stored.\n{error}") from error
        for row in stored:
            self.stdout.write(f"Stored {row.name}.")


def text_of(name: str) -> str:
    if name in ready.names():
        return ready.text(name)
    if not name:
        raise CommandError("The file name is empty.")
    try:
        return Path(name).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{name} cannot be read: {error}") from error
