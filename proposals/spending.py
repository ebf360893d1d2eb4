"""What a proposal asks of budgets, and what happens when they say no."""

import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import ROUND_UP, Decimal
from typing import Any

from django.core.cache import cache

from budgets import accounts, claims, refusals, standings
from budgets.charges import Charge, Unit
from budgets.exceptions import BudgetExceeded, Shortage
from ledger.canonical import digest
from proposals.exceptions import OverBudget
from proposals.models import Agent, Check, Proposal
from proposals.registry import registry
from proposals.services import stopping

# How long a refusal is remembered in front of the database. A flood is shed from here; the
# database is asked again each second, so nothing is refused for long that it would allow.
REMEMBERED_SECONDS = 1
CENT, MOST = Decimal("0.01"), Decimal(10**16) - 1  # more than that no limit allows either


def charge(proposal: Proposal, params: dict[str, Any], check: Check | None = None) -> Charge:
    """The proposal as budgets see it; objects and measured money only once it was previewed."""
    by_person = proposal.proposer_id is not None
    impact = (check.impact if check else None) or {}
    return Charge(
        proposal=str(proposal.pk),
        agent=str(proposal.agent_id or ""),
        agent_name=proposal.agent.name if proposal.agent else "",
        run=proposal.run.name if proposal.run else "",
        action=proposal.action,
        resource=proposal.resource,
        lane="undo" if by_person and proposal.compensates_id else "forward",
        objects=impact.get("objects"),
        money=counted_money(proposal.action, params, impact),
    )


def asks(proposal: Proposal, check: Check) -> dict[str, Any]:
    """What the write of a check asks of budgets, as the ledger tells it (promises P26).

    With the moments of the claims and commits, what any budget of writes, objects or money counted
    can be summed up again from the ledger alone.
    """
    asked = charge(proposal, check.revision.params, check)
    return {
        "writes": 1,
        "objects": asked.objects or 0,
        "money": {currency: str(amount) for currency, amount in sorted(asked.money.items())},
    }


def counted_money(
    action: str, params: dict[str, Any], impact: dict[str, Any]
) -> dict[str, Decimal]:
    """What budgets count of it; nothing where the action is gone, which then writes nothing."""
    try:
        found = money(action, params, impact)
    except LookupError:
        return {}
    return {currency: in_cents(amount) for currency, amount in found.items()}


def money_at_stake(proposal: Proposal, check: Check) -> dict[str, Decimal] | None:
    """The money of a checked write, by currency; None where nobody can say.

    Whoever must be careful about money asks this, and takes None for any amount.
    """
    try:
        found = money(proposal.action, check.revision.params, check.impact or {})
    except Exception:  # an action that is gone or cannot say, or a check that cannot be read
        return None
    return found if all(amount.is_finite() for amount in found.values()) else None


def money(action: str, params: dict[str, Any], impact: dict[str, Any]) -> dict[str, Decimal]:
    """What a call moves, by currency; the preview's measure wins over what the parameters say.

    Raises LookupError where only the action could say, and is gone.
    """
    if measured := impact.get("amount"):
        every = [measured, *impact.get("beside", ())]
    else:
        stated = registry.get(action).amount(params)
        every = [stated.as_json()] if stated else []
    found: defaultdict[str, Decimal] = defaultdict(Decimal)
    for each in every:
        found[each["currency"].upper()] += abs(Decimal(each["amount"]))
    return dict(found)


def in_cents(amount: Decimal) -> Decimal:
    """As budgets keep it: up to `MOST`, in two decimals, what goes beyond those rounded up."""
    return min(amount, MOST).quantize(CENT, ROUND_UP)


def reserve(
    proposal: Proposal, params: dict[str, Any], check: Check | None = None
) -> list[accounts.Standing]:
    """Set aside what the proposal asks for, in all budgets or none. Raises OverBudget."""
    try:
        return accounts.reserve(charge(proposal, params, check))
    except BudgetExceeded as error:
        raise over_budget(error.shortage) from error


def restamp(proposal: Proposal, check: Check, *, books: bool) -> datetime | None:
    """Count the write of a check from now on, or book the next slot for it.

    Raises BudgetExceeded where there is no room now; the caller's transaction must then go on.
    """
    return claims.restamp(charge(proposal, check.revision.params, check), books=books)


def seconds_until(error: BudgetExceeded, now: datetime) -> float:
    """Until the next slot of a full window; where waiting does not help, look again in a minute."""
    if error.shortage.free_at is None:
        return 60.0
    return max((error.shortage.free_at - now).total_seconds(), 0.05)


