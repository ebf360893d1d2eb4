"""One key, one effect: what makes an agent's repeated request a no-op.

Receiving is local, so there are no recovery points: the key's row is inserted first, in the same
transaction as all it stands for. A parallel repeat waits for the first to finish, and then replays
it: on PostgreSQL at the unique index; on SQLite, where every request waits for the one writer and
cannot tell whom it waits for, in front of the database. A refusal rolls back, and gives the key
back with everything else. (Protocols page, Idempotency record.)
"""

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

from django.db import IntegrityError, OperationalError, connection, transaction

from ledger.canonical import canonical
from proposals.exceptions import IdempotencyInFlight, IdempotencyKeyReused, InvalidRequest
from proposals.models import Agent, IdempotencyKey, Proposal

KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")
LOCK_NOT_AVAILABLE = "55P03"
LONGEST_WAIT_SECONDS = 2


class IdempotencyKeyMissing(InvalidRequest):
    """Send an Idempotency-Key header: 1 to 255 printable ASCII characters, new for each write."""

    code = "idempotency-key-missing"


class IdempotencyKeyInvalid(InvalidRequest):
    """An Idempotency-Key is 1 to 255 printable ASCII characters."""

    code = "idempotency-key-invalid"


class InFlight:
    """The keys that this process is storing at the moment."""

    def __init__(self) -> None:
        self.keys: set[tuple[UUID, str]] = set()
        self.changed = threading.Condition()

    @contextmanager
    def alone(self, key: tuple[UUID, str]) -> Iterator[None]:
        """No two at a time for one key. Raises IdempotencyInFlight after the longest wait."""
        with self.changed:
            if not self.changed.wait_for(lambda: key not in self.keys, LONGEST_WAIT_SECONDS):
                raise IdempotencyInFlight
            self.keys.add(key)
        try:
            yield
        finally:
            with self.changed:
                self.keys.remove(key)
                self.changed.notify_all()


in_flight = InFlight()


def parse_key(header: str | None) -> str:
    """The key from its header. Raises IdempotencyKeyMissing or IdempotencyKeyInvalid."""
    if header is None or not header.strip():
        raise IdempotencyKeyMissing
    if not KEY.fullmatch(header):
        raise IdempotencyKeyInvalid
    return header


def fingerprint(operation: str, body: Any) -> str:
    """What "the same request" means: the operation and its body's RFC 8785 form."""
    return hashlib.sha256(canonical([operation, body])).hexdigest()


@contextmanager
def reuse_first(agent: Agent, header: str | None, operation: str, body: Any) -> Iterator[None]:
    """Around whatever reads a body: of a used key its reuse is told, not what is wrong with this.

    Raises IdempotencyKeyReused in place of InvalidRequest where the key was used for another body.
    """
    try:
        yield
    except InvalidRequest:
        with suppress(InvalidRequest):  # without a sound key there is nothing to look up
            find(agent, parse_key(header), fingerprint(operation, body))
        raise


def once(
    *,
    agent: Agent,
    key: str,
    fingerprint: str,
    proposal_id: UUID,
    write: Callable[[], Proposal],
    before: Callable[[], None] = lambda: None,
) -> tuple[Proposal, bool]:
    """Run `write` once for this key; otherwise return what it wrote, and True for "replayed".

    `before` may refuse what is new before a transaction is paid for; a replay never meets it.

    Raises IdempotencyKeyReused for another request under the same key, and IdempotencyInFlight
    when the first is still being stored after two seconds.
    """
    if connection.vendor == "postgresql":
        return find_or_write(agent, key, fingerprint, proposal_id, write, before)
    with in_flight.alone((agent.pk, key)):
        return find_or_write(agent, key, fingerprint, proposal_id, write, before)


def find_or_write(
    agent: Agent,
    key: str,
    fingerprint: str,
    proposal_id: UUID,
    write: Callable[[], Proposal],
    before: Callable[[], None],
) -> tuple[Proposal, bool]:
    earlier = find(agent, key, fingerprint)
    if earlier is not None:
        return earlier, True
    try:
        before()
    except Exception:
        # It may refuse because of what the first request with this key has just done.
        if (earlier := find(agent, key, fingerprint)) is None:
            raise
        return earlier, True
    try:
        with transaction.atomic():
            take(agent, key, fingerprint, proposal_id)
            return write(), False
    except IntegrityError:
        earlier = find(agent, key, fingerprint)
        if earlier is None:
            raise
        return earlier, True


def take(agent: Agent, key: str, fingerprint: str, proposal_id: UUID) -> None:
    """Store the key, before anything it stands for. Raises IdempotencyInFlight, IntegrityError."""
    wait_at_most_two_seconds()
    try:
        IdempotencyKey.objects.create(
            agent=agent, key=key, fingerprint=fingerprint, proposal_id=proposal_id
        )
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") == LOCK_NOT_AVAILABLE:
            raise IdempotencyInFlight from error
        raise


def find(agent: Agent, key: str, fingerprint: str) -> Proposal | None:
    """What this key wrote, if it was used; IdempotencyKeyReused if it was for something else."""
    used = IdempotencyKey.objects.select_related("proposal").filter(agent=agent, key=key).first()
    if used is None:
        return None
    if used.fingerprint != fingerprint:
        raise IdempotencyKeyReused(
            "This key was used for another request; send a new key for a new write."
        )
    return used.proposal


def wait_at_most_two_seconds() -> None:
    """A repeat must not wait for its first for ever."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{LONGEST_WAIT_SECONDS}s'")
