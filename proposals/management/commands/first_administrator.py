"""Makes the first administrator of a clean installation."""

import getpass
import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from proposals import people, services, setup_code
from proposals.exceptions import ProposalError


class Command(BaseCommand):
    help = (
        "Make the first administrator. Asks for the password, or takes it from "
        "COUNTERSIGN_ADMIN_PASSWORD."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--email", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        if people.has_administrator():
            raise CommandError("There is an administrator already; ask them for an account.")
        password = os.environ.get("COUNTERSIGN_ADMIN_PASSWORD") or getpass.getpass("Password: ")
        try:
            administrator = services.make_first_administrator(
                username=options["username"], email=options["email"], password=password
            )
        except ProposalError as error:
            raise CommandError(str(error)) from error
        setup_code.forget()
        self.stdout.write(f"{administrator.username} can sign in, and invite others.")
