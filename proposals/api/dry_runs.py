"""What a dry run answers: the check as an agent may see it, and how its budgets stand."""

from typing import Any

from budgets.standings import plain
from proposals.api import representation
from proposals.lifecycle import Status
from proposals.services import DryRun

WOULD = {Status.APPROVED: "commit", Status.PENDING: "wait", Status.DENIED: "be_denied"}


def as_json(found: DryRun) -> dict[str, Any]:
    """The answer. As everywhere, agents learn neither names nor thresholds of rules."""
    proposal, check = found.proposal, found.check
    return {
        "dry_run": True,
        "would": would(found),
        "observed": bool(proposal.agent and proposal.agent.is_observed),
        "action": proposal.action,
        "params": check.revision.params,
        "run": proposal.run.name if proposal.run else None,
        "resource": proposal.resource,
        "digest": check.digest,
        "tier": check.tier,
        "reversible": check.is_reversible,
        "delivery": representation.delivery(proposal.action),
        "impact": representation.impact(check),
        "change": representation.change(check),
        "undo": check.compensation,
        "verdict": {
            "effect": str(check.effect),
            "approvals_required": check.approvals,
            "groups": check.group_names,
        },
        "trace": [{"code": reason["code"], "detail": reason["detail"]} for reason in check.reasons],
        "budgets": [budget(share) for share in found.shares],
        "possible_duplicate_of": representation.text(proposal.duplicate_of_id),
        "checked_at": representation.moment(check.created_at),
    }


def would(found: DryRun) -> str:
    """What proposing exactly this would lead to, if nothing moves until then."""
    return "be_refused" if found.is_over_budget else WOULD[found.status]


def budget(share: Any) -> dict[str, Any]:
    cap = share.standing.budget
    return {
        "budget": cap.name,
        "unit": cap.unit,
        "currency": cap.currency or None,
        "limit": plain(cap.limit),
        "window_seconds": cap.window_seconds,
        "used": plain(share.before),
        "asked": plain(share.asked),
        "fits": share.fits,
    }
