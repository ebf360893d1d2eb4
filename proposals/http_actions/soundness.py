"""What must fit together in a definition, beyond what each field is. Pure.

Whatever a template names must be known where it stands, and closed where it speaks to people. What
a class of delivery promises must be possible with the requests that are defined.
"""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from proposals.http_actions import templating
from proposals.http_actions.definition import (
    MOST_DEPTH,
    MOST_LEAVES,
    Answers,
    Definition,
    Match,
    Reading,
    Request,
    Undo,
    Write,
)
from proposals.http_actions.parameters import SAFE_INTEGER
from proposals.http_actions.templating import Slot
from proposals.registry import is_action_name

RESERVED = frozenset({"key", "reference", "result", "before", "later"})
# Set by the client or by other fields, or able to change where a request ends.
OWN_HEADERS = frozenset(
    {"accept-encoding", "connection", "content-length", "content-type", "cookie", "expect", "host"}
    | {"keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer", "upgrade"}
    | {"transfer-encoding", "user-agent"}
)
# A name under which secrets go; with a constant beside it, somebody wrote one into a definition.
SECRETIVE = re.compile(
    r"(^|[-_.\[ ])(auth|authorization|token|secret|password|api[-_]?key|credential)s?\]?$",
    re.IGNORECASE,
)
Fault = dict[str, str]
Known = dict[str, bool]  # slot to whether it is always there


def fault(place: str, detail: str, code: str = "unsound") -> Fault:
    return {"pointer": place, "code": code, "detail": detail}


def faults_of(definition: Definition) -> list[Fault]:
    """Everything that does not fit, in the order of the fields."""
    return list(all_faults(definition))


def all_faults(definition: Definition) -> Iterator[Fault]:
    yield from naming(definition)
    yield from authenticating(definition)
    known = known_slots(definition)
    closed = {
        name: is_there
        for name, is_there in known.items()
        if definition.parameters[name.partition(".")[0]].is_closed
    }
    named = {name.partition(".")[0]: is_there for name, is_there in closed.items()}
    yield from template("/sentence", definition.sentence, named, needed=True)
    yield from template("/resource", definition.resource, closed, needed=True)
    yield from writing("", definition, known)
    if definition.request.method == "DELETE":
        detail = "A delete is not on the menu; it may only take back what was created."
        yield fault("/request/method", detail)
    if definition.undo is not None:
        yield from undoing(definition, definition.undo, known, named)


def known_slots(definition: Definition) -> Known:
    """What templates may name of the parameters."""
    return {
        f"{name}.{part}".rstrip("."): parameter.required
        for name, parameter in definition.parameters.items()
        for part in parameter.parts()
    }


def naming(definition: Definition) -> Iterator[Fault]:
    name = definition.name
    if not is_action_name(name):
        yield fault("/name", "A name is noun.verb, such as payments.refund, in lower case.")
    if name.endswith(".undo"):
        yield fault("/name", "Names that end in .undo are those of undo requests.")
    for taken in sorted(RESERVED & set(definition.parameters)):
        yield fault(f"/parameters/{taken}", "Templates use this name for something else.")
    if not is_origin(definition.origin):
        detail = "Scheme and host, and perhaps a port, such as https://api.example.com; no more."
        yield fault("/origin", detail)
    if definition.money:
        parameter = definition.parameters.get(definition.money)
        if not hasattr(parameter, "money") or getattr(parameter, "currency", "-") == "":
            yield fault(
                "/money", "It names no parameter of kind money, or decimal with a currency."
            )


def is_origin(origin: str) -> bool:
    """Whether this is exactly where a request goes: no user, path, query or template."""
    try:
        parts = urlsplit(origin)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return False
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    is_plain = host.isascii() and all(one.isalnum() or one in ".-:" for one in host)
    return bool(
        host
        and is_plain
        and parts.scheme in {"http", "https"}
        and origin == f"{parts.scheme}://{shown}{port}"
    )


def authenticating(definition: Definition) -> Iterator[Fault]:
    found = definition.authentication
    if found is None:
        return
    if found.scheme == "header" and not found.header:
        yield fault("/authentication/header", "Say which header takes the secret.")
    if found.scheme != "header" and (found.header or found.prefix):
        yield fault("/authentication/header", "Only the scheme header has a header and a prefix.")
    if found.user and found.scheme != "basic":
        yield fault("/authentication/user", "Only the scheme basic has a user.")
    if found.header.lower() in OWN_HEADERS:
        yield fault("/authentication/header", "This header is set by the client.")
    if found.header and found.header.lower() in headers_elsewhere(definition):
        yield fault("/authentication/header", "This header is set by something else as well.")


