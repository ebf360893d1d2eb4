"""The real verbs and workers in any order that Hypothesis thinks of, on the current database.

COUNTERSIGN_LONG=1 searches for half an hour. Each run prints its seed; COUNTERSIGN_SEED repeats it.
"""

import logging
import os
import random

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
from proposals import dispatch, execution, idempotency, services
from proposals.exceptions import (
    ActionNotGranted,
    AgentSuspended,
    IdempotencyKeyReused,
    ProposalError,
    StaleDigest,
    WritesFrozen,
)
from proposals.models import Execution, Proposal, Rule
from tests import factories
from tests.proposals.promises import Promises
from tests.stepping import WITHIN_TRANSACTIONS, Worker, stepping
from tests.toys import box

IS_LONG = os.environ.get("COUNTERSIGN_LONG") == "1"
SEED = int(os.environ.get("COUNTERSIGN_SEED") or random.randrange(2**32))
EXAMPLES = settings(
    max_examples=int(os.environ.get("N") or 40),
    stateful_step_count=100 if IS_LONG else 40,
    deadline=None,
    database=None,
    print_blob=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
COLOURS = st.sampled_from(["blue", "green", "brown"])
TOYS = st.sampled_from(["bear", "bear", "duck"])
WHICH = st.integers(0, 4)


def some(*statuses):
    """The rule applies while there are proposals with one of these statuses."""
    return precondition(lambda self: self.having(*statuses))


class Product(RuleBasedStateMachine, Promises):
    """Agents, people, workers, a target and time; the promises are checked after every step."""

    def __init__(self) -> None:
        super().__init__()
        self.begin()
        self.workers = {name: Worker(name) for name in "AB"}
        self.stepping = stepping()
        self.stepping.__enter__()
        self.bodies = {}

    @initialize()
    def people_and_work(self):
        self.agent = factories.make_agent()
        self.olga = factories.make_person("olga", groups=["operators"])
        self.reviewers = {
            "rita": factories.make_person("rita"),
            "saul": factories.make_person("saul", groups=["senior-reviewers", "reviewers"]),
            "sara": factories.make_person("sara", groups=["senior-reviewers"]),
        }
        services.save_budget(
            budget=Budget(name="All", unit="writes", limit=1000, window_seconds=60),
            person=None,
            is_new=True,
        )
        self.rule = Rule(
            name="Two for all", effect="review", approvals=2, group="reviewers", is_active=False
        )
        services.save_rule(rule=self.rule, person=None, is_new=True)
        for tier in ("low", "medium", "high"):
            self.agent_submits_painting("bear", "blue", tier)

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

    @rule(toy=TOYS, colour=COLOURS, tier=st.sampled_from(["low", "medium"]))
    def agent_submits(self, toy, colour, tier):
        try:
            self.agent_submits_painting(toy, colour, tier)
        except (AgentSuspended, WritesFrozen):
            assert self.is_stopped()
        except ActionNotGranted:
            assert not self.agent.grants.exists()

    @rule(which=WHICH)
    def agent_repeats(self, which):
        pk = self.pick(which)
        count = Proposal.objects.count()
        if pk in self.bodies:
            key, asked = self.bodies[pk]
            proposal, is_replay = self.submit(key, asked)
            assert (proposal.pk, is_replay) == (pk, True)
            with pytest.raises(IdempotencyKeyReused):
                self.submit(key, asked | {"rationale": "Another body."})
        assert Proposal.objects.count() == count

    @some("submitted", "pending", "changes_requested")
    @rule(which=WHICH, colour=COLOURS, is_new_content=st.booleans())
    def agent_amends(self, which, colour, is_new_content):
        pk = self.pick(which, "submitted", "pending", "changes_requested")
        former = Proposal.objects.get(pk=pk).revision()
        changes = {"rationale": "In other words."}
        if is_new_content:
            changes["params"] = former.params | {"colour": colour}
        with self.refused():
            services.amend(
                agent=self.agent,
                proposal_id=pk,
                key=factories.new_key(),
                fingerprint=idempotency.fingerprint(f"amend {pk}", changes),
                changes=changes,
            )

    @some("submitted", "pending", "changes_requested", "approved")
    @rule(which=WHICH)
    def agent_withdraws(self, which):
        pk = self.pick(which, "submitted", "pending", "changes_requested", "approved")
        with self.refused():
            services.withdraw(agent=self.agent, proposal_id=pk)

    @some("committed")
    @rule(which=WHICH)
    def agent_undoes(self, which):
        pk = self.pick(which, "committed")
        key = factories.new_key()
        with self.refused():
            services.undo_by_agent(
                agent=self.agent,
                proposal_id=pk,
                key=key,
                fingerprint=idempotency.fingerprint(f"undo {pk}", {}),
                rationale="It was wrong.",
            )

    # People

    @some("pending")
    @rule(
        which=WHICH,
        name=st.sampled_from(["rita", "saul", "sara"]),
        decision=st.sampled_from(["approve", "approve", "approve", "request_changes", "reject"]),
        is_stale=st.booleans(),
    )
    def person_decides(self, which, name, decision, is_stale):
        pk = self.pick(which, "pending")
        proposal = Proposal.objects.get(pk=pk)
        check = proposal.current_check
        if check is None:
            return
        shown = proposal.checks.earliest("pk") if is_stale else check
        give = {
            "proposal_id": pk,
            "reviewer": self.reviewers[name],
            "decision": decision,
            "digest": shown.digest,
            "reason": "It was asked for in writing.",
            "fact": next(iter(shown.before or {}), ""),
        }
        if shown.digest != check.digest:
            with pytest.raises(StaleDigest):
                services.review(**give)
            return
        with self.refused():
            services.review(**give)
            self.decided(pk, shown.digest, name, decision)

    @some("committed")
    @rule(which=WHICH, over_conflicts=st.booleans())
    def person_undoes(self, which, over_conflicts):
        pk = self.pick(which, "committed")
        with self.refused():
            services.undo(
                proposal_id=pk, person=self.olga, reason="Wrong.", over_conflicts=over_conflicts
            )

    @some("failed")
    @rule(which=WHICH)
    def operator_retries(self, which):
        pk = self.pick(which, "failed")
        with self.refused():
            services.retry(proposal_id=pk, person=self.olga, reason="The box is open again.")

    @some("unknown")
    @rule(which=WHICH)
    def operator_reconciles(self, which):
        pk = self.pick(which, "unknown")
        with self.refused():
            services.reconcile(proposal_id=pk, person=self.olga, reason="Asked the target.")

    @rule(what=st.sampled_from(["suspend", "freeze", "grant", "rule"]))
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

    # Workers

    @some("submitted", "approved")
    @rule(name=st.sampled_from("AB"), which=WHICH)
    def worker_starts(self, name, which):
        pk = self.pick(which, "submitted", "approved")
        worker = self.workers[name]
        if not worker.is_idle:
            return
        attempt = Execution.objects.open().filter(proposal=pk).first()
        if attempt is None:
            worker.start(dispatch.check_and_commit, pk)
        else:
            worker.start(execution.run, attempt.pk)

    @some("submitted", "approved")
    @rule(which=WHICH)
    def worker_does_it_all(self, which):
        pk = self.pick(which, "submitted", "approved")
        dispatch.check_and_commit(pk)
        for attempt in Execution.objects.open().filter(proposal=pk):
            execution.run(attempt.pk)

    @rule(name=st.sampled_from("AB"))
    def worker_goes_on(self, name):
        worker = self.workers[name]
        if not worker.is_idle:
            with self.old_fence_changes_nothing(worker):
                worker.proceed()

    @rule(name=st.sampled_from("AB"), point=st.sampled_from(["", *sorted(WITHIN_TRANSACTIONS)]))
    def worker_is_killed(self, name, point):
        worker = self.workers[name]
        if not worker.is_idle and point:
            worker.proceed(dies_at=point)
        worker.kill()

    @rule()
    def clock_sweeps(self):
        dispatch.expire(execution.clock.now())
        dispatch.recheck_for_new_rules()

    # Time, the target, and what goes wrong there

    @some("approved")
    @rule(which=WHICH)
    def lease_ends(self, which):
        pk = self.pick(which, "approved")
        self.end_leases(pk)

    @some("submitted", "pending", "approved")
    @rule(which=WHICH)
    def deadline_passes(self, which):
        pk = self.pick(which, "submitted", "pending", "approved")
        Proposal.objects.filter(pk=pk).update(expires_at=execution.clock.now())

    @rule(toy=TOYS, colour=COLOURS)
    def somebody_else_paints(self, toy, colour):
        box.colours[toy] = colour

    @rule(
        step=st.sampled_from(["preview", "apply", "answer", "void"]),
        failure=st.sampled_from(["", "refused", "unavailable", "unclear"]),
    )
    def target_fails_or_recovers(self, step, failure):
        box.failing.pop(step, None)
        if failure and (step, failure) != ("answer", "refused"):  # it would be a lie
            box.failing[step] = failure

    @rule()
    def all_calms_down(self):
        """With the faults behind it, everything comes to rest by itself."""
        box.failing.clear()
        for worker in self.workers.values():
            while not worker.is_idle:
                worker.proceed()
        self.come_to_rest()

    @rule(which=WHICH)
    def everybody_asks_at_any_time(self, which):
        """What is too late, too early or not theirs is refused, whatever the status."""
        pk = self.pick(which)
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
        self.check_all()

    def teardown(self) -> None:
        for worker in self.workers.values():
            worker.kill()
        self.stepping.__exit__(None, None, None)
        self.end()


@pytest.mark.django_db
def test_any_order_of_steps_keeps_every_promise(toybox):
    factories.make_person()
    logging.disable(logging.CRITICAL)  # failures are switched on by the thousand here
    print(f"COUNTERSIGN_SEED={SEED}")
    try:
        run_state_machine_as_test(seed(SEED)(Product), settings=EXAMPLES)
    finally:
        logging.disable(logging.NOTSET)
