"""What people are to hear of, and the letters that tell them. The rows are the queue."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords

from ledger.identifiers import uuid7
from proposals.models.agent import Agent
from proposals.registry import Tier


class NoticeQuerySet(models.QuerySet["Notice"]):
    def to_spread(self) -> "NoticeQuerySet":
        """Facts for which nobody has written letters yet, the oldest first."""
        return self.filter(spread_at=None).order_by("id")


class Notice(models.Model):
    """One fact that people are to hear of, written in the transaction of the fact itself.

    It names nobody: who can act is asked when letters are written, and again when they are sent.
    """

    class Kind(models.TextChoices):
        WAITS = "waits", "Waits for a decision"
        DUE = "due", "Due soon"
        FAILED = "failed", "Failed, nothing written"
        UNKNOWN = "unknown", "Outcome unknown"
        SECOND = "second", "A second person is wanted"
        BREAKER = "breaker", "A target is left alone"
        BUDGET = "budget", "A budget refused"
        SUSPENDED = "suspended", "Agent suspended"
        FROZEN = "frozen", "Frozen"
        REJECTED = "rejected", "Rejected"
        EXPIRED = "expired", "Expired"
        UNDONE = "undone", "Undone"
        PARTLY = "partly", "Partly undone"
        WEBHOOK = "webhook", "Webhook switched off"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    subject = models.CharField(max_length=200, help_text="What it happened to: proposal:<id>.")
    # Without constraints in the database: as in the ledger, a fact may outlive what it is about.
    proposal = models.ForeignKey(
        "proposals.Proposal",
        null=True,
        on_delete=models.CASCADE,
        related_name="+",
        db_constraint=False,
    )
    agent = models.ForeignKey(
        Agent, null=True, on_delete=models.CASCADE, related_name="+", db_constraint=False
    )
    digest = models.CharField(max_length=71, blank=True, help_text="Of the check it speaks of.")
    actor = models.CharField(max_length=100)
    at = models.DateTimeField()
    spread_at = models.DateTimeField(null=True, help_text="When letters were written for it.")

    objects = NoticeQuerySet.as_manager()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["proposal", "digest"],
                condition=Q(kind="due"),
                name="notice_due_once_per_check",
            )
        ]
        indexes = [
            models.Index(fields=["id"], name="notice_to_spread", condition=Q(spread_at=None)),
            models.Index(fields=["at"], name="notice_by_age"),
        ]

    def __str__(self) -> str:
        return f"notice {self.pk}"

    @property
    def subject_id(self) -> str:
        """The id in the subject, such as that of the budget."""
        return self.subject.partition(":")[2]


class NoticePreference(models.Model):
    """How one person is told by mail, for each tier. No row means the defaults."""

    class Choice(models.TextChoices):
        AT_ONCE = "at_once", "Immediately"
        HOURLY = "hourly", "One mail an hour"
        OFF = "off", "Off"

    person = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notice_preference"
    )
    high = models.CharField(max_length=8, choices=Choice.choices, default=Choice.AT_ONCE)
    medium = models.CharField(max_length=8, choices=Choice.choices, default=Choice.HOURLY)
    low = models.CharField(max_length=8, choices=Choice.choices, default=Choice.HOURLY)

    history = HistoricalRecords()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"notice preference {self.pk}"

    def for_tier(self, tier: str) -> str:
        """The choice for a tier; an unknown tier is told like the highest."""
        choices = {Tier.LOW: self.low, Tier.MEDIUM: self.medium}
        return choices.get(Tier(tier), self.high) if tier in set(Tier) else self.high


class Webhook(models.Model):
    """Where notices are posted to, signed. The secret is in the vault and never shown again."""

    name = models.CharField(
        max_length=80,
        unique=True,
        error_messages={"unique": "There is already a webhook of this name."},
        help_text="How people here call it, such as Approvals channel.",
    )
    url = models.CharField(max_length=500)
    kinds = models.CharField(max_length=200, help_text="As ,one,two, for look-ups.")
    tiers = models.CharField(max_length=40, help_text="As ,low,high, for look-ups.")
    is_chat = models.BooleanField(
        default=False, help_text="Sends the text alone, for chat services that refuse other fields."
    )
    is_active = models.BooleanField(default=True)
    failures = models.PositiveIntegerField(default=0, help_text="In a row.")
    off_reason = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    history = HistoricalRecords(excluded_fields=["failures"])

    class Meta:
        default_permissions = ()
        ordering = ["name"]

    def __str__(self) -> str:
        return f"webhook {self.pk}"

    @property
    def secret_name(self) -> str:
        return f"webhook:{self.pk}"

    @property
    def kind_names(self) -> list[str]:
        return [name for name in self.kinds.split(",") if name]

    @property
    def tier_names(self) -> list[str]:
        return [name for name in self.tiers.split(",") if name]


class LetterQuerySet(models.QuerySet["Letter"]):
    def due(self, now: datetime) -> "LetterQuerySet":
        """Letters that may be sent now: never tried, to be tried again, or left by a lost claim."""
        return self.filter(state=Letter.State.WAITING, next_at__lte=now)


class Letter(models.Model):
    """What is sent to one recipient: about one notice, or about an hour of them.

    `name` says which letter it is, so that writing it twice is writing it once; the primary key is
    in its Message-ID, so that a letter sent twice is seen to be one.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting to be sent"
        SENT = "sent", "Sent"
        DROPPED = "dropped", "No longer needed"
        GIVEN_UP = "given_up", "Could not be sent"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=160, unique=True)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+"
    )
    webhook = models.ForeignKey(Webhook, null=True, on_delete=models.CASCADE, related_name="+")
    notices: Any = models.ManyToManyField(Notice, related_name="letters")
    tier = models.CharField(max_length=10)
    is_digest = models.BooleanField(default=False)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveIntegerField(default=0, help_text="Raised by every claim.")
    next_at = models.DateTimeField(help_text="When to try; while claimed, the end of the lease.")
    last_error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    objects = LetterQuerySet.as_manager()

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=Q(person__isnull=False, webhook__isnull=True)
                | Q(person__isnull=True, webhook__isnull=False),
                name="letter_has_one_recipient",
            )
        ]
        indexes = [
            models.Index(fields=["next_at"], name="letter_due", condition=Q(state="waiting")),
            models.Index(fields=["created_at"], name="letter_by_age"),
            models.Index(fields=["person", "-created_at"], name="letter_by_person"),
            models.Index(fields=["webhook", "-created_at"], name="letter_by_webhook"),
            models.Index(
                fields=["settled_at"], name="letter_given_up", condition=Q(state="given_up")
            ),
        ]

    def __str__(self) -> str:
        return f"letter {self.pk}"
