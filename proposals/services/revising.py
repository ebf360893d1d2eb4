"""Proposing other values: a person who may decide writes the next revision of what an agent asked.

The agent's words and evidence stay what they were; why the person chose other values is in the
ledger's entry, and like every reviewer's text it is not told to the agent.
"""

from typing import Any
from uuid import UUID

from django.db import transaction

from ledger.canonical import canonical
from proposals import seats, spending, text
from proposals.exceptions import IllegalTransition, NotEligible, NotFound, OverBudget, StaleDigest
from proposals.lifecycle import Status, require
from proposals.models import Check, Proposal
from proposals.registry import Action, registry
from proposals.services.decisions import invalid
from proposals.services.reasons import LONGEST_IN_FULL, stated
from proposals.services.submission import rewrite, valid_params
from proposals.targets import wiring

UNCHECKED = "It is being checked at this moment; other values can be proposed once it waits again."
UNDO = "What an undo puts back is the system's to say; reject it, and propose another write."
OBSERVED = "Its agent is only observed, so nothing of it is written and nothing is to be edited."
UNKNOWN = "What it asks for is no longer among the actions here; it can only be rejected."
EDITABLE = (Status.PENDING, Status.CHANGES_REQUESTED)


@transaction.atomic
def revise_as_reviewer(
    *, proposal_id: UUID, person: Any, digest: str, params: dict[str, Any], reason: str
) -> Proposal:
    """Store a revision with other parameters in this person's name, to be checked anew.

    The digest is that of the check they edited. At low and medium tier they may then approve it.
    Raises NotFound, StaleDigest, IllegalTransition unless it waits for people or for changes,
    NotEligible for whoever may not decide on it, InvalidRequest for a missing reason or values
    that are the same, InvalidParams, or OverBudget.
    """
    related = ("agent__owner", "proposer", "run")
    try:
        proposal = Proposal.objects.select_related(*related).lock(proposal_id)
    except Proposal.DoesNotExist:
        raise NotFound from None
    check = proposal.current_check
    if check is not None and digest != check.digest:
        raise StaleDigest
    if check is None:
        raise IllegalTransition(UNCHECKED, status=proposal.status)
    if refusal := objection(person, proposal, check):
        raise NotEligible(refusal)
    require(proposal, *EDITABLE)
    said = stated(reason, missing="Say why, so that others can follow.", longest=LONGEST_IN_FULL)
    action = action_of(proposal)
    refuse_unchanged(proposal, valid_params(action, params))
    try:
        rewrite(
            proposal,
            action,
            f"user:{person.pk}",
            person.get_full_name() or person.get_username(),
            {"params": params},
            {"reason": said},
        )
    except OverBudget as error:
        raise spending.with_next_slot(error) from error
    return proposal


def objection(person: Any, proposal: Proposal, check: Check) -> str:
    """Why this person may not propose other values here; empty if they may, while it waits."""
    if proposal.compensates_id is not None:
        return UNDO
    if proposal.is_observed:
        return OBSERVED
    return seats.hindrance(person, proposal, check)


def action_of(proposal: Proposal) -> Action:
    """The action as it is in force now. Raises NotEligible when there is none."""
    wiring.refresh()
    try:
        return registry.get(proposal.action)
    except LookupError:
        raise NotEligible(UNKNOWN) from None


def refuse_unchanged(proposal: Proposal, params: dict[str, Any]) -> None:
    if text.refuse_unstorable(params):
        return  # refused by name when it is stored; it has no canonical form to compare
    if canonical(params) == canonical(proposal.revision().params):
        raise invalid("params", "unchanged", "Nothing was changed.")
