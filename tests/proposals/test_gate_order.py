"""The freeze gate comes first: whoever asks for it holds no row that an intent may want."""

import threading

import pytest
from django.db import OperationalError, connection, connections, transaction

from budgets.models import Budget, Refusal
from ledger.models import LedgerEntry
from proposals import attempts, checks, execution, freezing, services
from proposals.exceptions import OverBudget
from proposals.models import Agent, Execution, Proposal
from proposals.services import stopping
from tests import factories
from tests.factories import fresh, make_agent, make_person, make_proposal, painting
from tests.processes import eventually
from tests.proposals.admin.pages import address, signed_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toybox")]
ROWS = """
    SELECT relname::text FROM pg_locks JOIN pg_class ON pg_class.oid = relation
    WHERE pid = pg_backend_pid() AND mode IN ('RowShareLock', 'RowExclusiveLock')
    AND relkind = 'r' AND relname ~ '^(proposals|budgets|ledger)_'
"""
HELD = """
    SELECT 1 FROM pg_locks
    WHERE pid = pg_backend_pid() AND locktype = 'advisory' AND mode = 'ExclusiveLock' AND granted
"""
WAITING = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@pytest.fixture(autouse=True)
def _default_rules():
    make_person()


def cap(**fields) -> Budget:
    values = {"name": "Cap", "unit": "objects", "limit": 0, "window_seconds": 3600}
    budget = Budget(**(values | {"on_exceed": "suspend"} | fields))
    return services.save_budget(budget=budget, person=None, is_new=True)


def handed_back() -> tuple[Proposal, attempts.Claim]:
    """A proposal that was amended, and the claim of a worker that has not heard of it."""
    proposal = make_proposal(params=painting(tier="medium"))
    checks.run(proposal.pk)
    factories.approve(proposal)
    claim = execution.take(Execution.objects.get().pk)
    attempts.hand_back(attempts.WORKER)
    services.withdraw_decision(
        proposal_id=proposal.pk,
        reviewer=make_person(),
        digest=fresh(proposal).current_check.digest,
    )
    services.amend(
        agent=proposal.agent,
        proposal_id=proposal.pk,
        key="amended",
        fingerprint="amended",
        changes={"params": painting("teal", tier="medium")},
    )
    assert claim is not None
    return fresh(proposal), claim


def asked(question: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(question)
        return [row[0] for row in cursor.fetchall()]


@pytest.fixture
def postgresql():
    if connection.vendor != "postgresql":
        pytest.skip("On SQLite the one writer is the gate.")


class TestARefusalThatSuspends:
    def test_suspends_and_denies_in_one_transaction(self):
        cap()
        proposal = make_proposal()
        checks.run(proposal.pk)
        assert (fresh(proposal).status, fresh(proposal).agent.is_suspended) == ("denied", True)
        kinds = LedgerEntry.objects.order_by("id").values_list("kind", flat=True)
        assert list(kinds)[-4:] == [
            "proposal.checked",
            "proposal.denied",
            "budget.refused",
            "agent.suspended",
        ]
        assert fresh(proposal).checks.count() == 1

    def test_is_begun_again_when_its_worker_dies_before_it_is_stored(self, monkeypatch):
        cap()
        proposal = make_proposal()

        def die(**asked) -> None:
            raise SystemExit

        with monkeypatch.context() as at_once:
            at_once.setattr(stopping, "set_suspended", die)
            with pytest.raises(SystemExit):
                checks.run(proposal.pk)
        assert (fresh(proposal).status, fresh(proposal).agent.is_suspended) == ("submitted", False)
        assert not Refusal.objects.exists()
        checks.run(proposal.pk)
        assert (fresh(proposal).status, fresh(proposal).agent.is_suspended) == ("denied", True)

    @pytest.mark.usefixtures("postgresql")
    def test_waits_for_an_intent_without_holding_its_proposal(self):
        proposal, claim = handed_back()
        cap()
        found: list[object] = []

        def check() -> None:
            try:
                found.append(checks.run(proposal.pk))
            except OperationalError as error:
                found.append(error)
            finally:
                connections.close_all()

        checking = threading.Thread(target=check)
        with transaction.atomic():
            freezing.hold_gate()  # as every intent does, before it wants its proposal
            checking.start()
            eventually(lambda: asked(WAITING), what="the check at the gate")
            assert not execution.intend(claim)
        checking.join(timeout=30)
        assert found == [None]
        assert (fresh(proposal).status, fresh(proposal).agent.is_suspended) == ("denied", True)


def checked_over_budget() -> None:
    proposal = make_proposal()
    cap()
    checks.run(proposal.pk)


def submitted_over_budget() -> None:
    cap(unit="proposals")
    with pytest.raises(OverBudget):
        make_proposal()


def suspended_in_the_admin() -> None:
    agent, olga = make_agent(), make_person("olga", groups=())
    paula = signed_in("paula", ["policy-administrators"])
    form = {"owner": olga.pk, "is_suspended": "on", "suspended_reason": "It loops."}
    rows = {"grants-TOTAL_FORMS": 0, "grants-INITIAL_FORMS": 0}
    answer = paula.post(address(Agent, "change", agent.pk), form | rows)
    assert answer.status_code == 302
    agent.refresh_from_db()
    assert (agent.owner, agent.is_suspended) == (olga, True)


def committed() -> None:
    factories.make_checked()


def observed() -> None:
    services.set_observed(agent_id=make_agent().pk, is_observed=True)


def frozen() -> None:
    services.freeze(reason="Prices look wrong.")


def undone_with_its_run_frozen() -> None:
    run = factories.make_checked().run
    olga = make_person("olga", groups=["operators"])
    services.undo_run(run_id=run.pk, person=olga, reason="It loops.", freezes=True)


class Watch:
    """What the transaction under way has locked by the time that it asks for the gate.

    SQLite keeps no list of locks, but there nothing is locked without being written.
    """

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.found: list[list[str]] = []

    def note(self, execute, sql, params, many, context):
        if sql.startswith("BEGIN"):
            self.statements.clear()
        self.statements.append(sql)
        return execute(sql, params, many, context)

    def at_the_gate(self, statement: str) -> None:
        if connection.vendor == "postgresql":
            rows = [] if asked(HELD) else asked(ROWS)  # a second time nobody waits
        else:
            rows = [] if statement in self.statements else self.writes()
        self.found.append(rows)
        self.statements.append(statement)

    def writes(self) -> list[str]:
        return [sql for sql in self.statements if sql.startswith(("INSERT", "UPDATE", "DELETE"))]


@pytest.mark.parametrize(
    "verb",
    [
        checked_over_budget,
        submitted_over_budget,
        suspended_in_the_admin,
        committed,
        observed,
        frozen,
        undone_with_its_run_frozen,
    ],
)
def test_nobody_asks_for_the_gate_with_a_row_in_hand(verb, monkeypatch):
    watch, lock = Watch(), freezing.lock

    def watched(statement: str, *params: str) -> None:
        watch.at_the_gate(statement)
        lock(statement, *params)

    monkeypatch.setattr(freezing, "lock", watched)
    with connection.execute_wrapper(watch.note):
        verb()
    assert watch.found
    assert not any(watch.found), watch.found
