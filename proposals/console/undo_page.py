"""What the undo page shows: what undoing would do now, and which objects it can be of."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from proposals import checks, services, text
from proposals.console import diff, meant
from proposals.console.portions import Portions
from proposals.lifecycle import Status
from proposals.models import Proposal
from proposals.registry import Tier

MOST_NAMED = 10
# Where all of a long value is, by its column.
WHOLE = {side: {"of": f"undo-{side}"} for side in ("before", "live", "after")}
COMMITS_ALONE = (
    "propose the undo; as it restores a known state, a worker commits it within seconds unless a "
    "rule denies it."
)
COMMITS_ALONE_IF_CLEAN = (
    "propose the undo of what is ticked; without anything that somebody changed since, a worker "
    "commits it within seconds unless a rule denies it, and otherwise another person has to "
    "approve it."
)
NEEDS_ANOTHER = "propose the undo; it is written only after another person approved it."


@dataclass(frozen=True)
class Tick:
    """One object that an undo can cover by itself."""

    name: str
    changed: tuple[str, ...]
    is_same: bool
    is_ticked: bool


@dataclass(frozen=True)
class Spoken:
    """Objects that one undo covers already, or covered; without it, that are taken back."""

    objects: tuple[str, ...]
    undo: Proposal | None

    @property
    def words(self) -> str:
        if self.undo is None or self.undo.status == Status.COMMITTED:
            return "taken back"
        return f"to be taken back: {self.undo.get_status_display().lower()}"


class UndoView:
    """What undoing would do now: field by field, in parts, and every object by itself to tick."""

    def __init__(
        self,
        found: services.UndoPreview,
        asked: list[str] | None = None,
        *,
        part: Mapping[str, str],
        url: str,
    ) -> None:
        self.error = found.error
        self.conflicts = len(found.conflicts)
        self.others = spoken(found)
        self.ticks = ticks(found, asked) if len(found.objects) > 1 or self.others else []
        self.is_covered = found.is_covered
        count = found.preview.impact.objects if found.preview else 0
        self.is_all_or_none = count > 1 and not found.objects
        self.sentence = checks.sentence(found.call.action, found.call.params)
        preview = found.preview
        notes = {
            (one.object, one.field): f"Changed since: the write left {shown(one.expected)}."
            for one in found.conflicts
        }
        groups = (
            diff.objects(
                found.before_write, preview.before, preview.after, from_live=True, notes=notes
            )
            if preview
            else []
        )
        groups.sort(key=lambda group: not any(row.note for row in group.changed))
        self.portions = Portions(groups, part, f"{url}?")
        self.objects = meant.understood(found.call, self.portions.shown)
        self.whole = WHOLE
        self.is_empty = found.is_empty
        alone = preview is not None and not self.conflicts and preview.tier != Tier.HIGH
        self.consequence = COMMITS_ALONE if alone else NEEDS_ANOTHER
        if self.ticks and preview and preview.tier != Tier.HIGH and self.conflicts:
            self.consequence = COMMITS_ALONE_IF_CLEAN


def ticks(found: services.UndoPreview, asked: list[str] | None) -> list[Tick]:
    """The objects to choose from, the last written first; what somebody changed is not ticked."""
    changed: dict[str, list[str]] = defaultdict(list)
    for one in found.conflicts:
        changed[one.object].append(one.field)
    held = found.preview
    return [
        Tick(
            name=name,
            changed=tuple(changed.get(name, ())),
            is_same=held is not None and held.before.get(name) == held.after.get(name),
            is_ticked=name in asked if asked is not None else name not in changed,
        )
        for name in reversed(found.objects)
    ]


def spoken(found: services.UndoPreview) -> list[Spoken]:
    """What other undos cover, in one line for each undo."""
    grouped: dict[Any, list[str]] = defaultdict(list)
    undos = {undo.pk if undo else None: undo for undo in found.others.values()}
    for name, undo in found.others.items():
        grouped[undo.pk if undo else None].append(name)
    return [Spoken(tuple(names), undos[pk]) for pk, names in grouped.items()]


def named(objects: list[str]) -> str:
    """Some objects by name inside a sentence, and how many there are."""
    listed = ", ".join(map(shown, objects[:MOST_NAMED]))
    more = len(objects) - MOST_NAMED
    count = f"{len(objects)} object{'s' if len(objects) != 1 else ''}"
    return f"{count} ({listed}{f' and {more} more' if more > 0 else ''})"


def shown(value: Any) -> str:
    """A value inside a sentence: one line, nothing hidden, not too long."""
    words = {"None": "null", "''": "empty"}
    return words.get(repr(value)) or text.plain(value, 200)
