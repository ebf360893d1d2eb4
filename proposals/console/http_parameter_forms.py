"""One parameter of an action as a row of fields; which of them count depends on its kind."""

from copy import deepcopy
from typing import Any

from django import forms

from proposals.console import http_lines
from proposals.console.http_lines import BadLine
from proposals.http_actions.parameters import KINDS

MOST_ROWS = 20
KIND_WORDS = {
    "text": "text, free",
    "identifier": "identifier: a key of the other system",
    "choice": "choice of a few words",
    "integer": "integer: a whole number",
    "boolean": "boolean: yes or no",
    "decimal": "decimal: a number with a point",
    "money": "money: an amount with its currency",
}
# Which fields a kind has beyond those of every kind.
COUNTS = {
    "text": ("max_length", "pattern", "multiline"),
    "identifier": ("max_length", "pattern"),
    "choice": ("choices",),
    "integer": ("minimum", "maximum"),
    "boolean": (),
    "decimal": ("digits", "minimum", "maximum", "currencies"),
    "money": ("currencies", "maximum"),
}
DEFAULTS = {"required": True, "multiline": False}


def write(into: dict[str, Any], name: str, value: Any, default: Any = None) -> None:
    """Say this; what is empty or at its default is left out, unless it was said already."""
    if name in into and into[name] == value:
        return
    if value is None or value in ("", {}, []) or value == default:
        into.pop(name, None)
    else:
        into[name] = value


class ParameterForm(forms.Form):
    """One row. Without a name and a description it says nothing."""

    was = forms.CharField(required=False, max_length=40, widget=forms.HiddenInput)
    name = forms.CharField(required=False, max_length=60, label="Name")
    kind = forms.ChoiceField(
        required=False, choices=[(kind, KIND_WORDS[kind]) for kind in KINDS], label="Kind"
    )
    description = forms.CharField(
        required=False, max_length=600, label="What agents are told of it"
    )
    max_length = forms.IntegerField(
        required=False, min_value=1, label="Longest", help_text="In characters."
    )
    pattern = forms.CharField(
        required=False,
        max_length=300,
        label="Pattern",
        help_text="A regular expression for the whole of it, such as ch_[a-z0-9]+",
    )
    choices = forms.CharField(
        required=False, max_length=6000, label="Choices", help_text="Separated by commas."
    )
    minimum = forms.CharField(required=False, max_length=30, label="At least")
    maximum = forms.CharField(required=False, max_length=30, label="At most")
    digits = forms.IntegerField(
        required=False, min_value=0, label="Digits", help_text="After the point; 2 if empty."
    )
    currencies = forms.CharField(
        required=False,
        max_length=1000,
        label="Currencies",
        help_text="Such as EUR, USD. Of a decimal one, or none.",
    )
    multiline = forms.BooleanField(required=False, label="May have several lines")
    optional = forms.BooleanField(required=False, label="May be left out")
    remove = forms.BooleanField(required=False, label="Remove this parameter")

    @property
    def typed_name(self) -> str:
        return str(self["name"].value() or "").strip()

    @property
    def parts(self) -> list[tuple[str, Any]]:
        """Every visible field, with the kinds that it counts for; empty for all of them."""
        return [
            (" ".join(kind for kind, names in COUNTS.items() if field.name in names), field)
            for field in self.visible_fields()
        ]

    def is_empty(self) -> bool:
        given = self.cleaned_data
        return given["remove"] or not (given.get("name") or given.get("description"))

    def clean_choices(self) -> list[str]:
        try:
            return http_lines.texts(self.cleaned_data["choices"])
        except BadLine as error:
            raise forms.ValidationError(str(error)) from None

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if not given.get("name") and given.get("description") and not given.get("remove"):
            self.add_error("name", "Give it a name, or remove it.")
        if given.get("kind") == "integer" and not given.get("remove"):
            for name in ("minimum", "maximum"):
                self.make_whole(name)
        return given

    def make_whole(self, name: str) -> None:
        text = self.cleaned_data.get(name) or ""
        if text and not text.removeprefix("-").isdecimal():
            self.add_error(name, "A whole number.")
        elif text:
            self.cleaned_data[name] = int(text)

    def entry(self, base: Any) -> dict[str, Any]:
        """The parameter as a definition has it; what has no field here stays as it was."""
        given = self.cleaned_data
        kind = given["kind"] or KINDS[0]
        is_kept = isinstance(base, dict) and base.get("kind") == kind
        found = deepcopy(base) if is_kept else {"kind": kind}
        write(found, "description", given["description"])
        write(found, "required", not given["optional"], True)
        for name in ("max_length", "pattern", "multiline", "choices", "minimum", "maximum"):
            if name in COUNTS[kind]:
                write(found, name, given[name], DEFAULTS.get(name))
        if "digits" in COUNTS[kind]:
            write(found, "digits", given["digits"])
        codes = given["currencies"].replace(",", " ").split()
        if kind == "money":
            write(found, "currencies", codes)
        elif kind == "decimal":
            write(found, "currency", " ".join(codes))
        return found


def initial_of(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    """What the row of a parameter shows."""
    currencies = entry.get("currencies", [entry["currency"]] if entry.get("currency") else [])
    plain = ("kind", "description", "max_length", "pattern", "minimum", "maximum", "digits")
    return {
        **{part: entry[part] for part in (*plain, "multiline") if part in entry},
        "was": name,
        "name": name,
        "choices": http_lines.show_texts(entry.get("choices", [])),
        "currencies": ", ".join(currencies),
        "optional": not entry.get("required", True),
    }
