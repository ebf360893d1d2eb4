"""Checks: preview, impact, rules, verdict. They only read, so doing one twice is harmless.

A check is stored with the round it started in, and discarded if the proposal has moved since: what
started before an amendment never lands after it.
"""

import logging
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from ledger import clock, entries
from proposals import (
    bound,
    comments,
    crashpoints,
    freezing,
    gate,
    observing,
    proof,
    seats,
    spending,
    touched,
)
from proposals.deadlines import deadline
from proposals.exceptions import ActionError, OverBudget
from proposals.gate import Findings
from proposals.lifecycle import Status, transition
from proposals.models import Agent, Check, Execution, Proposal, Revision
from proposals.policy import Effect, RuleData, Verdict
from proposals.redaction import redact
from proposals.registry import registry
from proposals.targets import wiring

logger = logging.getLogger(__name__)
ACTOR = "system:checks"
ALTERED_BEFORE = "The check before this one was changed from outside, so people must look."


def run(proposal_id: UUID | str) -> UUID | None:
    """Check a submitted proposal. Returns the execution to go on with, if one is now queued.

    Tolerates a proposal that is gone on, and being called twice at once. Content that is not what
    the ledger committed to is not even previewed: people look, and nobody can approve it.
    """
    proposal = (
        Proposal.objects.to_check()
        .select_related("agent__owner", "proposer", "run")
        .filter(pk=proposal_id)
        .first()
    )
    if proposal is None:
        return None
    revision = proposal.revision()
    in_force = gate.rules()
    if altered := bound.altered_content(proposal, revision):
        findings = Findings(error=str(altered))
    else:
        findings = examine(proposal.action, revision.params)
    crashpoints.reach("check.previewed")
    verdict = gate.judge(proposal, revision, findings, in_force)
    execution_id = land(proposal, revision, findings, verdict, in_force)
    crashpoints.reach("check.landed")
    return execution_id


def examine(action_name: str, params: dict[str, Any]) -> Findings:
    """Preview a call. Whatever goes wrong becomes a finding: people look, nothing is approved."""
    wiring.refresh()
    definition = None
    try:
        action = registry.get(action_name)
        # Read before the preview: a change in between looks like one after it, and is checked.
        definition = action.definition(params)
        preview = action.preview(params)
    except (ActionError, LookupError) as error:
        return Findings(error=redact(str(error))[:500], definition=definition)
    except Exception as error:  # an action's own fault must not stop the line; people will look
        logger.exception("The preview of %s failed", action_name)
        told = f"{action_name} failed unexpectedly ({type(error).__name__})."
        return Findings(error=told, definition=definition)
    return Findings(
        before=preview.before,
        after=preview.after,
        impact=preview.impact.as_json(),
        conflicts=[conflict.as_json() for conflict in preview.conflicts],
        base_tier=preview.tier,
        compensation=preview.compensation.as_json() if preview.compensation else None,
        definition=definition,
    )


def definition_of(action_name: str, params: dict[str, Any]) -> str | None:
    """Names the configuration that this call depends on, as it is now."""
    wiring.refresh()
    try:
        return registry.get(action_name).definition(params)
    except LookupError:
        return None


def comes_out_the_same(proposal: Proposal, check: Check, findings: Findings) -> bool:
    """Whether these findings, under the verdict of that check, are what people approved by it."""
    is_same = bound.seen_by(proposal, check, findings) is not None
    return is_same and findings.base_tier == check.base_tier


def land(
    started: Proposal,
    revision: Revision,
    findings: Findings,
    verdict: Verdict,
    in_force: list[RuleData],
) -> UUID | None:
    """Store the check and move the proposal on, unless round or status have moved meanwhile.

    What is over budget is denied where its author asked for just that; otherwise people look.
    A refusal that suspends the agent begins again from the gate, which comes before the proposal
    (`freezing`): so it is stored with its suspension, or, if this process dies, not at all.
    """
    try:
        return landed(started, revision, findings, verdict, in_force)
    except OverBudget:
        with transaction.atomic():
            freezing.take_gate()
            return landed(started, revision, findings, verdict, in_force, may_suspend=True)


