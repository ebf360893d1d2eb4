"""Freezes: what stops every intent, from the moment they have committed."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from proposals.models.agent import Agent


class Freeze(models.Model):
    """One stop, with its reason. It is in force until somebody lifts it; the row stays."""

    class Scope(models.TextChoices):
        EVERYTHING = "everything", "everything"
        AGENT = "agent", "one agent"
        ACTION = "action", "one action"
        RUN = "run", "one run"

    scope = models.CharField(max_length=10, choices=Scope.choices)
    agent = models.ForeignKey(Agent, null=True, blank=True, on_delete=models.PROTECT)
    action = models.CharField(max_length=128, blank=True)
    run = models.ForeignKey("proposals.Run", null=True, blank=True, on_delete=models.PROTECT)
    reason = models.CharField(max_length=500)
    frozen_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    frozen_at = models.DateTimeField()
    lifted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    lifted_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["scope"],
                condition=Q(lifted_at=None, scope="everything"),
                name="freeze_everything_once",
            ),
            models.UniqueConstraint(
                fields=["agent"],
                condition=Q(lifted_at=None, scope="agent"),
                name="freeze_once_per_agent",
            ),
            models.UniqueConstraint(
                fields=["action"],
                condition=Q(lifted_at=None, scope="action"),
                name="freeze_once_per_action",
            ),
            models.UniqueConstraint(
                fields=["run"],
                condition=Q(lifted_at=None, scope="run"),
                name="freeze_once_per_run",
            ),
        ]

    def __str__(self) -> str:
        return f"freeze {self.pk}"

    def clean(self) -> None:
        named = {"agent": self.agent_id, "action": self.action, "run": self.run_id}
        for field, value in named.items():
            if bool(value) != (self.scope == field):
                raise ValidationError({field: f"A freeze of {self.scope} names just that."})

    @property
    def target(self) -> str:
        """What is frozen, in words."""
        if self.scope == self.Scope.AGENT:
            return f"agent {self.agent.name}" if self.agent else "an agent"
        if self.scope == self.Scope.ACTION:
            return f"action {self.action}"
        if self.scope == self.Scope.RUN:
            return f"run {self.run_id}"
        return "everything"
