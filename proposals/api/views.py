"""The agents' door. Each view reads the request, calls one verb and shows the result."""

import base64
import binascii
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Self
from uuid import UUID

from django.conf import settings
from django.db.models import Count, QuerySet
from django.http import HttpRequest, UnreadablePostError
from drf_spectacular.utils import extend_schema
from rest_framework.renderers import TemplateHTMLRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from budgets import standings
from proposals import idempotency, services
from proposals.api import documentation as docs
from proposals.api import dry_runs, limits, parsers, patience, representation, shapes
from proposals.api.authentication import agent_of, token_of
from proposals.api.representation import moment
from proposals.exceptions import InvalidRequest, NotFound
from proposals.models import Agent, Proposal, Run
from proposals.registry import Action, registry
from proposals.targets import wiring


# No docstring: it would become the description of every endpoint in the OpenAPI document.
class AgentView(APIView):
    http_method_names: Sequence[str] = ("get", "head", "post")

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        measure(request._request)


def measure(request: HttpRequest) -> None:
    """Read a chunked body, which comes without a length and would be taken for an empty one."""
    if "chunked" not in request.headers.get("Transfer-Encoding", "").lower():
        return
    try:
        data = request.META["wsgi.input"].read(settings.MAX_BODY_BYTES + 1)
        if len(data) > settings.MAX_BODY_BYTES:
            parsers.discard(request.META["wsgi.input"])
    except Exception as error:  # every server has its own for chunks that are not what they say
        raise UnreadablePostError("The chunks of the body could not be read.") from error
    request.META["CONTENT_LENGTH"] = str(len(data))
    request._stream = io.BytesIO(data)


def body(request: Request, shape: type[shapes.AnyShape]) -> shapes.AnyShape:
    """The request's body in its shape; an absent body is an empty object where nothing is due."""
    return shapes.read(shape, request.data if request.data is not None else {})


@dataclass(frozen=True)
class Keyed(Generic[shapes.AnyShape]):
    """What is asked for under an idempotency key."""

    asked: shapes.AnyShape
    key: str
    fingerprint: str

    @classmethod
    def read(cls, request: Request, shape: type[shapes.AnyShape], operation: str) -> Self:
        """Raises InvalidRequest for a body that is not in its shape, and for a key that is none;
        IdempotencyKeyReused before either where the key was used for another body.
        """
        header, sent = request.headers.get("Idempotency-Key"), request.data or {}
        with idempotency.reuse_first(agent_of(request), header, operation, sent):
            asked = body(request, shape)
        key = idempotency.parse_key(header)
        return cls(asked, key, idempotency.fingerprint(operation, sent))


def shown(
    request: Request, proposal_id: UUID, status: int = 200, *, replayed: bool = False
) -> Response:
    """Answer with the proposal, after waiting for it as long as the request prefers."""
    wait = patience.preferred_wait(request.headers.get("Prefer", ""))
    is_applied = wait is not None and patience.wait_for_machine(proposal_id, wait)
    response = Response(representation.one(proposal_id), status=status)
    if is_applied:
        response["Preference-Applied"] = f"wait={wait}"
    if replayed:
        response["Idempotent-Replayed"] = "true"
    if status == 201:
        response["Location"] = f"/api/v1/proposals/{proposal_id}"
    return response


def created(request: Request, proposal: Proposal, *, replayed: bool) -> Response:
    """Answer a request that created something, or the repeat of one that did."""
    response = shown(request, proposal.pk, 200 if replayed else 201, replayed=replayed)
    if not replayed:
        limits.tell(response, proposal)
    return response


class Proposals(AgentView):
    @extend_schema(**docs.SUBMIT)
    def post(self, request: Request) -> Response:
        sent = Keyed.read(request, shapes.ProposalIn, "submit")
        submission = services.Submission(**sent.asked.model_dump(exclude={"dry_run"}))
        if sent.asked.dry_run:
            found = services.dry_run(agent=agent_of(request), submission=submission)
            return Response(dry_runs.as_json(found))
        proposal, replayed = services.submit(
            agent=agent_of(request),
            key=sent.key,
            fingerprint=sent.fingerprint,
            submission=submission,
        )
        return created(request, proposal, replayed=replayed)

    @extend_schema(**docs.LIST)
    def get(self, request: Request) -> Response:
        asked = shapes.read(shapes.ListIn, request.query_params.dict())
        narrowed = {
            "status": asked.status,
            "run__name": asked.run,
            "action": asked.action,
            "resource": asked.resource,
        }
        own = Proposal.objects.of(agent_of(request)).filter(
            **{name: value for name, value in narrowed.items() if value is not None}
        )
        page, after, before = keyset(own, asked.cursor, asked.limit)
        return Response(
            {
                "results": representation.load(page),
                "next": link(request, after),
                "previous": link(request, before),
            }
        )


def keyset(
    rows: QuerySet[Proposal], cursor: str | None, limit: int
) -> tuple[QuerySet[Proposal], str | None, str | None]:
    """One page, newest first, with the cursors of the pages around it. No offset is counted."""
    direction, boundary = read_cursor(cursor) if cursor else ("after", None)
    if direction == "before":
        found = list(
            rows.filter(pk__gt=boundary).order_by("pk").values_list("pk", flat=True)[: limit + 1]
        )
        has_previous, has_next = len(found) > limit, True
        ids = found[:limit][::-1]
    else:
        older = rows.filter(pk__lt=boundary) if boundary else rows
        found = list(older.order_by("-pk").values_list("pk", flat=True)[: limit + 1])
        has_previous, has_next = boundary is not None, len(found) > limit
        ids = found[:limit]
    return (
        rows.filter(pk__in=ids).order_by("-pk"),
        write_cursor("after", ids[-1]) if ids and has_next else None,
        write_cursor("before", ids[0]) if ids and has_previous else None,
    )


