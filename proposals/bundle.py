"""All evidence on one proposal in one archive that proves itself offline.

It is an export of the proposal's entries (ledger.export), with the same right, reason, record and
program, and with three files more: what the approver saw, byte by byte, the story as canonical
JSON, and the story as a page without scripts.
"""

from typing import Any
from uuid import UUID

from django.template.loader import render_to_string

from ledger import clock, export
from ledger.canonical import canonical
from ledger.export import Export, ExportRefused
from ledger.finding import Filters
from ledger.models import Leaf
from proposals import bound, story, text
from proposals.story import Cell, Link, Section, Story

MOST_ENTRIES = 500
SEEN, STORY, PAGE = "seen.json", "story.json", "story.html"
FORMAT = "countersign-evidence/v1"


def start(*, proposal_id: UUID, person: Any, reason: str) -> Export:
    """Enter in the ledger that this person takes the evidence away, and gather it.

    Raises NotFound; and ExportRefused without a reason, while none of its entries is sealed, and
    for more entries than a page has time for, which the export of the ledger takes.
    """
    told = story.build(proposal_id)
    filters = Filters.parse({"q": f"proposal:{proposal_id}"}, clock.now())
    found = list(export.chosen(filters).values_list("pk", flat=True)[: MOST_ENTRIES + 1])
    if len(found) > MOST_ENTRIES:
        raise ExportRefused(
            f"This proposal has more than {MOST_ENTRIES} entries, too many for one page to gather. "
            f"Export them from the ledger's list: search for proposal:{proposal_id}."
        )
    if not Leaf.objects.filter(entry_id__in=found).exists():
        raise ExportRefused(
            "None of its entries is sealed yet, so nothing could be proved. The clock seals about "
            "once a second: try again."
        )
    started = export.start(
        filters=filters,
        actor=f"user:{person.pk}",
        actor_name=person.get_full_name() or person.get_username(),
        reason=reason,
    )
    started.name = f"evidence-{proposal_id}"
    started.extra = files(told, started)
    return started


def files(told: Story, started: Export) -> dict[str, bytes]:
    """The files beside those of every export, by names of the system."""
    check = told.check
    made = {}
    if check is not None:
        made[SEEN] = bound.seen_bytes(told.proposal, check)
    made[STORY] = canonical(as_json(told))
    page = {
        "story": told,
        "sections": [shown(section) for section in told.sections],
        "proposal": told.proposal,
        "digest": check.digest if check is not None else "",
        "sealed": started.checkpoint.size,
        "names": {"seen": SEEN, "story": STORY},
    }
    made[PAGE] = render_to_string("console/evidence.html", page).encode()
    return made


def as_json(told: Story) -> dict[str, Any]:
    """What the page says, with every character that would not be seen written out."""
    return {
        "format": FORMAT,
        "proposal": str(told.proposal.pk),
        "sentence": text.plain(told.sentence),
        "is_intact": told.is_intact,
        "sections": [
            {
                "title": section.title,
                "paragraphs": [text.plain(words) for words in section.paragraphs],
                "facts": [[text.plain(name), words(cell)] for name, cell in section.facts],
                "tables": [
                    {
                        "caption": table.caption,
                        "head": list(table.head),
                        "rows": [[words(cell) for cell in row] for row in table.rows],
                    }
                    for table in section.tables
                ],
            }
            for section in told.sections
        ],
    }


def shown(section: Section) -> dict[str, Any]:
    """A section with words for links, which would lead nowhere from a file."""
    return {
        "title": section.title,
        "paragraphs": section.paragraphs,
        "facts": [(name, plain(cell)) for name, cell in section.facts],
        "tables": [
            (table.caption, table.head, [[plain(cell) for cell in row] for row in table.rows])
            for table in section.tables
        ],
    }


def words(cell: Cell) -> str:
    return text.plain(plain(cell))


def plain(cell: Cell) -> str:
    return cell.text if isinstance(cell, Link) else cell
