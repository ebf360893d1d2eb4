"""Mails that agents may ask for, as people wrote them, and the domains that they may go to."""

from typing import Any

from django.core.validators import RegexValidator
from django.db import models
from simple_history.models import HistoricalRecords

from ledger.canonical import CanonicalJSONField, digest
from proposals.registry import Tier


class MailTemplate(models.Model):
    """One mail with gaps for an agent to fill. `fields` says what each gap may hold.

    Switched off, never deleted: what was sent from it must stay explicable.
    """

    TIERS = [(tier.value, tier.value.capitalize()) for tier in Tier if tier is not Tier.LOW]

    name = models.CharField(
        max_length=40,
        unique=True,
        validators=[
            RegexValidator(
                r"^(?!(?:to|fields|template|add)\Z)[a-z][a-z0-9-]*\Z",
                "Lower-case letters, digits and hyphens, a letter first.",
            )
        ],
        help_text="What agents call it, such as order-shipped. It stays.",
    )
    label = models.CharField(max_length=60, blank=True)
    subject = models.CharField(max_length=250)
    body = models.TextField()
    fields = CanonicalJSONField(default=list, blank=True)
    tier = models.CharField(max_length=10, choices=TIERS, default=Tier.MEDIUM.value)
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    history = HistoricalRecords()

    class Meta:
        ordering = ["name"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.name

    def definition(self) -> dict[str, Any]:
        """What it says, for the ledger, for digests, and for reading it."""
        names = ("label", "subject", "body", "fields", "tier")
        return {name: getattr(self, name) for name in names}

    def digest(self, domains: list[str]) -> str:
        """Names what an agent may send with it, and whereto: another digest, another check."""
        return digest([self.name, self.definition(), domains], "mail-template")


class MailPolicy(models.Model):
    """One row: the domains that mails may go to, each exactly as it stands here."""

    domains = CanonicalJSONField(default=list, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    history = HistoricalRecords()

    class Meta:
        default_permissions = ("view",)
        verbose_name_plural = "mail policies"

    def __str__(self) -> str:
        return ", ".join(self.domains)
