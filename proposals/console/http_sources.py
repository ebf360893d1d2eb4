"""Definitions as YAML on a page: which line a fault is in, and what a change changed. Pure."""

import difflib
from dataclasses import dataclass
from typing import Any

import yaml

from proposals.console import http_lines
from proposals.exceptions import InvalidRequest
from proposals.http_actions import reading
from proposals.http_actions.reading import Loader

MOST_FAULTS = 50
Lines = list[tuple[str, str]]


@dataclass(frozen=True)
class Placed:
    """One fault with where it is: by path, and by line where the text has one."""

    detail: str
    path: str = ""
    line: int = 0
    source: str = ""


# Codes of the validation in words of people; a pattern says nothing to most, so its field does.
SAID = {
    "missing": "This is needed.",
    "extra-forbidden": "There is no such field here.",
    "string-type": "A text; put it in quotes.",
    "int-type": "A whole number, without quotes.",
    "bool-type": "true or false.",
    "list-type": "A list.",
    "dict-type": "Names with their values.",
    "model-type": "Names with their values.",
    "model-attributes-type": "Names with their values.",
}
A_POINTER = "A pointer into the answer, such as /id or /error/message."
AN_AMOUNT = "An amount as text, such as 1000 or 12.50."
PATTERNS = {
    "path": "It begins with / and holds no spaces.",
    "secret": "The name of a secret: lower-case letters, digits, - and _, a letter first.",
    "header": "The name of a header, such as Idempotency-Key.",
    "currency": "A currency, such as EUR.",
    "money": "The name of a parameter.",
    "user": "Plain characters without spaces and colons.",
    **dict.fromkeys(("reference", "message", "pointer", "list", "more"), A_POINTER),
    **dict.fromkeys(("minimum", "maximum", "at_most"), AN_AMOUNT),
}


def said(fault: dict[str, str]) -> str:
    """What is wrong, for people."""
    if fault["code"] == "string-pattern-mismatch":
        parts = fault["pointer"].split("/")
        named = next((PATTERNS[part] for part in reversed(parts) if part in PATTERNS), "")
        is_pointer = {"result", "fields"} & set(parts[-2:-1])
        return A_POINTER if is_pointer else named or "It is not written as it must be."
    return SAID.get(fault["code"], fault["detail"])


def placed(refusal: InvalidRequest, text: str = "", document: int = 0) -> list[Placed]:
    """The faults of a refused definition, in the order of its lines."""
    if not refusal.errors:
        return [Placed(str(refusal))]
    nodes, lines = documents(text), text.splitlines()
    root = nodes[document] if document < len(nodes) else None
    found = []
    for error in refusal.errors[:MOST_FAULTS]:
        number = line_of(root, error["pointer"]) if root is not None else 0
        if document and root is not None:  # of several, which one it is
            number = number or root.start_mark.line + 1
        source = lines[number - 1].strip() if 0 < number <= len(lines) else ""
        found.append(Placed(said(error), path_of(error["pointer"]), number, source))
    return sorted(found, key=lambda one: one.line)


def path_of(pointer: str) -> str:
    """A JSON pointer as people write it: request.form.amount."""
    parts = pointer.split("/")[1:]
    return ".".join(part.replace("~1", "/").replace("~0", "~") for part in parts)


def documents(text: str) -> list[Any]:
    """The documents of a text as nodes, which know their lines; none where it is no YAML."""
    found = []
    loader = Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is not None and node.tag != "tag:yaml.org,2002:null":
                found.append(node)
    except (yaml.YAMLError, RecursionError, ValueError):
        return []
    finally:
        loader.dispose()
    return found


def line_of(node: Any, pointer: str) -> int:
    """The line that a pointer leads to, or the last one on the way there; 0 if none is."""
    line = 0
    for part in pointer.split("/")[1:]:
        step = step_into(node, part.replace("~1", "/").replace("~0", "~"))
        if step is None:
            break
        mark, node = step
        line = mark.line + 1
    return int(line)


def step_into(node: Any, name: str) -> tuple[Any, Any] | None:
    """Where a member begins, and the member."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == name:
                return key.start_mark, value
    if isinstance(node, yaml.SequenceNode) and name.isdigit() and int(name) < len(node.value):
        item = node.value[int(name)]
        return item.start_mark, item
    return None


def one_definition(text: str) -> Any:
    """The single JSON value in a YAML text. Raises InvalidRequest."""
    found = reading.documents(text)
    if len(found) != 1:
        raise InvalidRequest(
            "There is no definition in it."
            if not found
            else "One definition at a time; several can be imported."
        )
    return found[0]


def stored_yaml(raw: Any) -> str:
    """A stored definition as YAML, its fields in their order as far as it is understood."""
    try:
        return http_lines.to_yaml(reading.read(raw).as_json())
    except InvalidRequest:
        return http_lines.to_yaml(raw)


def changed_lines(before: str, after: str) -> Lines:
    """The lines of a change with a few around it, as (same | removed | added | gap, line)."""
    kinds = {" ": "same", "-": "removed", "+": "added"}
    found: Lines = []
    for line in list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=2))[2:]:
        if line.startswith("@@"):
            found += [("gap", "…")] if found else []
        else:
            found.append((kinds[line[0]], line[1:]))
    return found
