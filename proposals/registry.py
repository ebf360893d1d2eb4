"""The menu of writes: what an action is, and which actions exist.

An app registers its actions in its `actions` module, found at start as Django finds `admin`.
An action says what it is; the product calls it. Preview only reads. Apply is the only writer.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from proposals.exceptions import InvalidParams
from proposals.meanings import Meaning, Rendering

ACTION_NAME = re.compile(r"[a-z0-9_]+(?:(?<!_)\.[a-z0-9_]+)+")
LONGEST_NAME = 128


class Delivery(StrEnum):
    """How far an action can promise one effect (design page, Delivery)."""

    TRANSACTIONAL = "transactional"
    KEYED = "keyed"
    QUERYABLE = "queryable"
    UNCERTAIN = "uncertain"


class Tier(StrEnum):
    """What a mistake would cost."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    @property
    def rank(self) -> int:
        return list(Tier).index(self)

    @classmethod
    def strictest(cls, *tiers: "Tier | str") -> "Tier":
        return max((Tier(tier) for tier in tiers), key=lambda tier: tier.rank)


@dataclass(frozen=True)
class Money:
    """An amount in major units with its ISO 4217 currency; JSON carries the amount as text."""

    amount: Decimal
    currency: str

    def as_json(self) -> dict[str, str]:
        return {"amount": f"{self.amount:f}", "currency": self.currency}


@dataclass(frozen=True)
class Call:
    """An action with its parameters."""

    action: str
    params: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {"action": self.action, "params": self.params}


@dataclass(frozen=True)
class Impact:
    """What a mistake would touch, measured by the action and never taken from the agent.

    Money is of one currency, which rules and reviewers read. Only what an undo puts back may be of
    several: the others stand `beside`, and budgets count each. Without a currency none can.
    """

    objects: int = 1
    amount: Money | None = None
    beside: tuple[Money, ...] = ()
    people: int = 0
    external: bool = False
    reasons: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        found = asdict(self) | {
            "amount": self.amount.as_json() if self.amount else None,
            "reasons": list(self.reasons),
        }
        del found["beside"]  # where there is nothing, as in every check that was stored before
        beside = [money.as_json() for money in self.beside]
        return found | ({"beside": beside} if beside else {})


@dataclass(frozen=True)
class Conflict:
    """One field that no longer holds what a compensation expects to find."""

    object: str
    field: str
    expected: Any
    found: Any

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


# What objects hold, by their ids; None for one that is not there.
Image = Mapping[str, dict[str, Any] | None]


