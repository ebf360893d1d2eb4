"""Having what waits for people checked anew, because the target is not what it was."""

from typing import Any
from uuid import UUID

from django.db import transaction

from proposals import checks, seats
from proposals.exceptions import IllegalTransition, NotEligible, NotFound, StaleDigest
from proposals.lifecycle import Status, require
from proposals.models import Check, Proposal
from proposals.services.endings import check_anew

MOVED = "The target moved since it was checked."
SAME = "The target is as it was checked, so there is nothing to check anew."
UNREAD = "The target cannot be previewed just now, so checking anew would say less than is known."


def recheck_against_live(*, proposal_id: UUID, person: Any, digest: str) -> Proposal:
    """Send a pending proposal, in this person's name, to be checked against what is there now.

    Only where that comes out otherwise: the target is read first, so nobody makes approvals of
    others stop counting by asking, and what is back where it was keeps them. Never loosens what
    people were asked for, and is none of the re-checks in a row after which people look: they do.
    Raises NotFound, StaleDigest, NotEligible for whoever may not decide on it, or IllegalTransition
    unless it waits for people, or where nothing moved or nothing can be read.
    """
    related = ("agent__owner", "proposer", "run", "current_check__revision")
    found = Proposal.objects.select_related(*related).filter(pk=proposal_id).first()
    if found is None:
        raise NotFound
    refuse_unmoved(found, allowed(found, person, digest))
    with transaction.atomic():
        proposal = Proposal.objects.select_related("agent__owner", "proposer", "run").lock(found.pk)
        check = allowed(proposal, person, digest)
        check_anew(
            proposal,
            MOVED,
            actor=f"user:{person.pk}",
            actor_name=person.get_full_name() or person.get_username(),
            body={"digest": check.digest},
        )
    return proposal


def allowed(proposal: Proposal, person: Any, digest: str) -> Check:
    """The check that this person saw and may decide on, or the reason why not, raised."""
    check = proposal.current_check
    if check is not None and digest != check.digest:
        raise StaleDigest
    require(proposal, Status.PENDING)
    if check is None:
        raise IllegalTransition("The checks have not run yet.", status=proposal.status)
    if objection := seats.ineligibility(person, proposal, check):
        raise NotEligible(objection)
    return check


def refuse_unmoved(proposal: Proposal, check: Check) -> None:
    """Read the target, outside of any transaction; IllegalTransition if there is nothing in it."""
    findings = checks.examine(proposal.action, check.revision.params)
    if findings.error:
        raise IllegalTransition(f"{UNREAD} {findings.error}", status=proposal.status)
    if checks.comes_out_the_same(proposal, check, findings):
        raise IllegalTransition(SAME, status=proposal.status)
