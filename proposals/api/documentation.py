"""What the OpenAPI document says of each endpoint."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from proposals.api import shapes
from proposals.lifecycle import Status

KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    required=True,
    description="1 to 255 printable ASCII characters, new for each write. A repeat returns the "
    "first proposal as it stands now.",
)
PREFER = OpenApiParameter(
    "Prefer",
    str,
    OpenApiParameter.HEADER,
    description="wait=N, 0 to 30: answer when the machine is done with it, or after N seconds.",
)
PROBLEM = OpenApiResponse(OpenApiTypes.OBJECT, description="application/problem+json (RFC 9457)")
PROPOSAL = OpenApiResponse(OpenApiTypes.OBJECT, description="The proposal as it stands now")
OBJECT = OpenApiResponse(OpenApiTypes.OBJECT)
REFUSALS = {code: PROBLEM for code in (400, 401, 403, 404, 409, 413, 415, 422, 503)}
CREATED = {201: PROPOSAL, 200: PROPOSAL, **REFUSALS}

SUBMIT: dict[str, Any] = {
    "summary": "Propose a write",
    "request": shapes.ProposalIn,
    "responses": CREATED,
    "parameters": [KEY, PREFER],
}
LIST: dict[str, Any] = {
    "summary": "Your own proposals, newest first",
    "responses": {200: OBJECT, 400: PROBLEM, 401: PROBLEM},
    "parameters": [
        OpenApiParameter("status", str, enum=Status.values),
        OpenApiParameter("run", str),
        OpenApiParameter("action", str),
        OpenApiParameter("resource", str),
        OpenApiParameter("cursor", str),
        OpenApiParameter("limit", int, description="1 to 100; 25 unless told"),
    ],
}
GET: dict[str, Any] = {
    "summary": "One of your own proposals",
    "responses": {200: PROPOSAL, 401: PROBLEM, 404: PROBLEM},
    "parameters": [PREFER],
}
AMEND: dict[str, Any] = {
    "summary": "Amend: new params, rationale or evidence",
    "request": shapes.RevisionIn,
    "responses": CREATED,
    "parameters": [KEY, PREFER],
}
WITHDRAW: dict[str, Any] = {
    "summary": "Take a proposal back",
    "request": shapes.Nothing,
    "responses": {200: PROPOSAL, **REFUSALS},
}
UNDO: dict[str, Any] = {
    "summary": "Propose the compensation of a committed proposal",
    "request": shapes.UndoIn,
    "responses": CREATED,
    "parameters": [KEY, PREFER],
}
ACTIONS: dict[str, Any] = {"summary": "The menu", "responses": {200: OBJECT, 401: PROBLEM}}
ACTION: dict[str, Any] = {
    "summary": "One action of the menu",
    "responses": {200: OBJECT, 401: PROBLEM, 404: PROBLEM},
}
RUN: dict[str, Any] = {
    "summary": "Counts and states of one run",
    "responses": {200: OBJECT, 401: PROBLEM, 404: PROBLEM},
}
ME: dict[str, Any] = {"summary": "Who am I", "responses": {200: OBJECT, 401: PROBLEM}}
