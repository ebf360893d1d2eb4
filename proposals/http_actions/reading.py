"""From what a person wrote to a Definition, and back: JSON values and YAML. Pure.

YAML is read without what makes it surprising: no anchors, no tags, no duplicate names, and neither
dates nor words like `no` become anything but text.
"""

import re
from collections.abc import Callable
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from ledger.canonical import canonical
from proposals.exceptions import InvalidRequest
from proposals.http_actions import soundness
from proposals.http_actions.definition import Definition
from proposals.http_actions.parameters import KINDS, adapter_of
from proposals.registry import faults, pointer

LONGEST, MOST_DOCUMENTS, DEEPEST = 256 * 1024, 100, 24


def read(raw: Any) -> Definition:
    """The definition that this JSON value is. Raises InvalidRequest with a pointer per fault."""
    try:
        found = TypeAdapter(Definition).validate_python(raw)
        canonical(raw)
    except ValidationError as error:
        raise invalid(unique([pointer(as_written(each)) for each in faults(error)])) from None
    except (ValueError, TypeError):
        detail = "It holds text or numbers that cannot be stored."
        raise invalid([soundness.fault("", detail)]) from None
    if wrong := soundness.faults_of(found) or example_faults(found):
        raise invalid(wrong)
    return found


def example_faults(definition: Definition) -> list[dict[str, str]]:
    """What is wrong with the parameters that it is tried out with, if there are any."""
    if not definition.example:
        return []
    try:
        adapter_of(definition.parameters, definition.name).validate_python(definition.example)
    except ValidationError as error:
        return [pointer(each, "/example") for each in faults(error)]
    return []


def invalid(errors: list[dict[str, str]]) -> InvalidRequest:
    """The refusal of a definition, which begins with the first field at fault."""
    first = errors[0]
    where = first["pointer"].lstrip("/").replace("/", ".") or "The definition"
    return InvalidRequest(f"{where}: {first['detail']}", errors=errors)


def as_written(fault: Any) -> Any:
    """A fault's place as a person wrote it: pydantic adds the kind of a parameter, and `[key]`."""
    place = [part for part in fault["loc"] if part != "[key]"]
    if place[:1] == ["parameters"] and place[2:3] and place[2] in KINDS:
        del place[2]
    return {**fault, "loc": tuple(place)}


def unique(errors: list[dict[str, str]]) -> list[dict[str, str]]:
    """The first fault of each place."""
    found: dict[str, dict[str, str]] = {}
    for error in errors:
        found.setdefault(error["pointer"], error)
    return list(found.values())


class Loader(yaml.SafeLoader):
    """Mappings, lists, text, whole numbers, true, false and null; nothing refers to anything."""

    yaml_implicit_resolvers: Any = {}
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent) or getattr(self.peek_event(), "anchor", None):
            raise yaml.MarkedYAMLError(
                None, None, "anchors and aliases are not read here", self.peek_event().start_mark
            )
        self.depth += 1
        if self.depth > DEEPEST:
            raise yaml.YAMLError("It is nested too deeply.")
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(
                    None, None, "a name must be text; put it in quotes", key_node.start_mark
                )
            if key in found:
                raise yaml.MarkedYAMLError(
                    None, None, f"{key} stands here twice", key_node.start_mark
                )
            found[key] = self.construct_object(value_node, deep=True)
        return found

    def construct_whole(self, node: Any) -> Any:
        return self.construct_mapping(node, deep=True)


Loader.add_constructor("tag:yaml.org,2002:map", Loader.construct_whole)
for tag, pattern, first in (
    ("bool", r"^(?:true|false)$", "tf"),
    ("int", r"^(?:0|-?[1-9][0-9]{0,18})$", "-0123456789"),
    ("null", r"^(?:null|~|)$", ["n", "~", ""]),
):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))


def documents(text: str) -> list[Any]:
    """The values in a YAML text, one per document. Raises InvalidRequest with line and column."""
    if len(text.encode(errors="replace")) > LONGEST:
        raise InvalidRequest(f"More than {LONGEST // 1024} KiB.")
    found: list[Any] = []
    try:
        for value in yaml.load_all(text, Loader):
            found.append(value)
            if len(found) > MOST_DOCUMENTS:
                raise InvalidRequest(f"At most {MOST_DOCUMENTS} definitions at a time.")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"Line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise InvalidRequest(f"{where}{error.problem or 'this is no YAML'}.") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InvalidRequest(f"This is no YAML that is read here: {error}"[:300]) from None
    return [value for value in found if value is not None]


def from_yaml(text: str) -> list[Definition]:
    """The definitions in a YAML text, separated by lines of `---`. Raises what `every` does."""
    named = [(name_of(value, at), value) for at, value in enumerate(documents(text), start=1)]
    if not named:
        raise InvalidRequest("There is no definition in it.")
    return every(named, read)


def name_of(value: Any, number: int) -> str:
    """What a definition calls itself, else which of its text it is."""
    name = value.get("name") if isinstance(value, dict) else None
    if isinstance(name, str) and name.strip() and name.isprintable():
        return name[:80]
    return f"definition {number}"


def every(named: list[tuple[str, Any]], make: Callable[[Any], Any]) -> list[Any]:
    """What is made of each, where all are without fault.

    Raises InvalidRequest with all faults of all of them, a line and a pointer each.
    """
    found, errors = [], []
    for name, given in named:
        try:
            found.append(make(given))
        except InvalidRequest as refusal:
            told = refusal.errors or [{"pointer": "", "detail": str(refusal)}]
            errors += [{"definition": name, **error} for error in told]
    if errors:
        lines = [f"{e['definition']} {e['pointer']}".rstrip() + f": {e['detail']}" for e in errors]
        raise InvalidRequest("\n".join(lines), errors=errors)
    return found


def to_yaml(definitions: list[Any]) -> str:
    """Definitions, as their JSON is stored, as a text that `from_yaml` reads."""
    ordered = [read(definition).as_json() for definition in definitions]
    return yaml.safe_dump_all(ordered, sort_keys=False, allow_unicode=True, width=100)
