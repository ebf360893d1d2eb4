"""The floors of the gate: what people must look at though every rule says yes."""

import pytest

from proposals import gate, services
from proposals.gate import Findings
from proposals.models import Proposal
from proposals.policy import Effect, RuleData
from tests.factories import fresh, make_checked, make_person, make_proposal

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]
YES_TO_ALL = RuleData(
    id="1", version=1, name="Yes to all", action="*", condition="", effect=Effect.ALLOW
)
FINE = {"base_tier": "low", "compensation": {"action": "toys.set", "params": {}}}
CONFLICT = {"object": "toys/bear", "field": "colour", "expected": "blue", "found": "red"}


def judged(proposal, **found):
    return gate.judge(proposal, proposal.revision(), Findings(**FINE | found), [YES_TO_ALL])


def codes(verdict):
    return [reason["code"] for reason in verdict.reasons]


def undo_of_a_commit():
    committed = make_checked()
    undo = services.undo(proposal_id=committed.pk, person=make_person(), reason="A mix-up.")
    return fresh(undo)


def test_nothing_in_the_way_is_let_through():
    assert judged(make_proposal()).effect is Effect.ALLOW


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("preview-failed", {"error": "The database did not answer."}),
        ("undo-conflict", {"conflicts": [CONFLICT]}),
    ],
)
def test_what_a_preview_found_can_take_people(code, found):
    verdict = judged(make_proposal(), **found)
    assert (verdict.effect, codes(verdict)) == (Effect.REVIEW, ["allowed-by-rule", code])
    assert verdict.approvals >= 1


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        ("target-keeps-moving", {"rechecks": 3}),
        ("possible-duplicate", {"duplicate_of": True}),
    ],
)
def test_what_a_proposal_is_can_take_people(code, fields):
    proposal = make_proposal()
    if "duplicate_of" in fields:
        fields = {"duplicate_of": make_proposal(agent=proposal.agent)}
    Proposal.objects.filter(pk=proposal.pk).update(**fields)
    verdict = judged(fresh(proposal))
    assert (verdict.effect, codes(verdict)) == (Effect.REVIEW, ["allowed-by-rule", code])


class TestACleanUndo:
    """It commits alone though no rule matches; none of these is one."""

    def judged(self, undo, **found):
        return gate.judge(undo, undo.revision(), Findings(**FINE | found), [])

    def test_takes_nobody_else(self):
        assert self.judged(undo_of_a_commit()).effect is Effect.ALLOW

    @pytest.mark.parametrize(
        "found",
        [{"conflicts": [CONFLICT]}, {"error": "It did not answer."}, {"base_tier": "high"}],
        ids=["conflicts", "error", "high tier"],
    )
    def test_is_not_one_that_found_something_else(self, found):
        assert self.judged(undo_of_a_commit(), **found).effect is Effect.REVIEW

    def test_is_not_one_by_somebody_who_has_lost_the_right(self):
        undo = undo_of_a_commit()
        undo.proposer.groups.clear()
        assert self.judged(fresh(undo)).effect is Effect.REVIEW
