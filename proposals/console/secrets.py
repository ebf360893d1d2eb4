"""Pages on the secrets that actions over HTTP send. A value goes in and never comes out."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods

from proposals import redaction, services
from proposals.console.admission import Request, people_only
from proposals.console.forms import Refusable
from proposals.console.http_actions import may_define, require
from proposals.console.http_listing import all_secrets, secret_state
from proposals.exceptions import InvalidRequest, ProposalError
from proposals.models import HttpAction, NamedSecret

SHORTEST, LONGEST = 8, 1000
IN_USE = "Actions that are on need it. Tick that they may stop, or switch them off first."


class SecretForm(Refusable):
    """A name, the only place that the value is sent to, and the value."""

    name = forms.CharField(
        max_length=40,
        help_text="What actions call it by, such as stripe. It stays.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    origin = forms.CharField(
        max_length=300,
        label="Host",
        help_text="The only place it is sent to, such as https://api.example.com.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    secret_value = forms.CharField(
        label="Value",
        strip=False,
        min_length=SHORTEST,
        max_length=LONGEST,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="Kept encrypted, sent to this host alone, and never shown again.",
    )

    def __init__(self, *args: Any, secret: NamedSecret | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if secret is not None:
            del self.fields["name"]

    def clean_secret_value(self) -> str:
        value = self.cleaned_data["secret_value"]
        redaction.remember(value)  # no log line and no error report shows it from here on
        return value

    def refuse(self, refusal: InvalidRequest) -> None:
        places = {"/value": "/secret_value"}
        moved = [
            {**fault, "pointer": places.get(fault["pointer"], fault["pointer"])}
            for fault in refusal.errors
        ]
        super().refuse(InvalidRequest(str(refusal), errors=moved))


def find(name: str) -> NamedSecret:
    try:
        return NamedSecret.objects.get(name=name)
    except NamedSecret.DoesNotExist:
        raise Http404 from None


def users_of(name: str) -> list[HttpAction]:
    """The actions that authenticate with this secret."""
    return [row for row in HttpAction.objects.all() if row.secret == name]


@require_GET
@people_only
def secrets(request: Request) -> HttpResponse:
    """Which secrets are kept, since when, and what needs them?"""
    kept = all_secrets()
    needed: dict[str, list[HttpAction]] = {}
    for row in HttpAction.objects.all():
        if row.secret:
            needed.setdefault(row.secret, []).append(row)
    missing = [
        (name, users[0].definition.get("origin", ""), users)
        for name, users in needed.items()
        if name not in kept
    ]
    rows = [
        (secret, needed.get(name, []), elsewhere(secret, needed)) for name, secret in kept.items()
    ]
    context = {
        "place": "actions",
        "rows": rows,
        "missing": missing,
        "may_define": may_define(request.user),
    }
    return render(request, "console/secrets.html", context)


def elsewhere(secret: NamedSecret, needed: dict[str, list[HttpAction]]) -> list[str]:
    """The actions that need it for another host than it is kept for."""
    kept = {secret.name: secret}
    return [
        row.name
        for row in needed.get(secret.name, [])
        if secret_state(secret.name, str(row.definition.get("origin", "")), kept)
        == "kept for another host"
    ]


@sensitive_post_parameters("secret_value")
@require_http_methods(["GET", "POST"])
@people_only
def keep(request: Request, name: str = "") -> HttpResponse:
    """Keep a secret, or another value of one that is kept."""
    require(may_define(request.user))
    found = find(name) if name else None
    initial = {
        "name": request.GET.get("name", ""),
        "origin": found.origin if found else request.GET.get("origin", ""),
    }
    form = SecretForm(request.POST or None, secret=found, initial=initial)
    refusal = ""
    if request.method == "POST" and form.is_valid():
        chosen = name or form.cleaned_data["name"]
        try:
            if found is None and NamedSecret.objects.filter(name=chosen).exists():
                form.add_error("name", "There is a secret of this name; replace that one.")
            else:
                kept = services.keep_secret(
                    name=chosen,
                    origin=form.cleaned_data["origin"],
                    value=form.cleaned_data["secret_value"],
                    person=request.user,
                )
                messages.success(request, f"Kept: {kept.name}. What waited is checked again.")
                return redirect("secrets")
        except InvalidRequest as error:
            form.refuse(error)
        except ProposalError as error:
            refusal = str(error)
    context = {"place": "actions", "form": form, "found": found, "refusal": refusal}
    context["users"] = users_of(name) if found else []
    status = 422 if request.method == "POST" else 200
    return render(request, "console/secret_form.html", context, status=status)


@require_http_methods(["GET", "POST"])
@people_only
def forget(request: Request, name: str) -> HttpResponse:
    """Forget a value, for good; while actions that are on need it, only if that is meant."""
    require(may_define(request.user))
    found = find(name)
    users = users_of(name)
    needs_tick = any(row.is_enabled for row in users)
    refusal = ""
    if request.method == "POST":
        if needs_tick and request.POST.get("is_meant") != "on":
            refusal = IN_USE
        else:
            try:
                services.forget_secret(name=name, person=request.user)
            except ProposalError as error:
                refusal = str(error)
            else:
                messages.success(request, f"Forgotten: {name}. What needs it stops at once.")
                return redirect("secrets")
    context = {
        "place": "actions",
        "secret": found,
        "users": users,
        "needs_tick": needs_tick,
        "refusal": refusal,
    }
    return render(request, "console/secret_forget.html", context, status=422 if refusal else 200)
