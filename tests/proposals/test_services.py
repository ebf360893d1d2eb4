"""The verbs: what each refuses, and what it leaves behind."""

from datetime import timedelta

import pytest

from ledger import clock
from ledger.models import LedgerEntry
from proposals import services
from proposals.exceptions import (
    AlreadyDecided,
    AlreadyUndone,
    IllegalTransition,
    InvalidRequest,
    NotEligible,
    NotFound,
    NothingToUndo,
    StaleDigest,
)
from proposals.models import Execution, Proposal, Review
from tests import factories
from tests.factories import fresh, make_checked, make_person, painting, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]


def pending(tier: str = "medium", **params):
    return make_checked(params=painting(tier=tier, **params))


def amend(proposal: Proposal, **changes):
    return services.amend(
        agent=proposal.agent,
        proposal_id=proposal.pk,
        key=factories.new_key(),
        fingerprint=factories.new_key(),
        changes=changes,
    )[0]


class TestReview:
    def test_one_approval_commits_at_medium_tier(self, toybox):
        proposal = pending()
        factories.approve(proposal)
        assert fresh(proposal).status == "approved"
        work()
        assert fresh(proposal).status == "committed"
        assert toybox.colours["bear"] == "blue"

    def test_an_older_digest_is_refused_and_nothing_is_recorded(self):
        proposal = pending()
        seen = proposal.current_check.digest
        amend(proposal, params=painting("green", tier="medium"))
        work()
        with pytest.raises(StaleDigest):
            services.review(
                proposal_id=proposal.pk, reviewer=make_person(), decision="approve", digest=seen
            )
        assert not Review.objects.exists()

    def test_what_is_decided_takes_no_comment_either(self):
        proposal = pending()
        seen = proposal.current_check.digest
        factories.review(proposal, "reject")
        with pytest.raises(IllegalTransition):
            services.review(
                proposal_id=proposal.pk,
                reviewer=make_person("ravi"),
                decision="comment",
                digest=seen,
                reason="One more thing.",
            )
        assert Review.objects.count() == 1

    def test_the_second_decision_sees_the_first(self):
        """Both opened the page while it was pending; the row is read again under the lock."""
        proposal = pending()
        seen = proposal.current_check.digest
        factories.review(proposal, "reject")
        with pytest.raises(IllegalTransition):
            services.review(
                proposal_id=proposal.pk,
                reviewer=make_person("ravi"),
                decision="approve",
                digest=seen,
            )
        assert not Execution.objects.exists()

    def test_an_unknown_proposal_is_not_found(self):
        with pytest.raises(NotFound):
            services.review(
                proposal_id=factories.make_agent().pk,
                reviewer=make_person(),
                decision="approve",
                digest="",
            )

    def test_high_tier_takes_two_senior_people_a_reason_and_a_fact(self):
        proposal = pending("high")
        saul = make_person("saul", groups=["reviewers", "senior-reviewers"])
        sara = make_person("sara", groups=["reviewers", "senior-reviewers"])
        with pytest.raises(NotEligible):
            factories.approve(proposal)
        with pytest.raises(InvalidRequest, match="at least 15"):
            factories.approve(proposal, reviewer=saul, reason="fine", fact="bear")
        with pytest.raises(InvalidRequest, match="evidence"):
            factories.approve(proposal, reviewer=saul, fact="duck")
        factories.approve(proposal, reviewer=saul, fact="bear")
        assert fresh(proposal).status == "pending"
        with pytest.raises(AlreadyDecided):
            factories.approve(proposal, reviewer=saul, fact="bear")
        factories.approve(proposal, reviewer=sara, fact="bear")
        assert fresh(proposal).status == "approved"

    def test_two_accounts_of_one_person_fill_one_seat(self):
        proposal = pending("high")
        seniors = ["reviewers", "senior-reviewers"]
        first = make_person("saul", groups=seniors, email="saul@example.com")
        second = make_person("saul2", groups=seniors, email="Saul@Example.com ")
        factories.approve(proposal, reviewer=first, fact="bear")
        with pytest.raises(AlreadyDecided):
            factories.approve(proposal, reviewer=second, fact="bear")

    def test_the_owner_of_the_agent_never_decides(self):
        owner = make_person("olga", groups=["reviewers"])
        agent = factories.make_agent(owner=owner)
        proposal = make_checked(agent=agent, params=painting(tier="medium"))
        with pytest.raises(NotEligible, match="own the agent"):
            factories.approve(proposal, reviewer=owner)
        second = make_person("olga2", groups=["reviewers"], email="OLGA@example.com")
        with pytest.raises(NotEligible, match="own the agent"):
            factories.approve(proposal, reviewer=second)

    def test_a_superuser_without_the_right_does_not_decide(self):
        proposal = pending()
        ada = make_person("ada", groups=[], is_superuser=True)
        with pytest.raises(NotEligible):
            factories.approve(proposal, reviewer=ada)

    @pytest.mark.parametrize("decision", ["reject", "request_changes", "comment"])
    def test_all_but_approval_need_a_reason(self, decision):
        with pytest.raises(InvalidRequest) as refusal:
            factories.review(pending(), decision, reason="  ")
        assert refusal.value.errors[0]["pointer"] == "/reason"

    def test_a_comment_changes_nothing_but_is_kept(self):
        proposal = pending()
        factories.review(proposal, "comment", reason="Looking into it.")
        assert fresh(proposal).status == "pending"
        assert Review.objects.get().reason == "Looking into it."

    def test_an_unknown_verdict_is_refused(self):
        with pytest.raises(InvalidRequest, match="four verdicts"):
            factories.review(pending(), "maybe")

    def test_a_failed_preview_cannot_be_approved_but_rejected(self, toybox):
        toybox.failing["preview"] = "unclear"
        proposal = pending()
        assert proposal.status == "pending"
        saul = make_person("saul", groups=["reviewers", "senior-reviewers"])
        with pytest.raises(NotEligible, match="nothing definite"):
            factories.approve(proposal, reviewer=saul)
        factories.review(proposal, "reject", reviewer=saul)
        assert fresh(proposal).status == "rejected"


