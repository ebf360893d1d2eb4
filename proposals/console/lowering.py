"""The page to lower a budget: for operators, who may tighten a cap and never loosen it."""

from decimal import Decimal, InvalidOperation

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from budgets.models import Budget
from budgets.standings import plain
from proposals import rights, services
from proposals.console.admission import Request, people_only
from proposals.console.budgets import covers
from proposals.exceptions import ProposalError

NO_RIGHT = "Lowering a budget takes a right that you do not have; an operator has it."


@require_http_methods(["GET", "HEAD", "POST"])
@people_only
def lower(request: Request, budget_id: int) -> HttpResponse:
    """How much less may be written?"""
    budget = get_object_or_404(Budget, pk=budget_id, is_active=True)
    if not rights.has(request.user, rights.LOWER_BUDGETS):
        raise PermissionDenied(NO_RIGHT)
    sent = {"limit": plain(budget.limit), "reason": ""}
    error = ""
    if request.method == "POST":
        sent = {name: request.POST.get(name, "").strip() for name in sent}
        try:
            services.lower_budget(
                budget_id=budget_id,
                limit=amount(sent["limit"]),
                reason=sent["reason"],
                person=request.user,
            )
        except ProposalError as refusal:
            error = str(refusal)
        else:
            messages.success(request, f"{budget.name} is now {sent['limit']}.")
            return redirect("budgets")
    context = {"place": "budgets", "budget": budget, "sent": sent, "error": error}
    context["sentence"] = covers(budget)
    return render(request, "console/lower_budget.html", context, status=422 if error else 200)


def amount(typed: str) -> Decimal | None:
    """The number that was typed, or None for what is no number."""
    try:
        found = Decimal(typed)
    except InvalidOperation:
        return None
    return found if found.is_finite() else None
