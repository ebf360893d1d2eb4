"""Looking after agents: observing them, and their tokens.

What may be granted to them is configuration (`configuration.py`), and stopping them is `stopping`.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from proposals import freezing, rights, tokens
from proposals.exceptions import InvalidRequest, NotEligible, NotFound
from proposals.models import Agent, AgentToken
from proposals.services.configuration import (
    grant,
    keep_reason,
    lock_agent,
    record_agent,
    require_right,
)
from proposals.services.decisions import invalid
from proposals.services.naming import named
from proposals.services.reasons import stated
from proposals.services.stopping import wake

LONGEST_DAYS = 365
LONGEST_OVERLAP_HOURS = 7 * 24


@transaction.atomic
def set_observed(
    *, agent_id: UUID, is_observed: bool, reason: str = "", person: Any = None
) -> Agent:
    """Only observe an agent from now on, or let its proposals be asked about and committed.

    While it is observed nothing of it is written, also not what was approved before. What was
    proposed under observation stays unwritten for ever. The same state is no change. Raises
    NotFound, NotEligible, or InvalidRequest for letting it go without a reason.
    """
    require_right(person, rights.CHANGE_GRANT)
    reason = stated(reason)
    freezing.take_gate()
    agent = lock_agent(agent_id)
    if agent.is_observed == is_observed:
        return agent
    if not is_observed and not reason:
        raise invalid("reason", "required", "Say why its proposals may be committed from now on.")
    agent.is_observed = is_observed
    keep_reason(agent, reason)
    agent.save(update_fields=["is_observed"])
    kind = "observation.began" if is_observed else "observation.ended"
    record_agent(agent, kind, person, {"reason": reason})
    if not is_observed:
        wake()
    return agent


@transaction.atomic
def grant_each(*, agent_id: UUID, patterns: list[str], person: Any) -> None:
    """Grant all of these patterns or none. Raises NotFound, NotEligible, or ValidationError."""
    agent = lock_agent(agent_id)
    for pattern in patterns:
        grant(agent=agent, pattern=pattern, person=person)


@transaction.atomic
def issue_token(
    *, agent_id: UUID, person: Any, days: int = tokens.LIFETIME_DAYS, seen: int | None = None
) -> str:
    """Make a token and return it, this once.

    `seen` is how many tokens of the agent the person was shown: a form that is sent twice makes
    one. Raises NotFound, NotEligible or InvalidRequest.
    """
    agent = lock_agent(agent_id)
    require_keeper(person, agent)
    require_between(days, 1, LONGEST_DAYS, "days", "A token lasts from 1 to 365 days.")
    if seen is not None and agent.tokens.count() != seen:
        raise invalid(
            "seen",
            "already-issued",
            "A token was issued after this page was opened, so nothing was issued now. It was "
            "shown once; if nobody kept it, revoke it and issue another.",
        )
    actor, name = named(person)
    return tokens.issue(agent=agent, actor=actor, actor_name=name, days=days, issued_by=person)


@transaction.atomic
def rotate_token(
    *, token_id: int, person: Any, overlap_hours: int, days: int = tokens.LIFETIME_DAYS
) -> str:
    """Make a token that replaces another, which stays valid for the overlap and then ends.

    Returns the new one, this once. Raises NotFound, NotEligible, or InvalidRequest for a token
    that has ended or was replaced already, and for a lifetime or an overlap beyond the limits.
    """
    token = lock_token(token_id, person)
    require_between(days, 1, LONGEST_DAYS, "days", "A token lasts from 1 to 365 days.")
    require_between(
        overlap_hours,
        0,
        LONGEST_OVERLAP_HOURS,
        "overlap_hours",
        "The old token stays valid for 0 to 168 hours.",
    )
    actor, name = named(person)
    made = tokens.rotate(
        token=token,
        actor=actor,
        actor_name=name,
        overlap=timedelta(hours=overlap_hours),
        days=days,
        issued_by=person,
    )
    if made is None:
        raise InvalidRequest(f"The token {token.key_id} has ended, or was replaced already.")
    return made


@transaction.atomic
def revoke_token(*, token_id: int, person: Any) -> AgentToken:
    """End a token at once and for good. Twice is the same as once. Raises NotFound, NotEligible."""
    token = lock_token(token_id, person)
    actor, name = named(person)
    tokens.revoke(token=token, actor=actor, actor_name=name)
    return token


def lock_token(token_id: int, person: Any) -> AgentToken:
    """A token under the lock of its agent, for somebody who may keep it."""
    found = AgentToken.objects.filter(pk=token_id).values_list("agent_id", flat=True).first()
    if found is None:
        raise NotFound
    agent = lock_agent(found)
    require_keeper(person, agent)
    return AgentToken.objects.select_related("agent").get(pk=token_id)


def may_keep(person: Any, agent: Agent) -> bool:
    """Whether this person may issue and revoke tokens of the agent: operators, and its owner."""
    return rights.has(person, rights.TOKENS) or rights.owns(person, agent)


def require_keeper(person: Any, agent: Agent) -> None:
    if not may_keep(person, agent):
        raise NotEligible(
            "Issuing and revoking tokens takes a right that you do not have; operators have it, "
            "and the owner of the agent."
        )


def require_between(value: int, least: int, most: int, name: str, detail: str) -> None:
    if not least <= value <= most:
        raise invalid(name, "out-of-range", detail)
