"""How often each rule spoke, summed by day, so that nobody has to read every trace again."""

from django.db import models

from proposals.models.check import Rule


class RuleHits(models.Model):
    """What one rule did on one day (UTC): how many checks it matched, and how many it decided."""

    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="hits")
    day = models.DateField()
    matched = models.PositiveIntegerField(default=0)
    decided = models.PositiveIntegerField(default=0)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["rule", "day"], name="rule_hits_once_per_day")
        ]

    def __str__(self) -> str:
        return f"hits of rule {self.rule_id}"


class RuleTally(models.Model):
    """Up to which check the hits are summed. One row; who sums locks it."""

    last_check = models.BigIntegerField(default=0)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"summed up to check {self.last_check}"
