"""What the product refuses, in its own words. Nothing here knows of HTTP; each door maps codes."""

from typing import Any


class ProposalError(Exception):
    """A refusal of the domain: a stable code and a sentence for whoever asked."""

    code = "invalid-request"

    def __init__(self, detail: str = "", **facts: Any) -> None:
        super().__init__(detail or (type(self).__doc__ or "").strip())
        self.facts = facts


class InvalidRequest(ProposalError):
    """The request does not have the documented shape."""

    def __init__(self, detail: str = "", *, errors: list[dict] | None = None) -> None:
        super().__init__(detail)
        self.errors = errors or []


class InvalidParams(InvalidRequest):
    """The parameters do not fit the action."""

    code = "invalid-params"


class ActionNotGranted(ProposalError):
    """This agent may not propose that action."""

    code = "action-not-granted"


class AgentSuspended(ProposalError):
    """This agent is suspended; its owner can say why."""

    code = "agent-suspended"


class WritesFrozen(ProposalError):
    """Everything is frozen: nothing new is taken until an operator lifts it."""

    code = "writes-frozen"


class OverBudget(ProposalError):
    """A budget leaves no room for this now."""

    code = "budget-exceeded"


class RateLimited(ProposalError):
    """Too many requests of this kind a moment ago."""

    code = "rate-limited"


class QueueFull(ProposalError):
    """Too many proposals of this agent are open already."""

    code = "queue-full"


class NotFound(ProposalError):
    """There is no such thing here, or it is not yours to see."""

    code = "not-found"


class IllegalTransition(ProposalError):
    """The proposal is no longer in a status that allows this."""

    code = "illegal-transition"


class StaleDigest(ProposalError):
    """What you were shown is no longer what would be committed."""

    code = "stale-digest"


class AlteredSince(StaleDigest):
    """What is stored is not what was checked: it was changed from outside."""


class NotEligible(ProposalError):
    """You may not take this decision."""

    code = "not-eligible"


class SignInTooOld(ProposalError):
    """Approving at high tier takes a recent sign-in. Sign in again, then approve."""

    code = "sign-in-again"


class AlreadyDecided(ProposalError):
    """You have already decided on this."""

    code = "already-decided"


class NothingToUndo(ProposalError):
    """There is nothing that could be undone."""

    code = "nothing-to-undo"


class AlreadyUndone(ProposalError):
    """An undo of this is already open or committed."""

    code = "already-undone"


class IdempotencyKeyReused(ProposalError):
    """This idempotency key was used for another request."""

    code = "idempotency-key-reused"


class IdempotencyInFlight(ProposalError):
    """A request with this idempotency key is still being stored."""

    code = "idempotency-in-flight"


class ActionError(Exception):
    """What an action may raise. Anything else it raises counts as an unknown outcome."""


class TargetRefused(ActionError):
    """The target definitely did not take the write, and the same call would be refused again."""


class TargetUnavailable(ActionError):
    """Nothing was sent, or the target said that it took nothing; trying again later is safe.

    `retry_after` is for how many seconds the target asked to be left alone, if it said so.
    """

    def __init__(self, detail: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class OutcomeUnknown(ActionError):
    """Something was sent, and what came back does not tell whether it was applied.

    The sentence may be shown to people; `evidence` is what came back, as JSON without secrets.
    """

    def __init__(self, detail: str = "", *, evidence: dict[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.evidence = evidence or {}


class StaleTarget(ActionError):
    """The target no longer holds the values that were approved; nothing was written.

    `found` has the shape of `Preview.before`: object id to the values it holds now.
    """

    def __init__(self, found: dict[str, Any]) -> None:
        super().__init__("The target changed after it was previewed.")
        self.found = found


class VoidedKey(ActionError):
    """This key was voided: an earlier attempt was recorded as not applied and may never apply."""
