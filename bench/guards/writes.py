"""The write itself: what people approved is what the target holds, once per key."""

from bench.guards.guard import Guard

WRITES = "tests/proposals/test_records_writes.py"

GUARDS = [
    Guard(
        "what people approved is compared with the target at the write",
        "proposals/actions/writing.py",
        "if before != expected or",
        "if",
        WRITES,
    ),
    Guard(
        "what an undo would trample on is looked for at the write",
        "proposals/actions/writing.py",
        " or self.conflicts(params, held):",
        ":",
        WRITES,
    ),
    Guard(
        "what was archived meanwhile is not written",
        "proposals/actions/writing.py",
        "if before != expected or self.objection(table, held) or",
        "if before != expected or",
        WRITES,
    ),
    Guard(
        "what was archived is not previewed as a change",
        "proposals/actions/writing.py",
        "        if objection := self.objection(table, held):\n",
        '        if objection := "":\n',
        "tests/proposals/test_records.py",
    ),
    Guard(
        "a receipt that is there ends the write",
        "proposals/actions/writing.py",
        "            if earlier is not None:\n                return earlier\n",
        "",
        WRITES,
    ),
    Guard(
        "a receipt commits with its effect or not at all",
        "proposals/actions/receipts.py",
        "    if cursor.rowcount == 1:\n        return None\n",
        "    return None\n",
        WRITES,
    ),
    Guard(
        "a voided key never applies",
        "proposals/actions/receipts.py",
        '    raise VoidedKey("The key was voided before it was applied.")\n',
        "    return None\n",
        WRITES,
    ),
    Guard(
        "what was applied is not voided",
        "proposals/actions/receipts.py",
        '    if found == "applied":\n        return read(outcome)\n    if state == "void":\n',
        '    if state == "void":\n        return None\n    if found == "applied":\n'
        "        return read(outcome)\n    if False:\n",
        WRITES,
    ),
    Guard(
        "what the database makes something else of is not kept",
        "proposals/actions/writing.py",
        "    if held != meant:\n",
        "    if False:\n",
        WRITES,
    ),
    Guard(
        "what is stored is held against the tables of today",
        "proposals/actions/writing.py",
        "            valid = self.validate(params)\n",
        "            valid = params\n",
        WRITES,
    ),
    Guard(
        "a table that was switched off is not written",
        "proposals/actions/writing.py",
        '        if closed := tables.current().closed.get(params["table"]):\n',
        '        if closed := "":\n',
        "tests/proposals/test_databases.py",
    ),
    Guard(
        "an undo puts back only what agents may write",
        "proposals/actions/records.py",
        "                    if not shapes.may_be_put_back(table, name, value):\n",
        "                    if False:\n",
        "tests/proposals/test_records.py tests/proposals/test_records_writes.py",
    ),
    Guard(
        "a suspended agent meets no intent",
        "proposals/freezing.py",
        "        if proposal.agent.is_suspended:\n",
        "        if False:\n",
        "tests/proposals/test_api.py tests/proposals/test_budgets.py",
    ),
    Guard(
        "the freeze of everything stops what people undo",
        "proposals/freezing.py",
        "    if freeze.scope == Freeze.Scope.EVERYTHING:\n        return True\n    if proposal",
        "    if proposal",
        "tests/proposals/test_budgets.py",
    ),
    Guard(
        "freezing takes the right, or the agent to be one's own",
        "proposals/services/stopping.py",
        '    raise NotEligible(f"{words} takes',
        '    return\n    raise NotEligible(f"{words} takes',
        "tests/proposals/test_budgets.py",
    ),
    Guard(
        "whoever handed a claim back has lost its fence",
        "proposals/attempts.py",
        "    execution.fence += 1\n    if not claimed",
        "    if not claimed",
        "tests/test_production.py",
    ),
    Guard(
        "an intent of the last moment is not handed back",
        "proposals/attempts.py",
        "fence=execution.fence, status=Execution.Status.CLAIMED, intended_at=None\n",
        "fence=execution.fence\n",
        "tests/test_production.py",
    ),
    Guard(
        "the claim of another worker is not handed back",
        "proposals/attempts.py",
        "Execution.objects.filter(status=Execution.Status.CLAIMED, claimed_by=worker)",
        "Execution.objects.filter(status=Execution.Status.CLAIMED)",
        "tests/test_production.py",
    ),
    Guard(
        "what was not sent is sent again only so often",
        "proposals/settling.py",
        "    if execution.unsent >= settings.UNSENT_MAX_TRIES:\n",
        "    if False:\n",
        "tests/proposals/test_outcomes.py",
    ),
    Guard(
        "a second receipt of an unknown outcome settles no later attempt",
        "proposals/services/reconciling.py",
        "    if not settled:  # what the target said was about an attempt that is no longer"
        " the one\n",
        "    if False:\n",
        "tests/proposals/test_narrow_cases.py",
    ),
]
