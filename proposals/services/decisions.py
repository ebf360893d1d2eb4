"""Deciding: what a person says about exactly what they were shown."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from ledger import clock, entries
from proposals import authors, bell, bound, comments, rights, seats
from proposals.exceptions import (
    AlreadyDecided,
    AlteredSince,
    IllegalTransition,
    InvalidRequest,
    NotEligible,
    NotFound,
    SignInTooOld,
    StaleDigest,
)
from proposals.lifecycle import Status, require, transition
from proposals.models import Check, Execution, Proposal, Review
from proposals.registry import Tier
from proposals.services.claiming import release_review_claim

HIGH_TIER_REASON_LENGTH = 15
CHECKS = "system:checks"


def review(
    *,
    proposal_id: UUID,
    reviewer: Any,
    decision: str,
    digest: str,
    reason: str = "",
    reason_code: str = "",
    is_for_agent: bool = False,
    fact: str = "",
    about: str = "",
    field: str = "",
    blocks: bool = False,
    authenticated_at: datetime | None = None,
) -> Proposal:
    """Record one person's decision on the check with this digest, and no other.

    A comment may be `about` one object's `field` that the check shows. One that `blocks` keeps
    everybody from approving until it is resolved, over re-checks and new revisions too.
    `authenticated_at` is when they last proved who they are: a door that does not say cannot have
    anything approved at high tier. Raises StaleDigest when what they saw is no longer current,
    AlteredSince when what is stored is not what was checked, which then is checked anew,
    NotEligible with the reason why they may not decide, AlreadyDecided, IllegalTransition,
    InvalidRequest naming the field, or, when nothing else is in the way, SignInTooOld.
    """
    with transaction.atomic():
        proposal, check = shown(proposal_id, digest)
        verdict = choice(decision)
        altered = doubted(proposal, check) if verdict is Review.Decision.APPROVE else None
        if not altered:
            refuse_ineligible(reviewer, proposal, check, verdict)
            complete(check, verdict, reason, reason_code, fact)
            place = comments.placed(check, verdict, about, field, blocks)
            if verdict is Review.Decision.APPROVE and is_high(check):
                require_recent(authenticated_at)
            said = reason.strip()
            stored = store(
                proposal, check, reviewer, verdict, said, reason_code, is_for_agent, place
            )
            follow(proposal, check, stored)
            release_review_claim(proposal_id=proposal.pk, person=reviewer)
    if altered:  # only now, so that the new check and its reason stay
        raise AlteredSince(f"{altered} It is being checked anew.")
    return proposal


def shown(proposal_id: UUID, digest: str) -> tuple[Proposal, Check]:
    """The locked proposal, still pending, and its check, if that is the one with this digest."""
    related = ("agent__owner", "proposer", "run")
    try:
        proposal = Proposal.objects.select_related(*related).lock(proposal_id)
    except Proposal.DoesNotExist:
        raise NotFound from None
    check = proposal.current_check
    if check is not None and digest != check.digest:
        raise StaleDigest
    require(proposal, Status.PENDING)
    if check is None:
        raise IllegalTransition("The checks have not run yet.", status=proposal.status)
    return proposal, check


def doubted(proposal: Proposal, check: Check) -> bound.Altered | None:
    """What of a locked proposal is not as it was checked: then that is entered, and it is checked
    anew and waits for people again.

    Nobody could know what they approve; to reject it, or to ask for changes, stays possible.
    """
    altered = bound.altered(proposal, check)
    if altered:
        facts = {"reason": altered, "digest": check.digest}
        transition(proposal, Status.SUBMITTED, actor=CHECKS, body=facts, reason=str(altered))
        bell.ring_check(proposal.pk)
    return altered


def choice(decision: str) -> Review.Decision:
    if decision not in Review.VERDICTS:
        raise invalid("decision", "choose-one", "Choose one of the four verdicts.")
    return Review.Decision(decision)


def invalid(name: str, code: str, detail: str) -> InvalidRequest:
    return InvalidRequest(detail, errors=[{"pointer": f"/{name}", "code": code, "detail": detail}])


def refuse_ineligible(
    reviewer: Any, proposal: Proposal, check: Check, verdict: Review.Decision
) -> None:
    """Who may not decide, and what cannot be approved by anybody."""
    if objection := seats.ineligibility(reviewer, proposal, check):
        raise NotEligible(objection)
    if verdict is not Review.Decision.APPROVE:
        return
    if not check.is_approvable:
        raise NotEligible(
            "There is nothing definite to approve: the change could not be previewed or does not "
            "fit now, or somebody changed the target since. It can still be rejected or sent back."
        )
    if objection := seats.refusal_of_another(reviewer, proposal, check):
        raise AlreadyDecided(objection)
    if objection := comments.objection(proposal):
        raise NotEligible(objection)


def complete(
    check: Check, verdict: Review.Decision, reason: str, reason_code: str, fact: str
) -> None:
    """What each verdict asks for: a reason, and at high tier a fact that was read, not guessed."""
    said = reason.strip()
    if len(said) > 2000:
        raise invalid("reason", "too-long", "A reason has at most 2,000 characters.")
    if reason_code and reason_code not in Review.ReasonCode.values:
        raise invalid("reason_code", "choose-one", "Choose one of the listed reasons.")
    if verdict is not Review.Decision.APPROVE:
        if not said:
            raise invalid("reason", "required", "Say why, so that others can follow.")
        return
    if not is_high(check):
        return
    if len("".join(said.split())) < HIGH_TIER_REASON_LENGTH:
        raise invalid(
            "reason",
            "too-short",
            f"At high tier, give a reason of at least {HIGH_TIER_REASON_LENGTH} characters.",
        )
    if fact.strip() != expected_fact(check):
        raise invalid("fact", "wrong-fact", f"{asked_fact(check)} does not match the evidence.")


def is_high(check: Check) -> bool:
    """Whatever is not known to be lower is high."""
    return check.tier not in {Tier.LOW, Tier.MEDIUM}


def is_recent(authenticated_at: datetime | None) -> bool:
    """Whether whoever proved then who they are is still believed to sit there."""
    if authenticated_at is None:
        return False
    return clock.now() - authenticated_at <= timedelta(seconds=settings.SIGN_IN_AGAIN_SECONDS)


def require_recent(authenticated_at: datetime | None) -> None:
    if not is_recent(authenticated_at):
        raise SignInTooOld


def expected_fact(check: Check) -> str:
    """The fact that a high tier approval must type: the one key, or how many objects."""
    keys = [key for key in check.before or {} if key != "new"]
    return keys[0] if len(keys) == 1 else str((check.impact or {}).get("objects", ""))


def asked_fact(check: Check) -> str:
    """What to ask the person for."""
    keys = [key for key in check.before or {} if key != "new"]
    return "The key of the object" if len(keys) == 1 else "The number of objects affected"


def store(
    proposal: Proposal,
    check: Check,
    reviewer: Any,
    verdict: Review.Decision,
    reason: str,
    reason_code: str,
    is_for_agent: bool,
    place: comments.Place,
) -> Review:
    """Store the decision and its ledger entry."""
    now = clock.now()
    facts: dict[str, Any] = {
        "reason_code": reason_code,
        "sent_to_agent": is_for_agent,
        "seconds": max(int((now - check.created_at).total_seconds()), 0),
        **place.as_facts(),
    }
    if authors.has_written(reviewer, check.revision):
        facts["is_author"] = True
    if verdict is Review.Decision.APPROVE and check.group_names:
        facts["groups"] = sorted(rights.groups_of(reviewer) & set(check.group_names))
    return enter(
        proposal,
        check,
        reviewer,
        at=now,
        facts=facts,
        decision=verdict,
        reason_code=reason_code,
        reason=reason,
        is_for_agent=is_for_agent,
        object=place.object,
        field=place.field,
        blocks=place.blocks,
    )


def enter(
    proposal: Proposal,
    check: Check,
    reviewer: Any,
    *,
    at: datetime,
    facts: dict[str, Any],
    **fields: Any,
) -> Review:
    """One row of a person's word on a check, and its ledger entry with these facts besides."""
    stored = Review.objects.create(
        proposal=proposal,
        on_check=check,
        digest=check.digest,
        reviewer=reviewer,
        reviewer_name=reviewer.get_full_name() or reviewer.get_username(),
        created_at=at,
        **fields,
    )
    entries.append(
        chain=proposal,
        kind="proposal.reviewed",
        actor=f"user:{reviewer.pk}",
        actor_name=stored.reviewer_name,
        at=at,
        body={
            "review": stored.pk,
            "decision": str(stored.decision),
            "digest": check.digest,
            "revision": check.revision.number,
            "tier": check.tier,
            "reason": stored.reason,
        }
        | facts,
        **proposal.look_ups(),
    )
    proposal.save_chain()
    return stored


