"""What the target holds now, for the fields that a check touched."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from proposals import checks
from proposals.exceptions import ActionError
from proposals.models import Check, Proposal
from proposals.registry import Action, Meaning, registry

logger = logging.getLogger(__name__)
Word = TypeVar("Word")


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
    return said(action_name, lambda action: action.names(params))


def meanings(action_name: str, params: dict[str, Any]) -> dict[str, Meaning]:
    """What the fields mean to people; nothing where nobody says, as nothing depends on it."""
    return said(action_name, lambda action: action.meanings(params))


def said(action_name: str, ask: Callable[[Action], dict[str, Word]]) -> dict[str, Word]:
    """What an action says of a call for people to read; empty if it says nothing or fails."""
    try:
        return ask(registry.get(action_name))
    except (ActionError, LookupError):
        return {}
    except Exception:  # a page must not fail for an action's fault
        logger.exception("%s could not say what people call its objects and fields", action_name)
        return {}
