"""The one hook: every fact that the ledger records passes here, and some become notices."""

from typing import Any
from uuid import UUID

from django.db import transaction

from ledger import entries
from ledger.models import LedgerEntry
from proposals import bell
from proposals.models import Attestation, Notice

Kind = Notice.Kind
TASK = "proposals.notify"
KINDS: dict[str, Kind] = {
    "proposal.pending": Kind.WAITS,
    "proposal.failed": Kind.FAILED,
    "proposal.unknown": Kind.UNKNOWN,
    "proposal.attested": Kind.SECOND,
    "breaker.opened": Kind.BREAKER,
    "proposal.rejected": Kind.REJECTED,
    "proposal.expired": Kind.EXPIRED,
    "proposal.undone": Kind.UNDONE,
    "proposal.partly_undone": Kind.PARTLY,
    "budget.refused": Kind.BUDGET,
    "agent.suspended": Kind.SUSPENDED,
    "freeze.set": Kind.FROZEN,
    "webhook.disabled": Kind.WEBHOOK,
}


def connect() -> None:
    """Listen to the ledger; called once when the product starts."""
    entries.listen(heard)


def heard(entry: LedgerEntry, body: dict[str, Any]) -> None:
    """Write a notice for a fact that people are to hear of: one insert, and a ring afterwards."""
    kind = KINDS.get(entry.kind)
    if kind is None or is_no_news(kind, body):
        return
    subject = f"freeze:{body['freeze']}" if kind is Kind.FROZEN else entry.stream
    notice = Notice.objects.create(
        kind=kind,
        subject=subject,
        proposal_id=identifier(entry.proposal),
        agent_id=identifier(entry.agent),
        digest=body.get("digest", "") if kind is Kind.WAITS else "",
        actor=entry.actor,
        at=entry.at,
    )
    ring(notice)


def is_no_news(kind: Kind, body: dict[str, Any]) -> bool:
    """A sum of refusals that were told of; a finding that nobody could second."""
    if kind is Kind.BUDGET:
        return "since" in body
    return kind is Kind.SECOND and body.get("finding") == Attestation.Finding.CANNOT_TELL


def identifier(text: str) -> UUID | None:
    """The ledger holds text; nothing that it holds may make a fact impossible."""
    try:
        return UUID(text)
    except ValueError:
        return None


def ring(notice: Notice) -> None:
    """Once the transaction has committed, tell a worker; the clock finds what is not heard."""

    def send() -> None:
        bell.send(TASK, notice.pk)

    transaction.on_commit(send, robust=True)
