"""The pages of agents: who runs them, what they may propose, their tokens, and what stops them.

Owners see their own. Every change is one verb of the services, which say who may.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from proposals import ownership, rights, services, text
from proposals.console.admission import Request, owners_too, people_only, wants_part
from proposals.console.agent_forms import (
    GrantForm,
    IssueForm,
    NewAgentForm,
    PatternForm,
    RevokeForm,
    RotateForm,
    StateForm,
)
from proposals.console.agent_pages import AgentPage, AgentsPage, Granted, GrantsPage, counted
from proposals.console.forms import Refusable
from proposals.console.observed import ObservedPage
from proposals.exceptions import InvalidRequest, NotFound, ProposalError
from proposals.models import Agent

PLACE = {"place": "agents"}
NOTHING = "Nothing was changed: "


def find(request: Request, agent_id: UUID) -> Agent:
    """The agent, if this person may see it; what is others' looks like what is not there."""
    return get_object_or_404(ownership.agents_for(request.user), pk=agent_id)


@require_GET
@owners_too
def agents(request: Request) -> HttpResponse:
    """Which agents are there, and how is each doing?"""
    return render(request, "console/agents.html", {**PLACE, "page": AgentsPage(request.user)})


@require_GET
@owners_too
def agent(request: Request, agent_id: UUID) -> HttpResponse:
    """Who runs it, its record, its pause switch?"""
    return profile(request, find(request, agent_id))


def profile(request: Request, found: Agent, token: str = "", status: int = 200) -> HttpResponse:
    """The page of one agent; with a token it is shown this once, and kept nowhere."""
    address = request.build_absolute_uri("/api/v1/proposals")
    example = request.GET.get("example", "")
    page = AgentPage(found, request.user, address, example=example, token=token)
    return render(request, "console/agent.html", {**PLACE, "page": page}, status=status)


@require_http_methods(["GET", "POST"])
@people_only
def new_agent(request: Request) -> HttpResponse:
    """A new agent with its owner; what it may propose is granted next."""
    form = NewAgentForm(request.POST if request.method == "POST" else None)
    refusal = ""
    if request.method == "POST" and form.is_valid():
        try:
            made = services.create_agent(person=request.user, **form.cleaned_data)
        except InvalidRequest as error:
            form.refuse(error)
        except ProposalError as error:
            refusal = str(error)
        else:
            messages.success(
                request, f"The agent {made.name} was made. It may propose nothing yet."
            )
            return redirect("grants", agent_id=made.pk)
    may_add = rights.has(request.user, rights.ADD_AGENT)
    context = {**PLACE, "form": form, "refusal": refusal, "may_add": may_add}
    is_refused = bool(refusal or form.errors)
    return render(request, "console/agent_new.html", context, status=422 if is_refused else 200)


@require_http_methods(["GET", "POST"])
@owners_too
def grants(request: Request, agent_id: UUID) -> HttpResponse:
    """What may it propose, and what would a pattern cover? By POST, grant it."""
    found = find(request, agent_id)
    if request.method == "POST":
        return give(request, found)
    form = PatternForm(request.GET) if "pattern" in request.GET else None
    if form is not None and not form.is_valid():
        page = GrantsPage(found, request.GET["pattern"], form.said_wrong())
    else:
        page = GrantsPage(found, form.cleaned_data["pattern"] if form else "")
    template = "parts/covers" if wants_part(request) else "grants"
    return show_grants(request, page, template=template)


def give(request: Request, found: Agent) -> HttpResponse:
    form = GrantForm(request.POST)
    if not form.is_valid():
        typed = request.POST.get("pattern", "")
        return show_grants(request, GrantsPage(found, typed, form.said_wrong()), status=422)
    patterns = form.patterns()
    try:
        services.grant_each(agent_id=found.pk, patterns=patterns, person=request.user)
    except ProposalError as error:
        return show_grants(request, GrantsPage(found, "", [str(error)]), status=422)
    covered = {action.name for pattern in patterns for action in Granted.of(pattern).actions}
    messages.success(
        request,
        f"Granted {', '.join(patterns)}: covers {counted(len(covered))}. Effective at once.",
    )
    return redirect("grants", agent_id=found.pk)


def show_grants(
    request: Request, page: GrantsPage, template: str = "grants", status: int = 200
) -> HttpResponse:
    may_grant = rights.has(request.user, rights.ADD_GRANT)
    context = {**PLACE, "page": page, "may_grant": may_grant}
    return render(request, f"console/{template}.html", context, status=status)


@require_POST
@owners_too
def remove_grant(request: Request, agent_id: UUID) -> HttpResponse:
    """Take back what a pattern lets it propose."""
    found = find(request, agent_id)

    def verb(given: dict[str, Any]) -> str:
        services.remove_grant(agent_id=found.pk, person=request.user, **given)
        return (
            f"Removed {given['pattern']}. What it covered can no longer be proposed or committed."
        )

    return carry_out(request, found, PatternForm(request.POST), verb, back="grants")


