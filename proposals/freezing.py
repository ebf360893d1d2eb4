"""Whether something is stopped right now, exact to the commit.

Whoever records an intent holds the gate shared, whoever freezes takes it alone: so an intent is
either committed before the freeze, or sees it. On SQLite the one writer is the gate.

Lock order: the gate, shared or alone, comes before any row. An intent holds the gate and wants its
proposal; whoever held that and wanted the gate would wait for it for ever. In whichever transaction
somebody may be suspended or something frozen, `take_gate` is therefore the first to lock.
"""

from fnmatch import fnmatchcase
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet

from ledger import sealer
from proposals import sessions
from proposals.models import Agent, Freeze, Proposal, Run
from proposals.registry import Tier

TAKE_PATIENTLY = """
    WITH patient AS MATERIALIZED (
        SELECT current_setting('lock_timeout') AS was,
               set_config('lock_timeout', %s, true) AS becomes
    )
    SELECT pg_advisory_xact_lock(%s), set_config('lock_timeout', was, true)
    FROM patient WHERE becomes IS NOT NULL
"""
UNSEALED = (
    "High-tier writes wait until the ledger is sealed again: its newest entries have waited for "
    "that too long. An operator has to look at the clock and its sealing key."
)
GATE = 0x436F_756E_7465_7201  # any number that nothing else in the database locks


def hold_gate() -> None:
    """Keep freezes from committing until this transaction ends."""
    lock("SELECT pg_advisory_xact_lock_shared(%s)")


def take_gate() -> None:
    """Wait until no intent is under way, and let none begin until this transaction ends.

    Call it before anything else that locks, also where a verb that takes it is called in a
    transaction: a second time it costs nothing. It waits for longer than a session that was lost
    with the gate can last (`sessions`): no such session keeps anybody from stopping everything.
    """
    lock(TAKE_PATIENTLY, sessions.PATIENT)


def lock(statement: str, *params: Any) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(statement, [*params, GATE])


def in_force() -> QuerySet[Freeze]:
    return Freeze.objects.filter(lifted_at=None)


def target(*, agent: Agent | None = None, action: str = "", run: Run | None = None) -> Any:
    """What a freeze of this names, as its fields; of everything when nothing is named."""
    scope = "agent" if agent else "run" if run else "action" if action else "everything"
    return {"scope": scope, "agent": agent, "action": action, "run": run}


def is_everything_frozen() -> bool:
    return in_force().filter(scope=Freeze.Scope.EVERYTHING).exists()


def is_suspended(proposal: Proposal) -> bool:
    """Whether its agent is, and it was not a person who asked for it: then it is not even checked.

    A freeze stops writes alone; what it covers is checked, so that people may look and decide.
    """
    asks = proposal.agent if proposal.proposer_id is None else None
    return asks is not None and asks.is_suspended


def stop_for(proposal: Proposal, freezes: list[Freeze] | None = None) -> str:
    """What stops this proposal now, as a sentence; empty when nothing does.

    Undo asked for by people is stopped by the freeze of everything alone. For a list of proposals,
    give what is `in_force` once; then the ledger's seals are not asked for.
    """
    if proposal.agent is not None and proposal.proposer_id is None:
        if proposal.agent.is_suspended:
            return f"The agent {proposal.agent.name} is suspended."
        if proposal.agent.is_observed:
            return f"The agent {proposal.agent.name} is only observed."
    # All that is in force: few at any time, mostly none, and one place says what each covers.
    known = in_force().order_by("pk") if freezes is None else freezes
    found = next((one for one in known if covers(one, proposal)), None)
    if found is not None:
        return f"Frozen ({found.target}): {found.reason}"
    return UNSEALED if freezes is None and is_unsealed_for(proposal) else ""


def is_unsealed_for(proposal: Proposal) -> bool:
    """Whether it is dear, and its ledger entries could be changed unseen for too long by now.

    Not what a person asks for, undo above all. (Promises page, fault matrix of P28: the signing key
    is unavailable.)
    """
    if proposal.proposer_id is not None:
        return False
    limit = settings.UNSEALED_STOP_SECONDS
    return proposal.tier == Tier.HIGH and not sealer.is_fresh(within=limit)


def covers(freeze: Freeze, proposal: Proposal) -> bool:
    """Whether this freeze is one that stops the proposal."""
    if freeze.scope == Freeze.Scope.EVERYTHING:
        return True
    if proposal.agent_id is None or proposal.proposer_id is not None:
        return False
    return {
        Freeze.Scope.AGENT: freeze.agent_id == proposal.agent_id,
        Freeze.Scope.ACTION: fnmatchcase(proposal.action, freeze.action),
        Freeze.Scope.RUN: proposal.run_id is not None and freeze.run_id == proposal.run_id,
    }[Freeze.Scope(freeze.scope)]
