"""Defining an action over HTTP by form or as YAML: what it means first, then kept as seen."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from proposals import services
from proposals.console import http_lines, http_sources
from proposals.console.admission import Request, people_only
from proposals.console.http_action_forms import DefinitionForm, can_show
from proposals.console.http_actions import find, may_define, require
from proposals.console.http_explained import ANSWERS, EXPLAINED, SKETCHES
from proposals.console.http_listing import agents_that_may
from proposals.console.http_meaning import Meaning, meaning_of
from proposals.console.http_sources import Placed
from proposals.console.http_trying import TryPage
from proposals.exceptions import InvalidRequest, ProposalError
from proposals.http_actions import ready
from proposals.models import HttpAction, NamedSecret

FORM, YAML = "form", "yaml"
BLANK: dict[str, Any] = {"parameters": {}, "answers": {"body": "json"}}
LONGER_THAN_THE_FORM = (
    "This definition says more than the form has fields for, so it is shown as YAML."
)


@require_http_methods(["GET", "POST"])
@people_only
def define(request: Request) -> HttpResponse:
    """Define an action, from nothing, from a ready-made definition or from another action."""
    require(may_define(request.user))
    editor = Editor(request)
    if request.method == "GET":
        editor.open(*beginning(request))
    return editor.answer()


@require_http_methods(["GET", "POST"])
@people_only
def change(request: Request, name: str) -> HttpResponse:
    """Change an action. Its name stays."""
    require(may_define(request.user))
    found = find(name)
    editor = Editor(request, found)
    if request.method == "GET":
        editor.open(found.definition, http_sources.stored_yaml(found.definition))
    return editor.answer()


@require_POST
@people_only
def try_draft(request: Request) -> HttpResponse:
    """Try a definition that is not kept yet. What it reads is read as whoever defines may read."""
    require(may_define(request.user))
    found = find(request.GET["of"]) if request.GET.get("of") else None
    draft = request.POST.get("draft")
    if draft is None:
        editor = Editor(request, found)
        editor.read()
        if editor.raw is None or editor.examine() is None:
            return editor.show(422)
        draft = http_lines.to_yaml(editor.raw)
        return TryPage(request, editor.raw, draft=draft, of=found, is_sent=False).answer()
    try:
        page = TryPage(request, http_sources.one_definition(draft), draft=draft, of=found)
    except InvalidRequest as error:
        messages.error(request, f"Nothing was tried: {error}")
        return redirect("http-action-new")
    return page.answer()


def beginning(request: Request) -> tuple[dict[str, Any], str]:
    """What a new definition begins from, as a value and as the text that says it best."""
    if wanted := request.GET.get("ready"):
        try:
            return ready.definition(wanted), ready.text(wanted)
        except LookupError:
            raise Http404 from None
    if wanted := request.GET.get("copy"):
        copied = {**find(wanted).definition, "name": ""}
        return copied, http_sources.stored_yaml(copied)
    return BLANK, ""


class Editor:
    """One definition being written, in one of its two views."""

    def __init__(self, request: Request, found: HttpAction | None = None) -> None:
        self.request, self.found = request, found
        self.view, self.source = FORM, ""
        self.form: DefinitionForm | None = None
        self.raw: Any = None
        self.faults: list[Placed] = []
        self.meaning: Meaning | None = None
        self.refusal = self.notice = ""

    # What is shown first

    def open(self, raw: dict[str, Any], source: str) -> None:
        self.turn_to(self.request.GET.get("as", FORM), raw, source)

    def turn_to(self, view: str, raw: Any, source: str) -> None:
        """Show a value in this view, or as YAML if the form cannot say all of it."""
        if view != YAML and raw is not BLANK and not can_show(raw):
            view, self.notice = YAML, LONGER_THAN_THE_FORM
        self.view, self.source = view, source
        self.form = DefinitionForm(raw=raw) if view == FORM else None

    # What was sent

    def read(self) -> None:
        """The definition that was sent, as a JSON value; None with faults where it is none."""
        sent = self.request.POST
        self.view = YAML if sent.get("view") == YAML else FORM
        if self.view == YAML:
            self.source = sent.get("source", "").replace("\r\n", "\n")
            try:
                self.raw = http_sources.one_definition(self.source)
            except InvalidRequest as error:
                self.refuse(error)
            return
        self.form = DefinitionForm(sent)
        if self.form.is_valid():
            self.raw = self.form.definition()

    def refuse(self, error: InvalidRequest) -> None:
        if self.form is not None:
            self.form.refuse(error)
        else:
            self.faults = http_sources.placed(error, self.source)

    def examine(self) -> Meaning | None:
        """What was sent means this; None with faults where it is not sound."""
        try:
            meaning = meaning_of(self.raw)
            self.require_name(meaning)
        except InvalidRequest as error:
            self.refuse(error)
            return None
        return meaning

    def require_name(self, meaning: Meaning) -> None:
        """A change is of the action that was opened, and nothing new takes another's place."""
        name, detail = meaning.definition.name, ""
        if self.found is not None and name != self.found.name:
            detail = f"The name stays {self.found.name}; copy the action to define another."
        elif self.found is None and meaning.stored is not None:
            detail = f"There is an action {name} already; change that one, or choose another name."
        if detail:
            fault = {"pointer": "/name", "code": "taken", "detail": detail}
            raise InvalidRequest(detail, errors=[fault])

    def answer(self) -> HttpResponse:
        if self.request.method != "POST":
            return self.show(200)
        wanted = self.request.POST.get("do", "")
        if wanted == "row":
            self.form = DefinitionForm(typed=self.request.POST)
            return self.show(200)
        self.read()
        if self.raw is None:
            return self.show(422)
        if wanted in {FORM, YAML}:
            source = self.source or http_lines.to_yaml(self.raw)
            self.turn_to(wanted, self.raw, source)
            return self.show(200)
        self.meaning = self.examine()
        if self.meaning is None:
            return self.show(422)
        if wanted == "keep" and self.request.POST.get("seen") == self.meaning.seen:
            return self.keep()
        return self.show(200)

    def keep(self) -> HttpResponse:
        try:
            kept = services.save_http_action(definition=self.raw, person=self.request.user)
        except InvalidRequest as error:
            self.meaning = None
            self.refuse(error)
            return self.show(422)
        except ProposalError as error:
            self.refusal = str(error)
            return self.show(422)
        said = "Changed" if self.found else "Defined"
        messages.success(
            self.request, f"{said}: {kept.name}. In force from the next proposal, check and write."
        )
        return redirect("http-action", name=kept.name)

    @property
    def form_faults(self) -> list[tuple[str, str, str]]:
        return self.form.faults() if self.form is not None and self.form.is_bound else []

    @property
    def agents(self) -> list[Any]:
        """Who could propose it at once."""
        return agents_that_may(self.meaning.definition.name) if self.meaning else []

    def show(self, status: int) -> HttpResponse:
        if self.form is not None and self.found is not None:
            self.form.fields["name"].widget.attrs["readonly"] = True
        context = {
            "place": "actions",
            "editor": self,
            "explained": EXPLAINED,
            "answers": ANSWERS,
            "sketches": SKETCHES,
            "secrets": list(NamedSecret.objects.filter(is_kept=True)),
        }
        return render(self.request, "console/http_action_form.html", context, status=status)
