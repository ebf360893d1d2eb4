"""Trying an action over HTTP: what would be sent and what would change. The request is not sent."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from proposals import services
from proposals.console import diff, http_sources, presenters
from proposals.console.admission import Request, people_only
from proposals.console.forms import Refusable
from proposals.console.http_actions import find, may_define, may_try, require
from proposals.exceptions import InvalidParams, InvalidRequest, ProposalError
from proposals.http_actions import loading, parameters, reading
from proposals.models import HttpAction
from proposals.services.http_actions import Trial

LEFT_OUT = [("", "left out")]
YES_NO = [("true", "yes"), ("false", "no")]
SOME = "amount", "currency"


@require_http_methods(["GET", "POST"])
@people_only
def try_action(request: Request, name: str) -> HttpResponse:
    """Try an action as it is in force."""
    require(may_try(request.user))
    found = find(name)
    try:
        page = TryPage(request, found.definition, of=found)
    except InvalidRequest as error:
        messages.error(request, f"Nothing can be tried: {error}")
        return redirect("http-action", name=name)
    return page.answer()


class ParamsForm(Refusable):
    """The parameters of an action, made from its definition; what they may be, it says itself."""

    def __init__(self, described: dict[str, Any], data: Any, initial: dict[str, Any]) -> None:
        super().__init__(data, initial=initial, prefix="params")
        self.described = described
        for name, parameter in described.items():
            for own, field in fields_of(name, parameter):
                field.required = False
                field.widget.attrs |= {"autocomplete": "off"}
                self.fields[own] = field

    def params(self) -> dict[str, Any]:
        """What was filled in; what is empty was not given."""
        found = {name: self.given(name, one) for name, one in self.described.items()}
        return {name: value for name, value in found.items() if value not in (None, "")}

    def given(self, name: str, parameter: Any) -> Any:
        if isinstance(parameter, parameters.MoneyAmount):
            amount = self.cleaned_data[f"{name}-amount"]
            currency = self.cleaned_data[f"{name}-currency"]
            return {"amount": amount, "currency": currency} if amount else None
        value = self.cleaned_data[name]
        if isinstance(parameter, parameters.Boolean) and value:
            return value == "true"
        return value.replace("\r\n", "\n") if isinstance(value, str) else value

    def refuse(self, refusal: InvalidRequest) -> None:
        """Each fault at its field; `/params/amount/currency` is the field amount-currency."""
        for fault in refusal.errors:
            parts = fault["pointer"].split("/")[2:]
            candidates = ("-".join(parts[:2]), *parts[:1], f"{parts[0] if parts else ''}-amount")
            name = next((one for one in candidates if one in self.fields), None)
            needed = fault["code"] == "missing"
            self.add_error(name, http_sources.SAID["missing"] if needed else fault["detail"])
        if not refusal.errors:
            self.add_error(None, str(refusal))


def fields_of(name: str, parameter: Any) -> list[tuple[str, forms.Field]]:
    """The fields of one parameter; an amount has two."""
    label = name.replace("_", " ").capitalize()
    common: dict[str, Any] = {"label": label, "help_text": parameter.description}
    if not parameter.required:
        common["label"] = f"{label} (may be left out)"
    match parameter:
        case parameters.Choice():
            choices = [(one, one) for one in parameter.choices]
            return [(name, forms.ChoiceField(choices=LEFT_OUT + choices, **common))]
        case parameters.Boolean():
            return [(name, forms.ChoiceField(choices=LEFT_OUT + YES_NO, **common))]
        case parameters.Integer():
            return [(name, forms.IntegerField(**common))]
        case parameters.MoneyAmount():
            codes = [(code, code) for code in parameter.currencies]
            currency = forms.ChoiceField(choices=codes, label=f"Currency of {label.lower()}")
            amount = forms.CharField(max_length=30, **common)
            return [(f"{name}-amount", amount), (f"{name}-currency", currency)]
    widget = forms.Textarea if getattr(parameter, "multiline", False) else forms.TextInput
    longest = getattr(parameter, "max_length", 40)
    return [(name, forms.CharField(max_length=longest, strip=False, widget=widget, **common))]


def initial_of(described: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    """The example of a definition as its fields show it."""
    found: dict[str, Any] = {}
    for name, value in example.items():
        if isinstance(value, dict):
            found |= {f"{name}-{part}": value.get(part) for part in SOME}
        elif isinstance(value, bool):
            found[name] = str(value).lower()
        else:
            found[name] = value
    return found


class TryPage:
    """The form, and what a trial found out."""

    def __init__(
        self,
        request: Request,
        raw: Any,
        *,
        draft: str = "",
        of: HttpAction | None = None,
        is_sent: bool = True,
    ) -> None:
        self.request, self.raw, self.draft, self.of = request, raw, draft, of
        self.definition = reading.read(raw)
        described = self.definition.parameters
        sent = request.POST if request.method == "POST" and is_sent else None
        initial = initial_of(described, self.definition.example)
        self.form = ParamsForm(described, sent, initial)
        self.trial: Trial | None = None
        self.refusal = ""

    def answer(self) -> HttpResponse:
        if self.form.is_bound and self.form.is_valid():
            self.attempt()
        context = {
            "place": "actions",
            "page": self,
            "may_define": may_define(self.request.user),
        }
        is_refused = self.form.is_bound and self.trial is None
        status = 422 if is_refused else 200
        return render(self.request, "console/http_action_try.html", context, status=status)

    def attempt(self) -> None:
        try:
            self.trial = services.try_http_action(
                definition=self.raw, params=self.form.params(), person=self.request.user
            )
        except InvalidParams as error:
            self.form.refuse(error)
        except ProposalError as error:
            self.refusal = str(error)

    @property
    def action_url(self) -> str:
        """Where the parameters are sent to; a draft travels with them."""
        if not self.draft:
            return reverse("http-action-try", args=[self.definition.name])
        return reverse("http-action-try-draft") + (f"?of={self.of.name}" if self.of else "")

    @property
    def back_url(self) -> str:
        """Where the definition that is tried comes from."""
        if self.of is None:
            return reverse("http-action-new")
        return reverse("http-action-change" if self.draft else "http-action", args=[self.of.name])

    # What was found out

    @property
    def objects(self) -> list[diff.ObjectChange]:
        preview = self.trial.preview if self.trial else None
        return diff.objects(preview.before, None, preview.after) if preview else []

    @property
    def tier(self) -> str:
        found = self.trial.preview.tier if self.trial and self.trial.preview else None
        return str(found or self.definition.tier)

    @property
    def impact(self) -> list[tuple[str, Any]]:
        """Facts that the preview measured."""
        if self.trial is None or self.trial.preview is None:
            return []
        found = self.trial.preview.impact
        return [
            ("Resource", self.trial.resource),
            ("Objects touched", found.objects),
            ("Money", found.amount.as_json() if found.amount else "none"),
            ("People reached", found.people),
            ("Leaves the building", "yes" if found.external else "no"),
            ("Delivery", presenters.DELIVERY[self.definition.delivery]),
            ("Why this tier", " ".join(found.reasons) or "none"),
        ]

    @property
    def undo_sentence(self) -> str:
        """What would be proposed to take it back; empty where nothing can."""
        preview = self.trial.preview if self.trial else None
        if preview is None or preview.compensation is None:
            return ""
        undo = loading.made(self.definition)[preview.compensation.action]
        return str(undo.sentence(preview.compensation.params))

    @property
    def asked(self) -> str:
        """The request that was sent in order to read, as it is defined; empty where none was."""
        reads = self.definition.preview
        if reads is None:
            return ""
        return f"{reads.request.method} {self.definition.origin}{reads.request.path}"
