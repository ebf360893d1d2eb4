"""What the target holds now, for the fields that a check touched."""

from dataclasses import dataclass
from typing import Any

from proposals import checks
from proposals.models import Check, Proposal


@dataclass(frozen=True)
class Live:
    """The values now, shaped as `Check.before`; or why they could not be read."""

    values: dict[str, Any] | None
    error: str = ""


def now(proposal: Proposal, check: Check) -> Live:
    """Read the target again; never raises for what the action or the target does."""
    findings = checks.examine(proposal.action, check.revision.params)
    return Live(values=findings.before, error=findings.error)
