"""Writes to other systems, in words: what comes next for an unknown outcome, what holds a write."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse

from ledger import clock
from proposals import breakers, freezing, resolving
from proposals.console.budgets import Hold, until
from proposals.exceptions import ActionError
from proposals.lifecycle import Status
from proposals.models import Breaker, Exchange, Execution, Proposal
from proposals.registry import Delivery, registry
from proposals.resolving import Step

Purpose = Exchange.Purpose
FOR_PEOPLE = "Waits for a person"
KEEPS_A_RECEIPT = "Waits for a person to have the target asked for its receipt"
BEING_ASKED = "The target is being asked just now"
VERBS = {Purpose.RESEND: "Sent again under the same key", Purpose.PROBE: "The target is asked"}
DELIVERIES = {
    Delivery.TRANSACTIONAL: "keeps a receipt",
    Delivery.KEYED: "honours a key",
    Delivery.QUERYABLE: "can be asked",
    Delivery.UNCERTAIN: "cannot be asked",
}


@dataclass(frozen=True)
class Next:
    """What happens next about an unknown outcome, and when; and whether a person can hurry it."""

    words: str
    at: datetime | None = None
    is_held: bool = False
    can_ask: bool = False


class Outlook:
    """What bears on unknown outcomes now. Read once, whatever number of rows is looked at."""

    def __init__(self) -> None:
        self.now = clock.now()
        self.breakers = {one.target: one for one in Breaker.objects.exclude(opened_at=None)}
        self.freezes = list(freezing.in_force().select_related("agent").order_by("pk"))

    def next(self, execution: Execution) -> Next:
        """What the machine will do about it, or that it has done what it can."""
        if execution.lease_until is not None and execution.lease_until > self.now:
            return Next(BEING_ASKED)
        if execution.is_transactional:
            return Next(KEEPS_A_RECEIPT)
        step = self.step(execution) if execution.ask_at is not None else None
        if step is None or execution.ask_at is None:
            return Next(FOR_PEOPLE)
        if held := self.held(execution, step):
            return held
        at = max(step.at, execution.ask_at)
        soonest = self.step(execution, sooner=True)
        can_ask = soonest is not None and soonest.at <= self.now < at
        if at <= self.now:
            return Next(f"{VERBS[Purpose(step.purpose)]} within seconds")
        return Next(VERBS[Purpose(step.purpose)], at, can_ask=can_ask)

    def step(self, execution: Execution, *, sooner: bool = False) -> Step | None:
        """What the protocol plans; an action that cannot say leaves it to people."""
        check = execution.of_check
        try:
            action = registry.get(execution.proposal.action)
            return resolving.plan(
                execution,
                action,
                check.revision.params,
                self.now,
                sooner=sooner or execution.is_wanted,
            )
        except (LookupError, ActionError, ValueError, TypeError, KeyError):
            return None

    def held(self, execution: Execution, step: Step) -> Next | None:
        """What keeps the next step from being taken, if anything does."""
        if step.purpose == Purpose.RESEND and (stop := self.stop(execution.proposal)):
            return Next(f"Held: {stop} It is sent again once that ends", is_held=True)
        breaker = self.breakers.get(execution.target)
        closed = breakers.stands(breaker, self.now, is_new=False) if breaker else None
        if closed is None:
            return None
        return Next("Held: its target is left alone; one call is tried", closed.until, is_held=True)

    def stop(self, proposal: Proposal) -> str:
        """What stops it, in a sentence, from what was read already."""
        agent = proposal.agent
        if agent is not None and proposal.proposer_id is None:
            if agent.is_suspended:
                return f"the agent {agent.name} is suspended."
            if agent.is_observed:
                return f"the agent {agent.name} is only observed."
        found = next((one for one in self.freezes if freezing.covers(one, proposal)), None)
        return f"frozen ({found.target})." if found else ""


def unknown_execution(proposal: Proposal) -> Execution | None:
    """The latest attempt whose outcome is unknown, or was."""
    found = proposal.executions.exclude(unclear_at=None).select_related("of_check__revision")
    execution = found.order_by("-attempt").first()
    if execution is not None:
        execution.proposal = proposal
    return execution


@dataclass(frozen=True)
class InShort:
    """An unknown outcome for the review page: what is known, what is next, where more is."""

    text: str
    url: str
    link: str = "See what was tried, and settle it"


def in_short(proposal: Proposal) -> InShort | None:
    """None unless the outcome is unknown."""
    if proposal.status != Status.UNKNOWN:
        return None
    execution = unknown_execution(proposal)
    url = reverse("outcome", args=[proposal.pk])
    if execution is None:
        return InShort(proposal.reason, url)
    outlook = Outlook()
    found = outlook.next(execution)
    when = f" {until(found.at, outlook.now)}" if found.at else ""
    return InShort(f"{proposal.reason} What happens next: {lower(found.words)}{when}.", url)


def lower(words: str) -> str:
    return words[:1].lower() + words[1:]


def hold(proposal: Proposal) -> Hold | None:
    """What holds an approved write to another system; None when nothing outside does."""
    if proposal.status != Status.APPROVED:
        return None
    execution = proposal.executions.filter(status=Execution.Status.QUEUED).first()
    if execution is None or not execution.target:
        return None
    now = clock.now()
    if closed := breakers.standing(execution.target, now, is_new=True):
        return Hold(f"{closed.reason} {NOTHING_SENT}", reverse("unknowns"), "See what is paused")
    if not execution.unsent or execution.run_after <= now:
        return None
    error: Any = execution.error or {}
    text = (
        f"nothing was sent or taken: {error.get('detail', '')} "
        f"It is tried again {until(execution.run_after, now)}."
    )
    return Hold(text, "", "")


NOTHING_SENT = "Nothing of this was sent."
