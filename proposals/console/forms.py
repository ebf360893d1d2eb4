"""What people type: filters, decisions, reasons. The rules are the services'; these only parse."""

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.db.models import QuerySet

from proposals.exceptions import InvalidRequest
from proposals.models import Agent, Proposal, Review
from proposals.policy import Effect
from proposals.registry import Tier, registry

ANY = ("", "Any")


def actions() -> list[tuple[str, str]]:
    """Every action there is, also those that only undo."""
    return [ANY, *((name, name) for name in sorted(registry.actions))]


class SignIn(AuthenticationForm):
    """A name and a password, pasted or typed."""


class Filters(forms.Form):
    """Filters of a list; a GET form, so that a filtered list has an address."""

    tier = forms.ChoiceField(
        required=False, choices=[ANY, *((tier.value, tier.value.capitalize()) for tier in Tier)]
    )
    action = forms.ChoiceField(required=False, choices=actions)
    agent = forms.ModelChoiceField(
        Agent.objects.order_by("name"), required=False, to_field_name="name", empty_label="Any"
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"auto_id": "filter_%s", **kwargs})

    def chosen(self) -> dict[str, str]:
        """The filters that are set and understood, as they stand in an address."""
        return {
            name: getattr(given, "name", None) or str(given)
            for name, given in self.cleaned_data.items()
            if given
        }

    def words(self) -> list[tuple[str, str]]:
        """The filters that are set, for people."""
        return [(str(self[name].label), word) for name, word in self.chosen().items()]

    def narrow(self, found: QuerySet[Proposal]) -> QuerySet[Proposal]:
        given = self.cleaned_data
        if given.get("tier"):
            found = found.filter(tier=given["tier"])
        if given.get("action"):
            found = found.filter(action=given["action"])
        if given.get("agent"):
            found = found.filter(agent=given["agent"])
        return found


class QueueFilters(Filters):
    """Filters of the queue."""


class WriteFilters(Filters):
    """Filters of recent writes."""

    alone = forms.BooleanField(required=False, label="No person involved")

    def chosen(self) -> dict[str, str]:
        return super().chosen() | ({"alone": "on"} if self.cleaned_data.get("alone") else {})

    def words(self) -> list[tuple[str, str]]:
        return [(label, "yes" if word == "on" else word) for label, word in super().words()]

    def narrow(self, found: QuerySet[Proposal]) -> QuerySet[Proposal]:
        found = super().narrow(found)
        if self.cleaned_data.get("alone"):
            found = found.filter(current_check__effect=Effect.ALLOW, proposer=None)
        return found


class Refusable(forms.Form):
    """A form to which a service's refusal can be added, field by field."""

    def refuse(self, refusal: InvalidRequest) -> None:
        for fault in refusal.errors:
            name = fault["pointer"].removeprefix("/")
            self.add_error(name if name in self.fields else None, fault["detail"])
        if not refusal.errors:
            self.add_error(None, str(refusal))


class DecisionForm(Refusable):
    """One person's verdict, bound by digest to what was on the screen."""

    decision = forms.ChoiceField(
        choices=Review.Decision.choices,
        error_messages={"required": "Choose one of the four verdicts."},
    )
    digest = forms.CharField(max_length=71)
    reason = forms.CharField(required=False, max_length=2000)
    reason_code = forms.ChoiceField(
        required=False, choices=[("", "None of these"), *Review.ReasonCode.choices]
    )
    is_for_agent = forms.BooleanField(required=False)
    fact = forms.CharField(required=False, max_length=200)

    def clean_reason_code(self) -> str:
        """A kind of reason belongs to a rejection; with another verdict it is not meant."""
        rejects = self.cleaned_data.get("decision") == Review.Decision.REJECT
        return self.cleaned_data["reason_code"] if rejects else ""


class UndoForm(Refusable):
    """Why something is taken back, and whether over what was changed since."""

    reason = forms.CharField(required=False, max_length=2000)
    over_conflicts = forms.BooleanField(required=False)


class ReasonForm(Refusable):
    """A reason alone."""

    reason = forms.CharField(required=False, max_length=500)
