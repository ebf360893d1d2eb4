"""The agents' door for models: the Model Context Protocol over Streamable HTTP.

One JSON-RPC message in a POST and one answer to it: no session, no cookie, no stream. Two eras are
spoken, and of neither is anything remembered. Since 2026-07-28 each request says itself who sends
it and in which version; before, an `initialize` came first. What the tools do is in `tools`.
"""

from dataclasses import dataclass
from typing import Any

from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.response import Response

from proposals.api import tools
from proposals.api.authentication import agent_of
from proposals.api.parsers import MalformedJSON
from proposals.api.views import AgentView

MODERN = "2026-07-28"
# 2025-03-26 also had batches. No client is known to send them, and they are refused.
HANDSHAKE = ("2025-03-26", "2025-06-18", "2025-11-25")
VERSIONS = [*HANDSHAKE, MODERN]
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"
SERVER_KEY = "io.modelcontextprotocol/serverInfo"

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
HEADER_MISMATCH = -32020
UNSUPPORTED_VERSION = -32022

SERVER = {"name": "countersign", "version": "1"}
CAPABILITIES: dict[str, Any] = {"tools": {}}
INSTRUCTIONS = (
    "Every tool that is named after an action proposes a write; none writes by itself. Rules and "
    "people decide, and each answer says what happened and who must act next. Keep the "
    "idempotency_key of a call and send it again if the answer was lost: the same key with the "
    "same arguments never writes twice."
)
# A grant may be given or taken at any time, and another agent's menu is never this one's.
UNCACHED = {"ttlMs": 0, "cacheScope": "private"}


class ProtocolError(Exception):
    """A message that is not one of this protocol, as JSON-RPC and as HTTP have it."""

    def __init__(self, code: int, detail: str, *, status: int = 400, data: Any = None) -> None:
        super().__init__(detail)
        self.code, self.status, self.data = code, status, data


@dataclass(frozen=True)
class Message:
    """One JSON-RPC request or notification; a notification has no id and gets no answer."""

    method: str
    params: dict[str, Any]
    id: str | int | None = None

    @property
    def is_notification(self) -> bool:
        return self.id is None

    @property
    def meta(self) -> dict[str, Any]:
        found = self.params.get("_meta")
        return found if isinstance(found, dict) else {}


# No docstring: as everywhere on this door, views have none.
class Mcp(AgentView):
    http_method_names = ("post",)
    schema = None  # the published document is the contract over REST
    answers_to: str | int | None = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        refuse_foreign_pages(request)
        if request.method != "POST":
            # Before what it accepts is looked at: clients ask for a stream by GET, and take 405,
            # and nothing else, for the answer that there is none.
            self.check_permissions(request)
            raise MethodNotAllowed(request.method or "")
        super().initial(request, *args, **kwargs)

    def post(self, request: Request) -> Response:
        self.answers_to = id_of(request.data)
        message = read(request.data, self.answers_to)
        if message.is_notification:
            refuse_unknown_version(request)
            return Response(status=202)
        is_modern = speaks_modern(request, message)
        try:
            result = answer(request, message, is_modern)
        except ProtocolError as error:
            # Before 2026 clients took any other status for the end of a session.
            error.status = error.status if is_modern else 200
            raise
        if is_modern:
            result = {"resultType": "complete", **result}
        return Response({"jsonrpc": "2.0", "id": message.id, "result": result})

    def handle_exception(self, error: Exception) -> Any:
        """What is no message here is told in JSON-RPC; all else as everywhere on this door."""
        if isinstance(error, MalformedJSON):
            error = ProtocolError(PARSE_ERROR, str(error.detail))
        if not isinstance(error, ProtocolError):
            return super().handle_exception(error)
        told = {"code": error.code, "message": str(error)}
        if error.data is not None:
            told["data"] = error.data
        body = {"jsonrpc": "2.0", "id": self.answers_to, "error": told}
        return Response(body, status=error.status)


def refuse_foreign_pages(request: Request) -> None:
    """Only browsers send an Origin, and only our own pages may; not one that was rebound to us."""
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"{request.scheme}://{request.get_host()}":
        raise ProtocolError(INVALID_REQUEST, "Pages of other sites are refused.", status=403)


