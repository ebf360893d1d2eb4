"""What people find out about an unknown outcome that the machine cannot settle.

A person vouches for it, with evidence: the outcome is settled by what they say, and the ledger says
that they did. Above an amount two independent people must find the same. Nobody vouches for what
their own agent wrote.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from ledger import clock, entries
from ledger.canonical import digest
from proposals import attempts, bound, breakers, rights, seats, settling, spending, text, touched
from proposals.exceptions import IllegalTransition, InvalidRequest, NotEligible, NotFound
from proposals.lifecycle import Status, require
from proposals.models import Attestation, Breaker, Execution, Proposal
from proposals.registry import Action, Outcome, registry
from proposals.services.decisions import invalid, require_recent

Finding = Attestation.Finding
LONGEST_REFERENCE, LONGEST_EVIDENCE = 200, 2000
LOOK_AGAIN = (
    "The machine has sent it or asked about it once more since you opened this page. "
    "Look at the target again, then say what you found."
)


def attest(
    *,
    proposal_id: UUID,
    person: Any,
    finding: str,
    reference: str = "",
    evidence: str = "",
    retry_is_safe: bool = False,
    authenticated_at: datetime | None = None,
    seen: int | None = None,
) -> Proposal:
    """Record what a person found out, and settle the outcome if that is enough.

    `applied` needs the target's own reference of the effect, `not_applied` needs evidence and the
    tick that a retry is safe; `cannot_tell` needs evidence and settles nothing. Above
    SECOND_PERSON_ABOVE, and of an altered check, it is enough when two people find the same, each
    of whom proved lately who they are: `authenticated_at` is when. `seen` is the fence that they
    were shown: that nothing was found before the machine sent once more proves nothing, whichever
    of the two found it. Raises NotFound, NotEligible, IllegalTransition unless the outcome is
    unknown, nobody is asking the target just now and nothing can arrive any more, InvalidRequest
    with a fault per field, or, when nothing else is in the way, SignInTooOld.
    """
    reference, evidence = reference.strip(), evidence.strip()
    require_sound(finding, reference, evidence, retry_is_safe)
    with transaction.atomic():
        proposal = locked(proposal_id)
        if refusal := ineligibility(person, proposal):
            raise NotEligible(refusal)
        require(proposal, Status.UNKNOWN)
        execution = unknown_execution(proposal)
        if execution.is_transactional:
            raise IllegalTransition(
                "This target keeps a receipt: ask it instead.", status=proposal.status
            )
        now = clock.now()
        if too_early := why_too_early(proposal, execution, finding, seen, now):
            raise IllegalTransition(too_early, status=proposal.status)
        needed = people_needed(proposal, execution)
        if finding != Finding.CANNOT_TELL and needed > 1:
            require_recent(authenticated_at)
        given = Attestation.objects.create(
            execution=execution,
            person=person,
            finding=finding,
            reference=reference,
            evidence=evidence,
            created_at=now,
        )
        note(proposal, execution, given, now)
        who = agreed(proposal, execution, given)
        if finding != Finding.CANNOT_TELL and len(who) >= needed:
            settle(proposal, execution, given, who, now)
    return proposal


def why_too_early(
    proposal: Proposal, execution: Execution, finding: str, seen: int | None, now: datetime
) -> str:
    """Why nobody's word can be taken just now; empty if it can.

    That it was applied stays true. That it was not is true only when nothing can arrive any more.
    """
    if execution.lease_until is not None and execution.lease_until > now:
        return "The target is being asked just now; look again in a minute."
    if finding != Finding.NOT_APPLIED:
        return ""
    if seen is not None and seen != execution.fence:
        return LOOK_AGAIN
    until = arrives_until(proposal, execution)
    if until is not None and until > now:
        return f"What was sent may still arrive until {until:%H:%M:%S} UTC. Look again after that."
    return ""


def arrives_until(proposal: Proposal, execution: Execution) -> datetime | None:
    """Until when what was sent last may still have its effect, as the action says."""
    sent_at = execution.last_unclear_at or execution.unclear_at
    try:
        settling_seconds = registry.get(proposal.action).settling_seconds
    except LookupError:  # the action is gone, and what any action says unless it says otherwise
        settling_seconds = Action.settling_seconds
    return sent_at + timedelta(seconds=settling_seconds) if sent_at else None


def require_sound(finding: str, reference: str, evidence: str, retry_is_safe: bool) -> None:
    """Raise InvalidRequest for what says less than it has to."""
    if finding not in Finding.values:
        raise invalid(
            "finding", "required", "Say what you found: applied, not applied, or neither."
        )
    if finding == Finding.APPLIED and not reference:
        raise invalid("reference", "required", "Enter the target's own reference of the effect.")
    if len(reference) > LONGEST_REFERENCE or text.alarming(reference):
        raise invalid(
            "reference",
            "invalid",
            f"A reference is at most {LONGEST_REFERENCE} plain characters.",
        )
    if len(evidence) > LONGEST_EVIDENCE:
        raise invalid("evidence", "too-long", f"At most {LONGEST_EVIDENCE} characters.")
    if not evidence and finding != Finding.APPLIED:
        raise invalid("evidence", "required", "Say where you looked and what you saw there.")
    if finding == Finding.NOT_APPLIED and not retry_is_safe:
        raise invalid(
            "retry_is_safe",
            "required",
            "Tick that a retry is safe; if you are not sure, choose that you cannot tell.",
        )


def ineligibility(person: Any, proposal: Proposal) -> str:
    """Why this person may not settle this outcome; empty if they may."""
    if not rights.has(person, rights.RETRY):
        return "Settling an unknown outcome takes the right of an operator."
    if proposal.agent and seats.person(person) == seats.person(proposal.agent.owner):
        return f"You own the agent {proposal.agent.name}: somebody else has to settle what it did."
    if proposal.proposer_id and seats.person(person) == seats.person(proposal.proposer):
        return "You proposed this: somebody else has to settle what became of it."
    return ""


def people_needed(proposal: Proposal, execution: Execution) -> int:
    """How many people must find the same: two above an amount, and where the amount is unclear.

    What a check says of its money that was changed from outside counts for nothing.
    """
    if bound.altered(proposal, execution.of_check) is not None:
        return 2
    money = spending.money_at_stake(proposal, execution.of_check)
    if money is None or max(money.values(), default=0) > settings.SECOND_PERSON_ABOVE:
        return 2
    return 1


def agreed(proposal: Proposal, execution: Execution, given: Attestation) -> list[Attestation]:
    """The findings that stand and are the same as this one, each of another person."""
    return [each for each in standing(proposal, execution) if each.claim == given.claim]


def standing(proposal: Proposal, execution: Execution) -> list[Attestation]:
    """The latest findings of distinct people who may still settle this.

    Without a "not applied" that is older than the last send; what its person said before it does
    not count again, as they took it back.
    """
    latest: dict[str, Attestation] = {}
    for each in Attestation.objects.filter(execution=execution).in_order():
        if not ineligibility(each.person, proposal):
            latest[seats.person(each.person)] = each
    return [each for each in latest.values() if not each.is_overtaken]


def settle(
    proposal: Proposal,
    execution: Execution,
    given: Attestation,
    who: list[Attestation],
    now: datetime,
) -> None:
    """Settle a locked unknown outcome by what people vouch for."""
    actors = [f"user:{each.person_id}" for each in who]
    evidence = {
        "attested_by": actors,
        "reference": given.reference,
        "said": [each.evidence for each in who],
    }
    facts = {
        "attempt": execution.attempt,
        "key": execution.key,
        "resolved_by": "people",
        "by": actors,
        "evidence": digest(evidence),
    }
    if given.finding == Finding.APPLIED:
        settle_applied(proposal, execution, given, evidence, facts, now)
        return
    close(execution, now, status=Execution.Status.FAILED, evidence=evidence)
    settling.become_not_applied(
        proposal,
        "People looked at the target: it was not written.",
        now,
        body=facts,
        **actor_of(given.person),
    )


def settle_applied(
    proposal: Proposal,
    execution: Execution,
    given: Attestation,
    evidence: dict[str, Any],
    facts: dict[str, Any],
    now: datetime,
) -> None:
    outcome = attested_outcome(proposal, execution, given.reference)
    if outcome.after:
        objects = touched.said(proposal, execution.of_check.revision.params, outcome.after)
    else:
        outcome = replace(outcome, after=execution.of_check.after or {})
        objects = touched.of_check(proposal, execution.of_check)
    compensation = outcome.compensation
    close(
        execution,
        now,
        status=Execution.Status.COMMITTED,
        result=outcome.result,
        after=outcome.after,
        compensation=compensation.as_json() if compensation else None,
        evidence=evidence,
    )
    settling.become_committed(
        proposal, outcome, now, body=facts | objects, **actor_of(given.person)
    )


def attested_outcome(proposal: Proposal, execution: Execution, reference: str) -> Outcome:
    """What the action makes of a reference; an action that is gone makes nothing more of it."""
    try:
        action = registry.get(proposal.action)
        return action.attested(
            execution.of_check.revision.params,
            reference=reference,
            expected=execution.of_check.before or {},
        )
    except InvalidRequest:
        raise
    except Exception:
        return Outcome(result={"reference": reference}, after={})


def close(execution: Execution, now: datetime, **changes: Any) -> None:
    """Close an unknown attempt; whoever is asking about it just now comes too late."""
    unknown = Execution.objects.filter(pk=execution.pk, status=Execution.Status.UNKNOWN)
    unknown.update(
        settled_at=now,
        resolved_at=now,
        ask_at=None,
        lease_until=None,
        fence=execution.fence + 1,
        **changes,
    )


def note(proposal: Proposal, execution: Execution, given: Attestation, now: datetime) -> None:
    facts = {
        "attempt": execution.attempt,
        "key": execution.key,
        "fence": execution.fence,  # which sends it is about
        "finding": given.finding,
        "evidence": digest([given.reference, given.evidence]),
    }
    enter(proposal, "proposal.attested", now, given.person, facts)


def enter(proposal: Proposal, kind: str, now: datetime, person: Any, facts: dict[str, Any]) -> None:
    """Enter what a person did that leaves the status as it is."""
    entries.append(
        chain=proposal, kind=kind, at=now, body=facts, **actor_of(person), **proposal.look_ups()
    )
    proposal.save_chain()


@transaction.atomic
def ask_again(*, proposal_id: UUID, person: Any) -> None:
    """Have the target asked about an unknown outcome as soon as its answer can prove anything.

    Entered with who wanted it; wanted twice before it is asked, once. Raises NotFound, NotEligible,
    or IllegalTransition where the machine cannot ask it at all, or somebody is asking.
    """
    proposal = locked(proposal_id)
    if refusal := ineligibility(person, proposal):
        raise NotEligible(refusal)
    require(proposal, Status.UNKNOWN)
    now = clock.now()
    execution = unknown_execution(proposal)
    waits = Execution.objects.filter(pk=execution.pk, ask_at__isnull=False)
    is_free = Q(lease_until=None) | Q(lease_until__lte=now)
    if not waits.filter(is_free).update(ask_at=now, is_wanted=True):
        raise IllegalTransition(
            "The machine cannot ask this target, or is asking it just now.", status=proposal.status
        )
    if not execution.is_wanted:
        enter(proposal, "execution.inquiry_wanted", now, person, attempts.facts_of(execution))


@transaction.atomic
def try_target(*, breaker_id: int, person: Any) -> Breaker:
    """Let one call to a target through now that is left alone. Raises NotFound, NotEligible."""
    if not rights.has(person, rights.RETRY):
        raise NotEligible("Trying a target takes the right of an operator.")
    found = Breaker.objects.select_for_update().filter(pk=breaker_id).first()
    if found is None:
        raise NotFound
    if found.is_open:
        found.retry_at = clock.now()
        found.save(update_fields=["retry_at"])
        breakers.record(found, "breaker.tried", f"user:{person.pk}", {}, name_of(person))
    return found


def unknown_execution(proposal: Proposal) -> Execution:
    unknown = proposal.executions.filter(status=Execution.Status.UNKNOWN)
    return unknown.select_related("of_check__revision").latest("attempt")


def locked(proposal_id: UUID) -> Proposal:
    try:
        return Proposal.objects.select_related("agent__owner", "proposer", "run").lock(proposal_id)
    except Proposal.DoesNotExist:
        raise NotFound from None


def actor_of(person: Any) -> dict[str, Any]:
    return {"actor": f"user:{person.pk}", "actor_name": name_of(person)}


def name_of(person: Any) -> str:
    return person.get_full_name() or person.get_username()
