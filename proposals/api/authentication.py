"""Agents identify themselves by a bearer token, and by nothing else: no cookie is read here."""

from typing import Any, cast

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from proposals import tokens
from proposals.models import Agent, AgentToken


class BearerToken(BaseAuthentication):
    """`request.user` is the service account, `request.auth` the token with its agent."""

    def authenticate(self, request: Request) -> tuple[Any, AgentToken] | None:
        header = request.META.get("HTTP_AUTHORIZATION", "")
        scheme, _, token = header.partition(" ")
        if not header:
            return None
        stored = tokens.authenticate(token.strip()) if scheme.lower() == "bearer" else None
        if stored is None:
            raise AuthenticationFailed("The token is unknown, expired or revoked.")
        return stored.agent.user, stored

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class BearerTokenScheme(OpenApiAuthenticationExtension):
    target_class = BearerToken
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


def token_of(request: Request) -> AgentToken:
    """The token of an authenticated request, as this door's authentication stored it there."""
    return cast(AgentToken, request.auth)


def agent_of(request: Request) -> Agent:
    """The agent behind an authenticated request."""
    return token_of(request).agent
