"""What is reserved against budgets, by plain SQL: that each reservation is somebody's, and right.

Read from the reservations and not from the proposals that are known: what belongs to none shows.
"""

from django.db import connection

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
