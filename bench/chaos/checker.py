"""Looks at what a batch came to: at the two databases by plain SQL, and at the ledger.

It is told what was asked for and knows nothing of what the product thinks happened.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection

from bench.chaos import reserving, target
from bench.chaos.cycle import TIGHT
from bench.chaos.reserving import OPEN
from bench.chaos.story import Story
from ledger import sealer
from ledger.verify import Result, verify

FORWARD = {"Proposals of an agent", "Writes of an agent", "Writes of a run", "Objects of an agent"}


@dataclass
class Proposed:
    """One proposal as the tables have it."""

    id: str
    status: str
    round: int
    generation: int
    is_undone: bool
    number: int
    hash: bytes
    compensates: str
    result: Any
    executions: list[dict[str, Any]] = field(default_factory=list)
    reviews: list[tuple[int, str, str, str]] = field(default_factory=list)
    checks: int = 0
    reserved: dict[str, tuple[str, Any]] = field(default_factory=dict)
    story: Story = field(default_factory=Story)


@dataclass
class Found:
    """What the checker saw."""

    faults: list[str] = field(default_factory=list)
    double_effects: int = 0
    committed: int = 0
    undone: int = 0
    waited: int = 0


def rows(sql: str, params: list[Any]) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall()


def marks(values: list[Any]) -> str:
    return ", ".join(["%s"] * len(values))


def name(value: Any) -> str:
    """Identifiers as the ledger writes them, whatever the database keeps them as."""
    return str(UUID(str(value))) if value else ""


def check(agent: Any, played: list[Any]) -> Found:
    """Hold what is in the databases against what was asked for."""
    found = Found()
    proposals = load(agent)
    by_id = {each.id: each for each in proposals}
    expected = {name(one) for each in played for one in (each.forward_id, each.undo_id) if one}
    if set(by_id) != expected:
        found.faults.append(f"{len(by_id)} proposals are stored where {len(expected)} are due")
        return found
    writes, receipts = effects(played), applied(proposals)
    is_tight = agent.name.startswith(f"{TIGHT}-")
    for each in played:
        for is_undo in (False, True):
            proposal = by_id.get(name(each.undo_id if is_undo else each.forward_id))
            if proposal is not None:
                count = writes[each.cycle.number, is_undo]
                faults = [
                    *ends(each, proposal, is_undo, is_tight),
                    *single(proposal, count, receipts),
                    *agrees(proposal),
                    *reservations(proposal, is_undo, is_tight),
                ]
                found.double_effects += count > 1
                found.committed += proposal.status == "committed"
                found.undone += proposal.is_undone
                found.waited += proposal.story.held
                what = f"cycle {each.cycle.number}{' (undo)' if is_undo else ''}"
                found.faults += [f"{what}: {fault}" for fault in faults]
    found.faults += totals(agent, proposals, is_tight)
    if is_tight:
        found.faults += reserving.over_the_cap([each for each in proposals if not each.compensates])
    found.faults += reserving.orphans(str(agent.pk))
    return found


def check_everything() -> list[str]:
    """What is whole or not as a whole: all that was ever reserved, and every ledger entry."""
    return reserving.orphans() + check_ledger()


def check_ledger() -> list[str]:
    """Every entry ever written, sealed first, by the product's own verification."""
    while sealer.seal() is not None:
        pass
    report = verify()
    if report.result is Result.INTACT:
        return []
    return [f"the ledger is {report.result.name}: {[str(each) for each in report.problems[:3]]}"]


# Reading


