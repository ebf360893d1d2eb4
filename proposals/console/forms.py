"""What people type: filters, decisions, reasons. The rules are the services'; these only parse."""

from datetime import timedelta
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.db.models import Q, QuerySet

from ledger import clock
from proposals.console.widgets import Choice
from proposals.exceptions import InvalidRequest
from proposals.lifecycle import OPEN
from proposals.models import Agent, Freeze, Preferences, Proposal, Review, Run
from proposals.models.review import LONGEST_FIELD, LONGEST_OBJECT
from proposals.policy import Effect
from proposals.registry import Tier, registry
from proposals.targets import wiring

ANY = ("", "Any")
LARGEST_KEY = 2**63 - 1
GONE = "There is no such thing to let go on."


def actions() -> list[tuple[str, str]]:
    """Every action there is, also those that only undo."""
    wiring.refresh()
    return [ANY, *((name, name) for name in registry.names())]


class Filters(forms.Form):
    """Filters of a list; a GET form, so that a filtered list has an address."""

    tier = forms.ChoiceField(
        required=False,
        choices=[ANY, *((tier.value, tier.value.capitalize()) for tier in Tier)],
        widget=Choice,
    )
    action = forms.ChoiceField(required=False, choices=actions, widget=Choice)
    agent = forms.ModelChoiceField(
        Agent.objects.order_by("name"),
        required=False,
        to_field_name="name",
        empty_label="Any",
        widget=Choice,
    )
    run = forms.IntegerField(required=False, min_value=1, max_value=LARGEST_KEY)

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
        if given.get("run"):
            found = found.filter(run=given["run"])
        return found


CHECKS = {
    "review": ("Needs approval", Q(current_check__effect=Effect.REVIEW)),
    "allow": ("No approval required", Q(current_check__effect=Effect.ALLOW)),
    "error": ("Preview failed", ~Q(current_check__error="") & Q(current_check__isnull=False)),
    "none": ("Not checked yet", Q(current_check__isnull=True)),
}
MARKS = {
    "hidden": ("Hidden characters", Q(current_check__hides_text=True)),
    "for-good": (
        "Not reversible",
        Q(current_check__is_reversible=False, current_check__error=""),
    ),
    "moved": ("Target moved", Q(has_moved=True)),
    "conflict": (
        "Target changed since",
        Q(current_check__isnull=False) & ~Q(current_check__conflicts=[]),
    ),
    "duplicate": ("Possible duplicate", Q(duplicate_of__isnull=False)),
    "undo": ("Undo", Q(compensates__isnull=False)),
    "revised": ("Revised", Q(revision_number__gt=1)),
}
GROUPINGS = ("agent", "run", "action", "object")
DUE_HOURS = {"4": "Within 4 hours", "24": "Within a day", "72": "Within 3 days"}


def choices(table: dict[str, tuple[str, Q]]) -> list[tuple[str, str]]:
    return [ANY, *((name, label) for name, (label, _) in table.items())]


class QueueFilters(Filters):
    """Filters of the queue: each by a fact that the system computed."""

    object = forms.CharField(required=False, max_length=255, strip=True)
    checks = forms.ChoiceField(required=False, choices=choices(CHECKS), widget=Choice)
    marked = forms.ChoiceField(required=False, choices=choices(MARKS), widget=Choice)
    due = forms.ChoiceField(required=False, choices=[ANY, *DUE_HOURS.items()], widget=Choice)

    group = forms.ChoiceField(
        required=False,
        label="Group by",
        choices=[("", "None"), *((name, name.capitalize()) for name in GROUPINGS)],
        widget=Choice,
    )

    RARE = ("checks", "marked", "due", "run")

    field_order = ["tier", "action", "agent", "object", "group", *RARE]

    @property
    def usual(self) -> list[forms.BoundField]:
        return [field for field in self if field.name not in self.RARE]

    @property
    def rare(self) -> list[forms.BoundField]:
        """What is asked for now and then: folded away, unless it is in use."""
        return [self[name] for name in self.RARE]

    @property
    def has_rare(self) -> bool:
        return any(name in self.chosen() for name in self.RARE)

    def words(self) -> list[tuple[str, str]]:
        """The filters that are set, by the words of their choices."""
        named = {**dict(choices(CHECKS)), **dict(choices(MARKS)), **DUE_HOURS}
        own = ("checks", "marked", "due")
        return [
            (str(self[name].label), named.get(word, word) if name in own else word)
            for name, word in self.chosen().items()
            if name != "group"  # which leaves nothing out
        ]

    @property
    def grouping(self) -> str:
        return str(self.cleaned_data.get("group") or "")

    def narrow(self, found: QuerySet[Proposal]) -> QuerySet[Proposal]:
        found, given = super().narrow(found), self.cleaned_data
        if given.get("object"):
            found = found.filter(resource=given["object"])
        if given.get("checks"):
            found = found.filter(CHECKS[given["checks"]][1])
        if given.get("marked"):
            found = found.filter(MARKS[given["marked"]][1])
        if given.get("due"):
            until = clock.now() + timedelta(hours=int(given["due"]))
            found = found.filter(status__in=OPEN, expires_at__lte=until)
        return found


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

    def said_wrong(self) -> list[str]:
        """Every fault of what was typed; none of a form that nobody has sent."""
        return [str(fault) for faults in self.errors.values() for fault in faults]


