"""Budgets, which policy administrators edit, and what counts against them."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from budgets.models import Budget, Refusal, Reservation
from ledger.readonly_admin import ReadOnlyAdmin
from proposals import services
from proposals.admin.base import EditableAdmin, moment


@admin.register(Budget)
class BudgetAdmin(EditableAdmin):
    list_display = ("name", "unit", "limit", "window_seconds", "on_exceed", "lane", "is_active")
    list_filter = ("unit", "lane", "is_active")
    fieldsets = (
        (
            None,
            {
                "fields": ("name", "unit", "currency", "limit", "window_seconds", "on_exceed"),
                "description": "Every write passes every budget that covers it. Budgets are "
                "switched off, never deleted.",
            },
        ),
        (
            "What it covers",
            {"fields": ("lane", "agent_pattern", "action_pattern", "resource_pattern")},
        ),
        (
            "What is counted apart",
            {"fields": ("per_agent", "per_run", "per_action", "per_resource", "is_active")},
        ),
    )
    history_list_display = ("limit", "window_seconds", "is_active")

    def save_model(self, request: HttpRequest, obj: Budget, form: Any, change: bool) -> None:
        if form.changed_data or not change:
            services.save_budget(budget=obj, person=request.user, is_new=not change)


@admin.register(Reservation)
class ReservationAdmin(ReadOnlyAdmin):
    list_display = ("id", "budget", "proposal", "amount", "status", "counted")
    list_select_related = ("scope__budget",)
    list_filter = ("status",)

    counted = moment("counted_at", "counted")

    @admin.display(description="budget")
    def budget(self, reservation: Reservation) -> str:
        return reservation.scope.budget.name


@admin.register(Refusal)
class RefusalAdmin(ReadOnlyAdmin):
    list_display = ("id", "budget", "agent_name", "count", "began", "ended")
    list_select_related = ("budget",)

    began = moment("since", "from")
    ended = moment("last_at", "to")
