"""Sending a mail made from a template, over real SMTP.

What is sent is what was approved: before is a draft, named by the digest of every word in it, and
the worker makes the mail again and compares. Delivery is UNCERTAIN: when the answer of a mail
server is lost, nobody can ask it. So a mail is offered once, and never again; its Message-ID is
made of the execution's key, for whoever looks into the server's log.
"""

import re
from datetime import UTC, datetime
from typing import Any, ClassVar

from django.conf import settings
from pydantic import TypeAdapter, ValidationError

from ledger.canonical import digest
from proposals.actions import addresses, letters, mailing, smtp
from proposals.actions import mail_params as shapes
from proposals.actions.letters import Mail
from proposals.actions.mailing import Template
from proposals.exceptions import (
    InvalidParams,
    InvalidRequest,
    OutcomeUnknown,
    StaleTarget,
    TargetRefused,
)
from proposals.registry import (
    Action,
    Delivery,
    Impact,
    Outcome,
    Preview,
    Rendering,
    Tier,
    faults,
    pointer,
    register,
)

REFERENCE = re.compile(r"[!-~]{4,200}")


@register
class SendMail(Action):
    """One mail to one person, from a template that people wrote."""

    name = "email.send"
    title = "Send a mail"
    description = (
        "Send one mail, made from a template, to one address of a listed domain. Only the gaps of "
        "the template are yours to fill in. It cannot be undone, so people always look at it."
    )
    delivery = Delivery.UNCERTAIN
    is_reversible = False
    why_for_good = (
        "An e-mail will be sent to a person outside, and cannot be called back. To correct it, "
        "another one must be sent."
    )
    Params: ClassVar[Any] = dict

    def adapter(self) -> TypeAdapter:
        return shapes.adapter()

    def schema(self) -> dict[str, Any]:
        return {"type": "object", **self.adapter().json_schema()}

    def validate(self, params: Any) -> dict[str, Any]:
        try:
            valid = self.adapter().validate_python(params)
        except ValidationError as error:
            errors = [pointer(without_tag(each), "/params") for each in faults(error)]
            raise InvalidParams(f"The parameters do not fit {self.name}.", errors=errors) from None
        found = valid.model_dump(mode="json", exclude_unset=True, by_alias=True)
        try:
            made(template_of(found), found, sender="")
        except TargetRefused as error:  # no template is in force, or not any more
            raise self.misfit("/params/template", error) from None
        except ValueError as error:
            raise self.misfit("/params/fields", error) from None
        return found

    def misfit(self, place: str, error: Exception) -> InvalidParams:
        fault = {"pointer": place, "code": "value-error", "detail": str(error)}
        return InvalidParams(f"The parameters do not fit {self.name}.", errors=[fault])

    def sentence(self, params: dict[str, Any]) -> str:
        return f"Send “{mailing.words_of(params['template'])}” to {params['to']}"

    def resource(self, params: dict[str, Any]) -> str:
        return f"mail/{addresses.mailbox(params['to'])}"

    def definition(self, params: dict[str, Any]) -> str | None:
        return mailing.definition_of(params["template"], sending_facts())

    def target(self, params: dict[str, Any]) -> str:
        return smtp.place(settings.EMAIL_HOST, settings.EMAIL_PORT)

    def preview(self, params: dict[str, Any]) -> Preview:
        template, mail = self.mail(params)
        smtp.server()
        return Preview(
            before=draft_of(mail),
            after={mail.to: mail.as_json()},
            impact=Impact(
                objects=1,
                people=1,
                external=True,
                reasons=(f"A mail to somebody outside, from the template “{template.words}”.",),
            ),
            tier=Tier.strictest(Tier.MEDIUM, template.tier),
            compensation=None,
        )

    def prepare(self, params: dict[str, Any], *, expected: dict[str, Any]) -> None:
        self.approved(params, expected)
        smtp.server()

    def apply(self, params: dict[str, Any], *, key: str, expected: dict[str, Any]) -> Outcome:
        mail = self.approved(params, expected)
        server = smtp.server()
        known_by = letters.message_id(key, mail.sending_address)
        facts = {"message_id": known_by, "server": server.place, "to": mail.to}
        message = letters.as_bytes(mail, key=key, at=datetime.now(UTC))
        try:
            taken = smtp.hand_over(server, sender=mail.sending_address, to=mail.to, message=message)
        except OutcomeUnknown as error:
            raise OutcomeUnknown(str(error), evidence=facts | error.evidence) from error
        return Outcome(
            result={"to": mail.to, "message_id": known_by},
            after={mail.to: mail.as_json()},
            evidence=facts | {"reply": taken.reply, "reference": taken.queue_id or known_by},
        )

    def attested(
        self, params: dict[str, Any], *, reference: str, expected: dict[str, Any]
    ) -> Outcome:
        """`reference` is the Message-ID or the server's own id, as its log has it."""
        if not REFERENCE.fullmatch(reference):
            told = "The reference is the Message-ID or the mail server's own id, as its log has it."
            raise InvalidRequest(
                told, errors=[{"pointer": "/reference", "code": "no-reference", "detail": told}]
            )
        return Outcome(
            result={"to": params["to"], "reference": reference},
            after={},
            evidence={"reference": reference},
        )

    def rendering(self, after: dict[str, Any]) -> Rendering | None:
        [held] = after.values()
        return Rendering(
            title="The mail, as its recipient would read it",
            lines=(("From", held["from"]), ("To", held["to"]), ("Subject", held["subject"])),
            text=held["text"],
        )

    def approved(self, params: dict[str, Any], expected: dict[str, Any]) -> Mail:
        """The mail, if it is to the letter the one that was approved. Raises StaleTarget."""
        _, mail = self.mail(params)
        if expected != draft_of(mail):
            raise StaleTarget(draft_of(mail))
        return mail

    def example(self) -> dict[str, Any]:
        """The first template, to our own address: nobody else is written to for a trial."""
        for template in mailing.current().templates.values():
            return {"template": template.name, "to": sender()[1], "fields": samples(template)}
        raise TargetRefused("There is no mail template in force.")

    def mail(self, params: dict[str, Any]) -> tuple[Template, Mail]:
        """The mail as templates, domains and settings make it now. Raises TargetRefused."""
        template = template_of(params)
        try:
            valid = self.validate(params)
        except InvalidParams as error:
            fault = error.errors[0]
            raise TargetRefused(
                f"The call does not fit the mail templates at {fault['pointer']}: {fault['detail']}"
            ) from error
        return template, made(template, valid, sender=sender()[0])