def headers_elsewhere(definition: Definition) -> set[str]:
    """Every header that is set by a request or takes our key, in lower case."""
    found: set[str] = set()
    for write in (definition, definition.undo):
        if write is None:
            continue
        parts = (write, write.preview, write.probe)
        found |= {name for part in parts if part is not None for name in part.request.headers}
        found |= {write.idempotency.header} if write.idempotency else set()
    return {name.lower() for name in found}


def writing(place: str, write: Write, known: Known) -> Iterator[Fault]:
    """What a write and its undo have to keep alike."""
    keyed = {**known, "key": True}
    yield from request(f"{place}/request", write.request, keyed)
    yield from answering(f"{place}/answers", write.answers)
    needs_json = write.reference or write.result or write.answers.message
    if write.answers.body == "any" and (needs_json or has_conditions(write.answers)):
        yield fault(f"{place}/answers/body", "What is read from an answer needs body: json.")
    yield from keying(f"{place}/idempotency", write)
    if write.preview is not None:
        yield from previewing(f"{place}/preview", write, known)
    if write.probe is not None:
        yield from probing(f"{place}/probe", write, keyed)


def keying(place: str, write: Write) -> Iterator[Fault]:
    """A provider can honour only a key that it is sent."""
    if write.idempotency is None:
        return
    header = write.idempotency.header.lower()
    if not header and not sends_key(write.request):
        yield fault(place, "Name the header that takes our key, or use {key} in the request.")
    if header in OWN_HEADERS or header == "authorization":
        yield fault(f"{place}/header", "This header is set by the client.")
    if header in {name.lower() for name in write.request.headers}:
        yield fault(f"{place}/header", "This header is set under request as well.")


def sends_key(made: Request) -> bool:
    return any(slot.name == "key" for slot in every_slot(made))


def request(place: str, made: Request, known: Known) -> Iterator[Fault]:
    if "?" in made.path or "#" in made.path:
        yield fault(f"{place}/path", "Write what follows ? under query; # has no place here.")
    if any(part in {".", "..", ""} for part in made.path.strip("/").split("/")[:-1]):
        yield fault(f"{place}/path", "Neither . nor .. nor // in a path.")
    yield from template(f"{place}/path", made.path, known, needed=True)
    for group in ("query", "headers", "form"):
        for name, value in (getattr(made, group) or {}).items():
            yield from template(f"{place}/{group}/{escaped(name)}", value, known)
            if SECRETIVE.search(name) and value and not templating.slots_or_none(value):
                detail = "A secret is kept by name, and named under authentication."
                yield fault(f"{place}/{group}/{escaped(name)}", detail, "secret")
    for name in made.headers:
        if name.lower() in OWN_HEADERS or name.lower() == "authorization":
            detail = "This header is set by the client, or by authentication."
            yield fault(f"{place}/headers/{escaped(name)}", detail)
    if made.form is not None and made.has_json:
        yield fault(f"{place}/form", "A body is either a form or JSON.")
    if made.has_json:
        yield from tree(f"{place}/json", made.json_body, known)
    if not isinstance(made, Reading):
        return
    if made.method == "GET" and (made.form is not None or made.has_json):
        yield fault(f"{place}/method", "A GET has no body.")
    if made.method != "GET" and not made.only_reads:
        detail = "Say only_reads: true if the provider writes nothing for this request."
        yield fault(f"{place}/only_reads", detail)


def tree(place: str, value: Any, known: Known, depth: int = 0) -> Iterator[Fault]:
    """Templates at the leaves; names are as they stand."""
    if depth == 0 and sum(1 for _ in leaves(value)) > MOST_LEAVES:
        yield fault(place, f"At most {MOST_LEAVES} values.")
    elif depth > MOST_DEPTH:
        yield fault(place, "Nested too deeply.")
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from tree(f"{place}/{escaped(str(name))}", inner, known, depth + 1)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from tree(f"{place}/{number}", inner, known, depth + 1)
    elif isinstance(value, str):
        yield from template(place, value, known)
    elif not isinstance(value, int | None) or abs(value or 0) > SAFE_INTEGER:
        yield fault(place, "Texts, whole numbers, true, false and null; others as text.")


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from leaves(inner)
    else:
        yield value


