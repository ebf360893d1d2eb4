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
    Guard(
        "what waits for a slot is woken when there is room",
        "proposals/services/capping.py",
        "    if not is_new:\n        wake()\n",
        "",
        "tests/proposals/test_budgets.py",
    ),
    Guard(
        "what was approved before a budget was there is counted when it is written",
        "budgets/accounts.py",
        "    if not all(each.is_whole for each in holdings):",
        "    if False:",
        "tests/proposals/test_execution.py",
    ),
    Guard(
        "a budget that is switched off refuses nothing",
        "budgets/accounts.py",
        "Budget.objects.filter(is_active=True, lane=charge.lane)",
        "Budget.objects.filter(lane=charge.lane)",
        "tests/budgets/test_accounts.py",
    ),
    Guard(
        "whoever waited for a lock is judged by the limits that stand then",
        "budgets/accounts.py",
        "    budgets, now = as_they_are(scopes)\n    amounts",
        "    _, now = as_they_are(scopes)\n"
        "    budgets = {budget.pk: budget for budget, _ in wanted.values()}\n    amounts",
        "tests/budgets/test_accounts.py",
        on_postgresql=True,
    ),
    Guard(
        "of many first refusals at once one is entered",
        "budgets/refusals.py",
        "    except IntegrityError:\n        return False\n",
        "    except IntegrityError:\n        return True\n",
        "tests/budgets/test_accounts.py",
        on_postgresql=True,
    ),
    Guard(
        "no refusal is entered twice",
        "budgets/refusals.py",
        '            "count": 1,\n',
        '            "count": Refusal.objects.get(agent=agent).count,\n',
        "tests/budgets/test_accounts.py",
    ),
    Guard(
        "a budget is not saved over what somebody changed meanwhile",
        "proposals/services/capping.py",
        "    if version_of(budget_id) != seen:",
        "    if False:",
        "tests/proposals/admin/test_editing.py",
    ),
    Guard(
        "a slot that was promised to an approved write is kept for it",
        "proposals/execution.py",
        "                spending.book(proposal, error.shortage)\n",
        "",
        "tests/proposals/test_budgets.py",
    ),
    Guard(
        "whoever has booked a later slot stops nobody whose turn it is",
        "budgets/accounts.py",
        "            by_others = by_others.exclude(booked(now))",
        "            pass",
        "tests/proposals/test_budgets.py",
    ),
]
