"""Removing what is of no use any more: some at a time, so that nobody waits for it."""

from typing import Any

from django.db.models import QuerySet

BATCH = 1000
BATCHES = 5  # of one call: called once a minute, it keeps up with 300,000 rows an hour


def prune(old: QuerySet[Any]) -> int:
    """Remove the first of these rows, each batch in a transaction of its own. Returns how many.

    What a batch has read is asked again when it is removed, so that a row which is not old any
    more stays.
    """
    removed = 0
    for _ in range(BATCHES):
        found = list(old.values_list("pk", flat=True)[:BATCH])
        if found:
            old.filter(pk__in=found).delete()
        removed += len(found)
        if len(found) < BATCH:
            break
    return removed
