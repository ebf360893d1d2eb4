"""A definition as a form: the parts that people know as fields, the rarer ones as pieces of YAML.

What has no field at all travels along in `base`, so a form never loses what it does not show. The
rules are the services'; these only parse.
"""

import json
import re
from copy import deepcopy
from typing import Any

from django import forms

from proposals.console import http_lines, http_sources
from proposals.console.forms import Refusable
from proposals.console.http_explained import ANSWERS, EXPLAINED, SKETCHES
from proposals.console.http_fields import (
    LONGEST,
    PIECES,
    PLACES,
    Lines,
    Words,
    fragment,
    matches,
    pairs,
)
from proposals.console.http_lines import BadLine
from proposals.console.http_parameter_forms import (
    MOST_ROWS,
    ParameterForm,
    initial_of,
    write,
)
from proposals.exceptions import InvalidRequest
from proposals.registry import Tier

METHODS = ("POST", "PUT", "PATCH", "DELETE")
SCHEMES = [
    ("", "None"),
    ("bearer", "Authorization: Bearer and the secret"),
    ("basic", "Authorization: Basic, with a user"),
    ("header", "A header of the service's own"),
]
ENCODINGS = [("form", "as a form (name: value)"), ("json", "as JSON"), ("", "no body")]
ROW = re.compile(r"p\d{1,3}-name")
Typed = dict[str, Any]


