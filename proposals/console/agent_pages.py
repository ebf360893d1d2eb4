"""Everything the pages of agents show, gathered before a template is opened."""

import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, Q
from django.urls import reverse

from budgets import standings
from ledger import clock
from proposals import freezing, ownership, rights, services
from proposals.console import agent_forms, presenters, snippets
from proposals.console.budgets import Meter, Named, covers, wait
from proposals.console.lists import UNLISTED
from proposals.lifecycle import OPEN, Status
from proposals.models import Agent, AgentToken, Freeze, Grant, Proposal, Review, Run
from proposals.policy import Effect
from proposals.registry import Action, registry
from proposals.targets import wiring

DAYS = 30
LONGEST = 200
LATEST = 10
MOST_DECISIONS = 1000
DECIDED = [Status.APPROVED, Status.COMMITTED, Status.FAILED, Status.UNKNOWN]


def since() -> datetime:
    return clock.now() - timedelta(days=DAYS)


def states(agent: Agent, frozen: set[Any]) -> list[tuple[str, str]]:
    """What keeps an agent from writing, as (word, kind of tag); nothing keeps it: active."""
    found = []
    if agent.is_suspended:
        found.append(("suspended", "removed"))
    if agent.pk in frozen:
        found.append(("frozen", "removed"))
    if agent.is_observed:
        found.append(("observed only", "warning"))
    return found or [("active", "added")]


def frozen_agents() -> set[Any]:
    found = freezing.in_force().filter(scope=Freeze.Scope.AGENT)
    return set(found.values_list("agent_id", flat=True))


@dataclass(frozen=True)
class AgentRow:
    """One agent in the list."""

    agent: Agent
    owner: str
    states: list[tuple[str, str]]
    patterns: list[str]
    proposed: int
    committed: int
    waiting: int
    tokens: int

    @property
    def url(self) -> str:
        return reverse("agent", args=[self.agent.pk])


class AgentsPage:
    """The agents that this person may see: always the same number of statements."""

    def __init__(self, user: Any) -> None:
        found = ownership.agents_for(user).prefetch_related("grants").order_by("name")
        listed = list(found[: LONGEST + 1])
        agents, self.is_cut = listed[:LONGEST], len(listed) > LONGEST
        counts = self.counts(agents)
        tokens = dict(
            AgentToken.objects.filter(agent__in=agents, revoked_at=None, expires_at__gt=clock.now())
            .order_by()
            .values_list("agent")
            .annotate(Count("pk"))
        )
        frozen = frozen_agents()
        self.rows = [
            AgentRow(
                agent=agent,
                owner=presenters.name_of(agent.owner),
                states=states(agent, frozen),
                patterns=sorted(grant.pattern for grant in agent.grants.all()),
                tokens=tokens.get(agent.pk, 0),
                **counts.get(agent.pk, {"proposed": 0, "committed": 0, "waiting": 0}),
            )
            for agent in agents
        ]
        self.is_own = not rights.may_view(user)
        self.may_add = rights.has(user, rights.ADD_AGENT)
        self.days = DAYS

    def counts(self, agents: list[Agent]) -> dict[Any, dict[str, int]]:
        rows = (
            Proposal.objects.filter(agent__in=agents, created_at__gte=since(), is_observed=False)
            .order_by()
            .values_list("agent")
            .annotate(
                proposed=Count("pk"),
                committed=Count("pk", filter=Q(status=Status.COMMITTED)),
                waiting=Count("pk", filter=Q(status=Status.PENDING)),
            )
        )
        return {
            agent: {"proposed": proposed, "committed": committed, "waiting": waiting}
            for agent, proposed, committed, waiting in rows
        }


@dataclass(frozen=True)
class Granted:
    """One pattern, and what of the menu it covers now."""

    pattern: str
    actions: list[Action]

    @classmethod
    def of(cls, pattern: str) -> "Granted":
        return cls(pattern, covered(pattern))

    @property
    def words(self) -> str:
        return counted(len(self.actions))


