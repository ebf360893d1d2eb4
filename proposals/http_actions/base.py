"""What a configured action and its undo have in common: look, compare, ask once, class."""

from typing import Any

from ledger.canonical import digest
from proposals.exceptions import (
    InvalidRequest,
    OutcomeUnknown,
    StaleTarget,
    TargetRefused,
    TargetUnavailable,
)
from proposals.http_actions import calling, classing, looking, parameters, requests, templating
from proposals.http_actions.classing import Class
from proposals.http_actions.definition import Definition, Preview, Write
from proposals.http_actions.looking import NotThere, Seen
from proposals.http_actions.templating import LEFT_OUT, Unfit
from proposals.outbound.client import Answer
from proposals.registry import Action, Call, Delivery, Impact, Money, Outcome, Tier
from proposals.registry import Preview as Shown

KNOWN_LATER = "known after the write"
SAMPLE_KEY = "a key of ours"
Image = dict[str, Any]


class HttpWrite(Action):
    """A write by one request, made from nothing but a definition."""

    Params = dict

    def __init__(self, definition: Definition, write: Write, *, named: str, closed: str) -> None:
        self.defined, self.write = definition, write
        self.named, self.closed = named, closed
        self.description = definition.description
        self.delivery = write.delivery
        self.key_seconds = write.key_seconds
        self.settling_seconds = write.settling_seconds

    @property
    def reading(self) -> Preview | None:
        """What is read before this is written."""
        return self.write.preview

    def own(self, params: dict[str, Any]) -> dict[str, Any]:
        """The parameters that an agent filled in."""
        return params

    def values(self, params: dict[str, Any]) -> dict[str, Any]:
        """What every slot of the templates stands for, but for our key."""
        found = parameters.values_of(self.defined.parameters, self.own(params))
        return {**found, "later": KNOWN_LATER}

    def after(self, params: dict[str, Any], fields: Image) -> Image:
        """What the fields will hold; those that nothing is said of stay as they were."""
        if self.reading is None:
            return requests.sent_fields(
                self.write.request, {**self.values(params), "key": SAMPLE_KEY}
            )
        values = self.values(params)
        new = {name: templating.tree(one, values) for name, one in self.reading.after.items()}
        return {**fields, **{name: one for name, one in new.items() if one is not LEFT_OUT}}

    def compensation(
        self, params: dict[str, Any], fields: Image, reference: str, result: dict[str, Any]
    ) -> Call | None:
        return None

    # What the product asks

    def definition(self, params: dict[str, Any]) -> str:
        return self.named

    def target(self, params: dict[str, Any]) -> str:
        return self.defined.origin

    def resource(self, params: dict[str, Any]) -> str:
        found = parameters.values_of(self.defined.parameters, self.own(params))
        return str(templating.text(self.defined.resource, found))[:255]

    def amount(self, params: dict[str, Any]) -> Money | None:
        name = self.defined.money
        given = self.own(params).get(name) if name else None
        parameter: Any = self.defined.parameters.get(name)
        return None if given is None else parameter.money(given)

    def preview(self, params: dict[str, Any]) -> Shown:
        self.require_open()
        seen = self.seen(params)
        resource = self.resource(params)
        planned = {name: KNOWN_LATER for name in self.defined.result}
        return Shown(
            before={resource: seen.fields},
            after={resource: self.after(params, seen.fields)},
            impact=self.impact(params, seen),
            tier=self.tier,
            compensation=self.compensation(params, seen.fields, KNOWN_LATER, planned),
            conflicts=self.conflicts(params, seen.fields),
        )

    @property
    def tier(self) -> Tier:
        return self.defined.tier

    def impact(self, params: dict[str, Any], seen: Seen) -> Impact:
        # Which definition it is: what people approve is what this one sends, and no later one.
        said = digest(self.defined.as_json(), "http-action").removeprefix("sha256:")[:12]
        method, origin = self.write.request.method, self.defined.origin
        reasons = [f"Sends one {method} to {origin}, as its definition {said} says."]
        if self.delivery is Delivery.UNCERTAIN:
            reasons.append("It cannot be asked afterwards what became of it.")
        people = self.defined.people if seen.people is None else seen.people
        if people:
            reasons.append(f"Reaches {people} {'person' if people == 1 else 'people'}.")
        return Impact(
            objects=max(1, seen.objects or 1),
            amount=seen.amount or self.amount(params),
            people=people,
            external=True,
            reasons=tuple(reasons),
        )

    def conflicts(self, params: dict[str, Any], fields: Image) -> tuple[Any, ...]:
        return ()

    def prepare(self, params: dict[str, Any], *, expected: dict[str, Any]) -> None:
        self.require_open()
        self.made(params, SAMPLE_KEY)
        if self.defined.authentication is not None:
            calling.reveal(self.defined.authentication, self.defined.origin)
        if self.reading is None:
            return
        found = self.found(params)
        if found != expected:
            raise StaleTarget(found)

    def found(self, params: dict[str, Any]) -> dict[str, Any]:
        """The before-image as it is now; None for what is no longer there."""
        try:
            return {self.resource(params): self.seen(params, is_checked=False).fields}
        except NotThere:
            return {self.resource(params): None}

    def apply(self, params: dict[str, Any], *, key: str, expected: dict[str, Any]) -> Outcome:
        if self.closed:
            raise TargetUnavailable(f"Nothing was sent: {self.closed}")
        made = self.made(params, requests.shaped(self.write.key, key))
        answer = calling.write(self.defined, made)
        return self.ended(params, answer, expected)

    def can_probe(self, params: dict[str, Any]) -> bool:
        return self.write.probe is not None

    def probe(
        self, params: dict[str, Any], *, key: str, expected: dict[str, Any]
    ) -> Outcome | None:
        probe: Any = self.write.probe
        values = {**self.values(params), "key": requests.shaped(self.write.key, key)}
        made = requests.make(self.defined, probe.request, values)
        answer = calling.read(self.defined, made)
        wanted = str(templating.text(probe.items.equals, values)) if probe.items else ""
        found = classing.found_by(probe, calling.understood(answer), wanted)
        if found is classing.NOTHING:
            raise OutcomeUnknown(
                f"{self.defined.origin} was asked what became of it, and answered "
                f"{answer.status}, which says neither.",
                evidence=calling.evidence(answer),
            )
        if found is None:
            return None
        reference = classing.reference_at(found, probe.reference) if probe.reference else ""
        return self.outcome(
            params,
            expected.get(self.resource(params)) or {},
            reference,
            calling.results(probe.result or self.write.result, found),
            evidence={**calling.evidence(answer, reference), "by": "probe"},
        )

    def attested(
        self, params: dict[str, Any], *, reference: str, expected: dict[str, Any]
    ) -> Outcome:
        """What a person vouches for. Its undo is known unless it needs more of the answer."""
        if not classing.REFERENCE.fullmatch(reference):
            detail = "A reference is one word of at most 200 plain characters."
            place = {"pointer": "/reference", "code": "invalid", "detail": detail}
            raise InvalidRequest(detail, errors=[place])
        fields = expected.get(self.resource(params)) or {}
        return self.outcome(params, fields, reference, {}, evidence={"reference": reference})

    # How

    def require_open(self) -> None:
        if self.closed:
            raise TargetRefused(self.closed)

    def made(self, params: dict[str, Any], key: str) -> requests.Made:
        """The request without its authentication. Raises TargetRefused for what does not fit."""
        try:
            made = requests.make(
                self.defined, self.write.request, {**self.values(params), "key": key}
            )
        except Unfit as error:
            raise TargetRefused(f"{error.slot}: {error}") from None
        if self.write.idempotency is not None and self.write.idempotency.header:
            made = requests.with_key(made, self.write.idempotency.header, key)
        return made

    def seen(self, params: dict[str, Any], *, is_checked: bool = True) -> Seen:
        """What is there now, and is as it must be."""
        if self.reading is None:
            return Seen({})
        try:
            seen = looking.look(
                self.defined, self.reading, self.values(params), self.resource(params)
            )
        except Unfit as error:
            raise TargetRefused(f"{error.slot}: {error}") from None
        if is_checked:
            looking.require(self.reading, seen.fields)
        return seen

    def ended(self, params: dict[str, Any], answer: Answer, expected: dict[str, Any]) -> Outcome:
        """The outcome of an answer, or the exception that it means."""
        read = calling.understood(answer)
        meaning = classing.mean(self.write, read)
        said = calling.message(self.write.answers.message, read)
        told = f"{self.defined.origin} answered {answer.status}"
        if meaning.kind is Class.APPLIED:
            return self.outcome(
                params,
                expected.get(self.resource(params)) or {},
                meaning.reference,
                calling.results(self.write.result, read.body),
                evidence=calling.evidence(answer, meaning.reference),
            )
        if meaning.kind is Class.NOT_APPLIED:
            raise TargetRefused(f"{told}: it did not take this.{said}")
        if meaning.kind is Class.NOT_TAKEN:
            detail = f"{told}: it took nothing, and may later.{said}"
            raise TargetUnavailable(detail, retry_after=calling.retry_after(answer))
        if meaning.kind is Class.STALE:
            raise StaleTarget({self.resource(params): {}})
        detail = f"{self.defined.origin}: {meaning.why}{said}"
        raise OutcomeUnknown(detail, evidence=calling.evidence(answer))

    def outcome(
        self,
        params: dict[str, Any],
        fields: Image,
        reference: str,
        result: dict[str, Any],
        *,
        evidence: dict[str, Any],
    ) -> Outcome:
        named = {"reference": reference} if reference else {}
        return Outcome(
            result={**result, **named},
            after={self.resource(params): self.after(params, fields)},
            compensation=self.compensation(params, fields, reference, result),
            evidence=evidence,
        )
