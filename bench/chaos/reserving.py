"""What is reserved against budgets, by plain SQL: that each reservation is somebody's, and right.

Read from the reservations and not from the proposals that are known: what belongs to none shows.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db import connection

from bench.chaos.cycle import CAP, CAP_SECONDS

# Until it is decided whether there is a write, what was set aside for it stays.
OPEN = ("submitted", "pending", "changes_requested", "approved", "unknown")
SHOWN = 5
# A reservation names its proposal as text; the databases keep the proposal's own name differently.
IS_ITS = {
    "sqlite": "p.id = replace(r.proposal, '-', '')",
    "postgresql": "p.id::text = r.proposal",
}
WRONG = f"""
    CASE WHEN p.id IS NULL THEN 'of no proposal'
    WHEN r.status = 'held' AND p.status NOT IN {OPEN} THEN 'for what is ' || p.status
    WHEN r.status = 'captured' AND b.unit <> 'proposals' AND p.status <> 'committed'
    THEN 'for what is ' || p.status END
"""


def orphans(agent: str = "") -> list[str]:
    """Every reservation, or every one of an agent, that is held or captured for nothing.

    Held ones belong to what is open or unknown, captured ones to a committed write. Proposals are
    counted when they are submitted, so what is captured in them belongs to any.
    """
    sql = (
        f"SELECT b.name, r.proposal, r.amount, r.status, {WRONG} FROM budgets_reservation r "
        "JOIN budgets_scope s ON s.id = r.scope_id JOIN budgets_budget b ON b.id = s.budget_id "
        f"LEFT JOIN proposals_proposal p ON {IS_ITS[connection.vendor]} "
        f"WHERE r.status <> 'released' AND {WRONG} IS NOT NULL"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql + " AND s.agent = %s" * bool(agent), [agent] if agent else None)
        found = cursor.fetchall()
    return [
        f"{budget}: {amount} {status} {why} ({proposal}), one of {len(found)}"
        for budget, proposal, amount, status, why in found[:SHOWN]
    ]


def over_the_cap(proposals: Iterable[Any]) -> list[str]:
    """A sweep over the ledger's times: at every instant, what counts in the window that ends there.

    Of each proposal, what its entries say of when it was counted, and when anew or no more. What
    begins at the instant at which something else ends has its place.
    """
    window = timedelta(seconds=CAP_SECONDS)
    steps = []
    for each in proposals:
        for since, until in each.story.stamps:
            steps += [(since, 1), (min(until or since + window, since + window), -1)]
    count = fullest = 0
    for _, step in sorted(steps):
        count += step
        fullest = max(fullest, count)
    return [f"{fullest} writes counted in one window, the cap is {CAP}"] if fullest > CAP else []
