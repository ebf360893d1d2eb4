"""What people type about mails. The rules are the services'; these only parse.

Which fields there are is read from the text: each gap, such as {order}, gets a group of its own.
"""

from typing import Any

from django import forms

from proposals.actions.mailing import MOST_FIELDS, PLACE, Kind
from proposals.console.forms import Refusable
from proposals.exceptions import InvalidRequest
from proposals.models import MailTemplate
from proposals.registry import Tier

KINDS = [
    (Kind.LINE, "One line of text"),
    (Kind.PARAGRAPH, "Text of several lines"),
    (Kind.INTEGER, "Whole number"),
    (Kind.MONEY, "Money with its currency"),
    (Kind.DATE, "Date"),
    (Kind.CHOICE, "One of these values"),
]
PARTS = ("kind", "label", "max_length", "choices")
WIDE = {"rows": 12, "spellcheck": "true"}


class TemplateForm(Refusable):
    """One mail with gaps, and a group of fields for each gap that its text has."""

    name = forms.CharField(
        max_length=40, help_text="What agents call it, such as order-shipped. It stays."
    )
    label = forms.CharField(
        max_length=60,
        required=False,
        label="What people call it",
        help_text="Such as Order shipped. Reviewers read: Send “Order shipped” to …",
    )
    subject = forms.CharField(
        max_length=250, help_text="A gap that an agent fills is a word in braces, such as {order}."
    )
    body = forms.CharField(
        label="Text",
        max_length=10_000,
        strip=False,
        widget=forms.Textarea(attrs=WIDE),
        help_text="Plain text, as the recipient reads it. A brace that is none is {{ or }}.",
    )
    tier = forms.ChoiceField(
        choices=MailTemplate.TIERS,
        initial=Tier.MEDIUM.value,
        help_text="What a wrong mail would cost. High needs two people.",
    )

    def __init__(self, *args: Any, is_new: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not is_new:
            del self.fields["name"]
        self.gaps = gaps_in(self.initial if not self.is_bound else self.data)
        for gap in self.gaps:
            self.add_gap(gap)

    def add_gap(self, gap: str) -> None:
        own = f"{gap}-"
        self.fields[own + "kind"] = forms.ChoiceField(
            choices=KINDS, initial=Kind.LINE, required=False, label=f"Kind of {gap}"
        )
        self.fields[own + "label"] = forms.CharField(
            max_length=200, required=False, label=f"What {gap} means"
        )
        self.fields[own + "max_length"] = forms.IntegerField(
            min_value=1,
            max_value=5000,
            required=False,
            initial=200,
            label=f"Longest {gap}",
            help_text="Characters, for text.",
        )
        self.fields[own + "choices"] = forms.CharField(
            max_length=2000,
            required=False,
            label=f"Values of {gap}",
            help_text="One a line, if it is one of these.",
            widget=forms.Textarea(attrs={"rows": 2}),
        )

    def own_fields(self) -> list[Any]:
        """The fields of the mail as a whole."""
        names = ("name", "label", "subject", "body", "tier")
        return [self[name] for name in names if name in self.fields]

    def groups(self) -> list[dict[str, Any]]:
        """For the template: each gap with its bound fields, in the order of the text."""
        return [
            {"gap": gap, "fields": [self[f"{gap}-{part}"] for part in PARTS]} for gap in self.gaps
        ]

    def definition(self) -> dict[str, Any]:
        """What was filled in, in the words of a template."""
        given = self.cleaned_data
        names = ("label", "subject", "body", "tier")
        return {
            **{name: given[name] for name in names},
            "fields": [self.entry(gap) for gap in self.gaps],
        }

    def entry(self, gap: str) -> dict[str, Any]:
        given, own = self.cleaned_data, f"{gap}-"
        kind = Kind(given[own + "kind"] or Kind.LINE)
        entry: dict[str, Any] = {"name": gap, "kind": kind.value, "label": given[own + "label"]}
        if kind in {Kind.LINE, Kind.PARAGRAPH}:
            entry["max_length"] = given[own + "max_length"] or 200
        if kind is Kind.CHOICE:
            listed = [line.strip() for line in given[own + "choices"].splitlines()]
            entry["choices"] = [line for line in listed if line]
        return entry

    def refuse(self, refusal: InvalidRequest) -> None:
        """Add each fault where it was typed: `/fields/0/choices` is `order-choices`."""
        for fault in refusal.errors:
            place = fault["pointer"].strip("/").split("/")
            if place[0] == "fields" and len(place) > 1:
                part = place[2] if len(place) > 2 else "choices"
                place = [f"{self.gaps[int(place[1])]}-{part}"]
            told = f"{fault['detail'][:1].upper()}{fault['detail'][1:]}."
            self.add_error(place[0] if place[0] in self.fields else None, told)
        if not refusal.errors:
            self.add_error(None, str(refusal))


def gaps_in(given: Any) -> list[str]:
    """The gaps of subject and text in the order in which they are read, whatever else is wrong.

    So that nothing that was said about one is lost while a stray brace is mended.
    """
    whole = "\n".join(str(given.get(name) or "") for name in ("subject", "body"))
    found = (match[1] for match in PLACE.finditer(whole) if match[1])
    return list(dict.fromkeys(found))[: MOST_FIELDS + 1]


def initial_of(template: MailTemplate) -> dict[str, Any]:
    """What the form shows first."""
    initial: dict[str, Any] = dict(template.definition())
    for entry in initial.pop("fields"):
        own = f"{entry['name']}-"
        initial |= {own + part: entry[part] for part in PARTS if part in entry}
        initial[own + "choices"] = "\n".join(entry.get("choices", ()))
    return initial


class DomainsForm(Refusable):
    """The domains that mails may go to, one a line."""

    domains = forms.CharField(
        required=False,
        max_length=20_000,
        label="Domains",
        widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "false", "class": "mono"}),
        help_text="One a line, such as shop.example. Each counts exactly as it stands: no domain "
        "below it, none above it. Write other scripts as xn--….",
    )

    def listed(self) -> list[str]:
        lines = [line.strip().lower() for line in self.cleaned_data["domains"].splitlines()]
        return [line for line in lines if line]
