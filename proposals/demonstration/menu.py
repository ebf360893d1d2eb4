"""What the demonstration's agent may ask of outside systems: refunds, and mails to customers.

Described as an administrator would describe it on pages. What people changed since stays as they
left it; only the provider's address follows the ports that were chosen.
"""

from pathlib import Path
from typing import Any

from django.conf import settings

from proposals import services
from proposals.demonstration import provider
from proposals.http_actions import reading
from proposals.models import HttpAction, MailPolicy, MailTemplate, NamedSecret

REFUND = Path(__file__).with_name("payments-refund.yaml")
SECRET = "demonstration-provider"
# Customers, and the shop's own people.
DOMAINS = ["mail.example", "shop.example"]
TEMPLATE = "refund-is-on-its-way"
MAIL = {
    "label": "your refund is on its way",
    "subject": "Your refund for order {order}",
    "body": (
        "Hello {name},\n\n"
        "{amount} for your order {order} are on their way back to you, and on your account within "
        "a few days.\n\n{note}\n\nYour shop\n"
    ),
    "fields": [
        {"name": "name", "kind": "line", "label": "the customer's name", "max_length": 80},
        {"name": "order", "kind": "integer", "label": "the order's number"},
        {"name": "amount", "kind": "money", "label": "what is sent back"},
        {"name": "note", "kind": "paragraph", "label": "a sentence of explanation"},
    ],
    "tier": "medium",
}


def ensure() -> None:
    """Make what is missing: the refund, its secret, a mail template, and where mails may go."""
    if settings.DEMO_PORTS:
        ensure_refund(settings.DEMO_PORTS.provider_url)
    if not MailTemplate.objects.exists():
        services.save_mail_template(name=TEMPLATE, definition=MAIL, person=None)
    if not MailPolicy.objects.exists():
        services.list_mail_domains(domains=DOMAINS, person=None)


def ensure_refund(origin: str) -> None:
    """The refund as it is kept, at the provider's address of today."""
    if not NamedSecret.objects.filter(name=SECRET, origin=origin).exists():
        value = provider.secret_key(settings.DATA_DIR)
        services.keep_secret(name=SECRET, origin=origin, value=value, person=None)
    [written] = reading.from_yaml(REFUND.read_text())
    kept = HttpAction.objects.filter(name=written.name).first()
    definition = kept.definition if kept else written.as_json()
    if is_ours(definition):
        services.save_http_action(definition={**definition, "origin": origin}, person=None)


def is_ours(definition: dict[str, Any]) -> bool:
    """Whether it goes to the demonstration's provider, wherever that listened before."""
    return definition.get("authentication", {}).get("secret") == SECRET
