"""Changing budgets: every change has its ledger entry, and one that makes room wakes what waits."""

from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max

from budgets import claims
from budgets.models import Budget
from proposals import rights
from proposals.exceptions import InvalidRequest, NotEligible, NotFound
from proposals.services.configuration import record_change
from proposals.services.decisions import invalid
from proposals.services.reasons import stated
from proposals.services.stopping import wake
from proposals.services.turns import save_named


@transaction.atomic
def save_budget(*, budget: Budget, person: Any, is_new: bool) -> Budget:
    """Store a budget, and enter its whole content in the ledger.

    Raises ValidationError, also for a name that somebody else chose in the same moment.
    What waited for a slot is looked at again at once: there may be room for it now.
    """
    budget.full_clean()
    scopes = [] if is_new else claims.lock_held(budget)
    save_named(budget, ValidationError({"name": "There is already a budget of this name."}))
    facts = {
        field.name: text_of(getattr(budget, field.name))
        for field in Budget._meta.concrete_fields
        if not field.primary_key
    }
    record_change(
        stream=f"budget:{budget.pk}",
        kind="budget.created" if is_new else "budget.changed",
        person=person,
        body=facts,
    )
    if not is_new:
        wake()  # as everybody else: executions before reservations
        claims.forget_bookings(budget, scopes)
    return budget


def version_of(budget_id: int) -> int | None:
    """Names how a budget stands; every change of it, also a lowering, gives it another."""
    newest: int | None = Budget.history.filter(id=budget_id).aggregate(Max("history_id"))[
        "history_id__max"
    ]
    return newest


def hold_version(*, budget_id: int, seen: int | None) -> None:
    """Lock a budget for the caller's transaction, which stores it as edited from what was shown.

    Raises InvalidRequest when somebody else changed it meanwhile.
    """
    Budget.objects.select_for_update(no_key=True).get(pk=budget_id)
    if version_of(budget_id) != seen:
        raise InvalidRequest("Somebody changed this budget meanwhile. Look at it again.")


@transaction.atomic
def lower_budget(*, budget_id: int, limit: Decimal | None, reason: str, person: Any) -> Budget:
    """Tighten a cap at once: what operators may do while somebody finds out what is wrong.

    Raises NotFound, NotEligible, or InvalidRequest for a limit that is not lower, or no reason.
    """
    budget = Budget.objects.select_for_update(no_key=True).filter(pk=budget_id).first()
    if budget is None or not budget.is_active:
        raise NotFound
    if not rights.has(person, rights.LOWER_BUDGETS):
        raise NotEligible("Lowering a budget takes a right that you do not have.")
    if limit is None or not 0 <= limit < budget.limit or limit != round(limit, 2):
        least = f"Give a number from 0 to less than {budget.limit:f}, of two decimals at most."
        raise invalid("limit", "not-lower", least)
    said = stated(reason, missing="Say why it is lowered.")
    was, budget.limit = budget.limit, limit
    budget.full_clean()
    budget.save(update_fields=["limit"])
    record_change(
        stream=f"budget:{budget.pk}",
        kind="budget.lowered",
        person=person,
        body={"was": f"{was:f}", "becomes": f"{limit:f}", "reason": said},
    )
    return budget


def text_of(value: Any) -> Any:
    """A value as a ledger body holds it: amounts as text."""
    return value if isinstance(value, bool | int | None) else str(value)
