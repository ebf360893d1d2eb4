"""A form for the parameters of a call, made from the schema of its action and the values it has.

Texts, numbers, yes and no, and choices have a field each, also one level down where the schema
names what is there. Anything else is JSON text, and so is a text with hidden characters, because
there they are escaped and cannot reorder what is beside them. What a person does not touch stays
what it was, to the byte: a browser may change line ends, which changes nothing here.
"""

import json
from dataclasses import dataclass
from enum import Enum
from re import Match
from typing import Any

from django import forms

from proposals import text
from proposals.api.parsers import MalformedJSON, parse
from proposals.console.diff import ABSENT, Missing

LONG = 80
LONGEST = 262_144
PREFIX = "value"


class Kind(Enum):
    TEXT = "text"
    CHOICE = "choice"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    JSON = "json"


@dataclass(frozen=True)
class Slot:
    """One value of a call: where it is, what it may be, and what it is now."""

    path: tuple[str, ...]
    kind: Kind
    now: Any
    is_required: bool = True
    description: str = ""
    choices: tuple[str, ...] = ()
    longest: int = 0

    @property
    def name(self) -> str:
        return ".".join((PREFIX, *self.path))

    @property
    def label(self) -> str:
        words = [part.replace("_", " ").capitalize() for part in self.path] or ["Parameters"]
        optional = "" if self.is_required else " (may be left out)"
        return " · ".join(words) + optional

    @property
    def is_absent(self) -> bool:
        return isinstance(self.now, Missing)

    @property
    def shown(self) -> str:
        """What the field holds before anybody types."""
        if self.is_absent:
            return ""
        if self.kind in {Kind.TEXT, Kind.CHOICE}:
            return str(self.now)
        written = json.dumps(self.now, ensure_ascii=False, indent=INDENT.get(self.kind))
        return text.NOTABLE.sub(escaped, written)

    def field(self) -> forms.Field:
        common: dict[str, Any] = {
            "label": self.label,
            "help_text": self.description or "Now",  # so that the field names its hint
            "required": False,
        }
        if self.kind is Kind.CHOICE or self.kind is Kind.BOOLEAN:
            return forms.ChoiceField(choices=self.options(), **common)
        is_long = len(self.shown) > LONG or "\n" in self.shown or self.longest > 2 * LONG
        lines = self.kind is Kind.JSON or (self.kind is Kind.TEXT and is_long)
        look = {"autocomplete": "off", "spellcheck": "false", "dir": "auto"}
        if self.kind is Kind.JSON:
            look |= {"class": "mono", "dir": "ltr"}
        widget = forms.Textarea(look | {"rows": 4}) if lines else forms.TextInput(look)
        return forms.CharField(max_length=LONGEST, strip=False, widget=widget, **common)

    def options(self) -> list[tuple[str, str]]:
        if self.kind is Kind.BOOLEAN:
            listed = [("true", "yes"), ("false", "no")]
        else:
            listed = [(one, text.plain(one)) for one in self.choices]
        if self.shown and self.shown not in dict(listed):
            listed.append((self.shown, text.plain(self.shown, 200)))
        return [("", "left out"), *listed] if self.is_absent or not self.is_required else listed

    def read(self, given: str) -> Any:
        """The value that was typed, or Missing. Raises ValueError with a sentence."""
        typed, shown = lines_of(given), lines_of(self.shown)
        if typed == shown:
            return self.now
        if typed == "" and (not self.is_required or self.kind is not Kind.TEXT):
            return ABSENT
        if self.kind in {Kind.TEXT, Kind.CHOICE}:
            return typed
        value = strict(typed)
        if self.kind is Kind.INTEGER and type(value) is not int:
            raise ValueError("A whole number.")
        if self.kind is Kind.NUMBER and type(value) not in {int, float}:
            raise ValueError("A number.")
        return value


INDENT = {Kind.JSON: 1}


def escaped(found: Match[str]) -> str:
    """What hides or reorders text as JSON escapes it."""
    return json.dumps(found[0])[1:-1] if text.has_alarming(found[0]) else found[0]