def over_budget(shortage: Shortage) -> OverBudget:
    """The refusal that an agent is shown: the budget, its limit and window, when to come back."""
    return OverBudget(
        str(BudgetExceeded(shortage)),
        shortage=shortage,
        retry_after=shortage.retry_after,
        budget={
            "name": shortage.budget,
            **unit_of(shortage),
            "limit": standings.plain(shortage.limit),
            "used": standings.plain(shortage.used),
            "window_seconds": shortage.window_seconds,
        },
    )


def suspends(error: OverBudget, agent: Agent | None) -> bool:
    """Whether this refusal suspends the agent whose excess it is."""
    shortage: Shortage = error.facts["shortage"]
    return shortage.suspends and agent is not None and not agent.is_suspended


def with_next_slot(error: OverBudget) -> OverBudget:
    """The same refusal for a person who pressed a button: also when there is room again."""
    free_at = error.facts["shortage"].free_at
    when = (
        f"There is room for it at {free_at:%Y-%m-%d %H:%M:%S} UTC."
        if free_at
        else "Waiting does not help: the budget would have to be raised."
    )
    return OverBudget(f"{error} {when}", **error.facts)


def refuse(error: OverBudget, *, agent: Agent, run: str, times: int = 1) -> None:
    """Enter a refusal in the ledger, summed; and suspend the agent where the budget says so.

    Whoever calls it in a transaction has taken the gate first, if it `suspends`.
    """
    shortage: Shortage = error.facts["shortage"]
    refusals.note(shortage, agent=str(agent.pk), agent_name=agent.name, run=run, times=times)
    if suspends(error, agent):
        stopping.set_suspended(
            agent_id=agent.pk,
            is_suspended=True,
            reason=f"The budget {shortage.budget!r} was exceeded.",
            actor=f"system:budget:{shortage.budget_id}",
        )


def unit_of(shortage: Shortage) -> dict[str, str | None]:
    """What was counted, in the words of the list of budgets: of money, the currency as well."""
    if shortage.unit in Unit.values:
        return {"unit": shortage.unit, "currency": None}
    return {"unit": Unit.MONEY.value, "currency": shortage.unit}


class Shedding:
    """Refusals remembered in front of the database; shared through Redis where there is one.

    It only refuses what the database refused a moment ago to the same agent for the same run,
    action and parameters' place, and never lets anything through. What it sheds is counted, and
    entered with the next refusal that the database itself gives.
    """

    def __init__(self, agent: Agent, submission: Any) -> None:
        self.agent, self.run, self.is_shed = agent, submission.run, False
        place = [submission.run, submission.action, *named_object(submission.params)]
        self.name = f"shed:{agent.pk}:{digest(place)}"

    def refuse_if_remembered(self) -> None:
        """Raise OverBudget again if the database did so a moment ago, and no slot is free since."""
        shortage, noted_at, until = cache.get(self.name) or (None, 0.0, 0.0)
        now = time.time()
        if shortage is not None and now < until:
            self.is_shed = True
            raise over_budget(replace(shortage, at=shortage.at + timedelta(seconds=now - noted_at)))

    def refused(self, error: OverBudget) -> None:
        """Count a refusal, and remember one that came from the database."""
        if self.is_shed:
            count(f"{self.name}:shed")
            return
        shed = taken(f"{self.name}:shed") + taken(in_front_of(str(self.agent.pk)))
        shortage: Shortage = error.facts["shortage"]
        now = time.time()
        until = now + min(REMEMBERED_SECONDS, shortage.seconds_until_free)
        cache.set(self.name, (shortage, now, until), REMEMBERED_SECONDS)
        refuse(error, agent=self.agent, run=self.run, times=1 + shed)


def count(name: str, times: int = 1) -> None:
    cache.add(name, 0, 60)
    with suppress(ValueError):  # it may have been taken in between
        cache.incr(name, times)


def taken(name: str) -> int:
    """What was counted under this name; the count begins anew."""
    found = cache.get(name, 0)
    cache.delete(name)
    return found


def in_front_of(agent: str) -> str:
    return f"shed:{agent}:in-front"


def shed_in_front(agent: str, times: int) -> None:
    """Count requests that were refused before anything of them was read."""
    count(in_front_of(agent), times)


def named_object(params: dict[str, Any]) -> list[str]:
    """What of the parameters may decide which budgets apply: every short text in them."""
    return sorted(str(value)[:64] for value in params.values() if isinstance(value, str | int))
