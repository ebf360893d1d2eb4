"""What people type to stop and to start again. The services decide; these name the field."""

from typing import Any

from django import forms

from ledger.readonly_admin import precise
from proposals import freezing, rights, services, stops
from proposals.console.forms import FreezeForm, Refusable
from proposals.models import Freeze
from proposals.text import plain


class StopForm(FreezeForm):
    """What to freeze, and why. What stops nothing or is stopped already is refused at its field."""

    scope = forms.ChoiceField(
        label="What to freeze",
        choices=[(scope.value, f"{scope.label}: {what}") for scope, what in stops.SCOPES.items()],
        widget=forms.RadioSelect,
        error_messages={"required": "Choose what to stop."},
    )
    action: Any = forms.CharField(
        required=False,
        max_length=128,
        widget=forms.TextInput(attrs={"list": "actions", "autocomplete": "off", "size": 40}),
        help_text="Such as records.update, or a pattern such as records.*",
    )
    run = forms.CharField(
        required=False,
        max_length=20,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
        help_text="Its number, as the list of runs shows it.",
    )
    reason = forms.CharField(
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60}),
        help_text="Shown to people and kept in the ledger.",
        error_messages={"required": "Say why this is stopped."},
    )

    def __init__(self, *args: Any, person: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not rights.has(person, rights.FREEZE):
            agents: Any = self.fields["agent"]
            agents.queryset = person.owned_agents.order_by("name")

    def clean_action(self) -> str:
        named = self.cleaned_data["action"]
        if self.cleaned_data.get("scope") != Freeze.Scope.ACTION:
            return ""
        if named and not services.actions_fitting(named):
            raise forms.ValidationError(stops.NO_SUCH_ACTION)
        return named

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if self.errors.keys() - {"reason"}:
            return cleaned
        found = freezing.in_force().filter(**freezing.target(**self.target())).first()
        if found:
            scope = cleaned["scope"]
            name = "scope" if scope == Freeze.Scope.EVERYTHING else scope
            since = precise(found.frozen_at)
            self.add_error(name, f"Frozen already since {since}, because: {plain(found.reason)}")
        return cleaned

    def wanted(self) -> Freeze:
        """The freeze that is asked for, not stored."""
        return Freeze(**freezing.target(**self.target()), reason=self.cleaned_data["reason"])


class WhyForm(Refusable):
    """A reason, and nothing else to choose."""

    reason = forms.CharField(
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60}),
        help_text="Kept in the ledger.",
    )

    def __init__(self, *args: Any, missing: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].error_messages["required"] = missing
