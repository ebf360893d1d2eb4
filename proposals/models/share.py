"""Which agents' work takes its time, and which of it is under way."""

from django.db import models

from ledger.canonical import CanonicalJSONField
from proposals.models.agent import Agent


class Share(models.Model):
    """What is under way for one agent whose work took its time lately, over all processes."""

    agent = models.OneToOneField(
        Agent, primary_key=True, on_delete=models.CASCADE, related_name="share"
    )
    slow_until = models.DateTimeField(help_text="How long that is remembered.")
    under_way = CanonicalJSONField(
        default=dict, help_text="Rows that are worked on, and how long their places last at most."
    )

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"share {self.pk}"
