"""Which objects of a write are taken back, and which undo has a place for which of them.

An undo is of all objects of a write, or of some where the compensation can be divided; no object
has two undos that are open or committed. What cannot be divided counts as one object without a
name. An object is called the same in a compensation and in what reverses that.
"""

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from proposals.lifecycle import WITHOUT_A_WRITE
from proposals.models import Execution, Proposal
from proposals.registry import Call, registry

UNDIVIDED = frozenset({""})
Objects = frozenset[str]


def parts(call: Call) -> list[str]:
    """The objects by which a compensation can be divided; empty where it is all or nothing."""
    try:
        return registry.get(call.action).parts(call.params)
    except LookupError:
        return []


def objects(written: Proposal) -> Objects:
    """Every object of a commit that an undo can cover."""
    return objects_of(written.executions.filter(status=Execution.Status.COMMITTED).first())


def objects_of(committed: Execution | None) -> Objects:
    """The same of the attempt that committed it."""
    stored: Any = committed.compensation if committed else None
    return frozenset(parts(Call(**stored))) or UNDIVIDED if stored else UNDIVIDED


def covered(undo: Proposal, every: Objects) -> Objects:
    """What an undo covers of all the objects of the write."""
    return every if undo.covers is None else frozenset(undo.covers)


def taken_back(written: Proposal, every: Objects) -> Objects:
    """What committed undos have taken back, and no undo of theirs put there again."""
    return every if written.is_undone else frozenset(written.taken_back)


def live(undos: QuerySet[Proposal]) -> QuerySet[Proposal]:
    """The undos that have a place: open, or committed and not undone themselves."""
    return undos.filter(is_undone=False).exclude(status__in=WITHOUT_A_WRITE).order_by("pk")


def held(undos: Iterable[Proposal], every: Objects) -> dict[str, Proposal]:
    """By object, which of the undos that have a place has it for that object."""
    return {
        name: undo for undo in undos for name in covered(undo, every) - frozenset(undo.taken_back)
    }


def without_place(undo: Proposal) -> Objects:
    """Of what an undo covers, the objects whose place another undo has. Locks the write."""
    if undo.compensates_id is None:
        return frozenset()
    written = Proposal.objects.lock(undo.compensates_id)
    every = objects(written)
    others = live(written.compensations.exclude(pk=undo.pk))
    return covered(undo, every) & frozenset(held(others, every))


def is_too_late(undo: Proposal) -> bool:
    """Whether something else took back, or has the place to take back, what an undo covers."""
    if undo.compensates_id is None:
        return False
    if without_place(undo):
        return True
    written = Proposal.objects.get(pk=undo.compensates_id)
    every = objects(written)
    return bool(covered(undo, every) & taken_back(written, every))


def in_order(names: Iterable[str], order: list[str]) -> list[str]:
    """Objects as the compensation lists them; what it does not list comes last."""
    wanted = set(names)
    return [name for name in order if name in wanted] + sorted(wanted - set(order))
