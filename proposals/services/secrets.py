"""Keeping secrets that actions over HTTP send. Written, never read back; each for one place."""

import re
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from proposals import freezing, rights, vault
from proposals.exceptions import InvalidRequest, NotEligible, NotFound
from proposals.http_actions import calling, soundness
from proposals.models import NamedSecret
from proposals.services.configuration import record_change
from proposals.targets import wiring

VALUE = re.compile(r"[!-~]{8,1000}")


def keep_secret(*, name: str, origin: str, value: str, person: Any) -> NamedSecret:
    """Keep a secret, or another value of it, for one place. What waits is checked again.

    The value is asked for whenever the place changes. Raises NotEligible, or InvalidRequest with a
    pointer to `/name`, `/origin` or `/value`.
    """
    require_configure(person)
    require_keepable(name, origin, value)
    with transaction.atomic():
        freezing.take_gate()
        secret = NamedSecret.objects.select_for_update(no_key=True).filter(name=name).first()
        secret = secret or NamedSecret(name=name)
        secret.origin, secret.is_kept = origin, True
        secret.version += 1
        changed_by(secret, person)
        secret.save()
        try:
            vault.store(secret.secret_name, value)
        except vault.VaultProblem as error:
            raise InvalidRequest(f"The secret cannot be kept: {error}") from error
        record(secret, "secret.kept", person)
        wiring.announce()
    return secret


def forget_secret(*, name: str, person: Any) -> NamedSecret:
    """Forget the value, for good. Whatever authenticates with it stops at its next step.

    Raises NotEligible, NotFound. Forgetting again is no change.
    """
    require_configure(person)
    with transaction.atomic():
        freezing.take_gate()
        secret = NamedSecret.objects.select_for_update(no_key=True).filter(name=name).first()
        if secret is None:
            raise NotFound
        if secret.is_kept:
            vault.store(secret.secret_name, "")
            secret.is_kept = False
            secret.version += 1
            changed_by(secret, person)
            secret.save()
            record(secret, "secret.forgotten", person)
            wiring.announce()
    return secret


def require_keepable(name: str, origin: str, value: str) -> None:
    calling.remember(value)  # whatever becomes of it, it is shown nowhere from now on
    errors = []
    try:
        NamedSecret(name=name, origin=origin).clean_fields()
    except ValidationError as error:
        errors = [
            {"pointer": f"/{field}", "code": "invalid", "detail": messages[0]}
            for field, messages in error.message_dict.items()
        ]
    if not errors and not soundness.is_origin(origin):
        detail = "Scheme and host, and perhaps a port, such as https://api.example.com."
        errors.append({"pointer": "/origin", "code": "invalid", "detail": detail})
    if not VALUE.fullmatch(value):
        detail = "A secret is 8 to 1000 plain ASCII characters, without spaces."
        errors.append({"pointer": "/value", "code": "invalid", "detail": detail})
    if errors:
        raise InvalidRequest(errors[0]["detail"], errors=errors)


def require_configure(person: Any) -> None:
    """The operator's command needs no right; being a superuser is none."""
    if person is not None and not rights.has(person, rights.CONFIGURE_ACTIONS):
        raise NotEligible(
            "Defining actions and keeping secrets takes a right that you do not have; "
            "a policy administrator has it."
        )


def changed_by(row: Any, person: Any) -> None:
    """So that the history knows who it was also where no request tells it."""
    if person is not None:
        row._history_user = person


def record(secret: NamedSecret, kind: str, person: Any) -> None:
    record_change(stream=f"secret:{secret.pk}", kind=kind, person=person, body=secret.facts())
