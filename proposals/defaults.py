"""What every installation starts with: the groups with their rights, and the first rules."""

from django.contrib.auth.models import Group, Permission

from proposals import services
from proposals.models import Rule
from proposals.policy import Effect

VIEW = [
    "view_proposal",
    "view_revision",
    "view_evidence",
    "view_check",
    "view_review",
    "view_execution",
    "view_run",
    "view_agent",
    "view_grant",
    "view_rule",
]
EDIT_AGENTS = ["add_grant", "change_grant", "delete_grant", "add_agent", "change_agent"]
GROUPS = {
    "reviewers": [*VIEW, "decide_proposal", "undo_proposal", "freeze_writes"],
    "senior-reviewers": [
        *VIEW,
        "decide_proposal",
        "decide_high_proposal",
        "undo_proposal",
        "freeze_writes",
    ],
    "operators": [
        *VIEW,
        "undo_proposal",
        "retry_proposal",
        "freeze_writes",
        "lift_freeze",
        "view_agenttoken",
        "change_agenttoken",
    ],
    "policy-administrators": [*VIEW, "freeze_writes", "add_rule", "change_rule", *EDIT_AGENTS],
    "auditors": [*VIEW, "view_idempotencykey", "view_ledgerentry", "view_agenttoken"],
}
RULES = [
    Rule(
        name="Low and reversible commits by itself",
        condition='tier == "low" && impact.reversible',
        effect=Effect.ALLOW,
    ),
    Rule(
        name="Medium needs one reviewer",
        condition='tier == "medium"',
        effect=Effect.REVIEW,
        approvals=1,
        group="reviewers",
    ),
    Rule(
        name="High needs two people",
        condition='tier == "high"',
        effect=Effect.REVIEW,
        approvals=2,
        group="senior-reviewers",
    ),
    Rule(
        name="What cannot be undone needs people",
        condition="!impact.reversible",
        effect=Effect.REVIEW,
        approvals=1,
        group="reviewers",
    ),
    Rule(
        name="More than ten objects is high",
        condition="impact.objects > 10",
        effect=Effect.RAISE,
        tier="high",
    ),
]


def ensure() -> None:
    """Make the groups, and the first rules where there never were any. Safe to call again.

    A rule that somebody switched off or renamed stays as they left it: an installation with any
    rule at all has chosen its own policy.
    """
    for name, codenames in GROUPS.items():
        group, is_new = Group.objects.get_or_create(name=name)
        if is_new:
            group.permissions.set(Permission.objects.filter(codename__in=codenames))
    if not Rule.history.exists():
        add_rules(RULES)


def add_rules(rules: list[Rule]) -> None:
    """Store copies of these rules, each with its ledger entry."""
    for rule in rules:
        values = {
            field.name: getattr(rule, field.name)
            for field in Rule._meta.concrete_fields
            if not field.primary_key
        }
        services.save_rule(rule=Rule(**values), person=None, is_new=True)
