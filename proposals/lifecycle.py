"""The life of a proposal: which statuses there are, which moves are legal, and the one door."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import TextChoices

from budgets import accounts
from ledger import clock, entries
from proposals.exceptions import IllegalTransition

if TYPE_CHECKING:
    from proposals.models import Proposal


class Status(TextChoices):
    """Every status is a resting status: whether someone is at work is told by open executions."""

    SUBMITTED = "submitted", "Checking"
    PENDING = "pending", "Needs review"
    CHANGES_REQUESTED = "changes_requested", "Changes requested"
    APPROVED = "approved", "Approved"
    COMMITTED = "committed", "Committed"
    FAILED = "failed", "Failed, nothing written"
    UNKNOWN = "unknown", "Outcome unknown"
    DENIED = "denied", "Denied by policy"
    REJECTED = "rejected", "Rejected"
    WITHDRAWN = "withdrawn", "Withdrawn"
    EXPIRED = "expired", "Expired"


TRANSITIONS: dict[Status, frozenset[Status]] = {
    start: frozenset(following)
    for start, following in {
        Status.SUBMITTED: {
            Status.SUBMITTED,  # amended: a new round
            Status.PENDING,
            Status.APPROVED,
            Status.DENIED,
            Status.WITHDRAWN,
            Status.EXPIRED,
        },
        Status.PENDING: {
            Status.SUBMITTED,
            Status.CHANGES_REQUESTED,
            Status.APPROVED,
            Status.REJECTED,
            Status.WITHDRAWN,
            Status.EXPIRED,
        },
        Status.CHANGES_REQUESTED: {Status.SUBMITTED, Status.WITHDRAWN, Status.EXPIRED},
        Status.APPROVED: {
            Status.SUBMITTED,  # the target or the rules moved
            Status.COMMITTED,
            Status.FAILED,
            Status.UNKNOWN,
            Status.WITHDRAWN,
            Status.EXPIRED,
        },
        Status.FAILED: {Status.SUBMITTED},
        Status.UNKNOWN: {Status.COMMITTED, Status.FAILED},
        Status.COMMITTED: set(),
        Status.DENIED: set(),
        Status.REJECTED: set(),
        Status.WITHDRAWN: set(),
        Status.EXPIRED: set(),
    }.items()
}
TERMINAL = frozenset(status for status, following in TRANSITIONS.items() if not following)
OPEN = frozenset({Status.SUBMITTED, Status.PENDING, Status.CHANGES_REQUESTED, Status.APPROVED})
AMENDABLE = frozenset({Status.SUBMITTED, Status.PENDING, Status.CHANGES_REQUESTED})
# All that may become of a proposal whose agent is only observed: no seat, no worker, no write.
OBSERVABLE = frozenset({Status.SUBMITTED, Status.WITHDRAWN, Status.EXPIRED})

WITHOUT_A_WRITE = frozenset(
    {Status.FAILED, Status.DENIED, Status.REJECTED, Status.WITHDRAWN, Status.EXPIRED}
)


def settle_budgets(proposal_id: str, to: Status, at: datetime) -> None:
    """Captured when committed, released when it will not happen, held while unknown."""
    if to is Status.COMMITTED:
        accounts.capture(proposal_id, at)
    elif to in WITHOUT_A_WRITE:
        accounts.release(proposal_id, at)


def require(proposal: "Proposal", *allowed: Status) -> None:
    """Raise IllegalTransition unless the locked proposal has one of these statuses."""
    if Status(proposal.status) not in allowed:
        raise IllegalTransition(
            f"This proposal is {proposal.status}; that is possible only while it is "
            f"{' or '.join(sorted(allowed))}.",
            status=proposal.status,
        )


def transition(
    proposal: "Proposal",
    to: Status,
    *,
    actor: str,
    actor_name: str = "",
    at: datetime | None = None,
    body: dict[str, Any] | None = None,
    **changes: Any,
) -> None:
    """Move a locked proposal and record the move: never one without the other.

    `changes` are other fields of the proposal that change with it. Entering SUBMITTED raises the
    round, so that a check which started earlier can never land. Raises IllegalTransition.
    """
    if to not in TRANSITIONS[Status(proposal.status)]:
        raise IllegalTransition(
            f"A {proposal.status} proposal cannot become {to}.", status=proposal.status
        )
    if proposal.is_observed and to not in OBSERVABLE:
        raise IllegalTransition(
            f"An observed proposal cannot become {to}: nothing of it is written, nobody is asked.",
            status=proposal.status,
        )
    at = at or clock.now()
    facts = {"from": str(proposal.status), **(body or {})}
    if to is Status.SUBMITTED:
        changes |= {"round": proposal.round + 1, "due_at": at}
        facts["round"] = proposal.round + 1
    if proposal.is_held:
        changes = {"is_held": False, **changes}  # what held it, held it where it was
    if proposal.has_moved and to not in OPEN:
        changes = {"has_moved": False, **changes}  # nobody has to look any more
    proposal.status = to
    proposal.updated_at = at
    for field, value in changes.items():
        setattr(proposal, field, value)
    settle_budgets(str(proposal.pk), to, at)
    entries.append(
        chain=proposal,
        kind=f"proposal.{to.value}",
        actor=actor,
        actor_name=actor_name,
        body=facts,
        at=at,
        **proposal.look_ups(),
    )
    proposal.save(update_fields=["status", "updated_at", "ledger_number", "ledger_hash", *changes])
