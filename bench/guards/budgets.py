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
        "    if window is not None:\n        found &= Q(counted_at__gt=now - window)\n",
        "",
        "tests/budgets/test_accounts.py",
    ),
    Guard(
        "what was released does not count",
        "budgets/models.py",
        "found = ~Q(status=Reservation.Status.RELEASED)",
        "found = Q()",
        "tests/budgets/test_accounts.py",
    ),
    Guard(
        "what waits for a slot is woken when there is room",
        "proposals/services/capping.py",
        "    if not is_new:\n        wake()\n",
        "",
        "tests/proposals/test_budgets.py",
    ),
]
