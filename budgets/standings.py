"""How budgets stand, for whoever they bind: limit, used, held, remaining, next slot."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any

from django.db.models import F, Min, Q, QuerySet, Sum, Window
from django.db.models.functions import RowNumber

from budgets.models import Budget, Reservation, Scope
from ledger import clock

NOTHING = Decimal(0)
MOST_SCOPES = 20  # of one budget, the fullest first


@dataclass(frozen=True)
class Gauge:
    """One scope of a budget now. `held` is part of `used`; at `free_at` the next slot frees."""

    budget: Budget
    used: Decimal
    held: Decimal
    free_at: datetime | None
    scope: Scope | None = None

    @property
    def remaining(self) -> Decimal:
        return max(self.budget.limit - self.used, NOTHING)

    @property
    def percent(self) -> int:
        if not self.budget.limit:
            return 100
        return min(100, int(100 * self.used / self.budget.limit))


def binding(agent: str, agent_name: str, *, resources: Any = ()) -> list[Gauge]:
    """The budgets that bind one agent, each scope of it that the agent uses now.

    `resources` are those the agent has proposed to write to, as values or as a query: a count
    of another one, although it is everybody's, would tell what others are doing.
    """
    budgets = [
        budget
        for budget in Budget.objects.filter(is_active=True, lane=Budget.Lane.FORWARD)
        if fnmatchcase(agent_name, budget.agent_pattern)
    ]
    own = Q(agent=agent) | Q(agent="", resource="")
    return gauges(budgets, own | Q(agent="", resource__in=resources))


def all_gauges() -> list[Gauge]:
    """Every budget in force, each of its scopes."""
    return gauges(list(Budget.objects.filter(is_active=True)), Q())


def gauges(budgets: Iterable[Budget], which: Q) -> list[Gauge]:
    """The scopes of each budget that something counts in now, the fullest first.

    A budget in which nothing counts has one gauge without a scope. Always the same number of
    statements, however many budgets and scopes there are.
    """
    known = {budget.pk: budget for budget in budgets}
    now = clock.now()
    rows = list(totals(known.values(), Scope.objects.filter(which, budget__in=known), now))
    scopes = Scope.objects.in_bulk([row["scope"] for row in rows])
    found: dict[int, list[Gauge]] = defaultdict(list)
    for row in rows:
        budget, scope = known[row["scope__budget"]], scopes[row["scope"]]
        is_full = budget.window is not None and row["used"] >= budget.limit
        free_at = row["oldest"] + budget.window if is_full else None
        held = row["held"] or NOTHING
        found[budget.pk].append(Gauge(budget, row["used"], held, free_at, scope))
    return [
        gauge
        for pk, budget in known.items()
        for gauge in found.get(pk) or [Gauge(budget, NOTHING, NOTHING, None)]
    ]


def totals(budgets: Iterable[Budget], scopes: QuerySet[Scope], now: datetime) -> QuerySet:
    """Used, held and since when, by scope, in one statement; of each budget only the fullest."""
    counting = Q(pk__in=[])
    for budget in budgets:
        since = Q() if budget.window is None else Q(counted_at__gt=now - budget.window)
        counting |= Q(scope__budget=budget) & since
    fullest = Window(
        RowNumber(), partition_by=F("scope__budget"), order_by=[F("used").desc(), F("scope")]
    )
    return (
        Reservation.objects.exclude(status=Reservation.Status.RELEASED)
        .filter(counting, scope__in=scopes)
        .values("scope", "scope__budget")
        .annotate(
            used=Sum("amount"),
            held=Sum("amount", filter=Q(status=Reservation.Status.HELD)),
            oldest=Min("counted_at"),
        )
        .annotate(rank=fullest)
        .filter(rank__lte=MOST_SCOPES)
        .order_by("scope__budget", "rank")
    )


def as_json(gauge: Gauge) -> dict[str, Any]:
    """A gauge as agents see it; amounts are text, because money is."""
    budget = gauge.budget
    return {
        "budget": budget.name,
        "unit": budget.unit,
        "currency": budget.currency or None,
        "limit": plain(budget.limit),
        "window_seconds": budget.window_seconds,
        "scope": {
            "agent": bool(gauge.scope and gauge.scope.agent),
            "run": (gauge.scope.run or None) if gauge.scope else None,
            "resource": (gauge.scope.resource or None) if gauge.scope else None,
        },
        "used": plain(gauge.used),
        "held": plain(gauge.held),
        "remaining": plain(gauge.remaining),
        "next_slot_at": gauge.free_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if gauge.free_at else None,
        "on_exceed": budget.on_exceed,
    }


def plain(amount: Decimal) -> str:
    """Fixed notation without needless zeros: 120, 0.5."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
