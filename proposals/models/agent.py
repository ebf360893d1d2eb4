"""Machine identities: who may propose, and what."""

from fnmatch import fnmatchcase

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from simple_history.models import HistoricalRecords

from ledger.identifiers import uuid7


class Agent(models.Model):
    """A machine identity with a human owner. Its service account can never sign in.

    The service account exists because Django, DRF and the history expect a user behind a request.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(
        max_length=64,
        unique=True,
        validators=[
            RegexValidator(r"^[a-z0-9][a-z0-9-]*$", "Lower-case letters, digits and hyphens.")
        ],
        help_text="How people and the ledger call it, such as refund-bot.",
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="owned_agents",
        help_text="The person who answers for it, and who never decides on what it proposes.",
    )
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, editable=False, related_name="agent"
    )
    is_suspended = models.BooleanField(default=False)
    suspended_reason = models.CharField(max_length=500, blank=True)
    is_observed = models.BooleanField(
        "observe only",
        default=False,
        help_text="What it proposes is checked and judged; nothing is written, nobody is asked.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    history = HistoricalRecords()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def actor(self) -> str:
        return f"agent:{self.pk}"

    def may_propose(self, action: str) -> bool:
        """Whether a grant of this agent covers the action."""
        return any(grant.covers(action) for grant in self.grants.all())


class Grant(models.Model):
    """Permission for an agent to propose the actions that a pattern names. Never to commit."""

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="grants")
    pattern = models.CharField(
        max_length=128,
        validators=[RegexValidator(r"^[a-z0-9_.*]+$", "An action name; * stands for any part.")],
        help_text="An action such as records.update, or a pattern such as records.*",
    )

    history = HistoricalRecords()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["agent", "pattern"], name="grant_once_per_agent")
        ]

    def __str__(self) -> str:
        return f"{self.agent_id}: {self.pattern}"

    def covers(self, action: str) -> bool:
        return fnmatchcase(action, self.pattern)


class AgentToken(models.Model):
    """One bearer token, stored as a hash: nothing in the database can be used to sign in."""

    key_id = models.CharField(max_length=16, unique=True)
    digest = models.CharField(max_length=64, editable=False)
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="tokens")
    issued_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="issued_tokens",
        help_text="Who saw it; nobody where a command issued it.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    is_replaced = models.BooleanField(default=False, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    def __str__(self) -> str:
        return self.key_id
