"""Until when people and workers have time. (Design page: low 7 days, medium 72 hours, high 24.)"""

from datetime import datetime, timedelta

from django.conf import settings

from proposals.models import Proposal, Revision


def lifetime(proposal: Proposal, tier: str) -> timedelta:
    """What it asked for itself, or what its tier has; before the first check, the longest."""
    hours = settings.PROPOSAL_LIFETIME_HOURS[tier or "low"]
    return timedelta(seconds=proposal.expires_in or 3600 * hours)


def deadline(proposal: Proposal, revision: Revision, tier: str) -> datetime:
    """Counted from its content, or from a retry since; what it asked for itself stays."""
    if proposal.expires_in is not None:
        return proposal.expires_at
    begun = max(revision.created_at, proposal.retried_at or revision.created_at)
    return begun + lifetime(proposal, tier)
