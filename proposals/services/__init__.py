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
from proposals.services.people import (
    deactivate,
    end_sessions,
    find_invitation,
    invite,
    join,
    make_first_administrator,
    offer_new_password,
    reactivate,
    remove_factors,
    revoke_invitation,
    set_groups,
)
from proposals.services.stopping import freeze, lift, set_suspended
from proposals.services.submission import Submission, amend, describe, submit
from proposals.services.undoing import UndoPreview, preview_undo, undo, undo_by_agent

__all__ = [
    "Submission",
    "UndoPreview",
    "amend",
    "change_agent",
    "create_agent",
    "deactivate",
    "describe",
    "end_sessions",
    "expire",
    "find_invitation",
    "freeze",
    "grant",
    "invite",
    "join",
    "lift",
    "make_first_administrator",
    "offer_new_password",
    "preview_undo",
    "reactivate",
    "recheck",
    "reconcile",
    "record_change",
    "remove_factors",
    "remove_grant",
    "retry",
    "review",
    "revoke_invitation",
    "save_budget",
    "save_rule",
    "set_groups",
    "set_suspended",
    "submit",
    "undo",
    "undo_by_agent",
    "withdraw",
]