def id_of(data: Any) -> str | int | None:
    """The id that an answer would carry, if the message has one that JSON-RPC and MCP allow."""
    found = data.get("id") if isinstance(data, dict) else None
    return found if isinstance(found, str | int) and not isinstance(found, bool) else None


def read(data: Any, message_id: str | int | None) -> Message:
    """The one message of a body, or ProtocolError."""
    if not isinstance(data, dict):
        raise ProtocolError(INVALID_REQUEST, "The body is one JSON-RPC object, and no batch.")
    if "id" in data and message_id is None:
        raise ProtocolError(INVALID_REQUEST, "The id of a request is a string or whole number.")
    if data.get("jsonrpc") != "2.0" or not isinstance(data.get("method"), str):
        raise ProtocolError(INVALID_REQUEST, 'A message has "jsonrpc": "2.0" and a method.')
    params = data.get("params", {})
    if not isinstance(params, dict):
        raise ProtocolError(INVALID_REQUEST, "The params of a message are an object.")
    return Message(data["method"], params, message_id)


def refuse_unknown_version(request: Request) -> None:
    version = request.headers.get("MCP-Protocol-Version")
    if version is not None and version not in VERSIONS:
        raise unsupported(version)


def unsupported(version: str | None) -> ProtocolError:
    return ProtocolError(
        UNSUPPORTED_VERSION,
        "Unsupported protocol version",
        data={"supported": VERSIONS, "requested": version},
    )


def speaks_modern(request: Request, message: Message) -> bool:
    """Whether the request says everything itself. Raises where headers and body disagree."""
    version, stated = request.headers.get("MCP-Protocol-Version"), message.meta.get(VERSION_KEY)
    is_modern = stated is not None or version not in (None, *HANDSHAKE)
    if stated is not None and stated != version:
        raise mismatch("MCP-Protocol-Version")
    if is_modern and version != MODERN:
        raise unsupported(version)
    if is_modern and not {VERSION_KEY, CAPABILITIES_KEY} <= message.meta.keys():
        raise ProtocolError(
            INVALID_PARAMS, f"params._meta must have {VERSION_KEY} and {CAPABILITIES_KEY}."
        )
    expected: dict[str, Any] = {"Mcp-Method": message.method}
    if message.method == "tools/call":
        expected["Mcp-Name"] = message.params.get("name")
    for header, value in expected.items():
        found = request.headers.get(header)
        if found != value and (is_modern or found is not None):
            raise mismatch(header)
    return is_modern


def mismatch(header: str) -> ProtocolError:
    return ProtocolError(HEADER_MISMATCH, f"The header {header} says other than the body.")


def answer(request: Request, message: Message, is_modern: bool) -> dict[str, Any]:
    """The result of a request; ProtocolError for a method that is not spoken in its era."""
    caching = UNCACHED if is_modern else {}
    if message.method == "tools/call":
        return call(request, message.params)
    if message.method == "tools/list":
        return {"tools": tools.listed(agent_of(request)), **caching}
    if message.method == "server/discover" and is_modern:
        return {
            "supportedVersions": VERSIONS,
            "capabilities": CAPABILITIES,
            "instructions": INSTRUCTIONS,
            "_meta": {SERVER_KEY: SERVER},
            **caching,
        }
    if message.method == "initialize" and not is_modern:
        asked = message.params.get("protocolVersion")
        return {
            "protocolVersion": asked if asked in HANDSHAKE else HANDSHAKE[-1],
            "capabilities": CAPABILITIES,
            "serverInfo": SERVER,
            "instructions": INSTRUCTIONS,
        }
    if message.method == "ping":
        return {}
    raise ProtocolError(METHOD_NOT_FOUND, "There is no such method here.", status=404)


def call(request: Request, params: dict[str, Any]) -> dict[str, Any]:
    """The result of a tool. What the product refuses is a result too, which models can read."""
    name, arguments = params.get("name"), params.get("arguments", {})
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise ProtocolError(INVALID_PARAMS, "A call names a tool, and its arguments are an object.")
    if not tools.may_be_named(name):
        raise ProtocolError(INVALID_PARAMS, "There is no tool of that name.")
    return tools.call(request, name, arguments)