class TestAmend:
    def test_a_new_revision_is_checked_anew_and_old_approvals_do_not_count(self):
        proposal = pending("high")
        saul = make_person("saul", groups=["reviewers", "senior-reviewers"])
        factories.approve(proposal, reviewer=saul, fact="bear")
        amend(proposal, params=painting("green", tier="high"))
        work()
        proposal = fresh(proposal)
        assert proposal.revision_number == 2
        assert proposal.status == "pending"
        sara = make_person("sara", groups=["reviewers", "senior-reviewers"])
        factories.approve(proposal, reviewer=sara, fact="bear")
        assert fresh(proposal).status == "pending"

    def test_equal_content_keeps_its_approvals(self):
        proposal = pending("high")
        saul = make_person("saul", groups=["reviewers", "senior-reviewers"])
        sara = make_person("sara", groups=["reviewers", "senior-reviewers"])
        factories.approve(proposal, reviewer=saul, fact="bear")
        amend(proposal, rationale="Said in other words.")
        work()
        factories.approve(proposal, reviewer=sara, fact="bear")
        assert fresh(proposal).status == "approved"

    @pytest.mark.parametrize("ending", ["committed", "rejected", "withdrawn", "approved"])
    def test_what_is_no_longer_open_to_change_is_refused(self, ending):
        proposal = pending()
        if ending == "withdrawn":
            services.withdraw(agent=proposal.agent, proposal_id=proposal.pk)
        else:
            factories.review(proposal, "reject" if ending == "rejected" else "approve")
        if ending == "committed":
            work()
        assert fresh(proposal).status == ending
        with pytest.raises(IllegalTransition):
            amend(proposal, rationale="Too late.")


class TestWithdraw:
    def test_a_queued_commit_can_still_be_taken_back(self, toybox):
        proposal = pending()
        factories.approve(proposal)
        services.withdraw(agent=proposal.agent, proposal_id=proposal.pk)
        work()
        assert fresh(proposal).status == "withdrawn"
        assert toybox.effects == []

    def test_a_claimed_commit_cannot(self):
        from proposals import execution

        proposal = pending()
        factories.approve(proposal)
        assert execution.take(Execution.objects.get().pk)
        with pytest.raises(IllegalTransition, match="claimed"):
            services.withdraw(agent=proposal.agent, proposal_id=proposal.pk)

    def test_twice_is_once(self):
        proposal = pending()
        services.withdraw(agent=proposal.agent, proposal_id=proposal.pk)
        entries = LedgerEntry.objects.count()
        services.withdraw(agent=proposal.agent, proposal_id=proposal.pk)
        assert LedgerEntry.objects.count() == entries


