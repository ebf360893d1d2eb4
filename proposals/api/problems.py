"""Every refusal as application/problem+json (RFC 9457): one table from the domain's codes."""

import logging
import math
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, JsonResponse, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions as drf

from proposals.api import limits
from proposals.api.authentication import agent_of
from proposals.exceptions import InvalidRequest, OverBudget, ProposalError

logger = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"

STATUS = {
    "invalid-request": 400,
    "invalid-params": 400,
    "idempotency-key-missing": 400,
    "idempotency-key-invalid": 400,
    "action-not-granted": 403,
    "agent-suspended": 403,
    "not-eligible": 403,
    "not-found": 404,
    "illegal-transition": 409,
    "idempotency-in-flight": 409,
    "nothing-to-undo": 409,
    "already-undone": 409,
    "idempotency-key-reused": 422,
    "budget-exceeded": 429,
    "rate-limited": 429,
    "queue-full": 429,
    "writes-frozen": 503,
    "unavailable": 503,
}
CODE_OF_STATUS = {
    400: "invalid-request",
    401: "unauthenticated",
    403: "action-not-granted",
    404: "not-found",
    405: "method-not-allowed",
    406: "not-acceptable",
    413: "payload-too-large",
    415: "unsupported-media-type",
    429: "rate-limited",
    503: "unavailable",
}
TITLES = {
    "invalid-request": "The request does not have the documented shape",
    "malformed-json": "The body is not acceptable JSON",
    "invalid-params": "The parameters do not fit the action",
    "idempotency-key-missing": "An idempotency key is required",
    "idempotency-key-invalid": "The idempotency key is not acceptable",
    "idempotency-key-reused": "The idempotency key was used for another request",
    "idempotency-in-flight": "The first request with this key is still being stored",
    "action-not-granted": "The action is not granted to this agent",
    "agent-suspended": "The agent is suspended",
    "not-eligible": "That takes a right which this person does not have",
    "illegal-transition": "The proposal is no longer in a status that allows this",
    "nothing-to-undo": "There is nothing to undo",
    "already-undone": "It is already undone, or an undo of it is open",
    "unauthenticated": "A valid bearer token is required",
    "budget-exceeded": "A budget is used up",
    "rate-limited": "Too many requests",
    "queue-full": "Too many proposals are open",
    "writes-frozen": "All writes are frozen",
    "unavailable": "The service cannot store anything right now",
}
RETRY_AFTER = {"idempotency-in-flight": 1, "unavailable": 5, "writes-frozen": 60, "queue-full": 60}
# What a refusal may know beyond its code, and the documented member that carries it.
SHOWN_FACTS = ("retry_after", "budget", "proposal")


# Where waiting frees nothing: more than the whole cap, or the life of a run. Only people change
# that, and whether they did is not worth asking sooner.
ASK_PEOPLE_SECONDS = 3600


class Problem(JsonResponse):
    """A refusal; where a budget refused, with the exact wait that its headers round up."""

    is_over_budget = False
    seconds_until_free = math.inf


def body(code: str, status: int, detail: str, **more: Any) -> dict[str, Any]:
    """A problem as RFC 9457 has it; only members that say something are present."""
    problem = {
        "type": f"urn:countersign:problem:{code}",
        "title": TITLES.get(code, HTTPStatus(status).phrase),
        "status": status,
        "detail": detail,
        "code": code,
    }
    if code in RETRY_AFTER:
        problem["retry_after"] = RETRY_AFTER[code]
    return problem | {name: value for name, value in more.items() if value}


def exception_handler(error: Exception, context: dict[str, Any]) -> JsonResponse:
    """Turn whatever a view raised into a problem; the unforeseen is logged and says no more."""
    if isinstance(error, ProposalError):
        more = {name: error.facts.get(name) for name in SHOWN_FACTS}
        if isinstance(error, InvalidRequest):
            more["errors"] = error.errors
        response = respond(error.code, STATUS.get(error.code, 400), str(error), **more)
        if isinstance(error, OverBudget):
            response.is_over_budget = True
            response.seconds_until_free = error.facts["shortage"].seconds_until_free
        elif response.status_code == 429:
            limits.tell_agent(response, agent_of(context["request"]))
        return response
    if isinstance(error, drf.APIException):
        return respond_to_framework(error)
    if isinstance(error, Http404):
        return respond("not-found", 404, "There is no such thing here, or it is not yours to see.")
    if isinstance(error, PermissionDenied):
        return respond("action-not-granted", 403, "That is not open to agents.")
    if isinstance(error, RequestDataTooBig):
        return respond("payload-too-large", 413, "The body is too large.")
    if isinstance(error, SuspiciousOperation):  # what the framework reads no further
        return respond("invalid-request", 400, f"The request cannot be read. {error}".strip())
    if isinstance(error, UnreadablePostError):
        return respond("invalid-request", 400, "The body could not be read to its end.")
    if isinstance(error, OperationalError | InterfaceError):
        logger.exception("The database did not answer")
        # Not "nothing was stored": the connection may have broken in the very commit.
        detail = "The database did not answer. Send the same request again: it is stored once."
        return respond("unavailable", 503, detail)
    logger.error("Unforeseen failure in %s", context.get("view"), exc_info=error)
    return respond("internal-error", 500, "Nothing was stored. The failure has been logged.")


def respond_to_framework(error: drf.APIException) -> JsonResponse:
    code = getattr(error, "default_code", "")
    if isinstance(error, drf.NotAuthenticated | drf.AuthenticationFailed):
        response = respond("unauthenticated", 401, str(error.detail))
        response["WWW-Authenticate"] = "Bearer"
        return response
    if code not in {"malformed-json", "payload-too-large"}:
        code = CODE_OF_STATUS.get(error.status_code, "invalid-request")
    return respond(code, error.status_code, str(error.detail))


def respond(code: str, status: int, detail: str, **more: Any) -> Problem:
    """A problem on its way. Not the framework's response, which would render it as what the
    client asked for: a problem is JSON also to a client that accepts none."""
    problem = body(code, status, detail, **more)
    budget, until = problem.get("budget"), problem.get("retry_after")
    if budget and not until:
        problem["retry_after"] = ASK_PEOPLE_SECONDS
    response = Problem(problem, status=status, content_type=MEDIA_TYPE)
    if "retry_after" in problem:
        response["Retry-After"] = str(problem["retry_after"])
    if budget:
        limits.tell_refused(response, budget, until)
    return response


@csrf_exempt  # or a POST to nowhere would be answered with a page for browsers
def not_found(request: HttpRequest, rest: str = "") -> JsonResponse:
    """Whatever is under /api/ and nowhere else."""
    return respond("not-found", 404, "There is nothing at this address.")
