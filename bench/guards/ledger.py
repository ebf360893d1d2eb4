"""The ledger, its searching and its proof."""

from bench.guards.guard import Guard

GUARDS = [
    Guard(
        "nobody gives themselves a group in the admin",
        "proposals/admin/accounts.py",
        "if obj is not None and obj.pk == request.user.pk else fixed",
        "if False else fixed",
        "tests/test_invitations.py",
    ),
    Guard(
        "nobody gives a right to their own group",
        "proposals/admin/accounts.py",
        "if obj is not None and request.user.groups.filter(pk=obj.pk).exists():",
        "if False:",
        "tests/test_invitations.py",
    ),
    Guard(
        "whoever pages through the ledger leaves a line for each page",
        "ledger/admin.py",
        "        if response.status_code == 200:\n            note_page(",
        "        if not {OLDER, NEWER} & set(request.GET):\n            note_page(",
        "tests/ledger/test_finding.py",
    ),
    Guard(
        "suggestions are for those who may see the ledger",
        "ledger/suggesting.py",
        "        if not self.model_admin.has_view_permission(request):\n",
        "        if False:\n",
        "tests/ledger/test_suggesting.py",
    ),
    Guard(
        "exact counts are for those who may see the ledger",
        "ledger/counting.py",
        "        if not self.model_admin.has_view_permission(request):\n",
        "        if False:\n",
        "tests/ledger/test_counting.py",
    ),
    Guard(
        "evidence is taken away by those who may see the ledger and export it",
        "proposals/console/bundling.py",
        "    if not has_both(request.user):\n",
        "    if False:\n",
        "tests/proposals/test_bundle.py",
    ),
    Guard(
        "the clock compares the hash of each entry with the leaf that was sealed",
        "ledger/patrol.py",
        "merkle.leaf_hash(row.hash) != leaf:",
        "False:",
        "tests/ledger/test_patrol.py",
    ),
    Guard(
        "the clock compares the bytes and columns of each entry with its hash",
        "ledger/patrol.py",
        "why = row if isinstance(row, str) else chain.own_fault(row)",
        'why = row if isinstance(row, str) else ""',
        "tests/ledger/test_patrol.py",
    ),
    Guard(
        "whoever opens an entry of the ledger, or a record, leaves a line",
        "ledger/readonly_admin.py",
        "        self.note(request, response, unquote(object_id))\n",
        "",
        "tests/ledger/test_finding.py tests/proposals/admin/test_reading.py",
    ),
]