def counted(number: int) -> str:
    return {0: "nothing there is now", 1: "1 action"}.get(number, f"{number} actions")


def covered(pattern: str) -> list[Action]:
    """The actions of the menu that a pattern lets an agent propose."""
    grant = Grant(pattern=pattern)
    return [action for action in registry.menu() if grant.covers(action.name)]


@dataclass(frozen=True)
class BudgetLine:
    """A budget that binds the agent, where it is fullest."""

    meter: Meter
    covers: str
    url: str


@dataclass(frozen=True)
class RunRow:
    """One session by its number: its name is the agent's to choose."""

    run: Run
    counts: list[tuple[str, int]]
    url: str


@dataclass(frozen=True)
class TokenRow:
    """One token, without what nobody keeps."""

    token: AgentToken
    now: datetime

    @property
    def issuer(self) -> str:
        by = self.token.issued_by
        return presenters.name_of(by) if by else ""

    @property
    def is_live(self) -> bool:
        return self.token.revoked_at is None and self.token.expires_at > self.now

    @property
    def state(self) -> tuple[str, str]:
        if self.token.revoked_at is not None:
            return "revoked", ""
        if not self.is_live:
            return "ended", ""
        return ("replaced", "warning") if self.token.is_replaced else ("valid", "added")


class AgentPage:
    """One agent: who runs it, its record, what binds it, and what this person may do to it."""

    def __init__(self, agent: Agent, user: Any, address: str = "", **shown: Any) -> None:
        self.agent, self.user, self.now = agent, user, clock.now()
        wiring.refresh()
        self.owner = presenters.name_of(agent.owner)
        self.is_own = rights.owns(user, agent)
        self.sees_all = rights.may_view(user)
        self.states = states(agent, frozen_agents())
        self.grants = [
            Granted.of(pattern)
            for pattern in agent.grants.order_by("pattern").values_list("pattern", flat=True)
        ]
        self.actions = [action for action in registry.menu() if agent.may_propose(action.name)]
        self.record = record(agent)
        self.median = median(agent)
        self.observed = Proposal.objects.of(agent).filter(is_observed=True).exists()
        self.budgets = budgets(agent, self.sees_all)
        self.runs = runs(agent, self.sees_all)
        self.latest = latest(agent)
        self.tokens = [TokenRow(token, self.now) for token in agent_forms.live_tokens(agent)]
        self.token = shown.get("token", "")
        self.say_rights()
        self.snippets = self.made(address, shown.get("example", ""))

    def say_rights(self) -> None:
        user, agent = self.user, self.agent
        self.may_grant = rights.has(user, rights.ADD_GRANT)
        self.may_observe = rights.has(user, rights.CHANGE_GRANT)
        self.may_keep_tokens = services.may_keep(user, agent)
        self.sees_tokens = self.may_keep_tokens or rights.has(user, "view_agenttoken")
        self.may_suspend = rights.has(user, rights.FREEZE) or self.is_own
        self.may_resume = rights.has(user, rights.LIFT)
        self.overlaps = agent_forms.OVERLAPS
        self.usual_overlap = agent_forms.USUAL_OVERLAP
        self.issue = agent_forms.IssueForm(initial={"seen": len(self.tokens)})

    def made(self, address: str, example: str) -> list[snippets.Snippet]:
        """What to paste; nothing as long as it may propose nothing."""
        if not self.actions:
            return []
        by_name = {action.name: action for action in self.actions}
        self.example = by_name.get(example, self.actions[0])
        return snippets.snippets(address, self.actions, self.example, self.token)


def record(agent: Agent) -> list[tuple[str, int, str]]:
    """What became of what it proposed in the last days: (word, number, hint)."""
    found = Proposal.objects.of(agent).filter(created_at__gte=since(), is_observed=False)
    by_rules = Q(current_check__effect=Effect.ALLOW)
    counts = found.aggregate(
        proposed=Count("pk"),
        open=Count("pk", filter=Q(status__in=OPEN)),
        alone=Count("pk", filter=Q(status=Status.COMMITTED) & by_rules),
        approved=Count("pk", filter=Q(status__in=DECIDED) & ~by_rules),
        rejected=Count("pk", filter=Q(status=Status.REJECTED)),
        denied=Count("pk", filter=Q(status=Status.DENIED)),
        failed=Count("pk", filter=Q(status=Status.FAILED)),
        undone=Count("pk", filter=Q(is_undone=True)),
        unknown=Count("pk", filter=Q(status=Status.UNKNOWN)),
    )
    return [(word, counts[name], hint) for name, word, hint in RECORD]


