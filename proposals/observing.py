"""Observe only: what an agent proposes is checked, judged and recorded, and then it ends.

Whether a proposal is observed is settled when it is stored, and stays so when its agent is let go:
what nobody was asked about is never written later. It goes from SUBMITTED to WITHDRAWN in the
transaction of its check, so there is no moment at which somebody could approve or commit it.
"""

from datetime import datetime

from proposals.lifecycle import Status, transition
from proposals.models import Check, Proposal

ACTOR = "system:observe"
CODE = "observed-only"
SENTENCE = "Observed only: nothing is written."


def is_due(proposal: Proposal) -> bool:
    """Whether a new proposal is to be observed: its agent asks, and its agent is observed."""
    if proposal.agent is None or proposal.proposer_id is not None:
        return False
    return proposal.agent.is_observed


def end(proposal: Proposal, check: Check, now: datetime, *, shortage: str = "") -> None:
    """End a locked proposal that was judged; `shortage` says which budget would have denied it."""
    transition(
        proposal,
        Status.WITHDRAWN,
        actor=ACTOR,
        at=now,
        body={
            "digest": check.digest,
            "tier": check.tier,
            "effect": check.effect,
            "over_budget": bool(shortage),
        },
        current_check=check,
        tier=check.tier,
        reason=f"{SENTENCE} {shortage}".strip()[:500],
        error={"code": CODE, "detail": SENTENCE, "retryable": False},
    )


def is_over_budget(proposal: Proposal) -> bool:
    """Whether a budget would have denied what was observed."""
    return proposal.reason.startswith(f"{SENTENCE} The budget ")