def lines_of(given: str) -> str:
    """With the line ends that everything has in common."""
    return given.replace("\r\n", "\n").replace("\r", "\n")


def strict(typed: str) -> Any:
    """A value from JSON text, read as strictly as from an agent."""
    try:
        return parse(typed.encode("utf-8", "surrogatepass"))
    except MalformedJSON as error:
        raise ValueError(str(error.detail).replace("The body is", "This is")) from None


def slots(schema: dict[str, Any], params: dict[str, Any]) -> list[Slot]:
    """The values of a call that can be edited; what can be nothing else is not among them."""
    shape = branch(schema, params)
    properties = shape.get("properties", {})
    if not properties or set(params) - set(properties):
        return [Slot((), Kind.JSON, params)]
    found: list[Slot] = []
    for name, described in properties.items():
        described = resolved(schema, described)
        now = params.get(name, ABSENT)
        if "const" in described and now == described["const"]:
            continue
        inner = described.get("properties", {})
        if isinstance(now, dict) and inner and not set(now) - set(inner):
            needed = described.get("required", [])
            for each, one in inner.items():
                value = now.get(each, ABSENT)
                found.append(slot((name, each), resolved(schema, one), value, each in needed))
        else:
            found.append(slot((name,), described, now, name in shape.get("required", [])))
    return found


def slot(path: tuple[str, ...], shape: dict[str, Any], now: Any, is_required: bool) -> Slot:
    """One value with the kind of field that fits both its schema and what it is now."""
    kind, choices = kind_of(shape), tuple(shape.get("enum", ()))
    if not isinstance(now, Missing) and not fits(kind, now):
        kind = Kind.JSON
    if kind is Kind.TEXT and text.has_alarming(now):
        kind = Kind.JSON  # where it can be escaped: a plain field would hide it, and be reordered
    return Slot(
        path,
        kind,
        now,
        is_required,
        str(shape.get("description", "")),
        choices if kind is Kind.CHOICE else (),
        int(shape.get("maxLength", 0)),
    )


KINDS = {
    "string": Kind.TEXT,
    "integer": Kind.INTEGER,
    "number": Kind.NUMBER,
    "boolean": Kind.BOOLEAN,
}


def kind_of(shape: dict[str, Any]) -> Kind:
    choices = shape.get("enum")
    if choices:
        return Kind.CHOICE if all(isinstance(one, str) for one in choices) else Kind.JSON
    named = shape.get("type")
    return KINDS.get(named, Kind.JSON) if isinstance(named, str) else Kind.JSON


def fits(kind: Kind, now: Any) -> bool:
    if kind in {Kind.TEXT, Kind.CHOICE}:
        return isinstance(now, str)
    if kind is Kind.BOOLEAN:
        return isinstance(now, bool)
    if kind is Kind.INTEGER:
        return type(now) is int
    return kind is Kind.JSON or type(now) in {int, float}


def resolved(schema: dict[str, Any], shape: Any) -> dict[str, Any]:
    """A shape with what it refers to in the same schema."""
    for _ in range(8):  # a reference to itself leads nowhere
        reference = shape.get("$ref") if isinstance(shape, dict) else None
        if not isinstance(reference, str) or not reference.startswith("#/$defs/"):
            break
        target = schema.get("$defs", {}).get(reference.removeprefix("#/$defs/"), {})
        shape = {**target, **{name: one for name, one in shape.items() if name != "$ref"}}
    return shape if isinstance(shape, dict) else {}


def branch(schema: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """Of a schema with alternatives the one that these parameters are of, by what is constant."""
    if schema.get("properties"):
        return schema
    for each in schema.get("oneOf") or schema.get("anyOf") or []:
        found = resolved(schema, each)
        fixed = {
            name: one["const"]
            for name, one in found.get("properties", {}).items()
            if isinstance(one, dict) and "const" in one
        }
        if fixed and all(params.get(name) == value for name, value in fixed.items()):
            return found
    return {}


def put(params: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Set or leave out one value, in place."""
    *above, last = path
    for name in above:
        params = params[name]
    if isinstance(value, Missing):
        params.pop(last, None)
    else:
        params[last] = value
