"""The request that a definition and some values make, and who it says it is from. Pure."""

import base64
import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from proposals.http_actions import templating
from proposals.http_actions.definition import Authentication, Definition, Key, Reading, Writing
from proposals.http_actions.templating import LeftOut, Values

FORM, JSON = "application/x-www-form-urlencoded", "application/json"


@dataclass(frozen=True)
class Made:
    """One request, complete but for its authentication."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


def make(definition: Definition, request: Reading | Writing, values: Values) -> Made:
    """The request with these values. Raises Unfit for a value that does not fit its place."""
    query = templating.encoded(request.query, values)
    url = definition.origin + templating.path(request.path, values) + (f"?{query}" if query else "")
    headers = {"Accept": JSON}
    body = b""
    if request.form is not None:
        headers["Content-Type"] = FORM
        body = templating.encoded(request.form, values).encode()
    elif request.has_json:
        headers["Content-Type"] = JSON
        tree = templating.tree(request.json_body, values)
        body = json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode()
    for name, template in request.headers.items():
        value = templating.header(template, values)
        if not isinstance(value, LeftOut):
            headers = {kept: held for kept, held in headers.items() if kept != name.title()}
            headers[name] = value
    return Made(request.method, url, headers, body)


def with_key(made: Made, header: str, key: str) -> Made:
    return replace(made, headers={**made.headers, header: key})


def signed(made: Made, how: Authentication | None, secret: str) -> Made:
    """The request with its authentication: the last thing that happens to it."""
    if how is None:
        return made
    name, value = credentials(how, secret)
    return replace(made, headers={**made.headers, name: value})


def credentials(how: Authentication, secret: str) -> tuple[str, str]:
    """The header that says who it is from, and what it holds."""
    if how.scheme == "header":
        return how.header, how.prefix + secret
    if how.scheme == "bearer":
        return "Authorization", f"Bearer {secret}"
    pair = base64.b64encode(f"{how.user}:{secret}".encode()).decode()
    return "Authorization", f"Basic {pair}"


def masked(how: Authentication, hidden: str) -> tuple[str, str]:
    """The same header for people to see."""
    name, value = credentials(how, "")
    return name, f"Basic {hidden}" if how.scheme == "basic" else value + hidden


def shaped(key: Key, execution_key: str) -> str:
    """Our key as the provider takes it: the same for the same key, whatever its shape."""
    if key.format == "uuid":
        return str(uuid.UUID(bytes=hashlib.sha256(execution_key.encode()).digest()[:16], version=4))
    if len(execution_key) <= key.length:
        return execution_key
    told = base64.b32encode(hashlib.sha256(execution_key.encode()).digest()).decode()
    return told.rstrip("=").lower()[: key.length]


def sent_fields(request: Writing, values: Values) -> dict[str, Any]:
    """What a request says, field by field, as people are shown it before anything is written."""
    if request.form is not None:
        return dict(templating.pairs(request.form, values))
    if request.has_json:
        return dict(flat(templating.tree(request.json_body, values)))
    return {"request": f"{request.method} {templating.path(request.path, values)}"}


def flat(value: Any, place: str = "") -> list[tuple[str, Any]]:
    """A JSON value as the paths of its leaves."""
    if isinstance(value, dict) and value:
        inner = [(f"{place}.{name}" if place else str(name), one) for name, one in value.items()]
    elif isinstance(value, list) and value:
        inner = [
            (f"{place}.{number}" if place else str(number), one) for number, one in enumerate(value)
        ]
    else:
        return [(place or "body", value)]
    return [leaf for where, one in inner for leaf in flat(one, where)]
