"""What to paste to begin: a call by curl and by Python, and two ways to give models the tools.

Made from the schemas of the actions and the address of this installation. The calls are dry runs,
so that whoever pastes one writes nothing.
"""

import json
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from proposals.exceptions import InvalidParams
from proposals.registry import Action

PLACEHOLDER = "paste-the-token-here"
RATIONALE = "Trying it out."
RUN = "first-try"
DEEPEST = 8
TRIED_TEXTS = ("1", "1.00", "example", "EUR", "someone@example.com", "https://example.com", "A")
FORMATS = {
    "date-time": "2026-01-31T12:00:00Z",
    "date": "2026-01-31",
    "email": "someone@example.com",
    "uri": "https://example.com",
}


@dataclass(frozen=True)
class Snippet:
    """One text to copy. `name` is for addresses in the page."""

    name: str
    title: str
    text: str
    note: str = ""


def snippets(address: str, actions: list[Action], chosen: Action, token: str = "") -> list[Snippet]:
    """All of them, for one of the actions; with the token right after it was issued."""
    params, fits = example_of(chosen)
    body = {"action": chosen.name, "params": params, "run": RUN, "rationale": RATIONALE}
    note = "A dry run: it is checked and nothing is written. Take dry_run out to propose it."
    if not fits:
        note += " Change the parameters first: no example could be made that fits."
    told = token or PLACEHOLDER
    return [
        Snippet("curl", "curl", curl(address, body, told), note),
        Snippet("python", "Python", python(address, body, told), f"{note} No package is needed."),
        Snippet(
            "mcp",
            "MCP server",
            mcp(address, told),
            "For a host that speaks the Model Context Protocol, and finds the tools itself. Hosts "
            "differ in where they keep this, and some call the type streamable-http.",
        ),
        Snippet(
            "tools",
            "Tools for a model",
            json.dumps([tool(action) for action in actions], indent=2),
            "One tool for each action that it may propose. Send what the model fills in as the "
            "body of the call, with the action's name: a hyphen stands for its dot.",
        ),
    ]


def mcp(address: str, token: str) -> str:
    server = {
        "type": "http",
        "url": urljoin(address, "/mcp"),
        "headers": {"Authorization": f"Bearer {token}"},
    }
    return json.dumps({"mcpServers": {"countersign": server}}, indent=2)


def curl(address: str, body: dict[str, Any], token: str) -> str:
    data = json.dumps(body | {"dry_run": True}, indent=2)
    return f"""TOKEN={shlex.quote(token)}
curl -sS {shlex.quote(address)} \\
  -H "Authorization: Bearer $TOKEN" \\
  -H "Idempotency-Key: try-$(date +%s)" \\
  -H 'Content-Type: application/json' \\
  --data {shlex.quote(data)}
"""


def python(address: str, body: dict[str, Any], token: str) -> str:
    return f"""import json
import urllib.error
import urllib.request
import uuid

ADDRESS = {address!r}
TOKEN = {token!r}
KEY = str(uuid.uuid4())  # for a repeat, keep it: the same key is the same proposal

proposal = {literal(body)}
proposal["dry_run"] = True  # take this line out to propose it

request = urllib.request.Request(
    ADDRESS,
    data=json.dumps(proposal).encode(),
    headers={{
        "Authorization": "Bearer " + TOKEN,
        "Idempotency-Key": KEY,
        "Content-Type": "application/json",
    }},
)
try:
    answer = urllib.request.urlopen(request, timeout=30)
except urllib.error.HTTPError as refusal:
    answer = refusal

print(answer.status, json.dumps(json.load(answer), indent=2))
"""


def literal(value: Any, indent: str = "") -> str:
    """A JSON value as Python writes it, one member to a line."""
    inner = f"{indent}    "
    if isinstance(value, dict) and value:
        lines = [f"{inner}{name!r}: {literal(each, inner)},\n" for name, each in value.items()]
        return "{\n" + "".join(lines) + indent + "}"
    if isinstance(value, list) and value:
        return "[\n" + "".join(f"{inner}{literal(each, inner)},\n" for each in value) + indent + "]"
    return repr(value)


def tool(action: Action) -> dict[str, Any]:
    """An action as a tool of a model: its schema, and why the model wants it."""
    schema = dict(action.schema())
    shared = schema.pop("$defs", None)
    described = action.description or action.title
    return {
        "name": tool_name(action),
        "description": f"{described} This proposes it; rules and people decide, and the answer "
        "says what happened and who must act next.",
        "input_schema": {
            "type": "object",
            "properties": {
                "params": schema,
                "rationale": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 2000,
                    "description": "Why this should be written, for the people who decide.",
                },
            },
            "required": ["params", "rationale"],
            "additionalProperties": False,
            **({"$defs": shared} if shared else {}),
        },
    }


def tool_name(action: Action) -> str:
    """Tools have no dots in their names, and actions no hyphens."""
    return action.name.replace(".", "-")


def example_of(action: Action) -> tuple[dict[str, Any], bool]:
    """Parameters made from the schema, and whether the action takes them."""
    schema = action.schema()
    found = example(schema, schema.get("$defs", {}))
    params = found if isinstance(found, dict) else {}
    try:
        action.validate(params)
    except InvalidParams:
        return params, False
    return params, True


def example(schema: Any, shared: dict[str, Any], depth: int = 0) -> Any:
    """The least that a JSON Schema asks for. What it does not understand becomes null."""
    if not isinstance(schema, dict) or depth > DEEPEST:
        return None
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return example(shared.get(name), shared, depth + 1)
    if (given := stated(schema)) is not None:
        return given
    kind = schema.get("type")
    if "properties" in schema:
        return example_object(schema, shared, depth)
    for choices in ("oneOf", "anyOf", "allOf"):
        options = [one for one in schema.get(choices, ()) if one.get("type") != "null"]
        if options:
            return example(options[0], shared, depth + 1)
    if kind == "object":
        return {}
    if kind == "array":
        return [example(schema.get("items"), shared, depth + 1)] * max(schema.get("minItems", 0), 1)
    return plain_example(kind, schema)


def stated(schema: dict[str, Any]) -> Any:
    """What the schema itself says a value may be."""
    if "const" in schema:
        return schema["const"]
    for several in ("examples", "enum"):
        if schema.get(several):
            return schema[several][0]
    return schema.get("default")


def example_object(schema: dict[str, Any], shared: dict[str, Any], depth: int) -> dict[str, Any]:
    known = schema.get("properties", {})
    wanted = list(schema.get("required", ()))
    for option in (schema.get("oneOf") or schema.get("anyOf") or ())[:1]:
        wanted += [name for name in option.get("required", ()) if name not in wanted]
    missing = max(schema.get("minProperties", 0) - len(wanted), 0)
    wanted += [name for name in known if name not in wanted][:missing]
    return {name: example(known.get(name), shared, depth + 1) for name in known if name in wanted}


def plain_example(kind: Any, schema: dict[str, Any]) -> Any:
    if kind == "string":
        return example_text(schema)
    if kind in {"integer", "number"}:
        least = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        return min(max(least, 1), schema.get("maximum", max(least, 1)))
    return False if kind == "boolean" else None


def example_text(schema: dict[str, Any]) -> str:
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]]
    if pattern := schema.get("pattern"):
        fitting: Iterable[str] = (text for text in TRIED_TEXTS if re.search(pattern, text))
        return next(iter(fitting), "example")
    text = "example".ljust(schema.get("minLength", 0), ".")
    return text[: schema.get("maxLength", len(text))]
