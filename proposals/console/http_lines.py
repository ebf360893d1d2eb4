"""Parts of a definition as a person types them into a field, one to a line, and back. Pure.

    charge: {charge}
    200 where /status is succeeded, pending

Whatever cannot be said in these lines is shown as YAML instead: nothing is bent to fit.
"""

import json
import re
from typing import Any

import yaml

from proposals.exceptions import InvalidRequest
from proposals.http_actions import reading

MATCH = re.compile(r"(\d{1,4})(?:\s+where\s+(/\S*)(?:\s+is\s+(.+))?)?")
ITEM = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^,"]+?)\s*(?:,|$)')
SIMPLE = re.compile(r"[^\s,\"](?:[^,\"\n]*[^\s,\"])?")
NO_TEXT = re.compile(r"-?(?:0|[1-9][0-9]{0,18})|true|false|null")


class BadLine(ValueError):
    """A line that is not understood, said in a sentence that begins with its number."""


def numbered(text: str) -> list[tuple[int, str]]:
    """The lines that say something."""
    lines = enumerate(text.splitlines(), start=1)
    return [(number, line) for number, line in lines if line.strip()]


def pairs(text: str) -> dict[str, str]:
    """Names with their values: `name: value` on each line. Raises BadLine."""
    found: dict[str, str] = {}
    for number, line in numbered(text):
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise BadLine(f"Line {number}: write it as name: value.")
        if name.strip() in found:
            raise BadLine(f"Line {number}: {name.strip()} stands here twice.")
        found[name.strip()] = value.strip()
    return found


def show_pairs(given: dict[str, Any]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in given.items())


def scalar(word: str) -> Any:
    """A text, or a whole number, true, false or null; in quotes it is a text in any case."""
    return json.loads(word) if NO_TEXT.fullmatch(word) or word.startswith('"') else word


def items(text: str) -> list[str]:
    """What stands between commas, each as it was typed. Raises BadLine."""
    found, at = [], 0
    while at < len(text):
        item = ITEM.match(text, at)
        if item is None:
            raise BadLine(f"{text[at:].strip()[:60]!r} is not understood; put it in quotes.")
        found.append(item[1])
        at = item.end()
    return found


def scalars(text: str) -> list[Any]:
    """Values that are separated by commas. Raises BadLine."""
    return [scalar(item) for item in items(text)]


def texts(text: str) -> list[str]:
    """The same, where every value is a text. Raises BadLine."""
    return [json.loads(item) if item.startswith('"') else item for item in items(text)]


def show_texts(given: list[str]) -> str:
    return ", ".join(one if SIMPLE.fullmatch(one) else json.dumps(one) for one in given)


def show_scalar(value: Any) -> str:
    is_plain = isinstance(value, str) and SIMPLE.fullmatch(value) and not NO_TEXT.fullmatch(value)
    return str(value) if is_plain else json.dumps(value, ensure_ascii=False)


def matches(text: str) -> list[Any]:
    """Answers: statuses on a line, or one of them with a condition. Raises BadLine."""
    found: list[Any] = []
    for number, line in numbered(text):
        if re.fullmatch(r"[\d\s,]+", line):
            found += [int(word) for word in re.findall(r"\d+", line)]
            continue
        said = MATCH.fullmatch(line.strip())
        if said is None:
            raise BadLine(f"Line {number}: write 200, or 200 where /status is succeeded, pending.")
        status, pointer, values = said.groups()
        condition = {"status": int(status), "pointer": pointer}
        if values is not None:
            condition["equals"] = scalars(values)
        found.append(condition)
    return found


def show_matches(given: list[Any]) -> str:
    """Plain statuses in one line, each condition in one of its own; in the order given."""
    lines: list[str] = []
    was_plain = False
    for one in given:
        if isinstance(one, int):
            lines[-1:] = [f"{lines[-1]}, {one}"] if was_plain else [*lines[-1:], str(one)]
        else:
            lines.append(show_condition(one))
        was_plain = isinstance(one, int)
    return "\n".join(lines)


def show_condition(match: dict[str, Any]) -> str:
    said = f"{match['status']} where {match['pointer']}"
    if "equals" not in match:
        return said
    equals = match["equals"]
    listed = equals if isinstance(equals, list) else [equals]
    return f"{said} is {', '.join(map(show_scalar, listed))}"


def fragment(text: str) -> Any:
    """What a piece of YAML holds; None for nothing. Raises BadLine."""
    try:
        found = reading.documents(text)
    except InvalidRequest as refusal:
        raise BadLine(str(refusal)) from None
    if len(found) > 1:
        raise BadLine("Only one piece of YAML, without lines of ---.")
    return found[0] if found else None


def show_fragment(value: Any) -> str:
    return to_yaml(value) if value is not None else ""


class Dumper(yaml.SafeDumper):
    """Lists of plain values in one line, everything else in lines of its own."""

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> Any:
        is_plain = not any(isinstance(one, dict | list) for one in sequence)
        return super().represent_sequence(tag, sequence, flow_style=is_plain)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def to_yaml(value: Any) -> str:
    """A JSON value as the YAML that is read here."""
    made = yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)
    return str(made)


def body(text: str) -> Any:
    """A JSON body. Raises BadLine with the line."""
    try:
        return json.loads(text, parse_float=no_fraction, parse_constant=no_fraction)
    except json.JSONDecodeError as error:
        raise BadLine(f"Line {error.lineno}, column {error.colno}: {error.msg}.") from None
    except (ValueError, RecursionError) as error:
        raise BadLine(str(error)) from None


def no_fraction(number: str) -> Any:
    raise ValueError(f"{number}: write numbers with a point as text.")


def show_body(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
