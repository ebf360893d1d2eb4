"""The people, the agents and the moves of a run: only verbs of the product, and time passing."""

import gc
import multiprocessing
import secrets
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connections

from bench.chaos import target
from bench.chaos.cycle import CAP, CAP_SECONDS, KINDS, TIGHT, Cycle, Pass
from budgets.charges import Unit
from budgets.models import Budget
from ledger import clock
from proposals import bell, defaults, dispatch, execution, idempotency, services, spending
from proposals.exceptions import (
    AlreadyUndone,
    IdempotencyInFlight,
    NothingToUndo,
    OverBudget,
    ProposalError,
)
from proposals.lifecycle import Status
from proposals.models import Agent, Execution, Proposal, Share

PLENTY = 10_000_000
BUDGETS = [
    Budget(name="Proposals of an agent", unit=Unit.PROPOSALS, per_agent=True, window_seconds=3600),
    Budget(name="Writes of an agent", unit=Unit.WRITES, per_agent=True, window_seconds=3600),
    Budget(name="Writes of a run", unit=Unit.WRITES, per_run=True),
    Budget(name="Objects of an agent", unit=Unit.OBJECTS, per_agent=True, window_seconds=3600),
    Budget(
        name="Writes under a tight cap",
        unit=Unit.WRITES,
        agent_pattern=f"{TIGHT}-*",
        limit=CAP,
        window_seconds=CAP_SECONDS,
        per_agent=True,
    ),
    Budget(name="Undo", lane=Budget.Lane.UNDO, unit=Unit.WRITES, per_run=True),
]
PEOPLE = {"otto": "", "rita": "reviewers", "saul": "reviewers", "olga": "operators"}
AHEAD = multiprocessing.Value("d", 0.0)  # seconds by which the harness's clock is ahead
REASON = "It was asked for in writing."


def ensure() -> None:
    """What a run starts from. Bells ring into the void: the harness itself is every worker."""
    bell.send = lambda task, row_id: True
    spending.REMEMBERED_SECONDS = 0  # of the machine's; here it is others that go by
    defaults.ensure()
    if not Budget.objects.exists():
        for budget in BUDGETS:
            fresh = defaults.copy_of(budget)
            fresh.limit = fresh.limit or PLENTY
            services.save_budget(budget=fresh, person=None, is_new=True)
    for name, group in PEOPLE.items():
        person(name, group)
    target.ensure()


def person(name: str, group: str = "") -> Any:
    """The same name is the same person."""
    people = get_user_model()
    found = people.objects.filter(username=name).first()
    if found is None:
        found = people(username=name)
        found.set_unusable_password()
        found.save()
        found.groups.set(Group.objects.filter(name=group))
    return found


def reviewer(proposal: Proposal | None = None) -> Any:
    """Rita; Saul where Rita herself has asked."""
    rita = person("rita")
    if proposal is not None and proposal.proposer_id == rita.pk:
        return person("saul")
    return rita


def make_agent(name: str) -> Agent:
    found = Agent.objects.filter(name=name).first()
    if found is None:
        found = services.create_agent(name=name, owner=person("otto"))
        services.grant(agent=found, pattern="records.*")
    return found


def ask(agent: Agent, cycle: Cycle) -> Proposal:
    """Submit the cycle's write under its key; asked again, the same proposal comes back."""
    action, params = target.call_of(cycle)
    body = {"action": action, "params": params, "run": agent.name, "rationale": "Chaos."}
    proposal, _ = services.submit(
        agent=agent,
        key=f"cycle-{cycle.number}",
        fingerprint=idempotency.fingerprint("submit", body),
        submission=services.Submission(**body),
    )
    return proposal


def ask_in_a_crowd(agent: Agent, cycle: Cycle) -> None:
    """Submit while the same request is under way elsewhere, or the cap is full."""
    with suppress(OverBudget):  # an honest answer as well: the agent will be back
        try:
            ask(agent, cycle)
        except IdempotencyInFlight:  # an honest answer: the agent asks again
            ask(agent, cycle)


def ask_until_accepted(agent: Agent, cycle: Cycle) -> tuple[Proposal, int]:
    """Submit, and come back after a window for as long as a budget refuses; how often it did."""
    for refusals in range(3):
        try:
            return ask(agent, cycle), refusals
        except OverBudget:
            clock_goes_on()
    raise AssertionError("A window went by, and there is still no slot.")


