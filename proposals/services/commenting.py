"""Resolving what blocks approval: the end of a comment, by whoever wrote it or may decide."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from ledger import clock, entries
from proposals import checks, comments, seats
from proposals.exceptions import AlreadyDecided, IllegalTransition, NotEligible, NotFound
from proposals.lifecycle import OPEN, Status, require
from proposals.models import Proposal, Resolution, Review
from proposals.policy import Effect
from proposals.services.decisions import doubted, let_through
from proposals.services.reasons import stated


@transaction.atomic
def resolve_comment(*, review_id: int, person: Any, reason: str = "") -> Proposal:
    """End a comment that blocks approval. The last one that ends lets through what waited for it.

    Whoever wrote it need not say why; others who may decide have to. Where approvals are missing
    it goes on waiting for them. Raises NotFound, NotEligible with the reason why they may not,
    AlreadyDecided when it was resolved before, IllegalTransition when it blocks nothing or the
    proposal is no longer open, or InvalidRequest naming the field.
    """
    comment = (
        Review.objects.select_related("reviewer", "on_check__revision")
        .filter(pk=review_id, decision=Review.Decision.COMMENT)
        .first()
    )
    if comment is None:
        raise NotFound
    proposal = lock(comment.proposal_id)
    if against := comments.ineligibility(person, proposal, comment):
        raise NotEligible(against)
    if not comment.blocks:
        raise IllegalTransition("This comment blocks nothing.", status=proposal.status)
    if earlier := Resolution.objects.filter(review=comment).first():
        raise AlreadyDecided(f"{earlier.person_name} has already resolved this comment.")
    require(proposal, *OPEN)
    said = complete(comment, person, reason)
    now = clock.now()
    resolved = store(proposal, comment, person, said, now)
    go_on(proposal, comment, resolved)
    return proposal


def lock(proposal_id: UUID) -> Proposal:
    # Not its check: joined while waiting for the lock, one that landed meanwhile would be missing.
    return Proposal.objects.select_related("agent__owner", "proposer", "run").lock(proposal_id)


def complete(comment: Review, person: Any, reason: str) -> str:
    """The reason as it is kept; only about one's own comment may it be left out."""
    is_own = seats.person(person) == seats.person(comment.reviewer)
    missing = "" if is_own else "Say why it is resolved: it is not your own comment."
    return stated(reason, missing=missing)


def store(
    proposal: Proposal, comment: Review, person: Any, reason: str, now: datetime
) -> Resolution:
    """Store the end of a comment and its ledger entry."""
    resolved = Resolution.objects.create(
        review=comment,
        person=person,
        person_name=person.get_full_name() or person.get_username(),
        reason=reason,
        created_at=now,
    )
    entries.append(
        chain=proposal,
        kind="proposal.comment_resolved",
        actor=f"user:{person.pk}",
        actor_name=resolved.person_name,
        at=now,
        body={
            "review": comment.pk,
            "object": comment.object,
            "field": comment.field,
            "author": f"user:{comment.reviewer_id}",
            "reason": reason,
        },
        **proposal.look_ups(),
    )
    proposal.save_chain()
    return resolved


def go_on(proposal: Proposal, comment: Review, resolved: Resolution) -> None:
    """Approve what waited for nothing but this; whatever else it waits for, it goes on to."""
    check = proposal.current_check
    if proposal.status != Status.PENDING or check is None or comments.blocking(proposal):
        return
    comments.mark_held(proposal)
    is_for_people = check.effect == Effect.REVIEW
    given = seats.approvals(proposal, check) if is_for_people else []
    if checks.follows(proposal, check, len(given)) is not Status.APPROVED:
        return
    if doubted(proposal, check):
        return
    facts = {"digest": check.digest, "resolved": comment.pk}
    let_through(
        proposal,
        check,
        given,
        at=resolved.created_at,
        facts=facts if is_for_people else facts | {"by": "policy"},
        actor=f"user:{resolved.person_id}",
        actor_name=resolved.person_name,
    )
