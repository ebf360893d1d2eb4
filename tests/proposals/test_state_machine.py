"""The real verbs and workers in any order that Hypothesis thinks of, on the current database.

Runs in rounds, each with its seed, until the time is up: half a minute, or half an hour with
COUNTERSIGN_LONG=1. COUNTERSIGN_SEED=n repeats the round of that seed alone.
"""

import logging
import os
import random
import sys
import time

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from budgets.models import Budget
from ledger import clock
from proposals import comments, dispatch, execution, idempotency, seats, services
from proposals.exceptions import (
    ActionNotGranted,
    AgentSuspended,
    IdempotencyKeyReused,
    ProposalError,
    StaleDigest,
    WritesFrozen,
)
from proposals.models import Execution, Proposal, Rule
from proposals.rounds import Rounds
from tests import factories
from tests.proposals.promises import Promises
from tests.stepping import WITHIN_TRANSACTIONS, Worker, stepping
from tests.toys import box

SECONDS = 1800 if os.environ.get("COUNTERSIGN_LONG") == "1" else 12
SEED = int(os.environ.get("COUNTERSIGN_SEED", 0))
ROUND = settings(
    max_examples=5,
    stateful_step_count=60,
    deadline=None,
    database=None,
    print_blob=True,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
COLOURS = st.sampled_from(["blue", "green", "brown"])
TOYS = st.sampled_from(["bear", "bear", "duck"])
TWO = "Two for all"
WHICH = st.integers(0, 4)
EVENTS = st.one_of(
    st.sampled_from(["paint", "trouble", "deadline"]),
    st.sampled_from(["suspend", "freeze", "freeze", "grant", "grant", "rule"]),
)
POINTS = st.sampled_from([0, 0, 1, 1, 2, 3, 99])
SECOND_THOUGHTS = st.sampled_from(["withdraw", "withdraw", "edit"])
HOW = st.sampled_from(["by agent", "by person", "by person", "over conflicts"])
AT_ONCE = st.sampled_from([True, True, False])
RARELY = st.sampled_from([False, False, True])
DECISIONS = st.sampled_from(["approve"] * 5 + ["request_changes"] * 3 + ["reject"])
TROUBLES = st.sampled_from(
    [
        ("preview", "unavailable"),
        ("apply", "refused"),
        ("apply", "unavailable"),
        ("apply", "unclear"),
        ("answer", "unclear"),
        ("void", "unavailable"),
    ]
)


def some(*statuses):
    """The rule applies while there are proposals with one of these statuses."""
    return precondition(lambda self: self.having(*statuses))


class Product(RuleBasedStateMachine, Promises):
    """Agents, people, workers, a target and time; the promises are checked after every step."""

    def __init__(self) -> None:
        super().__init__()
        self.begin()
        self.workers = [Worker(), Worker()]
        self.stepping = stepping()
        self.stepping.__enter__()
        self.bodies, self.steps = {}, 0
        self.agent, self.rule = factories.make_agent(), Rule.objects.get(name=TWO)
        self.olga = factories.make_person("olga")
        self.reviewers = {name: factories.make_person(name) for name in ("rita", "saul", "sara")}

    @initialize()
    def first_work(self):
        """One proposal has committed, one is approved, one waits for two people."""
        for tier in ("low", "medium", "high"):
            self.agent_submits_painting("bear", "blue", tier)
        low, medium, high = Proposal.objects.order_by("created_at")
        for each in (low, medium, high):
            dispatch.check_and_commit(each.pk)
        factories.approve(medium)
        self.decided(medium.pk, factories.fresh(medium).current_check.digest, "rita", "approve")

    # The agent

    def submit(self, key, asked):
        return services.submit(
            agent=self.agent,
            key=key,
            fingerprint=idempotency.fingerprint("submit", asked),
            submission=services.Submission(**asked),
        )

    def agent_submits_painting(self, toy, colour, tier):
        asked = factories.body(params={"toy": toy, "colour": colour, "tier": tier})
        key = factories.new_key()
        proposal, is_replay = self.submit(key, asked)
        assert not is_replay
        self.bodies[proposal.pk] = key, asked

    @rule(toy=TOYS, colour=COLOURS, tier=st.sampled_from(["low", "medium"]), at_once=AT_ONCE)
    def agent_submits(self, toy, colour, tier, at_once):
        try:
            self.agent_submits_painting(toy, colour, tier)
            self.work_on_the_newest(at_once)
        except (AgentSuspended, WritesFrozen):
            assert self.is_stopped()
        except ActionNotGranted:
            assert not self.agent.grants.exists()

    def work_on_the_newest(self, at_once):
        if at_once:
            dispatch.check_and_commit(Proposal.objects.latest("created_at").pk)

    def repeat(self, pk):
        count = Proposal.objects.count()
        if pk in self.bodies:
            key, asked = self.bodies[pk]
            proposal, is_replay = self.submit(key, asked)
            assert (proposal.pk, is_replay) == (pk, True)
            with pytest.raises(IdempotencyKeyReused):
                self.submit(key, asked | {"rationale": "Another body."})
        assert Proposal.objects.count() == count

    @some("submitted", "pending", "changes_requested", "approved")
    @rule(which=WHICH, what=st.sampled_from(["amend", "reword", "withdraw"]), colour=COLOURS)
    def agent_thinks_again(self, which, what, colour):
        pk = self.pick(which, "submitted", "pending", "changes_requested", "approved")
        if what == "withdraw":
            with self.refused():
                services.withdraw(agent=self.agent, proposal_id=pk)
            return
        changes = {"rationale": "In other words."}
        if what == "amend":
            params = Proposal.objects.get(pk=pk).revision().params
            changes["params"] = params | {"colour": colour}
        with self.refused():
            services.amend(
                agent=self.agent,
                proposal_id=pk,
                key=factories.new_key(),
                fingerprint=idempotency.fingerprint(f"amend {pk}", changes),
                changes=changes,
            )

    # People

    @some("pending")
    @rule(which=WHICH, who=WHICH, decision=DECISIONS, is_stale=RARELY, at_once=AT_ONCE)
    def person_decides(self, which, who, decision, is_stale, at_once):
        proposal = Proposal.objects.get(pk=self.pick(which, "pending"))
        check = proposal.current_check
        able = [
            name
            for name, person in self.reviewers.items()
            if decision != "approve" or not seats.blockers(person, proposal, check)
        ] or list(self.reviewers)
        name = able[who % len(able)]
        shown = proposal.checks.earliest("pk") if is_stale else check
        give = {
            "proposal_id": proposal.pk,
            "reviewer": self.reviewers[name],
            "decision": decision,
            "digest": shown.digest,
            "reason": "It was asked for in writing.",
            "fact": next(iter(shown.before or {}), ""),
            "authenticated_at": clock.now(),
        }
        if shown.digest != check.digest:
            with pytest.raises(StaleDigest):
                services.review(**give)
            return
        with self.refused():
            services.review(**give)
            self.decided(proposal.pk, shown.digest, name, decision)
            for attempt in Execution.objects.open().filter(proposal=proposal.pk, fence=0):
                if at_once:
                    execution.run(attempt.pk)

    @some("pending", "changes_requested", "approved")
    @rule(which=WHICH, who=WHICH, what=SECOND_THOUGHTS, colour=COLOURS, at_once=AT_ONCE)
    def person_thinks_again(self, which, who, what, colour, at_once):
        """Somebody takes back what they said, or proposes other values in its place."""
        pk = self.pick(which, "pending", "changes_requested", "approved")
        proposal = Proposal.objects.get(pk=pk)
        check = proposal.current_check
        name = list(self.reviewers)[who % len(self.reviewers)]
        with self.refused():
            if what == "withdraw":
                services.withdraw_decision(
                    proposal_id=pk, reviewer=self.reviewers[name], digest=check.digest
                )
                self.decided(pk, check.digest, name, "withdraw")
            else:
                services.revise_as_reviewer(
                    proposal_id=pk,
                    person=self.reviewers[name],
                    digest=check.digest,
                    params=proposal.revision().params | {"colour": colour},
                    reason="Another colour was agreed.",
                )
            if at_once:
                dispatch.check_and_commit(pk)

    @some("pending", "submitted")
    @rule(which=WHICH, who=WHICH, is_new=RARELY)
    def person_comments_or_resolves(self, which, who, is_new):
        """A comment that blocks, or the end of one; open ones are few, so that work goes on."""
        proposal = Proposal.objects.get(pk=self.pick(which, "pending", "submitted"))
        person = list(self.reviewers.values())[who % len(self.reviewers)]
        blocking = comments.blocking(proposal)
        with self.refused():
            for comment in blocking:
                services.resolve_comment(review_id=comment.pk, person=person, reason="Clear now.")
            if is_new and not blocking and proposal.current_check is not None:
                services.review(
                    proposal_id=proposal.pk,
                    reviewer=person,
                    decision="comment",
                    digest=proposal.current_check.digest,
                    reason="Is that right?",
                    blocks=True,
                )

    @some("committed")
    @rule(which=WHICH, how=HOW, at_once=AT_ONCE)
    def somebody_undoes(self, which, how, at_once):
        pk = self.pick(which, "committed")
        with self.refused():
            if how == "by agent":
                services.undo_by_agent(
                    agent=self.agent,
                    proposal_id=pk,
                    key=factories.new_key(),
                    fingerprint=idempotency.fingerprint(f"undo {pk}", {}),
                    rationale="It was wrong.",
                )
            else:
                services.undo(
                    proposal_id=pk,
                    person=self.olga,
                    reason="It was wrong.",
                    over_conflicts=how == "over conflicts",
                )
            self.work_on_the_newest(at_once)

    @some("failed", "unknown")
    @rule(which=WHICH)
    def operator_mends(self, which):
        pk = self.pick(which, "failed", "unknown")
        is_failed = self.statuses[pk] == "failed"
        with self.refused():
            verb = services.retry if is_failed else services.reconcile
            verb(proposal_id=pk, person=self.olga, reason="The box is open again.")

    # Workers

    def busy(self):
        return [worker for worker in self.workers if not worker.is_idle]

    @some("submitted", "approved")
    @precondition(lambda self: len(self.busy()) < 2)
    @rule(which=WHICH, points=POINTS)
    def worker_starts(self, which, points):
        self.start(self.pick(which, "submitted", "approved"), points)

    @some("approved")
    @precondition(lambda self: len(self.busy()) == 1)
    @rule(points=POINTS)
    def another_worker_takes_over(self, points):
        """The lease of a worker that stands still ends, and another one claims the same."""
        claim = self.busy()[0].claim()
        pk = claim.proposal.pk if claim else self.pick(0, "approved")
        self.end_leases(pk)
        self.start(pk, points)

    def start(self, pk, points):
        worker = next(worker for worker in self.workers if worker.is_idle)
        attempt = Execution.objects.open().filter(proposal=pk).first()
        if attempt is None:
            worker.start(dispatch.check_and_commit, pk)
        else:
            worker.start(execution.run, attempt.pk)
        self.go_on(worker, points)

    def go_on(self, worker, points):
        for _ in range(points):
            if not worker.is_idle:
                with self.old_fence_changes_nothing(worker):
                    worker.proceed()

    @precondition(lambda self: self.busy())
    @rule(which=WHICH, points=POINTS)
    def worker_goes_on(self, which, points):
        self.go_on(self.busy()[which % len(self.busy())], 1 + points)

    @precondition(lambda self: self.busy())
    @rule(which=WHICH, point=st.sampled_from(["", *sorted(WITHIN_TRANSACTIONS)]))
    def worker_is_killed(self, which, point):
        """Where it stands, or within a transaction that it comes by before the next point."""
        worker = self.busy()[which % len(self.busy())]
        if point:
            worker.proceed(dies_at=point)
        worker.kill()

    # Time, the target, and what goes wrong there

    @some("approved")
    @rule(which=WHICH)
    def lease_ends(self, which):
        self.end_leases(self.pick(which, "approved"))

    @rule(what=EVENTS, which=WHICH, toy=TOYS, colour=COLOURS, trouble=TROUBLES)
    def something_happens(self, what, which, toy, colour, trouble):
        if what == "paint":
            box.colours[toy] = colour
        elif what == "trouble" and not box.failing.pop(trouble[0], None):
            box.failing.update([trouble])
        elif what == "deadline" and self.having("submitted", "pending", "approved"):
            pk = self.pick(which, "submitted", "pending", "approved")
            Proposal.objects.filter(pk=pk).update(expires_at=clock.now())
            Rounds().expire(clock.now())
        else:
            self.operator_stops_or_lets_go(what)

    def operator_stops_or_lets_go(self, what):
        if what == "suspend":
            is_suspended = not self.agent.is_suspended
            services.set_suspended(
                agent_id=self.agent.pk, is_suspended=is_suspended, reason="Odd." * is_suspended
            )
            self.agent.refresh_from_db()
        elif what == "freeze" and not self.lift():
            services.freeze(reason="Stop.", person=self.olga)
        elif what == "grant" and self.agent.grants.exists():
            services.remove_grant(agent_id=self.agent.pk, pattern="*")
        elif what == "grant":
            services.grant(agent=self.agent, pattern="*")
        elif what == "rule":
            self.rule.is_active = not self.rule.is_active
            services.save_rule(rule=self.rule, person=None, is_new=False)
            Rounds().recheck_for_new_rules()

    @precondition(lambda self: self.steps % 4 == 0)
    @rule(which=WHICH)
    def everybody_asks_at_any_time(self, which):
        """A repeat is a replay; what is too late or too early is refused."""
        pk = self.pick(which)
        self.repeat(pk)
        status = Proposal.objects.get(pk=pk).status
        ask = {"proposal_id": pk, "person": self.olga, "reason": "Anyhow."}
        for verb, legal in (
            (services.retry, "failed"),
            (services.reconcile, "unknown"),
            (services.undo, "committed"),
        ):
            if status != legal:
                with pytest.raises(ProposalError):
                    verb(**ask)

    @invariant()
    def every_promise_is_kept(self):
        self.steps += 1
        self.stop_time()
        self.check_all()

    def all_calms_down(self) -> None:
        """With the faults behind it and nothing stopped, everything comes to rest by itself."""
        box.failing.clear()
        self.lift()
        services.set_suspended(agent_id=self.agent.pk, is_suspended=False)
        for worker in self.workers:
            self.go_on(worker, 99)
        self.come_to_rest()
        self.check_all()

    def teardown(self) -> None:
        if sys.exc_info()[0] is None:
            self.all_calms_down()
        for worker in self.workers:
            worker.kill()
        self.stepping.__exit__(None, None, None)
        self.end()


@pytest.fixture
def people(db):
    """Made once: each run of the machine is rolled back to here."""
    factories.make_person("rita")
    factories.make_person("saul", groups=["senior-reviewers", "reviewers"])
    factories.make_person("sara", groups=["senior-reviewers"])
    factories.make_person("olga", groups=["operators"])
    factories.make_agent()
    budget = Budget(name="All", unit="writes", limit=1000, window_seconds=60)
    services.save_budget(budget=budget, person=None, is_new=True)
    two = Rule(name=TWO, effect="review", approvals=2, group="reviewers", is_active=False)
    services.save_rule(rule=two, person=None, is_new=True)


@pytest.mark.django_db
@pytest.mark.usefixtures("toybox", "people")
def test_any_order_of_steps_keeps_every_promise():
    logging.disable(logging.CRITICAL)  # failures are switched on by the thousand here
    ends = time.monotonic() + SECONDS
    seeds = iter([SEED]) if SEED else iter(lambda: random.randrange(1, 2**32), 0)
    try:
        for number in seeds:
            print(f"COUNTERSIGN_SEED={number}")
            run_state_machine_as_test(seed(number)(Product), settings=ROUND)
            if time.monotonic() > ends:
                break
    finally:
        logging.disable(logging.NOTSET)
