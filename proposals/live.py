"""What the target holds now, for the fields that a check touched."""

import logging
from dataclasses import dataclass, field
from typing import Any

from proposals import checks
from proposals.exceptions import ActionError
from proposals.models import Check, Proposal
from proposals.registry import Meaning, registry

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Live:
    """The values now, shaped as `Check.before`; or why they could not be read."""

    values: dict[str, Any] | None
    error: str = ""
    names: dict[str, str] = field(default_factory=dict)


def now(proposal: Proposal, check: Check) -> Live:
    """Read the target again; never raises for what the action or the target does."""
    findings = checks.examine(proposal.action, check.revision.params)
    return Live(
        values=findings.before,
        error=findings.error,
        names={} if findings.error else names(proposal.action, check.revision.params),
    )


def names(action_name: str, params: dict[str, Any]) -> dict[str, str]:
    """What people call the objects; nothing where that cannot be read, as nothing depends on it."""
    try:
        return registry.get(action_name).names(params)
    except (ActionError, LookupError):
        return {}
    except Exception:  # a page must not fail for an action's fault
        logger.exception("%s could not name its objects", action_name)
        return {}


def meanings(action_name: str, params: dict[str, Any]) -> dict[str, Meaning]:
    """What the fields mean to people; nothing where nobody says, as nothing depends on it."""
    try:
        return registry.get(action_name).meanings(params)
    except (ActionError, LookupError):
        return {}
    except Exception:  # a page must not fail for an action's fault
        logger.exception("%s could not say what its fields mean", action_name)
        return {}
