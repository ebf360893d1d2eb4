"""Lists by group: the order of a list with what belongs together side by side, and a line above.

Groups stand in the order of their first item, and items within a group as they would without. The
order is made once, when a list is stored: next and previous follow what is seen.
"""

from collections.abc import Iterable
from dataclasses import replace
from uuid import UUID

from proposals.console.presenters import Row
from proposals.models import Proposal

WORDS = {"agent": "Agent", "run": "Run", "action": "Action", "object": "Object"}
# By which columns things are the same; what a person proposed is that person's, not an agent's.
COLUMNS = {
    "agent": ("proposer_id", "agent_id"),
    "run": ("run_id",),
    "action": ("action",),
    "object": ("resource",),
}


def grouped(ids: list[UUID], by: str) -> list[UUID]:
    """The same ids, group by group: one statement, and none without a grouping."""
    if by not in COLUMNS:
        return ids
    listed = Proposal.objects.filter(pk__in=ids).order_by()
    groups = {pk: group_of(values, by) for pk, *values in listed.values_list("pk", *COLUMNS[by])}
    members: dict[tuple, list[UUID]] = {}
    for one in ids:
        if one in groups:
            members.setdefault(groups[one], []).append(one)
    return [one for group in members.values() for one in group]


def group_of(values: Iterable, by: str) -> tuple:
    """What its group is known by: of two columns the first that holds anything."""
    found = tuple(values)
    at = next((index for index, one in enumerate(found) if one is not None), 0)
    return at, found[at]


def headed(rows: list[Row], by: str) -> list[Row]:
    """Rows of a page of which the first of each group says which it is. It may name anything."""
    if by not in COLUMNS:
        return rows
    shown, last = [], None
    for row in rows:
        group = group_of([getattr(row.proposal, name) for name in COLUMNS[by]], by)
        shown.append(row if group == last else replace(row, group=heading(row, by)))
        last = group
    return shown


def heading(row: Row, by: str) -> str:
    proposal = row.proposal
    if by == "agent":
        return row.who
    if by == "run":
        return str(proposal.run_id or "none")
    return proposal.action if by == "action" else proposal.resource
