"""Bearer tokens of agents: `cs_<key id>_<secret>`, of which only a hash is kept.

256 random bits need no slow hash. The key id finds the row; the comparison takes constant time.
"""

import hashlib
import hmac
import re
import secrets
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q

from ledger import clock, entries
from proposals.models import Agent, AgentToken

SHAPE = re.compile(r"cs_([0-9a-f]{16})_([0-9A-Za-z_-]{43})")
LIFETIME_DAYS = 90


@transaction.atomic
def issue(
    *,
    agent: Agent,
    actor: str,
    actor_name: str = "",
    days: int = LIFETIME_DAYS,
    issued_by: Any = None,
) -> str:
    """Make a token and return it, this once: afterwards nobody can read it again.

    `issued_by` is the person who sees it, and has no say in what it could propose from then on.
    """
    now = clock.now()
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    token = f"cs_{key_id}_{secret}"
    AgentToken.objects.create(
        agent=agent,
        key_id=key_id,
        digest=hashed(token),
        issued_by=issued_by,
        expires_at=now + timedelta(days=days),
    )
    entries.record(
        f"agent:{agent.pk}",
        kind="token.issued",
        actor=actor,
        actor_name=actor_name,
        at=now,
        agent=str(agent.pk),
        body={"key_id": key_id, "days": days},
    )
    return token


@transaction.atomic
def rotate(
    *,
    token: AgentToken,
    actor: str,
    actor_name: str,
    overlap: timedelta,
    days: int,
    issued_by: Any,
) -> str | None:
    """Replace a token that still holds: a new one, while the old one ends after the overlap.

    None if the old one has ended. The caller holds the lock of its agent.
    """
    now = clock.now()
    if token.revoked_at is not None or token.expires_at <= now or token.is_replaced:
        return None
    made = issue(
        agent=token.agent, actor=actor, actor_name=actor_name, days=days, issued_by=issued_by
    )
    ends_at = min(token.expires_at, now + overlap)
    AgentToken.objects.filter(pk=token.pk).update(expires_at=ends_at, is_replaced=True)
    entries.record(
        f"agent:{token.agent_id}",
        kind="token.rotated",
        actor=actor,
        actor_name=actor_name,
        at=now,
        agent=str(token.agent_id),
        body={
            "key_id": token.key_id,
            "replaced_by": key_id_of(made),
            "ends_at": ends_at.isoformat(timespec="microseconds"),
        },
    )
    return made


def key_id_of(token: str) -> str:
    """What a token is called by: the part that is no secret."""
    return token.split("_", 2)[1]


@transaction.atomic
def revoke(*, token: AgentToken, actor: str, actor_name: str = "") -> None:
    """End a token at once. Ending it twice is the same as once."""
    now = clock.now()
    if AgentToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now):
        entries.record(
            f"agent:{token.agent_id}",
            kind="token.revoked",
            actor=actor,
            actor_name=actor_name,
            at=now,
            agent=str(token.agent_id),
            body={"key_id": token.key_id},
        )


def authenticate(token: str) -> AgentToken | None:
    """The stored token with its agent, or None: whatever is wrong with it looks the same."""
    match = SHAPE.fullmatch(token)
    if match is None:
        return None
    stored = (
        AgentToken.objects.select_related("agent__user", "agent__owner")
        .filter(key_id=match[1])
        .first()
    )
    known = stored.digest if stored else "0" * 64
    if not hmac.compare_digest(known, hashed(token)) or stored is None:
        return None
    now = clock.now()
    if stored.revoked_at is not None or stored.expires_at <= now:
        return None
    note_use(stored, now)
    return stored


def note_use(token: AgentToken, now: datetime) -> None:
    """Remember the last use, at most once a minute: a write per request would cost too much."""
    stale = now - timedelta(minutes=1)
    if token.last_used_at is None or token.last_used_at < stale:
        unused = Q(last_used_at=None) | Q(last_used_at__lt=stale)
        AgentToken.objects.filter(unused, pk=token.pk).update(last_used_at=now)


def hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
