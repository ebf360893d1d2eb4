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
from proposals.services.desk import keep_list, prune_lists, save_preferences
from proposals.services.endings import expire, recheck, reconcile, retry, withdraw
from proposals.services.stopping import freeze, lift, set_suspended
from proposals.services.submission import Submission, amend, describe, submit
from proposals.services.undoing import UndoPreview, preview_undo, undo, undo_by_agent

__all__ = [
    "Submission",
    "UndoPreview",
    "amend",
    "change_agent",
    "create_agent",
    "describe",
    "expire",
    "freeze",
    "grant",
    "keep_list",
    "lift",
    "preview_undo",
    "prune_lists",
    "recheck",
    "reconcile",
    "record_change",
    "remove_grant",
    "retry",
    "review",
    "save_budget",
    "save_preferences",
    "save_rule",
    "set_suspended",
    "submit",
    "undo",
    "undo_by_agent",
    "withdraw",
]
