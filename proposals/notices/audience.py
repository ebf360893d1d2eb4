"""Whom a notice concerns: those who can still act on it, and owners of what it happened to.

Asked twice. Writing letters uses one broad query; sending asks exactly, about the state of that
moment, so that nobody is told of what is decided already or is not theirs to decide.
"""

from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet

from ledger import clock
from proposals import freezing, rights, seats
from proposals.lifecycle import Status
from proposals.models import Breaker, Freeze, Notice, NoticePreference, Webhook
from proposals.registry import Tier

Kind = Notice.Kind
TO_DECIDE = frozenset({Kind.WAITS, Kind.DUE})
TO_OWNERS = frozenset({Kind.REJECTED, Kind.EXPIRED, Kind.UNDONE, Kind.PARTLY})
RAISE_BUDGETS = "change_budget"
ACT_BY: dict[str, str] = {
    Kind.FAILED: rights.RETRY,
    Kind.UNKNOWN: rights.RETRY,
    Kind.SECOND: rights.RETRY,
    Kind.BREAKER: rights.RETRY,
    Kind.BUDGET: RAISE_BUDGETS,
    Kind.SUSPENDED: rights.LIFT,
    Kind.FROZEN: rights.LIFT,
    Kind.WEBHOOK: rights.CHANGE_RULES,
}
STATUS = {
    Kind.WAITS: Status.PENDING,
    Kind.DUE: Status.PENDING,
    Kind.FAILED: Status.FAILED,
    Kind.UNKNOWN: Status.UNKNOWN,
    Kind.SECOND: Status.UNKNOWN,
    Kind.REJECTED: Status.REJECTED,
    Kind.EXPIRED: Status.EXPIRED,
}
URGENT = frozenset(
    {Kind.UNKNOWN, Kind.SECOND, Kind.BREAKER, Kind.SUSPENDED, Kind.FROZEN, Kind.WEBHOOK}
)
STALE_AFTER = timedelta(hours=24)


def tier_of(notice: Notice) -> str:
    """How urgent it is, in tiers: what stops work or is unclear is told like the highest."""
    if notice.kind in URGENT:
        return Tier.HIGH
    if notice.kind == Kind.BUDGET:
        return Tier.MEDIUM
    tier = notice.proposal.tier if notice.proposal else ""
    if notice.kind == Kind.FAILED and tier == Tier.LOW:
        return Tier.MEDIUM
    return tier if tier in set(Tier) else Tier.HIGH


def is_current(notice: Notice) -> bool:
    """Whether what it tells of still stands; nobody is told of what is over."""
    proposal = notice.proposal
    if notice.kind in STATUS:
        if proposal is None or proposal.status != STATUS[Kind(notice.kind)]:
            return False
        check = proposal.current_check
        return notice.kind not in TO_DECIDE or bool(check and check.digest == notice.digest)
    if notice.kind == Kind.UNDONE:
        return bool(proposal and proposal.is_undone)
    if notice.kind == Kind.PARTLY:
        return bool(proposal and proposal.taken_back)
    if notice.kind == Kind.SUSPENDED:
        return bool(notice.agent and notice.agent.is_suspended)
    if notice.kind == Kind.FROZEN:
        return freezing.in_force().filter(pk=notice.subject_id).exists()
    if notice.kind == Kind.BREAKER:
        return breaker_of(notice) is not None
    if notice.kind == Kind.WEBHOOK:
        return Webhook.objects.filter(pk=notice.subject_id, is_active=False).exists()
    return notice.at > clock.now() - STALE_AFTER


def concerns(person: Any, notice: Notice) -> bool:
    """Whether this person can act on it now, or owns what it happened to. Exact."""
    if not (person.is_active and person.email) or hasattr(person, "agent"):
        return False
    if notice.actor == f"user:{person.pk}" or not is_current(notice):
        return False
    if notice.kind in TO_DECIDE:
        proposal = notice.proposal
        return bool(
            proposal
            and rights.may_view(person)
            and not seats.blockers(person, proposal, proposal.current_check)
        )
    if notice.kind not in ACT_BY:
        return is_owner(person, notice)
    if notice.kind == Kind.SECOND and not is_independent(person, notice):
        return False
    if rights.may_view(person) and rights.has(person, ACT_BY[notice.kind]):
        return True
    return notice.kind in {Kind.BUDGET, Kind.SUSPENDED, Kind.FROZEN} and is_owner(person, notice)


def is_independent(person: Any, notice: Notice) -> bool:
    """Whether this person is none of those whom it happened to, by whatever account."""
    involved = get_user_model().objects.filter(pk__in=owners(notice))
    return seats.person(person) not in {seats.person(one) for one in involved}


def is_owner(person: Any, notice: Notice) -> bool:
    return person.pk in owners(notice)


def owners(notice: Notice) -> set[Any]:
    """Who answers for it: the agent's owner, and a person who proposed it themselves."""
    found = {notice.agent.owner_id} if notice.agent else set()
    if notice.proposal and notice.proposal.proposer_id:
        found.add(notice.proposal.proposer_id)
    return found


def candidates(notice: Notice) -> QuerySet:
    """Everybody whom it might concern, by one statement; `concerns` has the last word.

    In one order, because their hourly letters are locked one after another.
    """
    people = get_user_model().objects.filter(is_active=True, agent=None).exclude(email="")
    people, owner = people.order_by("pk"), Q(pk__in=owners(notice))
    if notice.kind in TO_OWNERS:
        return people.filter(owner)
    if notice.kind not in TO_DECIDE:
        return people.filter(owner | holding(ACT_BY[notice.kind])).distinct()
    check = notice.proposal.current_check if notice.proposal else None
    found = people.filter(holding(seats.right_for(check.tier if check else "")))
    if check and check.group_names:
        found = found.filter(groups__name__in=check.group_names)
    return found.distinct()


def holding(right: str) -> Q:
    """People who hold a right, by a group or directly."""
    return Q(groups__permissions__codename=right) | Q(user_permissions__codename=right)


def freeze_of(notice: Notice) -> Freeze | None:
    return Freeze.objects.select_related("agent").filter(pk=notice.subject_id).first()


def breaker_of(notice: Notice) -> Breaker | None:
    """The breaker that it tells of, while it is open."""
    return Breaker.objects.filter(pk=notice.subject_id).exclude(opened_at=None).first()


def preference(person: Any) -> NoticePreference:
    """What this person chose, or the defaults."""
    found = NoticePreference.objects.filter(person=person).first()
    return found or NoticePreference(person=person)


def must_hear(person: Any, tier: str) -> bool:
    """Whether mail at this tier cannot be off: senior reviewers, unless a webhook is on for it."""
    if tier in {Tier.LOW, Tier.MEDIUM} or not rights.has(person, rights.DECIDE_HIGH):
        return False
    return not webhooks_for(Kind.WAITS, Tier.HIGH).exists()


def webhooks_for(kind: str, tier: str) -> QuerySet[Webhook]:
    """The webhooks that are told of this kind at this tier."""
    return Webhook.objects.filter(
        is_active=True, kinds__contains=f",{kind},", tiers__contains=f",{tier},"
    )


def choice(person: Any, chosen: NoticePreference, tier: str) -> str:
    """How this person is told at this tier now."""
    wanted = chosen.for_tier(tier)
    if wanted == NoticePreference.Choice.OFF and must_hear(person, tier):
        return NoticePreference.Choice.AT_ONCE
    return wanted
