"""Makes the first administrator of a clean installation."""

import getpass
import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from proposals import people, services, setup_code
from proposals.exceptions import InvalidRequest, ProposalError


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
        password = os.environ.get("COUNTERSIGN_ADMIN_PASSWORD") or self.asked()
        try:
            administrator = services.make_first_administrator(
                username=options["username"], email=options["email"], password=password
            )
        except InvalidRequest as error:
            faults = (f"{one['pointer'].lstrip('/')}: {one['detail']}" for one in error.errors)
            raise CommandError(" ".join(faults) or str(error)) from error
        except ProposalError as error:
            raise CommandError(str(error)) from error
        setup_code.forget()
        self.stdout.write(f"{administrator.username} can sign in, and invite others.")

    def asked(self) -> str:
        """The password, typed without being shown. Raises CommandError where nobody can type."""
        try:
            return getpass.getpass("Password: ")
        except (EOFError, KeyboardInterrupt):
            raise CommandError(
                "No password was given. Without a terminal, set COUNTERSIGN_ADMIN_PASSWORD."
            ) from None
