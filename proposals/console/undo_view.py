"""What an undo page shows, gathered before its template is opened."""

from typing import Any

from proposals import checks, services, text
from proposals.console import diff
from proposals.registry import Tier


class UndoView:
    """What undoing would do now, field by field."""

    def __init__(self, found: services.UndoPreview) -> None:
        self.error = found.error
        self.conflicts = len(found.conflicts)
        self.sentence = checks.sentence(found.call.action, found.call.params)
        preview = found.preview
        notes = {
            (one.object, one.field): f"Changed since: the write left {shown(one.expected)}."
            for one in found.conflicts
        }
        self.objects = (
            diff.objects(
                found.before_write, preview.before, preview.after, from_live=True, notes=notes
            )
            if preview
            else []
        )
        self.is_empty = found.is_empty
        alone = preview is not None and not self.conflicts and preview.tier != Tier.HIGH
        self.consequence = COMMITS_ALONE if alone else NEEDS_ANOTHER


def shown(value: Any) -> str:
    """A value inside a sentence: one line, nothing hidden, not too long."""
    words = {"None": "null", "''": "empty"}
    return words.get(repr(value)) or text.plain(value, 200)


COMMITS_ALONE = (
    "propose the undo; as it restores a known state, a worker commits it within seconds unless a "
    "rule denies it."
)
NEEDS_ANOTHER = "propose the undo; it is written only after another person approved it."