@transaction.atomic
def landed(
    started: Proposal,
    revision: Revision,
    findings: Findings,
    verdict: Verdict,
    in_force: list[RuleData],
    *,
    may_suspend: bool = False,
) -> UUID | None:
    """One try at landing a check. Raises OverBudget, and stores nothing, if it may not suspend."""
    proposal = Proposal.objects.select_related("agent", "run").lock(started.pk)
    if proposal.status != Status.SUBMITTED or proposal.round != started.round:
        return None
    now = clock.now()
    verdict = never_looser(proposal, revision, verdict)
    check = written_down(proposal, revision, findings, verdict, in_force, now)
    excess = shortage(proposal, revision, check)
    if excess is not None and not is_own_excess(proposal, revision):
        findings = replace(findings, error=f"{gate.NO_ROOM} {excess}"[:500])
        verdict = never_looser(
            proposal, revision, gate.judge(proposal, revision, findings, in_force)
        )
        check, excess = written_down(proposal, revision, findings, verdict, in_force, now), None
    is_for_the_gate = excess is not None and spending.suspends(excess, exceeding(proposal, check))
    if excess is not None and is_for_the_gate and not may_suspend:
        raise excess
    check.save(force_insert=True)
    enter(proposal, check, now)
    if excess is not None:
        over_budget(proposal, check, excess, now)
        return None
    return move_on(proposal, revision, check, now)


def shortage(proposal: Proposal, revision: Revision, check: Check) -> OverBudget | None:
    """Reserve what the check measured; the refusal, and nothing reserved, if there is no room."""
    try:
        with transaction.atomic():
            spending.reserve(proposal, revision.params, check)
    except OverBudget as error:
        return error
    return None


def is_own_excess(proposal: Proposal, revision: Revision) -> bool:
    """Whether this is the first check of what the proposal's own author asked for.

    A later one comes of a person's press, or of a target, rule or budget that changed; and what
    another person asked for instead is no excess of the author's. Neither destroys the proposal.
    """
    asked = proposal.agent.actor if proposal.agent else f"user:{proposal.proposer_id}"
    return revision.author == asked and not proposal.checks.filter(revision=revision).exists()


def enter(proposal: Proposal, check: Check, now: datetime) -> None:
    """The ledger's entry on a check."""
    entries.append(
        chain=proposal,
        kind="proposal.checked",
        actor=ACTOR,
        at=now,
        body={
            "round": check.round,
            "revision": check.revision.number,
            "digest": check.digest,
            "tier": check.tier,
            "effect": check.effect,
            "approvals": check.approvals,
            "groups": check.group_names,
            "reversible": check.is_reversible,
            "reasons": [reason["code"] for reason in check.reasons],
            "rules": [line["name"] for line in check.trace if line["result"] == "matched"],
            "policy": check.policy_digest,
        }
        | touched.of_check(proposal, check),
        **proposal.look_ups(),
    )


def written_down(
    proposal: Proposal,
    revision: Revision,
    findings: Findings,
    verdict: Verdict,
    in_force: list[RuleData],
    now: Any,
) -> Check:
    """The check of these findings and this verdict, not yet stored."""
    return Check(
        proposal=proposal,
        revision=revision,
        round=proposal.round,
        digest=bound.seen_digest(proposal, revision, findings, verdict),
        sentence=sentence(proposal.action, revision.params),
        before=findings.before,
        after=findings.after,
        impact=findings.impact,
        conflicts=findings.conflicts,
        base_tier=findings.base_tier,
        tier=verdict.tier,
        is_reversible=findings.is_reversible,
        hides_text=gate.hides_text(revision),
        compensation=findings.compensation,
        effect=verdict.effect,
        approvals=verdict.approvals,
        groups=f",{','.join(verdict.groups)}," if verdict.groups else "",
        reasons=list(verdict.reasons),
        trace=[line.as_json() for line in verdict.trace],
        policy_digest=gate.policy_digest(in_force),
        definition=findings.definition,
        error=findings.error,
        created_at=now,
    )


def over_budget(proposal: Proposal, check: Check, error: OverBudget, now: Any) -> None:
    """The preview showed its author's excess: refused, and nothing is written."""
    refusal = {"code": "budget-exceeded", "detail": str(error), "retryable": True}
    if proposal.is_observed:
        observing.end(proposal, check, now, shortage=str(error))
    else:
        transition(
            proposal,
            Status.DENIED,
            actor=ACTOR,
            at=now,
            body={"digest": check.digest, "budget": error.facts["shortage"].budget},
            current_check=check,
            tier=check.tier,
            reason=str(error)[:500],
            error=refusal,
        )
    if (agent := exceeding(proposal, check)) is not None:
        spending.refuse(error, agent=agent, run=proposal.run.name if proposal.run else "")


def exceeding(proposal: Proposal, check: Check) -> Agent | None:
    """The agent whose excess this is; what a person asked for instead is not the agent's."""
    agent = proposal.agent
    return agent if agent is not None and check.revision.author == agent.actor else None