def ask_undo(forward_id: Any) -> None:
    """Ask, as a person, for the undo of a commit; where it is asked for already, that is it.

    Where somebody else's hand put back what was there before, there is none to ask for.
    """
    with suppress(AlreadyUndone, NothingToUndo):
        services.undo(proposal_id=forward_id, person=reviewer(), reason=REASON)


def undo_of(forward_id: Any) -> Any:
    return Proposal.objects.filter(compensates=forward_id).values_list("pk", flat=True).first()


def advance(proposal_id: Any) -> None:
    """Do for one proposal all that workers and people would, as far as it goes.

    Not for ever: two workers without leases may take it from each other until the clock ends it.
    """
    for _ in range(20):
        status = Proposal.objects.values_list("status", flat=True).get(pk=proposal_id)
        if status == Status.SUBMITTED:
            dispatch.check_and_commit(proposal_id)
        elif status == Status.PENDING:
            decide(Proposal.objects.get(pk=proposal_id))
        else:
            due = Execution.objects.due(clock.now()).filter(proposal=proposal_id)
            execution_id = due.values_list("pk", flat=True).first()
            if execution_id is None:
                return
            execution.run(execution_id)


def decide(proposal: Proposal) -> None:
    """Approve what can be approved, reject what cannot."""
    check = proposal.current_check
    can_be = check is not None and check.is_approvable and not proposal.compensates_id
    with suppress(ProposalError):  # somebody was quicker, or it moved on; look again
        services.review(
            proposal_id=proposal.pk,
            reviewer=reviewer(proposal),
            decision="approve" if can_be else "reject",
            digest=check.digest,
            reason=REASON,
            authenticated_at=clock.now(),
        )


def withdraw(agent: Agent, proposal_id: Any) -> None:
    """The agent takes it back, where that is not too late."""
    with suppress(ProposalError):
        services.withdraw(agent=agent, proposal_id=proposal_id)


def retry_if_failed(proposal_id: Any) -> None:
    """An operator asks for another attempt at what the target refused."""
    if Proposal.objects.get(pk=proposal_id).status != Status.FAILED:
        return
    try:
        services.retry(proposal_id=proposal_id, person=person("olga"), reason="It is wanted now.")
    except OverBudget:  # an honest answer: it stays as it was, and there is room later
        clock_goes_on()
        services.retry(proposal_id=proposal_id, person=person("olga"), reason="It is wanted now.")


def run_ahead() -> None:
    """From now on the product's clock is the harness's, in this process and those it forks."""

    def moment(vendor: str) -> str:
        seconds = AHEAD.value
        return {
            "postgresql": f"(clock_timestamp() + interval '{seconds} seconds')",
            "sqlite": f"strftime('%Y-%m-%d %H:%M:%f', 'now', '{seconds} seconds')",
        }[vendor]

    clock.moment = moment


def clock_goes_on() -> None:
    """A window of the tight cap goes by for everybody, wherever in it they are."""
    with AHEAD.get_lock():
        AHEAD.value += CAP_SECONDS + 1


def time_passes() -> None:
    """An hour goes by for whoever waits: bells are overdue, leases of dead workers have ended.

    And a window of the tight cap: its slots are free again.
    """
    clock_goes_on()
    past = clock.now() - timedelta(hours=1)
    Proposal.objects.to_check().update(due_at=past)
    Execution.objects.open().update(run_after=past)
    Execution.objects.open().exclude(lease_until=None).update(lease_until=past)
    Share.objects.update(under_way={})


def sweep_until_rest(agent: Agent) -> None:
    """The clock finds what was left behind, and people decide, until nothing of the agent moves."""
    for _ in range(60):
        moving = Proposal.objects.filter(run__agent=agent).open()
        if not moving.exists():
            return
        time_passes()
        dispatch.Sweep().run()
        for proposal in moving.filter(status=Status.PENDING):
            decide(proposal)
    raise AssertionError("Something is stuck: the clock finds no rest.")


def warm_up() -> None:
    """Do everything once in the parent, so that children begin with what is made on first use."""
    agent = make_agent(f"warming-{secrets.token_hex(4)}")
    for kind in KINDS:
        cycle = Cycle(10**6 + secrets.randbelow(10**6), kind, Pass("plainly", "once", ()), None)
        advance(ask(agent, cycle).pk)
    close()
    gc.collect()
    gc.freeze()


def always_late() -> None:
    """Every lease of this process ends as it begins: any other worker may take over at any time."""
    settings.EXECUTION_LEASE_SECONDS = 0


def close() -> None:
    """Before a fork: nobody inherits an open connection."""
    connections.close_all()
