"""Rules, and what came of holding a revision against them."""

from django.core.validators import MaxValueValidator
from django.db import models
from simple_history.models import HistoricalRecords

from ledger.append_only import AppendOnly
from ledger.canonical import CanonicalJSONField
from proposals.policy import Effect, InvalidCondition, RuleData, compile_condition
from proposals.registry import Tier


class Rule(models.Model):
    """One row of policy. The strictest of all that match decides; no match means people decide."""

    EFFECTS = [
        (Effect.ALLOW, "allow: no approval required"),
        (Effect.REVIEW, "review: people approve"),
        (Effect.DENY, "deny"),
        (Effect.RAISE, "raise the tier"),
    ]

    name = models.CharField(max_length=120, unique=True)
    action = models.CharField(
        max_length=128, default="*", help_text="Action or pattern, such as records.* or *"
    )
    condition = models.TextField(
        blank=True,
        max_length=2000,
        help_text="A CEL expression over params, before, after, impact, tier, agent, run, "
        "resource, history and now. Empty means always.",
    )
    effect = models.CharField(max_length=8, choices=EFFECTS)
    approvals = models.PositiveSmallIntegerField(
        default=1, validators=[MaxValueValidator(9)], help_text="How many people, for review."
    )
    group = models.CharField(
        max_length=150, blank=True, help_text="Group whose members may approve, for review."
    )
    tier = models.CharField(
        max_length=10,
        blank=True,
        choices=[(tier.value, tier.value) for tier in Tier],
        help_text="The tier to raise to, for raise.",
    )
    message = models.CharField(
        max_length=300, blank=True, help_text="A sentence that the agent may be shown."
    )
    is_active = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=1, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    history = HistoricalRecords()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse a rule that could not be evaluated, or that says less than it needs to."""
        from django.core.exceptions import ValidationError

        if self.condition:
            try:
                compile_condition(self.condition)
            except InvalidCondition as error:
                raise ValidationError({"condition": str(error)}) from error
        if self.effect == Effect.RAISE and not self.tier:
            raise ValidationError({"tier": "A rule that raises the tier must say to which."})
        if self.effect == Effect.REVIEW and self.approvals < 1:
            raise ValidationError(
                {"approvals": "Review needs at least one person; for none, choose allow."}
            )
        if self.effect == Effect.REVIEW and not self.group:
            raise ValidationError({"group": "Name the group whose members may approve."})

    def data(self) -> RuleData:
        """The rule as `policy` reads it."""
        return RuleData(
            id=str(self.pk),
            name=self.name,
            version=self.version,
            action=self.action,
            condition=self.condition,
            effect=Effect(self.effect),
            approvals=self.approvals if self.effect == Effect.REVIEW else 0,
            group=self.group,
            tier=self.tier,
            message=self.message,
        )


class Check(AppendOnly):
    """One examination of a revision. Its digest is what a person approves."""

    proposal = models.ForeignKey(
        "proposals.Proposal", on_delete=models.PROTECT, related_name="checks"
    )
    revision = models.ForeignKey(
        "proposals.Revision", on_delete=models.PROTECT, related_name="checks"
    )
    round = models.PositiveIntegerField()
    digest = models.CharField(max_length=71)
    sentence = models.CharField(max_length=500)
    before = CanonicalJSONField(null=True)
    after = CanonicalJSONField(null=True)
    impact = CanonicalJSONField(null=True)
    conflicts = CanonicalJSONField(default=list)
    base_tier = models.CharField(max_length=10)
    tier = models.CharField(max_length=10)
    is_reversible = models.BooleanField()
    hides_text = models.BooleanField(
        default=False, help_text="Whether the agent sent characters that hide or reorder text."
    )
    compensation = CanonicalJSONField(null=True)
    effect = models.CharField(max_length=8)
    approvals = models.PositiveSmallIntegerField()
    groups = models.TextField(blank=True, help_text="As ,one,two, for look-ups.")
    reasons = CanonicalJSONField(default=list)
    trace = CanonicalJSONField(default=list)
    policy_digest = models.CharField(max_length=71)
    definition = models.CharField(
        max_length=120, null=True, help_text="Names the configuration that the call depends on."
    )
    error = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["proposal", "round"], name="check_once_per_round")
        ]

    def __str__(self) -> str:
        return f"{self.proposal_id} check {self.round}"

    @property
    def group_names(self) -> list[str]:
        """The groups whose members may fill a seat; any one of them will do."""
        return [name for name in self.groups.split(",") if name]

    @property
    def is_approvable(self) -> bool:
        """Whether there is something definite to approve: a preview, and no conflict in it."""
        return not self.error and not self.conflicts and self.before is not None
