"""Stopping: freeze and lift, suspend and resume. Stopping is easy; starting again takes more."""

import re
from fnmatch import fnmatchcase
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from ledger import clock, entries
from proposals import bell, freezing, rights, stops
from proposals.exceptions import InvalidRequest, NotEligible
from proposals.models import Agent, Execution, Freeze, Run
from proposals.registry import registry
from proposals.services.configuration import keep_reason, lock_agent
from proposals.services.decisions import invalid
from proposals.services.naming import named
from proposals.services.reasons import stated
from proposals.targets import wiring

STREAM = "freezes"


def freeze(
    *,
    reason: str,
    person: Any = None,
    agent: Agent | None = None,
    action: str = "",
    run: Run | None = None,
) -> Freeze:
    """Stop every intent of an agent, an action or a run, or of everything when none is named.

    In force for every intent that commits after this returns. A second freeze of the same is the
    same as the first. `action` may be a pattern such as `email.*`; one that fits no action is
    refused, as it would stop nothing. `person` None is the operator's command. Raises NotEligible,
    InvalidRequest.
    """
    require_right(person, rights.FREEZE, agent or (run.agent if run else None))
    said = stated(reason, missing="Say why this is stopped.")
    same = freezing.target(agent=agent, action=action, run=run)
    wanted = Freeze(**same, reason=said, frozen_by=person)
    try:
        wanted.clean()
    except ValidationError as error:
        raise InvalidRequest(" ".join(error.messages)) from error
    if action and not actions_fitting(action):
        raise invalid("action", "unknown", stops.NO_SUCH_ACTION)
    try:
        with transaction.atomic():
            freezing.take_gate()
            found = freezing.in_force().filter(**same).first()
            if found is not None:
                return found
            wanted.frozen_at = clock.now()
            wanted.save(force_insert=True)
            record(wanted, "freeze.set", person, wanted.reason)
    except IntegrityError:
        return freezing.in_force().get(**same)
    return wanted


def actions_fitting(pattern: str) -> list[str]:
    """The names of the actions that a freeze of this name or pattern stops.

    A pattern is made of what names of actions are made of, and `*`.
    """
    if not re.fullmatch(r"[a-z0-9_.*]{1,128}", pattern):
        return []
    wiring.refresh()
    return [name for name in registry.names() if fnmatchcase(name, pattern)]


def lift(*, freeze_id: int, reason: str, person: Any = None) -> Freeze:
    """Let what a freeze stopped go on. Lifting twice is the same as once.

    Raises NotEligible: lifting takes the operator's right, which freezing does not.
    """
    require_right(person, rights.LIFT, None)
    said = stated(reason, missing="Say why it is safe to go on.")
    with transaction.atomic():
        found = Freeze.objects.select_for_update(of=("self",)).get(pk=freeze_id)
        if found.lifted_at is None:
            found.lifted_at = clock.now()
            found.lifted_by = person
            found.save(update_fields=["lifted_at", "lifted_by"])
            record(found, "freeze.lifted", person, said)
            wake()
    return found


@transaction.atomic
def set_suspended(
    *, agent_id: Any, is_suspended: bool, reason: str = "", person: Any = None, actor: str = ""
) -> Agent:
    """Refuse an agent's proposals and hold what it has under way, or let it go on.

    Resuming takes the operator's right. The reason is kept both ways, in the ledger and in the
    agent's history; only a suspension must have one. `actor` names the part of the system that does
    it without a person. The same state for the same reason is no change. Raises NotFound,
    NotEligible, or InvalidRequest for a suspension without a reason, or one that cannot be kept.
    """
    missing = "Say why the agent is suspended, so that its owner can know." if is_suspended else ""
    reason = stated(reason, missing=missing)
    standing = reason if is_suspended else ""
    freezing.take_gate()
    agent = lock_agent(agent_id)
    former = agent.suspended_reason
    if (agent.is_suspended, former) == (is_suspended, standing):
        return agent
    require_right(person, rights.FREEZE if is_suspended else rights.LIFT, agent)
    agent.is_suspended, agent.suspended_reason = is_suspended, standing
    agent.full_clean()
    keep_reason(agent, reason)
    agent.save(update_fields=["is_suspended", "suspended_reason"])
    who, name = named(person)
    entries.record(
        f"agent:{agent.pk}",
        kind="agent.suspended" if is_suspended else "agent.resumed",
        actor=actor or who,
        actor_name=name,
        agent=str(agent.pk),
        body={"reason": reason} | ({} if is_suspended else {"was_suspended_for": former}),
    )
    if not is_suspended:
        wake()
    return agent


def wake() -> None:
    """Have what was held looked at again at once, instead of at its next turn."""
    now = clock.now()
    held = Execution.objects.filter(status=Execution.Status.QUEUED, run_after__gt=now)
    held.update(run_after=now)
    for execution_id in held.model.objects.filter(status=Execution.Status.QUEUED).values_list(
        "pk", flat=True
    )[:50]:
        bell.ring_execution(execution_id)


def require_right(person: Any, right: str, agent: Agent | None) -> None:
    """The operator's command needs none; an owner may stop their own agent."""
    if person is None or rights.has(person, right):
        return
    if right == rights.FREEZE and agent is not None and agent.owner_id == person.pk:
        return
    words = "Freezing" if right == rights.FREEZE else "Lifting a freeze"
    raise NotEligible(f"{words} takes a right that you do not have; an operator has it.")


def record(freeze: Freeze, kind: str, person: Any, reason: str) -> None:
    actor, name = named(person)
    entries.record(
        STREAM,
        kind=kind,
        actor=actor,
        actor_name=name,
        agent=str(freeze.agent_id or ""),
        body={
            "freeze": freeze.pk,
            "scope": str(freeze.scope),
            "action": freeze.action,
            "run": freeze.run_id or 0,
            "reason": reason,
        },
    )
