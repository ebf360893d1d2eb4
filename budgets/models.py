"""Budgets, the scopes they are counted in, and what is reserved against them.

A leaf: proposals, agents and runs are text here, so that nothing else can be deleted from under a
count, and nothing here needs to know what a proposal is.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords

from budgets.charges import Charge, Unit

REFUSALS_KEPT = timedelta(days=30)  # to look at; the ledger has their sums for good


class Budget(models.Model):
    """A cap: what it covers, in what unit, in which window, and what happens beyond it.

    The patterns say what it covers; the `per_` marks say what is counted apart. Without any mark
    everything that it covers is counted together.
    """

    class Lane(models.TextChoices):
        FORWARD = "forward", "writes"
        UNDO = "undo", "undo asked for by people"

    class OnExceed(models.TextChoices):
        REFUSE = "refuse", "refuse"
        SUSPEND = "suspend", "refuse, and suspend the agent"

    name = models.CharField(max_length=120, unique=True)
    lane = models.CharField(max_length=8, choices=Lane.choices, default=Lane.FORWARD)
    agent_pattern = models.CharField(max_length=128, default="*")
    action_pattern = models.CharField(max_length=128, default="*")
    resource_pattern = models.CharField(max_length=255, default="*")
    per_agent = models.BooleanField(default=False)
    per_run = models.BooleanField(default=False)
    per_action = models.BooleanField(default=False)
    per_resource = models.BooleanField(default=False)
    unit = models.CharField(max_length=10, choices=Unit.choices)
    currency = models.CharField(max_length=3, blank=True, help_text="For money: ISO 4217.")
    limit = models.DecimalField(
        max_digits=18, decimal_places=2, validators=[MinValueValidator(Decimal(0))]
    )
    window_seconds = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="A rolling window. Empty means the life of the run.",
    )
    on_exceed = models.CharField(max_length=8, choices=OnExceed.choices, default=OnExceed.REFUSE)
    is_active = models.BooleanField(default=True)

    history = HistoricalRecords()

    class Meta:
        ordering = ["id"]
        permissions = [("lower_budget", "Can lower the limit of a budget")]
        constraints = [
            models.CheckConstraint(
                condition=Q(window_seconds__isnull=False) | Q(per_run=True),
                name="budget_without_window_is_per_run",
            ),
            models.CheckConstraint(condition=Q(limit__gte=0), name="budget_limit_not_negative"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse a budget that could not be counted."""
        if self.window_seconds is None and not self.per_run:
            raise ValidationError(
                {"window_seconds": "Give a window, or count per run for the life of each run."}
            )
        if (self.unit == Unit.MONEY) != bool(self.currency):
            raise ValidationError({"currency": "Money has a currency, and only money has."})

    @property
    def window(self) -> timedelta | None:
        return None if self.window_seconds is None else timedelta(seconds=self.window_seconds)

    def covers(self, charge: Charge) -> bool:
        """Whether this budget counts what the charge asks for."""
        return (
            charge.lane == self.lane
            and fnmatchcase(charge.agent_name, self.agent_pattern)
            and fnmatchcase(charge.action, self.action_pattern)
            and fnmatchcase(charge.resource, self.resource_pattern)
        )

    def scope_key(self, charge: Charge) -> str:
        """Names what is counted together, from the marks: lengths first, so no two can meet."""
        parts = [
            value
            for is_apart, value in (
                (self.per_agent or self.per_run, charge.agent),
                (self.per_run, charge.run),
                (self.per_action, charge.action),
                (self.per_resource, charge.resource),
            )
            if is_apart
        ]
        return "".join(f"{len(part)}:{part};" for part in parts)


class Scope(models.Model):
    """One count of a budget, and the row to lock for it."""

    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="scopes")
    key = models.CharField(max_length=700, blank=True)
    agent = models.CharField(max_length=64, blank=True)
    run = models.CharField(max_length=128, blank=True)
    resource = models.CharField(max_length=255, blank=True)

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["budget", "key"], name="scope_once_per_budget")
        ]

    def __str__(self) -> str:
        return f"scope {self.pk}"


def counts(window: timedelta | None, now: datetime, scope: Scope | None = None) -> Q:
    """What uses up a budget: not released, inside the window if there is one, or `booked`."""
    found = ~Q(status=Reservation.Status.RELEASED)
    if window is not None:
        found &= Q(counted_at__gt=now - window)
    return found if scope is None else Q(scope=scope) & found


def booked(now: datetime) -> Q:
    """What waits for a slot that it was promised: it is counted from the moment of that slot on."""
    return Q(status=Reservation.Status.HELD, counted_at__gt=now)


class ReservationQuerySet(models.QuerySet):
    def counting(self, window: timedelta | None, now: datetime) -> "ReservationQuerySet":
        return self.filter(counts(window, now))


class Reservation(models.Model):
    """What one proposal has set aside in one scope. It is resolved once."""

    class Status(models.TextChoices):
        HELD = "held"
        CAPTURED = "captured"
        RELEASED = "released"

    scope = models.ForeignKey(Scope, on_delete=models.PROTECT, related_name="reservations")
    proposal = models.CharField(max_length=64)
    amount = models.DecimalField(max_digits=18, decimal_places=2)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.HELD)
    counted_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)

    objects = ReservationQuerySet.as_manager()

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["scope", "proposal"], name="reservation_once_per_scope_and_proposal"
            ),
            models.CheckConstraint(
                condition=Q(amount__gte=0), name="reservation_amount_not_negative"
            ),
        ]
        indexes = [
            models.Index(
                fields=["scope", "counted_at"],
                name="reservation_counting",
                condition=~Q(status="released"),
            ),
            models.Index(fields=["proposal"], name="reservation_by_proposal"),
        ]

    def __str__(self) -> str:
        return f"reservation {self.pk}"


class RefusalQuerySet(models.QuerySet["Refusal"]):
    def old(self, now: datetime) -> "RefusalQuerySet":
        """Refusals that were summed and are kept no longer, the oldest first."""
        return self.filter(is_summed=True, last_at__lt=now - REFUSALS_KEPT).order_by("last_at")


class Refusal(models.Model):
    """Refusals of one budget to one agent, summed: the ledger gets a few entries, not thousands."""

    budget = models.ForeignKey(Budget, on_delete=models.CASCADE, related_name="refusals")
    agent = models.CharField(max_length=64)
    agent_name = models.CharField(max_length=64)
    since = models.DateTimeField()
    last_at = models.DateTimeField()
    count = models.PositiveIntegerField(default=1)
    is_summed = models.BooleanField(default=False)

    objects = RefusalQuerySet.as_manager()

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["budget", "agent"],
                condition=Q(is_summed=False),
                name="refusal_one_open_sum_per_budget_and_agent",
            )
        ]
        indexes = [
            models.Index(fields=["last_at"], name="refusal_by_age", condition=Q(is_summed=True))
        ]

    def __str__(self) -> str:
        return f"refusals {self.pk}"
