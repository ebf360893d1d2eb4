"""Changing who may propose and which rules decide: every change has its ledger entry."""

from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction

from ledger import entries
from proposals.exceptions import InvalidRequest
from proposals.models import Agent, Grant, Rule


@transaction.atomic
def save_rule(*, rule: Rule, person: Any, is_new: bool) -> Rule:
    """Store a rule as its next version; the clock checks again what still waits for people.

    Raises ValidationError for a rule that could not be evaluated.
    """
    rule.full_clean()
    rule.version = 1 if is_new else 1 + Rule.objects.get(pk=rule.pk).version
    rule.save()
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
def create_agent(*, name: str, owner: Any, person: Any = None) -> Agent:
    """Make an agent with its service account, which can never sign in. Raises InvalidRequest."""
    if Agent.objects.filter(name=name).exists():
        raise InvalidRequest(f"There is already an agent named {name}.")
    account = get_user_model()(username=f"agent:{name}", is_active=False)
    account.set_unusable_password()
    account.save()
    agent = Agent(name=name, owner=owner, user=account)
    agent.full_clean()
    agent.save()
    record_change(
        stream=f"agent:{agent.pk}",
        kind="agent.created",
        person=person,
        agent=str(agent.pk),
        body={"name": name, "owner": f"user:{owner.pk}"},
    )
    return agent


@transaction.atomic
def grant(*, agent: Agent, pattern: str, person: Any = None) -> Grant:
    """Let an agent propose the actions that a pattern names. Granting twice is the same as once."""
    found = Grant.objects.filter(agent=agent, pattern=pattern).first()
    if found is not None:
        return found
    new = Grant(agent=agent, pattern=pattern)
    new.full_clean()
    new.save()
    record_change(
        stream=f"agent:{agent.pk}",
        kind="grant.created",
        person=person,
        agent=str(agent.pk),
        body={"pattern": pattern},
    )
    return new


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
