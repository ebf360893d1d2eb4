"""A target outside to test on: a depot that takes parcels, and shares no transaction with anybody.

Three actions send parcels there, one for each delivery that is not transactional. What goes wrong
next is switched on by step; the depot keeps every request that reached it, and every effect.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from proposals.exceptions import (
    OutcomeUnknown,
    StaleTarget,
    TargetRefused,
    TargetUnavailable,
)
from proposals.registry import (
    Action,
    Call,
    Delivery,
    Impact,
    Money,
    Outcome,
    Preview,
    Tier,
    registry,
)

FAILURES: dict[str, Exception] = {
    "refused": TargetRefused("The depot is full."),
    "unavailable": TargetUnavailable("The depot is closed."),
    "unclear": OutcomeUnknown("The depot hung up.", evidence={"status": 500}),
    "reset": ConnectionResetError("The line broke."),
    "stale": StaleTarget({"depot": {"doors": "shut"}}),
}
TARGET = "https://depot.example"


class Depot:
    """What reached it, what it did, and what goes wrong next at `prepare`, `send` and `probe`."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.requests: list[str] = []
        self.effects: list[str] = []
        self.probes: list[str] = []
        self.failing: dict[str, str] = {}
        self.version = "1"
        self.has_evidence = True

    def fail(self, step: str) -> None:
        if name := self.failing.get(step):
            raise FAILURES[name]

    def take(self, key: str, *, honours_keys: bool) -> None:
        """One request: `send` fails before its effect, `answer` after it."""
        self.requests.append(key)
        self.fail("send")
        if not (honours_keys and key in self.effects):
            self.effects.append(key)
        self.fail("answer")


depot = Depot()


class ParcelParams(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    parcel: str = Field(pattern="^[a-z]{1,20}$")
    tier: str = "medium"
    amount: str | None = None


class SendParcel(Action):
    """Sends a parcel, at a depot that honours keys."""

    name = "parcels.keyed"
    title = "Send the parcel {parcel}"
    description = "Sends a parcel."
    Params = ParcelParams
    delivery = Delivery.KEYED
    key_seconds = 1000
    settling_seconds = 60

    def resource(self, params: dict[str, Any]) -> str:
        return f"parcels/{params['parcel']}"

    def amount(self, params: dict[str, Any]) -> Money | None:
        return Money(Decimal(params["amount"]), "EUR") if params.get("amount") else None

    def target(self, params: dict[str, Any]) -> str:
        return TARGET

    def definition(self, params: dict[str, Any]) -> str | None:
        return depot.version

    def preview(self, params: dict[str, Any]) -> Preview:
        return Preview(
            before={params["parcel"]: None},
            after={params["parcel"]: {"sent": "yes"}},
            impact=Impact(objects=1, amount=self.amount(params), external=True),
            tier=Tier(params.get("tier", "medium")),
            compensation=Call("parcels.recall", {"parcel": params["parcel"]}),
        )

    def prepare(self, params: dict[str, Any], *, expected: dict[str, Any]) -> None:
        depot.fail("prepare")

    def apply(self, params: dict[str, Any], *, key: str, expected: dict[str, Any]) -> Outcome:
        depot.take(key, honours_keys=self.delivery is Delivery.KEYED)
        return self.outcome(params, key)

    def probe(
        self, params: dict[str, Any], *, key: str, expected: dict[str, Any]
    ) -> Outcome | None:
        depot.probes.append(key)
        depot.fail("probe")
        return self.outcome(params, key) if key in depot.effects else None

    def outcome(self, params: dict[str, Any], key: str) -> Outcome:
        return Outcome(
            result={"parcel": params["parcel"]},
            after={params["parcel"]: {"sent": "yes"}},
            compensation=Call("parcels.recall", {"parcel": params["parcel"]}),
            evidence={"reference": f"track-{key[:8]}", "status": 200}
            if depot.has_evidence
            else None,
        )

    def attested(
        self, params: dict[str, Any], *, reference: str, expected: dict[str, Any]
    ) -> Outcome:
        return Outcome(
            result={"parcel": params["parcel"], "reference": reference},
            after={params["parcel"]: {"sent": "yes"}},
            compensation=Call("parcels.recall", {"parcel": params["parcel"]}),
        )


class SendQueryable(SendParcel):
    """Sends a parcel, at a depot that can be asked but honours no keys."""

    name = "parcels.queryable"
    delivery = Delivery.QUERYABLE


class SendUncertain(SendParcel):
    """Sends a parcel, at a depot that neither honours keys nor answers questions."""

    name = "parcels.uncertain"
    delivery = Delivery.UNCERTAIN


class Recall(SendParcel):
    """The compensation."""

    name = "parcels.recall"
    title = "Recall the parcel {parcel}"
    is_internal = True


ACTIONS = (SendParcel, SendQueryable, SendUncertain, Recall)
BY_DELIVERY = {each.delivery: each.name for each in ACTIONS[:3]}


@pytest.fixture
def the_depot() -> Iterator[Depot]:
    """An empty depot, and its actions on the menu."""
    depot.reset()
    for action in ACTIONS:
        registry.register(action)
    yield depot
    for action in ACTIONS:
        registry.actions.pop(action.name, None)
