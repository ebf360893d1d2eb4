"""The verbs of the product. Every door calls these and decides nothing itself.

Each takes an id, locks the row, and trusts only what it reads under that lock. Locks are taken in
one order: the gate of freezes, agent, proposal (an undo before what it undoes), execution, budget
scopes, ledger stream.
"""

from proposals.services.agents import (
    grant_each,
    issue_token,
    may_keep,
    revoke_token,
    rotate_token,
    set_observed,
)
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
from proposals.services.dry_runs import DryRun, dry_run
from proposals.services.endings import expire, recheck, reconcile, retry, withdraw
from proposals.services.stopping import freeze, lift, set_suspended
from proposals.services.submission import Submission, amend, describe, submit
from proposals.services.undoing import UndoPreview, preview_undo, undo, undo_by_agent

__all__ = [
    "DryRun",
    "Submission",
    "UndoPreview",
    "amend",
    "change_agent",
    "create_agent",
    "describe",
    "dry_run",
    "expire",
    "freeze",
    "grant",
    "grant_each",
    "issue_token",
    "lift",
    "may_keep",
    "preview_undo",
    "recheck",
    "reconcile",
    "record_change",
    "remove_grant",
    "retry",
    "review",
    "revoke_token",
    "rotate_token",
    "save_budget",
    "save_rule",
    "set_observed",
    "set_suspended",
    "submit",
    "undo",
    "undo_by_agent",
    "withdraw",
]
