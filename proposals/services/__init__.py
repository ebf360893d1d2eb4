"""The verbs of the product. Every door calls these and decides nothing itself.

Each takes an id, locks the row, and trusts only what it reads under that lock. Locks are taken in
one order: step of a run's undo, the gate of freezes, agent, proposal (an undo before what it
undoes), execution, breaker, budget scopes, ledger stream.
"""

from proposals.services.agents import (
    grant_each,
    issue_token,
    may_keep,
    revoke_token,
    rotate_token,
    set_observed,
)
from proposals.services.attesting import ask_again, attest, try_target
from proposals.services.capping import hold_version, lower_budget, save_budget, version_of
from proposals.services.claiming import (
    claim_review,
    prune_review_claims,
    release_review_claim,
    renew_review_claim,
)
from proposals.services.commenting import resolve_comment
from proposals.services.configuration import (
    change_agent,
    create_agent,
    grant,
    record_change,
    remove_grant,
    save_rule,
)
from proposals.services.databases import (
    change_database,
    connect_database,
    describe_table,
    switch_database,
    switch_table,
)
from proposals.services.decisions import review
from proposals.services.desk import forget_view, keep_list, keep_view, prune_lists, save_preferences
from proposals.services.dry_runs import DryRun, dry_run
from proposals.services.endings import expire, recheck, retry, withdraw
from proposals.services.http_actions import (
    Examined,
    Trial,
    examine_http_action,
    export_http_actions,
    import_http_actions,
    save_http_action,
    switch_http_action,
    try_http_action,
)
from proposals.services.mail_templates import (
    list_mail_domains,
    save_mail_template,
    switch_mail_template,
)
from proposals.services.notices import (
    SavedWebhook,
    save_notice_preference,
    save_webhook,
    set_webhook_active,
    test_webhook,
)
from proposals.services.people import (
    deactivate,
    end_sessions,
    find_invitation,
    invite,
    join,
    make_first_administrator,
    offer_new_password,
    prune_sessions,
    reactivate,
    remove_factors,
    revoke_invitation,
    set_groups,
)
from proposals.services.rechecking import recheck_against_live
from proposals.services.reconciling import reconcile
from proposals.services.revising import revise_as_reviewer
from proposals.services.rulemaking import allow_always, change_rule
from proposals.services.run_plan import RunPlan, preview_run_undo
from proposals.services.run_undoing import advance_run_undo, undo_run
from proposals.services.secrets import forget_secret, keep_secret
from proposals.services.stopping import actions_fitting, freeze, lift, set_suspended
from proposals.services.submission import Submission, amend, describe, submit
from proposals.services.undoing import UndoPreview, preview_undo, undo, undo_by_agent
from proposals.services.withdrawing import withdraw_decision

__all__ = [
    "DryRun",
    "Examined",
    "RunPlan",
    "SavedWebhook",
    "Submission",
    "Trial",
    "UndoPreview",
    "actions_fitting",
    "advance_run_undo",
    "allow_always",
    "amend",
    "ask_again",
    "attest",
    "change_agent",
    "change_database",
    "change_rule",
    "claim_review",
    "connect_database",
    "create_agent",
    "deactivate",
    "describe",
    "describe_table",
    "dry_run",
    "end_sessions",
    "examine_http_action",
    "expire",
    "export_http_actions",
    "find_invitation",
    "forget_secret",
    "forget_view",
    "freeze",
    "grant",
    "grant_each",
    "hold_version",
    "import_http_actions",
    "invite",
    "issue_token",
    "join",
    "keep_list",
    "keep_secret",
    "keep_view",
    "lift",
    "list_mail_domains",
    "lower_budget",
    "make_first_administrator",
    "may_keep",
    "offer_new_password",
    "preview_run_undo",
    "preview_undo",
    "prune_lists",
    "prune_review_claims",
    "prune_sessions",
    "reactivate",
    "recheck",
    "recheck_against_live",
    "reconcile",
    "record_change",
    "release_review_claim",
    "remove_factors",
    "remove_grant",
    "renew_review_claim",
    "resolve_comment",
    "retry",
    "review",
    "revise_as_reviewer",
    "revoke_invitation",
    "revoke_token",
    "rotate_token",
    "save_budget",
    "save_http_action",
    "save_mail_template",
    "save_notice_preference",
    "save_preferences",
    "save_rule",
    "save_webhook",
    "set_groups",
    "set_observed",
    "set_suspended",
    "set_webhook_active",
    "submit",
    "switch_database",
    "switch_http_action",
    "switch_mail_template",
    "switch_table",
    "test_webhook",
    "try_http_action",
    "try_target",
    "undo",
    "undo_by_agent",
    "undo_run",
    "version_of",
    "withdraw",
    "withdraw_decision",
]