def load(agent: Any) -> list[Proposed]:
    """Every proposal of the agent's runs, undo included, with all that hangs on it."""
    found = {
        name(row[0]): Proposed(
            name(row[0]), *row[1:4], bool(row[4]), row[5], bytes(row[6]), name(row[7]), row[8]
        )
        for row in rows(
            "SELECT p.id, p.status, p.round, p.generation, p.is_undone, p.ledger_number, "
            "p.ledger_hash, p.compensates_id, p.result FROM proposals_proposal p "
            "JOIN proposals_run r ON r.id = p.run_id WHERE r.agent_id = %s",
            [agent.pk if connection.vendor == "postgresql" else agent.pk.hex],
        )
    }
    stored = [one if connection.vendor == "postgresql" else UUID(one).hex for one in found]
    columns = ("attempt", "status", "generation", "fence", "key", "result", "after", "compensation")
    for row in rows(
        f"SELECT proposal_id, {', '.join(columns)} FROM proposals_execution "
        f"WHERE proposal_id IN ({marks(stored)}) ORDER BY attempt",
        stored,
    ):
        found[name(row[0])].executions.append(dict(zip(columns, row[1:], strict=True)))
    for row in rows(
        "SELECT proposal_id, id, decision, digest, reviewer_id FROM proposals_review "
        f"WHERE proposal_id IN ({marks(stored)}) ORDER BY id",
        stored,
    ):
        found[name(row[0])].reviews.append((*row[1:4], f"user:{row[4]}"))
    for row in rows(
        "SELECT proposal_id, count(*) FROM proposals_check "
        f"WHERE proposal_id IN ({marks(stored)}) GROUP BY proposal_id",
        stored,
    ):
        found[name(row[0])].checks = row[1]
    load_as_text(found)
    return list(found.values())


def load_as_text(found: dict[str, Proposed]) -> None:
    """What names a proposal by text: its reservations and its entries."""
    names = list(found)
    for row in rows(
        "SELECT r.proposal, b.name, r.status, r.amount FROM budgets_reservation r "
        "JOIN budgets_scope s ON s.id = r.scope_id JOIN budgets_budget b ON b.id = s.budget_id "
        f"WHERE r.proposal IN ({marks(names)})",
        names,
    ):
        found[row[0]].reserved[row[1]] = (row[2], row[3])
    for row in rows(
        "SELECT proposal, canonical, hash FROM ledger_ledgerentry "
        f"WHERE stream IN ({marks(names)}) ORDER BY stream, number",
        [f"proposal:{one}" for one in names],
    ):
        found[row[0]].story.read(bytes(row[1]), bytes(row[2]))


def effects(played: list[Any]) -> Counter[tuple[int, bool]]:
    """How often each cycle's write, and its undo, changed the shop; its triggers were there."""
    drafts = {each.cycle.marker: each.cycle for each in played if each.cycle.kind == "draft"}
    others = {each.cycle.marker: each.cycle for each in played if each.cycle.kind != "draft"}
    count: Counter[tuple[int, bool]] = Counter()
    written = list(drafts) + list(others)
    rows_of_others = [target.key_of(cycle) for cycle in others.values()]
    for event, row, old, new in target.rows(
        f"SELECT event, row_name, old, new FROM chaos_writes WHERE new IN ({marks(written)}) "
        f"OR row_name IN ({marks(list(drafts) + rows_of_others)})",
        [*written, *drafts, *rows_of_others],
    ):
        if event == "drafts INSERT" and new in drafts:
            count[drafts[new].number, False] += 1
        elif event == "drafts UPDATE" and row in drafts and new and not old:
            count[drafts[row].number, True] += 1
        elif new in others and row == target.key_of(others[new]):
            count[others[new].number, False] += 1
        elif old in others and new != others[old].passing:
            count[others[old].number, True] += 1
    return count


def applied(proposals: list[Proposed]) -> dict[str, str]:
    """The receipts that the target keeps under the keys of these proposals: key and state."""
    keys = [execution["key"] for each in proposals for execution in each.executions]
    if not keys:
        return {}
    sql = f"SELECT key, state FROM countersign_receipts WHERE key IN ({marks(keys)})"
    return dict(target.rows(sql, keys))


# Judging


def ends(each: Any, proposal: Proposed, is_undo: bool, is_tight: bool) -> list[str]:
    """Nothing is stuck, and everything came to the end that was meant for it."""
    way = each.cycle.undo if is_undo else each.cycle.forward
    allowed = {"committed"}
    if way.is_withdrawn:
        allowed.add("withdrawn")
    if is_undo and (way.race_at or each.cycle.forward.race_at):
        allowed.add("rejected")
    if is_tight and way.is_refused_first:
        allowed.add("denied")  # its retry asks the budgets anew, and others have the slots
    faults = []
    if proposal.status not in allowed:
        faults.append(f"it is {proposal.status}, not {' or '.join(sorted(allowed))}")
    if still := [one["status"] for one in proposal.executions if one["status"] in STILL_OPEN]:
        faults.append(f"an execution is still {still}")
    return faults


