"""What people type about databases and tables. The rules are the services'; these only parse."""

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from proposals.actions.tables import SPELLED
from proposals.console import value_labels
from proposals.console.forms import Refusable
from proposals.models import Database
from proposals.registry import Tier
from proposals.targets.inspection import Found

HOST = re.compile(r"[A-Za-z0-9._:/%-]{1,255}")
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
PARTS = ("writable", "label", "kind", "tier", "choices", "labels", "currency")
TIERS = [(tier.value, tier.value.capitalize()) for tier in Tier]


class ConnectionForm(Refusable):
    """Where a database is and who we are there. The password goes in and never comes out."""

    name = forms.CharField(
        max_length=40,
        help_text="The first word of its tables' names, such as crm in crm.customers. It stays.",
    )
    engine = forms.ChoiceField(
        choices=Database.Engine.choices, initial=Database.Engine.POSTGRESQL, label="Kind"
    )
    host = forms.CharField(
        max_length=255, required=False, help_text="A name or an address. For PostgreSQL."
    )
    port = forms.IntegerField(min_value=1, max_value=65535, required=False, initial=5432)
    database = forms.CharField(
        max_length=400,
        label="Database, or file",
        help_text="The database's name; for SQLite the whole path of the file.",
    )
    user = forms.CharField(
        max_length=63, required=False, label="Role", help_text="A role that can do no more."
    )
    password = forms.CharField(
        required=False,
        max_length=1000,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Kept encrypted and never shown again.",
    )
    tls = forms.ChoiceField(
        choices=Database.Tls.choices, initial=Database.Tls.REQUIRE, label="Encryption"
    )

    def __init__(self, *args: Any, database: Database | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if database is not None:
            del self.fields["name"], self.fields["engine"]
            self.fields[
                "password"
            ].help_text = "Empty keeps the stored one, unless what it is sent to changes."

    def clean_host(self) -> str:
        host = self.cleaned_data["host"]
        if host and not HOST.fullmatch(host):
            raise ValidationError("A host name or an address, and nothing else.")
        return host

    def wanted(self) -> dict[str, Any]:
        """The fields of the row, empty where they mean nothing to a file."""
        return {name: value for name, value in self.cleaned_data.items() if name != "password"}

    def refuse_invalid(self, error: ValidationError) -> None:
        """Add what the row refuses, each to its field."""
        for name, faults in error.message_dict.items():
            for fault in faults:
                self.add_error(name if name in self.fields else None, fault)


class TableForm(Refusable):
    """How one table may be written to, with a group of fields for each of its columns."""

    label = forms.CharField(
        max_length=60,
        required=False,
        label="What one row is called",
        help_text="Such as customer. Reviewers read: Change status of customer 42.",
    )
    key = forms.ChoiceField(label="Key", help_text="The column that names one row.")
    label_column = forms.ChoiceField(
        required=False, label="Human name", help_text="The column by which people know a row."
    )
    tier = forms.ChoiceField(
        choices=TIERS,
        initial=Tier.HIGH,
        label="Tier",
        help_text="What a mistake would cost, for columns that do not say otherwise.",
    )
    creatable = forms.BooleanField(required=False, label="Rows may be created")
    archive_column = forms.ChoiceField(
        required=False,
        label="Archiving",
        help_text="The empty moment that records.archive fills in. Without one, rows cannot be "
        "archived and creating cannot be undone.",
    )

    def __init__(self, *args: Any, columns: list[Found], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.columns = [found for found in columns if IDENTIFIER.fullmatch(found.name)]
        names = [(found.name, found.name) for found in self.columns if found.kinds]
        keys = [
            (one.name, one.name) for one in self.columns if {"integer", "text"} & set(one.kinds)
        ]
        moments = [
            (one.name, one.name)
            for one in self.columns
            if "timestamp" in one.kinds and one.is_nullable
        ]
        fields: Any = self.fields
        fields["key"].choices = keys
        fields["label_column"].choices = [("", "None: rows are known by their key"), *names]
        fields["archive_column"].choices = [("", "None: rows are not archived"), *moments]
        for found in self.columns:
            self.add_column(found, names)

    def add_column(self, found: Found, names: list[tuple[str, str]]) -> None:
        if not found.kinds:
            return
        own = f"{found.name}-"
        self.fields[own + "writable"] = forms.BooleanField(
            required=False, label=f"Agents may set {found.name}"
        )
        self.fields[own + "label"] = forms.CharField(
            required=False, max_length=200, label=f"What {found.name} means"
        )
        self.fields[own + "kind"] = forms.ChoiceField(
            choices=[(kind, kind) for kind in found.kinds], label=f"Kind of {found.name}"
        )
        self.fields[own + "tier"] = forms.ChoiceField(
            required=False,
            choices=[("", "As the table"), *TIERS],
            label=f"Tier of {found.name}",
        )
        if "text" in found.kinds:
            self.fields[own + "choices"] = forms.CharField(
                required=False,
                max_length=2000,
                label=f"Only these values of {found.name}",
                help_text="Separated by commas. Empty: any text.",
            )
        if set(SPELLED) & set(found.kinds):
            self.fields[own + "labels"] = forms.CharField(
                required=False,
                max_length=value_labels.LONGEST,
                strip=False,
                widget=forms.Textarea(attrs={"rows": 3}),
                label=f"What people call the values of {found.name}",
                help_text="One on a line: paid = Paid in full. Reviewers read the label beside the "
                "stored value; what has no label is shown as it is stored.",
            )
        if "decimal" in found.kinds:
            self.fields[own + "currency"] = forms.ChoiceField(
                required=False,
                choices=[("", "Not money"), *names],
                label=f"Currency of {found.name}",
                help_text="The column that holds it. Reviewers read it beside the amount's name.",
            )

    def groups(self) -> list[dict[str, Any]]:
        """For the template: each column with its bound fields, in the table's order."""
        return [
            {
                "column": found,
                "fields": {
                    part: self[f"{found.name}-{part}"]
                    for part in PARTS
                    if f"{found.name}-{part}" in self.fields
                },
            }
            for found in self.columns
        ]

    def own_fields(self) -> list[Any]:
        """The fields of the table as a whole."""
        names = ("label", "key", "label_column", "tier", "creatable", "archive_column")
        return [self[name] for name in names]

    def clean(self) -> dict[str, Any]:
        """Labels as the kind of their column has its values; nothing is kept with a bad line."""
        given = self.cleaned_data
        for found in self.columns:
            name, kind = f"{found.name}-labels", given.get(f"{found.name}-kind", "")
            if kind and given.get(name):
                try:
                    given[name] = value_labels.parsed(given[name], kind)
                except value_labels.BadLines as error:
                    self.add_error(name, error.faults)
        return given

    def definition(self) -> dict[str, Any]:
        """What was filled in, in the words of a table file; only what matters is described."""
        given = self.cleaned_data
        by_name = {found.name: found for found in self.columns}
        chosen = by_name[given["key"]]
        is_integer = given.get(f"{given['key']}-kind", chosen.kinds[0]) == "integer"
        needed = {given["archive_column"], given["label_column"]} - {""}
        for found in self.columns:
            if given.get(f"{found.name}-writable"):
                needed |= {found.name, given.get(f"{found.name}-currency", "")} - {""}
        entry: dict[str, Any] = {
            "label": given["label"],
            "key": given["key"],
            "key_kind": "integer" if is_integer else "text",
            "label_column": given["label_column"],
            "tier": given["tier"],
            "creatable": given["creatable"],
            "archive_column": given["archive_column"],
            "columns": {
                found.name: self.column_entry(found)
                for found in self.columns
                if found.name in needed
            },
        }
        return entry

    def column_entry(self, found: Found) -> dict[str, Any]:
        given, own = self.cleaned_data, f"{found.name}-"
        is_writable = given[own + "writable"]
        kind = given[own + "kind"]
        if found.name == given["archive_column"]:
            kind = "timestamp"
        entry: dict[str, Any] = {
            "kind": kind,
            "label": given[own + "label"],
            "nullable": found.is_nullable,
            "writable": is_writable,
        }
        if given[own + "tier"]:
            entry["tier"] = given[own + "tier"]
        if is_writable and not found.is_nullable and not found.has_default:
            entry["required"] = True
        if kind == "decimal":
            entry["digits"] = min(found.digits, 12)
            if given.get(own + "currency"):
                entry["currency_column"] = given[own + "currency"]
        if kind == "text":
            entry |= self.text_options(found, own)
        if given.get(own + "labels"):
            entry["value_labels"] = given[own + "labels"]
        if found.refers_to:
            entry["refers_to"] = found.refers_to
        return entry

    def text_options(self, found: Found, own: str) -> dict[str, Any]:
        listed = [part.strip() for part in self.cleaned_data[own + "choices"].split(",")]
        options: dict[str, Any] = {}
        if any(listed):
            options["choices"] = [part for part in dict.fromkeys(listed) if part]
        if found.max_length:
            options["max_length"] = min(found.max_length, 100_000)
        return options


def initial_of(definition: dict[str, Any] | None, columns: list[Found]) -> dict[str, Any]:
    """What the form shows first: the stored description, or one in which nothing is writable."""
    key = next((found.name for found in columns if found.is_key), "")
    initial: dict[str, Any] = {"key": key, "tier": Tier.HIGH.value}
    for found in columns:
        initial[f"{found.name}-choices"] = ", ".join(found.choices)
    if definition is None:
        return initial
    initial |= {name: value for name, value in definition.items() if name != "columns"}
    for name, entry in definition.get("columns", {}).items():
        initial |= {
            f"{name}-writable": entry.get("writable", False),
            f"{name}-label": entry.get("label", ""),
            f"{name}-kind": entry.get("kind", "text"),
            f"{name}-tier": entry.get("tier", ""),
            f"{name}-choices": ", ".join(entry.get("choices", ())),
            f"{name}-labels": value_labels.typed(entry.get("value_labels", {})),
            f"{name}-currency": entry.get("currency_column", ""),
        }
    return initial
