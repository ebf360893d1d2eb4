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

from budgets import accounts
from budgets.charges import Charge, Unit
from budgets.models import Budget, Reservation, Scope, booked
from ledger import clock

NOTHING = Decimal(0)
MOST_SCOPES = 20  # of one budget, the fullest first


@dataclass(frozen=True)
class Gauge:
    """One scope of a budget now. `held` is part of `used`; at `free_at` the next slot frees.

    `booked` is what approved writes that wait will use of the slots that free later.
    """

    budget: Budget
    used: Decimal
    held: Decimal
    free_at: datetime | None
    scope: Scope | None = None
    booked: Decimal = NOTHING

    @property
    def remaining(self) -> Decimal:
        return max(self.budget.limit - self.used - self.booked, NOTHING)

    @property
    def share_left(self) -> Decimal:
        return self.remaining / self.budget.limit if self.budget.limit else NOTHING

    @property
    def percent(self) -> int:
        if not self.budget.limit:
            return 100
        return min(100, int(100 * self.used / self.budget.limit))

    @property
    def action(self) -> str:
        """The action that is counted apart here; only the key of the scope tells."""
        if not (self.scope and self.budget.per_action):
            return ""
        parts = parts_of(self.scope.key)
        at = -2 if self.budget.per_resource else -1
        return parts[at] if len(parts) >= -at else ""


def parts_of(key: str) -> list[str]:
    """What a scope's key names, in the order of the marks; the reverse of `Budget.scope_key`."""
    parts = []
    while key:
        length, _, rest = key.partition(":")
        parts.append(rest[: int(length)])
        key = rest[int(length) + 1 :]
    return parts


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
        used, held, later = (row[name] or NOTHING for name in ("used", "held", "later"))
        is_full = budget.window is not None and used + later >= budget.limit
        free_at = row["oldest"] + budget.window if is_full else None
        found[budget.pk].append(Gauge(budget, used, held, free_at, scope, later))
    return [
        gauge
        for pk, budget in known.items()
        for gauge in found.get(pk) or [Gauge(budget, NOTHING, NOTHING, None)]
    ]


def totals(budgets: Iterable[Budget], scopes: QuerySet[Scope], now: datetime) -> QuerySet:
    """Used, held and since when, by scope, in one statement; of each budget only the fullest."""
    fullest = Window(
        RowNumber(), partition_by=F("scope__budget"), order_by=[F("all").desc(), F("scope")]
    )
    is_later = booked(now)
    return (
        counting(budgets, scopes, now)
        .values("scope", "scope__budget")
        .annotate(
            all=Sum("amount"),
            used=Sum("amount", filter=~is_later),
            held=Sum("amount", filter=Q(status=Reservation.Status.HELD) & ~is_later),
            later=Sum("amount", filter=is_later),
            oldest=Min("counted_at"),
        )
        .annotate(rank=fullest)
        .filter(rank__lte=MOST_SCOPES)
        .order_by("scope__budget", "rank")
    )


def counting(budgets: Iterable[Budget], scopes: QuerySet[Scope], now: datetime) -> QuerySet:
    """What uses up these scopes, each budget by its own window, also what is `booked` there."""
    inside = Q(pk__in=[])
    for budget in budgets:
        since = Q() if budget.window is None else Q(counted_at__gt=now - budget.window)
        inside |= Q(scope__budget=budget) & since
    held = Reservation.objects.exclude(status=Reservation.Status.RELEASED)
    return held.filter(inside, scope__in=scopes)


@dataclass(frozen=True)
class Effect:
    """What one write does to one budget: what others use of its scope, and what it adds.

    `asked` is None while nobody knows: only the preview counts objects.
    """

    budget: Budget
    before: Decimal
    asked: Decimal | None

    @property
    def after(self) -> Decimal:
        return self.before + (self.asked or NOTHING)

    @property
    def fits(self) -> bool:
        return self.after <= self.budget.limit


def effects(charge: Charge) -> list[Effect]:
    """What a write would use of each budget that covers it, if it were done now.

    Budgets in proposals are left out: those count what was asked, whether it is written or not.
    """
    asked = {
        budget: None if is_unknown(budget, charge) else charge.amount(budget.unit, budget.currency)
        for budget in accounts.matching(charge)
        if budget.unit != Unit.PROPOSALS
    }
    covering = [budget for budget, amount in asked.items() if amount is None or amount > 0]
    if not covering:
        return []
    which = Q(pk__in=[])
    for budget in covering:
        which |= Q(budget=budget, key=budget.scope_key(charge))
    now = clock.now()
    others = counting(covering, Scope.objects.filter(which), now).exclude(booked(now))
    used = dict(
        others.exclude(proposal=charge.proposal)
        .values_list("scope__budget")
        .annotate(used=Sum("amount"))
    )
    return [Effect(budget, used.get(budget.pk, NOTHING), asked[budget]) for budget in covering]


def is_unknown(budget: Budget, charge: Charge) -> bool:
    return budget.unit == Unit.OBJECTS and charge.objects is None


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