class DecisionForm(Refusable):
    """One person's verdict, bound by digest to what was on the screen."""

    decision = forms.ChoiceField(
        choices=[(verdict.value, verdict.label) for verdict in Review.VERDICTS],
        error_messages={
            "required": "Choose one of the four verdicts.",
            "invalid_choice": "Choose one of the four verdicts.",
        },
    )
    digest = forms.CharField(max_length=71)
    reason = forms.CharField(required=False, max_length=2000)
    reason_code = forms.ChoiceField(
        required=False, choices=[("", "None of these"), *Review.ReasonCode.choices]
    )
    is_for_agent = forms.BooleanField(required=False)
    fact = forms.CharField(required=False, max_length=200)
    about = forms.CharField(required=False, max_length=LONGEST_OBJECT, strip=False)
    field = forms.CharField(required=False, max_length=LONGEST_FIELD, strip=False)
    blocks = forms.BooleanField(required=False)

    def clean(self) -> dict[str, Any]:
        """A comment has a place; with another verdict it is not meant. The tick is left to tell."""
        if self.cleaned_data.get("decision") not in {None, Review.Decision.COMMENT}:
            self.cleaned_data |= {"about": "", "field": ""}
        return self.cleaned_data

    def clean_reason_code(self) -> str:
        """A kind of reason belongs to a rejection; with another verdict it is not meant."""
        rejects = self.cleaned_data.get("decision") == Review.Decision.REJECT
        return self.cleaned_data["reason_code"] if rejects else ""


class UndoForm(Refusable):
    """Why something is taken back, and whether over what was changed since."""

    reason = forms.CharField(required=False)
    over_conflicts = forms.BooleanField(required=False)


class RunUndoForm(Refusable):
    """Why a whole run is taken back, and what happens to what it has not written yet."""

    reason = forms.CharField(required=False)
    withdraws_open = forms.BooleanField(required=False)
    freezes = forms.BooleanField(required=False)


class ReasonForm(Refusable):
    """A reason alone."""

    reason = forms.CharField(required=False, max_length=500)


class FreezeForm(Refusable):
    """What to stop, and why. Only what belongs to the chosen scope is looked at."""

    scope = forms.ChoiceField(
        choices=Freeze.Scope.choices, error_messages={"required": "Choose what to stop."}
    )
    agent = forms.ModelChoiceField(
        Agent.objects.order_by("name"),
        required=False,
        to_field_name="name",
        empty_label="Choose an agent",
        error_messages={"invalid_choice": "There is no such agent."},
    )
    action = forms.ChoiceField(
        required=False, choices=lambda: [("", "Choose an action"), *actions()[1:]]
    )
    run = forms.CharField(required=False, max_length=20)
    reason = forms.CharField(
        max_length=500, error_messages={"required": "Say why this is stopped."}
    )

    def clean_run(self) -> Run | None:
        """The run by its number, as lists show it."""
        number = self.cleaned_data["run"].strip().removeprefix("run ")
        if not number or self.cleaned_data.get("scope") != Freeze.Scope.RUN:
            return None
        is_key = number.isascii() and number.isdigit() and int(number) <= LARGEST_KEY
        found = Run.objects.filter(pk=number).first() if is_key else None
        if found is None:
            raise forms.ValidationError("There is no run of this number.")
        return found

    def clean(self) -> dict[str, Any]:
        scope = self.cleaned_data.get("scope", "")
        if scope in MISSING and scope not in self.errors and not self.cleaned_data.get(scope):
            self.add_error(scope, MISSING[scope])
        return self.cleaned_data

    def target(self) -> dict[str, Any]:
        """What is named, as the service takes it; nothing for everything."""
        scope = self.cleaned_data["scope"]
        return {} if scope == Freeze.Scope.EVERYTHING else {scope: self.cleaned_data[scope]}


MISSING = {
    "agent": "Choose which agent.",
    "action": "Choose which action.",
    "run": "Give the number of the run.",
}


class LiftForm(Refusable):
    """Which freeze to lift, and why it is safe."""

    freeze = forms.ModelChoiceField(
        Freeze.objects.select_related("agent", "run__agent"),
        error_messages={"required": GONE, "invalid_choice": GONE},
    )
    reason = forms.CharField(
        max_length=500, error_messages={"required": "Say why it is safe to go on."}
    )


class SuspendForm(Refusable):
    """Which agent to suspend, and why."""

    agent = forms.ModelChoiceField(
        Agent.objects.order_by("name"),
        to_field_name="name",
        empty_label="Choose an agent",
        error_messages={"required": "Choose which agent.", "invalid_choice": "No such agent."},
    )
    reason = forms.CharField(
        max_length=500, error_messages={"required": "Say why the agent is suspended."}
    )


class ResumeForm(Refusable):
    """Which agent to let go on."""

    agent = forms.ModelChoiceField(
        Agent.objects.all(), to_field_name="name", error_messages={"invalid_choice": GONE}
    )
    reason = forms.CharField(
        max_length=500, error_messages={"required": "Say why it is safe to go on."}
    )


def time_zones() -> list[tuple[str, str]]:
    """UTC and the zones that are named by a place."""
    places = (name for name in available_timezones() if "/" in name)
    return [("UTC", "UTC"), *((name, name) for name in sorted(places))]


class PreferencesForm(Refusable):
    """How pages look to one person."""

    theme = forms.ChoiceField(choices=Preferences.Theme.choices, widget=forms.RadioSelect)
    density = forms.ChoiceField(choices=Preferences.Density.choices, widget=forms.RadioSelect)
    time_zone = forms.ChoiceField(
        choices=time_zones,
        error_messages={"invalid_choice": "No such time zone; choose one of the list."},
    )
    has_shortcuts = forms.BooleanField(required=False)
