"""The nouns of the product. Questions about rows live here; changes live in `services`."""

from proposals.models.agent import Agent, AgentToken, Grant
from proposals.models.check import Check, Rule
from proposals.models.desk import Preferences, SavedView, StoredList
from proposals.models.execution import Execution
from proposals.models.freeze import Freeze
from proposals.models.http_action import HttpAction, NamedSecret
from proposals.models.invitation import Invitation
from proposals.models.mail_template import MailPolicy, MailTemplate
from proposals.models.notice import Letter, Notice, NoticePreference, Webhook
from proposals.models.operator_token import OperatorToken
from proposals.models.outside import Attestation, Breaker, Exchange
from proposals.models.proposal import Evidence, IdempotencyKey, Proposal, Revision, Run
from proposals.models.review import Resolution, Review
from proposals.models.review_claim import ReviewClaim
from proposals.models.rule_hits import RuleHits, RuleTally
from proposals.models.run_undo import RunUndo, RunUndoStep
from proposals.models.share import Share
from proposals.models.target import Database, DescribedTable, Secret, Wiring

__all__ = [
    "Agent",
    "AgentToken",
    "Attestation",
    "Breaker",
    "Check",
    "Database",
    "DescribedTable",
    "Evidence",
    "Exchange",
    "Execution",
    "Freeze",
    "Grant",
    "HttpAction",
    "IdempotencyKey",
    "Invitation",
    "Letter",
    "MailPolicy",
    "MailTemplate",
    "NamedSecret",
    "Notice",
    "NoticePreference",
    "OperatorToken",
    "Preferences",
    "Proposal",
    "Resolution",
    "Review",
    "ReviewClaim",
    "Revision",
    "Rule",
    "RuleHits",
    "RuleTally",
    "Run",
    "RunUndo",
    "RunUndoStep",
    "SavedView",
    "Secret",
    "Share",
    "StoredList",
    "Webhook",
    "Wiring",
]
