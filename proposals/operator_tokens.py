"""Bearer tokens of people: `co_<key id>_<secret>`, of which only a hash is kept.

They open the operators' API alone: the agents' door does not know them, nor this one the agents'.
"""

import hmac
import re
import secrets
from datetime import timedelta
from typing import Any

from django.db import transaction

from ledger import clock, entries
from proposals.models import OperatorToken
from proposals.services.naming import named
from proposals.tokens import hashed

SHAPE = re.compile(r"co_([0-9a-f]{16})_([0-9A-Za-z_-]{43})")
LIFETIME_DAYS = 30
LONGEST_DAYS = 90


@transaction.atomic
def issue(*, person: Any, days: int = LIFETIME_DAYS) -> str:
    """Make a token and return it, this once. Raises ValueError for days out of bounds."""
    if not 1 <= days <= LONGEST_DAYS:
        raise ValueError(f"A token lives from 1 to {LONGEST_DAYS} days.")
    now = clock.now()
    token = f"co_{secrets.token_hex(8)}_{secrets.token_urlsafe(32)}"
    key_id = token.split("_")[1]
    OperatorToken.objects.create(
        person=person,
        key_id=key_id,
        digest=hashed(token),
        created_at=now,
        expires_at=now + timedelta(days=days),
    )
    record("operator_token.issued", person, {"key_id": key_id, "days": days})
    return token


@transaction.atomic
def revoke_all(*, person: Any) -> int:
    """End every token of a person at once. Returns how many there were."""
    ended = OperatorToken.objects.filter(person=person, revoked_at=None)
    count = ended.update(revoked_at=clock.now())
    if count:
        record("operator_token.revoked", person, {"count": count})
    return count


def authenticate(token: str) -> OperatorToken | None:
    """The token with its person, or None: whatever is wrong with it looks the same."""
    match = SHAPE.fullmatch(token)
    if match is None:
        return None
    stored = OperatorToken.objects.select_related("person").filter(key_id=match[1]).first()
    known = stored.digest if stored else "0" * 64
    if not hmac.compare_digest(known, hashed(token)) or stored is None:
        return None
    is_over = stored.revoked_at is not None or stored.expires_at <= clock.now()
    return None if is_over or not stored.person.is_active else stored


def record(kind: str, person: Any, body: dict[str, Any]) -> None:
    _, name = named(person)
    entries.record(
        "auth",
        kind=kind,
        actor="system:operator",
        body={"user": str(person.pk), "name": name, **body},
    )