class DefinitionForm(Refusable):
    """One definition. `raw` is its JSON value; nothing in here knows whether it is a sound one."""

    name = Words("Name", EXPLAINED["name"], mono=True, max_length=100)
    sentence = Words("Sentence", EXPLAINED["sentence"])
    description = Lines(
        "Description", EXPLAINED["description"], read=str.strip, show=str, rows=2, is_code=False
    )
    origin = Words("Host", EXPLAINED["origin"], mono=True)
    resource = Words("Resource", EXPLAINED["resource"], mono=True)
    method = forms.ChoiceField(
        required=False, label="Method", choices=[(name, name) for name in METHODS]
    )
    path = Words("Path", "Begins with /. Parameters stay inside their segment.", mono=True)
    query = pairs("Query", "After the ?, as name: value on each line.", 2)
    headers = pairs("Headers", "As name: value on each line; none that authenticates.", 2)
    encoding = forms.ChoiceField(
        required=False, label="Body", choices=ENCODINGS, help_text="How the body below is sent."
    )
    body = Lines(
        "What the body holds",
        "As a form: name: value on each line. As JSON: the JSON, with parameters in texts.",
        read=str,
        show=str,
        rows=7,
    )
    scheme = forms.ChoiceField(required=False, label="Says who it is by", choices=SCHEMES)
    secret = Words("Secret", "The name of a secret that is kept for this host.", mono=True)
    secret.widget.attrs["list"] = "kept-secrets"
    user = Words("User", "For Basic alone.", mono=True)
    header = Words("Header", "Which header takes the secret, such as X-Api-Key.", mono=True)
    before_secret = Words("Prefix", "What stands before the secret.", mono=True, strip=False)
    applied = matches("applied")
    not_applied = matches("not_applied")
    not_taken = matches("not_taken")
    stale = matches("stale")
    unknown = matches("unknown")
    answer_body = forms.ChoiceField(
        required=False,
        label="What an answer holds",
        choices=[("json", "JSON, which must be readable"), ("any", "anything; it is not read")],
    )
    message = Words("Message", "Where a refusal says why, such as /error/message.", mono=True)
    reference = Words("Reference", EXPLAINED["reference"], mono=True)
    result = pairs("Kept of the answer", EXPLAINED["result"], 2)
    key_header = Words("Header of the key", "Such as Idempotency-Key.", mono=True)
    key_hours = forms.IntegerField(
        required=False, min_value=0, label="Honoured for", help_text="In hours."
    )
    tier = forms.ChoiceField(
        required=False,
        label="Tier",
        choices=[(one.value, one.value.capitalize()) for one in reversed(Tier)],
        help_text=EXPLAINED["tier"],
    )
    money = Words("Amount", EXPLAINED["money"], mono=True, max_length=60)
    people = forms.IntegerField(
        required=False, min_value=0, label="People", help_text=EXPLAINED["people"]
    )
    preview = fragment("preview")
    probe = fragment("probe")
    undo = fragment("undo", 16)
    example = fragment("example", 4)
    base = forms.CharField(required=False, max_length=LONGEST, widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, raw: Any = None, typed: Any = None) -> None:
        """As it was sent; or showing `raw`; or, not judged, what was `typed` with one row more."""
        initial = dict(typed.items()) if typed is not None else shown(raw or {})
        super().__init__(data, initial=initial)
        if data is not None:
            self.rows = [ParameterForm(data, prefix=f"p{one}") for one in range(count_of(data))]
            return
        if typed is not None:
            given = [as_typed(typed, number) for number in range(count_of(typed))]
        else:
            entries = (raw or {}).get("parameters", {}).items()
            given = [initial_of(name, entry) for name, entry in entries]
        rows = [*given, {}][:MOST_ROWS]
        self.rows = [
            ParameterForm(prefix=f"p{number}", initial=one) for number, one in enumerate(rows)
        ]

    def is_valid(self) -> bool:
        rows = [row.is_valid() for row in self.rows]
        return super().is_valid() and all(rows)

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        readers = {"form": http_lines.pairs, "json": http_lines.body}
        read = readers.get(given.get("encoding", ""))
        if read is None:
            if given.get("body", "").strip() and "encoding" not in self.errors:
                self.add_error("encoding", "There is a body below: say how it is sent.")
            return given
        try:
            given["body"] = read(given.get("body", ""))
        except BadLine as error:
            self.add_error("body", str(error))
        return given

    def clean_base(self) -> Any:
        try:
            found = json.loads(self.cleaned_data["base"] or "{}")
        except (ValueError, RecursionError):
            found = {}
        return found if isinstance(found, dict) else {}

    def definition(self) -> dict[str, Any]:
        """What was filled in, as the JSON value of a definition."""
        given = self.cleaned_data
        raw: dict[str, Any] = deepcopy(given["base"])
        for name, at in PLACES.items():
            value = given[name] if given[name] is not None else at.default
            *parents, last = at.path
            into = raw
            for parent in parents:
                into = inner(into, parent)
            write(into, last, value, at.default)
        if not given["scheme"]:
            raw.pop("authentication", None)
        if not raw["idempotency"]:
            raw.pop("idempotency")
        self.write_body(raw["request"])
        former = inner(raw, "parameters")
        raw["parameters"] = {
            row.cleaned_data["name"]: row.entry(former.get(row.cleaned_data["was"]))
            for row in self.rows
            if not row.is_empty()
        }
        return raw

    def write_body(self, request: dict[str, Any]) -> None:
        encoding, body = self.cleaned_data["encoding"], self.cleaned_data["body"]
        for name in ("form", "json"):
            if name != encoding:
                request.pop(name, None)
        if encoding:
            request[encoding] = body

    # For the template: the fields of each section

    def some(self, *names: str) -> list[forms.BoundField]:
        return [self[name] for name in names]

    @property
    def what(self) -> list[forms.BoundField]:
        return self.some("name", "sentence", "description")

    @property
    def writing(self) -> list[forms.BoundField]:
        where = ("origin", "method", "path", "query", "headers", "encoding", "body", "resource")
        return self.some(*where)

    @property
    def authenticating(self) -> list[tuple[str, forms.BoundField]]:
        """Each with the schemes that it counts for; empty for all of them."""
        kinds = {"secret": "bearer basic header", "user": "basic"}
        kinds |= dict.fromkeys(("header", "before_secret"), "header")
        return [("", self["scheme"]), *((kinds[name], self[name]) for name in kinds)]

    @property
    def answering(self) -> list[forms.BoundField]:
        return self.some(*ANSWERS, "answer_body", "message", "reference", "result")

    @property
    def keying(self) -> list[forms.BoundField]:
        return self.some("key_header", "key_hours")

    @property
    def judging(self) -> list[forms.BoundField]:
        return self.some("tier", "money", "people")

    @property
    def pieces(self) -> list[tuple[str, forms.BoundField, str]]:
        return [(title, self[name], SKETCHES.get(name, "")) for name, title in PIECES.items()]

    # What was refused

    def refuse(self, refusal: InvalidRequest) -> None:
        """Each fault at the field that it is in, with the path and the line inside that field."""
        for fault in refusal.errors:
            where, rest = self.place_of(fault["pointer"])
            detail = http_sources.said(fault)
            form, name = where
            if rest:
                detail = f"{self.inside(name, rest)}{detail}"
            form.add_error(name or None, detail)
        if not refusal.errors:
            self.add_error(None, str(refusal))

    def place_of(self, pointer: str) -> tuple[tuple[forms.Form, str], str]:
        """The form and field of a fault, and what is left of its pointer inside that."""
        for row in self.rows:
            start = f"/parameters/{row.typed_name}"
            if row.typed_name and (pointer == start or pointer.startswith(f"{start}/")):
                return (row, self.field_of_row(row, pointer[len(start) :])), ""
        for body in ("/request/form", "/request/json"):
            if pointer == body or pointer.startswith(f"{body}/"):
                return (self, "body"), pointer[len(body) :]
        for name, at in PLACES.items():
            start = "/" + "/".join(at.path)
            if pointer == start or pointer.startswith(f"{start}/"):
                return (self, name), pointer[len(start) :]
        whole = {"/authentication": "secret", "/idempotency": "key_header", "/answers": "applied"}
        return (self, whole.get(pointer, "")), "" if pointer in whole else pointer

    def field_of_row(self, row: ParameterForm, rest: str) -> str:
        name = rest.split("/")[1] if rest else "name"
        name = {"currency": "currencies", "required": "optional"}.get(name, name)
        return name if name in row.fields else "name"

    def inside(self, name: str, rest: str) -> str:
        """Where in a field a fault is: the line of a piece of YAML, and the path."""
        line = 0
        if name in PIECES:
            nodes = http_sources.documents(str(self[name].value() or ""))
            line = http_sources.line_of(nodes[0], rest) if nodes else 0
        path = http_sources.path_of(rest)
        return f"Line {line}, {path}: " if line else f"{path}: "

    def faults(self) -> list[tuple[str, str, str]]:
        """Every fault, as (id of the field, its label, what is wrong), in the order of the page."""
        found = []
        for form in (self, *self.rows):
            for name, errors in form.errors.items():
                field = form[name] if name in form.fields else None
                label = str(field.label) if field else ""
                if form is not self and field:
                    label = f"{form['name'].value() or 'A parameter'}: {label}"
                found += [(field.auto_id if field else "", label, str(one)) for one in errors]
        return found


