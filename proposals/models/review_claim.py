"""Who is reviewing what just now: a note for colleagues, and nothing that anybody waits for."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import models

from proposals.lifecycle import Status
from proposals.models.proposal import Proposal

CLAIM_LIFETIME = timedelta(minutes=10)


class ReviewClaim(models.Model):
    """That somebody is reviewing a proposal. It is advisory: others who may decide still can.

    It is of one round, so that a new revision or a fresh check ends it, as the end of waiting does.
    """

    proposal = models.OneToOneField(Proposal, on_delete=models.CASCADE, related_name="review_claim")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    round = models.PositiveIntegerField()
    until = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"claim of {self.proposal_id}"

    @property
    def person_name(self) -> str:
        return self.person.get_full_name() or self.person.get_username()

    def stands(self, proposal: Proposal, now: datetime) -> bool:
        """Whether it still says who is at it; `proposal` is its own, as it is now."""
        is_same = proposal.status == Status.PENDING and proposal.round == self.round
        return is_same and self.until > now
