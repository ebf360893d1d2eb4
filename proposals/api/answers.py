"""The documented shapes of answers: what the OpenAPI document says, and the tests hold us to."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from proposals.lifecycle import Status
from proposals.registry import Delivery, Tier


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Fault(Answer):
    """One thing wrong with a request."""

    pointer: str = Field(description="JSON pointer into the request")
    code: str
    detail: str


class Problem(Answer):
    """A refusal (RFC 9457). `code` is stable; `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[Fault] | None = None
    retry_after: int | None = Field(None, description="Seconds, as in the Retry-After header")
    budget: dict[str, Any] | None = None
    proposal: str | None = None


class Amount(Answer):
    """Money in major units, with its ISO 4217 currency."""

    amount: str
    currency: str


class Impact(Answer):
    """What a mistake would touch."""

    objects: int
    amount: Amount | None
    beside: list[Amount] | None = Field(None, description="Of an undo, money in other currencies")
    people: int
    external: bool
    reasons: list[str]


class Change(Answer):
    """The touched values of one object; of several objects, by their ids."""

    before: dict[str, Any] | None
    after: dict[str, Any] | None


class WaitingOn(Answer):
    """Who must act next; `who` is null when nothing more will happen."""

    who: Literal["checks", "people", "worker", "agent", "operator"] | None
    group: str | None
    approvals: int | None
    approvals_required: int | None
    expected_seconds: int | None


class Decision(Answer):
    """What the rules or a person decided."""

    verdict: Literal["approve", "deny", "request_changes", "reject", "comment"]
    by: Literal["policy", "person"]
    reason: str
    at: str


class Failure(Answer):
    """Why a proposal ended without a write, or has no known outcome."""

    code: str
    detail: str
    retryable: bool


class Proposal(Answer):
    """A proposal as it stands now."""

    id: str
    status: Literal[tuple(Status.values)]  # type: ignore[valid-type]
    revision: int
    action: str
    params: dict[str, Any]
    run: str | None
    resource: str
    rationale: str
    digest: str | None = Field(description="What a person approves; null until checked")
    tier: Literal[tuple(tier.value for tier in Tier)] | None  # type: ignore[valid-type]
    reversible: bool | None
    delivery: Literal[tuple(each.value for each in Delivery)]  # type: ignore[valid-type]
    impact: Impact | None
    change: Change | None
    waiting_on: WaitingOn
    decisions: list[Decision]
    result: dict[str, Any] | None
    error: Failure | None
    possible_duplicate_of: str | None
    conflicts_with: list[str]
    compensates: str | None
    compensated_by: str | None
    created_at: str
    updated_at: str
    expires_at: str
    committed_at: str | None
    observed: Literal[True] | None = Field(
        None, description="Present only where the agent was observed: it ended without a write"
    )


class Verdict(Answer):
    """What the rules answer together."""

    effect: Literal["allow", "review", "deny"]
    approvals_required: int
    groups: list[str]


class Reason(Answer):
    """One reason of the verdict, in a sentence that agents may read."""

    code: str
    detail: str


class Call(Answer):
    """An action with its parameters."""

    action: str
    params: dict[str, Any]


class Share(Answer):
    """What it would take of one budget, as things stand; amounts are decimal text."""

    budget: str
    unit: Literal["proposals", "writes", "money", "objects"]
    currency: str | None
    limit: str
    window_seconds: int | None
    used: str
    asked: str
    fits: bool


class DryRun(Answer):
    """What checking found. Nothing was stored, reserved or written, and no key was used up."""

    dry_run: Literal[True]
    would: Literal["commit", "wait", "be_denied", "be_refused"] = Field(
        description="What proposing exactly this would lead to, if nothing moves until then; "
        "be_refused: a budget has no room for it now"
    )
    observed: bool = Field(description="The agent is only observed: whatever it would, it ends")
    action: str
    params: dict[str, Any]
    run: str | None
    resource: str
    digest: str
    tier: Literal[tuple(tier.value for tier in Tier)]  # type: ignore[valid-type]
    reversible: bool
    delivery: Literal[tuple(each.value for each in Delivery)]  # type: ignore[valid-type]
    impact: Impact | None
    change: Change | None
    undo: Call | None
    verdict: Verdict
    trace: list[Reason]
    budgets: list[Share]
    possible_duplicate_of: str | None
    checked_at: str


class ReplayOrDryRun(RootModel[Proposal | DryRun]):
    """The proposal that this key stored before; or, with dry_run, what checking found."""


class Page(Answer):
    """Proposals, newest first. `next` and `previous` are addresses, or null."""

    results: list[Proposal]
    next: str | None
    previous: str | None


class MenuItem(Answer):
    """An action that this agent may propose. `schema` is the JSON Schema of its params."""

    name: str
    title: str
    description: str
    params_schema: dict[str, Any] = Field(alias="schema")
    delivery: Literal[tuple(each.value for each in Delivery)]  # type: ignore[valid-type]
    reversible: bool


class Menu(Answer):
    """Everything that this agent may propose."""

    results: list[MenuItem]


class RunProposal(Answer):
    """One proposal of a run, in short."""

    id: str
    status: Literal[tuple(Status.values)]  # type: ignore[valid-type]
    action: str
    resource: str


class Run(Answer):
    """One session of the agent: how many proposals in which status, and the newest hundred."""

    run: str
    created_at: str
    total: int
    counts: dict[str, int]
    proposals: list[RunProposal]


class BudgetScope(Answer):
    """What is counted together: one agent's, one run's, one object's, or all that it covers."""

    agent: bool
    run: str | None
    resource: str | None


class Budget(Answer):
    """One cap as it stands now; amounts are decimal text. `held` is part of `used`."""

    budget: str
    unit: Literal["proposals", "writes", "money", "objects"]
    currency: str | None
    limit: str
    window_seconds: int | None = Field(description="Rolling; null for the life of a run")
    scope: BudgetScope
    used: str
    held: str
    remaining: str
    next_slot_at: str | None
    on_exceed: Literal["refuse", "suspend"]


class Budgets(Answer):
    """The caps that bind this agent."""

    results: list[Budget]


class Token(Answer):
    """The token of this request."""

    key_id: str
    expires_at: str


class Me(Answer):
    """The agent behind the token."""

    id: str
    name: str
    owner: str
    suspended: bool
    grants: list[str]
    token: Token
    observed: Literal[True] | None = Field(
        None, description="Present only while nothing that it proposes is written"
    )
