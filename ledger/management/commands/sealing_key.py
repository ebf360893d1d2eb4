"""`sealing_key`: the public keys to keep elsewhere; and a new key when the old one is lost."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ledger import keys


class Command(BaseCommand):
    help = "Print the public keys that this installation sealed with, newest last."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--replace",
            action="store_true",
            help="retire the private key, if it is still there, and make a new one",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["replace"]:
                keys.replace()
            known = keys.verifying_keys()
        except keys.KeyProblem as problem:
            raise CommandError(str(problem)) from problem
        if not known:  # or `sealing_key > kept.pub` would keep nothing, and seem to have kept it
            raise CommandError(none_yet())
        for key in known:
            self.stdout.write(str(key))


def none_yet() -> str:
    if keys.private_path().exists():
        return f"{keys.public_path()} is missing: the clock writes it again when it next seals."
    folder = keys.public_path().parent
    return f"No key was made yet in {folder}: the clock makes it when it first seals."
