"""Re-stamp: a write counts from its claim on, or books the slot that it is put off to.

Like the other moves of `accounts`, inside the transaction and under the locks that they take.
(Design page, Budgets: the claim re-stamps under the budget lock, or puts the execution off to the
next free slot.)
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import OuterRef, Subquery

from budgets.accounts import (
    as_they_are,
    in_force,
    live,
    lock_scopes,
    locked,
    new_reservation,
    release_others,
    require_room,
    require_transaction,
    store,
    used_beside,
)
from budgets.charges import Charge
from budgets.exceptions import BudgetExceeded
from budgets.models import Budget, Reservation, Scope, booked
from ledger import clock


def restamp(charge: Charge, *, books: bool = True) -> datetime | None:
    """Count a write from now on, because it happens now and not when it was asked for.

    Where a budget holds nothing for it yet, being newer than that or changed since, it is held from
    here on. Returns the moment from which it counts; None if there was nothing to move.

    Raises BudgetExceeded if a budget has no room for it now. In a window, and unless it `books` no
    slot, the slot that the error tells of is its own from then on: nothing new takes it. The scopes
    stay locked, so the caller's transaction must go on. What is counted for the life of a run has
    to fit in what the budget allows by now, and stays where it is; what is counted in proposals is
    left alone.
    """
    require_transaction()
    charge = replace(charge, is_claimed=True)
    holdings = holdings_of(charge)
    if not holdings:
        return None
    wanted, are_there = [(each.budget, each.key) for each in holdings], is_whole(holdings)
    scopes = locked(wanted) if are_there else lock_scopes(wanted, charge)
    budgets, now = as_they_are(scopes)
    places = [(scope, budgets[scope.budget_id]) for scope in scopes]
    used = used_beside(places, charge.proposal, now, of_claims=True)
    for (scope, budget), each in zip(places, holdings, strict=True):
        try:
            require_room(scope, budget, charge.proposal, each.amount, used[scope.pk], now)
        except BudgetExceeded as error:
            if books and (slot := each.booked_after(now) or error.shortage.free_at):
                hold(charge.proposal, [(scope, each)], slot)
                raise BudgetExceeded(replace(error.shortage, free_at=slot)) from error
            raise
    held_anew = [(scope, each) for scope, each in zip(scopes, holdings, strict=True) if each.moves]
    hold(charge.proposal, held_anew, now)
    if not are_there:
        drop_others(charge.proposal, scopes, now)
    return now


@dataclass(frozen=True)
class Holding:
    """What a charge asks of a budget; whole where just that is held, in just that scope."""

    budget: Budget
    key: str
    amount: Decimal
    scope_id: int | None
    counted_at: datetime | None
    is_whole: bool

    @property
    def moves(self) -> bool:
        """Whether it counts from another moment on, or is not held as it should be."""
        return self.budget.window is not None or not self.is_whole

    def booked_after(self, now: datetime) -> datetime | None:
        """The slot that it has here and whose turn has not come; it loses none by asking early."""
        is_booked = self.is_whole and self.counted_at is not None and self.counted_at > now
        return self.counted_at if is_booked else None


def is_whole(holdings: list[Holding]) -> bool:
    return all(each.is_whole for each in holdings)


def holdings_of(charge: Charge) -> list[Holding]:
    """What every budget that covers a charge holds for it: one statement, for the claim."""
    # Of a budget that counts otherwise since, the booking: what it held before goes with the claim.
    mine = Reservation.objects.filter(
        scope__budget=OuterRef("pk"), proposal=charge.proposal, status=Reservation.Status.HELD
    ).order_by("-counted_at", "-pk")
    budgets = in_force(charge).annotate(
        scope_id=Subquery(mine.values("scope")[:1]),
        held_key=Subquery(mine.values("scope__key")[:1]),
        held=Subquery(mine.values("amount")[:1]),
        counted_at=Subquery(mine.values("counted_at")[:1]),
    )
    return [
        Holding(
            budget,
            key := budget.scope_key(charge),
            amount,
            budget.scope_id,
            budget.counted_at,
            (budget.held_key, budget.held) == (key, amount),
        )
        for budget in budgets
        if budget.covers(charge) and (amount := charge.amount(budget.unit, budget.currency))
    ]


def hold(proposal: str, places: list[tuple[Scope, Holding]], counted_at: datetime) -> None:
    """Hold in locked scopes what a claim asks for, counted from that moment; later: a booking."""
    whole = [scope.pk for scope, each in places if each.is_whole]
    if whole:
        Reservation.objects.filter(
            proposal=proposal, scope__in=whole, status=Reservation.Status.HELD
        ).update(counted_at=counted_at)
    store(
        [
            new_reservation(scope, each.budget, proposal, each.amount, counted_at)
            for scope, each in places
            if not each.is_whole
        ]
    )


def lock_held(budget: Budget) -> list[int]:
    """Lock each scope in which a budget holds something: no claim moves there until this is over.

    In the order in which everybody locks them.
    """
    held = Reservation.objects.filter(scope__budget=budget, status=Reservation.Status.HELD)
    scopes = Scope.objects.filter(pk__in=held.values("scope"))
    ordered = scopes.select_for_update(no_key=True).order_by("budget_id", "key")
    return list(ordered.values_list("pk", flat=True))


def forget_bookings(budget: Budget, scopes: list[int]) -> None:
    """Have what waits for a slot of a changed budget book anew, by what the budget allows now.

    In locked scopes, and by a time that is read under these locks: what a claim counts from a later
    moment on is no booking.
    """
    now = clock.now()
    waiting = Reservation.objects.filter(booked(now), scope__in=scopes)
    waiting.update(counted_at=now - (budget.window or timedelta()))


def drop_others(proposal: str, scopes: list[Scope], now: datetime) -> None:
    """Give back what is held for a claim where its budgets no longer count it."""
    kept = {scope.pk for scope in scopes}
    release_others({each.scope_id: each for each in live(proposal)}, kept, now)
