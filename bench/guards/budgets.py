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
        "a person's retry reserves at the press",
        "proposals/services/endings.py",
        "reserved = spending.reserve(proposal, proposal.revision().params, proposal.current_check)",
        "reserved = []",
        "tests/proposals/test_budgets.py",
    ),
    Guard(
        "a later check that is over budget destroys nothing",
        "proposals/checks.py",
        "and not proposal.checks.filter(revision=revision).exists()",
        "",
        "tests/proposals/test_budgets.py",
    ),
    Guard(
        "what is over budget at a later check cannot be approved",
        "proposals/checks.py",
        'findings = replace(findings, error=f"{gate.NO_ROOM} {excess}"[:500])',
        "pass",
        "tests/proposals/test_budgets.py",
    ),
]
