"""`verify_ledger`: exit status 0 intact, 1 tampered, 2 incomplete, 3 wrong use."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ledger.keys import KeyProblem, verifying_keys
from ledger.management.files import named
from ledger.notes import BadNote, open_note
from ledger.verify import Report, Result, verify

WRONG_USE = 3


class NoCheckpoint(Exception):
    """A file that is no checkpoint says nothing about the ledger."""


class Command(BaseCommand):
    help = "Prove that no ledger entry was changed, removed, added or moved."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the report as JSON")
        parser.add_argument(
            "--key",
            metavar="FILE",
            help="trust these public keys instead of those in the data folder",
        )
        parser.add_argument(
            "--checkpoint",
            metavar="FILE",
            action="append",
            default=[],
            help="a checkpoint kept elsewhere, which the ledger must continue; may be repeated",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            keys = () if options["key"] is None else verifying_keys(named(options["key"]))
            notes = [kept(named(name)) for name in options["checkpoint"]]
        except (KeyProblem, NoCheckpoint, OSError, UnicodeDecodeError) as error:
            raise CommandError(str(error), returncode=WRONG_USE) from error
        report = verify(keys=keys, checkpoints=notes)
        if options["json"]:
            self.stdout.write(json.dumps(report.as_json(), indent=2))
        else:
            self.stdout.write("\n".join(lines(report)))
        if report.result is not Result.INTACT:
            raise CommandError(
                f"The ledger is {report.result.name.lower()}.", returncode=int(report.result)
            )


def kept(path: Path) -> str:
    """The checkpoint in a file that was kept elsewhere. Raises NoCheckpoint for any other file.

    Only its form is looked at here: whether the ledger continues it is what is to be verified.
    """
    note = path.read_text().strip() + "\n"
    try:
        open_note(note, ())
    except BadNote as why:
        raise NoCheckpoint(f"{path} is no checkpoint: {why}.") from None
    return note


def lines(report: Report) -> list[str]:
    """The report for a reader; what was not checked is always said."""
    newest = f"; the newest is {report.newest_checkpoint}" if report.newest_checkpoint else ""
    said = [
        f"Read {report.entries:,} entries of {report.streams:,} streams in {report.seconds} s.",
        f"{report.sealed:,} of them are sealed, by {report.checkpoints:,} checkpoints{newest}.",
        *(f"Storage guard missing or altered: {name}." for name in report.guards_missing),
        *report.unproven,
        *([report.unreadable] if report.unreadable else []),
    ]
    if report.first_bad:
        said.append(f"TAMPERED. First bad entry: {report.first_bad}")
        said += [f"  {problem}" for problem in report.problems if problem != report.first_bad]
        if report.problem_count > len(report.problems):
            said.append(f"  {report.problem_count:,} problems in all.")
    elif report.result is Result.INTACT:
        said.append("Intact.")
    return said + [f"Not checked: {what}" for what in report.not_checked]
