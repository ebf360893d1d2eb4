"""Writing mail templates and listing domains. Every change has its ledger entry.

Switching off is a stop: it waits for intents that are under way, and none begins after it.
"""

from typing import Any

from django.db import transaction

from ledger.canonical import digest
from proposals import freezing, rights
from proposals.actions import addresses, mailing
from proposals.exceptions import InvalidRequest, NotEligible, NotFound
from proposals.models import MailPolicy, MailTemplate
from proposals.services.configuration import record_change
from proposals.services.secrets import changed_by
from proposals.services.switching import switch, switching
from proposals.targets import wiring

STREAM = "mail-policy"
MOST_DOMAINS = 100


def save_mail_template(*, name: str, definition: dict[str, Any], person: Any) -> MailTemplate:
    """Say what one mail says and what an agent may fill in; in force at the next check and intent.

    The same again is no change. Raises NotEligible, ValidationError for a name, or InvalidRequest
    naming the fault.
    """
    require_configure(person)
    wanted = sound(definition)
    mailing.described_by(name, wanted)
    with transaction.atomic():
        freezing.take_gate()
        row = MailTemplate.objects.select_for_update(no_key=True).filter(name=name).first()
        is_new = row is None
        if row is None:
            row = MailTemplate(name=name)
        elif row.definition() == wanted:
            return row
        for field, value in wanted.items():
            setattr(row, field, value)
        row.full_clean()
        changed_by(row, person)
        row.save()
        body = {"template": name, "definition": digest(wanted), "is": wanted}
        record(row, "mail_template.written" if is_new else "mail_template.changed", person, body)
        wiring.announce()
    return row


def switch_mail_template(*, name: str, is_enabled: bool, person: Any) -> MailTemplate:
    """Let agents use a template, or stop them at their next check and intent.

    Stopping takes the right to freeze, starting again the right to configure. The same again is no
    change. Raises NotEligible, NotFound.
    """
    with switching(is_enabled, person=person, require_configure=require_configure):
        row = MailTemplate.objects.select_for_update(no_key=True).filter(name=name).first()
        if row is None:
            raise NotFound
        switch(
            row,
            is_enabled,
            person=person,
            enter=lambda way: record(row, f"mail_template.{way}", person, {"template": name}),
        )
    return row


def list_mail_domains(*, domains: list[str], person: Any) -> MailPolicy:
    """Say which domains mails may go to: each exactly, and nothing below it.

    The same again is no change. Raises NotEligible, or InvalidRequest naming what is no domain.
    """
    require_configure(person)
    wanted = sorted(set(domains))
    if len(wanted) > MOST_DOMAINS:
        raise fault(f"At most {MOST_DOMAINS} domains.")
    for one in wanted:
        try:
            addresses.domain(one)
        except ValueError as error:
            raise fault(f"{one[:253]!r} cannot be listed: {error}.") from error
    with transaction.atomic():
        freezing.take_gate()
        row = MailPolicy.objects.select_for_update(no_key=True).first() or MailPolicy(domains=[])
        was = row.domains
        if was != wanted:
            row.domains = wanted
            changed_by(row, person)
            row.save()
            record_change(
                stream=STREAM,
                kind="mail_domains.changed",
                person=person,
                body={
                    "added": [one for one in wanted if one not in was],
                    "removed": [one for one in was if one not in wanted],
                    "is": wanted,
                },
            )
            wiring.announce()
    return row


def sound(definition: dict[str, Any]) -> dict[str, Any]:
    """A definition with everything in it, and with line ends as mail templates have them."""
    plain = MailTemplate().definition() | definition
    body = str(plain["body"]).replace("\r\n", "\n").strip("\n")
    return plain | {"body": f"{body}\n"}


def fault(told: str) -> InvalidRequest:
    return InvalidRequest(
        told, errors=[{"pointer": "/domains", "code": "not-listable", "detail": told}]
    )


def require_configure(person: Any) -> None:
    """The operator's command needs no right; being a superuser is none."""
    if person is not None and not rights.has(person, rights.CONFIGURE_ACTIONS):
        raise NotEligible(
            "Setting up what agents may send takes a right that you do not have; "
            "a policy administrator has it."
        )


def record(row: MailTemplate, kind: str, person: Any, body: dict[str, Any]) -> None:
    record_change(stream=f"mail-template:{row.pk}", kind=kind, person=person, body=body)
