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
            for key in keys.verifying_keys():
                self.stdout.write(str(key))
        except keys.KeyProblem as problem:
            raise CommandError(str(problem)) from problem
