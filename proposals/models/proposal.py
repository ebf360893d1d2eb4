"""Proposals and their content: what was asked, by whom, and what the agent knew."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords

from ledger.append_only import AppendOnly
from ledger.canonical import CanonicalJSONField
from ledger.identifiers import uuid7
from ledger.models import Chain
from proposals.lifecycle import OBSERVABLE, OPEN, Status
from proposals.models.agent import Agent


class Run(models.Model):
    """One session of an agent, named by the agent."""

    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="runs")
    name = models.CharField(max_length=128)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agent", "name"], name="run_once_per_agent")]

    def __str__(self) -> str:
        return f"run {self.pk}"


class ProposalQuerySet(models.QuerySet["Proposal"]):
    def lock(self, proposal_id: UUID) -> "Proposal":
        """The row as it is now, held until the transaction ends."""
        row: Proposal = self.select_for_update(of=("self",), no_key=True).get(pk=proposal_id)
        return row

    def open(self) -> "ProposalQuerySet":
        return self.filter(status__in=OPEN)

    def to_check(self) -> "ProposalQuerySet":
        """What wants a check. What a suspended agent has under way is held, and wants none."""
        is_held = Q(agent__is_suspended=True, proposer=None)
        return self.filter(status=Status.SUBMITTED).exclude(is_held)

    def overdue(self, now: datetime) -> "ProposalQuerySet":
        """Open proposals whose deadline has passed."""
        return self.open().filter(expires_at__lte=now)

    def of(self, agent: Agent) -> "ProposalQuerySet":
        return self.filter(agent=agent)


class Proposal(Chain):
    """A call that an agent or a person asks for. Its status is assigned by `lifecycle` alone."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.SUBMITTED)
    agent = models.ForeignKey(Agent, null=True, on_delete=models.PROTECT, related_name="proposals")
    proposer = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="proposals"
    )
    run = models.ForeignKey(Run, null=True, on_delete=models.PROTECT, related_name="proposals")
    action = models.CharField(max_length=128)
    resource = models.CharField(max_length=255)
    intent = models.CharField(max_length=64, help_text="Hash of agent, action and parameters.")
    revision_number = models.PositiveIntegerField(default=1)
    round = models.PositiveIntegerField(default=1)
    generation = models.PositiveIntegerField(default=1)
    rechecks = models.PositiveIntegerField(default=0)
    current_check = models.ForeignKey(
        "proposals.Check", null=True, on_delete=models.PROTECT, related_name="+"
    )
    tier = models.CharField(max_length=10, blank=True)
    reason = models.CharField(
        max_length=500, blank=True, help_text="Why it rests where it rests, in the system's words."
    )
    expires_in = models.PositiveIntegerField(null=True)
    expires_at = models.DateTimeField()
    retried_at = models.DateTimeField(
        null=True, help_text="When an operator last had it tried again: its deadline began anew."
    )
    due_at = models.DateTimeField(help_text="Since when a worker is wanted, while submitted.")
    result = CanonicalJSONField(null=True)
    error = CanonicalJSONField(null=True)
    compensates = models.ForeignKey(
        "self", null=True, on_delete=models.PROTECT, related_name="compensations"
    )
    covers = CanonicalJSONField(
        null=True, help_text="Of an undo: the objects that it takes back; null is all of them."
    )
    is_undone = models.BooleanField(default=False)  # all that it wrote was taken back
    taken_back = CanonicalJSONField(
        default=list, help_text="The objects that were, while not all of them are."
    )
    is_observed = models.BooleanField(
        default=False, help_text="Its agent was only observed when it was proposed."
    )
    has_moved = models.BooleanField(
        default=False,
        help_text="Whether a worker or a fresh check found another target than people last saw.",
    )
    is_held = models.BooleanField(
        default=False,
        help_text="Whether a worker found it held back, or a comment keeps it from approval.",
    )
    duplicate_of = models.ForeignKey(
        "self", null=True, on_delete=models.PROTECT, related_name="duplicates"
    )
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    committed_at = models.DateTimeField(null=True)

    objects = ProposalQuerySet.as_manager()
    # How its budgets stood when it was reserved; set by the verb that reserved, stored nowhere.
    standings: list = []
    history = HistoricalRecords(
        excluded_fields=[
            *("ledger_number", "ledger_hash", "result", "error"),
            *("has_moved", "is_held", "covers", "taken_back"),
        ],
        cascade_delete_history=False,
    )

    class Meta:
        permissions = [
            ("decide_proposal", "Can decide on low and medium tier proposals"),
            ("decide_high_proposal", "Can decide on high tier proposals"),
            ("undo_proposal", "Can undo committed proposals"),
            ("retry_proposal", "Can retry failed proposals and reconcile unknown outcomes"),
            ("freeze_writes", "Can freeze writes and suspend agents"),
            ("lift_freeze", "Can lift freezes and resume agents"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["compensates"],
                condition=models.Q(is_undone=False, covers=None)
                & ~models.Q(status__in=["failed", "denied", "rejected", "withdrawn", "expired"]),
                name="proposal_one_live_undo_per_commit",
            ),
            models.CheckConstraint(
                condition=models.Q(agent__isnull=False) | models.Q(proposer__isnull=False),
                name="proposal_has_a_proposer",
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=list(Status.values)), name="proposal_status_is_known"
            ),
            models.CheckConstraint(
                condition=models.Q(is_observed=False)
                | models.Q(status__in=[str(status) for status in sorted(OBSERVABLE)]),
                name="proposal_observed_is_never_approved",
            ),
        ]
        indexes = [
            models.Index(fields=["status", "due_at"], name="proposal_by_status"),
            models.Index(fields=["agent", "-id"], name="proposal_by_agent"),
            models.Index(
                fields=["agent", "-id"],
                name="proposal_observed",
                condition=models.Q(is_observed=True),
            ),
            models.Index(fields=["resource", "status"], name="proposal_by_resource"),
            models.Index(fields=["intent", "updated_at"], name="proposal_by_intent"),
            models.Index(
                fields=["expires_at"],
                name="proposal_by_expiry",
                condition=models.Q(status__in=[str(status) for status in sorted(OPEN)]),
            ),
            # The queue in its order, and what changed in it lately.
            models.Index(fields=["status", "tier", "expires_at"], name="proposal_by_rank"),
            models.Index(fields=["status", "updated_at"], name="proposal_by_change"),
            models.Index(
                fields=["tier", "expires_at"],
                name="proposal_moved",
                condition=models.Q(has_moved=True),
            ),
            models.Index(
                fields=["tier", "expires_at"],
                name="proposal_held",
                condition=models.Q(is_held=True),
            ),
            models.Index(
                fields=["-committed_at"],
                name="proposal_by_commit",
                condition=models.Q(status="committed"),
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def stream(self) -> str:
        return f"proposal:{self.pk}"

    @property
    def is_open(self) -> bool:
        return Status(self.status) in OPEN

    @property
    def proposed_by(self) -> str:
        """Who asked, as the ledger writes actors."""
        if self.agent is not None and self.proposer_id is None:
            return self.agent.actor
        return f"user:{self.proposer_id}"

    def revision(self) -> "Revision":
        """The content as it stands."""
        return self.revisions.get(number=self.revision_number)

    def save_chain(self) -> None:
        """Store the head of the ledger's chain after an entry that changed nothing else here.

        An update, because a history row about nothing would only hide the ones that matter.
        """
        type(self).objects.filter(pk=self.pk).update(
            ledger_number=self.ledger_number, ledger_hash=self.ledger_hash
        )

    def look_ups(self) -> dict[str, Any]:
        """What the ledger finds an entry of this proposal by."""
        return {
            "facets": {
                "tier": self.tier,
                "action": self.action,
                "revision": self.revision_number,
            },
            "proposal": str(self.pk),
            "agent": str(self.agent_id or ""),
            "run": self.run.name if self.run else "",
            "object": self.resource,
        }


class Revision(AppendOnly):
    """One version of a proposal's content. The ledger holds its salted commitment."""

    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="revisions")
    number = models.PositiveIntegerField()
    author = models.CharField(max_length=64)
    params = CanonicalJSONField()
    rationale = models.TextField()
    context = CanonicalJSONField()
    salt = models.BinaryField(max_length=16)
    commitment = models.CharField(max_length=71)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["proposal", "number"], name="revision_numbered_once")
        ]

    def __str__(self) -> str:
        return f"{self.proposal_id} revision {self.number}"