@dataclass(frozen=True)
class Preview:
    """What would change. `before` and `after` map an object's id to its touched values.

    Values are JSON; decimals and moments are text. An object that does not exist is None. A
    compensation of None says that this cannot be undone. `conflicts` are the fields of a
    compensation that somebody changed since; while there are any, applying would refuse.
    """

    before: dict[str, dict[str, Any] | None]
    after: dict[str, dict[str, Any] | None]
    impact: Impact
    tier: Tier
    compensation: Call | None
    conflicts: tuple[Conflict, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What happened: the result for the agent, the values now held, and the reversing call.

    `evidence` is how it is known, as JSON without secrets: what the target answered, and its own
    reference. Only TRANSACTIONAL actions do without, because their receipt is at the target.
    """

    result: dict[str, Any]
    after: dict[str, dict[str, Any] | None]
    compensation: Call | None = None
    evidence: dict[str, Any] | None = None


class Action:
    """A kind of write. Subclass, set the attributes, decorate with `@register`.

    `Params` is a pydantic model (or any type pydantic can validate) that forbids unknown fields.
    `title` is completed with the parameters into the sentence that reviewers read.
    """

    name: str
    title: str
    description: str = ""
    Params: ClassVar[Any]
    delivery: Delivery
    is_reversible: bool = True
    is_additive: bool = False  # only ever adds, and changes nothing that was there
    is_internal: bool = False  # reached as a compensation only; never on the menu
    why_for_good: str = ""  # a sentence for people: why what this writes cannot be taken back
    # How long after a call without a clear answer its effect may still appear at the target.
    settling_seconds: float = 60
    # For how long the target honours a key, for KEYED actions: never resent after 80 % of it.
    key_seconds: float = 0

    def adapter(self) -> TypeAdapter:
        """What validates the parameters; override where it depends on configuration."""
        return TypeAdapter(self.Params)

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the parameters."""
        return self.adapter().json_schema()

    def validate(self, params: Any) -> dict[str, Any]:
        """The parameters, checked and as JSON. Raises InvalidParams with a pointer per fault."""
        try:
            valid = self.adapter().validate_python(params)
        except ValidationError as error:
            raise InvalidParams(
                f"The parameters do not fit {self.name}.",
                errors=[pointer(fault, "/params") for fault in faults(error)],
            ) from error
        return plain(valid)

    def sentence(self, params: dict[str, Any]) -> str:
        """What this call would do, in the system's words: never the agent's."""
        return self.title.format_map(params)

    def resource(self, params: dict[str, Any]) -> str:
        """What conflicts and caps are counted by, such as `orders/42`."""
        raise NotImplementedError

    def objects(self, params: dict[str, Any], images: Image) -> list[str]:
        """The objects of a before or after, each spelled as `resource` spells one.

        What the ledger is searched by beside the resource. Override it where one call can touch
        several, or one that only the target can name. An image of None is of an object that is
        not there.
        """
        return list(images) if len(images) > 1 else []

    def amount(self, params: dict[str, Any]) -> Money | None:
        return None

    def definition(self, params: dict[str, Any]) -> str | None:
        """Names the configuration that people may change on pages and that this call depends on.

        None where there is none. While it is another than a check saw, nothing is written: the
        proposal is checked again.
        """
        return None

    def preview(self, params: dict[str, Any]) -> Preview:
        """Read the target and say what would change. Writes nothing, and may be called twice."""
        raise NotImplementedError

    def target(self, params: dict[str, Any]) -> str:
        """Names the other system, such as `https://pay.example`: what a breaker counts by.

        Empty where the target shares a transaction with its receipts, and needs no breaker.
        """
        return ""

    def prepare(self, params: dict[str, Any], *, expected: dict[str, Any]) -> None:
        """Whatever can be found out before the intent. Sends nothing that writes.

        Called for all but TRANSACTIONAL actions. Raises StaleTarget when the target no longer
        holds `expected`, TargetRefused, or TargetUnavailable. Nothing was written then.
        """

    def apply(self, params: dict[str, Any], *, key: str, expected: dict[str, Any]) -> Outcome:
        """Write. TRANSACTIONAL and KEYED: once per `key`, the same key returns the first outcome.

        `expected` is `Preview.before` as approved; TRANSACTIONAL actions compare it in the
        transaction of the write, the others did in `prepare`. Raises StaleTarget when the target
        no longer holds it, VoidedKey when the key was voided, TargetRefused when the target
        definitely did not take it, TargetUnavailable when nothing was sent or taken and later may
        be better. Whatever else it raises means that the outcome is unknown.
        """
        raise NotImplementedError

    def void(self, params: dict[str, Any], *, key: str) -> Outcome | None:
        """Make sure that `key` can never apply; or return the outcome if it already has.

        Only TRANSACTIONAL actions can promise this.
        """
        raise NotImplementedError

    def over_conflicts(
        self, params: dict[str, Any], conflicts: tuple[Conflict, ...]
    ) -> dict[str, Any]:
        """The same compensation, now expecting what was found: for going ahead over a conflict."""
        raise NotImplementedError

    def parts(self, params: dict[str, Any]) -> list[str]:
        """The objects by which a compensation can be divided, in order; empty: all or nothing.
        Named as in `Preview.before`, and in the same way by whatever reverses this call."""
        return []

    def part(self, params: dict[str, Any], objects: Collection[str]) -> dict[str, Any]:
        """The same compensation of these of its `parts`, leaving the others as they are."""
        raise NotImplementedError

    def names(self, params: dict[str, Any]) -> dict[str, str]:
        """What people call the objects of a call, by id, as the target has it now.

        Only to be read beside the id: it is a stranger's text, and no part of what is approved.
        """
        return {}

    def meanings(self, params: dict[str, Any]) -> dict[str, Meaning]:
        """What the fields of a preview mean to people, by name; no part of what is approved."""
        return {}

    def called(self, place: str, keys: list[str]) -> dict[str, str]:
        """What people call the objects with these keys, at a place that a `Meaning` refers to."""
        return {}

    def held(self, params: dict[str, Any], keys: list[str], fields: list[str]) -> Image:
        """What these objects hold now in fields by which others are read, such as a currency."""
        return {}

    def rendering(self, after: dict[str, Any]) -> Rendering | None:
        """A checked `Preview.after` as somebody outside would read it; None where nobody would."""
        return None

    def can_probe(self, params: dict[str, Any]) -> bool:
        """Whether the target can be asked what became of a key: QUERYABLE, and perhaps KEYED."""
        return self.delivery is Delivery.QUERYABLE

    def probe(
        self, params: dict[str, Any], *, key: str, expected: dict[str, Any]
    ) -> Outcome | None:
        """Ask the target what became of `key`. Reads only. None when it knows nothing of it.

        `expected` is what `apply` was given: the target as it was when this was prepared, which an
        undo may need and the target no longer tells.

        "Knows nothing" is not "never": a late request may still arrive. Whatever it raises means
        that the target could not be asked; an OutcomeUnknown carries what it said as evidence.
        """
        raise NotImplementedError

    def attested(
        self, params: dict[str, Any], *, reference: str, expected: dict[str, Any]
    ) -> Outcome:
        """The outcome that a person vouches for, with the target's own reference of the effect."""
        return Outcome(result={"reference": reference}, after={}, evidence={"reference": reference})

    def example(self) -> dict[str, Any]:
        """Parameters for `manage.py check_action`, which writes with them and takes it back.

        So they name something of a target that is there to try things on.
        """
        raise NotImplementedError

    def observed(self, params: dict[str, Any]) -> Any:
        """What the target holds around this call, as JSON; `check_action` compares it.

        Override it where a write could reach further than what a preview reads.
        """
        return self.preview(params).before


def faults(error: ValidationError) -> list[Any]:
    """Pydantic's faults without the rejected input, which may hold secrets."""
    return list(error.errors(include_url=False, include_context=False, include_input=False))


def pointer(fault: Any, prefix: str = "") -> dict[str, str]:
    """One fault as RFC 9457 extensions have it: a JSON pointer, a code and a sentence."""
    path = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in fault["loc"])
    return {
        "pointer": prefix + path,
        "code": fault["type"].replace("_", "-"),
        "detail": fault["msg"].removeprefix("Value error, "),
    }


