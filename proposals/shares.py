"""How many workers one agent may hold: work that takes its time has a place of its agent, or waits.

What is quick needs no place: it costs one look. Of an agent whose work took its time lately, only
so much is done at once over all processes (`SLOW_WORK_PER_AGENT`), while others have work that is
due. It is remembered for ten times as long as the work took, and a minute at most: a hiccup is soon
forgotten, and who is slow for good seldom begins anything without a place. A bell that comes while
the places are taken is dropped: the row is the queue. Whoever gives a place back rings for what its
agent has waiting, and the clock finds the rest. So a slow target costs the agents that write to it,
and others wait for what is under way and not for all that waits.

A place is no lock: it lapses by the database's clock if its process dies, and one too many would
cost others a moment and nothing else. Work that people ask for, undo above all, needs none.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import BooleanField, Exists, ExpressionWrapper, OuterRef, Q, QuerySet

from ledger import clock
from proposals import bell
from proposals.models import Execution, Proposal, Share

SLOW_SECONDS = 1.0
LONGEST_REMEMBERED_SECONDS = 60
# Longer than any deadline of what is reached outside. The place of a worker that died is missed for
# so long; of what takes longer yet, one more is begun.
LEASE = timedelta(seconds=30)


@contextmanager
def place(asked: QuerySet[Proposal], row_id: UUID | str) -> Iterator[bool]:
    """Whether a row of this proposal may be worked on now, and its place while the block lasts."""
    agent_id, needs_place = look(asked)
    until = take(agent_id, str(row_id)) if agent_id and needs_place else ""
    if until is None:
        yield False
        return
    since, has_failed = time.monotonic(), True
    try:
        yield True
        has_failed = False
    finally:
        seconds = time.monotonic() - since
        if agent_id is not None and (until or seconds > SLOW_SECONDS):
            give_back(agent_id, str(row_id), until, seconds)
            if not has_failed:  # or it would ring for what cannot be worked on, again and again
                ring_next(agent_id)


def look(asked: QuerySet[Proposal]) -> tuple[UUID | None, bool]:
    """The agent that asks for this, if no person does; and whether it needs a place: its work is
    slow of late, and others have work that is due.
    """
    now: Any = clock.Now()
    others = ~Q(agent=OuterRef("agent"))
    unchecked = Proposal.objects.to_check().filter(others)
    unwritten = Execution.objects.due(now).exclude(proposal__agent=OuterRef("agent"))
    is_slow = Q(agent__share__slow_until__gt=now)
    needs_place = ExpressionWrapper(
        is_slow & (Q(Exists(unchecked)) | Q(Exists(unwritten))), BooleanField()
    )
    found: Any = asked.values_list("agent", needs_place)[:1]
    return next(((agent_id, bool(needs)) for agent_id, needs in found), (None, False))


@transaction.atomic
def take(agent_id: UUID, row_id: str) -> str | None:
    """Take a place for this row: until when, at the longest. None if its agent has none free."""
    share = Share.objects.select_for_update().get(pk=agent_id)
    now = clock.now()
    share.under_way = {row: at for row, at in share.under_way.items() if moment(at) > now}
    if row_id in share.under_way or len(share.under_way) >= settings.SLOW_WORK_PER_AGENT:
        return None
    share.under_way[row_id] = until = (now + LEASE).isoformat()
    share.save(update_fields=["under_way"])
    return until


@transaction.atomic
def give_back(agent_id: UUID, row_id: str, until: str, seconds: float) -> None:
    """End this place, and remember whether the work took its time."""
    now = clock.now()
    Share.objects.bulk_create([Share(agent_id=agent_id, slow_until=now)], ignore_conflicts=True)
    share = Share.objects.select_for_update().get(pk=agent_id)
    if share.under_way.get(row_id) == until:
        del share.under_way[row_id]
    if seconds > SLOW_SECONDS:
        remembered = timedelta(seconds=min(10 * seconds, LONGEST_REMEMBERED_SECONDS))
        share.slow_until = max(share.slow_until, now + remembered)
    share.save()


def ring_next(agent_id: UUID) -> None:
    """Ring once for what this agent has waiting: what is to be written, before what is checked."""
    now = clock.now()
    under_way = list(Share.objects.get(pk=agent_id).under_way)
    proposals = Proposal.objects.filter(agent=agent_id)
    due = Execution.objects.due(now).filter(proposal__in=proposals).exclude(pk__in=under_way)
    if execution := due.order_by("run_after").first():
        bell.ring_execution(execution.pk)
        return
    submitted = (proposals & Proposal.objects.to_check()).exclude(pk__in=under_way)
    if proposal := submitted.order_by("due_at").first():
        bell.ring_check(proposal.pk)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
