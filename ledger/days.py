"""How many entries each day has, so that the page that shows days reads nothing of the ledger.

The clock counts along the sealed log, each leaf once: a step and how far it came are one
transaction, so nothing is counted twice or left out, whenever it is stopped. What is missing after
an upgrade, or was forgotten, is made by the same steps.
"""

from django.db import connection, transaction

from ledger.models import Checkpoint, DayCount, Walk

NAME = "days"
BATCH = 5000
BATCHES = 2  # of one tick, which shares its process with the clock's other work
DAY = {"postgresql": "(e.at AT TIME ZONE 'UTC')::date", "sqlite": "date(e.at)"}
COUNT = """
    INSERT INTO ledger_daycount (day, kind, tier, count)
    SELECT {day}, e.kind, COALESCE(f.tier, ''), COUNT(*)
    FROM ledger_leaf l JOIN ledger_ledgerentry e ON e.id = l.entry_id
    LEFT JOIN ledger_facet f ON f.entry_id = l.entry_id
    WHERE l.leaf_index >= %s AND l.leaf_index < %s
    GROUP BY 1, 2, 3
    ON CONFLICT (day, kind, tier) DO UPDATE SET count = ledger_daycount.count + excluded.count
"""


def tick() -> int:
    """Count what was sealed since, in bounded steps. Returns how many leaves were passed."""
    passed = 0
    for _ in range(BATCHES):
        step = roll_up()
        passed += step
        if step < BATCH:
            break
    return passed


def roll_up(limit: int | None = None) -> int:
    """Count the next sealed entries; two look-ups when there are none."""
    sealed = Checkpoint.objects.order_by("-size").values_list("size", flat=True).first() or 0
    if Walk.objects.filter(name=NAME, position__gte=sealed).exists() or not sealed:
        return 0
    return _step(sealed, limit or BATCH)


@transaction.atomic
def _step(sealed: int, limit: int) -> int:
    Walk.objects.bulk_create([Walk(name=NAME)], ignore_conflicts=True)
    walk = Walk.objects.select_for_update().get(name=NAME)
    end = min(walk.position + limit, sealed)
    passed = end - walk.position
    if passed <= 0:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(COUNT.format(day=DAY[connection.vendor]), [walk.position, end])
    walk.position, walk.sealed = end, sealed
    walk.save(update_fields=["position", "sealed"])
    return passed


@transaction.atomic
def forget() -> None:
    """Have every day counted anew: what they were counted from was made anew."""
    Walk.objects.filter(name=NAME).update(position=0)  # a step under way ends before this
    DayCount.objects.all().delete()