@require_GET
@owners_too
def observed(request: Request, agent_id: UUID) -> HttpResponse:
    """What would have happened?"""
    found = find(request, agent_id)
    may_observe = rights.has(request.user, rights.CHANGE_GRANT)
    context = {**PLACE, "page": ObservedPage(found), "may_observe": may_observe}
    return render(request, "console/observed.html", context)


@require_POST
@owners_too
def issue_token(request: Request, agent_id: UUID) -> HttpResponse:
    """Make a token, and show it this once."""
    found = find(request, agent_id)
    return hand_over(
        request,
        found,
        IssueForm(request.POST),
        lambda given: services.issue_token(agent_id=found.pk, person=request.user, **given),
    )


@require_POST
@owners_too
def rotate_token(request: Request, agent_id: UUID) -> HttpResponse:
    """Make a token that replaces another, and show it this once."""
    found = find(request, agent_id)
    return hand_over(
        request,
        found,
        RotateForm(request.POST),
        lambda given: services.rotate_token(
            token_id=own_token(found, given["token"]),
            person=request.user,
            overlap_hours=given["overlap"],
        ),
    )


def own_token(found: Agent, token_id: int) -> int:
    """The id of a token of this agent. Raises NotFound for any other."""
    if not found.tokens.filter(pk=token_id).exists():
        raise NotFound
    return token_id


def hand_over(
    request: Request, found: Agent, form: Refusable, verb: Callable[[dict[str, Any]], str]
) -> HttpResponse:
    """A verb that makes a token: it is in this answer and nowhere else, so nothing redirects."""
    if not form.is_valid():
        return refused(request, found, "agent", " ".join(form.said_wrong()))
    try:
        token = verb(form.cleaned_data)
    except NotFound as error:
        raise Http404 from error
    except ProposalError as error:
        return refused(request, found, "agent", reason_of(error))
    return profile(request, find(request, found.pk), token)


@require_POST
@owners_too
def revoke_token(request: Request, agent_id: UUID) -> HttpResponse:
    """End a token, at once and for good."""
    found = find(request, agent_id)

    def verb(given: dict[str, Any]) -> str:
        ended = services.revoke_token(
            token_id=own_token(found, given["token"]), person=request.user
        )
        return f"The token {ended.key_id} no longer works."

    return carry_out(request, found, RevokeForm(request.POST), verb)


@require_POST
@owners_too
def suspend_agent(request: Request, agent_id: UUID) -> HttpResponse:
    """Refuse what it proposes, and hold what it has under way."""
    return set_suspended(request, agent_id, True)


@require_POST
@owners_too
def resume_agent(request: Request, agent_id: UUID) -> HttpResponse:
    """Let it go on."""
    return set_suspended(request, agent_id, False)


def set_suspended(request: Request, agent_id: UUID, is_suspended: bool) -> HttpResponse:
    found = find(request, agent_id)

    def verb(given: dict[str, Any]) -> str:
        services.set_suspended(
            agent_id=found.pk, is_suspended=is_suspended, person=request.user, **given
        )
        return SUSPENDED if is_suspended else RESUMED

    return carry_out(request, found, StateForm(request.POST), verb)


@require_POST
@owners_too
def observe(request: Request, agent_id: UUID) -> HttpResponse:
    """Only observe it from now on."""
    return set_observed(request, agent_id, True)


@require_POST
@owners_too
def let_go(request: Request, agent_id: UUID) -> HttpResponse:
    """End the observation: from now on people are asked, and what is approved is committed."""
    return set_observed(request, agent_id, False)


def set_observed(request: Request, agent_id: UUID, is_observed: bool) -> HttpResponse:
    found = find(request, agent_id)

    def verb(given: dict[str, Any]) -> str:
        services.set_observed(
            agent_id=found.pk, is_observed=is_observed, person=request.user, **given
        )
        return OBSERVED if is_observed else LET_GO

    return carry_out(request, found, StateForm(request.POST), verb)


def carry_out(
    request: Request,
    found: Agent,
    form: Refusable,
    verb: Callable[[dict[str, Any]], str],
    back: str = "agent",
) -> HttpResponse:
    """One verb, then the page again: with what it did, or with why it did nothing."""
    if not form.is_valid():
        return refused(request, found, back, " ".join(form.said_wrong()))
    try:
        done = verb(form.cleaned_data)
    except NotFound as error:
        raise Http404 from error
    except ProposalError as error:
        return refused(request, found, back, reason_of(error))
    messages.success(request, done)
    return redirect(back, agent_id=found.pk)


def refused(request: Request, found: Agent, back: str, why: str) -> HttpResponse:
    messages.error(request, NOTHING + why)
    return redirect(back, agent_id=found.pk)


def reason_of(error: ProposalError) -> str:
    faults = error.errors if isinstance(error, InvalidRequest) else []
    said = " ".join(fault["detail"] for fault in faults) or str(error)
    return text.plain(said)


SUSPENDED = "Suspended. Its proposals are refused, and what it has under way is held."
RESUMED = "Resumed. What was held goes on, unless something else stops it."
OBSERVED = "Observed only. What it proposes is checked and judged; nothing of it is written."
LET_GO = "No longer observed. From now on people are asked, and what is approved is committed."
