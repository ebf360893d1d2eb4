"""The verbs of the product. Every door calls these and decides nothing itself.

Each takes an id, locks the row, and trusts only what it reads under that lock. Locks are taken in
one order: the gate of freezes, agent, proposal (an undo before what it undoes), execution, budget
scopes, ledger stream.
"""

from proposals.services.configuration import (
    change_agent,
    create_agent,
    grant,
    record_change,
    remove_grant,
    save_budget,
    save_rule,
)
from proposals.services.decisions import review
from proposals.services.endings import expire, recheck, reconcile, retry, withdraw
from proposals.services.notices import (
    SavedWebhook,
    save_notice_preference,
    save_webhook,
    set_webhook_active,
    test_webhook,
)
from proposals.services.stopping import freeze, lift, set_suspended
from proposals.services.submission import Submission, amend, describe, submit
from proposals.services.undoing import UndoPreview, preview_undo, undo, undo_by_agent

__all__ = [
    "SavedWebhook",
    "Submission",
    "UndoPreview",
    "amend",
    "change_agent",
    "create_agent",
    "describe",
    "expire",
    "freeze",
    "grant",
    "lift",
    "preview_undo",
    "recheck",
    "reconcile",
    "record_change",
    "remove_grant",
    "retry",
    "review",
    "save_budget",
    "save_notice_preference",
    "save_rule",
    "save_webhook",
    "set_suspended",
    "set_webhook_active",
    "submit",
    "test_webhook",
    "undo",
    "undo_by_agent",
    "withdraw",
]
