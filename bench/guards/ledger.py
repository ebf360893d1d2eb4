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
]
