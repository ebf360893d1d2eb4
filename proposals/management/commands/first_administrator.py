"""Makes the first administrator of a clean installation."""

import getpass
import os
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from proposals import defaults


class Command(BaseCommand):
    help = (
        "Make the first administrator. Asks for the password, or takes it from "
        "COUNTERSIGN_ADMIN_PASSWORD."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--email", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        users = get_user_model()
        if users.objects.filter(is_superuser=True, is_active=True).exists():
            raise CommandError("There is an administrator already; ask them for an account.")
        password = os.environ.get("COUNTERSIGN_ADMIN_PASSWORD") or getpass.getpass("Password: ")
        administrator = users(username=options["username"], email=options["email"])
        try:
            administrator.full_clean(exclude=["password"])
            validate_password(password, administrator)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        administrator.is_staff = administrator.is_superuser = True
        administrator.set_password(password)
        with transaction.atomic():
            defaults.ensure()
            defaults.ensure_budgets()
            administrator.save()
            administrator.groups.set(Group.objects.filter(name="policy-administrators"))
        self.stdout.write(f"{administrator.username} can sign in, make accounts and choose groups.")