class TestExpire:
    def test_what_nobody_decided_in_time_expires_with_an_entry(self):
        proposal = make_checked(params=painting(tier="medium"), expires_in=60)
        assert services.expire(proposal_id=proposal.pk) is False
        past_due(proposal)
        assert services.expire(proposal_id=proposal.pk) is True
        assert fresh(proposal).status == "expired"
        assert LedgerEntry.objects.filter(kind="proposal.expired").exists()

    def test_a_claimed_commit_is_left_to_its_worker(self):
        from proposals import execution

        proposal = pending()
        factories.approve(proposal)
        execution.take(Execution.objects.get().pk)
        past_due(proposal)
        assert services.expire(proposal_id=proposal.pk) is False

    @pytest.mark.parametrize(("tier", "hours"), [("medium", 72), ("high", 24)])
    def test_the_deadline_follows_the_tier(self, tier, hours):
        proposal = pending(tier)
        assert proposal.expires_at - proposal.created_at == timedelta(hours=hours)


def past_due(proposal: Proposal) -> None:
    Proposal.objects.filter(pk=proposal.pk).update(expires_at=clock.now() - timedelta(seconds=1))


class TestRetry:
    def failed(self, toybox) -> Proposal:
        toybox.failing["apply"] = "refused"
        proposal = pending()
        factories.approve(proposal)
        work()
        toybox.failing.clear()
        return fresh(proposal)

    def test_a_failed_proposal_starts_over_under_a_new_key(self, toybox):
        proposal = self.failed(toybox)
        assert proposal.status == "failed"
        first = Execution.objects.get().key
        olga = make_person("olga", groups=["operators"])
        services.retry(proposal_id=proposal.pk, person=olga, reason="The box is open again.")
        work()
        assert fresh(proposal).status == "committed"
        assert Execution.objects.latest("attempt").key != first
        assert Execution.objects.count() == 2, "no attempt was lost to the key of the first"
        assert len(toybox.effects) == 1

    @pytest.mark.parametrize("asked_for", [None, 3600])
    def test_its_deadline_begins_anew(self, toybox, asked_for):
        proposal = self.failed(toybox)
        long_ago = clock.now() - timedelta(days=9)
        Proposal.objects.update(expires_at=long_ago, expires_in=asked_for)
        olga = make_person("olga", groups=["operators"])
        services.retry(proposal_id=proposal.pk, person=olga, reason="The box is open again.")
        assert not services.expire(proposal_id=proposal.pk), "as the clock tries each second"
        retried = fresh(proposal)
        seconds = asked_for or 72 * 3600
        assert retried.expires_at == retried.retried_at + timedelta(seconds=seconds)
        Proposal.objects.update(retried_at=retried.retried_at + timedelta(days=5))
        work()
        done = fresh(proposal)
        assert done.status == "committed"
        if asked_for is None:  # the check has counted from the retry, and not from the content
            assert done.expires_at == done.retried_at + timedelta(hours=72)

    def test_it_takes_the_right_and_a_reason(self, toybox):
        proposal = self.failed(toybox)
        with pytest.raises(NotEligible):
            services.retry(proposal_id=proposal.pk, person=make_person(), reason="Please.")
        olga = make_person("olga", groups=["operators"])
        with pytest.raises(InvalidRequest):
            services.retry(proposal_id=proposal.pk, person=olga, reason=" ")

    def test_what_did_not_fail_is_not_retried(self):
        olga = make_person("olga", groups=["operators"])
        with pytest.raises(IllegalTransition):
            services.retry(proposal_id=pending().pk, person=olga, reason="Why not.")


