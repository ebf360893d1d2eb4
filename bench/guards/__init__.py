"""The safety checks of the product, by what they guard.

A check in front of another that guards the same is not listed: of the one live undo, the database's
constraint is the guard.
"""

from bench.guards import (
    altered,
    budgets,
    comments,
    commit,
    decisions,
    demonstration,
    doors,
    fairness,
    floors,
    gate,
    http_actions,
    ledger,
    locks,
    mails,
    notices,
    outbound,
    outcomes,
    pages,
    people,
    queue,
    tables,
    writes,
)
from bench.guards.guard import Guard

ROOMS = (
    altered,
    budgets,
    comments,
    commit,
    decisions,
    demonstration,
    doors,
    fairness,
    floors,
    gate,
    http_actions,
    ledger,
    locks,
    mails,
    notices,
    outbound,
    outcomes,
    pages,
    people,
    queue,
    tables,
    writes,
)
GUARDS: list[Guard] = [one for room in ROOMS for one in room.GUARDS]
