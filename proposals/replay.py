"""What other rules would have decided: recent proposals, judged again from what was stored.

Reads only, and never the targets: each proposal's last check holds all that rules may speak about.
Counts of an agent's history are those of today, because nobody stored those of the day.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any
from uuid import UUID

from django.db.models import Count, Q

from ledger import clock
from proposals import gate, policy
from proposals.expressions import ConditionFailed, bind, holds
from proposals.gate import AsOf
from proposals.lifecycle import Status
from proposals.models import Check, Proposal
from proposals.policy import Effect, RuleData, Verdict
from proposals.registry import Tier, registry

DAYS = 30
MOST = 500
COUNTED = (Status.PENDING, Status.APPROVED, Status.COMMITTED, Status.REJECTED, Status.DENIED)


@dataclass(frozen=True)
class Case:
    """One proposal as it was checked last."""

    proposal: Proposal
    check: Check
    as_of: AsOf

    def judge(self, rules: list[RuleData]) -> Verdict:
        findings = gate.findings_of(self.check)
        return gate.judge(self.proposal, self.check.revision, findings, rules, self.as_of)

    def facts(self) -> dict[str, Any]:
        findings = gate.findings_of(self.check)
        return gate.facts(self.proposal, self.check.revision, findings, self.as_of)


@dataclass(frozen=True)
class Flip:
    """One proposal that would have been decided otherwise."""

    case: Case
    was: Verdict
    becomes: Verdict

    @property
    def proposal(self) -> Proposal:
        return self.case.proposal

    @property
    def is_let_through(self) -> bool:
        """Whether nobody would have been asked, where somebody was or nothing could be written."""
        return self.becomes.effect is Effect.ALLOW and self.was.effect is not Effect.ALLOW

    @property
    def is_stricter(self) -> bool:
        return policy.is_stricter(self.becomes, self.was)


@dataclass(frozen=True)
class Replay:
    """What would have flipped among the newest proposals since a moment."""

    flips: tuple[Flip, ...]
    looked_at: int
    is_cut: bool
    since: datetime

    @property
    def let_through(self) -> list[Flip]:
        return [flip for flip in self.flips if flip.is_let_through]

    @property
    def others(self) -> list[Flip]:
        return [flip for flip in self.flips if not flip.is_let_through]


def replay(now: list[RuleData], then: list[RuleData]) -> Replay:
    """Judge recent proposals by the rules as they are and as they would be."""
    found, is_cut, since = recent(changed(now, then), now + then)
    flips = []
    for case in found:
        was, becomes = case.judge(now), case.judge(then)
        if outcome(was) != outcome(becomes):
            flips.append(Flip(case, was, becomes))
    return Replay(tuple(flips), len(found), is_cut, since)


def outcome(verdict: Verdict) -> tuple[Any, ...]:
    """What of a verdict anybody notices."""
    return verdict.effect, verdict.tier, verdict.approvals, frozenset(verdict.groups)


def changed(now: list[RuleData], then: list[RuleData]) -> set[str]:
    """The patterns of every rule that is not the same in both."""
    return {rule.action for rule in {*now} ^ {*then}}


def recent(patterns: Iterable[str], rules: list[RuleData]) -> tuple[list[Case], bool, datetime]:
    """The newest proposals that these patterns cover; whether there were more; and since when."""
    now = clock.now()
    since = now - timedelta(days=DAYS)
    wanted = list(patterns)
    actions = [name for name in registry.names() if any(fnmatchcase(name, one) for one in wanted)]
    found = (
        Proposal.objects.filter(
            pk__gte=first_id(since),
            action__in=actions,
            compensates=None,
            current_check__isnull=False,
            status__in=COUNTED,
        )
        .select_related("agent", "run", "proposer", "current_check__revision")
        .defer("result", "error", "current_check__trace", "current_check__reasons")
        .order_by("-pk")
    )
    listed = list(found[: MOST + 1])
    counted = history(listed) if any("history" in rule.condition for rule in rules) else {}
    return [case(one, counted) for one in listed[:MOST]], len(listed) > MOST, since


def first_id(at: datetime) -> UUID:
    """The smallest id that a proposal of this moment could have: ids begin with the time."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


def history(proposals: list[Proposal]) -> dict[tuple[Any, str], tuple[int, int]]:
    """Commits, and those undone, by agent and action: one statement."""
    rows = (
        Proposal.objects.filter(
            agent__in={one.agent_id for one in proposals},
            action__in={one.action for one in proposals},
            status=Status.COMMITTED,
        )
        .order_by()
        .values_list("agent", "action")
        .annotate(committed=Count("pk"), undone=Count("pk", filter=Q(is_undone=True)))
    )
    return {(agent, action): (committed, undone) for agent, action, committed, undone in rows}


def case(proposal: Proposal, counted: dict[tuple[Any, str], tuple[int, int]]) -> Case:
    check: Any = proposal.current_check
    committed, undone = counted.get((proposal.agent_id, proposal.action), (0, 0))
    return Case(proposal, check, AsOf(check.created_at, committed, undone))


def case_of(proposal: Proposal) -> Case:
    """One proposal that has been checked, as a case."""
    return case(proposal, history([proposal]))


def danger(rule: RuleData, cases: Iterable[Case]) -> str:
    """Why a rule must not be let to allow: it would also speak at high tier, or of what cannot be
    undone. Empty if none of these cases shows that it would.

    The floors of `policy` hold all the same; a rule that leans on them is refused, not trusted.
    """
    for one in cases:
        if not fnmatchcase(one.proposal.action, rule.action):
            continue
        facts = {**one.facts(), "action": one.proposal.action}
        if speaks(rule, facts | {"tier": Tier.HIGH.value}):
            return AT_HIGH_TIER
        irreversible = {**facts["impact"], "reversible": False}
        for tier in Tier:
            if speaks(rule, facts | {"impact": irreversible, "tier": tier.value}):
                return IRREVERSIBLE
    return ""


def speaks(rule: RuleData, facts: dict[str, Any]) -> bool:
    if not rule.condition:
        return True
    try:
        return holds(rule.condition, bind(facts))
    except ConditionFailed:
        return False


def with_rule(rules: list[RuleData], rule: RuleData, is_active: bool = True) -> list[RuleData]:
    """These rules with one of them as it would be: replaced, added, or switched off."""
    others = [one for one in rules if one.id != rule.id]
    return [*others, rule] if is_active else others


AT_HIGH_TIER = (
    "As written, this would also speak of writes at high tier. Those always take two people; add "
    'tier != "high".'
)
IRREVERSIBLE = (
    "As written, this would also speak of writes that cannot be undone. Those always take a "
    "person; add impact.reversible."
)
