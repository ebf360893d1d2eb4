"""The protocol with one guard taken out, to see that the harness notices.

A harness that finds nothing proves something only if it would have found what is broken.
"""

from collections.abc import Callable
from typing import Any

from proposals import attempts, settling
from proposals.actions import receipts, writing
from proposals.models import Execution


def without_receipts() -> None:
    """A second apply does not see that the first has written."""

    def take(cursor: Any, key: str, state: str) -> None:
        cursor.execute(
            f"INSERT INTO {receipts.TABLE} (key, state) VALUES (%s, %s) "
            "ON CONFLICT (key) DO NOTHING",
            [key, state],
        )

    receipts.take = take


def without_voids() -> None:
    """An attempt is given up without barring its key at the target."""
    writing.RecordsAction.void = lambda self, params, *, key: None


def without_fences() -> None:
    """A worker that lost its lease goes on as if it still held it."""

    def mine(held: Execution, **changes: Any) -> bool:
        return Execution.objects.filter(pk=held.pk).update(**changes) == 1

    attempts.mine = mine


def without_capture() -> None:
    """What was reserved for a write stays held after it."""
    settling.transition.__globals__["settle_budgets"] = lambda *args: None


BREAKAGES: dict[str, Callable[[], None]] = {
    "receipts": without_receipts,
    "voids": without_voids,
    "fences": without_fences,
    "capture": without_capture,
}
