"""What the OpenAPI document says of each endpoint."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from proposals import idempotency
from proposals.api import answers, shapes
from proposals.lifecycle import Status

KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": f"^{idempotency.KEY.pattern}$"},
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


def told(name: str, description: str, *statuses: int, shape: Any = str) -> OpenApiParameter:
    """A header of answers with these statuses."""
    return OpenApiParameter(
        name, shape, OpenApiParameter.HEADER, description=description, response=list(statuses)
    )


WHOLE = {"type": "integer", "minimum": 1}
AUTHENTICATE = told("WWW-Authenticate", "Bearer.", 401)
WAITED = told("Preference-Applied", "wait=N, if it was waited for.", 200, 201)
REPLAYED = told("Idempotent-Replayed", "true, if the key stored this before.", 200)
LOCATION = told("Location", "Where the proposal is.", 201)
RETRY = told("Retry-After", "Seconds to wait before asking again.", 429, 503, shape=WHOLE)
SOON = told("Retry-After", "Seconds to wait before asking again.", 503, shape=WHOLE)
LIMITS = (
    told("RateLimit-Policy", "The tightest budget: its name, cap and window.", 201, 429),
    told("RateLimit", "What it leaves, and for a refusal when it leaves more.", 201, 429),
)
WRITING = [AUTHENTICATE, RETRY, *LIMITS]
CREATING = [KEY, PREFER, WAITED, REPLAYED, LOCATION, *WRITING]
ASKING = [AUTHENTICATE, SOON]

CODES = {
    400: "malformed-json, invalid-request, invalid-params, idempotency-key-missing, "
    "idempotency-key-invalid",
    401: "unauthenticated",
    403: "action-not-granted, agent-suspended",
    404: "not-found",
    405: "method-not-allowed",
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
    if status in {401, 404, 405, 406}
} | {(503, "application/problem+json"): OpenApiResponse(answers.Problem, description="unavailable")}


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
    "parameters": CREATING,
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
        *ASKING,
        OpenApiParameter("status", str, enum=Status.values),
        OpenApiParameter("run", str),
        OpenApiParameter("action", str),
        OpenApiParameter("resource", str),
        OpenApiParameter("cursor", str),
        OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": 25}),
    ],
}
GET: dict[str, Any] = {
    "operation_id": "get_proposal",
    "summary": "One of your own proposals",
    "responses": answering(200, shape=answers.Proposal, problems=READING),
    "parameters": [PREFER, WAITED, *ASKING],
}
AMEND: dict[str, Any] = {
    "operation_id": "amend_proposal",
    "summary": "Amend: new params, rationale or evidence",
    "request": shapes.RevisionIn,
    "responses": CREATED,
    "parameters": CREATING,
}
WITHDRAW: dict[str, Any] = {
    "operation_id": "withdraw_proposal",
    "summary": "Take a proposal back",
    "parameters": WRITING,
    "request": shapes.Nothing,
    "responses": answering(200, shape=answers.Proposal, problems=PROBLEMS),
}
UNDO: dict[str, Any] = {
    "operation_id": "undo_proposal",
    "summary": "Propose the compensation of a committed proposal",
    "request": shapes.UndoIn,
    "responses": CREATED,
    "parameters": CREATING,
}
ACTIONS: dict[str, Any] = {
    "operation_id": "list_actions",
    "summary": "The menu",
    "parameters": ASKING,
    "responses": answering(200, shape=answers.Menu, problems=READING),
}
ACTION: dict[str, Any] = {
    "operation_id": "get_action",
    "summary": "One action of the menu",
    "parameters": ASKING,
    "responses": answering(200, shape=answers.MenuItem, problems=READING),
}
RUN: dict[str, Any] = {
    "operation_id": "get_run",
    "summary": "Counts and states of one run",
    "responses": answering(200, shape=answers.Run, problems=READING),
    "parameters": [OpenApiParameter("run", str, OpenApiParameter.PATH), *ASKING],
}
BUDGETS: dict[str, Any] = {
    "operation_id": "list_budgets",
    "summary": "The caps that bind you",
    "parameters": ASKING,
    "responses": answering(200, shape=answers.Budgets, problems=READING),
}
ME: dict[str, Any] = {
    "operation_id": "get_me",
    "summary": "Who am I",
    "parameters": ASKING,
    "responses": answering(200, shape=answers.Me, problems=READING),
}