def inner(into: dict[str, Any], name: str) -> dict[str, Any]:
    """The mapping of this name, made if it is none."""
    if not isinstance(into.get(name), dict):
        into[name] = {}
    return into[name]


def count_of(sent: Any) -> int:
    """How many rows were sent."""
    return min(sum(1 for name in sent if ROW.fullmatch(name)), MOST_ROWS)


def as_typed(sent: Any, number: int) -> Typed:
    """One row as it was typed, not judged."""
    own = f"p{number}-"
    return {name.removeprefix(own): sent[name] for name in sent if name.startswith(own)}


def shown(raw: dict[str, Any]) -> Typed:
    """What the form shows of a definition; `base` is the whole of it."""
    found: Typed = {"base": json.dumps(raw)}
    for name, at in PLACES.items():
        value: Any = raw
        for part in at.path:
            value = value.get(part) if value else None
        if value is not None:
            found[name] = value
    request = raw.get("request") or {}
    if "authentication" in raw:
        found.setdefault("scheme", "bearer")
    found["encoding"] = "json" if "json" in request else "form" if "form" in request else ""
    if "json" in request:
        found["body"] = http_lines.show_body(request["json"])
    elif "form" in request:
        found["body"] = http_lines.show_pairs(request["form"] or {})
    return found


def can_show(raw: Any) -> bool:
    """Whether the form says the whole of this definition, and says it back unchanged."""
    try:
        form = DefinitionForm(as_sent(raw))
        return form.is_valid() and form.definition() == raw
    except (AttributeError, KeyError, TypeError, ValueError):
        return False


def as_sent(raw: dict[str, Any]) -> Typed:
    """What a browser would send of the form that shows this definition."""
    form = DefinitionForm(raw=raw)
    found: Typed = {}
    for part in (form, *form.rows):
        for field in part:
            value = field.value()
            if isinstance(field.field, forms.BooleanField):
                found |= {field.html_name: "on"} if value else {}
            elif value is not None:
                found[field.html_name] = str(value)
            else:
                found[field.html_name] = ""
    return found
