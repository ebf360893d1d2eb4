"""The tools of the MCP door: one for each action that the agent may propose, and three more.

A tool calls the same verb as the REST view beside it, with the same fingerprint: the arguments
without the key are the body of `POST /proposals` or `/undo`. So one key is one write, whichever
of the two doors its repeats come through.
"""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError
from pydantic import Field
from rest_framework.request import Request

from proposals import idempotency, services
from proposals.api import problems, shapes, views
from proposals.api.authentication import agent_of
from proposals.exceptions import NotFound, ProposalError
from proposals.models import Agent, Proposal
from proposals.registry import Action, is_action_name

PROPOSES = (
    "This proposes it and writes nothing by itself: rules and people decide, and the answer says "
    "what happened and who must act next."
)
KEY = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "description": "New for each write, and the same again when you repeat a call whose answer was "
    "lost: the same key with the same arguments returns the first proposal. Printable ASCII.",
}
PROPOSAL_ID = {"type": "string", "format": "uuid", "description": "The id of a proposal of yours."}
DESCRIPTIONS = {
    "run": "A name for your session, the same for all that belongs together.",
    "rationale": "Why this should be written, for the people who decide.",
    "evidence": "What you knew: records, documents, messages and results that led to this.",
    "context": "Which model and prompt you are, as names and values.",
    "expires_in": "After how many seconds nobody needs to decide on it any more.",
}


class ProposalOf(shapes.Shape):
    """Which proposal a tool is about."""

    proposal_id: UUID = Field(strict=False)


class UndoOf(ProposalOf, shapes.UndoIn):
    """Which commit should be taken back, and why."""


def may_be_named(name: str) -> bool:
    """Whether a tool could have this name. Whether this agent has it is for the verbs to say."""
    return name in VERBS or is_action_name(name)


def listed(agent: Agent) -> list[dict[str, Any]]:
    """What this agent may call, and nothing else."""
    return [*map(proposing, views.menu(agent)), *OTHERS]


def proposing(action: Action) -> dict[str, Any]:
    """The tool of an action. Its parameters are nested, so that no name can mean two things."""
    schema = dict(action.schema())
    shared = schema.pop("$defs", {})  # references count from the root of the whole
    said = shapes.WriteIn.model_json_schema()
    said["properties"]["evidence"]["items"] = said.pop("$defs")["EvidenceIn"]
    properties = {"idempotency_key": KEY, **said["properties"], "params": schema}
    for name, description in DESCRIPTIONS.items():
        properties[name]["description"] = description
    described = action.description or action.title
    for_good = "" if action.is_reversible else " What it writes cannot be undone."
    return tool(
        action.name,
        f"{described}{for_good} {PROPOSES}",
        properties,
        required=("idempotency_key", *said["required"]),
        shared=shared,
        destructiveHint=not action.is_additive,
    )


def tool(
    name: str,
    description: str,
    properties: dict[str, Any],
    *,
    required: tuple[str, ...],
    shared: dict[str, Any] | None = None,
    **hints: bool,
) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
        **({"$defs": shared} if shared else {}),
    }
    annotations = {"readOnlyHint": False, "idempotentHint": True, **hints}
    return {
        "name": name,
        "description": description,
        "inputSchema": schema,
        "annotations": annotations,
    }


OTHERS = (
    tool(
        "get_proposal",
        "One of your own proposals as it stands now: what happened, and who must act next.",
        {"proposal_id": PROPOSAL_ID},
        required=("proposal_id",),
        readOnlyHint=True,
        destructiveHint=False,
    ),
    tool(
        "withdraw_proposal",
        "Take back a proposal of yours that is still open, until a worker has claimed it. It ends "
        "for good; what was committed is not touched.",
        {"proposal_id": PROPOSAL_ID},
        required=("proposal_id",),
        destructiveHint=True,
    ),
    tool(
        "undo_proposal",
        f"Reverse a committed proposal of yours, by a new proposal of the reversing call. "
        f"{PROPOSES}",
        {
            "idempotency_key": KEY,
            "proposal_id": PROPOSAL_ID,
            "rationale": {
                "type": "string",
                "minLength": 1,
                "maxLength": 2000,
                "description": "Why it should be taken back, for the people who decide.",
            },
        },
        required=("idempotency_key", "proposal_id"),
        destructiveHint=True,
    ),
)


