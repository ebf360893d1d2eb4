"""What every installation starts with: groups with their rights, first rules, first budgets."""

from typing import TypeVar

from django.contrib.auth.models import Group, Permission
from django.db.models import Model

from budgets.charges import Unit
from budgets.models import Budget
from proposals import services
from proposals.models import Rule
from proposals.policy import Effect
from proposals.rights import CONFIGURE_ACTIONS, MANAGE_PEOPLE

Row = TypeVar("Row", bound=Model)
VIEW = [
    "view_proposal",
    "view_revision",
    "view_evidence",
    "view_check",
    "view_review",
    "view_resolution",
    "view_execution",
    "view_exchange",
    "view_attestation",
    "view_breaker",
    "view_run",
    "view_agent",
    "view_grant",
    "view_rule",
    "view_budget",
    "view_scope",
    "view_reservation",
    "view_refusal",
    "view_freeze",
    "view_database",
    "view_describedtable",
    "view_httpaction",
    "view_namedsecret",
    "view_mailtemplate",
    "view_mailpolicy",
]
EDIT_AGENTS = ["add_grant", "change_grant", "delete_grant", "add_agent", "change_agent"]
EDIT_BUDGETS = ["add_budget", "change_budget", "lower_budget"]
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
        "lower_budget",
        "view_agenttoken",
        "change_agenttoken",
    ],
    "policy-administrators": [
        *VIEW,
        "freeze_writes",
        "add_rule",
        "change_rule",
        "configure_databases",
        CONFIGURE_ACTIONS,
        *EDIT_BUDGETS,
        *EDIT_AGENTS,
        MANAGE_PEOPLE,
    ],
    "auditors": [
        *VIEW,
        "view_idempotencykey",
        "view_ledgerentry",
        "view_checkpoint",
        "view_access",
        "export_ledger",
        "view_agenttoken",
    ],
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

BUDGETS = [
    Budget(
        name="Proposals of an agent in a minute",
        unit=Unit.PROPOSALS,
        per_agent=True,
        limit=600,
        window_seconds=60,
    ),
    Budget(
        name="Writes of an agent in a minute",
        unit=Unit.WRITES,
        per_agent=True,
        limit=300,
        window_seconds=60,
    ),
    Budget(name="Writes of a run", unit=Unit.WRITES, per_run=True, limit=1000),
    Budget(
        name="Writes to one object in a minute",
        unit=Unit.WRITES,
        resource_pattern="*/*",
        per_resource=True,
        limit=10,
        window_seconds=60,
    ),
    Budget(
        name="Objects of an agent in an hour",
        unit=Unit.OBJECTS,
        per_agent=True,
        limit=2000,
        window_seconds=3600,
    ),
    Budget(
        name="Undo in a minute",
        lane=Budget.Lane.UNDO,
        unit=Unit.WRITES,
        limit=60,
        window_seconds=60,
    ),
]


def ensure_budgets() -> None:
    """Make the first budgets, where there never were any."""
    if not Budget.history.exists():
        for budget in BUDGETS:
            services.save_budget(budget=copy_of(budget), person=None, is_new=True)


def ensure() -> None:
    """Make the groups, and the first rules where there never were any. Safe to call again.

    A rule that somebody switched off or renamed stays as they left it: an installation with any
    rule at all has chosen its own policy.
    """
    ensure_groups()
    if not Rule.history.exists():
        add_rules(RULES)
    ensure_somebody_holds_new_rights()


def ensure_groups() -> None:
    """A group that exists keeps the rights that somebody left it."""
    known = set(Group.objects.filter(name__in=GROUPS).values_list("name", flat=True))
    for name, codenames in GROUPS.items():
        if name not in known:
            group, is_new = Group.objects.get_or_create(name=name)
            if is_new:
                group.permissions.add(*Permission.objects.filter(codename__in=codenames))


def ensure_somebody_holds_new_rights() -> None:
    """An installation from before these rights existed, or one that lost them, could go no further.

    Without the first nobody could be invited; without the second no action over HTTP or mail
    template could be described.
    """
    group = Group.objects.filter(name="policy-administrators").first()
    held_by_nobody = Permission.objects.filter(
        codename__in=[MANAGE_PEOPLE, CONFIGURE_ACTIONS], group=None, user=None
    )
    if group:
        group.permissions.add(*held_by_nobody)


def add_rules(rules: list[Rule]) -> None:
    """Store copies of these rules, each with its ledger entry."""
    for rule in rules:
        services.save_rule(rule=copy_of(rule), person=None, is_new=True)


def copy_of(row: Row) -> Row:
    """The same row, not yet stored: what is listed above stays as it is listed."""
    fields = [field.name for field in row._meta.concrete_fields if not field.primary_key]
    return type(row)(**{name: getattr(row, name) for name in fields})
