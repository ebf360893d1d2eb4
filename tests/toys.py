"""A target to test on: a box of toys in memory, and the actions that write to it.

It is as honest as a database with receipts: a key applies once, a voided key never, and whoever
expects other values than it holds is refused. Its failures are switched on by name.
"""

import threading
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from proposals.exceptions import StaleTarget, TargetRefused, TargetUnavailable, VoidedKey
from proposals.registry import (
    Action,
    Call,
    Conflict,
    Delivery,
    Impact,
    Outcome,
    Preview,
    Tier,
    registry,
)

VOID = "void"
FAILURES = {
    "refused": TargetRefused("The box is closed."),
    "unavailable": TargetUnavailable("The box is out of reach."),
    "unclear": ConnectionResetError("The box was snatched away."),
}


class Toybox:
    """The colours of toys, the receipts of writes, and what goes wrong next."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        self.colours: dict[str, str] = {"bear": "brown", "duck": "yellow", "car": "red"}
        self.receipts: dict[str, Outcome | str] = {}
        self.effects: list[str] = []
        self.failing: dict[str, str] = {}
        self.at_intake = lambda: None

    def fail(self, step: str) -> None:
        """Raise what was switched on for this step, if anything."""
        if name := self.failing.get(step):
            raise FAILURES[name]

    def apply(self, key: str, toy: str, colour: str, expected: str | None) -> str:
        """Paint a toy, if it still has the expected colour. Returns the one it had."""
        found = self.colours[toy]
        if expected is not None and found != expected:
            raise StaleTarget({toy: {"colour": found}})
        self.colours[toy] = colour
        self.effects.append(key)
        return found


box = Toybox()


class SetParams(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    toy: Literal["bear", "duck", "car"]
    colour: str = Field(min_length=1, max_length=40)
    tier: Literal["low", "medium", "high"] = "low"
    for_good: bool = False
    note: Any = None


class SetColour(Action):
    """Gives a toy another colour. The tier is a parameter, as only tests would have it."""

    name = "toys.set"
    title = "Paint the {toy} {colour}"
    description = "Gives a toy another colour."
    Params = SetParams
    delivery = Delivery.TRANSACTIONAL

    def resource(self, params: dict[str, Any]) -> str:
        box.at_intake()  # this runs while a proposal is being stored
        return f"toys/{params['toy']}"

    def preview(self, params: dict[str, Any]) -> Preview:
        box.fail("preview")
        toy, found = params["toy"], box.colours[params["toy"]]
        wanted = params.get("expected", found)
        return Preview(
            before={toy: {"colour": found}},
            after={toy: {"colour": params["colour"]}},
            impact=Impact(objects=1, reasons=("One toy is painted.",)),
            tier=Tier(params.get("tier", "low")),
            compensation=self.reversal(params, found),
            conflicts=() if wanted == found else (Conflict(toy, "colour", wanted, found),),
        )

    def apply(self, params: dict[str, Any], *, key: str, expected: dict[str, Any]) -> Outcome:
        with box.lock:
            receipt = box.receipts.get(key)
            if receipt == VOID:
                raise VoidedKey
            if isinstance(receipt, Outcome):
                return receipt
            box.fail("apply")
            toy, approved = params["toy"], (expected.get(params["toy"]) or {}).get("colour")
            found = box.apply(key, toy, params["colour"], params.get("expected", approved))
            outcome = Outcome(
                result={"toy": toy, "colour": params["colour"]},
                after={toy: {"colour": params["colour"]}},
                compensation=self.reversal(params, found),
            )
            box.receipts[key] = outcome
        box.fail("answer")  # it was written, but nobody hears of it
        return outcome

    def void(self, params: dict[str, Any], *, key: str) -> Outcome | None:
        box.fail("void")
        with box.lock:
            receipt = box.receipts.setdefault(key, VOID)
        return receipt if isinstance(receipt, Outcome) else None

    def over_conflicts(
        self, params: dict[str, Any], conflicts: tuple[Conflict, ...]
    ) -> dict[str, Any]:
        return params | {"expected": conflicts[0].found}

    def reversal(self, params: dict[str, Any], found: str) -> Call | None:
        if params.get("for_good"):
            return None
        back = {"toy": params["toy"], "colour": found, "expected": params["colour"]}
        return Call(RestoreColour.name, back | {"tier": params.get("tier", "low")})


class RestoreParams(SetParams):
    expected: str


class RestoreColour(SetColour):
    """The compensation. Internal: never on a menu, whatever is granted."""

    name = "toys.restore"
    title = "Paint the {toy} {colour} again"
    Params = RestoreParams
    is_internal = True


@pytest.fixture
def toybox() -> Iterator[Toybox]:
    """The box, full of brown bears and yellow ducks, and its actions on the menu."""
    box.reset()
    registry.register(SetColour)
    registry.register(RestoreColour)
    yield box
    for action in (SetColour, RestoreColour):
        registry.actions.pop(action.name, None)
