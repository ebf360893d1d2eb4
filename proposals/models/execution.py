"""Attempts to commit. The row is the queue; a Celery message only rings."""

import base64
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.utils.crypto import salted_hmac

from ledger.canonical import CanonicalJSONField
from ledger.identifiers import uuid7
from proposals.exceptions import IllegalTransition
from proposals.registry import Delivery, registry


def downstream_key(proposal_id: UUID, generation: int) -> str:
    """What the target knows a write by: stable over attempts, new for each generation.

    Derived, and never the agent's own key, so that keys of different proposals cannot collide and
    cannot be guessed by other users of the same target. An execution keeps in its row what it got
    here, so another SECRET_KEY changes nothing about what is open; but what is queued anew after a
    restore is the same write to its target only under the same SECRET_KEY.
    """
    message = f"v1/{len(str(proposal_id))}:{proposal_id}/{generation}"
    keyed = salted_hmac("countersign.downstream-key", message, algorithm="sha256")
    return base64.b32encode(keyed.digest()).decode().rstrip("=").lower()


def reach_of(action_name: str, params: dict[str, Any]) -> tuple[str, str]:
    """How far an action can promise one effect, and which other system it reaches.

    What cannot be told promises nothing, so that nothing is ever sent twice for it.
    """
    try:
        action = registry.get(action_name)
        return action.delivery.value, action.target(params)[:300]
    except Exception:
        return Delivery.UNCERTAIN.value, ""


class ExecutionQuerySet(models.QuerySet["Execution"]):
    def open(self) -> "ExecutionQuerySet":
        return self.filter(status__in=Execution.OPEN)

    def enqueue(self, proposal: Any, check: Any, now: datetime) -> "Execution":
        """Queue the commit of an approved check, in the transaction of the approval.

        Raises IllegalTransition for a proposal whose agent is only observed.
        """
        if proposal.is_observed:
            raise IllegalTransition("What is only observed is never executed.")
        attempt = self.filter(proposal=proposal).count() + 1
        delivery, target = reach_of(proposal.action, check.revision.params)
        queued: Execution = self.create(
            delivery=delivery,
            target=target,
            proposal=proposal,
            of_check=check,
            attempt=attempt,
            generation=proposal.generation,
            key=downstream_key(proposal.pk, proposal.generation),
            run_after=now,
            created_at=now,
        )
        return queued

    def due(self, now: datetime) -> "ExecutionQuerySet":
        """Work that a worker may take: queued and due, or left behind by a lease that ended."""
        return self.filter(
            Q(status=Execution.Status.QUEUED, run_after__lte=now)
            | Q(
                status__in=[Execution.Status.CLAIMED, Execution.Status.INTENDED],
                lease_until__lte=now,
            )
        )

    def to_ask(self, now: datetime) -> "ExecutionQuerySet":
        """Unknown outcomes about which the target is to be asked now, and nobody is asking."""
        return self.filter(
            Q(lease_until=None) | Q(lease_until__lte=now),
            status=Execution.Status.UNKNOWN,
            ask_at__lte=now,
        )


class Execution(models.Model):
    """One attempt to commit an approved proposal: claim, intent, apply, settle."""

    class Status(models.TextChoices):
        QUEUED = "queued", "Queued"
        CLAIMED = "claimed", "Claimed"
        INTENDED = "intended", "About to write"
        COMMITTED = "committed", "Committed"
        FAILED = "failed", "Not applied"
        UNKNOWN = "unknown", "Outcome unknown"
        RETURNED = "returned", "Returned for a fresh check"

    OPEN = ("queued", "claimed", "intended")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    proposal = models.ForeignKey(
        "proposals.Proposal", on_delete=models.PROTECT, related_name="executions"
    )
    of_check = models.ForeignKey(
        "proposals.Check", on_delete=models.PROTECT, related_name="executions"
    )
    attempt = models.PositiveIntegerField(help_text="Which attempt of its proposal this is.")
    generation = models.PositiveIntegerField()
    key = models.CharField(max_length=64, help_text="What the target knows this write by.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    fence = models.PositiveIntegerField(default=0, help_text="Raised by every claim.")
    run_after = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)
    claimed_by = models.CharField(max_length=128, blank=True)
    intended_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)
    delivery = models.CharField(
        max_length=16,
        choices=[(each.value, each.value) for each in Delivery],
        default=Delivery.TRANSACTIONAL.value,
        help_text="How far the action could promise one effect when this was queued.",
    )
    target = models.CharField(max_length=300, blank=True, help_text="Which other system it reaches")
    unsent = models.PositiveSmallIntegerField(
        default=0, help_text="How often it certainly did not reach the target."
    )
    first_sent_at = models.DateTimeField(
        null=True, help_text="Since when the target may know the key."
    )
    unclear_at = models.DateTimeField(null=True, help_text="Since when its outcome is unknown.")
    last_unclear_at = models.DateTimeField(
        null=True, help_text="When something was last sent without a clear answer."
    )
    ask_at = models.DateTimeField(
        null=True, help_text="When to ask the target again; while unknown, none means people."
    )
    is_wanted = models.BooleanField(
        default=False, help_text="Whether a person wants the target asked before its time."
    )
    asked = models.PositiveSmallIntegerField(default=0, help_text="Probes without a clear answer.")
    resends = models.PositiveIntegerField(default=0)
    absent_at = models.DateTimeField(null=True, help_text="When a probe first knew nothing of it.")
    resolved_at = models.DateTimeField(null=True, help_text="When its unknown outcome was known.")
    found = CanonicalJSONField(null=True)
    result = CanonicalJSONField(null=True)
    after = CanonicalJSONField(null=True)
    compensation = CanonicalJSONField(null=True)
    evidence = CanonicalJSONField(null=True)
    error = CanonicalJSONField(null=True)
    created_at = models.DateTimeField()

    objects = ExecutionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["proposal"],
                condition=Q(status__in=["queued", "claimed", "intended"]),
                name="execution_one_open_per_proposal",
            ),
            models.UniqueConstraint(fields=["proposal", "attempt"], name="execution_numbered_once"),
            models.UniqueConstraint(
                fields=["proposal"],
                condition=Q(status="committed"),
                name="execution_one_commit_per_proposal",
            ),
            models.CheckConstraint(
                condition=~Q(status="committed")
                | Q(delivery="transactional")
                | Q(evidence__isnull=False),
                name="execution_committed_with_evidence",
            ),
        ]
        indexes = [
            models.Index(
                fields=["run_after"],
                name="execution_open",
                condition=Q(status__in=["queued", "claimed", "intended"]),
            ),
            models.Index(fields=["ask_at"], name="execution_to_ask", condition=Q(status="unknown")),
            models.Index(
                fields=["resolved_at"],
                name="execution_resolved",
                condition=Q(resolved_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.proposal_id} attempt {self.attempt}"

    @property
    def is_transactional(self) -> bool:
        """Whether the target keeps a receipt with the effect, so that asking again is safe."""
        return self.delivery == Delivery.TRANSACTIONAL

    @property
    def is_open(self) -> bool:
        return self.status in self.OPEN
