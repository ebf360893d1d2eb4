"""Actions over HTTP that people define on pages, and the secrets that they authenticate with."""

from typing import Any

from django.core.validators import RegexValidator
from django.db import models
from simple_history.models import HistoricalRecords

from ledger.canonical import CanonicalJSONField, digest

SECRET_NAME = RegexValidator(
    r"\A[a-z][a-z0-9_-]*\Z", "Lower-case letters, digits, - and _, a letter first."
)


class HttpAction(models.Model):
    """One named action over HTTP: what docs/http.md says a definition holds.

    Switched off, never deleted: what was written through it must stay explicable, and undoable.
    """

    name = models.CharField(
        max_length=100, unique=True, help_text="As noun.verb, such as payments.refund. It stays."
    )
    definition = CanonicalJSONField()
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    history = HistoricalRecords()

    class Meta:
        ordering = ["name"]
        verbose_name = "HTTP action"
        default_permissions = ("view",)
        permissions = [
            ("configure_actions", "Can define HTTP actions, their secrets and mail templates")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def secret(self) -> str:
        """The name of the secret that it authenticates with, or nothing."""
        return (self.definition.get("authentication") or {}).get("secret", "")

    def digest(self, secret: dict[str, Any] | None) -> str:
        """Names what this does, where, and as whom: another digest, another check."""
        return digest([self.name, self.definition, secret], "http-action")


class NamedSecret(models.Model):
    """One secret that actions send to one place. Its value is not here: no copy can hold it.

    Whoever changes the place decides where the value is sent, so it is asked for again then.
    """

    name = models.CharField(max_length=40, unique=True, validators=[SECRET_NAME])
    origin = models.CharField(
        max_length=300, help_text="The only place it is sent to, such as https://api.example.com."
    )
    version = models.PositiveIntegerField(
        default=0, editable=False, help_text="How often it was entered or forgotten."
    )
    is_kept = models.BooleanField(default=False, help_text="Whether there is a value.")
    changed_at = models.DateTimeField(auto_now=True)

    history = HistoricalRecords()

    class Meta:
        ordering = ["name"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.name

    @property
    def secret_name(self) -> str:
        """What the vault knows the value by."""
        return f"named:{self.pk}"

    def facts(self) -> dict[str, Any]:
        """What it is, for the ledger and for digests; never the value."""
        return {
            "name": self.name,
            "origin": self.origin,
            "version": self.version,
            "kept": self.is_kept,
        }
