"""Dry runs: the answer of submit and check, and nothing left behind but that it was asked."""

from types import SimpleNamespace

import pytest
from django.test import override_settings

from budgets.models import Budget
from ledger.models import LedgerEntry
from proposals import services
from proposals.api import answers
from proposals.models import Proposal, Rule
from proposals.policy import Effect
from proposals.services import dry_runs
from tests.contract import assert_documented, assert_problem, assert_proposal, rows
from tests.factories import (
    body,
    client_for,
    fresh,
    make_agent,
    make_checked,
    make_person,
    new_key,
    painting,
    work,
)
from tests.toys import box

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]


@pytest.fixture
def client():
    make_person()  # with her come the first rules
    return client_for(make_agent())


def ask(client, **changes):
    answer = client.propose(**{"dry_run": True, **changes})
    assert answer.status_code == 200, answer.content
    assert_documented(answer)
    answers.DryRun.model_validate_json(answer.content)
    return answer.json()


def save(**fields) -> Budget:
    budget = Budget(**{"unit": "writes", "limit": 5, "window_seconds": 3600} | fields)
    return services.save_budget(budget=budget, person=None, is_new=True)


class TestADryRun:
    @pytest.mark.parametrize(
        ("params", "would"),
        [({}, "commit"), ({"tier": "medium"}, "wait"), ({"for_good": True}, "wait")],
    )
    def test_answers_what_submitting_then_leads_to(self, client, params, would):
        found = ask(client, params=painting(**params))
        assert found["would"] == would
        client.propose(params=painting(**params))
        work()
        proposal = Proposal.objects.get()
        assert proposal.status == {"commit": "committed", "wait": "pending"}[would]
        check = proposal.checks.get()
        assert found["digest"] == check.digest
        assert found["tier"] == check.tier
        assert found["verdict"]["effect"] == check.effect
        assert found["verdict"]["approvals_required"] == check.approvals
        assert found["undo"] == check.compensation
        assert found["impact"] == check.impact
        assert found["trace"] == check.reasons
        assert found["change"] == {"before": {"colour": "brown"}, "after": {"colour": "blue"}}

    def test_leaves_one_ledger_entry_and_nothing_else(self, client):
        box.effects.clear()
        client.get("/me")
        before = rows()
        found = ask(client)
        after = rows()
        assert after.pop("ledger.LedgerEntry") == before.pop("ledger.LedgerEntry") + 1
        for index in ("ledger.Facet", "ledger.Mention"):  # derived, by which the entry is found
            assert after.pop(index) > before.pop(index)
        assert after == before
        assert (box.effects, box.colours["bear"]) == ([], "brown")
        entry = LedgerEntry.objects.latest("id")
        assert (entry.kind, entry.stream) == ("proposal.dry_run", f"agent:{entry.agent}")
        assert entry.body == {
            "action": "toys.set",
            "digest": found["digest"],
            "tier": "low",
            "effect": "allow",
        }

    def test_uses_up_no_key_and_looks_none_up(self, client):
        ask(client, key="one-key")
        made = assert_proposal(client.propose(key="one-key"), 201)
        assert ask(client, key="one-key")["dry_run"] is True
        replayed = assert_proposal(client.propose(key="one-key"), 200)
        assert replayed["id"] == made["id"]
        assert_problem(
            client.post("/proposals", body(dry_run=True), key=""), 400, "idempotency-key-missing"
        )

    def test_tells_what_a_rule_denies_and_never_its_name_or_threshold(self, client):
        rule = Rule(
            name="Secret name",
            action="toys.*",
            condition='params.colour == "secretcolour" || 41 + 1 == 42',
            effect=Effect.DENY,
            message="Not today.",
        )
        services.save_rule(rule=rule, person=None, is_new=True)
        answer = client.propose(dry_run=True)
        assert answer.json()["would"] == "be_denied"
        assert {"code": "denied-by-rule", "detail": "Not today."} in answer.json()["trace"]
        assert b"Secret" not in answer.content
        assert b"secretcolour" not in answer.content

    def test_says_when_the_target_cannot_be_previewed(self, client):
        box.failing["preview"] = "unavailable"
        found = ask(client)
        assert (found["would"], found["change"], found["undo"]) == ("wait", None, None)
        assert "preview-failed" in [reason["code"] for reason in found["trace"]]

    def test_says_what_it_would_take_of_each_budget_and_takes_nothing(self, client):
        save(name="Writes", limit=2)
        save(name="Objects", unit="objects", limit=9)
        client.propose(params=painting("pink"))
        for _ in range(3):
            found = ask(client)
            shares = {share["budget"]: share for share in found["budgets"]}
            writes, objects = shares["Writes"], shares["Objects"]
            assert (writes["used"], writes["asked"], writes["fits"]) == ("1", "1", True)
            assert (objects["used"], objects["asked"], objects["fits"]) == ("0", "1", True)
            assert found["would"] == "commit"
        client.propose(params=painting("green"))
        found = ask(client)
        assert found["would"] == "be_refused"
        [full] = [share for share in found["budgets"] if not share["fits"]]
        assert (full["budget"], full["used"]) == ("Writes", "2")
        assert client.propose().status_code == 429

    def test_tells_of_a_possible_duplicate(self, client):
        make_checked(agent=make_agent())
        found = ask(client)
        assert found["possible_duplicate_of"] == str(Proposal.objects.get().pk)
        assert found["would"] == "wait"

    def test_of_an_observed_agent_says_that_too(self, client):
        services.set_observed(agent_id=make_agent().pk, is_observed=True)
        assert ask(client)["observed"] is True

    def test_false_is_the_same_as_leaving_it_out(self, client):
        assert_proposal(client.propose(dry_run=False), 201)