def plain(valid: Any) -> dict[str, Any]:
    """A validated model as plain JSON, without the optional fields that were not given."""
    if isinstance(valid, BaseModel):
        return valid.model_dump(mode="json", exclude_unset=True)
    return valid


def is_action_name(name: str) -> bool:
    """Whether this names an action as `noun.verb`, in what the patterns of grants are made of."""
    return len(name) <= LONGEST_NAME and bool(ACTION_NAME.fullmatch(name))


@dataclass
class Registry:
    """Actions by name. A name is taken once; an unknown one raises LookupError.

    `configured` are those that people describe on pages; `proposals.targets.wiring` replaces them
    as a whole. None of them takes the name of an action in code. A name that is not known is looked
    for once more after `refresh`: another process may have defined it a moment ago.
    """

    actions: dict[str, Action] = field(default_factory=dict)
    configured: dict[str, Action] = field(default_factory=dict)
    refresh: Callable[[], object] = lambda: None

    def register(self, action: type[Action]) -> type[Action]:
        name = getattr(action, "name", "")
        if not is_action_name(name):
            raise ValueError(
                f"{action.__name__} needs a name like noun.verb in lower case, not {name!r}."
            )
        if name in self.actions and type(self.actions[name]) is not action:
            raise ValueError(f"Two actions are named {name}.")
        for needed in ("title", "Params", "delivery"):
            if not hasattr(action, needed):
                raise ValueError(f"{action.__name__} has no {needed}.")
        self.actions[name] = action()
        return action

    def get(self, name: str) -> Action:
        found = self.known(name)
        if found is None:
            self.refresh()
            found = self.known(name)
        if found is None:
            raise LookupError(f"There is no action named {name!r}.")
        return found

    def known(self, name: str) -> Action | None:
        return self.actions.get(name) or self.configured.get(name)

    def names(self) -> list[str]:
        """Every name that is taken, also those that are reached as a compensation only."""
        return sorted(self.configured | self.actions)

    def menu(self) -> Iterator[Action]:
        """The actions that can be proposed, by name."""
        found = map(self.get, self.names())
        return (action for action in found if not action.is_internal)


registry = Registry()
register: Callable[[type[Action]], type[Action]] = registry.register
