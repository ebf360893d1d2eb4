"""Rules and facts in, verdict and trace out. Pure: no models, no settings, no clock.

The strictest of all that match wins, and whatever is unclear means that people look. No rule can
go under the floors: irreversible and erring never pass alone, and high tier takes two people.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from proposals import expressions
from proposals.expressions import ConditionFailed, InvalidCondition, compile_condition
from proposals.registry import Tier

__all__ = [
    "Effect",
    "InvalidCondition",
    "RuleData",
    "Trace",
    "Verdict",
    "compile_condition",
    "evaluate",
    "is_stricter",
]

REVIEWERS = "reviewers"
SENIOR_REVIEWERS = "senior-reviewers"
HIGH_TIER_APPROVALS = 2
SHOWN_LENGTH = 200  # of one value in a trace

LITERAL = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|//[^\n]*")
NAMED_FACT = re.compile(
    rf"(?<![\w.])(?:{'|'.join(expressions.NAMES)})\b(?:\s*\.\s*[A-Za-z_]\w*)*(?!\w)(?:\s*\()?"
)


class Effect(StrEnum):
    """What a rule does. RAISE lifts the tier and decides nothing by itself."""

    ALLOW = "allow"
    REVIEW = "review"
    DENY = "deny"
    RAISE = "raise"


STRICTNESS = {Effect.ALLOW: 0, Effect.REVIEW: 1, Effect.DENY: 2}


@dataclass(frozen=True)
class RuleData:
    """A rule as it is evaluated. `action` is a pattern; an empty condition means always."""

    id: str
    name: str
    version: int
    action: str
    condition: str
    effect: Effect
    approvals: int = 0
    group: str = ""
    tier: str = ""
    reason_code: str = ""
    message: str = ""


@dataclass(frozen=True)
class Trace:
    """What one rule said: its condition, and what it found where the condition looks."""

    rule_id: str
    name: str
    version: int
    effect: Effect
    result: str
    detail: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"effect": self.effect.value}


@dataclass(frozen=True)
class Verdict:
    """What the rules answer together. Any one of the groups may fill the seats."""

    effect: Effect
    tier: str
    approvals: int
    groups: tuple[str, ...]
    reasons: tuple[dict[str, str], ...]
    trace: tuple[Trace, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "effect": self.effect.value,
            "tier": str(self.tier),
            "approvals": self.approvals,
            "groups": list(self.groups),
            "reasons": [dict(reason) for reason in self.reasons],
            "trace": [line.as_json() for line in self.trace],
        }


@dataclass
class _Seats:
    """How many people of which groups. Grows as demands arrive, and never shrinks."""

    approvals: int = 0
    groups: tuple[str, ...] = ()

    def demand(self, rule: RuleData) -> None:
        """What a rule asks for: the larger number wins, equal numbers join their groups."""
        approvals, group = max(rule.approvals, 1), rule.group or REVIEWERS
        if approvals > self.approvals:
            self.approvals, self.groups = approvals, (group,)
        elif approvals == self.approvals and group not in self.groups:
            self.groups = (*self.groups, group)

    def at_least(self, approvals: int, group: str) -> None:
        """A floor: it widens nobody's right where the rules already ask for as many people."""
        if approvals > self.approvals:
            self.approvals, self.groups = approvals, (group,)


@dataclass
class _Hearing:
    """Rules held against one set of facts, one after another."""

    facts: Mapping[str, Any]
    trace: list[Trace] = field(default_factory=list)
    matched: list[RuleData] = field(default_factory=list)
    erred: list[RuleData] = field(default_factory=list)

    def hear(self, rules: Iterable[RuleData], tier: Tier) -> None:
        facts = {**self.facts, "tier": tier.value}
        ask = _asking(facts)
        for rule in rules:
            result, error = ask(rule.condition)
            if result == "matched":
                self.matched.append(rule)
            elif result == "error":
                self.erred.append(rule)
            detail = _shown(rule.condition, facts) + (f"; error: {error}" if error else "")
            self.trace.append(
                Trace(rule.id, rule.name, rule.version, rule.effect, result, _storable(detail))
            )

    def having(self, effect: Effect) -> list[RuleData]:
        return [rule for rule in self.matched if rule.effect is effect]


def evaluate(
    rules: Iterable[RuleData],
    *,
    action: str,
    tier: str,
    is_reversible: bool,
    facts: dict[str, Any],
) -> Verdict:
    """The verdict on one call. Rules that raise see the tier as given, all others as raised."""
    applicable = [rule for rule in rules if fnmatchcase(action, rule.action)]
    hearing = _Hearing({**facts, "action": action})
    base = _tier(tier)
    hearing.hear((rule for rule in applicable if rule.effect is Effect.RAISE), base)
    final = Tier.strictest(
        base,
        *(_tier(rule.tier) for rule in hearing.matched),
        *(Tier.HIGH for _ in hearing.erred),
    )
    hearing.hear((rule for rule in applicable if rule.effect is not Effect.RAISE), final)
    effect, seats, reasons = _decide(hearing, final, is_reversible)
    if final is not base:
        raising = hearing.having(Effect.RAISE)
        reasons += [_reason(rule, "tier-raised") for rule in raising]
    return Verdict(
        effect=effect,
        tier=final.value,
        approvals=seats.approvals,
        groups=seats.groups,
        reasons=tuple(reasons),
        trace=tuple(hearing.trace),
    )


