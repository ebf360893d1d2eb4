"""Caps, and what is spoken for."""

from bench.guards.guard import Guard

GUARDS = [
    Guard(
        "no more than the cap",
        "budgets/accounts.py",
        "    if used + amount <= budget.limit:\n        return",
        "    if True:\n        return",
        "tests/budgets/test_accounts.py",
    ),
    Guard(
        "the window rolls",
        "budgets/models.py",
        "return held if window is None else held.filter(counted_at__gt=now - window)",
        "return held",
        "tests/budgets/test_accounts.py",
    ),
    Guard(
        "what was released does not count",
        "budgets/models.py",
        "held = self.exclude(status=Reservation.Status.RELEASED)",
        "held = self.all()",
        "tests/budgets/test_accounts.py",
    ),
]
