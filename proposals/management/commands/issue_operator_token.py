"""Prints a new token for the operators' API, once."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from proposals import operator_tokens
from proposals.models import Agent


class Command(BaseCommand):
    help = "Issue a person's token for the operators' API and print it. It cannot be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", help="the person; the token can do what they may")
        parser.add_argument("--days", type=int, default=operator_tokens.LIFETIME_DAYS)
        parser.add_argument("--revoke", action="store_true", help="end all tokens of the person")

    def handle(self, *args: Any, **options: Any) -> None:
        person = get_user_model().objects.filter(username=options["username"]).first()
        if person is None or Agent.objects.filter(user=person).exists():
            raise CommandError(f"There is no person {options['username']!r}.")
        if options["revoke"]:
            self.stdout.write(f"Ended: {operator_tokens.revoke_all(person=person)}.")
            return
        try:
            self.stdout.write(operator_tokens.issue(person=person, days=options["days"]))
        except ValueError as error:
            raise CommandError(str(error)) from error
