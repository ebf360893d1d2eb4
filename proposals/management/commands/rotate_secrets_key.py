"""Encrypts every stored secret under a new key."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from proposals import services, vault


class Command(BaseCommand):
    help = (
        "Encrypt every stored secret anew. With the key file a new key is made; with "
        "COUNTERSIGN_SECRETS_KEY put the new key first, restart everything, and run this."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with transaction.atomic():
                done, lost = vault.rotate()
                services.record_change(
                    stream="auth",
                    kind="secrets.rotated",
                    person=None,
                    body={"rotated": done, "lost": lost},
                )
        except vault.VaultProblem as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{done} secrets are encrypted under the newest key.")
        if lost:
            raise CommandError(
                f"{lost} could not be read with any key: enter them again on their pages. "
                "The former key was kept."
            )
