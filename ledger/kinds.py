"""The events that lists offer, by what they are about. Others are found by `kind:`."""

KINDS = {
    "Proposals": (
        "proposal.submitted",
        "proposal.checked",
        "proposal.pending",
        "proposal.reviewed",
        "proposal.approved",
        "proposal.changes_requested",
        "proposal.rejected",
        "proposal.denied",
        "proposal.withdrawn",
        "proposal.expired",
        "proposal.committed",
        "proposal.failed",
        "proposal.unknown",
        "proposal.undone",
        "proposal.redone",
    ),
    "Executions": (
        "execution.claimed",
        "execution.held",
        "execution.intended",
        "execution.postponed",
        "execution.handed_back",
        "execution.late_evidence",
    ),
    "Stops": ("freeze.set", "freeze.lifted", "agent.suspended", "agent.resumed"),
    "Configuration": (
        "rule.created",
        "rule.changed",
        "budget.created",
        "budget.changed",
        "budget.refused",
        "agent.created",
        "agent.changed",
        "grant.created",
        "grant.removed",
        "token.issued",
        "token.revoked",
        "user.created",
        "user.changed",
        "group.created",
        "group.changed",
    ),
    "Sign-ins": ("user.signed_in", "user.signed_out", "user.sign_in_failed"),
    "Ledger": ("seal.key_registered", "export.started", "export.completed"),
}
OUTCOMES = {
    f"proposal.{name}": words
    for name, words in {
        "committed": "committed",
        "failed": "failed, nothing written",
        "unknown": "outcome unknown",
        "denied": "denied by policy",
        "rejected": "rejected",
        "withdrawn": "withdrawn",
        "expired": "expired",
        "undone": "undone",
    }.items()
}
ORIGINS = {
    "person": "person (console, admin)",
    "agent": "agent (API)",
    "worker": "worker",
    "clock": "clock",
    "command": "operator's command",
}
FLAGS = {
    "hidden": "hidden characters",
    "quick": "approved within 10 s of its check",
    "no_human": "no person decided",
    "undone": "undone",
    "unknown": "outcome unknown",
}
TIERS = ("low", "medium", "high")
