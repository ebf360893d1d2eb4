"""People, agents and time around a target outside: verbs of the product, and the provider's clock.

Time passes for both at once: the provider's clock moves on, and every moment that our database
keeps for the proposals of an agent moves back by as much.
"""

import gc
import os
import secrets
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import F, Q

from bench.chaos import world
from bench.chaos.outside_cycle import SMALL, OutsideCycle, Pass
from bench.chaos.provider import actions
from bench.chaos.provider.book import Reader
from bench.chaos.provider.client import Running
from budgets.charges import Unit
from budgets.models import Budget
from ledger import clock
from proposals import crashpoints, defaults, dispatch, execution, idempotency, resolving, services
from proposals.exceptions import AlreadyUndone, IllegalTransition, ProposalError
from proposals.lifecycle import Status
from proposals.models import Agent, Breaker, Exchange, Execution, Proposal, Share
from proposals.outbound import client

CALL_SECONDS = 0.25
FORWARD, BACK = "Writes of a run", "Undo"
BUDGETS = [
    Budget(name=FORWARD, unit=Unit.WRITES, per_run=True),
    Budget(name=BACK, lane=Budget.Lane.UNDO, unit=Unit.WRITES, per_run=True),
]
OPERATORS = ("olga", "oscar")
WARMING = {"refund": ["dropped after", ""], "order": ["error before"], "note": [""], "letter": [""]}
MOMENTS = {
    Execution: (
        "run_after",
        "lease_until",
        "intended_at",
        "first_sent_at",
        "unclear_at",
        "last_unclear_at",
        "ask_at",
        "absent_at",
        "created_at",
    ),
    Exchange: ("started_at", "ended_at"),
    Breaker: ("opened_at", "retry_at", "trial_until"),
}


def ensure(provider: Running) -> None:
    """What a run starts from: fewer budgets than elsewhere, because each takes its time."""
    defaults.ensure()
    if not Budget.objects.exists():
        for budget in BUDGETS:
            fresh = defaults.copy_of(budget)
            fresh.limit = world.PLENTY
            services.save_budget(budget=fresh, person=None, is_new=True)
    world.ensure()
    for name in OPERATORS:
        world.person(name, "operators")
    os.environ[actions.PORTS] = f"{provider.port} {provider.mail_port}"
    os.environ[actions.DEADLINE] = str(CALL_SECONDS)
    name_the_written_request()


def name_the_written_request() -> None:
    """Let a process die between the last byte that it sends and the first that it reads."""
    send = client.send

    def send_and_say_so(*args: Any) -> None:
        send(*args)
        crashpoints.reach("request.written")

    client.send = send_and_say_so


def warm_up(provider: Running) -> None:
    """Do everything once in the parent, so that children begin with what is made on first use."""
    world.warm_up()
    agent = make_agent(f"warming-outside-{secrets.token_hex(4)}")
    for kind, script in WARMING.items():
        number = 10**6 + secrets.randbelow(10**6)
        cycle = OutsideCycle(number, kind, SMALL, Pass("once", "", "", False), None)
        provider.control(script={cycle.memo(is_undo=False): script})
        advance(ask(agent, cycle).pk)
        pass_time(agent, provider, 70)
        sweep(agent)
    world.close()
    gc.collect()
    gc.freeze()


def make_agent(name: str) -> Agent:
    agent = world.make_agent(name)
    if not agent.may_propose("outside.refund"):
        services.grant(agent=agent, pattern="outside.*")
    return agent


def ask(agent: Agent, cycle: OutsideCycle, *, account: str = "") -> Proposal:
    """Submit a cycle's write; to an account of its own, so that no breaker stands in another's way,
    unless one is named.
    """
    memo = cycle.memo(is_undo=False)
    params = {"memo": memo, "account": account or memo.replace(" ", "-"), "amount": cycle.amount}
    body = {"action": f"outside.{cycle.kind}", "params": params, "run": agent.name}
    proposal, _ = services.submit(
        agent=agent,
        key=f"outside-{cycle.number}",
        fingerprint=idempotency.fingerprint("submit", body),
        submission=services.Submission(**body, rationale="Chaos outside."),
    )
    return proposal


def ask_undo(forward_id: Any) -> Any:
    with suppress(AlreadyUndone):
        services.undo(proposal_id=forward_id, person=world.reviewer(), reason=world.REASON)
    return world.undo_of(forward_id)


# Workers


