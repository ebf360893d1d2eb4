"""What taking back a whole run would do now: read, said per commit, and nothing asked for."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.db.models import F

from proposals import undone
from proposals.exceptions import NotFound
from proposals.lifecycle import OPEN, Status
from proposals.models import Execution, Proposal, Run
from proposals.registry import Conflict, Tier
from proposals.services.undoing import UndoPreview, compensation_of, previewed, restricted

MOST_PREVIEWED = 200


class Outlook(StrEnum):
    """What would come of taking one commit back."""

    CLEAN = "clean"
    ANOTHER = "another"
    FOLLOWS = "follows"
    CONFLICT = "conflict"
    BLOCKED = "blocked"
    IMPOSSIBLE = "impossible"
    UNKNOWN = "unknown"
    UNREADABLE = "unreadable"
    ASKED = "asked"
    UNDONE = "undone"
    LATER = "later"


GOES = frozenset({Outlook.CLEAN, Outlook.ANOTHER, Outlook.FOLLOWS})
STAYS = frozenset(
    {
        Outlook.CONFLICT,
        Outlook.BLOCKED,
        Outlook.IMPOSSIBLE,
        Outlook.UNKNOWN,
        Outlook.UNREADABLE,
    }
)


@dataclass(frozen=True)
class Line:
    """One commit of the run, and what undoing it would do after all newer ones were undone."""

    proposal: Proposal
    outlook: Outlook
    note: str = ""
    conflicts: tuple[Conflict, ...] = ()
    objects: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunPlan:
    """The commits of a run, newest first, and how many proposals of it are still open."""

    run: Run
    lines: tuple[Line, ...]
    still_open: int
    counts: Counter = field(default_factory=Counter)

    @property
    def is_empty(self) -> bool:
        """Whether asking would ask for nothing at all."""
        return not any(self.counts[one] for one in (*GOES, *STAYS, Outlook.LATER, Outlook.ASKED))


@dataclass
class _World:
    """What the target would hold once the newer commits of the run were undone."""

    values: dict[tuple[str, str], Any] = field(default_factory=dict)
    fate: dict[str, bool] = field(default_factory=dict)

    def kept(self, objects: Iterable[str]) -> bool:
        """Whether a newer write to one of these objects stays."""
        return any(self.fate.get(name) is False for name in objects)

    def conflicts(self, place: str, found: UndoPreview) -> tuple[Conflict, ...]:
        """The conflicts that would be left when the newer undos have put their values back."""
        left = []
        for one in found.conflicts:
            then = self.values.get((f"{place}/{one.object}", one.field), one.found)
            if then != one.expected:
                left.append(Conflict(one.object, one.field, one.expected, then))
        return tuple(left)

    def undo(self, place: str, found: UndoPreview) -> None:
        for name, values in (found.preview.after if found.preview else {}).items():
            for column, value in (values or {}).items():
                self.values[f"{place}/{name}", column] = value


def preview_run_undo(*, run_id: int) -> RunPlan:
    """Read the targets and say what undoing this run would do to each of its commits.

    Only the newest are read; the rest is listed as later. Raises NotFound.
    """
    run = Run.objects.select_related("agent").filter(pk=run_id).first()
    if run is None:
        raise NotFound
    lines = tuple(foreseen(commits(run)))
    still_open = Proposal.objects.filter(run=run, compensates=None, status__in=OPEN).count()
    return RunPlan(run, lines, still_open, Counter(line.outlook for line in lines))


def commits(run: Run) -> list[Proposal]:
    """What the run wrote or may have written, newest first. Undos are not of the run's making."""
    found = Proposal.objects.filter(
        run=run, compensates=None, status__in=[Status.COMMITTED, Status.UNKNOWN]
    )
    return list(
        found.select_related("agent", "run", "proposer", "current_check").order_by(
            F("committed_at").desc(nulls_first=True), "-pk"
        )
    )


def executions_of(proposals: Iterable[Proposal]) -> dict[Any, Execution]:
    """The attempt that committed each of them, in one statement."""
    rows = Execution.objects.filter(
        proposal__in=[one.pk for one in proposals], status=Execution.Status.COMMITTED
    )
    return {row.proposal_id: row for row in rows.select_related("of_check")}


