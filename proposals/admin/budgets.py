"""Budgets, which policy administrators edit, and what counts against them."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from budgets.models import Budget, Refusal, Reservation
from ledger.readonly_admin import ReadOnlyAdmin
from proposals import services
from proposals.admin.base import EditableAdmin, moment
from proposals.exceptions import InvalidRequest


class BudgetForm(forms.ModelForm):
    """Carries what was shown, so that it is never stored over what somebody changed meanwhile."""

    seen = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.fields["seen"].initial = services.version_of(self.instance.pk)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.instance.pk:
            try:
                services.hold_version(budget_id=self.instance.pk, seen=cleaned.get("seen"))
            except InvalidRequest as refusal:
                self.add_error(None, str(refusal))
        return cleaned


@admin.register(Budget)
class BudgetAdmin(EditableAdmin):
    form = BudgetForm
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

    def get_fieldsets(self, request: HttpRequest, obj: Budget | None = None) -> Any:
        shown = super().get_fieldsets(request, obj)
        if obj is None or not self.has_change_permission(request, obj):
            return shown
        return [*shown, (None, {"fields": ("seen",)})]

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
