"""The undo of a configured action: which call takes a write back, and what that call does.

A call of it carries what the provider's undo request needs, and a mark that the product made it.
Whoever amends an undo cannot turn it into another one: it would reach what nobody ever wrote.
"""

from typing import Any, NotRequired

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac
from pydantic import ConfigDict, TypeAdapter
from typing_extensions import TypedDict

from ledger.canonical import canonical
from proposals.exceptions import InvalidParams
from proposals.http_actions import parameters, soundness, templating
from proposals.http_actions.base import KNOWN_LATER, HttpWrite, Image
from proposals.http_actions.definition import Definition, Preview, Undo
from proposals.registry import Call, Conflict, Impact, Tier

SUFFIX = ".undo"


class Params(TypedDict):
    """What a compensation carries; only the product makes one."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]

    params: dict[str, Any]
    reference: NotRequired[str]
    result: NotRequired[dict[str, Any]]
    before: NotRequired[dict[str, Any]]
    expect: NotRequired[dict[str, Any]]
    mark: str


def call(
    action: HttpWrite,
    params: dict[str, Any],
    fields: Image,
    reference: str,
    result: dict[str, Any],
) -> Call | None:
    """The call that takes a write back. None if there is none, or if it lacks what it needs."""
    undo = action.defined.undo
    if undo is None:
        return None
    needs = needed(undo)
    expect = expected(action, undo, params, fields)
    carried: dict[str, Any] = {"params": params}
    if "reference" in needs:
        if not reference:
            return None
        carried["reference"] = reference
    for group, held, names in (
        ("result", result, names_of(needs, "result")),
        ("before", fields, names_of(needs, "before") | (set(expect) & set(fields))),
    ):
        if not names <= set(held):
            return None
        if names:
            carried[group] = {name: held[name] for name in sorted(names)}
    if expect:
        carried["expect"] = expect
    return marked(action.name + SUFFIX, carried)


def needed(undo: Undo) -> set[str]:
    """Every name in the templates of an undo."""
    found = list(soundness.every_slot(undo.request)) + list(templating.slots(undo.sentence))
    for part in (undo.preview, undo.probe):
        if part is not None:
            found += soundness.every_slot(part.request)
    if undo.preview is not None:
        found += templating.slots_or_none(undo.preview.after)
    return {slot.name for slot in found}


def names_of(needs: set[str], group: str) -> set[str]:
    return {name.removeprefix(f"{group}.") for name in needs if name.startswith(f"{group}.")}


def expected(
    action: HttpWrite, undo: Undo, params: dict[str, Any], fields: Image
) -> dict[str, Any]:
    """What the write leaves, where its undo reads the same fields again; no guesses."""
    preview = action.defined.preview
    if undo.preview is not None or preview is None:
        return {}
    after = action.after(params, fields)
    return {
        name: after[name] for name in preview.after if after.get(name, KNOWN_LATER) != KNOWN_LATER
    }


def marked(name: str, carried: dict[str, Any]) -> Call:
    return Call(name, {**carried, "mark": mark_of(name, carried, settings.SECRET_KEY)})


def mark_of(name: str, carried: dict[str, Any], secret: str) -> str:
    message = canonical([name, carried])
    keyed = salted_hmac("countersign.http-undo", message, secret=secret, algorithm="sha256")
    return keyed.hexdigest()


def is_ours(name: str, params: dict[str, Any]) -> bool:
    """Whether the product made this call, under the key of now or one before it."""
    carried = {part: value for part, value in params.items() if part != "mark"}
    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    given = str(params.get("mark", ""))
    return any(constant_time_compare(given, mark_of(name, carried, one)) for one in secrets)


class ConfiguredUndo(HttpWrite):
    """Takes a write back by its undo request. Reached as a compensation only."""

    is_internal = True
    is_reversible = False

    def __init__(self, definition: Definition, undo: Undo, *, named: str, closed: str = "") -> None:
        super().__init__(definition, undo, named=named, closed=closed)
        self.name, self.undo = definition.name + SUFFIX, undo
        self.title = undo.sentence or f"Take back: {definition.sentence}"
        self.description = f"The compensation of {definition.name}."

    def adapter(self) -> TypeAdapter:
        return TypeAdapter(Params)

    def validate(self, params: Any) -> dict[str, Any]:
        valid = super().validate(params)
        if not is_ours(self.name, valid):
            detail = "An undo is taken as the system made it; its parameters cannot be changed."
            place = {"pointer": "/params", "code": "not-ours", "detail": detail}
            raise InvalidParams(f"The parameters do not fit {self.name}.", errors=[place])
        return valid

    @property
    def tier(self) -> Tier:
        return self.undo.tier or self.defined.tier

    @property
    def reading(self) -> Preview | None:
        """What the write read, unless the undo reads something of its own."""
        return self.undo.preview or self.defined.preview

    def own(self, params: dict[str, Any]) -> dict[str, Any]:
        return params["params"]

    def values(self, params: dict[str, Any]) -> dict[str, Any]:
        found = super().values(params)
        if "reference" in params:
            found["reference"] = params["reference"]
        for group in ("result", "before"):
            found |= {f"{group}.{name}": one for name, one in params.get(group, {}).items()}
        return found

    def seen(self, params: dict[str, Any], *, is_checked: bool = True) -> Any:
        """What the write required of the target need not hold for taking it back."""
        return super().seen(params, is_checked=is_checked and self.undo.preview is not None)

    def after(self, params: dict[str, Any], fields: Image) -> Image:
        preview = self.defined.preview
        if self.undo.preview is not None or preview is None:
            return super().after(params, fields)
        before = params.get("before", {})
        return {**fields, **{name: before.get(name, KNOWN_LATER) for name in preview.after}}

    def sentence(self, params: dict[str, Any]) -> str:
        words = parameters.words_of(self.defined.parameters, params["params"])
        told = {name: one for name, one in self.values(params).items() if "." in name}
        told["reference"] = params.get("reference", KNOWN_LATER)
        return str(templating.text(self.title, {**told, **words}))

    def impact(self, params: dict[str, Any], seen: Any) -> Impact:
        found = super().impact(params, seen)
        return Impact(
            objects=found.objects,
            amount=found.amount,
            people=found.people,
            external=True,
            reasons=(f"Takes back one {self.defined.name}.", *found.reasons),
        )

    def conflicts(self, params: dict[str, Any], fields: Image) -> tuple[Conflict, ...]:
        """The fields that no longer hold what the write left."""
        return tuple(
            Conflict(self.resource(params), name, wanted, fields.get(name))
            for name, wanted in params.get("expect", {}).items()
            if fields.get(name) != wanted
        )

    def over_conflicts(
        self, params: dict[str, Any], conflicts: tuple[Conflict, ...]
    ) -> dict[str, Any]:
        found = {one.field: one.found for one in conflicts}
        carried = {name: value for name, value in params.items() if name != "mark"}
        return marked(self.name, {**carried, "expect": {**carried["expect"], **found}}).params
