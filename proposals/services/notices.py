"""How people are told: their own preferences, and the webhooks of the installation."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.db import transaction

from proposals import rights, vault
from proposals.exceptions import InvalidRequest, NotEligible, NotFound
from proposals.models import Notice, NoticePreference, Webhook
from proposals.notices import audience, webhooks
from proposals.registry import Tier
from proposals.services.configuration import record_change
from proposals.services.decisions import invalid
from proposals.services.turns import save_named, take_turn

OFF = NoticePreference.Choice.OFF


@transaction.atomic
def save_notice_preference(*, person: Any, high: str, medium: str, low: str) -> NoticePreference:
    """Store how a person is told by mail. The same choices again are no change.

    Raises InvalidRequest naming the field; senior reviewers cannot turn high off, unless a webhook
    is told of it.
    """
    wanted = {"high": high, "medium": medium, "low": low}
    for tier, value in wanted.items():
        if value not in NoticePreference.Choice.values:
            raise invalid(tier, "choose-one", "Choose one of the three.")
    if high == OFF and audience.must_hear(person, Tier.HIGH):
        raise invalid(
            "high",
            "must-hear",
            "You decide at high tier, so this can be off only while a webhook is told of it.",
        )
    take_turn(person)  # there may be no row yet that could be locked
    found = NoticePreference.objects.filter(person=person).first()
    chosen = found or NoticePreference(person=person)
    former = {tier: getattr(chosen, tier) for tier in wanted}
    if found is not None and former == wanted:
        return chosen
    for tier, value in wanted.items():
        setattr(chosen, tier, value)
    chosen.save()
    record_change(
        stream=f"user:{person.pk}",
        kind="notice_preference.changed",
        person=person,
        body={"was": {tier: str(value) for tier, value in former.items()}, "becomes": wanted},
    )
    return chosen


@dataclass(frozen=True)
class SavedWebhook:
    """A webhook as stored, and its secret if one was made now: to be shown once."""

    webhook: Webhook
    new_secret: str = ""


def save_webhook(
    *,
    person: Any,
    name: str,
    url: str,
    kinds: list[str],
    tiers: list[str],
    is_chat: bool = False,
    secret: str = "",
    webhook_id: int | None = None,
) -> SavedWebhook:
    """Make a webhook, or change one. Without a secret, a new one gets its own and an old one keeps.

    Raises NotEligible, NotFound, or InvalidRequest naming the field.
    """
    require_right(person)
    try:
        webhooks.examine(url.strip())
        if secret:
            webhooks.key_of(secret.strip())
    except webhooks.Refused as refusal:
        raise invalid("url", "address", str(refusal)) from None
    except ValueError:
        raise invalid(
            "secret", "secret", "A secret is whsec_ and 24 to 64 bytes in base64."
        ) from None
    made = "" if secret or webhook_id else webhooks.new_secret()
    with transaction.atomic():
        webhook = lock(webhook_id) if webhook_id else Webhook()
        webhook.name, webhook.url, webhook.is_chat = name.strip(), url.strip(), is_chat
        webhook.kinds = joined("kinds", kinds, Notice.Kind.values)
        webhook.tiers = joined("tiers", tiers, list(Tier))
        try:
            webhook.full_clean()
        except ValidationError as error:
            raise refused(error) from error
        save_named(webhook, invalid("name", "unique", "There is already a webhook of this name."))
        if secret or made:
            keep_secret(webhook, secret.strip() or made)
        record_webhook(
            webhook,
            "webhook.changed" if webhook_id else "webhook.created",
            person,
            new_secret=bool(secret or made),
        )
    return SavedWebhook(webhook, made)


@transaction.atomic
def set_webhook_active(*, person: Any, webhook_id: int, is_active: bool) -> Webhook:
    """Switch a webhook on or off. What waited for one that is off is not sent later.

    Raises NotEligible or NotFound. The same state again is no change.
    """
    require_right(person)
    webhook = lock(webhook_id)
    if webhook.is_active == is_active:
        return webhook
    webhook.is_active, webhook.failures, webhook.off_reason = is_active, 0, ""
    webhook.save()
    if not is_active:
        webhooks.drop_waiting(webhook)
    kind = "webhook.switched_on" if is_active else "webhook.switched_off"
    record_webhook(webhook, kind, person)
    return webhook


def test_webhook(*, person: Any, webhook_id: int) -> str:
    """Post a test at once, outside any transaction. Returns why it failed, or nothing.

    Raises NotEligible or NotFound.
    """
    require_right(person)
    webhook = Webhook.objects.filter(pk=webhook_id).first()
    if webhook is None:
        raise NotFound
    return webhooks.test(webhook)


def require_right(person: Any) -> None:
    if not rights.has(person, rights.CHANGE_RULES):
        raise NotEligible(
            "Webhooks take a right that you do not have; a policy administrator has it."
        )


def lock(webhook_id: int) -> Webhook:
    try:
        return Webhook.objects.select_for_update(no_key=True).get(pk=webhook_id)
    except Webhook.DoesNotExist:
        raise NotFound from None


def joined(field: str, chosen: list[str], known: list[str]) -> str:
    """Choices as stored, in one order. Raises InvalidRequest for none, or for an unknown one."""
    if not chosen or not set(chosen) <= {str(one) for one in known}:
        raise invalid(field, "choose", "Choose at least one of those listed.")
    return f",{','.join(str(one) for one in known if str(one) in chosen)},"


def keep_secret(webhook: Webhook, secret: str) -> None:
    try:
        vault.store(webhook.secret_name, secret)
    except vault.VaultProblem as problem:
        raise invalid("secret", "vault", str(problem)) from problem


def refused(error: ValidationError) -> InvalidRequest:
    faults = [
        {"pointer": f"/{field}", "code": "invalid", "detail": " ".join(messages)}
        for field, messages in error.message_dict.items()
    ]
    return InvalidRequest("The webhook was not saved.", errors=faults)


def record_webhook(webhook: Webhook, kind: str, person: Any, **facts: Any) -> None:
    """Everything but the secret and the path, which often is one."""
    record_change(
        stream=f"webhook:{webhook.pk}",
        kind=kind,
        person=person,
        body={
            "webhook": webhook.pk,
            "name": webhook.name,
            "host": urlsplit(webhook.url).hostname or "",
            "kinds": webhook.kind_names,
            "tiers": webhook.tier_names,
            "chat": webhook.is_chat,
            "active": webhook.is_active,
            **facts,
        },
    )
