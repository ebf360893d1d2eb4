"""What people may see: with the right to view, everything; as an owner, what is their agents'."""

from typing import Any

from django.db.models import Q, QuerySet

from proposals import rights
from proposals.models import Agent, Proposal


def may_open(user: Any) -> bool:
    """Whether this person may open any page at all."""
    return rights.may_view(user) or rights.owns_agents(user)


def agents_for(user: Any) -> QuerySet[Agent]:
    """The agents whose pages this person may open."""
    found = Agent.objects.select_related("owner")
    return found if rights.may_view(user) else found.filter(owner=user)


def proposals_for(user: Any) -> QuerySet[Proposal]:
    """The proposals whose pages this person may open: an owner's are those of their agents.

    With the undo that people asked for of what an own agent wrote.
    """
    if rights.may_view(user):
        return Proposal.objects.all()
    return Proposal.objects.filter(
        Q(agent__owner=user) | Q(proposer=user) | Q(compensates__agent__owner=user)
    )


def may_ask_for_undo(user: Any, proposal: Proposal) -> bool:
    """Whether this person may propose to take a write back: by right, or as the agent's owner."""
    if rights.has(user, rights.UNDO):
        return True
    return proposal.agent is not None and rights.owns(user, proposal.agent)
