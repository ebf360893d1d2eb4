"""Changing who may propose and which rules decide: every change has its ledger entry."""

from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import transaction

from ledger import entries
from proposals import rights
from proposals.exceptions import InvalidRequest, NotEligible, NotFound
from proposals.models import Agent, Grant, Rule
from proposals.services.turns import save_named


@transaction.atomic
def save_rule(*, rule: Rule, person: Any, is_new: bool) -> Rule:
    """Store a rule as its next version; the clock checks again what still waits for people.

    Raises ValidationError for a rule that could not be evaluated.
    """
    rule.full_clean()
    if is_new:
        rule.version = 1
    else:
        rule.version = 1 + Rule.objects.select_for_update(no_key=True).get(pk=rule.pk).version
    if person is not None:
        # So that the history knows who it was also where no request tells it.
        rule._history_user = person  # type: ignore[attr-defined]
    save_named(rule, ValidationError({"name": "There is already a rule of this name."}))
    record_change(
        stream="policy",
        kind="rule.created" if is_new else "rule.changed",
        person=person,
        body={
            "rule": rule.pk,
            "version": rule.version,
            "name": rule.name,
            "action": rule.action,
            "condition": rule.condition,
            "effect": str(rule.effect),
            "approvals": rule.approvals,
            "group": rule.group,
            "tier": rule.tier,
            "active": rule.is_active,
        },
    )
    return rule


@transaction.atomic
def create_agent(*, name: str, owner: Any, person: Any = None, is_observed: bool = False) -> Agent:
    """Make an agent with its service account, which can never sign in.

    Raises InvalidRequest, or NotEligible for a person who may not add agents.
    """
    require_right(person, rights.ADD_AGENT)
    taken = InvalidRequest(f"There is already an agent named {name}.")
    if Agent.objects.filter(name=name).exists():
        raise taken
    require_person(owner)
    account = get_user_model()(username=f"agent:{name}", is_active=False)
    account.set_unusable_password()
    save_named(account, taken)
    agent = Agent(name=name, owner=owner, user=account, is_observed=is_observed)
    agent.full_clean()
    agent.save()
    facts = {"name": name, "owner": f"user:{owner.pk}", "observed": is_observed}
    record_agent(agent, "agent.created", person, facts)
    return agent


@transaction.atomic
def change_agent(*, agent_id: UUID, owner: Any, person: Any = None) -> Agent:
    """Give an agent another owner. To whom it belongs already is no change.

    Raises NotFound, NotEligible, or InvalidRequest for an owner who is no person.
    """
    require_right(person, rights.CHANGE_AGENT)
    agent = lock_agent(agent_id)
    if agent.owner_id == owner.pk:
        return agent
    require_person(owner)
    former = agent.owner_id
    agent.owner = owner
    agent.save(update_fields=["owner"])
    record_agent(
        agent,
        "agent.changed",
        person,
        {"owner": {"was": f"user:{former}", "becomes": f"user:{owner.pk}"}},
    )
    return agent


@transaction.atomic
def grant(*, agent: Agent, pattern: str, person: Any = None) -> Grant:
    """Let an agent propose the actions that a pattern names. Granting twice is the same as once.

    Raises NotFound, NotEligible, or ValidationError for what is no pattern.
    """
    require_right(person, rights.ADD_GRANT)
    lock_agent(agent.pk)  # or two at once would both find none
    found = Grant.objects.filter(agent=agent, pattern=pattern).first()
    if found is not None:
        return found
    new = Grant(agent=agent, pattern=pattern)
    new.full_clean()
    new.save()
    record_agent(agent, "grant.created", person, {"pattern": pattern})
    return new


@transaction.atomic
def remove_grant(*, agent_id: UUID, pattern: str, person: Any = None) -> None:
    """Take back what a pattern lets an agent propose. What is gone already stays gone.

    Raises NotFound or NotEligible.
    """
    require_right(person, rights.DELETE_GRANT)
    agent = lock_agent(agent_id)
    found = agent.grants.filter(pattern=pattern).first()
    if found is not None:
        found.delete()
        record_agent(agent, "grant.removed", person, {"pattern": pattern})


def lock_agent(agent_id: UUID) -> Agent:
    try:
        return Agent.objects.select_for_update(no_key=True).get(pk=agent_id)
    except Agent.DoesNotExist:
        raise NotFound from None


def require_right(person: Any, right: str) -> None:
    """The operator's command needs none; being a superuser is none."""
    if person is not None and not rights.has(person, right):
        raise NotEligible(
            "Changing agents and what they may propose takes a right that you do not have; policy "
            "administrators have it."
        )


def keep_reason(agent: Agent, reason: str) -> None:
    """Have the next row of its history say why; what it has no room for is in the ledger."""
    agent._change_reason = reason[:100]  # type: ignore[attr-defined]


def require_person(owner: Any) -> None:
    """Refuse a service account as an owner: somebody must answer for every agent."""
    if Agent.objects.filter(user=owner).exists():
        raise InvalidRequest("An agent is owned by a person, not by another agent.")


def record_agent(agent: Agent, kind: str, person: Any, body: dict[str, Any]) -> None:
    record_change(
        stream=f"agent:{agent.pk}", kind=kind, person=person, body=body, agent=str(agent.pk)
    )


@transaction.atomic
def record_change(
    *, stream: str, kind: str, person: Any, body: dict[str, Any], agent: str = ""
) -> None:
    """Enter a change of configuration into the ledger, in the transaction of the change."""
    entries.record(
        stream,
        kind=kind,
        actor=f"user:{person.pk}" if person else "system:operator",
        actor_name=(person.get_full_name() or person.get_username()) if person else "",
        body=body,
        agent=agent,
    )