def follow(proposal: Proposal, check: Check, review: Review) -> None:
    """Move the proposal as far as this decision carries it."""
    facts = {"digest": check.digest, "review": review.pk}
    who = {"actor": f"user:{review.reviewer_id}", "actor_name": review.reviewer_name}
    at = review.created_at
    if review.decision == Review.Decision.REJECT:
        said = review.reason if review.is_for_agent else "A person rejected this."
        transition(
            proposal,
            Status.REJECTED,
            at=at,
            body=facts,
            reason="",
            error={"code": review.reason_code or "rejected", "detail": said, "retryable": False},
            **who,
        )
    elif review.decision == Review.Decision.REQUEST_CHANGES:
        transition(proposal, Status.CHANGES_REQUESTED, at=at, body=facts, reason="", **who)
    elif review.decision == Review.Decision.APPROVE:
        given = seats.approvals(proposal, check)
        if len(given) >= check.approvals:
            let_through(proposal, check, given, at=at, facts=facts, **who)
    elif review.blocks:
        comments.mark_held(proposal)


def let_through(
    proposal: Proposal,
    check: Check,
    given: list[Review],
    *,
    at: datetime,
    facts: dict[str, Any],
    actor: str,
    actor_name: str,
) -> None:
    """Approve a pending proposal that nothing is missing to, and queue its execution."""
    transition(
        proposal,
        Status.APPROVED,
        actor=actor,
        actor_name=actor_name,
        at=at,
        reason="",
        rechecks=0,
        has_moved=False,
        body=facts | {"approvals": [one.pk for one in given]},
    )
    bell.ring_execution(Execution.objects.enqueue(proposal, check, at).pk)
