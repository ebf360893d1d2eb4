"""From one proposal to a rule that would have let it through: narrow, and in plain conditions."""

import json
import re
from dataclasses import dataclass, replace
from typing import Any

from proposals import gate
from proposals.actions import tables
from proposals.models import Check, Proposal, Rule
from proposals.policy import Effect, RuleData, Trace
from proposals.registry import Tier, registry
from proposals.replay import Case, with_rule

LONGEST_VALUE = 100
DRAFT_ID = "draft"


@dataclass(frozen=True)
class Draft:
    """A rule that is not stored, and what it holds a proposal to in words.

    `in_the_way` are the rules that ask people all the same: the strictest wins, so an allowing
    rule lets nothing through while one of them matches. `left_open` are parameters that the
    condition does not speak of.
    """

    rule: Rule
    in_the_way: tuple[Rule, ...]
    left_open: tuple[str, ...]


def refusal(proposal: Proposal) -> str:
    """Why no rule can be drafted from this proposal; empty if one can."""
    check = proposal.current_check
    if check is None:
        return "It has not been checked yet, so nothing is known that a rule could hold on to."
    if proposal.compensates_id is not None:
        return "It is an undo; whether an undo needs people is not for rules of this kind to say."
    if check.error or check.impact is None:
        return "It could not be previewed, so a rule would let through what nobody has seen."
    if not check.is_reversible:
        return "What it writes cannot be undone, and that always takes a person."
    if check.tier not in {Tier.LOW, Tier.MEDIUM}:
        return "It is at high tier, and that always takes two people."
    return ""


def draft(case: Case) -> Draft:
    """A rule that allows what is like this proposal: ask `refusal` first."""
    proposal, check = case.proposal, case.check
    conditions, left_open = likeness(proposal, check)
    rule = Rule(
        name=f"Allow {proposal.action} like {proposal.pk.hex[-8:]}",
        action=proposal.action,
        condition=" &&\n".join(conditions),
        effect=Effect.ALLOW,
    )
    return Draft(rule, tuple(in_the_way(case)), tuple(left_open))


def matched(case: Case, effect: Effect) -> list[Trace]:
    """The rules in force that speak so of this proposal."""
    verdict = case.judge(gate.rules())
    return [one for one in verdict.trace if one.result == "matched" and one.effect is effect]


def in_the_way(case: Case) -> list[Rule]:
    ids = [int(one.rule_id) for one in matched(case, Effect.REVIEW)]
    return list(Rule.objects.filter(pk__in=ids).order_by("pk"))


def denying(case: Case) -> list[str]:
    """The names of the rules that deny it; nothing can be allowed past them."""
    return [one.name for one in matched(case, Effect.DENY)]


def likeness(proposal: Proposal, check: Check) -> tuple[list[str], list[str]]:
    """What makes another write like this one, as conditions; and what was left open."""
    impact: dict[str, Any] = check.impact or {}
    low = check.tier == Tier.LOW
    conditions = ['tier == "low"' if low else 'tier != "high"', "impact.reversible"]
    if proposal.agent is not None:
        conditions.append(f"agent.name == {literal(proposal.agent.name)}")
    left_open = []
    for name, value in check.revision.params.items():
        held = parameter(proposal.action, check.revision.params, name, value)
        conditions += held
        if not held:
            left_open.append(name)
    conditions.append(f"impact.objects <= {int(impact.get('objects') or 0)}")
    conditions.append(f"impact.people <= {int(impact.get('people') or 0)}")
    if not impact.get("external"):
        conditions.append("!impact.external")
    return conditions + money(impact.get("amount")), left_open


def money(amount: dict[str, str] | None) -> list[str]:
    """No more than this, in the same currency; or none at all."""
    if amount is None:
        return ["impact.amount == null"]
    return [
        "impact.amount != null",
        f"impact.amount.currency == {literal(amount['currency'])}",
        f"number(impact.amount.amount) <= number({literal(amount['amount'])})",
    ]


def parameter(action: str, params: dict[str, Any], name: str, value: Any) -> list[str]:
    """What one parameter of a like write must be; nothing where it may be anything."""
    place = f"params.{name}"
    if not name.isidentifier():
        return []
    if isinstance(value, dict):
        fields = [f"{literal(each)} in {place}" for each in sorted(value)]
        return [
            f"{literal(name)} in params",
            f"size({place}) == {len(value)}",
            *fields,
            *chosen(params, place, value),
        ]
    if isinstance(value, bool):
        return [f"{literal(name)} in params", f"{place} == {'true' if value else 'false'}"]
    is_short = isinstance(value, str) and len(value) <= LONGEST_VALUE
    if is_short and (name == "table" or is_enumerated(action, name)):
        return [f"{literal(name)} in params", f"{place} == {literal(value)}"]
    return []


def chosen(params: dict[str, Any], place: str, values: dict[str, Any]) -> list[str]:
    """Columns with a fixed set of choices keep theirs: paid and refunded are not alike."""
    named = params.get("table")
    table = tables.tables().get(named) if isinstance(named, str) else None
    columns = table.columns if table else {}
    return [
        f"{place}.{name} == {literal(value)}"
        for name, value in sorted(values.items())
        if name in columns and columns[name].choices and isinstance(value, str)
    ]


def is_enumerated(action: str, name: str) -> bool:
    """Whether a parameter is one of a few words."""
    try:
        properties = registry.get(action).schema().get("properties", {})
    except LookupError:
        return False
    shape = properties.get(name, {})
    return isinstance(shape, dict) and ("enum" in shape or "const" in shape)


def literal(value: str) -> str:
    """A text as the language of conditions writes it; JSON's escapes are among its own."""
    return json.dumps(value, ensure_ascii=False)


def excepted(rule: Rule, action: str, condition: str) -> str:
    """The condition of a rule that no longer speaks of what another rule now allows."""
    both = f"{covers(action)} && ({condition})" if condition else covers(action)
    former = f"({rule.condition}) && " if rule.condition else ""
    return f"{former}!({both})"


def covers(pattern: str) -> str:
    """Whether the action fits a pattern, as a condition. Raises ValueError for odd patterns."""
    if "*" not in pattern:
        return f"action == {literal(pattern)}"
    if not re.fullmatch(r"[a-z0-9_.*]+", pattern):
        raise ValueError("Only * may stand for any part of an action here.")
    expression = ".*".join(part.replace(".", "[.]") for part in pattern.split("*"))
    return f"action.matches({literal(f'^{expression}$')})"


def in_force_with(*rules: Rule) -> list[RuleData]:
    """The rules in force as they would be with these stored. For a replay: nothing is saved."""
    then = gate.rules()
    for number, rule in enumerate(rules):
        data = rule.data() if rule.pk else replace(rule.data(), id=f"{DRAFT_ID}-{number}")
        then = with_rule(then, data, rule.is_active)
    return then
