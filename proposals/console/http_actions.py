"""Pages on the actions that agents may propose. What may be done is the services' to say."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from ledger.canonical import digest
from proposals import rights, services
from proposals.console import http_sources
from proposals.console.admission import Request, people_only
from proposals.console.http_listing import ActionPage, ActionsPage
from proposals.console.http_meaning import meaning_of
from proposals.exceptions import InvalidRequest, NotFound, ProposalError
from proposals.http_actions import reading
from proposals.models import HttpAction

NO_RIGHT = "This takes a right that you do not have; a policy administrator has it."


def may_define(user: Any) -> bool:
    return rights.has(user, rights.CONFIGURE_ACTIONS)


def may_try(user: Any) -> bool:
    """Operators look after what others define."""
    return may_define(user) or rights.has(user, rights.RETRY)


def require(is_allowed: bool) -> None:
    if not is_allowed:
        raise PermissionDenied(NO_RIGHT)


def find(name: str) -> HttpAction:
    try:
        return HttpAction.objects.get(name=name)
    except HttpAction.DoesNotExist:
        raise Http404 from None


@require_GET
@people_only
def actions(request: Request) -> HttpResponse:
    """What may agents propose, and what is promised of each?"""
    context = {
        "place": "actions",
        "page": ActionsPage(),
        "may_define": may_define(request.user),
        "may_try": may_try(request.user),
    }
    return render(request, "console/actions.html", context)


@require_GET
@people_only
def http_action(request: Request, name: str) -> HttpResponse:
    """What does this action do, who may propose it, and who changed it?"""
    context = {
        "place": "actions",
        "page": ActionPage(find(name)),
        "may_define": may_define(request.user),
        "may_try": may_try(request.user),
        "may_stop": may_define(request.user) or rights.has(request.user, rights.FREEZE),
    }
    return render(request, "console/http_action.html", context)


@require_POST
@people_only
def switch(request: Request, name: str) -> HttpResponse:
    """Let agents use an action, or stop it."""
    is_enabled = request.POST.get("to") == "on"
    try:
        services.switch_http_action(name=name, is_enabled=is_enabled, person=request.user)
    except NotFound as error:
        raise Http404 from error
    except ProposalError as error:
        messages.error(request, f"Nothing was changed: {error}")
    else:
        words = (
            f"{name} is on again. What waited is checked again."
            if is_enabled
            else f"{name} is switched off. No write by it, and no undo of one, begins from now on."
        )
        messages.success(request, words)
    return redirect("http-action", name=name)


@require_GET
@people_only
def export(request: Request, name: str = "") -> HttpResponse:
    """One definition, or all of them, as a YAML file. There is no secret in it."""
    names = [find(name).name] if name else None
    try:
        text = services.export_http_actions(names=names)
    except InvalidRequest as error:  # stored by a release that knew more
        messages.error(request, f"Nothing can be exported: {error}")
        return redirect("http-action", name=name) if name else redirect("actions")
    answer = HttpResponse(text, content_type="application/yaml; charset=utf-8")
    file = f"{name or 'http-actions'}.yaml"
    answer["Content-Disposition"] = f'attachment; filename="{file}"'
    return answer


@require_http_methods(["GET", "POST"])
@people_only
def import_definitions(request: Request) -> HttpResponse:
    """Several definitions at once: first what each would change, then all of them or none."""
    require(may_define(request.user))
    context: dict[str, Any] = {"place": "actions", "text": "", "faults": [], "meanings": []}
    status = 200
    if request.method == "POST":
        text = sent_text(request)
        context["text"] = text
        try:
            meanings = [meaning_of(raw) for raw in each_of(text)]
            seen = digest([one.seen for one in meanings], "http-actions-seen")
            if request.POST.get("do") == "keep" and request.POST.get("seen") == seen:
                kept = services.import_http_actions(text=text, person=request.user)
                messages.success(request, f"Imported: {', '.join(one.name for one in kept)}.")
                return redirect("actions")
            context |= {"meanings": meanings, "seen": seen}
        except InvalidRequest as error:
            document = faulty_document(text) if error.errors else 0
            context["faults"] = http_sources.placed(error, text, document)
            status = 422
        except ProposalError as error:
            context["refusal"], status = str(error), 422
    return render(request, "console/http_actions_import.html", context, status=status)


def sent_text(request: Request) -> str:
    """What was typed, or else what is in the file that was chosen."""
    typed = request.POST.get("text", "").replace("\r\n", "\n")
    file = request.FILES.get("file")
    if typed.strip() or file is None:
        return typed
    return file.read(reading.LONGEST + 1).decode(errors="replace").replace("\r\n", "\n")


def each_of(text: str) -> list[Any]:
    found = reading.documents(text)
    if not found:
        raise InvalidRequest("There is no definition in it.")
    return found


def faulty_document(text: str) -> int:
    """Which of several definitions is the first that is not sound."""
    for number, raw in enumerate(reading.documents(text)):
        try:
            services.examine_http_action(definition=raw)
        except InvalidRequest:
            return number
    return 0
