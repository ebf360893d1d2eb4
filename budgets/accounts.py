"""Reserve, capture, release, each inside the caller's transaction; `claims` has the fourth move.

Exact at any concurrency: the scopes that a charge falls into are locked in one order (budget, then
key), the clock and the limits are read after the locks are held, and the sum is taken over what
counts then. So no window of any position ever holds more than its cap. (Protocols page, Budgets;
design page.)
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import reduce
from operator import or_

from django.db import connection
from django.db.models import QuerySet, Sum
from django.db.transaction import TransactionManagementError

from budgets.charges import Charge, Unit
from budgets.exceptions import BudgetExceeded, Shortage
from budgets.models import Budget, Reservation, Scope, booked, counts
from ledger import clock

NOTHING = Decimal(0)


@dataclass(frozen=True)
class Standing:
    """How one scope of a budget stands after a reservation, and when that was counted."""

    budget: Budget
    used: Decimal
    counted_at: datetime

    @property
    def remaining(self) -> Decimal:
        return max(self.budget.limit - self.used, NOTHING)

    @property
    def share_left(self) -> Decimal:
        return self.remaining / self.budget.limit if self.budget.limit else NOTHING


def matching(charge: Charge) -> list[Budget]:
    """The budgets in force that cover a charge, in the order in which they are locked."""
    return [budget for budget in in_force(charge) if budget.covers(charge)]


def in_force(charge: Charge) -> QuerySet[Budget]:
    return Budget.objects.filter(is_active=True, lane=charge.lane).order_by("pk")


def reserve(charge: Charge) -> list[Standing]:
    """Set aside what the charge asks for in every budget that covers it, or in none.

    Called again for the same proposal, it reserves the difference: more is held against the cap,
    less is given back, and what no longer applies is released. Raises BudgetExceeded, and the
    caller's transaction (or savepoint) must then be rolled back.
    """
    require_transaction()
    wanted = {
        (budget.pk, budget.scope_key(charge)): (budget, amount)
        for budget in matching(charge)
        if (amount := charge.amount(budget.unit, budget.currency))
    }
    earlier = {
        (each.scope.budget_id, each.scope.key): each
        for each in live(charge.proposal).select_related("scope")
    }
    if all(
        place in earlier and earlier[place].amount == amount
        for place, (_, amount) in wanted.items()
    ) and set(earlier) == set(wanted):
        return []  # nothing is added, so nothing needs to be locked
    scopes = lock_scopes([(budget, key) for (_, key), (budget, _) in wanted.items()], charge)
    budgets, now = as_they_are(scopes)
    amounts = [amount for _, amount in wanted.values()]
    places = [
        (scope, budgets[scope.budget_id], amount)
        for scope, amount in zip(scopes, amounts, strict=True)
    ]
    used = used_beside([(scope, budget) for scope, budget, _ in places], charge.proposal, now)
    held = {each.scope_id: each for each in earlier.values()}
    set_aside(places, charge.proposal, held, used, now)
    release_others(held, {scope.pk for scope in scopes}, now)
    return [Standing(budget, used[scope.pk] + amount, now) for scope, budget, amount in places]


def standings(charge: Charge) -> list[Standing]:
    """How the budgets that cover a charge stand with it reserved; a reading, not a promise."""
    now = clock.now()
    found = []
    for budget in matching(charge):
        if amount := charge.amount(budget.unit, budget.currency):
            scope = budget.scopes.filter(key=budget.scope_key(charge)).first()
            used = used_beside([(scope, budget)] if scope else [], charge.proposal, now)
            found.append(Standing(budget, sum(used.values(), amount), now))
    return found


def live(proposal: str) -> QuerySet[Reservation]:
    """What a proposal has reserved and not given back."""
    return Reservation.objects.filter(proposal=proposal).exclude(status=Reservation.Status.RELEASED)


def set_aside(
    places: list[tuple[Scope, Budget, Decimal]],
    proposal: str,
    held: dict[int, Reservation],
    used: dict[int, Decimal],
    now: datetime,
) -> None:
    """Reserve in locked scopes what fits beside all that counts there now, in one statement."""
    added = []
    for scope, budget, amount in places:
        earlier = held.get(scope.pk)
        if earlier is None or amount > earlier.amount:
            require_room(scope, budget, proposal, amount, used[scope.pk], now)
            added.append(new_reservation(scope, budget, proposal, amount, now))
        elif amount < earlier.amount and earlier.status == Reservation.Status.HELD:
            Reservation.objects.filter(pk=earlier.pk).update(amount=amount)
    store(added)


def store(added: list[Reservation]) -> None:
    Reservation.objects.bulk_create(
        added,
        update_conflicts=True,  # there is one row for a proposal in a scope, released or not
        unique_fields=["scope", "proposal"],
        update_fields=["amount", "status", "counted_at", "resolved_at"],
    )


def new_reservation(
    scope: Scope, budget: Budget, proposal: str, amount: Decimal, now: datetime
) -> Reservation:
    """Proposals are counted when submitted and never given back; all else is held at first."""
    is_spent = budget.unit == Unit.PROPOSALS
    return Reservation(
        scope=scope,
        proposal=proposal,
        amount=amount,
        status=Reservation.Status.CAPTURED if is_spent else Reservation.Status.HELD,
        counted_at=now,
        resolved_at=now if is_spent else None,
    )


def release_others(held: dict[int, Reservation], kept: set[int], now: datetime) -> None:
    """Give back what a proposal holds in scopes that no longer apply to it."""
    gone = [
        each.pk
        for scope_id, each in held.items()
        if scope_id not in kept and each.status == Reservation.Status.HELD
    ]
    if gone:
        Reservation.objects.filter(pk__in=gone).update(
            status=Reservation.Status.RELEASED, resolved_at=now
        )


def used_beside(
    places: list[tuple[Scope, Budget]], proposal: str, now: datetime, *, of_claims: bool = False
) -> dict[int, Decimal]:
    """How much of each scope is spoken for now by others than this proposal.

    What is new finds also those slots taken that are booked for later; else a loop would take each
    slot as it frees, before what was approved and waits for it. Claims find only those whose turn
    it is: each comes at its own.
    """
    used = {scope.pk: NOTHING for scope, _ in places}
    if places:
        counting = reduce(or_, (counts(budget.window, now, scope) for scope, budget in places))
        by_others = Reservation.objects.filter(counting).exclude(proposal=proposal)
        if of_claims:
            by_others = by_others.exclude(booked(now))
        used.update(by_others.values_list("scope").annotate(Sum("amount")))
    return used


def require_room(
    scope: Scope, budget: Budget, proposal: str, amount: Decimal, used: Decimal, now: datetime
) -> None:
    """BudgetExceeded, unless the amount fits in a locked scope beside what others use of it."""
    if used + amount <= budget.limit:
        return
    counting = scope.reservations.counting(budget.window, now).exclude(proposal=proposal)
    raise BudgetExceeded(
        Shortage(
            budget_id=budget.pk,
            budget=budget.name,
            unit=budget.currency or budget.unit,
            limit=budget.limit,
            window_seconds=budget.window_seconds,
            used=used,
            asked=amount,
            free_at=next_slot(budget, counting, amount),
            at=now,
            suspends=budget.on_exceed == Budget.OnExceed.SUSPEND,
        )
    )


def next_slot(budget: Budget, counting: QuerySet[Reservation], amount: Decimal) -> datetime | None:
    """When enough will have left the window for the amount to fit; None if it never will.

    Behind those who have booked a slot already.
    """
    if budget.window is None or amount > budget.limit:
        return None
    taken = list(counting.order_by("counted_at").values_list("counted_at", "amount"))
    used = sum((each for _, each in taken), NOTHING)
    for counted_at, each in taken:
        used -= each
        if used + amount <= budget.limit:
            return counted_at + budget.window
    return None


def as_they_are(scopes: Iterable[Scope]) -> tuple[dict[int, Budget], datetime]:
    """The budgets of locked scopes, and the time: whoever waited for the locks read older ones."""
    found = Budget.objects.filter(pk__in={scope.budget_id for scope in scopes})
    read = list(found.annotate(read_at=clock.Now()))
    budgets: dict[int, Budget] = {budget.pk: budget for budget in read}
    return budgets, max(budget.read_at for budget in read) if read else clock.now()


def capture(proposal: str, now: datetime) -> None:
    """What was held has been used."""
    resolve(proposal, Reservation.Status.CAPTURED, now)


def release(proposal: str, now: datetime) -> None:
    """What was held will not be used."""
    resolve(proposal, Reservation.Status.RELEASED, now)


def resolve(proposal: str, status: str, now: datetime) -> None:
    Reservation.objects.filter(proposal=proposal, status=Reservation.Status.HELD).update(
        status=status, resolved_at=now
    )


def lock_scopes(wanted: list[tuple[Budget, str]], charge: Charge) -> list[Scope]:
    """The scopes as they are, made where they are new, and locked in the order given.

    New ones are made before any is locked: who makes one holds it, and whoever wants the same waits
    for that. Holding an older one meanwhile would close the circle.
    """
    if not wanted:
        return []
    there = set(named(wanted).values_list("budget_id", "key"))
    make([each for each in wanted if (each[0].pk, each[1]) not in there], charge)
    return locked(wanted)


def locked(wanted: list[tuple[Budget, str]]) -> list[Scope]:
    """Scopes that are there, in the order in which everybody locks them."""
    rows = named(wanted).select_for_update(no_key=True).order_by("budget_id", "key")
    found = {(scope.budget_id, scope.key): scope for scope in rows}
    return [found[budget.pk, key] for budget, key in wanted]


def named(wanted: list[tuple[Budget, str]]) -> QuerySet[Scope]:
    return Scope.objects.filter(
        budget__in=[budget for budget, _ in wanted], key__in={key for _, key in wanted}
    )


def make(missing: list[tuple[Budget, str]], charge: Charge) -> None:
    """Make scopes, in the order given; somebody else may be making the same ones."""
    Scope.objects.bulk_create(
        [
            Scope(
                budget=budget,
                key=key,
                agent=charge.agent if budget.per_agent or budget.per_run else "",
                run=charge.run if budget.per_run else "",
                resource=charge.resource if budget.per_resource else "",
            )
            for budget, key in missing
        ],
        ignore_conflicts=True,
    )


def require_transaction() -> None:
    if not connection.in_atomic_block:
        raise TransactionManagementError("Budgets move in the transaction of what they count.")
