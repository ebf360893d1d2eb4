"""The operators' API: freeze and lift, suspend and resume, for scripts and pagers.

Its tokens belong to people and its rights are theirs, read anew for every request. No token of an
agent opens anything here, and nothing here commits, approves or changes a rule.
"""

from typing import Annotated, Any, Literal, cast

from django.urls import re_path
from pydantic import Field
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.response import Response

from proposals import freezing, operator_tokens, rights, services
from proposals.api import problems
from proposals.api.representation import moment
from proposals.api.shapes import Printable, Shape
from proposals.api.views import AgentView, body
from proposals.exceptions import InvalidRequest, NotEligible, NotFound
from proposals.models import Agent, Freeze, OperatorToken, Run

Reason = Annotated[str, Field(min_length=1, max_length=500)]
Name = Annotated[str, Field(max_length=128), Printable]


class OperatorBearer(BaseAuthentication):
    """`request.user` is the person, `request.auth` their token. No cookie is read here."""

    def authenticate(self, request: Request) -> tuple[Any, OperatorToken] | None:
        scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if not scheme:
            return None
        stored = operator_tokens.authenticate(token.strip()) if scheme.lower() == "bearer" else None
        if stored is None:
            raise AuthenticationFailed("The token is unknown, expired or revoked.")
        return stored.person, stored

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class FreezeIn(Shape):
    """What to stop: everything, or the one thing that the scope names."""

    scope: Literal["everything", "agent", "action", "run"]
    agent: Name = ""
    action: Name = ""
    run: Name = ""
    reason: Reason


class ReasonIn(Shape):
    reason: Reason


class OperatorView(AgentView):
    authentication_classes = (OperatorBearer,)
    schema = None  # the published document is the agents' contract


class Freezes(OperatorView):
    def get(self, request: Request) -> Response:
        if not rights.may_view(request.user):
            raise NotEligible("Seeing what is frozen takes the right to view.")
        found = freezing.in_force().select_related("agent", "run__agent", "frozen_by")
        return Response({"results": [shown(freeze) for freeze in found.order_by("pk")]})

    def post(self, request: Request) -> Response:
        asked = body(request, FreezeIn)
        named = {"agent": asked.agent, "action": asked.action, "run": asked.run}
        needed = {"everything": (), "run": ("run", "agent")}.get(asked.scope, (asked.scope,))
        for field, value in named.items():
            if bool(value) != (field in needed):
                must = "name it" if field in needed else "leave it out"
                raise fault(field, f"Where the scope is {asked.scope}, {must}.")
        agent = agent_named(asked.agent) if asked.agent else None
        run = run_named(agent, asked.run) if agent and asked.run else None
        found = services.freeze(
            reason=asked.reason,
            person=request.user,
            agent=None if run else agent,
            action=asked.action,
            run=run,
        )
        return Response(shown(found), status=201)


class Lift(OperatorView):
    def post(self, request: Request, freeze_id: str) -> Response:
        asked = body(request, ReasonIn)
        if len(freeze_id) > 18 or not Freeze.objects.filter(pk=freeze_id).exists():
            raise NotFound
        found = services.lift(freeze_id=int(freeze_id), reason=asked.reason, person=request.user)
        return Response(shown(found))


class Suspension(OperatorView):
    is_suspended = True

    def post(self, request: Request, name: str) -> Response:
        asked = body(request, ReasonIn)
        agent = services.set_suspended(
            agent_id=agent_named(name).pk,
            is_suspended=self.is_suspended,
            reason=asked.reason,
            person=request.user,
        )
        return Response({"agent": agent.name, "is_suspended": agent.is_suspended})


class Resumption(Suspension):
    is_suspended = False


def agent_named(name: str) -> Agent:
    found = Agent.objects.filter(name=name).first()
    if found is None:
        raise NotFound("There is no agent of that name.")
    return found


def run_named(agent: Agent, name: str) -> Run:
    found = Run.objects.filter(agent=agent, name=name).first()
    if found is None:
        raise NotFound("That agent has no run of that name.")
    return found


def fault(field: str, detail: str) -> InvalidRequest:
    error = {"pointer": f"/{field}", "detail": detail}
    return InvalidRequest(f"{field}: {detail}", errors=[error])


def shown(freeze: Freeze) -> dict[str, Any]:
    run = cast(Run | None, freeze.run)
    agent = freeze.agent or (run.agent if run else None)
    return {
        "id": freeze.pk,
        "scope": str(freeze.scope),
        "agent": agent.name if agent else None,
        "action": freeze.action or None,
        "run": run.name if run else None,
        "reason": freeze.reason,
        "frozen_at": moment(freeze.frozen_at),
        "frozen_by": freeze.frozen_by.get_username() if freeze.frozen_by else None,
        "lifted_at": moment(freeze.lifted_at) if freeze.lifted_at else None,
    }


urlpatterns = [
    re_path(r"^freezes/?$", Freezes.as_view()),
    re_path(r"^freezes/(?P<freeze_id>[0-9]+)/lift/?$", Lift.as_view()),
    re_path(r"^agents/(?P<name>[a-z0-9-]+)/suspend/?$", Suspension.as_view()),
    re_path(r"^agents/(?P<name>[a-z0-9-]+)/resume/?$", Resumption.as_view()),
    re_path(r"^(?P<rest>(?s:.*))$", problems.not_found),
]
