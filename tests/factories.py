"""People, agents and proposals for tests, made by the product's own verbs.

Rita reviews, Saul and Sara are senior, Olga operates, and Otto owns the agents. The actions that
`make_proposal` proposes unless told are those of `tests.toys`: use the `toybox` fixture.
"""

import functools
import itertools
import json
from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.test import Client
from django.test.client import ClientHandler

from ledger import clock
from proposals import defaults, dispatch, execution, idempotency, services, tokens
from proposals.models import Agent, Execution, Proposal

PASSWORD = "Correct-Horse-7-Battery-Staple"
numbers = itertools.count(1)


def make_person(username: str = "rita", *, groups: Iterable[str] = ("reviewers",), **fields: Any):
    """A person who can sign in with PASSWORD. The same name again is the same person."""
    defaults.ensure()
    people = get_user_model()
    found = people.objects.filter(username=username).first()
    if found is None:
        fields = {"email": f"{username}@example.com", "first_name": username.title(), **fields}
        found = people(username=username, password=hashed_password(), **fields)
        found.save()
        found.groups.set([Group.objects.get(name=name) for name in groups])
    return found


@functools.cache
def hashed_password() -> str:
    """Hashed once, because a good hash takes its time."""
    return make_password(PASSWORD)


def make_agent(
    name: str = "billing-bot", *, owner: Any = None, grants: Iterable[str] = ("*",)
) -> Agent:
    """An agent with grants. The same name again is the same agent."""
    agent = Agent.objects.filter(name=name).first() or services.create_agent(
        name=name, owner=owner or make_person("otto", groups=())
    )
    for pattern in grants:
        services.grant(agent=agent, pattern=pattern)
    return agent


def token_for(agent: Agent) -> str:
    return tokens.issue(agent=agent, actor="system:test")


def new_key() -> str:
    return f"key-{next(numbers)}"


def suspend(agent: Agent) -> None:
    agent.is_suspended = True
    agent.save()


def body(**changes: Any) -> dict[str, Any]:
    """A body for POST /proposals that paints the bear blue, at low tier."""
    return {
        "action": "toys.set",
        "params": {"toy": "bear", "colour": "blue"},
        "run": "run-1",
        "rationale": "The child asked for it.",
        **changes,
    }


def painting(colour: str = "blue", **params: Any) -> dict[str, Any]:
    """Parameters of toys.set; `tier="medium"` needs Rita, `tier="high"` Saul and Sara."""
    return {"toy": "bear", "colour": colour} | params


def make_proposal(*, agent: Agent | None = None, key: str = "", **fields: Any) -> Proposal:
    """A proposal as an agent submits it, not yet checked."""
    asked = body(**fields)
    proposal, _ = services.submit(
        agent=agent or make_agent(),
        key=key or new_key(),
        fingerprint=idempotency.fingerprint("submit", asked),
        submission=services.Submission(**asked),
    )
    return proposal


def make_checked(**fields: Any) -> Proposal:
    """A proposal after the worker did all it could: committed, pending or denied."""
    proposal = make_proposal(**fields)
    work()
    return fresh(proposal)


def work() -> None:
    """Do, in this process, everything that a worker would find due; it comes to an end."""
    for _ in range(100):
        submitted = list(Proposal.objects.to_check().values_list("pk", flat=True))
        queued = list(Execution.objects.due(clock.now()).values_list("pk", flat=True))
        if not submitted and not queued:
            return
        for proposal_id in submitted:
            dispatch.check_and_commit(proposal_id)
        for execution_id in queued:
            execution.run(execution_id)
    raise AssertionError("The same work is due again and again.")


def review(proposal: Proposal, decision: str, *, reviewer: Any = None, **more: Any) -> Proposal:
    """Rita, or whoever is named, decides on what is pending now."""
    current = fresh(proposal)
    return services.review(
        proposal_id=current.pk,
        reviewer=reviewer or make_person(),
        decision=decision,
        digest=current.current_check.digest,
        **{"reason": "It was asked for in writing.", "authenticated_at": clock.now(), **more},
    )


def approve(proposal: Proposal, *, reviewer: Any = None, **more: Any) -> Proposal:
    return review(proposal, "approve", reviewer=reviewer, **more)


def fresh(proposal: Proposal) -> Proposal:
    """The same proposal as it stands in the database now."""
    return Proposal.objects.get(pk=proposal.pk)


@functools.cache
def site() -> ClientHandler:
    """The whole site, middleware loaded once, checking for CSRF as in production."""
    return ClientHandler(enforce_csrf_checks=True)


class AgentClient:
    """An agent's HTTP client: JSON, a bearer token, and no cookie jar that anybody reads."""

    def __init__(self, token: str = "", **headers: str) -> None:
        self.http = Client(raise_request_exception=False)
        self.http.handler = site()
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.headers |= headers

    def get(self, path: str, **headers: str) -> Any:
        return self.http.get(address(path), headers=self.headers | named(headers))

    def post(self, path: str, data: Any = None, *, key: str | None = None, **headers: str) -> Any:
        """POST as JSON; bytes are sent as they are. A key of "" sends none."""
        sent = dict(self.headers)
        if key != "":
            sent["Idempotency-Key"] = key or new_key()
        content = data if isinstance(data, bytes) else json.dumps({} if data is None else data)
        return self.http.post(
            address(path),
            content,
            content_type=headers.pop("content_type", "application/json"),
            headers=sent | named(headers),
        )

    def propose(self, *, key: str | None = None, prefer: str = "", **changes: Any) -> Any:
        headers = {"prefer": prefer} if prefer else {}
        return self.post("/proposals", body(**changes), key=key, **headers)


def address(path: str) -> str:
    """Paths are those of the contract's table; a full address is left as it is."""
    return path if path.startswith(("/api", "http")) else f"/api/v1{path}"


def named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def client_for(agent: Agent | None = None) -> AgentClient:
    return AgentClient(token_for(agent or make_agent()))