class TestUndo:
    def committed(self, **params) -> Proposal:
        return make_checked(params=painting(**params))

    def undo(self, proposal: Proposal, person=None, **more) -> Proposal:
        undo = services.undo(
            proposal_id=proposal.pk, person=person or make_person(), reason="A mix-up.", **more
        )
        work()
        return fresh(undo)

    def test_a_person_undoes_a_clean_commit_alone(self, toybox):
        proposal = self.committed()
        undo = self.undo(proposal)
        assert undo.status == "committed"
        assert toybox.colours["bear"] == "brown"
        assert fresh(proposal).is_undone

    def test_at_medium_tier_too_but_at_high_tier_it_takes_others(self, toybox):
        seniors = ["reviewers", "senior-reviewers"]
        proposal = self.committed(tier="high")
        for name in ("saul", "sara"):
            senior = make_person(name, groups=seniors)
            factories.approve(proposal, reviewer=senior, fact="bear")
        work()
        assert fresh(proposal).status == "committed"
        assert self.undo(proposal).status == "pending"
        assert toybox.colours["bear"] == "blue"

    def test_a_later_change_is_not_trampled_on(self, toybox):
        proposal = self.committed()
        toybox.colours["bear"] = "green"
        assert services.preview_undo(proposal_id=proposal.pk).conflicts[0].found == "green"
        undo = self.undo(proposal)
        assert undo.status == "pending"
        ravi = make_person("ravi")
        with pytest.raises(NotEligible):
            factories.approve(undo, reviewer=ravi)
        assert toybox.colours["bear"] == "green"

    def test_going_ahead_over_a_conflict_takes_another_person(self, toybox):
        proposal = self.committed()
        toybox.colours["bear"] = "green"
        undo = self.undo(proposal, over_conflicts=True)
        assert undo.status == "pending"
        with pytest.raises(NotEligible):
            factories.approve(undo)  # Rita proposed it herself
        factories.approve(undo, reviewer=make_person("ravi"))
        work()
        assert fresh(undo).status == "committed"
        assert toybox.colours["bear"] == "brown"

    def test_there_is_one_live_undo_and_its_place_is_free_after_the_undo_is_undone(self, toybox):
        proposal = self.committed()
        undo = self.undo(proposal)
        with pytest.raises(AlreadyUndone):
            self.undo(proposal)
        redo = self.undo(undo)
        assert redo.status == "committed"
        assert toybox.colours["bear"] == "blue"
        assert not fresh(proposal).is_undone
        assert self.undo(proposal).status == "committed"
        assert toybox.colours["bear"] == "brown"

    def test_what_ended_without_a_write_frees_the_place(self, toybox):
        proposal = self.committed()
        toybox.colours["bear"] = "green"
        undo = self.undo(proposal)
        factories.review(undo, "reject", reviewer=make_person("ravi"))
        toybox.colours["bear"] = "blue"
        assert self.undo(proposal).status == "committed"

    def test_there_is_nothing_to_undo_before_the_commit_or_when_it_is_for_good(self):
        with pytest.raises(NothingToUndo):
            self.undo(pending())
        for_good = self.committed(colour="red", for_good=True)
        assert for_good.status == "pending"  # irreversible is never approved by a rule
        factories.approve(for_good)
        work()
        with pytest.raises(NothingToUndo):
            self.undo(for_good)

    def test_it_takes_the_right_and_a_reason(self):
        proposal = self.committed()
        with pytest.raises(NotEligible):
            self.undo(proposal, make_person("amir", groups=["auditors"]))
        with pytest.raises(InvalidRequest):
            services.undo(proposal_id=proposal.pk, person=make_person(), reason="")

    def test_an_agent_proposes_the_undo_of_its_own_commit_and_the_gate_decides(self, toybox):
        proposal = self.committed()
        undo, replayed = services.undo_by_agent(
            agent=proposal.agent,
            proposal_id=proposal.pk,
            key="undo-1",
            fingerprint="f",
            rationale="Wrong bear.",
        )
        assert not replayed
        work()
        assert fresh(undo).status == "committed"
        assert toybox.colours["bear"] == "brown"

    def test_a_suspended_agent_does_not_keep_a_person_from_undoing(self, toybox):
        proposal = self.committed()
        agent = proposal.agent
        agent.is_suspended = True
        agent.save()
        assert self.undo(proposal).status == "committed"
        assert toybox.colours["bear"] == "brown"

    def test_an_agent_does_not_turn_its_undo_into_another_write(self):
        proposal = self.committed(tier="medium")
        factories.approve(proposal)
        work()
        undo, _ = services.undo_by_agent(
            agent=proposal.agent,
            proposal_id=proposal.pk,
            key="undo-1",
            fingerprint="f",
            rationale="Wrong bear.",
        )
        with pytest.raises(InvalidRequest, match="another write"):
            amend(undo, params=painting("pink", expected="blue"))
        amend(undo, rationale="Said in other words.")
