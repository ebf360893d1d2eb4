"""Observe only: everything is checked, judged and recorded; nothing is written, nobody is asked."""

from contextlib import contextmanager

import pytest
from django.db import IntegrityError, connection, transaction

from budgets.models import Budget, Reservation
from ledger import clock
from ledger.models import LedgerEntry
from proposals import checks, execution, observing, seats, services
from proposals.api import answers
from proposals.exceptions import (
    IllegalTransition,
    InvalidRequest,
    NotEligible,
    NotFound,
)
from proposals.lifecycle import OBSERVABLE, Status, transition
from proposals.models import Agent, Execution, Proposal
from tests.contract import PROPOSAL
from tests.factories import (
    approve,
    client_for,
    fresh,
    make_agent,
    make_checked,
    make_person,
    make_proposal,
    painting,
    work,
)
from tests.toys import box

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]


def observed_agent(name="watched-bot") -> Agent:
    agent = make_agent(name)
    return services.set_observed(agent_id=agent.pk, is_observed=True)


def kinds(proposal) -> list[str]:
    entries = LedgerEntry.objects.filter(stream=proposal.stream).order_by("number")
    return [entry.kind for entry in entries]


@contextmanager
def constraints_lifted():
    """For tampering: the database itself refuses what these tests bring about."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA ignore_check_constraints = ON")
        else:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(
                "ALTER TABLE proposals_proposal DROP CONSTRAINT proposal_observed_is_never_approved"
            )
        yield
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA ignore_check_constraints = OFF")


class TestAnObservedProposal:
    @pytest.mark.parametrize(
        ("params", "effect"),
        [
            ({}, "allow"),
            ({"tier": "medium"}, "review"),
            ({"tier": "high"}, "review"),
            ({"for_good": True}, "review"),
        ],
    )
    def test_is_judged_as_always_and_ends_in_the_same_breath(self, params, effect):
        proposal = make_checked(agent=observed_agent(), params=painting(**params))
        assert proposal.is_observed
        assert proposal.status == Status.WITHDRAWN
        assert proposal.reason == "Observed only: nothing is written."
        assert proposal.current_check.effect == effect
        assert kinds(proposal) == [
            "proposal.submitted",
            "proposal.checked",
            "proposal.withdrawn",
        ]
        last = LedgerEntry.objects.filter(stream=proposal.stream).latest("number")
        assert last.actor == "system:observe"
        assert last.body["effect"] == effect
        assert box.effects == []
        assert not Execution.objects.exists()

    def test_is_in_nobodys_queue_at_any_moment(self):
        make_checked(agent=observed_agent(), params=painting(tier="medium"))
        assert not seats.waiting_on(make_person()).exists()
        history = Proposal.history.values_list("status", flat=True)
        assert set(history) == {Status.SUBMITTED, Status.WITHDRAWN}

    def test_ends_also_when_it_cannot_be_previewed(self):
        box.failing["preview"] = "unavailable"
        proposal = make_checked(agent=observed_agent())
        assert proposal.status == Status.WITHDRAWN
        assert proposal.current_check.error == "The box is out of reach."

    def test_gives_back_what_it_reserved(self):
        budget = Budget(name="Writes", unit="writes", limit=1, window_seconds=3600)
        services.save_budget(budget=budget, person=None, is_new=True)
        agent = observed_agent()
        for colour in ("blue", "green", "pink"):
            assert make_checked(agent=agent, params=painting(colour)).status == Status.WITHDRAWN
        writes = Reservation.objects.filter(scope__budget=budget)
        assert set(writes.values_list("status", flat=True)) == {"released"}

    def test_says_that_a_budget_would_have_denied_it(self):
        budget = Budget(name="Objects", unit="objects", limit=0, window_seconds=3600)
        services.save_budget(budget=budget, person=None, is_new=True)
        proposal = make_checked(agent=observed_agent())
        assert proposal.status == Status.WITHDRAWN
        assert observing.is_over_budget(proposal)
        assert "'Objects'" in proposal.reason

    def test_says_so_to_its_agent_within_the_contract(self):
        client = client_for(observed_agent())
        created = client.propose()
        assert created.status_code == 201
        work()
        found = client.get(f"/proposals/{created.json()['id']}").json()
        answers.Proposal.model_validate_json(client.get(created["Location"]).content)
        assert set(found) == PROPOSAL | {"observed"}
        assert (found["status"], found["observed"]) == ("withdrawn", True)
        assert found["error"]["code"] == "observed-only"
        assert found["waiting_on"]["who"] is None
        assert found["tier"] == "low"
        assert client.get("/me").json()["observed"] is True

    def test_is_replayed_by_its_key_like_any_other(self):
        client = client_for(observed_agent())
        first = client.propose(key="k")
        work()
        again = client.propose(key="k")
        assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
        assert again.json()["status"] == "withdrawn"

    def test_stays_unwritten_when_its_agent_is_let_go_before_the_check(self):
        agent = observed_agent()
        proposal = make_proposal(agent=agent)
        services.set_observed(agent_id=agent.pk, is_observed=False, reason="It does well.")
        work()
        assert fresh(proposal).status == Status.WITHDRAWN
        assert box.effects == []

    def test_stays_observed_when_it_is_amended(self):
        agent = observed_agent()
        client = client_for(agent)
        made = client.propose().json()
        changed = client.post(f"/proposals/{made['id']}/revisions", {"params": painting("pink")})
        assert changed.status_code == 201
        work()
        proposal = Proposal.objects.get(pk=made["id"])
        assert (proposal.status, proposal.revision_number) == (Status.WITHDRAWN, 2)

    def test_is_also_the_undo_that_the_agent_asks_for(self):
        agent = make_agent("watched-bot")
        done = make_checked(agent=agent)
        assert done.status == Status.COMMITTED
        services.set_observed(agent_id=agent.pk, is_observed=True)
        made = client_for(agent).post(f"/proposals/{done.pk}/undo")
        assert made.status_code == 201
        work()
        assert Proposal.objects.get(pk=made.json()["id"]).status == Status.WITHDRAWN
        assert box.colours["bear"] == "blue"

    def test_is_never_what_a_person_asks_for(self):
        done = make_checked(agent=make_agent("watched-bot"))
        services.set_observed(agent_id=done.agent_id, is_observed=True)
        undo = services.undo(proposal_id=done.pk, person=make_person(), reason="A mix-up.")
        work()
        assert fresh(undo).status == Status.COMMITTED
        assert box.colours["bear"] == "brown"


class TestTheGuards:
    """Each of them alone keeps an observed proposal from being executed."""

    def test_the_one_door_refuses_every_other_status(self):
        proposal = make_proposal(agent=observed_agent())
        for status in set(Status) - OBSERVABLE:
            with pytest.raises(IllegalTransition), transaction.atomic():
                transition(proposal, status, actor="test")
        assert fresh(proposal).status == Status.SUBMITTED
        assert kinds(proposal) == ["proposal.submitted"]

    def test_no_execution_can_be_queued_for_it(self):
        proposal = make_checked(agent=observed_agent())
        with pytest.raises(IllegalTransition):
            Execution.objects.enqueue(proposal, proposal.current_check, clock.now())

    @pytest.mark.parametrize("status", sorted(set(Status) - OBSERVABLE))
    def test_the_database_holds_no_such_row(self, status):
        proposal = make_proposal(agent=observed_agent())
        with pytest.raises(IntegrityError), transaction.atomic():
            Proposal.objects.filter(pk=proposal.pk).update(status=status)

    def test_the_claim_refuses_it_even_then(self):
        proposal = make_checked(params=painting(tier="medium"))
        approve(proposal)
        with constraints_lifted():
            Proposal.objects.filter(pk=proposal.pk).update(is_observed=True)
            execution.run(Execution.objects.get().pk)
            assert Execution.objects.get().status == Execution.Status.RETURNED
            checks.run(proposal.pk)
        assert box.effects == []
        assert fresh(proposal).status == Status.WITHDRAWN

    def test_what_was_approved_before_waits_while_the_agent_is_observed(self):
        proposal = make_checked(params=painting(tier="medium"))
        approve(proposal)
        services.set_observed(agent_id=proposal.agent_id, is_observed=True)
        execution.run(Execution.objects.get().pk)
        assert box.effects == []
        held = fresh(proposal)
        assert (held.status, held.reason) == (
            Status.APPROVED,
            "The agent billing-bot is only observed.",
        )
        services.set_observed(agent_id=held.agent_id, is_observed=False, reason="It does well.")
        work()
        assert fresh(proposal).status == Status.COMMITTED

    def test_an_intent_does_not_begin_after_the_agent_is_observed(self):
        proposal = make_checked(params=painting(tier="medium"))
        approve(proposal)
        claim = execution.take(Execution.objects.get().pk)
        services.set_observed(agent_id=proposal.agent_id, is_observed=True)
        assert not execution.intend(claim)
        assert Execution.objects.get().status == Execution.Status.QUEUED


class TestObservingAnAgent:
    def test_takes_the_right_to_change_grants(self):
        agent = make_agent()
        paula = make_person("paula", groups=["policy-administrators"])
        for group in ("reviewers", "senior-reviewers", "operators", "auditors"):
            person = make_person(f"one-of-{group}", groups=[group])
            for state in (True, False):
                with pytest.raises(NotEligible):
                    services.set_observed(agent_id=agent.pk, is_observed=state, person=person)
        with pytest.raises(NotEligible):
            services.set_observed(agent_id=agent.pk, is_observed=True, person=agent.owner)
        assert services.set_observed(agent_id=agent.pk, is_observed=True, person=paula).is_observed

    def test_is_in_ledger_and_history_and_ending_it_takes_a_reason(self):
        agent = make_agent()
        paula = make_person("paula", groups=["policy-administrators"])
        for _ in range(2):
            services.set_observed(agent_id=agent.pk, is_observed=True, person=paula)
        with pytest.raises(InvalidRequest):
            services.set_observed(agent_id=agent.pk, is_observed=False, reason=" ", person=paula)
        reason = "A week without a surprise."
        services.set_observed(agent_id=agent.pk, is_observed=False, reason=reason, person=paula)
        entries = LedgerEntry.objects.filter(kind__startswith="observation.").order_by("id")
        assert [(entry.kind, entry.actor) for entry in entries] == [
            ("observation.began", f"user:{paula.pk}"),
            ("observation.ended", f"user:{paula.pk}"),
        ]
        assert entries.last().body == {"reason": reason}
        latest = agent.history.latest()
        assert (latest.is_observed, latest.history_change_reason) == (False, reason)

    def test_may_begin_at_its_creation(self):
        agent = services.create_agent(
            name="new-bot", owner=make_person("otto", groups=()), is_observed=True
        )
        services.grant(agent=agent, pattern="*")
        assert make_checked(agent=agent).status == Status.WITHDRAWN
        entry = LedgerEntry.objects.get(kind="agent.created", agent=str(agent.pk))
        assert entry.body["observed"] is True

    def test_of_an_agent_that_is_not_there_is_refused(self):
        from ledger.identifiers import uuid7

        with pytest.raises(NotFound):
            services.set_observed(agent_id=uuid7(), is_observed=True)
