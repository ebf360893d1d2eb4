"""What the OpenAPI document says of each endpoint."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from proposals.api import answers, shapes
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
CODES = {
    400: "malformed-json, invalid-request, invalid-params, idempotency-key-missing, "
    "idempotency-key-invalid",
    401: "unauthenticated",
    403: "action-not-granted, agent-suspended",
    404: "not-found",
    406: "not-acceptable",
    409: "illegal-transition, idempotency-in-flight, nothing-to-undo, already-undone",
    413: "payload-too-large",
    415: "unsupported-media-type",
    422: "idempotency-key-reused",
    429: "budget-exceeded, rate-limited, queue-full",
    503: "writes-frozen, unavailable",
}
PROBLEMS: dict[Any, Any] = {
    (status, "application/problem+json"): OpenApiResponse(answers.Problem, description=codes)
    for status, codes in CODES.items()
}
READING: dict[Any, Any] = {
    (status, media): problem
    for (status, media), problem in PROBLEMS.items()
    if status in {401, 404, 406, 503}
}


def answering(*statuses: int, shape: Any, problems: dict[Any, Any]) -> dict[Any, Any]:
    return {(status, "application/json"): shape for status in statuses} | problems


def without_trailing_slashes(endpoints: list[tuple], **kwargs: Any) -> list[tuple]:
    """The addresses as the contract writes them: a trailing slash is accepted, not required."""
    return [(path.rstrip("/"), *rest) for path, *rest in endpoints]


CREATED = answering(201, 200, shape=answers.Proposal, problems=PROBLEMS)

SUBMIT: dict[str, Any] = {
    "operation_id": "propose",
    "summary": "Propose a write, or with dry_run ask what proposing it would lead to",
    "request": shapes.ProposalIn,
    "responses": answering(201, shape=answers.Proposal, problems=PROBLEMS)
    | answering(200, shape=answers.ReplayOrDryRun, problems={}),
    "parameters": [KEY, PREFER],
}
LIST: dict[str, Any] = {
    "operation_id": "list_proposals",
    "summary": "Your own proposals, newest first",
    "responses": answering(
        200,
        shape=answers.Page,
        problems=READING | {key: problem for key, problem in PROBLEMS.items() if key[0] == 400},
    ),
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
    "operation_id": "get_proposal",
    "summary": "One of your own proposals",
    "responses": answering(200, shape=answers.Proposal, problems=READING),
    "parameters": [PREFER],
}
AMEND: dict[str, Any] = {
    "operation_id": "amend_proposal",
    "summary": "Amend: new params, rationale or evidence",
    "request": shapes.RevisionIn,
    "responses": CREATED,
    "parameters": [KEY, PREFER],
}
WITHDRAW: dict[str, Any] = {
    "operation_id": "withdraw_proposal",
    "summary": "Take a proposal back",
    "request": shapes.Nothing,
    "responses": answering(200, shape=answers.Proposal, problems=PROBLEMS),
}
UNDO: dict[str, Any] = {
    "operation_id": "undo_proposal",
    "summary": "Propose the compensation of a committed proposal",
    "request": shapes.UndoIn,
    "responses": CREATED,
    "parameters": [KEY, PREFER],
}
ACTIONS: dict[str, Any] = {
    "operation_id": "list_actions",
    "summary": "The menu",
    "responses": answering(200, shape=answers.Menu, problems=READING),
}
ACTION: dict[str, Any] = {
    "operation_id": "get_action",
    "summary": "One action of the menu",
    "responses": answering(200, shape=answers.MenuItem, problems=READING),
}
RUN: dict[str, Any] = {
    "operation_id": "get_run",
    "summary": "Counts and states of one run",
    "responses": answering(200, shape=answers.Run, problems=READING),
    "parameters": [OpenApiParameter("run", str, OpenApiParameter.PATH)],
}
BUDGETS: dict[str, Any] = {
    "operation_id": "list_budgets",
    "summary": "The caps that bind you",
    "responses": answering(200, shape=answers.Budgets, problems=READING),
}
ME: dict[str, Any] = {
    "operation_id": "get_me",
    "summary": "Who am I",
    "responses": answering(200, shape=answers.Me, problems=READING),
}
