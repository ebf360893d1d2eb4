"""What every answer of the agents' door must look like, whatever was asked."""

from typing import Any

from django.apps import apps

from proposals.api import answers

CODES = {
    400: {
        "malformed-json",
        "invalid-request",
        "invalid-params",
        "idempotency-key-missing",
        "idempotency-key-invalid",
    },
    401: {"unauthenticated"},
    403: {"action-not-granted", "agent-suspended"},
    404: {"not-found"},
    405: {"method-not-allowed"},
    406: {"not-acceptable"},
    409: {"illegal-transition", "idempotency-in-flight", "nothing-to-undo", "already-undone"},
    413: {"payload-too-large"},
    415: {"unsupported-media-type"},
    422: {"idempotency-key-reused"},
    429: {"budget-exceeded", "rate-limited", "queue-full"},
    503: {"writes-frozen", "unavailable"},
}
PROPOSAL = {
    *("id", "status", "revision", "action", "params", "run", "resource", "rationale", "digest"),
    *("tier", "reversible", "delivery", "impact", "change", "waiting_on", "decisions", "result"),
    *("error", "possible_duplicate_of", "conflicts_with", "compensates", "compensated_by"),
    *("created_at", "updated_at", "expires_at", "committed_at"),
}


def assert_documented(response: Any) -> None:
    """A success as JSON, or a documented problem; never a page, a redirect or a 500."""
    if response.status_code in {200, 201}:
        assert response["Content-Type"] == "application/json", response
    else:
        codes = CODES.get(response.status_code, set())
        assert response["Content-Type"] == "application/problem+json", response.content[:200]
        answers.Problem.model_validate_json(response.content)
        assert response.json()["status"] == response.status_code
        assert response.json()["code"] in codes, response.json()


def assert_problem(response: Any, status: int, code: str, pointer: str = "") -> dict[str, Any]:
    """This problem, and at this place of the request. Returns it."""
    assert response.status_code == status, response.content[:500]
    assert_documented(response)
    found = response.json()
    assert found["code"] == code, found
    assert found["type"].endswith(f":{code}")
    assert found["title"]
    assert found["detail"]
    if status == 401:
        assert response["WWW-Authenticate"] == "Bearer"
    assert response.get("Retry-After") == (
        str(found["retry_after"]) if "retry_after" in found else None
    )
    if pointer:
        assert pointer in [fault["pointer"] for fault in found["errors"]], found
    return found


def assert_proposal(response: Any, status: int = 200) -> dict[str, Any]:
    """A proposal with exactly the documented members. Returns it."""
    assert response.status_code == status, response.content[:500]
    assert_documented(response)
    answers.Proposal.model_validate_json(response.content)
    assert set(response.json()) == PROPOSAL
    if status == 201:
        assert response["Location"] == f"/api/v1/proposals/{response.json()['id']}"
    return response.json()


def rows() -> dict[str, int]:
    """How many rows every table of the product has: what is half stored shows here."""
    return {
        model._meta.label: model._default_manager.count()
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed
    }