RECORD = (
    ("proposed", "Proposed", "all that it asked for"),
    ("open", "Open", "checking, waiting or approved"),
    ("alone", "Committed by itself", "the rules asked nobody"),
    ("approved", "Approved by people", "whatever became of it then"),
    ("rejected", "Rejected", "by people"),
    ("denied", "Denied", "by a rule or a budget"),
    ("failed", "Failed", "nothing was written"),
    ("undone", "Undone", "committed and taken back"),
    ("unknown", "Unknown", "an operator must look"),
)


def median(agent: Agent) -> str:
    """How long people took to decide on it, by the median; empty where nobody did."""
    taken = [
        (decided - checked).total_seconds()
        for decided, checked in Review.objects.decisive()
        .filter(proposal__agent=agent, created_at__gte=since())
        .order_by("-id")
        .values_list("created_at", "on_check__created_at")[:MOST_DECISIONS]
    ]
    return wait(timedelta(seconds=statistics.median(taken))) if taken else ""


def budgets(agent: Agent, sees_all: bool) -> list[BudgetLine]:
    """Every budget that binds it, each by its fullest scope."""
    resources = Proposal.objects.of(agent).order_by().values("resource").distinct()
    fullest: dict[int, standings.Gauge] = {}
    for gauge in standings.binding(str(agent.pk), agent.name, resources=resources):
        fullest.setdefault(gauge.budget.pk, gauge)
    scopes = [gauge.scope for gauge in fullest.values() if gauge.scope]
    named = Named.of((scope.agent, scope.run) for scope in scopes)
    lines = []
    for pk, gauge in fullest.items():
        scope = gauge.scope
        run = named.runs.get((scope.agent, scope.run)) if scope else None
        url = f"{reverse('budgets')}#cap-{pk}" if sees_all else ""
        lines.append(BudgetLine(Meter(gauge, "", run), covers(gauge.budget), url))
    return lines


def runs(agent: Agent, sees_all: bool) -> list[RunRow]:
    """Its latest sessions, each with how many proposals are in which status."""
    found = list(Run.objects.filter(agent=agent).order_by("-pk")[:LATEST])
    counts: dict[int, list[tuple[str, int]]] = defaultdict(list)
    rows = (
        Proposal.objects.filter(run__in=found, agent=agent)
        .order_by("status")
        .values_list("run", "status")
        .annotate(Count("pk"))
    )
    for run, status, number in rows:
        counts[run].append((Status(status).label.lower(), number))
    return [
        RunRow(
            run,
            counts[run.pk],
            f"{reverse('recent')}?{urlencode({'run': run.pk})}" if sees_all else "",
        )
        for run in found
    ]


def latest(agent: Agent) -> list[presenters.Row]:
    """What it proposed last."""
    related = ("agent", "run", "proposer", "current_check")
    found = Proposal.objects.of(agent).select_related(*related).defer(*UNLISTED)
    return presenters.rows(found.order_by("-pk")[:LATEST])


@dataclass
class GrantsPage:
    """What an agent may propose, and what a pattern would add."""

    agent: Agent
    pattern: str = ""
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        wiring.refresh()
        patterns = self.agent.grants.order_by("pattern").values_list("pattern", flat=True)
        self.grants = [Granted.of(pattern) for pattern in patterns]
        self.menu = [
            (action, any(Grant(pattern=one).covers(action.name) for one in patterns))
            for action in registry.menu()
        ]
        self.preview = Granted.of(self.pattern) if self.pattern and not self.faults else None
        self.is_granted = self.pattern in patterns
