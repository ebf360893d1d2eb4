"""What people type to come in, and what those type who let them in."""

from typing import Any

from allauth.account.forms import LoginForm
from django import forms
from django.contrib.auth.models import Group

from proposals.console.forms import Refusable

# What a group is for, in the words of the table "Who may do what".
GROUPS = {
    "reviewers": "decide at low and medium tier, undo, freeze",
    "senior-reviewers": "decide at every tier, undo, freeze",
    "operators": "undo, freeze and lift, reconcile, hand out tokens",
    "policy-administrators": "change rules, budgets and grants, manage people, freeze",
    "auditors": "read the ledger and export it",
}


class SignIn(LoginForm):
    """A name and a password, pasted or typed."""

    def add_prefix(self, field_name: str) -> str:
        """What is typed is a name; allauth calls it a login."""
        return super().add_prefix("username" if field_name == "login" else field_name)


def password_field(label: str, help_text: str = "") -> forms.CharField:
    widget = forms.PasswordInput(attrs={"autocomplete": "new-password"})
    return forms.CharField(
        label=label, strip=False, max_length=1000, widget=widget, help_text=help_text
    )


class NewPerson(Refusable):
    """A name to sign in with and a password: of the first administrator, or of who was invited."""

    username = forms.CharField(
        label="Name to sign in with",
        max_length=150,
        help_text="Letters, digits and @ . + - _ only.",
        widget=forms.TextInput(
            attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    name = forms.CharField(
        label="Your name, as others see it",
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    password = password_field("Password", "At least 12 characters. A passphrase is fine.")
    again = password_field("The same password again")

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if given.get("password") and given.get("again") and given["password"] != given["again"]:
            self.add_error("again", "This is not the same password.")
        return given

    def account(self) -> dict[str, str]:
        """What was typed, as the service takes it."""
        first, _, last = self.cleaned_data["name"].strip().partition(" ")
        return {
            "username": self.cleaned_data["username"],
            "password": self.cleaned_data["password"],
            "first_name": first,
            "last_name": last.strip(),
        }


class SetUp(NewPerson):
    """The first administrator, and the code from the terminal."""

    email = forms.EmailField(
        label="E-mail address",
        required=False,
        help_text="For a forgotten password, where mail is configured.",
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    code = forms.CharField(
        label="One-time code",
        max_length=60,
        help_text="Printed where Countersign was started.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    field_order = ("code", "username", "name", "email", "password", "again")

    def account(self) -> dict[str, str]:
        return super().account() | {"email": self.cleaned_data["email"]}


class GroupsForm(Refusable):
    """Which groups somebody is in."""

    groups = forms.ModelMultipleChoiceField(
        Group.objects.order_by("name"),
        required=False,
        to_field_name="name",
        error_messages={"invalid_choice": "There is no such group."},
    )

    def offered(self) -> list[tuple[str, str, bool]]:
        """Every group: its name, what it is for, and whether it is ticked."""
        ticked = {str(getattr(one, "name", one)) for one in self["groups"].value() or []}
        names = Group.objects.order_by("name").values_list("name", flat=True)
        return [(name, GROUPS.get(name, ""), name in ticked) for name in names]


class Invite(GroupsForm):
    """Whom to let in, and into which groups."""

    email = forms.EmailField(error_messages={"required": "Give the address of the person."})
