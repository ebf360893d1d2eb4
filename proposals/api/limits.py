"""RateLimit headers (IETF httpapi draft): how the tightest budget stands after this request."""

import re
from typing import Any

from django.http import HttpResponseBase

from budgets import accounts, standings
from budgets.accounts import Standing
from budgets.standings import plain
from proposals import spending
from proposals.models import Agent, Proposal

HEADERS = ("RateLimit-Policy", "RateLimit")


def tell(response: HttpResponseBase, proposal: Proposal) -> None:
    """Name the tightest budget of a stored proposal; nothing where no budget covers it."""
    found = proposal.standings or accounts.standings(
        spending.charge(proposal, proposal.revision().params)
    )
    if found:
        tightest: Standing = min(found, key=lambda standing: standing.share_left)
        budget = tightest.budget
        write(
            response,
            name=budget.name,
            limit=plain(budget.limit),
            window=budget.window_seconds,
            remaining=plain(tightest.remaining),
        )


def tell_agent(response: HttpResponseBase, agent: Agent) -> None:
    """Name the tightest of all budgets that bind an agent; for a refusal that no budget made."""
    found = standings.binding(str(agent.pk), agent.name, resources=[])
    if found:
        tightest = min(found, key=lambda gauge: gauge.share_left)
        write(
            response,
            name=tightest.budget.name,
            limit=plain(tightest.budget.limit),
            window=tightest.budget.window_seconds,
            remaining=plain(tightest.remaining),
        )


def tell_refused(
    response: HttpResponseBase, budget: dict[str, Any], retry_after: int | None
) -> None:
    """Name the budget that refused, and when its next slot frees, if it does."""
    write(
        response,
        name=budget["name"],
        limit=budget["limit"],
        window=budget["window_seconds"],
        remaining="0",
        until=retry_after,
    )


def write(
    response: HttpResponseBase,
    *,
    name: str,
    limit: str,
    window: int | None,
    remaining: str,
    until: int | None = None,
) -> None:
    """Structured fields (RFC 9651); whole numbers, rounded towards less."""
    policy = f'"{slug(name)}";q={whole(limit)}'
    response["RateLimit-Policy"] = policy + (f";w={window}" if window else "")
    state = f'"{slug(name)}";r={whole(remaining)}'
    response["RateLimit"] = state + (f";t={until}" if until is not None else "")


def whole(amount: str) -> int:
    return int(amount.partition(".")[0])


def slug(name: str) -> str:
    """A budget's name as a header may carry it: ASCII words joined by hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "budget"
