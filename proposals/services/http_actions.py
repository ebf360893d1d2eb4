"""Defining actions over HTTP. Every change has its ledger entry, and none holds a secret.

Switching off is a stop: it waits for intents that are under way, and none begins after it. A
changed definition is another digest, so what was checked under the former one is checked again.
"""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction

from ledger.canonical import digest
from proposals import freezing, redaction, rights
from proposals.exceptions import ActionError, InvalidRequest, NotFound
from proposals.http_actions import loading, reading, requests
from proposals.http_actions.base import SAMPLE_KEY
from proposals.http_actions.definition import Definition
from proposals.http_actions.templating import Unfit
from proposals.models import HttpAction, NamedSecret
from proposals.outbound import addresses
from proposals.registry import Delivery, Preview, registry
from proposals.services.configuration import record_change
from proposals.services.secrets import changed_by, require_configure
from proposals.services.switching import switch, switching
from proposals.targets import wiring


@dataclass(frozen=True)
class Examined:
    """A definition that could be saved, before it is."""

    definition: Definition
    digest: str
    delivery: Delivery
    undo_delivery: Delivery | None
    is_new: bool
    # What would keep it from working now, in sentences: a host not listed, a secret not kept.
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sent:
    """A request as it would be sent, with secrets masked."""

    method: str
    url: str
    headers: dict[str, str]
    body: str


@dataclass(frozen=True)
class Trial:
    """What a call would do, found out without sending its request."""

    sentence: str
    resource: str
    request: Sent
    preview: Preview | None = None
    error: str = ""
    undo: Sent | None = None


def examine_http_action(*, definition: Any) -> Examined:
    """Understand a definition, a JSON value, and say what follows from it. Changes nothing.

    Raises InvalidRequest with a pointer per fault.
    """
    found = reading.read(definition)
    require_free(found)
    stored = HttpAction.objects.filter(name=found.name).first()
    return Examined(
        definition=found,
        digest=digest_of(found),
        delivery=found.delivery,
        undo_delivery=found.undo.delivery if found.undo else None,
        is_new=stored is None,
        warnings=tuple(warnings(found)),
    )


def save_http_action(*, definition: Any, person: Any) -> HttpAction:
    """Store a definition under its name; in force at the next check and intent.

    What is stored already is no change. Raises NotEligible, or InvalidRequest with a pointer per
    fault.
    """
    require_configure(person)
    found = examine_http_action(definition=definition).definition
    with transaction.atomic():
        freezing.take_gate()
        return store(found, person)


def store(found: Definition, person: Any) -> HttpAction:
    """Write one definition, in the caller's transaction and under the gate."""
    row = HttpAction.objects.select_for_update(no_key=True).filter(name=found.name).first()
    is_new = row is None
    row = row or HttpAction(name=found.name)
    if not is_new and row.definition == found.as_json():
        return row
    row.definition = found.as_json()
    changed_by(row, person)
    row.full_clean()
    row.save()
    body = {"name": row.name, "definition": digest_of(found), "is": row.definition}
    record(row, "http_action.defined" if is_new else "http_action.changed", person, body)
    wiring.announce()
    return row


def switch_http_action(*, name: str, is_enabled: bool, person: Any) -> HttpAction:
    """Let agents use an action, or stop it and its undo at their next check and intent.

    Stopping takes the right to freeze, starting again the right to configure. The same again is no
    change. Raises NotEligible, NotFound.
    """
    with switching(is_enabled, person=person, require_configure=require_configure):
        row = HttpAction.objects.select_for_update(no_key=True).filter(name=name).first()
        if row is None:
            raise NotFound
        switch(
            row,
            is_enabled,
            person=person,
            enter=lambda way: record(row, f"http_action.{way}", person, {"name": name}),
        )
    return row


