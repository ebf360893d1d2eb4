"""Sends one mail, to see whether mail is set up right."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from proposals import text
from proposals.notices import mail


class Command(BaseCommand):
    help = "Send a test mail to an address. Exit status 1 says that it was not taken, and why."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("address", help="whom to send it to")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.MAIL_IS_ON:
            raise CommandError("Mail is off: set EMAIL_URL and DEFAULT_FROM_EMAIL.")
        try:
            mail.send_test(options["address"])
        except ValueError as error:
            raise CommandError(text.plain(str(error))) from error
        except OSError as error:
            told = text.plain(f"{type(error).__name__}: {error}", 300)
            raise CommandError(f"The mail server did not take it: {told}") from error
        self.stdout.write(f"Taken by the mail server, for {options['address']}.")