class TestRefusing:
    @pytest.mark.parametrize("value", ["true", 1, 0, None, [], {}, "false"])
    def test_anything_but_true_and_false_is_refused_where_it_stands(self, client, value):
        before = rows()
        assert_problem(client.propose(dry_run=value), 400, "invalid-request", "/dry_run")
        assert rows() == before

    def test_what_submit_refuses_is_refused_alike(self, client):
        agent = make_agent()
        wrong = client.propose(dry_run=True, params={"toy": "dragon"})
        assert_problem(wrong, 400, "invalid-params", "/params/toy")
        unknown = client.propose(dry_run=True, action="toys.burn")
        assert_problem(unknown, 403, "action-not-granted")
        internal = client.propose(dry_run=True, action="toys.restore")
        assert_problem(internal, 403, "action-not-granted")
        frozen = services.freeze(reason="Stop.")
        assert_problem(client.propose(dry_run=True), 503, "writes-frozen")
        services.lift(freeze_id=frozen.pk, reason="Go.")
        services.set_suspended(agent_id=agent.pk, is_suspended=True, reason="Loops.")
        assert_problem(client.propose(dry_run=True), 403, "agent-suspended")
        assert not LedgerEntry.objects.filter(kind="proposal.dry_run").exists()

    def test_no_other_endpoint_takes_it(self, client):
        done = make_checked(agent=make_agent())
        for path in (f"/proposals/{done.pk}/undo", f"/proposals/{done.pk}/revisions"):
            sent = {"dry_run": True, "rationale": "Just asking."}
            assert_problem(client.post(path, sent), 400, "invalid-request", "/dry_run")
        assert fresh(done).status == "committed"

    @override_settings(DRY_RUNS_PER_MINUTE=2)
    def test_a_flood_is_shed_until_the_next_minute_of_the_clock(self, client, monkeypatch):
        start = 60 * 30_000_000
        moments = [start + 20]
        monkeypatch.setattr(dry_runs, "time", SimpleNamespace(time=lambda: moments[0]))
        for _ in range(2):
            ask(client)
        refused = assert_problem(client.propose(dry_run=True), 429, "rate-limited")
        assert refused["retry_after"] == 40
        moments[0] = start + 59
        assert client.propose(dry_run=True).status_code == 429
        moments[0] = start + 60
        ask(client)
        assert LedgerEntry.objects.filter(kind="proposal.dry_run").count() == 3
        assert client.propose(key=new_key()).status_code == 201, "proposing is something else"

    def test_a_budget_that_has_just_refused_sheds_it_too(self, client):
        save(name="Writes", limit=1)
        client.propose()
        assert client.propose().status_code == 429
        assert_problem(client.propose(dry_run=True), 429, "budget-exceeded")

    def test_no_more_than_a_few_wait_for_a_target_at_once(self, client):
        taken = 0
        try:
            while dry_runs.under_way.acquire(blocking=False):
                taken += 1
            assert_problem(client.propose(dry_run=True), 429, "rate-limited")
        finally:
            for _ in range(taken):
                dry_runs.under_way.release()
        assert ask(client)["would"] == "commit"


def test_the_contract_says_it(client):
    document = client.get("/openapi.json").json()
    shapes = document["components"]["schemas"]
    described = shapes["ProposalIn"]["properties"]["dry_run"]
    assert "neither looked up nor used up" in described["description"]
    answer = document["paths"]["/api/v1/proposals"]["post"]["responses"]["200"]
    assert "ReplayOrDryRun" in str(answer)
    assert "DryRun" in str(shapes["ReplayOrDryRun"])
