"""Checks: whatever is unclear means that people look, and what is late never lands."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.db.migrations.exceptions import IrreversibleError
from django.db.migrations.executor import MigrationExecutor
from django.db.models import F

from proposals import checks, gate, services
from proposals.models import Check, Proposal, Rule
from tests import factories
from tests.factories import fresh, make_checked, make_proposal, painting, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]


@pytest.fixture(autouse=True)
def _default_rules():
    factories.make_person()


def land_late(proposal, revision):
    """A check that started before something else happened, and lands now."""
    findings = checks.examine(proposal.action, revision.params)
    in_force = gate.rules()
    verdict = gate.judge(proposal, revision, findings, in_force)
    return lambda: checks.land(proposal, revision, findings, verdict, in_force)


def test_a_check_that_started_before_an_amendment_never_lands():
    proposal = make_proposal()
    late = land_late(proposal, proposal.revision())
    services.amend(
        agent=proposal.agent,
        proposal_id=proposal.pk,
        key="amend",
        fingerprint="f",
        changes={"params": painting("green", tier="high")},
    )
    assert late() is None
    assert not Check.objects.exists()
    assert fresh(proposal).status == "submitted"


def test_a_check_that_started_before_a_withdrawal_never_lands():
    proposal = make_proposal()
    late = land_late(proposal, proposal.revision())
    services.withdraw(agent=proposal.agent, proposal_id=proposal.pk)
    assert late() is None
    assert fresh(proposal).status == "withdrawn"


def test_checking_twice_at_once_lands_once():
    proposal = make_proposal()
    first = land_late(proposal, proposal.revision())
    second = land_late(proposal, proposal.revision())
    assert first() is not None
    assert second() is None
    assert Check.objects.count() == 1


@pytest.mark.parametrize("failure", ["refused", "unavailable", "unclear"])
def test_a_preview_that_errs_means_people(toybox, failure):
    toybox.failing["preview"] = failure
    proposal = make_checked()
    assert proposal.status == "pending"
    assert proposal.current_check.error
    assert not proposal.current_check.is_approvable


def test_without_any_rule_people_look():
    Rule.objects.update(is_active=False)
    assert make_checked().status == "pending"


def test_a_rule_that_errs_means_people():
    services.save_rule(
        rule=Rule(name="Broken", condition="params.nowhere > 1", effect="allow"),
        person=None,
        is_new=True,
    )
    assert make_checked().status == "pending"


def test_rules_may_ask_for_many_groups_of_long_names():
    for number in range(5):
        name = f"{number}-{'n' * 145}"
        Group.objects.create(name=name)
        rule = Rule(name=name[:120], condition="true", effect="review", approvals=2, group=name)
        services.save_rule(rule=rule, person=None, is_new=True)
    proposal = make_checked()
    assert proposal.status == "pending"
    assert len(proposal.current_check.group_names) == 5


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("length", [500, 501])
def test_going_back_to_where_groups_were_short_cuts_none(length):
    for part in ("a" * 149, "b" * 149, "c" * 149, "d" * (length - 452)):
        Group.objects.create(name=part)
        rule = Rule(name=part[:9], condition="true", effect="review", group=part)
        services.save_rule(rule=rule, person=None, is_new=True)
    groups = make_checked().current_check.groups
    assert len(groups) == length
    executor = MigrationExecutor(connection)
    migration = executor.loader.get_migration("proposals", "0021_any_number_of_groups")
    before = executor.loader.project_state([("proposals", "0020_known_issuers")])
    if length == 500:
        executor.unapply_migration(before.clone(), migration)
        executor.apply_migration(before, migration)
    else:
        with pytest.raises(IrreversibleError, match="1 check names more groups"):
            executor.unapply_migration(before, migration)
    assert Check.objects.get().groups == groups


def test_what_cannot_be_undone_is_never_approved_by_a_rule():
    assert make_checked(params=painting(for_good=True)).status == "pending"


def test_the_same_intent_under_another_key_needs_people():
    first = make_checked()
    second = make_checked()
    assert first.status == "committed"
    assert second.status == "pending"
    assert second.duplicate_of_id == first.pk


class TestDuplicates:
    """What the same agent asked for, or had written, within the last 24 hours."""

    def sent_back(self, **fields):
        proposal = make_checked(params=painting("red", tier="medium"), **fields)
        factories.review(proposal, "request_changes")
        return fresh(proposal)

    def hours_pass(self, hours):
        """All moments of proposals lie so much further back."""
        moments = ("created_at", "updated_at", "committed_at")
        Proposal.objects.update(**{name: F(name) - timedelta(hours=hours) for name in moments})

    def amend(self, proposal, params):
        key = factories.new_key()
        services.amend(
            agent=proposal.agent,
            proposal_id=proposal.pk,
            key=key,
            fingerprint=key,
            changes={"params": params},
        )
        work()
        return fresh(proposal)

    def test_content_counts_from_when_it_was_asked_for_and_not_its_proposal(self):
        first = self.sent_back()
        self.hours_pass(25)
        assert self.amend(first, painting("teal")).status == "committed"
        self.hours_pass(23)
        second = make_checked(params=painting("teal"))
        assert (second.duplicate_of_id, second.status) == (first.pk, "pending")

    def test_an_amendment_turns_no_other_proposal_into_what_was_just_asked_for(self):
        first, other = self.sent_back(), self.sent_back(run="other")
        self.hours_pass(25)
        assert self.amend(first, painting("teal")).status == "committed"
        other = self.amend(other, painting("teal"))
        assert (other.duplicate_of_id, other.status) == (first.pk, "pending")

    def test_what_was_written_lately_counts_however_long_it_waited(self):
        first = make_checked(params=painting("red", tier="medium"))
        self.hours_pass(25)
        factories.approve(first)
        work()
        assert fresh(first).status == "committed"
        assert make_checked(params=painting("red", tier="medium")).duplicate_of_id == first.pk

    def test_what_nothing_happened_to_for_a_day_does_not_count(self):
        first = make_checked()
        self.hours_pass(25)
        second = make_checked()
        assert (second.duplicate_of_id, second.status) == (None, "committed")
        assert make_checked().duplicate_of_id == second.pk
        assert fresh(first).status == "committed"


def test_hidden_characters_raise_the_tier():
    proposal = make_checked(rationale="Please\u202e approve.")
    assert proposal.tier == "medium"
    assert proposal.status == "pending"


def test_a_denying_rule_ends_it_and_tells_the_agent_a_sentence_but_no_rule():
    services.save_rule(
        rule=Rule(
            name="Secret name", condition="true", effect="deny", message="Bears stay as they are."
        ),
        person=None,
        is_new=True,
    )
    proposal = make_checked()
    assert proposal.status == "denied"
    assert proposal.error["detail"] == "Bears stay as they are."
    assert "Secret" not in str(proposal.error)


def test_looser_rules_do_not_let_through_what_already_waits():
    proposal = make_checked(params=painting(tier="medium"))
    rule = Rule.objects.get(name="Medium needs one reviewer")
    rule.effect = "allow"
    services.save_rule(rule=rule, person=None, is_new=False)
    services.recheck(proposal_id=proposal.pk, reason="The rules changed.")
    work()
    assert fresh(proposal).status == "pending"


def test_the_digest_names_what_a_person_saw_and_nothing_else():
    proposal = make_checked(params=painting(tier="medium"))
    digest = proposal.current_check.digest
    services.recheck(proposal_id=proposal.pk, reason="Once more.")
    work()
    again = fresh(proposal)
    assert again.current_check_id != proposal.current_check_id
    assert again.current_check.digest == digest


def test_a_change_of_the_target_changes_the_digest(toybox):
    proposal = make_checked(params=painting(tier="medium"))
    digest = proposal.current_check.digest
    toybox.colours["bear"] = "green"
    services.recheck(proposal_id=proposal.pk, reason="Once more.")
    work()
    assert fresh(proposal).current_check.digest != digest
