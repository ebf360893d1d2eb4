"""The protocol with one guard taken out, to see that the harness notices.

A harness that finds nothing proves something only if it would have found what is broken.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from budgets import accounts
from proposals import attempts, execution, resolving, settling
from proposals.actions import receipts, writing
from proposals.models import Exchange, Execution
from proposals.registry import Delivery, registry


def without_receipts() -> None:
    """A second apply does not see that the first has written."""

    def take(cursor: Any, key: str, state: str) -> None:
        cursor.execute(
            f"INSERT INTO {receipts.TABLE} (key, state) VALUES (%s, %s) "
            "ON CONFLICT (key) DO NOTHING",
            [key, state],
        )

    receipts.take = take


def without_voids() -> None:
    """An attempt is given up without barring its key at the target."""
    writing.RecordsAction.void = lambda self, params, *, key: None


def without_fences() -> None:
    """A worker that lost its lease goes on as if it still held it."""

    def mine(held: Execution, **changes: Any) -> bool:
        return Execution.objects.filter(pk=held.pk).update(**changes) == 1

    attempts.mine = mine


def without_capture() -> None:
    """What was reserved for a write stays held after it."""
    settling.transition.__globals__["settle_budgets"] = lambda *args: None


def without_caps() -> None:
    """A write is counted where there is no room for it."""
    accounts.require_room = lambda *args: None


def without_the_end_of_keys() -> None:
    """A key is sent again as if its target honoured it for ever."""
    resolving.key_ends = lambda held, action: datetime.max.replace(tzinfo=held.created_at.tzinfo)


def without_patience() -> None:
    """A refusal is believed while what was sent before may still arrive."""
    resolving.refused_again = lambda inquiry, error: settling.fail(inquiry, str(error))


def without_doubt() -> None:
    """What has no clear answer is recorded as refused."""
    execution.unclear = lambda claim, error: settling.fail(claim, "It did not answer.")


def without_a_second_question() -> None:
    """What a target does not know of is recorded as absent at once, whatever it is about."""
    resolving.not_there = lambda inquiry: settling.fail(
        inquiry, "It knows nothing of it.", end=Exchange.End.ABSENT
    )


def without_stable_keys() -> None:
    """Each resend has a key of its own."""

    def send_again(inquiry: attempts.Claim) -> None:
        action, key = registry.get(inquiry.proposal.action), f"{inquiry.execution.key[:-2]}zz"
        try:
            outcome = action.apply(inquiry.params, key=key, expected={})
        except Exception as error:
            resolving.still_unknown(inquiry, error)
        else:
            settling.settle(inquiry, outcome)

    resolving.send_again = send_again


def without_restraint() -> None:
    """What nobody can be asked about is sent again."""
    plan = resolving.plan

    def planned(held: Execution, *rest: Any, **how: Any) -> Any:
        if held.delivery == Delivery.UNCERTAIN and not held.resends and held.last_unclear_at:
            at = held.last_unclear_at + timedelta(seconds=1)
            return resolving.Step(Exchange.Purpose.RESEND, at)
        return plan(held, *rest, **how)

    resolving.plan = planned


BREAKAGES: dict[str, Callable[[], None]] = {
    "receipts": without_receipts,
    "voids": without_voids,
    "fences": without_fences,
    "capture": without_capture,
    "caps": without_caps,
    "end of keys": without_the_end_of_keys,
    "patience": without_patience,
    "doubt": without_doubt,
    "second question": without_a_second_question,
    "stable keys": without_stable_keys,
    "restraint": without_restraint,
}
