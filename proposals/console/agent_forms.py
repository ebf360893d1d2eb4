"""What people type about agents. The rules are the services'; these only parse."""

from typing import Any

from django import forms
from django.contrib.auth import get_user_model

from proposals import tokens
from proposals.console.forms import LARGEST_KEY, Refusable
from proposals.models import Agent, AgentToken, Grant
from proposals.registry import registry
from proposals.services.agents import LONGEST_DAYS
from proposals.targets import wiring

OVERLAPS = [("0", "not at all"), ("1", "1 hour"), ("24", "24 hours"), ("168", "7 days")]
USUAL_OVERLAP = "24"


def people() -> Any:
    """Who may answer for an agent: people who can sign in, and no service account."""
    return get_user_model().objects.filter(is_active=True, agent=None).order_by("username")


class PersonChoice(forms.ModelChoiceField):
    def label_from_instance(self, person: Any) -> str:
        name = person.get_full_name()
        return f"{name} ({person.get_username()})" if name else person.get_username()


class NewAgentForm(Refusable):
    """A new agent: its name, who answers for it, and whether it is only observed at first."""

    name = forms.CharField(
        max_length=64,
        validators=Agent._meta.get_field("name").validators,
        error_messages={"required": "Give it a name, such as refund-bot."},
    )
    owner = PersonChoice(
        people(),
        empty_label="Choose a person",
        error_messages={
            "required": "Choose the person who answers for it.",
            "invalid_choice": "There is no such person, or it is another agent.",
        },
    )
    is_observed = forms.BooleanField(required=False)


class PatternForm(Refusable):
    """A pattern, to see what it covers."""

    pattern = forms.CharField(
        max_length=128,
        validators=Grant._meta.get_field("pattern").validators,
        error_messages={"required": "Name an action, or a pattern such as records.*"},
    )


def menu() -> list[tuple[str, str]]:
    wiring.refresh()
    return [(action.name, action.name) for action in registry.menu()]


class GrantForm(Refusable):
    """What to let an agent propose: actions of the menu, a pattern, or both."""

    actions = forms.MultipleChoiceField(required=False, choices=menu)
    pattern = forms.CharField(
        required=False, max_length=128, validators=Grant._meta.get_field("pattern").validators
    )

    def clean(self) -> dict[str, Any]:
        chosen = self.patterns()
        if not chosen and not self.errors:
            self.add_error("pattern", "Choose an action, or give a pattern.")
        return self.cleaned_data

    def patterns(self) -> list[str]:
        given = [*self.cleaned_data.get("actions", ()), self.cleaned_data.get("pattern") or ""]
        return list(dict.fromkeys(pattern for pattern in given if pattern))


class IssueForm(Refusable):
    """How long a new token lasts, and how many there were when it was asked for."""

    days = forms.IntegerField(min_value=1, max_value=LONGEST_DAYS, initial=tokens.LIFETIME_DAYS)
    seen = forms.IntegerField(min_value=0, max_value=LARGEST_KEY)


class RotateForm(Refusable):
    """Which token to replace, and how long it stays valid beside the new one."""

    token = forms.IntegerField(min_value=1, max_value=LARGEST_KEY)
    overlap = forms.TypedChoiceField(coerce=int, choices=OVERLAPS)


class RevokeForm(Refusable):
    """Which token to end."""

    token = forms.IntegerField(min_value=1, max_value=LARGEST_KEY)


class StateForm(Refusable):
    """Why an agent is stopped, let go, observed or no longer observed."""

    reason = forms.CharField(max_length=500, error_messages={"required": "Give a reason."})


def live_tokens(agent: Agent) -> Any:
    """An agent's tokens, the newest first."""
    return AgentToken.objects.filter(agent=agent).select_related("issued_by").order_by("-pk")
