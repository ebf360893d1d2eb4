"""What a person may do. Superuser status decides nothing: only rights given by name count."""

from typing import Any

from django.contrib.auth.models import Permission
from django.db.models import Q

DECIDE = "decide_proposal"
DECIDE_HIGH = "decide_high_proposal"
UNDO = "undo_proposal"
RETRY = "retry_proposal"
FREEZE = "freeze_writes"
LIFT = "lift_freeze"
ADD_AGENT = "add_agent"
CHANGE_AGENT = "change_agent"
ADD_GRANT = "add_grant"
CHANGE_GRANT = "change_grant"
DELETE_GRANT = "delete_grant"
TOKENS = "change_agenttoken"
VIEW_LEDGER = "view_ledgerentry"
EXPORT_LEDGER = "export_ledger"
CHANGE_RULES = "change_rule"
LOWER_BUDGETS = "lower_budget"
CONFIGURE_DATABASES = "configure_databases"
CONFIGURE_ACTIONS = "configure_actions"
MANAGE_PEOPLE = "manage_people"
VIEW = "view_proposal"


def of(user: Any) -> frozenset[str]:
    """The codenames this person holds, by a group or directly; read once per request."""
    if not (user.is_authenticated and user.is_active):
        return frozenset()
    if not hasattr(user, "_countersign_rights"):
        user._countersign_rights = frozenset(
            Permission.objects.filter(Q(group__user=user) | Q(user=user)).values_list(
                "codename", flat=True
            )
        )
    return user._countersign_rights


def has(user: Any, right: str) -> bool:
    """Whether this person holds the right by name."""
    return right in of(user)


def may_view(user: Any) -> bool:
    """Whether this person may open the console at all. Service accounts never may."""
    return has(user, VIEW) and not hasattr(user, "agent")


def owns_agents(user: Any) -> bool:
    """Whether this person owns an agent, and so may open the pages of what they own."""
    if not (user.is_authenticated and user.is_active) or hasattr(user, "agent"):
        return False
    if not hasattr(user, "_countersign_owns"):
        user._countersign_owns = user.owned_agents.exists()
    return user._countersign_owns


def owns(user: Any, agent: Any) -> bool:
    """Whether this person owns the agent, and may act for it."""
    return user.is_authenticated and user.is_active and agent.owner_id == user.pk


def groups_of(user: Any) -> frozenset[str]:
    """The names of the groups this person is in; read once per request."""
    if not hasattr(user, "_countersign_groups"):
        user._countersign_groups = frozenset(user.groups.values_list("name", flat=True))
    return user._countersign_groups
