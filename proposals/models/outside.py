"""What was tried at other systems, when they were given up on, and what people vouch for."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Exists, ExpressionWrapper, OuterRef, Q

from ledger.append_only import AppendOnly, AppendOnlyQuerySet
from ledger.canonical import CanonicalJSONField
from proposals.models.execution import Execution


class Exchange(models.Model):
    """One time that a target outside was reached for: sent to, sent to again, or asked.

    Opened in the transaction of the intent, closed in that of its end. One that stays open is a
    process that died with the answer.
    """

    class Purpose(models.TextChoices):
        PREPARE = "prepare", "Looked before sending"
        SEND = "send", "Sent"
        RESEND = "resend", "Sent again under the same key"
        PROBE = "probe", "Asked what became of it"

    class End(models.TextChoices):
        APPLIED = "applied", "Applied"
        REFUSED = "refused", "Refused, not applied"
        STALE = "stale", "Not applied, the target had changed"
        UNSENT = "unsent", "Nothing was sent or taken"
        ABSENT = "absent", "The target knows nothing of it"
        UNCLEAR = "unclear", "No clear answer"
        LOST = "lost", "The process ended before it heard an answer"

    CLEAR = (End.APPLIED, End.REFUSED, End.STALE, End.ABSENT)
    UNKNOWN = (End.UNCLEAR, End.LOST)
    SENT = (Purpose.SEND, Purpose.RESEND)

    execution = models.ForeignKey(Execution, on_delete=models.PROTECT, related_name="exchanges")
    target = models.CharField(max_length=300)
    purpose = models.CharField(max_length=8, choices=Purpose.choices)
    fence = models.PositiveIntegerField()
    key = models.CharField(max_length=64)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    end = models.CharField(max_length=8, choices=End.choices, blank=True)
    detail = models.CharField(max_length=500, blank=True)
    evidence = CanonicalJSONField(null=True)

    class Meta:
        default_permissions = ("view",)
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["execution", "fence", "purpose"], name="exchange_once_per_fence"
            )
        ]
        indexes = [models.Index(fields=["target", "ended_at"], name="exchange_by_target")]

    def __str__(self) -> str:
        return f"exchange {self.pk}"


class Breaker(models.Model):
    """Whether a target outside is left alone for now, because it gives no clear answers."""

    target = models.CharField(max_length=300, unique=True)
    unclear_in_a_row = models.PositiveIntegerField(default=0)
    opened_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=300, blank=True)
    retry_at = models.DateTimeField(null=True, help_text="When one call is tried.")
    trial_until = models.DateTimeField(null=True, help_text="While one call is being tried.")
    pause_seconds = models.PositiveIntegerField(default=0)

    class Meta:
        default_permissions = ("view",)
        ordering = ["target"]

    def __str__(self) -> str:
        return f"breaker {self.pk}"

    @property
    def is_open(self) -> bool:
        return self.opened_at is not None


class AttestationQuerySet(AppendOnlyQuerySet):
    """Findings of people."""

    def in_order(self) -> "AttestationQuerySet":
        """Oldest first, each with its person and whether it `is_overtaken`.

        That nothing was there says nothing about what was sent since. An effect that was seen stays
        one: a resend carries the same key, and takes nothing back.
        """
        sent_since = Exchange.objects.filter(
            execution=OuterRef("execution"),
            purpose__in=Exchange.SENT,
            started_at__gte=OuterRef("created_at"),
        )
        is_overtaken = ExpressionWrapper(
            Q(finding=Attestation.Finding.NOT_APPLIED) & Exists(sent_since),
            output_field=models.BooleanField(),
        )
        found = self.select_related("person").annotate(is_overtaken=is_overtaken)
        return found.order_by("id")


class Attestation(AppendOnly):
    """What one person found out about an unknown outcome, and how. Superseded, never edited."""

    class Finding(models.TextChoices):
        APPLIED = "applied", "It was applied"
        NOT_APPLIED = "not_applied", "It was not applied"
        CANNOT_TELL = "cannot_tell", "Cannot tell"

    execution = models.ForeignKey(Execution, on_delete=models.PROTECT, related_name="attestations")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    finding = models.CharField(max_length=12, choices=Finding.choices)
    reference = models.CharField(max_length=200, blank=True)
    evidence = models.TextField(max_length=2000)
    created_at = models.DateTimeField()

    is_overtaken: bool  # of those that `in_order` found

    objects: ClassVar[Any] = AttestationQuerySet.as_manager()

    class Meta:
        default_permissions = ("view",)
        ordering = ["id"]

    def __str__(self) -> str:
        return f"attestation {self.pk}"

    @property
    def claim(self) -> tuple[Any, Any]:
        """What a second person must find as well for it to count."""
        return self.finding, self.reference if self.finding == self.Finding.APPLIED else ""