def draft_of(mail: Mail) -> dict[str, dict[str, Any] | None]:
    """What there is before a mail is sent: its draft, named by all that it says and to whom."""
    return {mail.to: {"draft": digest(mail.as_json(), "mail")}}


def template_of(params: dict[str, Any]) -> Template:
    """The template of a call that was valid once; TargetRefused if it is in force no longer."""
    try:
        return mailing.get(params["template"])
    except LookupError as error:
        raise TargetRefused(str(error)) from error


def made(template: Template, params: dict[str, Any], *, sender: str) -> Mail:
    """The template with its gaps filled. Raises ValueError for what only the whole shows."""
    given = params.get("fields", {})
    values = {gap.name: shapes.as_written(gap, given[gap.name]) for gap in template.fields}
    subject = mailing.one_line(template.filled(template.subject, values))
    body = mailing.paragraph(template.filled(template.body, values))
    return Mail(sender=sender, to=params["to"], subject=subject, text=f"{body.rstrip()}\n")


def sender() -> tuple[str, str]:
    """Who sends, as recipients read it, and the bare address. Raises TargetRefused."""
    told = settings.OUTGOING_FROM_EMAIL or settings.DEFAULT_FROM_EMAIL
    address = Mail(sender=told, to="", subject="", text="").sending_address
    try:
        mailing.one_line(told)
        return told, addresses.address(address)
    except ValueError as error:
        raise TargetRefused(f"The sender that the settings name is not {error}.") from error


def sending_facts() -> list[str]:
    """What the settings add to a mail: who sends, and by which server."""
    told = settings.OUTGOING_FROM_EMAIL or settings.DEFAULT_FROM_EMAIL
    return [told, settings.EMAIL_HOST or "", str(settings.EMAIL_PORT), str(settings.MAIL_IS_ON)]


def samples(template: Template) -> dict[str, Any]:
    """Something to fill each gap with, for examples."""
    return {gap.name: shapes.sample(gap) for gap in template.fields}


def without_tag(found: Any) -> Any:
    """A fault's place without the template's name, which only tells pydantic's models apart."""
    place = found["loc"]
    if place and place[0] in mailing.current().templates:
        return {**found, "loc": place[1:]}
    if found["type"].startswith("union_tag") or place == ("template",):
        detail = "This is not one of the templates that mails are made from."
        return {**found, "loc": ("template",), "type": "unknown_template", "msg": detail}
    return found
