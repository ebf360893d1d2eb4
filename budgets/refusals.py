"""Refusals, summed: a runaway loop leaves a handful of ledger entries and not one per request.

The first refusal of a budget to an agent is entered at once, as one; all others until a minute
later are counted, with what was shed before the first, and entered as one sum by the clock.
"""

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import F

from budgets.exceptions import Shortage
from budgets.models import Refusal
from ledger import clock, entries, pruning

SUM_AFTER = timedelta(minutes=1)


@transaction.atomic
def note(shortage: Shortage, *, agent: str, agent_name: str, run: str, times: int = 1) -> None:
    """Count a refusal; the first of a minute has its own ledger entry."""
    now = clock.now()
    place = {"budget_id": shortage.budget_id, "agent": agent}
    while not Refusal.objects.filter(**place, is_summed=False).update(
        count=F("count") + times, last_at=now
    ):
        first = Refusal(**place, agent_name=agent_name, since=now, last_at=now, count=times)
        if begins(first):
            enter_first(shortage, agent, agent_name, run, now)
            return


def begins(first: Refusal) -> bool:
    """Store the first refusal of a minute; False if another one was first after all."""
    try:
        with transaction.atomic():
            first.save(force_insert=True)
    except IntegrityError:
        return False
    return True


def enter_first(shortage: Shortage, agent: str, agent_name: str, run: str, now: datetime) -> None:
    entries.record(
        f"budget:{shortage.budget_id}",
        kind="budget.refused",
        actor=f"agent:{agent}",
        actor_name=agent_name,
        agent=agent,
        run=run,
        at=now,
        body={
            "budget": shortage.budget,
            "unit": shortage.unit,
            "limit": f"{shortage.limit:f}",
            "window_seconds": shortage.window_seconds or 0,
            "used": f"{shortage.used:f}",
            "asked": f"{shortage.asked:f}",
            "count": 1,
        },
    )


def sum_up() -> int:
    """Enter the sums of minutes that are over. Returns how many were entered."""
    over = Refusal.objects.filter(is_summed=False, since__lte=clock.now() - SUM_AFTER)
    return sum(enter(pk) for pk in over.values_list("pk", flat=True)[:100])


@transaction.atomic
def enter(refusal_id: int) -> bool:
    refusal = (
        Refusal.objects.select_for_update(of=("self",))
        .select_related("budget")
        .filter(pk=refusal_id, is_summed=False)
        .first()
    )
    if refusal is None:
        return False
    Refusal.objects.filter(pk=refusal_id).update(is_summed=True)
    if refusal.count > 1:
        entries.record(
            f"budget:{refusal.budget_id}",
            kind="budget.refused",
            actor=f"agent:{refusal.agent}",
            actor_name=refusal.agent_name,
            agent=refusal.agent,
            body={
                "budget": refusal.budget.name,
                "count": refusal.count - 1,
                "since": stamp(refusal.since),
                "until": stamp(refusal.last_at),
            },
        )
    return True


def prune(*, now: datetime) -> int:
    """Remove what was summed long ago, some at a time. Returns how many."""
    return pruning.prune(Refusal.objects.old(now))


def stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")