STILL_OPEN = {"queued", "claimed", "intended"}


def single(proposal: Proposed, effects: int, receipts: dict[str, str]) -> list[str]:
    """At most one effect; one, with evidence, where it says so; none where it does not."""
    faults = []
    commits = [one for one in proposal.executions if one["status"] == "committed"]
    kept = [one for one in proposal.executions if receipts.get(one["key"]) == "applied"]
    is_committed = proposal.status == "committed"
    if effects != is_committed:
        faults.append(f"it is {proposal.status} and has {effects} effects")
    if len(commits) != is_committed or len({one["key"] for one in kept}) != is_committed:
        faults.append(f"{len(commits)} committed executions, {len(kept)} receipts of effects")
    if is_committed and commits:
        evidence = [commits[0]["result"], commits[0]["after"], proposal.result]
        if not all(evidence) or receipts.get(commits[0]["key"]) != "applied":
            faults.append("it is committed without its evidence")
    return faults


def agrees(proposal: Proposed) -> list[str]:
    """The ledger alone tells what the tables hold."""
    story, faults = proposal.story, list(proposal.story.faults)
    told = {
        "status": (story.status, proposal.status),
        "round": (story.round, proposal.round),
        "generation": (story.generation, proposal.generation),
        "undone": (story.is_undone, proposal.is_undone),
        "checks": (story.checks, proposal.checks),
        "decisions": (sorted(story.reviews), sorted(proposal.reviews)),
        "head": ((story.number, story.hash), (proposal.number, proposal.hash)),
        "executions": (
            [(each.status, each.generation, each.fence) for each in story.attempts],
            [(each["status"], each["generation"], each["fence"]) for each in proposal.executions],
        ),
    }
    for what, (ledger, table) in told.items():
        if ledger != table:
            faults.append(f"the ledger says {what} {ledger}, the table {table}")
    for attempt, execution in zip(story.attempts, proposal.executions, strict=False):
        if attempt.key and attempt.key != execution["key"]:
            faults.append("the ledger knows an attempt under another key")
    return faults


def reservations(proposal: Proposed, is_undo: bool, is_tight: bool) -> list[str]:
    """Held while it is open or unknown, captured when it was written, released otherwise."""
    faults = []
    due = {"committed": "captured"}.get(proposal.status, "released")
    due = "held" if proposal.status in OPEN else due
    for budget, (status, amount) in proposal.reserved.items():
        right = "captured" if budget == "Proposals of an agent" else due
        if status != right or amount != 1:
            faults.append(f"{budget}: {amount} {status} for what is {proposal.status}")
    if proposal.status == "committed":
        wanted = {"Undo"} if is_undo else forward(is_tight)
        if set(proposal.reserved) != wanted:
            faults.append(f"it was written against {sorted(proposal.reserved)}")
    return faults


def forward(is_tight: bool) -> set[str]:
    """What a write of an agent counts against."""
    return FORWARD | {"Writes under a tight cap"} if is_tight else FORWARD


def totals(agent: Any, proposals: list[Proposed], is_tight: bool) -> list[str]:
    """What the budgets count is what the ledger says was asked for and written."""
    asked: dict[str, int] = defaultdict(int)
    for each in proposals:
        commits = each.story.commits
        if each.compensates:
            asked["Undo"] += commits
            continue
        asked["Proposals of an agent"] += 1
        for budget in forward(is_tight) - {"Proposals of an agent"}:
            asked[budget] += commits
    counted = dict(
        rows(
            "SELECT b.name, sum(r.amount) FROM budgets_reservation r "
            "JOIN budgets_scope s ON s.id = r.scope_id JOIN budgets_budget b "
            "ON b.id = s.budget_id WHERE r.status = 'captured' AND s.run = %s OR "
            "(r.status = 'captured' AND s.run = '' AND s.agent = %s) GROUP BY b.name",
            [agent.name, str(agent.pk)],
        )
    )
    return [
        f"{budget}: {counted.get(budget, 0)} counted, {due} in the ledger"
        for budget, due in asked.items()
        if due != counted.get(budget, 0)
    ]
