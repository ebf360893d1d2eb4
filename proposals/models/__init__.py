"""The nouns of the product. Questions about rows live here; changes live in `services`."""

from proposals.models.agent import Agent, AgentToken, Grant
from proposals.models.check import Check, Rule
from proposals.models.desk import Preferences, StoredList
from proposals.models.execution import Execution
from proposals.models.freeze import Freeze
from proposals.models.proposal import Evidence, IdempotencyKey, Proposal, Revision, Run
from proposals.models.review import Review

__all__ = [
    "Agent",
    "AgentToken",
    "Check",
    "Evidence",
    "Execution",
    "Freeze",
    "Grant",
    "IdempotencyKey",
    "Preferences",
    "Proposal",
    "Review",
    "Revision",
    "Rule",
    "Run",
    "StoredList",
]