def never_looser(proposal: Proposal, revision: Revision, verdict: Verdict) -> Verdict:
    """A proposal that waits for people keeps waiting when the rules become looser meanwhile.

    For how many, and of which groups, the ledger says: a check may have been changed from outside.
    After one that was, people must look.
    """
    earlier = proposal.current_check
    if earlier is None:
        return verdict
    said = proof.said_of(proposal)
    verdict = not_below(said, earlier, revision, verdict)
    if not bound.is_as_checked(proposal, earlier, said):
        return gate.needs_people(verdict, "altered", ALTERED_BEFORE)
    return verdict


def not_below(said: proof.Said, earlier: Check, revision: Revision, verdict: Verdict) -> Verdict:
    """The verdict, asking for no fewer people than the ledger says that the same content needed."""
    is_of_this = said.checked is not None and said.checked[1] == revision.number
    if not is_of_this or said.effect != Effect.REVIEW or verdict.effect is Effect.DENY:
        return verdict
    if verdict.effect is Effect.REVIEW and verdict.approvals >= said.approvals:
        return verdict
    groups = tuple(earlier.group_names) if said.groups is None else said.groups
    return replace(verdict, effect=Effect.REVIEW, approvals=said.approvals, groups=groups)


def move_on(proposal: Proposal, revision: Revision, check: Check, now: Any) -> UUID | None:
    """From the verdict to the next status; an approval queues its execution in the same breath."""
    if proposal.is_observed:
        observing.end(proposal, check, now)
        return None
    changes: dict[str, Any] = {
        "current_check": check,
        "tier": check.tier,
        "expires_at": deadline(proposal, revision, check.tier),
    }
    facts: dict[str, Any] = {"digest": check.digest, "tier": check.tier}
    if follows(proposal, check) is Status.DENIED:
        reason = check.reasons[0]["detail"] if check.reasons else "A rule denies this."
        error = {"code": "denied-by-policy", "detail": reason, "retryable": False}
        changes |= {"reason": reason[:500], "error": error}
        transition(proposal, Status.DENIED, actor=ACTOR, at=now, body=facts, **changes)
        return None
    given = seats.approvals(proposal, check) if check.effect == Effect.REVIEW else []
    # What is checked for the first time was never put before people who could have commented.
    blocking = comments.blocking(proposal) if proposal.round > 1 else []
    if follows(proposal, check, len(given), is_blocked=bool(blocking)) is Status.PENDING:
        facts |= {"comments": [one.pk for one in blocking]} if blocking else {}
        changes |= {"is_held": bool(blocking), "has_moved": has_moved(proposal, check)}
        transition(proposal, Status.PENDING, actor=ACTOR, at=now, body=facts, **changes)
        return None
    changes["has_moved"] = False
    facts["by"] = "policy" if check.effect == Effect.ALLOW else "people, earlier, same digest"
    transition(proposal, Status.APPROVED, actor=ACTOR, at=now, body=facts, **changes)
    return Execution.objects.enqueue(proposal, check, now).pk


def has_moved(proposal: Proposal, check: Check) -> bool:
    """Whether the target is known to be other than people last had it before them, as checked.

    `proposal` still has the check before this one. Of a preview that failed nothing is known.
    """
    earlier = proposal.current_check
    if earlier is None or earlier.revision_id != check.revision_id:
        return False
    is_other = None not in (earlier.before, check.before) and earlier.before != check.before
    return proposal.has_moved or is_other


def follows(
    proposal: Proposal, check: Check, given: int = 0, *, is_blocked: bool = False
) -> Status:
    """What a check leads to, with so many approvals given for exactly it: one answer for all.

    Blocked by a comment, what is not denied waits for people, also what the rules allow.
    """
    if check.effect == Effect.DENY:
        return Status.DENIED
    if is_blocked:
        return Status.PENDING
    if check.effect == Effect.ALLOW:
        return Status.APPROVED
    # Approvals of an equal check still count, but what keeps coming back is looked at again.
    keeps_coming_back = proposal.rechecks >= settings.RECHECKS_BEFORE_PEOPLE
    is_settled = given >= check.approvals and check.is_approvable
    return Status.APPROVED if is_settled and not keeps_coming_back else Status.PENDING


def sentence(action_name: str, params: dict[str, Any]) -> str:
    """The system's words for a call; never the agent's."""
    try:
        return registry.get(action_name).sentence(params)[:500]
    except (ActionError, LookupError, KeyError, ValueError, TypeError):
        return f"Run {action_name}"
