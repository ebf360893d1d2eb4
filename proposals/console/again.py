"""The operator's verbs on the review page: for what failed, and for what may have been written."""

from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from proposals import rights
from proposals.lifecycle import Status
from proposals.models import Proposal
from proposals.registry import Delivery, registry
from proposals.services import attesting, endings


@dataclass(frozen=True)
class Again:
    """One of them as a form, or why it is not for this person."""

    url: str
    label: str
    hint: str
    button: str
    refusal: str


def offered(user: Any, proposal: Proposal) -> Again | None:
    """What an operator is offered here; None where there is nothing, and for everybody else."""
    if not rights.has(user, rights.RETRY):
        return None
    if proposal.status == Status.FAILED:
        return Again(
            url=reverse("retry", args=[proposal.pk]),
            label="Why trying again is right",
            hint="It starts from a fresh check, under a new key to the target.",
            button="Try again from a fresh check",
            refusal=endings.objection_to_retry(user, proposal),
        )
    if proposal.status == Status.UNKNOWN and keeps_receipts(proposal.action):
        return Again(
            url=reverse("reconcile", args=[proposal.pk]),
            label="Why you settle this now",
            hint="The target is asked whether it took the write; if not, the key is voided so that "
            "it never will.",
            button="Check the target",
            refusal=attesting.ineligibility(user, proposal),
        )
    return None


def keeps_receipts(action: str) -> bool:
    """Only what shares a transaction with its receipt can be settled by asking."""
    try:
        return registry.get(action).delivery == Delivery.TRANSACTIONAL
    except LookupError:
        return False
