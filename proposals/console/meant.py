"""A change as people read it: labels of fields and values, and names of what keys refer to."""

from collections.abc import Callable, Iterable
from typing import Any

from proposals import live
from proposals.console import diff
from proposals.console.diff import ObjectChange
from proposals.registry import Call


def understood(
    call: Call, groups: Iterable[ObjectChange], *, is_there: bool = True
) -> list[ObjectChange]:
    """These groups with what the action of a call says of their fields."""
    shown = list(groups)
    return list(map(reader(call, shown, is_there=is_there), shown))


def reader(
    call: Call, groups: Iterable[ObjectChange], *, is_there: bool = True
) -> Callable[[ObjectChange], ObjectChange]:
    """What makes any of these groups understood.

    One statement at the target for each table that keys refer to and one for currencies, so give it
    all that a page shows and no more; none where the target is known to be out of reach, or turns
    out to be.
    """
    shown = list(groups)
    meanings = live.meanings(call.action, call.params)
    names: dict[str, dict[str, str]] = {}
    units: dict[str, dict[str, Any] | None] = {}
    if is_there:
        names = live.referred(call.action, meanings, diff.values(shown))
        is_there = not any(found is live.OUT_OF_REACH for found in names.values())
    if is_there:
        wanted = [
            (group, by)
            for group in shown
            for row in (*group.changed, *group.unchanged)
            if (by := diff.elsewhere(group, row, meanings))
        ]
        keys = [key for group, _ in wanted for key in group.keys]
        units = live.held(call.action, call.params, keys, [by for _, by in wanted])
    return lambda group: diff.in_units(diff.understood(group, meanings, names), meanings, units)
