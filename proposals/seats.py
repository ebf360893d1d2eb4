"""Seats: who may fill one on a check, and which are filled.

Independence is about people, not accounts: accounts that share an e-mail address are one person.
"""

from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from proposals import authors, rights
from proposals.authors import person
from proposals.lifecycle import Status
from proposals.models import AgentToken, Check, Proposal, Review
from proposals.registry import Tier


def right_for(tier: str) -> str:
    """The right that deciding at this tier takes; an unknown tier takes the highest."""
    return rights.DECIDE if tier in {Tier.LOW, Tier.MEDIUM} else rights.DECIDE_HIGH


def owns_agent(user: Any, proposal: Proposal) -> bool:
    """Whether this person, by whatever account, answers for the agent that asked."""
    return proposal.agent is not None and person(user) == person(proposal.agent.owner)


def credentials(agent: Any, since: Any) -> QuerySet[AgentToken]:
    """The tokens by which this agent could ask for something since then, and who issued them."""
    held = Q(revoked_at=None) | Q(revoked_at__gt=since)
    return AgentToken.objects.filter(held, agent=agent, expires_at__gt=since)


def has_made_credential(user: Any, proposal: Proposal) -> bool:
    """Whether this person issued a token that it could have been proposed or amended with."""
    if proposal.agent_id is None:
        return False
    if not hasattr(proposal, "_countersign_issuers"):
        found = credentials(proposal.agent_id, proposal.created_at).exclude(issued_by=None)
        if not proposal.is_open:  # what was issued later had no part in it
            found = found.filter(created_at__lte=proposal.committed_at or proposal.updated_at)
        issuers = {person(token.issued_by) for token in found.select_related("issued_by")}
        proposal._countersign_issuers = issuers  # type: ignore[attr-defined]
    return person(user) in proposal._countersign_issuers  # type: ignore[attr-defined]


def dependence(user: Any, proposal: Proposal) -> str:
    """Why this person is not independent of the proposal; empty if they are."""
    if owns_agent(user, proposal):
        return f"You own the agent {proposal.agent}, and nobody decides on their own agent."
    if proposal.proposer_id and person(user) == person(proposal.proposer):
        return "You proposed this, and nobody decides on what they proposed."
    if has_made_credential(user, proposal):
        return (
            f"You issued a token that the agent {proposal.agent} could propose this with, and "
            "nobody decides on what their own token asked for."
        )
    return ""


def ineligibility(user: Any, proposal: Proposal, check: Check) -> str:
    """Why this person may not fill a seat on this check; empty if they may.

    At low and medium tier also whoever proposed other values may; at high tier they may not.
    """
    return hindrance(user, proposal, check) or authors.objection(user, check)


def may_decide(user: Any, proposal: Proposal) -> bool:
    """Whether this person may decide on what waits for people, in one of the four ways at least."""
    check = proposal.current_check
    if proposal.status != Status.PENDING or check is None:
        return False
    return not ineligibility(user, proposal, check)


def hindrance(user: Any, proposal: Proposal, check: Check) -> str:
    """Why this person has no say on this check, whatever they wrote of it; empty if they have."""
    if not rights.has(user, right_for(check.tier)):
        return (
            f"Deciding at {check.tier} tier takes a right that you do not have; "
            f"members of {' or '.join(check.group_names) or 'reviewers'} have it."
        )
    if check.group_names and not rights.groups_of(user) & set(check.group_names):
        return f"Only members of {' or '.join(check.group_names)} may decide on this."
    return dependence(user, proposal)


def approvals(proposal: Proposal, check: Check) -> list[Review]:
    """The approvals that count now: for this digest, by distinct people who are still eligible.

    Whoever later asked for changes to exactly this has taken their approval back, and so has who
    withdrew it.
    """
    given = proposal.reviews.filter(digest=check.digest).exclude(decision=Review.Decision.COMMENT)
    counted: dict[str, Review] = {}
    for review in given.select_related("reviewer").order_by("id"):
        who = person(review.reviewer)
        if review.decision == Review.Decision.WITHDRAW:
            if who in counted and counted[who].pk == review.takes_back_id:
                del counted[who]
        elif review.decision != Review.Decision.APPROVE:
            counted.pop(who, None)
        elif not ineligibility(review.reviewer, proposal, check):
            counted.setdefault(who, review)
    return list(counted.values())


