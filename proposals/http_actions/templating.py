"""Getting parameters into a request: encoded for the place that they stand in. Pure.

`{charge}` stands for a parameter, `{amount.minor}` for a part of one; `{{` and `}}` are braces.
Nothing is computed here, and no value is ever read as a template: there is no language to escape
into. What does not fit its place is refused rather than bent.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

SLOT = re.compile(r"[a-z][a-z0-9_]{0,39}(?:\.[a-z][a-z0-9_]{0,39})?", re.ASCII)
PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")
HEADER_VALUE = re.compile(r"[\x20-\x7e]{0,2000}")
# Servers on the way decode these in paths, some of them twice: they could lead elsewhere.
NOT_IN_A_PATH = re.compile(r"[/\\%\x00-\x1f\x7f]")


class LeftOut:
    """Stands for an optional parameter that was not given; what holds it is left out as a whole."""

    def __repr__(self) -> str:
        return "left out"


LEFT_OUT = LeftOut()
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Slot:
    """A place for a value, such as `amount.minor`."""

    name: str

    @property
    def parameter(self) -> str:
        return self.name.partition(".")[0]

    @property
    def part(self) -> str:
        return self.name.partition(".")[2]


class Unfit(ValueError):
    """A value that does not fit the place it would stand in; `slot` says which."""

    def __init__(self, slot: str, detail: str) -> None:
        super().__init__(detail)
        self.slot = slot


def parse(template: str) -> tuple[str | Slot, ...]:
    """The pieces of a template. Raises ValueError with a sentence."""
    pieces: list[str | Slot] = []
    for found in PIECE.finditer(template):
        piece, inside = found.group(), found.group(1)
        if inside is not None:
            if not SLOT.fullmatch(inside):
                raise ValueError(
                    f"{{{inside[:60]}}} names no parameter. For braces write {{{{ }}}}."
                )
            pieces.append(Slot(inside))
        elif piece in {"{", "}"}:
            raise ValueError("A brace stands alone. For braces write {{ and }}.")
        else:
            pieces.append(piece[0] if piece in {"{{", "}}"} else piece)
    return tuple(pieces)


def slots(template: Any) -> Iterator[Slot]:
    """Every slot in a template, or in the leaves of a tree of them."""
    if isinstance(template, str):
        yield from (piece for piece in parse(template) if isinstance(piece, Slot))
    elif isinstance(template, Mapping):
        for inner in template.values():
            yield from slots(inner)
    elif isinstance(template, list | tuple):
        for inner in template:
            yield from slots(inner)


def slots_or_none(template: Any) -> list[Slot]:
    """The same; none where a template is not understood, which is told of elsewhere."""
    try:
        return list(slots(template))
    except ValueError:
        return []


def plain(value: Any) -> str:
    """A value as text has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def text(template: str, values: Values) -> str | LeftOut:
    """The template with its values as they are: for places where text needs no encoding."""
    made = []
    for piece in parse(template):
        value = values[piece.name] if isinstance(piece, Slot) else piece
        if value is LEFT_OUT or value is None:
            return LEFT_OUT
        made.append(plain(value))
    return "".join(made)


def path(template: str, values: Values) -> str:
    """A path in which each value stays inside the segment that it stands in. Raises Unfit."""
    made = []
    for piece in parse(template):
        made.append(piece if isinstance(piece, str) else segment(piece, values[piece.name]))
    whole = "".join(made)
    if any(part in {".", ".."} for part in whole.split("/")):
        name = next((slot.name for slot in slots(template)), "")
        raise Unfit(name, "In a path this would lead elsewhere.")
    return whole


def segment(slot: Slot, value: Any) -> str:
    """A value as part of one segment of a path."""
    if value is LEFT_OUT or value is None or plain(value) == "":
        raise Unfit(slot.name, "A path needs this.")
    if NOT_IN_A_PATH.search(plain(value)):
        raise Unfit(slot.name, "In a path it cannot hold / \\ % or control characters.")
    return quote(plain(value), safe="")


def pairs(templates: Mapping[str, str], values: Values) -> list[tuple[str, str]]:
    """Names with their values, without those that are left out."""
    made = ((name, text(template, values)) for name, template in templates.items())
    return [(name, value) for name, value in made if not isinstance(value, LeftOut)]


def encoded(templates: Mapping[str, str], values: Values) -> str:
    """The same as a query or a form has it."""
    return urlencode(pairs(templates, values), quote_via=quote, safe="")


def tree(template: Any, values: Values) -> Any:
    """A JSON value. A leaf that is one slot alone keeps its type: numbers stay numbers."""
    if isinstance(template, str):
        pieces = parse(template)
        if len(pieces) == 1 and isinstance(pieces[0], Slot):
            return values[pieces[0].name]
        return text(template, values)
    if isinstance(template, Mapping):
        made = {name: tree(inner, values) for name, inner in template.items()}
        return {name: value for name, value in made.items() if value is not LEFT_OUT}
    if isinstance(template, list | tuple):
        listed = [tree(inner, values) for inner in template]
        return [value for value in listed if value is not LEFT_OUT]
    return template


def header(template: str, values: Values) -> str | LeftOut:
    """One line of visible ASCII. Raises Unfit: nothing may begin another header."""
    made = text(template, values)
    if not isinstance(made, LeftOut) and not HEADER_VALUE.fullmatch(made):
        name = next((slot.name for slot in slots(template)), "")
        raise Unfit(name, "In a header it is one line of plain ASCII characters.")
    return made
