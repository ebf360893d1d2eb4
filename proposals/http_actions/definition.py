"""What the definition of an HTTP action may hold: strict, and limited in everything. Pure.

`reading` turns what a person wrote into a Definition; `soundness` says what must fit together.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    StringConstraints,
    model_serializer,
)

from proposals.http_actions.parameters import SAFE_INTEGER, STRICT, Parameters
from proposals.registry import Delivery, Tier

MOST_LEAVES, MOST_DEPTH = 200, 8
SHORTEST_KEY, LONGEST_KEY = 26, 52

Template = Annotated[str, StringConstraints(max_length=2000)]
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Path = Annotated[str, StringConstraints(pattern=r"^/[!-~]*$", max_length=500)]
FieldName = Annotated[str, StringConstraints(pattern=r"^[ -~]{1,100}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,60}$")]
Pointer = Annotated[str, StringConstraints(pattern=r"^(/([^~/]|~0|~1)*)+$", max_length=200)]
Fields = Annotated[dict[FieldName, Template], Field(max_length=60)]
Headers = Annotated[dict[HeaderName, Template], Field(max_length=20)]
Pointers = Annotated[dict[Word, Pointer], Field(max_length=20)]
Status = Annotated[int, Field(ge=200, le=599)]
TierName = Annotated[Tier, Field(strict=False)]


def scalar(value: Any) -> Any:
    if not isinstance(value, str | int | bool | None):
        raise ValueError("A text, a whole number, true, false or null.")
    if isinstance(value, int) and abs(value) > SAFE_INTEGER:
        raise ValueError("A whole number that JSON can hold.")
    return value


def listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def as_match(value: Any) -> Any:
    return {"status": value} if isinstance(value, int) else value


# None of these is a union: pydantic would name its members in the place of a fault.
NoPointer = Annotated[str, StringConstraints(pattern=r"^(/([^~/]|~0|~1)*)*$", max_length=200)]
NoHeader = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{0,60}$")]
NoAmount = Annotated[str, StringConstraints(pattern=r"^((0|[1-9][0-9]{0,14})(\.[0-9]{1,4})?)?$")]
NoCurrency = Annotated[str, StringConstraints(pattern=r"^([A-Z]{3})?$")]
NoWord = Annotated[str, StringConstraints(pattern=r"^([a-z][a-z0-9_]{0,39})?$")]
Scalar = Annotated[Any, AfterValidator(scalar)]
Few = Annotated[list[Scalar], BeforeValidator(listed), Field(min_length=1, max_length=20)]


class Part(BaseModel):
    model_config = STRICT


class Authentication(Part):
    """How a request says who it is from: with a named secret, never with a value."""

    scheme: Literal["bearer", "basic", "header"] = "bearer"
    secret: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
    user: Annotated[str, StringConstraints(pattern=r"^[!-9;-~]*$", max_length=100)] = ""
    header: NoHeader = ""
    prefix: Annotated[str, StringConstraints(pattern=r"^[ -~]*$", max_length=40)] = ""


class Request(Part):
    """One request, as a template: the address is of the definition, values are of the call."""

    path: Path
    query: Fields = {}
    headers: Headers = {}
    form: Fields | None = None
    json_body: Any = Field(default=None, alias="json")

    @property
    def has_json(self) -> bool:
        return "json_body" in self.model_fields_set


class Writing(Request):
    method: Literal["POST", "PUT", "PATCH", "DELETE"]


class Reading(Request):
    """A request that writes nothing; of another than a GET the definition vouches for that."""

    method: Literal["GET", "POST"] = "GET"
    only_reads: bool = False


class Match(Part):
    """An answer by its status, and perhaps by one value in its JSON. A number alone is a status."""

    status: int = Field(ge=200, le=599)
    pointer: NoPointer = ""
    equals: Few = [None]

    @model_serializer(mode="wrap")
    def short(self, handler: Any) -> Any:
        return handler(self) if self.pointer else self.status


Matches = Annotated[list[Annotated[Match, BeforeValidator(as_match)]], Field(max_length=40)]


class Answers(Part):
    """Which answers mean what. Every other answer leaves the outcome unknown."""

    applied: Matches = Field(min_length=1)
    not_applied: Matches = []
    not_taken: Matches = []
    stale: Matches = []
    unknown: Matches = []
    body: Literal["json", "any"] = "json"
    message: NoPointer = ""


class Idempotency(Part):
    """The header that takes our key, and for how long the provider honours it.

    Without a header the key is in the request itself, as `{key}`.
    """

    header: NoHeader = ""
    hours: int = Field(ge=1, le=24 * 366)


class Key(Part):
    """How our key is written; it is also what `{key}` stands for."""

    format: Literal["text", "uuid"] = "text"
    length: int = Field(default=LONGEST_KEY, ge=SHORTEST_KEY, le=LONGEST_KEY)


class AmountAt(Part):
    """Where an answer holds an amount, and in which unit it is counted."""

    pointer: Pointer
    currency: NoCurrency = ""
    currency_pointer: NoPointer = ""
    unit: Literal["major", "minor"] = "major"
    minor_digits: dict[
        Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")], Annotated[int, Field(ge=0, le=4)]
    ] = {}
    at_most: NoAmount = ""


class CountAt(Part):
    pointer: Pointer
    at_most: int | None = Field(default=None, ge=0)


class Measures(Part):
    """What a mistake would touch, as the answer to the preview request says."""

    objects: CountAt | None = None
    people: CountAt | None = None
    amount: AmountAt | None = None


class Preview(Part):
    """What is read before anything is written: the before-image, and what must hold in it."""

    request: Reading
    found: Annotated[list[Status], Field(min_length=1, max_length=5)] = [200]
    missing: Annotated[list[Status], Field(max_length=5)] = [404, 410]
    fields: Annotated[Pointers, Field(min_length=1)]
    after: Annotated[dict[Word, Scalar], Field(max_length=20)] = {}
    requires: Annotated[dict[Word, Few], Field(max_length=20)] = {}
    measures: Measures = Measures()


class Items(Part):
    """A list in the answer to a probe, of which one item may be ours."""

    list: NoPointer = ""
    pointer: Pointer
    equals: Template = "{key}"
    more: NoPointer = ""


class Probe(Part):
    """How the provider is asked what became of a key. What is neither leaves it unknown."""

    request: Reading
    found: Matches = Field(min_length=1)
    absent: Matches = []
    items: Items | None = None
    reference: NoPointer = ""
    result: Pointers = {}


class Write(Part):
    """What a write and its undo have in common."""

    request: Writing
    answers: Answers
    reference: NoPointer = ""
    result: Pointers = {}
    idempotency: Idempotency | None = None
    key: Key = Key()
    probe: Probe | None = None
    preview: Preview | None = None
    settling_seconds: int = Field(default=60, ge=1, le=3600)

    @property
    def delivery(self) -> Delivery:
        """What may be promised follows from what is defined."""
        if self.idempotency is not None:
            return Delivery.KEYED
        return Delivery.UNCERTAIN if self.probe is None else Delivery.QUERYABLE

    @property
    def key_seconds(self) -> int:
        return self.idempotency.hours * 3600 if self.idempotency else 0


class Undo(Write):
    """The request that takes a write back. Parameters of the write, its result, nothing else."""

    sentence: Annotated[str, StringConstraints(max_length=200)] = ""
    tier: TierName | None = None


FIRST = ("name", "description", "sentence", "parameters", "origin", "resource", "tier", "money")
LAST = ("undo", "example")


def place_in_text(name: str) -> int:
    """Where a field stands in a definition: what it is, then what is sent, then the undo."""
    if name in FIRST:
        return FIRST.index(name)
    return 100 + LAST.index(name) if name in LAST else 50


class Definition(Write):
    """One named action."""

    name: Annotated[str, StringConstraints(max_length=90)]
    description: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    sentence: Sentence
    parameters: Annotated[Parameters, Field(min_length=1, max_length=20)]
    origin: Annotated[str, StringConstraints(max_length=300)]
    resource: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    tier: TierName
    money: NoWord = ""
    people: int = Field(default=0, ge=0)
    authentication: Authentication | None = None
    undo: Undo | None = None
    example: Annotated[dict[Word, Any], Field(max_length=20)] = {}

    def as_json(self) -> dict[str, Any]:
        """What was said, in the order in which people write it."""
        said = self.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return {name: said[name] for name in sorted(said, key=place_in_text)}