def touched(proposal: Proposal, execution: Execution | None) -> list[str]:
    """The objects of a write, named alike across actions: table and key, or all it names."""
    place = proposal.resource.partition("/")[0]
    keys = [key for key in (execution.after if execution else None) or {} if key != "new"]
    return sorted(f"{place}/{key}" for key in keys) or [proposal.resource]


def live_undos(proposals: Iterable[Proposal]) -> dict[Any, list[Proposal]]:
    """By commit, the undos of it that are open or committed; in one statement."""
    asked: dict[Any, list[Proposal]] = defaultdict(list)
    of_these = Proposal.objects.filter(compensates__in=[one.pk for one in proposals])
    for undo in undone.live(of_these):
        asked[undo.compensates_id].append(undo)
    return asked


def rest_of(
    proposal: Proposal, execution: Execution | None, undos: list[Proposal]
) -> frozenset[str] | None:
    """The objects of a commit that nothing took back or is to; None while that is all of them."""
    if not undos and not proposal.taken_back:
        return None
    every = undone.objects_of(execution)
    return every - undone.taken_back(proposal, every) - frozenset(undone.held(undos, every))


def foreseen(proposals: list[Proposal]) -> Iterator[Line]:
    """Each commit in turn, as it would be found once all newer ones were undone."""
    executions, asked, world = executions_of(proposals), live_undos(proposals), _World()
    read = 0
    for proposal in proposals:
        execution = executions.get(proposal.pk)
        objects = tuple(touched(proposal, execution))
        if proposal.is_undone:
            yield Line(proposal, Outlook.UNDONE, objects=objects)
            continue
        rest = rest_of(proposal, execution, asked.get(proposal.pk, []))
        if rest is not None and not rest:
            yield Line(proposal, Outlook.ASKED, ASKED, objects=objects)
            continue
        if read >= MOST_PREVIEWED:
            yield Line(proposal, Outlook.LATER, LATER, objects=objects)
            continue
        read += 1
        line = foresee(proposal, execution, objects, world, rest)
        for name in objects:
            world.fate[name] = line.outlook in GOES and world.fate.get(name, True)
        yield line


def foresee(
    proposal: Proposal,
    execution: Execution | None,
    objects: tuple[str, ...],
    world: _World,
    rest: frozenset[str] | None = None,
) -> Line:
    """One commit of which something is not undone, and is not being undone."""
    if execution is None:
        return Line(proposal, Outlook.UNKNOWN, UNKNOWN, objects=objects)
    if execution.compensation is None:
        return Line(proposal, Outlook.IMPOSSIBLE, IMPOSSIBLE, objects=objects)
    if world.kept(objects):
        return Line(proposal, Outlook.BLOCKED, BLOCKED, objects=objects)
    call, before = compensation_of(execution), execution.of_check.before or {}
    found = previewed(*(restricted(call, rest, before) if rest else (call, before)))
    if found.error:
        if any(name in world.fate for name in objects):
            return Line(proposal, Outlook.FOLLOWS, FOLLOWS, objects=objects)
        return Line(proposal, Outlook.UNREADABLE, found.error, objects=objects)
    place = proposal.resource.partition("/")[0]
    if conflicts := world.conflicts(place, found):
        return Line(proposal, Outlook.CONFLICT, CONFLICT, conflicts, objects)
    world.undo(place, found)
    is_high = found.preview is not None and found.preview.tier == Tier.HIGH
    outlook = Outlook.ANOTHER if is_high else Outlook.CLEAN
    return Line(proposal, outlook, objects=objects)


ASKED = "An undo of this is already under way; it is followed, and not asked for twice."
LATER = "Not read yet: it is checked when its turn comes, before anything is written."
UNKNOWN = "Whether this was written is not known; an operator has to settle that first."
IMPOSSIBLE = "What this wrote cannot be taken back: the action has no compensation for it."
BLOCKED = "A newer write of the run to the same object stays, so this one stays under it."
FOLLOWS = "Known once the newer write to the same object is undone."
CONFLICT = "Somebody changed these fields since; going over them takes another person’s approval."
