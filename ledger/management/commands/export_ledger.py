"""`export_ledger`: the archive of the admin's export, for operators."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ledger import clock, export
from ledger.export import ExportRefused
from ledger.finding import WHOLE_TIME, BadFilter, Filters
from ledger.management.files import named


class Command(BaseCommand):
    help = "Export sealed entries as JSON lines and CSV, with what proves them offline."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--from", dest="at_from", default="", help="from this moment, in UTC")
        parser.add_argument("--to", dest="at_to", default="", help="before this moment, in UTC")
        parser.add_argument("--search", default="", metavar="TERM", help="as in the admin's box")
        parser.add_argument(
            "--reason", default="exported by an operator", help="kept in the ledger"
        )
        parser.add_argument(
            "--output",
            required=True,
            metavar="FILE",
            help="a new file; - for standard output",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        given = {name: options[name] for name in ("at_from", "at_to")}
        try:
            filters = Filters.parse(given | {"q": options["search"], "at": WHOLE_TIME}, clock.now())
            # The file first: what cannot be written to is not entered as taken away.
            with new_file(options["output"]) as file:
                started = export.start(
                    filters=filters,
                    actor="system:operator",
                    actor_name="",
                    reason=options["reason"],
                )
                for piece in export.archive(started):
                    file.write(piece)
        except (BadFilter, ExportRefused, OSError) as error:
            raise CommandError(str(error)) from error
        self.stderr.write(
            f"Exported {started.count:,} entries, sealed up to {started.checkpoint.size:,}; "
            f"{started.unsealed:,} more match and are not sealed yet."
        )


@contextmanager
def new_file(output: str) -> Iterator[BinaryIO]:
    """A file that was not there, and is gone again when the block raises; - is standard output."""
    if output == "-":
        yield sys.stdout.buffer
        return
    path = named(output)
    with path.open("xb") as file:
        try:
            yield file
        except BaseException:
            path.unlink()
            raise
