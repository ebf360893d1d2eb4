"""A proposal as its agent sees it: what happened, and who must act next.

Agents never learn names or thresholds of rules, nor names of people.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, QuerySet

from proposals import freezing, seats
from proposals.api.patience import expected_seconds
from proposals.lifecycle import OPEN, Status
from proposals.models import Check, Proposal, Review
from proposals.policy import Effect
from proposals.registry import Delivery, registry

WAITS_FOR = {
    Status.SUBMITTED: "checks",
    Status.PENDING: "people",
    Status.CHANGES_REQUESTED: "agent",
    Status.APPROVED: "worker",
    Status.UNKNOWN: "operator",
}
SHOWN_VERDICTS = {Effect.ALLOW: "approve", Effect.DENY: "deny"}


def load(proposals: QuerySet[Proposal]) -> list[dict[str, Any]]:
    """Represent a page of proposals in few statements: more only for those that are decided on."""
    found = list(
        proposals.select_related(
            "agent__owner", "proposer", "run", "current_check"
        ).prefetch_related(
            "revisions",
            # What was taken back was never the agent's to act on.
            Prefetch("reviews", queryset=Review.objects.not_taken_back().order_by("id")),
            Prefetch(
                "compensations",
                queryset=Proposal.objects.filter(status=Status.COMMITTED, is_undone=False),
            ),
        )
    )
    neighbours = conflicting(found)
    return [represent(proposal, neighbours) for proposal in found]


def one(proposal_id: UUID) -> dict[str, Any]:
    """Represent one proposal as it stands in the database now."""
    return load(Proposal.objects.filter(pk=proposal_id))[0]


def represent(proposal: Proposal, neighbours: dict[tuple, list[str]]) -> dict[str, Any]:
    revision = next(
        each for each in proposal.revisions.all() if each.number == proposal.revision_number
    )
    check = proposal.current_check
    is_current = check is not None and check.round == proposal.round
    return {
        "id": str(proposal.pk),
        "status": proposal.status,
        "revision": proposal.revision_number,
        "action": proposal.action,
        "params": revision.params,
        "run": proposal.run.name if proposal.run else None,
        "resource": proposal.resource,
        "rationale": revision.rationale,
        "digest": check.digest if check and is_current else None,
        "tier": check.tier if check else None,
        "reversible": check.is_reversible if check else None,
        "delivery": delivery(proposal.action),
        "impact": impact(check) if check else None,
        "change": change(check) if check else None,
        "waiting_on": waiting_on(proposal, check),
        "decisions": decisions(proposal, check),
        "result": proposal.result,
        "error": proposal.error,
        "possible_duplicate_of": text(proposal.duplicate_of_id),
        "conflicts_with": [
            other
            for other in neighbours.get((proposal.agent_id, proposal.resource), [])
            if other != str(proposal.pk)
        ]
        if proposal.is_open
        else [],
        "compensates": text(proposal.compensates_id),
        # Of a write that is taken back in part, nothing compensates the whole.
        "compensated_by": next((str(each.pk) for each in proposal.compensations.all()), None)
        if proposal.is_undone
        else None,
        "created_at": moment(proposal.created_at),
        "updated_at": moment(proposal.updated_at),
        "expires_at": moment(proposal.expires_at),
        "committed_at": moment(proposal.committed_at),
        # Only where it says something, as the members of a proposal are otherwise fixed.
        **({"observed": True} if proposal.is_observed else {}),
    }


def delivery(action: str) -> str:
    try:
        return registry.get(action).delivery.value
    except LookupError:  # an action that has been removed since promises nothing
        return Delivery.UNCERTAIN.value


def impact(check: Check) -> dict[str, Any] | None:
    return check.impact


def change(check: Check) -> dict[str, Any] | None:
    """Before and after; of one object its fields alone, of several by their ids."""
    if check.before is None or check.after is None:
        return None
    if len(check.after) == 1:
        [key] = check.after
        return {"before": check.before.get(key), "after": check.after[key]}
    return {"before": check.before, "after": check.after}


def waiting_on(proposal: Proposal, check: Check | None) -> dict[str, Any]:
    """Who must act next; `who` is null when nothing more will happen."""
    who = WAITS_FOR.get(Status(proposal.status))
    waits: dict[str, Any] = {
        "who": "operator" if is_stopped(proposal, who) else who,
        "group": None,
        "approvals": None,
        "approvals_required": None,
        "expected_seconds": None,
    }
    if proposal.status == Status.PENDING and check is not None:
        waits |= {
            "group": next(iter(check.group_names), None),
            "approvals": len(seats.approvals(proposal, check)),
            "approvals_required": check.approvals,
            "expected_seconds": expected_seconds(),
        }
    return waits


def is_stopped(proposal: Proposal, who: str | None) -> bool:
    """Whether an operator must act before the one whose turn it is."""
    if who == "checks":
        return freezing.is_suspended(proposal)
    return who == "worker" and bool(freezing.stop_for(proposal))


def decisions(proposal: Proposal, check: Check | None) -> list[dict[str, Any]]:
    """What rules and people decided; people's words only where they chose to send them."""
    made = []
    if check is not None and check.effect in SHOWN_VERDICTS:
        made.append(
            {
                "verdict": SHOWN_VERDICTS[Effect(check.effect)],
                "by": "policy",
                "reason": check.reasons[0]["detail"] if check.reasons else "",
                "at": moment(check.created_at),
            }
        )
    made.extend(
        {
            "verdict": review.decision,
            "by": "person",
            "reason": said(review),
            "at": moment(review.created_at),
        }
        for review in proposal.reviews.all()
        if review.decision != Review.Decision.COMMENT or review.is_for_agent
    )
    return made


def said(review: Review) -> str:
    """What the agent is told: the person's words if they sent them, else what they chose."""
    return review.reason if review.is_for_agent else review.get_reason_code_display()


def conflicting(proposals: Sequence[Proposal]) -> dict[tuple, list[str]]:
    """Open proposals of the same agents on the same single objects."""
    resources = {each.resource for each in proposals if each.is_open and "/" in each.resource}
    if not resources:
        return {}
    found: dict[tuple, list[str]] = {}
    rows = (
        Proposal.objects.filter(
            agent__in={each.agent_id for each in proposals},
            resource__in=resources,
            status__in=OPEN,
        )
        .order_by("id")
        .values_list("agent_id", "resource", "id")[:500]
    )
    for agent, resource, pk in rows:
        found.setdefault((agent, resource), []).append(str(pk))
    return found


def moment(value: Any) -> str | None:
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if value else None


def text(value: Any) -> str | None:
    return str(value) if value else None
