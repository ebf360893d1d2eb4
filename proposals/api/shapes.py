"""The documented shapes of requests. Unknown fields are refused; types are never coerced."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from proposals.exceptions import InvalidRequest
from proposals.lifecycle import Status
from proposals.registry import faults, pointer


def printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("only printable characters are allowed")
    return value


MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def moment(value: Any) -> Any:
    """RFC 3339 and nothing else: no number of seconds, no time without its offset."""
    if not (isinstance(value, str) and MOMENT.fullmatch(value)):
        raise ValueError("a time is text as RFC 3339 has it, such as 2026-11-22T09:58:03Z")
    return value


def in_utc(value: datetime) -> datetime:
    """Here and not in the database, because the first and last days of time have no UTC form."""
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("that time cannot be told in UTC") from None


Printable = AfterValidator(printable)
Moment = Annotated[
    AwareDatetime, Field(strict=False), BeforeValidator(moment), AfterValidator(in_utc)
]
Rationale = Annotated[str, Field(min_length=1, max_length=2000)]


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    def require_sense(self) -> None:
        """Raise InvalidRequest for what no field says by itself."""


class EvidenceIn(Shape):
    """One thing the agent knew."""

    kind: Literal["record", "document", "message", "tool_result", "other"]
    title: Annotated[str, Field(min_length=1, max_length=200)]
    content: Any = None
    uri: Annotated[str, Field(max_length=2000)] | None = None
    retrieved_at: Moment | None = None


Evidence = Annotated[list[EvidenceIn], Field(max_length=20)]


class WriteIn(Shape):
    """What an agent says of a write that it proposes, beside naming the action."""

    params: dict[str, Any]
    run: Annotated[str, Field(min_length=1, max_length=128), Printable]
    rationale: Rationale
    evidence: Evidence = []
    context: dict[str, str] = {}
    expires_in: Annotated[int, Field(ge=60, le=604_800)] | None = None


class ProposalIn(WriteIn):
    """A write that an agent proposes."""

    action: Annotated[str, Field(min_length=1, max_length=128), Printable]
    dry_run: Annotated[
        bool,
        Field(
            description="True: answer 200 with what checking this finds, and store nothing but "
            "the fact that it was asked. The Idempotency-Key is neither looked up nor used up."
        ),
    ] = False


class RevisionIn(Shape):
    """What an amendment changes; at least one of the three."""

    params: dict[str, Any] | None = None
    rationale: Rationale | None = None
    evidence: Evidence | None = None

    @property
    def changes(self) -> dict[str, Any]:
        sent = self.model_dump(exclude_unset=True).items()
        return {name: value for name, value in sent if value is not None}

    def require_sense(self) -> None:
        if not self.changes:
            raise InvalidRequest("Send at least one of params, rationale and evidence.")


class UndoIn(Shape):
    """Why a commit should be taken back."""

    rationale: Rationale = "Undo, proposed by the agent that made the change."


class Nothing(Shape):
    """A request that needs no body."""


class ListIn(Shape):
    """What a list of proposals is narrowed by."""

    status: Literal[tuple(Status.values)] | None = None  # type: ignore[valid-type]
    run: Annotated[str, Field(max_length=128), Printable] | None = None
    action: Annotated[str, Field(max_length=128), Printable] | None = None
    resource: Annotated[str, Field(max_length=255), Printable] | None = None
    cursor: Annotated[str, Field(max_length=64), Printable] | None = None
    limit: Annotated[int, Field(ge=1, le=100, strict=False)] = 25


AnyShape = TypeVar("AnyShape", bound=Shape)


def read(shape: type[AnyShape], data: Any) -> AnyShape:
    """The data in its documented shape, or InvalidRequest with a pointer for each fault."""
    if not isinstance(data, dict):
        raise InvalidRequest("The body must be a JSON object.")
    try:
        found = shape.model_validate(data)
    except ValidationError as error:
        raise InvalidRequest(
            "The request does not have the documented shape.",
            errors=[pointer(fault) for fault in faults(error)],
        ) from None
    found.require_sense()
    return found