def import_http_actions(*, text: str, person: Any) -> list[HttpAction]:
    """Store every definition of a YAML text, or none.

    Raises NotEligible, or InvalidRequest with a line and a pointer per fault of any of them.
    """
    require_configure(person)
    found = reading.from_yaml(text)
    names = [definition.name for definition in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidRequest(f"{twice[0]} is defined twice.")
    reading.every(list(zip(names, found, strict=True)), require_free)
    with transaction.atomic():
        freezing.take_gate()
        return [store(definition, person) for definition in found]


def export_http_actions(*, names: list[str] | None = None) -> str:
    """The stored definitions as a YAML text that `import_http_actions` takes. Raises NotFound."""
    rows = HttpAction.objects.filter(name__in=names) if names else HttpAction.objects.all()
    if missing := sorted(set(names or ()) - {row.name for row in rows}):
        raise NotFound(f"There is no HTTP action named {' or '.join(missing)}.")
    return reading.to_yaml([row.definition for row in rows])


def try_http_action(*, definition: Any, params: Any, person: Any = None) -> Trial:
    """Validate parameters, read the target, and show the request that would be sent. Sends none.

    Operators may try what is stored; what is not takes the right to define, for its preview is a
    request that carries the secret. Raises NotEligible, InvalidRequest for the definition, or
    InvalidParams for the parameters.
    """
    found = reading.read(definition)
    looks_after = person is not None and rights.has(person, rights.RETRY)
    if not (looks_after and is_stored(found)):
        require_configure(person)
    action = loading.made(found)[found.name]
    valid = action.validate(params)
    preview, error = None, ""
    try:
        preview = action.preview(valid)
    except ActionError as refusal:
        error = redaction.redact(str(refusal))
    return Trial(
        sentence=action.sentence(valid),
        resource=action.resource(valid),
        request=shown(action, valid),
        preview=preview,
        error=error,
        undo=undo_of(action, preview),
    )


def is_stored(found: Definition) -> bool:
    row = HttpAction.objects.filter(name=found.name).first()
    return row is not None and row.definition == found.as_json()


def shown(action: Any, params: dict[str, Any]) -> Sent:
    """The request of a call as people may see it."""
    made = action.made(params, SAMPLE_KEY)
    headers = dict(made.headers)
    if how := action.defined.authentication:
        name, value = requests.masked(how, redaction.HIDDEN)
        headers[name] = value
    return Sent(made.method, made.url, headers, redaction.redact(made.body.decode()))


def undo_of(action: Any, preview: Preview | None) -> Sent | None:
    """The request that would take it back; what the write returns is not known yet."""
    if preview is None or preview.compensation is None:
        return None
    undo = loading.made(action.defined)[preview.compensation.action]
    try:
        return shown(undo, preview.compensation.params)
    except (Unfit, ActionError):
        return None


def require_free(found: Definition) -> None:
    """Refuse the name of an action in code, and a secret that is kept for another place."""
    errors = []
    for name in (found.name, f"{found.name}.undo"):
        if name in registry.actions:
            detail = f"{name} is the name of another action; choose another."
            errors.append({"pointer": "/name", "code": "taken", "detail": detail})
    how = found.authentication
    secret = NamedSecret.objects.filter(name=how.secret).first() if how else None
    if secret is not None and secret.origin != found.origin:
        detail = f"This secret is kept for {secret.origin}; enter it again for {found.origin}."
        errors.append({"pointer": "/authentication/secret", "code": "elsewhere", "detail": detail})
    if errors:
        raise reading.invalid(errors)


def warnings(found: Definition) -> list[str]:
    """What would keep it from working now, though it could be saved."""
    told = []
    try:
        addresses.examine(f"{found.origin}/", listed=settings.HTTP_HOSTS)
    except addresses.Refused as refusal:
        told.append(f"Nothing can be sent to {found.origin}: {refusal}")
    how = found.authentication
    if how and not NamedSecret.objects.filter(name=how.secret, is_kept=True).exists():
        told.append(f"The secret {how.secret} is not kept yet.")
    return told


def digest_of(found: Definition) -> str:
    """Names what was said, and nothing else: equal definitions, equal digest."""
    return digest(found.as_json(), "http-action")


def record(row: HttpAction, kind: str, person: Any, body: dict[str, Any]) -> None:
    record_change(stream=f"http_action:{row.pk}", kind=kind, person=person, body=body)
