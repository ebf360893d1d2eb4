"""`verify_ledger`: exit status 0 intact, 1 tampered, 2 incomplete."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ledger.verify import Report, Result, verify


class Command(BaseCommand):
    help = "Prove that no ledger entry was changed, removed, added or moved."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        report = verify()
        if options["json"]:
            self.stdout.write(json.dumps(report.as_json(), indent=2))
        else:
            self.stdout.write("\n".join(lines(report)))
        if report.result is not Result.INTACT:
            raise CommandError(
                f"The ledger is {report.result.name.lower()}.", returncode=int(report.result)
            )


def lines(report: Report) -> list[str]:
    """The report for a reader; what was not checked is always said."""
    said = [
        f"Read {report.entries:,} entries of {report.streams:,} streams in {report.seconds} s.",
        *(f"Storage guard missing or altered: {name}." for name in report.guards_missing),
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
