"""The gate: the rules as they stand now, held against what a check found.

`policy` is pure; this is where its rules and facts come from, and where the product's own floors
are added, which no rule can lower.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Count, Q

from ledger import clock
from ledger.canonical import digest
from proposals import policy, rights, text
from proposals.lifecycle import Status
from proposals.models import Check, Proposal, Revision, Rule
from proposals.policy import Effect, RuleData, Verdict
from proposals.registry import Tier

# How the error begins of a check that was previewed, but is more than a budget has room for now.
NO_ROOM = "It does not fit now:"


@dataclass(frozen=True)
class Findings:
    """What a preview found, as JSON. With an error there was nothing to find."""

    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    impact: dict[str, Any] | None = None
    conflicts: list[dict[str, Any]] = field(default_factory=list)
    base_tier: str = Tier.HIGH
    compensation: dict[str, Any] | None = None
    error: str = ""
    definition: str | None = None

    @property
    def is_reversible(self) -> bool:
        return self.compensation is not None


@dataclass(frozen=True)
class AsOf:
    """A moment to judge by that is not now, and what was counted for it."""

    now: datetime
    committed: int = 0
    undone: int = 0


def rules() -> list[RuleData]:
    """The rules in force."""
    return [rule.data() for rule in Rule.objects.filter(is_active=True)]


def policy_digest(in_force: Iterable[RuleData]) -> str:
    """Names a set of rules, so that open proposals checked under another set can be found."""
    return digest([[rule.id, rule.version] for rule in in_force])


def hides_text(revision: Revision) -> bool:
    """Whether anything the agent sent holds characters that hide or reorder text."""
    return text.has_alarming([revision.params, revision.rationale, revision.context])


def judge(
    proposal: Proposal,
    revision: Revision,
    findings: Findings,
    in_force: list[RuleData],
    as_of: AsOf | None = None,
) -> Verdict:
    """The verdict of these rules on these findings, with the floors that no rule can lower."""
    base = Tier(findings.base_tier)
    if hides_text(revision):
        base = list(Tier)[min(base.rank + 1, Tier.HIGH.rank)]
    verdict = policy.evaluate(
        in_force,
        action=proposal.action,
        tier=base,
        is_reversible=findings.is_reversible,
        facts=facts(proposal, revision, findings, as_of or present(proposal, in_force)),
    )
    if is_clean_undo(proposal, revision, findings, verdict):
        return replace(verdict, effect=Effect.ALLOW, approvals=0, groups=())
    for code, detail in floors(proposal, revision, findings):
        verdict = needs_people(verdict, code, detail)
    return verdict


def facts(
    proposal: Proposal, revision: Revision, findings: Findings, as_of: AsOf
) -> dict[str, Any]:
    """What a condition may speak about."""
    agent = proposal.agent
    return {
        "params": revision.params,
        "before": findings.before or {},
        "after": findings.after or {},
        "impact": {**(findings.impact or {}), "reversible": findings.is_reversible},
        "agent": {"name": agent.name if agent else "", "owner": agent.owner_id if agent else 0},
        "run": {"name": proposal.run.name if proposal.run else ""},
        "resource": proposal.resource,
        "history": {"committed": as_of.committed, "undone": as_of.undone},
        "now": as_of.now,
    }


def present(proposal: Proposal, in_force: list[RuleData]) -> AsOf:
    """Now, with what the agent has done by this action so far.

    That is counted only where a rule so much as mentions it: it grows with every write.
    """
    if not any("history" in rule.condition for rule in in_force):
        return AsOf(clock.now())
    committed = Proposal.objects.filter(
        agent=proposal.agent, action=proposal.action, status=Status.COMMITTED
    )
    counted = committed.aggregate(all=Count("pk"), undone=Count("pk", filter=Q(is_undone=True)))
    return AsOf(clock.now(), committed=counted["all"], undone=counted["undone"])


def is_clean_undo(
    proposal: Proposal, revision: Revision, findings: Findings, verdict: Verdict
) -> bool:
    """Whether a person with the right restores a known state: that takes nobody else.

    Only at low and medium tier, without conflicts, and as the system wrote the compensation: an
    amended undo is no longer the known state. What keeps coming back is looked at by people.
    """
    return (
        proposal.compensates_id is not None
        and may_undo(proposal)
        and revision.number == 1
        and proposal.rechecks < settings.RECHECKS_BEFORE_PEOPLE
        and not findings.conflicts
        and not findings.error
        and verdict.effect is not Effect.DENY
        and verdict.tier in {Tier.LOW, Tier.MEDIUM}
    )


def may_undo(proposal: Proposal) -> bool:
    """Whether the person who proposed this holds the right to undo now."""
    return proposal.proposer is not None and rights.has(proposal.proposer, rights.UNDO)


def floors(proposal: Proposal, revision: Revision, findings: Findings) -> Iterable[tuple[str, str]]:
    """Why people must look, whatever the rules say."""
    if proposal.compensates_id and revision.number > 1:
        yield "undo-amended", "This undo goes ahead over a later change, or was amended."
    if proposal.compensates_id and proposal.proposer and not may_undo(proposal):
        yield "undo-asked", "Whoever asks for this undo may not decide on it, so people must look."
    if findings.error.startswith(NO_ROOM):
        yield "over-budget", findings.error
    elif findings.error:
        yield "preview-failed", f"The change could not be previewed: {findings.error}"
    if findings.conflicts:
        yield "undo-conflict", "Somebody changed the target since; undoing would trample on that."
    if is_money_unclear(findings.impact or {}):
        yield "money-unclear", "Money moves in several currencies, or in none that is known."
    if proposal.duplicate_of_id:
        yield (
            "possible-duplicate",
            "The same change was proposed, decided on or written under another key in the last "
            f"{settings.DUPLICATE_WINDOW_HOURS} hours.",
        )
    if proposal.rechecks >= settings.RECHECKS_BEFORE_PEOPLE:
        yield "target-keeps-moving", f"The target moved {proposal.rechecks} times in a row."


def is_money_unclear(impact: dict[str, Any]) -> bool:
    """Whether rules can see only part of the money of an undo, or budgets cannot count it."""
    return bool(impact.get("beside") or (impact.get("amount") and not impact["amount"]["currency"]))


def needs_people(verdict: Verdict, code: str, detail: str) -> Verdict:
    """The same verdict, but never less than one person, and saying why."""
    reasons = (*verdict.reasons, {"code": code, "detail": detail})
    if verdict.effect is not Effect.ALLOW:
        return replace(verdict, reasons=reasons)
    return replace(
        verdict, effect=Effect.REVIEW, approvals=1, groups=("reviewers",), reasons=reasons
    )


def as_verdict(check: Check) -> Verdict:
    """The verdict that a check recorded."""
    return Verdict(
        effect=Effect(check.effect),
        tier=check.tier,
        approvals=check.approvals,
        groups=tuple(check.group_names),
        reasons=tuple(check.reasons),
        trace=(),
    )


def findings_of(check: Check) -> Findings:
    """What a check found, for holding newer rules against it."""
    return Findings(
        before=check.before,
        after=check.after,
        impact=check.impact,
        conflicts=check.conflicts,
        base_tier=check.base_tier,
        compensation=check.compensation,
        error=check.error,
    )
