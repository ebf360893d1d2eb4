"""Rules made and changed from the console: seen in a replay first, then saved by who may."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction

from proposals import drafting, replay, rights
from proposals.exceptions import InvalidRequest, NotEligible, NotFound
from proposals.models import Proposal, Rule
from proposals.policy import Effect
from proposals.services.configuration import save_rule
from proposals.services.decisions import invalid

ADD_RULES = "add_rule"
FIELDS = (
    "name",
    "action",
    "condition",
    "effect",
    "approvals",
    "group",
    "tier",
    "message",
    "is_active",
)


def allow_always(
    *, proposal_id: UUID, person: Any, rule: Rule, exceptions: Mapping[int, int]
) -> Rule:
    """Store a rule that allows what is like this proposal, and except it from others.

    `exceptions` are the rules that ask people all the same, by id, each with the version that was
    shown. What waits already goes on waiting: a looser rule lets through only what comes after.
    Raises NotEligible, NotFound, ValidationError for a rule that could not be evaluated, or
    InvalidRequest for one that would speak of high tier or of what cannot be undone.
    """
    if not may_allow(person):
        raise NotEligible(NO_RIGHT)
    proposal = find(proposal_id)
    if why := drafting.refusal(proposal):
        raise NotEligible(f"No rule can be made from this proposal. {why}")
    rule.effect = Effect.ALLOW
    rule.full_clean()
    if why := objection(proposal, rule):
        raise invalid("condition", "too-wide", why)
    with transaction.atomic():
        changed = excepting(rule, exceptions)
        saved = save_rule(rule=rule, person=person, is_new=True)
        for one in changed:
            save_rule(rule=one, person=person, is_new=False)
    return saved


def may_allow(person: Any) -> bool:
    """Whether this person may add a rule and change others for it."""
    return rights.has(person, rights.CHANGE_RULES) and rights.has(person, ADD_RULES)


def find(proposal_id: UUID) -> Proposal:
    related = ("agent", "run", "proposer", "current_check__revision")
    found = Proposal.objects.select_related(*related).filter(pk=proposal_id).first()
    if found is None:
        raise NotFound
    return found


def objection(proposal: Proposal, rule: Rule) -> str:
    """Why this may not be a rule that allows; tried on this proposal and on recent ones."""
    candidate = rule.data()
    cases, _, _ = replay.recent([rule.action], [candidate])
    return replay.danger(candidate, [replay.case_of(proposal), *cases])


def excepting(rule: Rule, exceptions: Mapping[int, int]) -> list[Rule]:
    """The rules that no longer speak of what another one allows, locked and not yet stored."""
    found = list(
        Rule.objects.select_for_update(no_key=True).filter(pk__in=exceptions).order_by("pk")
    )
    for one in found:
        if one.version != exceptions[one.pk]:
            raise InvalidRequest(f"The rule “{one.name}” was changed meanwhile. Look at it again.")
        narrow(one, rule)
    return found


def narrow(one: Rule, rule: Rule) -> None:
    """Make a rule that asks people leave out what `rule` allows. Raises InvalidRequest."""
    if one.effect != Effect.REVIEW:
        raise InvalidRequest(f"The rule “{one.name}” does not ask people, so nothing is excepted.")
    try:
        one.condition = drafting.excepted(one, rule.action, rule.condition)
    except ValueError as error:
        raise invalid("action", "pattern", str(error)) from error


def change_rule(*, rule_id: int, version: int, person: Any, fields: Mapping[str, Any]) -> Rule:
    """Store a rule as edited from the version that was shown.

    Raises NotEligible, NotFound, ValidationError, or InvalidRequest when somebody else changed it
    meanwhile.
    """
    if not rights.has(person, rights.CHANGE_RULES):
        raise NotEligible(NO_RIGHT)
    with transaction.atomic():
        rule = Rule.objects.select_for_update(no_key=True).filter(pk=rule_id).first()
        if rule is None:
            raise NotFound
        if rule.version != version:
            raise InvalidRequest("Somebody changed this rule meanwhile. Look at it again.")
        for name in FIELDS:
            if name in fields:
                setattr(rule, name, fields[name])
        return save_rule(rule=rule, person=person, is_new=False)


NO_RIGHT = "Changing rules takes a right that you do not have; a policy administrator has it."
