"""What budgets refuse."""

import math
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True)
class Shortage:
    """Which cap stands in the way, and when it will next let this much through.

    `free_at` is None when waiting does not help: more than the whole cap, or the life of a run.
    """

    budget_id: int
    budget: str
    unit: str
    limit: Decimal
    window_seconds: int | None
    used: Decimal
    asked: Decimal
    free_at: datetime | None
    at: datetime
    suspends: bool

    @property
    def seconds_until_free(self) -> float:
        """Until the next slot; infinite when waiting does not help."""
        return math.inf if self.free_at is None else (self.free_at - self.at).total_seconds()

    @property
    def retry_after(self) -> int | None:
        """Whole seconds until the next slot, rounded up; None when waiting does not help."""
        if self.free_at is None:
            return None
        return max(1, math.ceil((self.free_at - self.at).total_seconds()))


class BudgetExceeded(Exception):
    """A cap leaves no room for this now."""

    def __init__(self, shortage: Shortage) -> None:
        window = (
            f"in any {shortage.window_seconds} seconds"
            if shortage.window_seconds
            else "in the life of a run"
        )
        super().__init__(
            f"The budget {shortage.budget!r} allows {shortage.limit.normalize():f} "
            f"{shortage.unit} {window}, and {shortage.used.normalize():f} are spoken for."
        )
        self.shortage = shortage