def advance(proposal_id: Any) -> None:
    """Do for one proposal what workers and people would, as far as it goes without more time."""
    for _ in range(20):
        proposal = Proposal.objects.get(pk=proposal_id)
        now = clock.now()
        due = Execution.objects.due(now).filter(proposal=proposal).first()
        unknown = Execution.objects.to_ask(now).filter(proposal=proposal).first()
        if due is not None:
            execution.run(due.pk)
        elif unknown is not None:
            resolving.run(unknown.pk)
        elif proposal.status == Status.SUBMITTED:
            dispatch.check_and_commit(proposal_id)
        elif proposal.status == Status.PENDING:
            world.decide(proposal)
        else:
            return


def always_late() -> None:
    settings.EXECUTION_LEASE_SECONDS = 0


# Time


def pass_time(agent: Agent, provider: Running, seconds: float) -> None:
    """So much time goes by, for us and for the provider."""
    provider.pass_time(seconds)
    past = timedelta(seconds=seconds)
    mine = {"proposal__run__agent": agent}
    of_agent = {
        Execution: mine,
        Exchange: {"execution__proposal__run__agent": agent},
        Breaker: {"target__in": Execution.objects.filter(**mine).values("target")},
    }
    for model, names in MOMENTS.items():
        moved = {name: F(name) - past for name in names}
        model.objects.filter(**of_agent[model]).update(**moved)
    Proposal.objects.filter(run__agent=agent).to_check().update(due_at=F("due_at") - past)
    Share.objects.filter(agent=agent).update(under_way={})  # what dead workers held has lapsed


def moving(agent: Agent) -> Any:
    """What the clock, or people, have yet to bring to an end."""
    mine = Proposal.objects.filter(run__agent=agent)
    return mine.open() | mine.filter(status=Status.UNKNOWN)


def story_of(proposal: Proposal) -> dict[str, Any]:
    """Where a proposal stands that does not come to rest, for whoever has to find out why."""
    attempts = proposal.executions.order_by("attempt").values(
        "status", "fence", "resends", "asked", "unsent", "ask_at", "lease_until", "run_after"
    )
    told = {each.name: str(getattr(proposal, each.name)) for each in proposal._meta.fields}
    names = ("status", "action", "reason", "params")
    return {name: told[name] for name in names if name in told} | {
        "revision": proposal.revisions.latest("number").params["memo"],
        "attempts": [{name: str(value) for name, value in each.items()} for each in attempts],
    }


def sweep(agent: Agent) -> None:
    """One look of the clock, and of the people who decide."""
    dispatch.Sweep().run()
    for proposal in Proposal.objects.filter(run__agent=agent, status=Status.PENDING):
        world.decide(proposal)


# People who find out


def attest_what_is_left(agent: Agent, provider: Running) -> int:
    """Operators look into the provider's books and say what they found, where it is their turn."""
    nobody_asks = Q(lease_until=None) | Q(lease_until__lte=clock.now())
    left = Execution.objects.filter(
        nobody_asks, proposal__run__agent=agent, status=Execution.Status.UNKNOWN, ask_at=None
    )
    found = 0
    for unknown in left.select_related("proposal", "of_check__revision"):
        if unknown.proposal.status == Status.UNKNOWN:
            found += find_out(unknown, provider.book)
    return found


def find_out(unknown: Execution, book: Reader) -> bool:
    memo = unknown.of_check.revision.params["memo"]
    effects = book.all(
        "SELECT reference FROM effects WHERE business = ? AND NOT is_repeat ORDER BY id", [memo]
    )
    for name in OPERATORS:
        said: dict[str, Any] = {"finding": "not_applied", "retry_is_safe": True}
        if effects:
            said = {"finding": "applied", "reference": effects[0][0]}
        with suppress(IllegalTransition):  # the first one's word was enough
            services.attest(
                proposal_id=unknown.proposal_id,
                person=world.person(name),
                evidence="The provider's own books.",
                authenticated_at=clock.now(),
                **said,
            )
    return True


def vouch_too_early(proposal_id: Any) -> None:
    """Somebody in a hurry says what does not settle anything; and nothing may come of it."""
    with suppress(ProposalError):
        services.attest(
            proposal_id=proposal_id,
            person=world.person(OPERATORS[0]),
            finding="cannot_tell",
            evidence="It is not to be found out just now.",
        )


def retry(proposal_id: Any) -> bool:
    """An operator asks for another attempt at what failed. True if there was one."""
    if Proposal.objects.get(pk=proposal_id).status != Status.FAILED:
        return False
    try:
        services.retry(
            proposal_id=proposal_id, person=world.person(OPERATORS[0]), reason="It is wanted now."
        )
    except AlreadyUndone:
        return False
    return True