@dataclass(frozen=True)
class NoLonger:
    """An approval that does not count any more, and why."""

    review: Review
    why: str


def no_longer_counting(proposal: Proposal, check: Check, counting: list[Review]) -> list[NoLonger]:
    """The approvals beside those that count, oldest first; what was withdrawn is not among them."""
    given = proposal.reviews.filter(decision=Review.Decision.APPROVE, withdrawal=None)
    given = given.exclude(pk__in=[review.pk for review in counting])
    given = given.select_related("reviewer", "on_check__revision").order_by("id")
    counted = {person(review.reviewer) for review in counting}
    return [
        NoLonger(review, why_not(review, proposal, check))
        for review in given
        if review.digest != check.digest or person(review.reviewer) not in counted
    ]


def why_not(review: Review, proposal: Proposal, check: Check) -> str:
    if review.digest == check.digest:
        return ineligibility(review.reviewer, proposal, check) or OVERRULED
    number = review.on_check.revision.number
    if number != check.revision.number:
        return f"It was of revision {number}, which says something else."
    return "The target, the rules or the tier are not what they were."


OVERRULED = "They decided otherwise since."


def refusal_of_another(user: Any, proposal: Proposal, check: Check) -> str:
    """Why this person cannot approve exactly this once more; empty if they may.

    Whoever withdrew what they said may say it again, once it was checked anew.
    """
    if any(person(review.reviewer) == person(user) for review in approvals(proposal, check)):
        return "You have already approved this; one person fills one seat."
    own = proposal.reviews.filter(digest=check.digest, reviewer=user, withdrawal=None)
    if {Review.Decision.APPROVE, Review.Decision.REQUEST_CHANGES} <= set(
        own.values_list("decision", flat=True)
    ):
        return "You took back your approval of exactly this; somebody else has to decide."
    return ""


def blockers(user: Any, proposal: Proposal, check: Check | None) -> list[str]:
    """Every reason why this person cannot decide now, as sentences; empty if they can."""
    if proposal.status != Status.PENDING:
        return [f"This proposal is {proposal.get_status_display().lower()}; nothing is waiting."]
    if check is None:
        return ["Wait: the checks have not run yet; they take seconds."]
    reasons = [
        ineligibility(user, proposal, check),
        refusal_of_another(user, proposal, check),
    ]
    return [reason for reason in reasons if reason]


def would_fill_a_seat(user: Any, proposal: Proposal, check: Check) -> bool:
    return check.is_approvable and not blockers(user, proposal, check)


def waiting_on(user: Any, tier: str | None = None) -> QuerySet[Proposal]:
    """Pending proposals, of one tier or of any, where this person could fill an empty seat."""
    tiers = [one for one in Tier if tier in {None, one} and rights.has(user, right_for(one))]
    if not tiers:
        return Proposal.objects.none()
    member = Q(current_check__groups="")
    for name in rights.groups_of(user):
        member |= Q(current_check__groups__contains=f",{name},")
    return (
        Proposal.objects.filter(member, status=Status.PENDING, tier__in=tiers)
        .exclude(agent__owner=user)
        .exclude(proposer=user)
        .exclude(
            Exists(credentials(OuterRef("agent"), OuterRef("created_at")).filter(issued_by=user))
        )
        .exclude(
            ~Q(tier__in=[Tier.LOW, Tier.MEDIUM]),
            current_check__revision__author=f"user:{user.pk}",
        )
        .exclude(
            Exists(
                Review.objects.standing_approvals().filter(
                    proposal=OuterRef("pk"),
                    digest=OuterRef("current_check__digest"),
                    reviewer=user,
                )
            )
        )
        .select_related("agent", "run", "current_check")
    )