def write_cursor(direction: str, boundary: UUID) -> str:
    sign = b"<" if direction == "before" else b">"
    return base64.urlsafe_b64encode(sign + boundary.bytes).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[str, UUID]:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 17 or raw[:1] not in b"<>":
        raise InvalidRequest(
            "That cursor is not one of ours.",
            errors=[{"pointer": "/cursor", "code": "cursor", "detail": "Use next or previous."}],
        )
    return "before" if raw[:1] == b"<" else "after", UUID(bytes=raw[1:])


def link(request: Request, cursor: str | None) -> str | None:
    if cursor is None:
        return None
    query = request.query_params.copy()
    query["cursor"] = cursor
    return request.build_absolute_uri(f"/api/v1/proposals?{query.urlencode()}")


class OneProposal(AgentView):
    @extend_schema(**docs.GET)
    def get(self, request: Request, proposal_id: str) -> Response:
        if not Proposal.objects.of(agent_of(request)).filter(pk=proposal_id).exists():
            raise NotFound
        return shown(request, UUID(proposal_id))


class Revisions(AgentView):
    @extend_schema(**docs.AMEND)
    def post(self, request: Request, proposal_id: str) -> Response:
        sent = Keyed.read(request, shapes.RevisionIn, f"amend {UUID(proposal_id)}")
        proposal, replayed = services.amend(
            agent=agent_of(request),
            proposal_id=UUID(proposal_id),
            key=sent.key,
            fingerprint=sent.fingerprint,
            changes=sent.asked.changes,
        )
        return created(request, proposal, replayed=replayed)


class Withdraw(AgentView):
    @extend_schema(**docs.WITHDRAW)
    def post(self, request: Request, proposal_id: str) -> Response:
        body(request, shapes.Nothing)
        proposal = services.withdraw(agent=agent_of(request), proposal_id=UUID(proposal_id))
        return shown(request, proposal.pk)


class Undo(AgentView):
    @extend_schema(**docs.UNDO)
    def post(self, request: Request, proposal_id: str) -> Response:
        sent = Keyed.read(request, shapes.UndoIn, f"undo {UUID(proposal_id)}")
        proposal, replayed = services.undo_by_agent(
            agent=agent_of(request),
            proposal_id=UUID(proposal_id),
            key=sent.key,
            fingerprint=sent.fingerprint,
            rationale=sent.asked.rationale,
        )
        return created(request, proposal, replayed=replayed)


def menu_item(action: Action) -> dict[str, Any]:
    return {
        "name": action.name,
        "title": action.title,
        "description": action.description,
        "schema": action.schema(),
        "delivery": action.delivery.value,
        "reversible": action.is_reversible,
    }


def menu(agent: Agent) -> list[Action]:
    """What this agent may propose, and nothing else."""
    wiring.refresh()
    return [action for action in registry.menu() if agent.may_propose(action.name)]


class Actions(AgentView):
    @extend_schema(**docs.ACTIONS)
    def get(self, request: Request) -> Response:
        return Response({"results": [menu_item(action) for action in menu(agent_of(request))]})


class OneAction(AgentView):
    @extend_schema(**docs.ACTION)
    def get(self, request: Request, name: str) -> Response:
        for action in menu(agent_of(request)):
            if action.name == name:
                return Response(menu_item(action))
        raise NotFound


class OneRun(AgentView):
    @extend_schema(**docs.RUN)
    def get(self, request: Request, run: str) -> Response:
        found = own_run(agent_of(request), run)
        own = found.proposals.of(agent_of(request))
        counted = own.values_list("status").annotate(number=Count("pk"))
        counts = dict(sorted(counted))
        latest = own.order_by("-pk")
        return Response(
            {
                "run": found.name,
                "created_at": moment(found.created_at),
                "total": sum(counts.values()),
                "counts": counts,
                "proposals": list(latest.values("id", "status", "action", "resource")[:100]),
            }
        )


def own_run(agent: Agent, address: str) -> Run:
    """The agent's run of this name. A slash at the end may be part of it, or of the address."""
    for name in (address, address.removesuffix("/")):
        if name.isprintable() and (run := agent.runs.filter(name=name).first()):
            return run
    raise NotFound


class Budgets(AgentView):
    @extend_schema(**docs.BUDGETS)
    def get(self, request: Request) -> Response:
        agent = agent_of(request)
        resources = Proposal.objects.of(agent).order_by().values("resource").distinct()
        gauges = standings.binding(str(agent.pk), agent.name, resources=resources)
        return Response({"results": [standings.as_json(gauge) for gauge in gauges]})


class Me(AgentView):
    @extend_schema(**docs.ME)
    def get(self, request: Request) -> Response:
        token = token_of(request)
        agent = token.agent
        return Response(
            {
                "id": str(agent.pk),
                "name": agent.name,
                "owner": agent.owner.get_username(),
                "suspended": agent.is_suspended,
                "grants": sorted(grant.pattern for grant in agent.grants.all()),
                "token": {
                    "key_id": token.key_id,
                    "expires_at": moment(token.expires_at),
                },
                # As in a proposal: only where it says something.
                **({"observed": True} if agent.is_observed else {}),
            }
        )


@extend_schema(exclude=True)
class Docs(APIView):
    """A page to read the contract on. It asks nobody who they are, as the contract is no secret."""

    authentication_classes = ()
    permission_classes = ()
    renderer_classes = (TemplateHTMLRenderer,)
    http_method_names = ("get", "head")

    def get(self, request: Request) -> Response:
        return Response({}, template_name="api/docs.html")
