"""What would have happened: the judgements on what an agent proposed while it was observed."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.urls import reverse

from proposals import checks, observing
from proposals.console import diff
from proposals.lifecycle import Status
from proposals.models import Agent, Check, Proposal

MOST = 1000
EXAMPLES = 3
CHANGES = 5
ALONE = "would have committed by itself"
DENIED = "would have been denied"
UNCHECKED = "could not be checked"
ORDER = (ALONE, "would have waited", DENIED, UNCHECKED)
KINDS = {ALONE: "added", DENIED: "removed", UNCHECKED: "warning"}


def outcome(proposal: Proposal) -> str:
    """What would have become of it, in words that rows are counted by."""
    check = proposal.current_check
    if check is None or check.error:
        return UNCHECKED
    if observing.is_over_budget(proposal):
        return DENIED
    status = checks.follows(proposal, check)
    if status is Status.DENIED:
        return DENIED
    if status is Status.APPROVED:
        return ALONE
    groups = " or ".join(check.group_names) or "reviewers"
    return f"would have waited for {check.approvals} of {groups}"


def deciders(proposal: Proposal) -> tuple[str, ...]:
    """The rules whose word it was, by name; else why the product itself asked for people."""
    check = proposal.current_check
    if check is None:
        return ()
    if observing.is_over_budget(proposal):
        return (proposal.reason.removeprefix(observing.SENTENCE).strip(),)
    spoke = [
        line["name"]
        for line in check.trace
        if line["result"] == "matched" and line["effect"] == check.effect
    ]
    if spoke:
        return tuple(dict.fromkeys(spoke))
    return tuple(dict.fromkeys(reason["detail"] for reason in check.reasons))


@dataclass
class Group:
    """Proposals of one action and tier that would have gone the same way for the same reason."""

    action: str
    tier: str
    outcome: str
    deciders: tuple[str, ...]
    count: int = 0
    objects: int = 0
    amounts: dict[str, Decimal] = field(default_factory=dict)
    examples: list["Example"] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return KINDS.get(self.outcome, "")

    @property
    def rank(self) -> tuple[int, str, str]:
        place = next(
            (at for at, words in enumerate(ORDER) if self.outcome.startswith(words)), len(ORDER)
        )
        return place, self.action, self.tier

    def add(self, proposal: Proposal) -> None:
        self.count += 1
        impact = (proposal.current_check.impact if proposal.current_check else None) or {}
        self.objects += impact.get("objects") or 0
        if amount := impact.get("amount"):
            earlier = self.amounts.get(amount["currency"], Decimal(0))
            self.amounts[amount["currency"]] = earlier + Decimal(amount["amount"])
        if len(self.examples) < EXAMPLES:
            self.examples.append(Example(proposal))

    @property
    def moved(self) -> list[dict[str, str]]:
        """Money that would have moved, by currency."""
        return [
            {"amount": f"{total:f}", "currency": currency}
            for currency, total in sorted(self.amounts.items())
        ]


@dataclass(frozen=True)
class Example:
    """One proposal to look at."""

    proposal: Proposal

    @property
    def sentence(self) -> str:
        check = self.proposal.current_check
        return check.sentence if check else ""

    @property
    def url(self) -> str:
        return reverse("proposal", args=[self.proposal.pk])


@dataclass(frozen=True)
class Change:
    """What one of them would have changed, field by field."""

    example: Example
    outcome: str
    objects: list[Any]

    @classmethod
    def of(cls, proposal: Proposal, check: Check) -> "Change":
        return cls(
            Example(proposal), outcome(proposal), diff.objects(check.before, None, check.after)
        )


class ObservedPage:
    """The latest of what was observed, in a fixed number of statements."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        seen = Proposal.objects.of(agent).filter(is_observed=True)
        self.total = seen.count()
        self.checking = seen.filter(status=Status.SUBMITTED).count()
        judged = list(
            seen.exclude(current_check=None)
            .select_related("current_check")
            .defer(
                "result",
                "current_check__before",
                "current_check__after",
                "current_check__compensation",
            )
            .order_by("-pk")[:MOST]
        )
        self.judged, self.is_cut = len(judged), len(judged) == MOST
        self.groups = sorted(grouped(judged), key=lambda group: group.rank)
        self.totals = totals(self.groups)
        self.changes = changes(judged)


def grouped(judged: Iterable[Proposal]) -> list[Group]:
    found: dict[tuple, Group] = {}
    for proposal in judged:
        key = (proposal.action, proposal.tier, outcome(proposal), deciders(proposal))
        found.setdefault(key, Group(*key)).add(proposal)
    return list(found.values())


def totals(groups: list[Group]) -> list[tuple[str, int]]:
    """How many would have gone which way, whatever the group of people."""
    counts = {words: 0 for words in ORDER}
    for group in groups:
        for words in ORDER:
            if group.outcome.startswith(words):
                counts[words] += group.count
    return list(counts.items())


def changes(judged: list[Proposal]) -> list[Change]:
    """The newest that would have been written, or might have been."""
    wanted = [proposal for proposal in judged if outcome(proposal) not in {DENIED, UNCHECKED}][
        :CHANGES
    ]
    whole = Check.objects.in_bulk([proposal.current_check_id for proposal in wanted])
    return [Change.of(proposal, whole[proposal.current_check_id]) for proposal in wanted]
