"""`explain`: the story of one proposal in the terminal. Exit status 1 if its proof fails."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from proposals import story, text
from proposals.exceptions import NotFound
from proposals.story import Cell, Link, Story


class Command(BaseCommand):
    help = "Tell what happened to a proposal, who decided on which evidence, and prove it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", help="the proposal")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            told = story.build(UUID(options["id"]))
        except (ValueError, NotFound):
            raise CommandError(f"There is no proposal {text.plain(options['id'])}.") from None
        self.stdout.write("\n".join(lines(told)))
        if not told.is_intact:
            raise CommandError("The ledger does not hold: see the proof.")


def lines(told: Story) -> Iterator[str]:
    """The same sections as the page, with every hidden or controlling character written out."""
    yield text.plain(told.sentence)
    for number, section in enumerate(told.sections, start=1):
        yield f"\n{number}. {section.title}"
        yield from (f"   {text.plain(paragraph)}" for paragraph in section.paragraphs)
        yield from (f"   {text.plain(name)}: {shown(cell)}" for name, cell in section.facts)
        for table in section.tables:
            yield f"   {text.plain(table.caption)}"
            for row in table.rows:
                pairs = zip(table.head, row, strict=True)
                yield "     " + " | ".join(f"{name}: {shown(cell)}" for name, cell in pairs)


def shown(cell: Cell) -> str:
    return text.plain(cell.text if isinstance(cell, Link) else cell)
