"""How budgets stand, for whoever they bind: limit, used, held, remaining, next slot."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any

from django.db.models import Q, Sum

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
    """The budgets that bind one agent, each scope of it that the agent has used.

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
    now = clock.now()
    found: list[Gauge] = []
    for budget in budgets:
        scopes = list(budget.scopes.filter(which))
        totals = totals_of(budget, scopes, now)
        ranked = sorted(scopes, key=lambda scope: -totals.get(scope.pk, (NOTHING,))[0])
        found.extend(gauge(budget, scope, totals, now) for scope in ranked[:MOST_SCOPES])
        if not scopes:
            found.append(Gauge(budget, NOTHING, NOTHING, None))
    return found


def totals_of(
    budget: Budget, scopes: list[Scope], now: datetime
) -> dict[int, tuple[Decimal, Decimal]]:
    """Used and held by scope, in one statement."""
    counting = Reservation.objects.filter(scope__in=scopes).counting(budget.window, now)
    held = Q(status=Reservation.Status.HELD)
    rows = (
        counting.values_list("scope")
        .annotate(used=Sum("amount"), held=Sum("amount", filter=held))
        .order_by("scope")
    )
    return {scope: (used or NOTHING, held_now or NOTHING) for scope, used, held_now in rows}


def gauge(
    budget: Budget, scope: Scope, totals: dict[int, tuple[Decimal, Decimal]], now: datetime
) -> Gauge:
    used, held = totals.get(scope.pk, (NOTHING, NOTHING))
    free_at = None
    if budget.window is not None and used >= budget.limit:
        oldest = (
            scope.reservations.counting(budget.window, now)
            .order_by("counted_at")
            .values_list("counted_at", flat=True)
            .first()
        )
        free_at = oldest + budget.window if oldest else None
    return Gauge(budget, used, held, free_at, scope)


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
