"""The one door into the ledger.

Lock order: the ledger comes last. A chain row is locked by its owner (a proposal by its verb), a
`Stream` by `record`; several streams in one transaction are recorded in order of their names.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.transaction import TransactionManagementError

from ledger import chain as arithmetic
from ledger import clock, index
from ledger.models import Chain, LedgerEntry, Stream

Listener = Callable[[LedgerEntry, dict[str, Any]], None]
_listeners: list[Listener] = []


def listen(listener: Listener) -> None:
    """Have this told every entry and its body, in the transaction that appends it.

    Every fact passes here, so whoever must hear of facts needs no calls where they happen. A
    listener may write rows of its own; it must not wait, and what it raises undoes the fact.
    """
    if listener not in _listeners:
        _listeners.append(listener)


def append(
    *,
    chain: Chain,
    kind: str,
    actor: str,
    actor_name: str = "",
    body: dict[str, Any] | None = None,
    at: datetime | None = None,
    proposal: str = "",
    agent: str = "",
    run: str = "",
    object: str = "",
    facets: dict[str, Any] | None = None,
) -> LedgerEntry:
    """Append one entry to a chain whose row the caller has locked, in the caller's transaction.

    `facets` are what its stream said before of tier, action and revision: the entry can be found
    by them (ledger.index), and does not hold them.

    Only the instance is moved on: the caller saves its `ledger_number` and `ledger_hash`, as a
    rule in the same statement as its status. After a rollback to a savepoint the instance is
    ahead of the row; read it again. A chain that was not locked fails on the unique number.
    """
    _require_transaction()
    facts = arithmetic.statement(
        stream=chain.stream,
        number=chain.ledger_number + 1,
        kind=kind,
        actor=actor,
        actor_name=actor_name,
        at=at or clock.now(),
        proposal=proposal,
        agent=agent,
        run=run,
        object=object,
        body=body or {},
        previous=bytes(chain.ledger_hash),
    )
    if not isinstance(facts["body"], dict):
        raise ValueError("The body of a ledger entry is an object.")
    data = arithmetic.ledger_canonical(facts)
    columns = {name: facts[name] for name in COLUMNS}
    _require_fitting(columns)
    entry = LedgerEntry(
        **columns,
        number=facts["number"],
        at=datetime.fromisoformat(facts["at"]),
        canonical=data,
        previous=bytes(chain.ledger_hash),
        hash=arithmetic.entry_hash(data),
    )
    entry.save(force_insert=True)
    index.add(entry, facts["body"], facets or {})
    chain.ledger_number, chain.ledger_hash = entry.number, entry.hash
    for listener in _listeners:
        listener(entry, facts["body"])
    return entry


def record(stream: str, **facts: Any) -> LedgerEntry:
    """Append to a stream that has no row of its own, making the stream if it is new.

    Takes what `append` takes, except the chain; locks the stream until the transaction ends.
    """
    _require_transaction()
    heads = Stream.objects.select_for_update(no_key=True)
    head = heads.filter(name=stream).first()
    if head is None:
        Stream.objects.bulk_create([Stream(name=stream)], ignore_conflicts=True)
        head = heads.get(name=stream)
    entry = append(chain=head, **facts)
    head.save(update_fields=["ledger_number", "ledger_hash"])
    return entry


COLUMNS = ("stream", "kind", "actor", "actor_name", *arithmetic.LOOKUPS)


def _require_transaction() -> None:
    if not connection.in_atomic_block:
        raise TransactionManagementError(
            "A ledger entry is written in the transaction of the fact that it records."
        )


def _require_fitting(columns: dict[str, str]) -> None:
    """Refuse here what only one of the two databases would refuse."""
    for name, value in columns.items():
        field: Any = LedgerEntry._meta.get_field(name)
        if not isinstance(value, str) or "\0" in value or len(value) > field.max_length:
            raise ValueError(f"Not a ledger entry's {name}: {value!r:.100}.")
        if not value and not field.blank:
            raise ValueError(f"A ledger entry needs its {name}.")