def call(request: Request, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Do what the tool is for and say what came of it, or why it was refused."""
    try:
        proposal_id, replayed = VERBS.get(name, propose)(request, name, dict(arguments))
        shown = views.shown(request, proposal_id).data
    except (ProposalError, OperationalError, InterfaceError) as error:
        problem = problems.exception_handler(error, {"request": request, "view": name})
        return refusal(json.loads(problem.content))
    return result(shown, told(shown, replayed))


Done = tuple[UUID, bool]


def propose(request: Request, name: str, arguments: dict[str, Any]) -> Done:
    key = taken_key(arguments)
    with idempotency.reuse_first(agent_of(request), key, "submit", {"action": name, **arguments}):
        asked = shapes.read(shapes.WriteIn, arguments)
    proposal, replayed = services.submit(
        agent=agent_of(request),
        key=key,
        fingerprint=idempotency.fingerprint("submit", {"action": name, **arguments}),
        submission=services.Submission(action=name, **asked.model_dump()),
    )
    return proposal.pk, replayed


def get(request: Request, name: str, arguments: dict[str, Any]) -> Done:
    asked = shapes.read(ProposalOf, arguments)
    if not Proposal.objects.of(agent_of(request)).filter(pk=asked.proposal_id).exists():
        raise NotFound
    return asked.proposal_id, False


def withdraw(request: Request, name: str, arguments: dict[str, Any]) -> Done:
    asked = shapes.read(ProposalOf, arguments)
    return services.withdraw(agent=agent_of(request), proposal_id=asked.proposal_id).pk, False


def undo(request: Request, name: str, arguments: dict[str, Any]) -> Done:
    key = taken_key(arguments)
    asked = shapes.read(UndoOf, arguments)
    del arguments["proposal_id"]
    proposal, replayed = services.undo_by_agent(
        agent=agent_of(request),
        proposal_id=asked.proposal_id,
        key=key,
        fingerprint=idempotency.fingerprint(f"undo {asked.proposal_id}", arguments),
        rationale=asked.rationale,
    )
    return proposal.pk, replayed


VERBS: dict[str, Callable[[Request, str, dict[str, Any]], Done]] = {
    "get_proposal": get,
    "withdraw_proposal": withdraw,
    "undo_proposal": undo,
}


def taken_key(arguments: dict[str, Any]) -> str:
    """The key, out of the arguments: what is left is the body that REST would have had."""
    key = arguments.pop("idempotency_key", None)
    if key is None:
        raise idempotency.IdempotencyKeyMissing(
            "Send idempotency_key: 1 to 255 printable ASCII characters, new for each write."
        )
    if not isinstance(key, str):
        raise idempotency.IdempotencyKeyInvalid
    return idempotency.parse_key(key)


def result(content: dict[str, Any], text: str, *, is_error: bool = False) -> dict[str, Any]:
    return {
        "content": [{"type": "text", "text": text}],
        "structuredContent": content,
        "isError": is_error,
    }


def refusal(problem: dict[str, Any]) -> dict[str, Any]:
    """A problem as a result; in the text too, as some hosts show their models nothing else."""
    parts = [f"Refused, and nothing was stored ({problem['code']}): {problem['detail']}"]
    parts += [f"{fault['pointer']}: {fault['detail']}" for fault in problem.get("errors", ())]
    if "retry_after" in problem:
        parts.append(f"Try again in {problem['retry_after']} seconds, with the same key.")
    return result(problem, " ".join(parts), is_error=True)


SAID = {
    "submitted": "is being checked. Nothing is written yet; ask get_proposal what came of it.",
    "pending": "waits for people to approve it. Nothing is written until they do; ask "
    "get_proposal later, and do not propose it again.",
    "changes_requested": "was sent back, because people want it changed. Nothing is written; "
    "withdraw it and propose it as they want it, under a new key.",
    "approved": "is approved and not written yet. A worker does that next; ask get_proposal.",
    "committed": "is committed: it was written. Nobody has to act.",
    "failed": "failed, and nothing was written. People may try it again.",
    "unknown": "may have been written or not. An operator has to find out; do not propose it "
    "again.",
    "denied": "was denied by a rule, and nothing was written. Nobody has to act.",
    "rejected": "was rejected by a person, and nothing was written. Nobody has to act.",
    "withdrawn": "is withdrawn, and nothing was written. Nobody has to act.",
    "expired": "expired before it was decided, and nothing was written. Nobody has to act.",
}
STOPPED = {
    "approved": "is approved and held back. An operator has to lift what stops it before it "
    "is written.",
    "submitted": "is held. An operator has to resume its agent before it is checked.",
}


def told(proposal: dict[str, Any], replayed: bool) -> str:
    """What happened and who must act, as a model should read it."""
    said = SAID | STOPPED if proposal["waiting_on"]["who"] == "operator" else SAID
    parts = ["This key had stored it already, so nothing new was stored."] if replayed else []
    parts.append(f"Proposal {proposal['id']} {said[proposal['status']]}")
    if proposal["error"]:
        parts.append(proposal["error"]["detail"])
    elif proposal["status"] in {"denied", "rejected", "changes_requested"}:
        parts += [f"They said: {each['reason']}" for each in proposal["decisions"][-1:]]
    return " ".join(parts)