class Evidence(AppendOnly):
    """One thing the agent knew. Frozen, hashed with a salt: erasing it breaks no proof."""

    class Kind(models.TextChoices):
        RECORD = "record"
        DOCUMENT = "document"
        MESSAGE = "message"
        TOOL_RESULT = "tool_result"
        OTHER = "other"

    revision = models.ForeignKey(Revision, on_delete=models.PROTECT, related_name="evidence")
    position = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=16, choices=Kind.choices)
    title = models.CharField(max_length=200)
    content = CanonicalJSONField(null=True)
    uri = models.CharField(max_length=2000, blank=True)
    retrieved_at = models.DateTimeField(null=True)
    salt = models.BinaryField(max_length=16)
    commitment = models.CharField(max_length=71)

    class Meta:
        verbose_name_plural = "evidence"
        constraints = [
            models.UniqueConstraint(
                fields=["revision", "position"], name="evidence_once_per_position"
            )
        ]

    def __str__(self) -> str:
        return f"evidence {self.pk}"


class IdempotencyKey(AppendOnly):
    """A key that an agent has used, and for what. It lives as long as its proposal."""

    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="+")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="keys")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["agent", "key"], name="idempotency_key_once_per_agent")
        ]

    def __str__(self) -> str:
        return f"key {self.pk}"
