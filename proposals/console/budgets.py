"""The page of budgets, and what the review page says of them: words, bars and addresses."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone

from budgets import standings
from budgets.charges import Unit
from budgets.models import Budget
from budgets.standings import Effect, Gauge, plain
from ledger import clock
from ledger.models import LedgerEntry
from proposals import freezing, rights, spending
from proposals.lifecycle import Status
from proposals.models import Agent, Check, Execution, Proposal, Revision, Run

MOST_TRIPS = 50
WINDOWS = {1: "second", 60: "minute", 3600: "hour", 86_400: "day"}
WHO_MAY_RAISE = "A policy administrator may raise it."


@dataclass(frozen=True)
class Named:
    """Agents and runs by what budgets and the ledger call them: two statements for a page."""

    agents: dict[str, str]
    runs: dict[tuple[str, str], int]

    @classmethod
    def of(cls, wanted: Iterable[tuple[str, str]]) -> "Named":
        pairs = {(agent, run) for agent, run in wanted if agent}
        agents = Agent.objects.filter(pk__in={agent for agent, _ in pairs})
        runs = Run.objects.filter(
            agent__in={agent for agent, _ in pairs}, name__in={run for _, run in pairs if run}
        )
        return cls(
            {str(pk): name for pk, name in agents.values_list("pk", "name")},
            {
                (str(agent), name): pk
                for pk, agent, name in runs.values_list("pk", "agent_id", "name")
            },
        )


@dataclass(frozen=True)
class Meter:
    """One scope of a budget, for people: whose it is, how full, and when there is room again."""

    gauge: Gauge
    agent: str = ""
    run: int | None = None

    @property
    def resource(self) -> str:
        return self.gauge.scope.resource if self.gauge.scope else ""

    @property
    def action(self) -> str:
        return self.gauge.action

    @property
    def is_shared(self) -> bool:
        """Whether everybody is counted together here."""
        return not (self.agent or self.run or self.resource or self.action)

    @property
    def used(self) -> str:
        gauge = self.gauge
        words = f"{plain(gauge.used)} of {amount(gauge.budget, gauge.budget.limit)}"
        words += f", {plain(gauge.held)} of them held" if gauge.held else ""
        return words + (f", {plain(gauge.booked)} more wait for a slot" if gauge.booked else "")

    @property
    def share(self) -> str:
        is_little = self.gauge.used and not self.gauge.percent
        return "under 1 %" if is_little else f"{self.gauge.percent} %"

    @property
    def is_full(self) -> bool:
        return self.gauge.used >= self.gauge.budget.limit

    @property
    def bar(self) -> "Bar":
        return Bar.of(self.gauge.budget, self.gauge.used - self.gauge.held, self.gauge.held)

    @property
    def left(self) -> str:
        return amount(self.gauge.budget, self.gauge.remaining)

    @property
    def who(self) -> str:
        """Whose it is, inside a sentence."""
        return whose(self.agent, self.run) or self.action or "everybody"

    @property
    def query(self) -> str:
        return query(self.agent, self.run, self.action)

    @property
    def has_proposals(self) -> bool:
        """Whether filters can find what is counted here; none finds that of one object."""
        return not self.resource


@dataclass(frozen=True)
class Bar:
    """Two lengths out of a hundred: what is there already, and what is set aside or added."""

    first: float
    second: float

    @classmethod
    def of(cls, budget: Budget, first: Decimal, second: Decimal) -> "Bar":
        if not budget.limit:
            return cls(100, 0)
        share = min(100 * first / budget.limit, Decimal(100))
        rest = min(100 * second / budget.limit, 100 - share)
        return cls(round(float(share), 1), round(float(rest), 1))


@dataclass
class Cap:
    """One budget with its meters."""

    budget: Budget
    change_url: str = ""
    lower_url: str = ""
    meters: list[Meter] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        return covers(self.budget)

    @property
    def left(self) -> str:
        return amount(self.budget, self.budget.limit)

    @property
    def is_cut(self) -> bool:
        return len(self.meters) >= standings.MOST_SCOPES


@dataclass(frozen=True)
class Trip:
    """Refusals that the ledger knows of: one, or those of the minute after it."""

    entry: LedgerEntry
    budget: str
    what: str
    agent: str
    run: int | None
    url: str

    @property
    def who(self) -> str:
        return whose(self.agent, self.run)

    @property
    def query(self) -> str:
        return query(self.agent, self.run)


class BudgetsPage:
    """How much may still be written, by whom, and what was refused."""

    def __init__(self, user: Any) -> None:
        gauges = standings.all_gauges()
        refused = LedgerEntry.objects.filter(kind="budget.refused").order_by("-id")
        entries = list(refused[:MOST_TRIPS])
        named = Named.of(
            [
                *((one.scope.agent, one.scope.run) for one in gauges if one.scope),
                *((entry.agent, entry.run) for entry in entries),
            ]
        )
        self.caps = caps(gauges, named, user)
        self.reads_ledger = rights.has(user, rights.VIEW_LEDGER) and user.is_staff
        self.trips = [trip(entry, named, self.reads_ledger) for entry in entries]
        self.who_may_raise = WHO_MAY_RAISE


def whose(agent: str, run: int | None) -> str:
    words = [f"agent {agent}" if agent else "", f"run {run}" if run else ""]
    return ", ".join(word for word in words if word)


def query(agent: str, run: int | None, action: str = "") -> str:
    """The filters that find the proposals of a run, or else of an agent, in any list."""
    named = {"agent": "" if run else agent, "run": run or "", "action": action}
    return urlencode({key: value for key, value in named.items() if value})


def caps(gauges: list[Gauge], named: Named, user: Any) -> list[Cap]:
    found: dict[int, Cap] = {}
    may_change = rights.has(user, "change_budget") and user.is_staff
    may_lower = rights.has(user, rights.LOWER_BUDGETS)
    for gauge in gauges:
        budget, scope = gauge.budget, gauge.scope
        if budget.pk not in found:
            url = reverse("admin:budgets_budget_change", args=[budget.pk]) if may_change else ""
            lower = reverse("lower-budget", args=[budget.pk]) if may_lower else ""
            found[budget.pk] = Cap(budget, url, lower)
        if scope is None:
            continue
        agent, run = named.agents.get(scope.agent, ""), named.runs.get((scope.agent, scope.run))
        found[budget.pk].meters.append(Meter(gauge, agent, run))
    return list(found.values())


def trip(entry: LedgerEntry, named: Named, reads_ledger: bool) -> Trip:
    body = entry.body
    count = body.get("count", 1)
    if "since" in body:
        what = f"{times(count)} more, in the minute after that"
    else:
        limit = f"{readable(body['used'])} of {readable(body['limit'])} {body['unit']}"
        what = f"{times(count)}: asked for {readable(body['asked'])}, with {limit} spoken for"
    return Trip(
        entry=entry,
        budget=body.get("budget", ""),
        what=what,
        agent=named.agents.get(entry.agent, ""),
        run=named.runs.get((entry.agent, entry.run)),
        url=reverse("admin:ledger_ledgerentry_change", args=[entry.pk]) if reads_ledger else "",
    )


def times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def readable(stored: str) -> str:
    return plain(Decimal(stored))


def amount(budget: Budget, value: Decimal) -> str:
    """A number of what the budget counts: 1 write, 300 writes, 1,204.00 EUR."""
    if budget.unit == Unit.MONEY:
        return f"{value:,.2f} {budget.currency}"
    unit = Unit(budget.unit).label
    return f"{plain(value)} {unit.removesuffix('s') if value == 1 else unit}"


def window(budget: Budget) -> str:
    """In any minute; in any 5 minutes; in the life of a run."""
    seconds = budget.window_seconds
    if seconds is None:
        return "in the life of a run"
    if seconds in WINDOWS:
        return f"in any {WINDOWS[seconds]}"
    size = max(size for size in WINDOWS if seconds % size == 0)
    return f"in any {seconds // size} {WINDOWS[size]}s"


def covers(budget: Budget) -> str:
    """What a budget caps and covers, in sentences."""
    marks = [
        ("agent", budget.per_agent and not budget.per_run),
        ("run", budget.per_run),
        ("action", budget.per_action),
        ("object", budget.per_resource),
    ]
    apart = " and ".join(f"each {word}" for word, is_apart in marks if is_apart)
    counted = f"counted apart for {apart}" if apart else "everything counted together"
    patterns = [
        ("agents", budget.agent_pattern),
        ("actions", budget.action_pattern),
        ("objects", budget.resource_pattern),
    ]
    only = " and ".join(f"{word} like {pattern}" for word, pattern in patterns if pattern != "*")
    whose = "undo asked for by people" if budget.lane == Budget.Lane.UNDO else "what agents propose"
    beyond = "refused, and the agent is suspended" if suspends(budget) else "refused"
    return (
        f"At most {amount(budget, budget.limit)} {window(budget)}, {counted}. "
        f"Covers {whose}{f', only {only}' if only else ''}. Beyond it: {beyond}."
    )


def suspends(budget: Budget) -> bool:
    return budget.on_exceed == Budget.OnExceed.SUSPEND


# On the review page


@dataclass(frozen=True)
class Share:
    """What the write under review takes of one budget."""

    effect: Effect

    @property
    def words(self) -> str:
        """Before, after, and the cap; what is not known says so."""
        effect, budget = self.effect, self.effect.budget
        cap = f"of {amount(budget, budget.limit)} {window(budget)}"
        if effect.asked is None:
            return f"{plain(effect.before)} {cap} used; what this adds is not computed"
        return f"{plain(effect.before)} → {plain(effect.after)} {cap}"

    @property
    def bar(self) -> Bar:
        effect = self.effect
        return Bar.of(effect.budget, effect.before, effect.after - effect.before)


def shares(proposal: Proposal, revision: Revision, check: Check | None) -> list[Share]:
    """What an open proposal would take of each budget that covers it, as things stand now."""
    if check is None or not proposal.is_open:
        return []
    charge = spending.charge(proposal, revision.params, check)
    return [Share(effect) for effect in standings.effects(charge)]


@dataclass(frozen=True)
class Hold:
    """Why an approved write waits, until when, and who may let it go on.

    Either it clears by itself (Wait), or somebody has to act (Fix).
    """

    text: str
    url: str
    link: str
    clears_itself: bool = True

    @property
    def title(self) -> str:
        return "Held. Wait:" if self.clears_itself else "Held. Fix:"


def hold(proposal: Proposal) -> Hold | None:
    """What holds an approved proposal now; None when a worker may take it."""
    if proposal.status != Status.APPROVED:
        return None
    if stop := freezing.stop_for(proposal):
        if stop.endswith(" is only observed."):
            url = reverse("agent", args=[proposal.agent_id])
            return Hold(f"{stop} {AFTER_OBSERVATION}", url, "See the agent", False)
        return Hold(f"{stop} {AFTER_A_STOP}", reverse("stop"), "See what is stopped", False)
    execution = proposal.executions.filter(status=Execution.Status.QUEUED).first()
    if execution is None or not proposal.reason.startswith("The budget "):
        return None
    now = clock.now()
    if execution.run_after <= now:
        return None
    again = f"It is tried again {until(execution.run_after, now)}."
    text = f"{proposal.reason} {again} {WHO_MAY_RAISE}"
    return Hold(text, reverse("budgets"), "See the budgets")


AFTER_OBSERVATION = (
    "Nothing is written until a policy administrator ends the observation; then it goes on."
)
AFTER_A_STOP = "Nothing is written until an operator ends that; then it goes on by itself."


def until(at: datetime, now: datetime) -> str:
    """When a slot frees, to the second: in 40 s, at 10:42:07 UTC."""
    local = timezone.localtime(at)
    return f"in {wait(at - now)}, at {local:%H:%M:%S} {local.tzname()}"


def wait(delta: timedelta) -> str:
    """A length of time, rounded up, in its largest sensible unit."""
    seconds = max(-int(-delta.total_seconds() // 1), 1)
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7200:
        return f"{-(-seconds // 60)} min"
    if seconds < 48 * 3600:
        return f"{-(-seconds // 3600)} h"
    return f"{-(-seconds // 86_400)} days"