def template(place: str, text: str, known: Known, *, needed: bool = False) -> Iterator[Fault]:
    """Faults of one template; `needed` where nothing may be left out."""
    try:
        found = list(templating.slots(text))
    except ValueError as error:
        yield fault(place, str(error))
        return
    for slot in found:
        if slot.name not in known:
            yield fault(place, unknown(slot, known), "unknown-name")
        elif needed and not known[slot.name]:
            yield fault(place, f"{{{slot.name}}} may be left out, so it cannot stand here.")


def unknown(slot: Slot, known: Known) -> str:
    parts = [name for name in known if name.startswith(f"{slot.parameter}.")]
    if parts:
        return f"{{{slot.name}}} needs a part: {', '.join(f'{{{name}}}' for name in parts)}."
    return f"{{{slot.name}}} cannot be used here. Known: {', '.join(sorted(known)) or 'nothing'}."


def answering(place: str, answers: Answers) -> Iterator[Fault]:
    """A status means one thing only, and nothing that it cannot mean."""
    allowed = {
        "applied": (range(200, 300), "2xx"),
        "not_applied": ((*range(200, 300), *range(400, 500)), "4xx, or 2xx with a pointer"),
        "not_taken": ((*range(400, 500), 503), "4xx or 503"),
        "stale": (range(400, 500), "4xx"),
        "unknown": (range(200, 600), "any"),
    }
    plain: dict[int, str] = {}
    for name, (statuses, told) in allowed.items():
        for number, match in enumerate(getattr(answers, name)):
            where = f"{place}/{name}/{number}"
            if match.status not in statuses or (
                name == "not_applied" and match.status < 300 and not match.pointer
            ):
                yield fault(where, f"Here a status is {told}.")
            elif not match.pointer and plain.setdefault(match.status, name) != name:
                yield fault(where, f"{match.status} is listed under {plain[match.status]} too.")


def has_conditions(answers: Answers) -> bool:
    groups: tuple[list[Match], ...] = (
        answers.applied,
        answers.not_applied,
        answers.not_taken,
        answers.stale,
        answers.unknown,
    )
    return any(match.pointer for group in groups for match in group)


def previewing(place: str, write: Write, known: Known) -> Iterator[Fault]:
    preview: Any = write.preview
    yield from request(f"{place}/request", preview.request, known)
    for group in ("after", "requires"):
        for name in getattr(preview, group):
            if name not in preview.fields:
                yield fault(f"{place}/{group}/{name}", "It is none of the fields that are read.")
    for name, value in preview.after.items():
        if isinstance(value, str):
            yield from template(f"{place}/after/{name}", value, {**known, "later": True})
    if set(preview.found) & set(preview.missing):
        yield fault(f"{place}/missing", "A status is either found or missing.")
    amount = preview.measures.amount
    if amount is not None and bool(amount.currency) == bool(amount.currency_pointer):
        yield fault(f"{place}/measures/amount", "Either a currency or a currency_pointer.")


def probing(place: str, write: Write, known: Known) -> Iterator[Fault]:
    """A probe must be able to tell our write from anybody else's."""
    probe: Any = write.probe
    yield from request(f"{place}/request", probe.request, known)
    asked = list(every_slot(probe.request))
    if probe.items is not None:
        yield from template(f"{place}/items/equals", probe.items.equals, known, needed=True)
        asked += templating.slots_or_none(probe.items.equals)
    if all(slot.name != "key" for slot in asked):
        yield fault(place, "A probe names our key: use {key} in its request or under items.")
    if not (write.idempotency or sends_key(write.request)):
        yield fault(place, "The request never sends {key}, so nobody can be asked about it.")
    if write.reference and not probe.reference:
        yield fault(f"{place}/reference", "Say where the answer holds the reference.")
    statuses = {match.status for match in probe.found if not match.pointer}
    for number, match in enumerate(probe.absent):
        if not match.pointer and match.status in statuses:
            yield fault(f"{place}/absent/{number}", f"{match.status} is listed under found too.")


def every_slot(made: Request) -> Iterator[Slot]:
    for part in (made.path, made.query, made.headers, made.form or {}, made.json_body):
        yield from templating.slots_or_none(part)


def undoing(definition: Definition, undo: Undo, known: Known, named: Known) -> Iterator[Fault]:
    """An undo may speak of the call, of what it returned and of what stood there before."""
    later = {f"result.{name}": True for name in definition.result}
    if definition.reference:
        later["reference"] = True
    fields = definition.preview.fields if definition.preview else {}
    before = {f"before.{name}": True for name in fields}
    yield from writing("/undo", undo, {**known, **later, **before})
    yield from template("/undo/sentence", undo.sentence, {**named, **later}, needed=True)


def escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