def is_stricter(new: Verdict, old: Verdict) -> bool:
    """Whether what satisfied `old` might not satisfy `new`, in any respect."""
    if STRICTNESS[new.effect] != STRICTNESS[old.effect]:
        return STRICTNESS[new.effect] > STRICTNESS[old.effect]
    return (
        _tier(new.tier).rank > _tier(old.tier).rank
        or new.approvals > old.approvals
        or (new.effect is Effect.REVIEW and not set(old.groups) <= set(new.groups))
    )


def _decide(
    hearing: _Hearing, tier: Tier, is_reversible: bool
) -> tuple[Effect, _Seats, list[dict[str, str]]]:
    denying = hearing.having(Effect.DENY)
    if denying:
        return Effect.DENY, _Seats(), [_reason(rule, "denied-by-rule") for rule in denying]
    reviewing, allowing = hearing.having(Effect.REVIEW), hearing.having(Effect.ALLOW)
    seats = _Seats()
    reasons = [_reason(rule, "review-by-rule") for rule in reviewing]
    # A rule for review that erred keeps its own demand, or whoever makes it err would lower it.
    for rule in (*reviewing, *(rule for rule in hearing.erred if rule.effect is Effect.REVIEW)):
        seats.demand(rule)
    for approvals, group, code, detail in _floors(hearing, tier, is_reversible):
        seats.at_least(approvals, group)
        reasons.append({"code": code, "detail": detail})
    if seats.approvals:
        return Effect.REVIEW, seats, reasons
    return Effect.ALLOW, seats, [_reason(rule, "allowed-by-rule") for rule in allowing]


def _floors(
    hearing: _Hearing, tier: Tier, is_reversible: bool
) -> Iterable[tuple[int, str, str, str]]:
    """Why people must look whatever the rules say: how many, of whom, and the reason."""
    if hearing.erred:
        yield 1, REVIEWERS, "rule-failed", "A rule could not be evaluated, so people must look."
    if not any(rule.effect is not Effect.RAISE for rule in hearing.matched):
        yield 1, REVIEWERS, "no-rule-matched", "No rule covers this, so people must look."
    if not is_reversible:
        yield 1, REVIEWERS, "irreversible", "This cannot be undone, so people must look."
    if tier is Tier.HIGH:
        yield (
            HIGH_TIER_APPROVALS,
            SENIOR_REVIEWERS,
            "high-tier",
            f"A mistake would cost much, so at least {HIGH_TIER_APPROVALS} people must look.",
        )


SENTENCES = {
    "denied-by-rule": "A rule denies this.",
    "review-by-rule": "A rule asks people to look at this.",
    "allowed-by-rule": "A rule allows this.",
    "tier-raised": "A rule holds a mistake here to be dearer than usual.",
}


def _reason(rule: RuleData, code: str) -> dict[str, str]:
    """Agents may read this: the rule's sentence for them, never its name or threshold."""
    return {"code": rule.reason_code or code, "detail": rule.message or SENTENCES[code]}


def _tier(name: str) -> Tier:
    """A tier that nobody knows is the strictest."""
    return Tier(name) if name in set(Tier) else Tier.HIGH


def _asking(facts: Mapping[str, Any]) -> Callable[[str], tuple[str, str]]:
    """A function from a condition to its result and error; binds the facts once for all rules."""
    try:
        bound, fault = expressions.bind(facts), ""
    except ConditionFailed as error:
        bound, fault = None, str(error)

    def ask(condition: str) -> tuple[str, str]:
        if not condition:
            return "matched", ""
        if fault:
            return "error", fault
        try:
            return ("matched" if expressions.holds(condition, bound) else "not_matched"), ""
        except ConditionFailed as error:
            return "error", str(error)

    return ask


def _shown(condition: str, facts: Mapping[str, Any]) -> str:
    """The condition, and the values of the facts it names as they were."""
    if not condition:
        return "always"
    named = NAMED_FACT.findall(LITERAL.sub('""', condition))
    values = dict.fromkeys(_value_of("".join(name.split()), facts) for name in named)
    where = ", ".join(values)
    return f"{condition}, where {where}" if where else condition


def _value_of(path: str, facts: Mapping[str, Any]) -> str:
    """`impact.objects = 12`; of a called method, the value it is called on."""
    steps = path.removesuffix("(").split(".")
    if path.endswith("(") and len(steps) > 1:
        steps.pop()
    value: Any = facts
    for step in steps:
        if not isinstance(value, Mapping) or step not in value:
            return f"{'.'.join(steps)} is absent"
        value = value[step]
    try:
        shown = json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        shown = "beyond showing"
    if len(shown) > SHOWN_LENGTH:
        shown = f"{shown[:SHOWN_LENGTH]}…"
    return f"{'.'.join(steps)} = {shown}"


def _storable(text: str) -> str:
    """Without NUL and lone surrogates, which no database takes; the trace must always land."""
    return text.replace("\x00", "\N{SYMBOL FOR NULL}").encode("utf-8", "replace").decode()
