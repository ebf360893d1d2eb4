"""The door for models: every granted action is a tool that proposes, and none commits."""

import json
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import OperationalError
from django.test import Client

from budgets.models import Budget
from proposals import services
from proposals.api import answers, mcp
from proposals.models import IdempotencyKey, Proposal
from tests import contract, factories
from tests.factories import (
    AgentClient,
    body,
    make_agent,
    make_checked,
    make_proposal,
    painting,
    suspend,
    token_for,
    work,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]
META = {mcp.VERSION_KEY: mcp.MODERN, mcp.CAPABILITIES_KEY: {}}
OTHERS = {"get_proposal", "withdraw_proposal", "undo_proposal"}


class Model:
    """A client of the protocol that sends whatever a test wants."""

    def __init__(self, token: str = "") -> None:
        self.http = Client(raise_request_exception=False)
        self.token = token

    def post(self, data, **headers):
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = data if isinstance(data, bytes) else json.dumps(data).encode()
        return self.http.post("/mcp", content, content_type="application/json", headers=sent)

    def send(self, method, headers=None, **params):
        """A request as the version of 2026 has it."""
        meant = {"MCP_Protocol_Version": mcp.MODERN, "Mcp_Method": method}
        if method == "tools/call":
            meant["Mcp_Name"] = params.get("name", "")
        message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": {**params, "_meta": META}}
        return self.post(message, **(meant | (headers or {})))

    def call(self, tool, headers=None, **arguments):
        """The result of a tool, which is an answer whether it was refused or not."""
        answer = self.send("tools/call", headers, name=tool, arguments=arguments)
        assert answer.status_code == 200, answer.content
        result = answer.json()["result"]
        assert [each["type"] for each in result["content"]] == ["text"]
        return result

    def propose(self, key="key", tool="toys.set", **changes):
        asked = {name: value for name, value in body().items() if name != "action"}
        return self.call(tool, **{"idempotency_key": key, **asked, **changes})

    def tools(self):
        found = self.send("tools/list").json()["result"]["tools"]
        return {each["name"]: each for each in found}


def model(agent=None):
    return Model(token_for(agent or make_agent()))


def stored(result):
    """The proposal of a result that is no refusal, in the shape that REST gives it."""
    assert not result["isError"], result
    answers.Proposal.model_validate_json(json.dumps(result["structuredContent"]))
    assert set(result["structuredContent"]) == contract.PROPOSAL
    return result["structuredContent"]


def refused(result, code):
    assert result["isError"], result
    problem = result["structuredContent"]
    assert problem["code"] == code
    answers.Problem.model_validate_json(json.dumps(problem))
    assert code in result["content"][0]["text"]
    assert problem["detail"] in result["content"][0]["text"]
    return problem


class TestTheMenu:
    def test_has_a_tool_for_each_granted_action_and_three_more(self):
        agent = make_agent(grants=["toys.*"])
        offered = AgentClient(token_for(agent)).get("/actions").json()["results"]
        assert set(model(agent).tools()) == {each["name"] for each in offered} | OTHERS
        assert set(model(make_agent("idle-bot", grants=[])).tools()) == OTHERS

    def test_nests_the_parameters_beside_what_every_proposal_says(self):
        tool = model().tools()["toys.set"]
        schema = tool["inputSchema"]
        assert set(schema["required"]) == {"idempotency_key", "params", "run", "rationale"}
        optional = set(schema["properties"]) - set(schema["required"])
        assert optional == {"evidence", "context", "expires_in"}
        assert set(schema["properties"]["params"]["properties"]) >= {"toy", "colour"}
        assert schema["additionalProperties"] is False

    def test_refers_to_nothing_that_is_not_in_it(self, shop):
        for tool in model().tools().values():
            schema = tool["inputSchema"]
            text = json.dumps(schema)
            for reference in text.split('"$ref": "')[1:]:
                kind, _, name = reference.partition('"')[0].rpartition("/")
                assert kind == "#/$defs"
                assert name in schema["$defs"], tool["name"]

    def test_is_honest_about_what_a_tool_does(self, shop):
        tools = model().tools()
        hints = {name: tool["annotations"] for name, tool in tools.items()}
        assert all(hint["idempotentHint"] for hint in hints.values())
        assert [name for name in hints if hints[name]["readOnlyHint"]] == ["get_proposal"]
        harmless = {name for name in hints if not hints[name]["destructiveHint"]}
        assert harmless == {"get_proposal", "records.create"}
        assert all(
            "writes nothing by itself" in tools[name]["description"]
            for name in set(tools) - {"get_proposal", "withdraw_proposal"}
        )

    def test_may_not_be_cached_for_anybody_else_or_at_all(self):
        for method in ("tools/list", "server/discover"):
            result = model().send(method).json()["result"]
            told = (result["resultType"], result["cacheScope"], result["ttlMs"])
            assert told == ("complete", "private", 0)


class TestACall:
    def test_proposes_and_commits_nothing(self, toybox):
        result = model().propose()
        proposal = stored(result)
        assert (proposal["status"], proposal["params"]) == ("submitted", painting())
        assert toybox.effects == []
        assert proposal["id"] in result["content"][0]["text"]
        assert "Nothing is written yet" in result["content"][0]["text"]

    @pytest.mark.parametrize(
        ("tier", "status", "words"),
        [("low", "committed", "was written"), ("medium", "pending", "waits for people")],
    )
    def test_of_get_proposal_says_what_became_of_it_and_who_must_act(self, tier, status, words):
        asking = model()
        proposal = stored(asking.propose(params=painting(tier=tier)))
        work()
        result = asking.call("get_proposal", proposal_id=proposal["id"])
        assert stored(result)["status"] == status
        assert words in result["content"][0]["text"]

    def test_waits_for_the_machine_as_long_as_it_prefers(self, monkeypatch):
        waited = []
        monkeypatch.setattr(
            "proposals.api.patience.wait_for_machine",
            lambda proposal_id, seconds: waited.append(seconds) or True,
        )
        model().call("get_proposal", {"Prefer": "wait=5"}, proposal_id=str(make_proposal().pk))
        assert waited == [5]

    def test_says_that_a_stop_holds_it(self):
        asking = model()
        proposal = stored(asking.propose(params=painting(tier="medium")))
        work()
        factories.approve(Proposal.objects.get())
        services.freeze(action="toys.set", reason="To look at it.")
        text = asking.call("get_proposal", proposal_id=proposal["id"])["content"][0]["text"]
        assert "An operator has to lift what stops it" in text

    def test_says_that_a_suspension_keeps_it_from_being_checked(self):
        asking = model()
        proposal = stored(asking.propose())
        factories.suspend(Proposal.objects.get().agent)
        text = asking.call("get_proposal", proposal_id=proposal["id"])["content"][0]["text"]
        assert "An operator has to resume its agent" in text

    def test_tells_what_a_person_said(self):
        asking = model()
        proposal = stored(asking.propose(params=painting(tier="medium")))
        work()
        factories.review(
            Proposal.objects.get(), "reject", reason="Bears are brown.", is_for_agent=True
        )
        text = asking.call("get_proposal", proposal_id=proposal["id"])["content"][0]["text"]
        assert "rejected by a person" in text
        assert "Bears are brown." in text

    def test_withdraws_and_again_is_the_same(self):
        asking = model()
        proposal = stored(asking.propose())
        for _ in range(2):
            result = asking.call("withdraw_proposal", proposal_id=proposal["id"])
            assert stored(result)["status"] == "withdrawn"

    def test_proposes_the_undo_of_a_commit(self, toybox):
        agent = make_agent()
        asking, committed = model(agent), make_checked(agent=agent)
        asked = {"proposal_id": str(committed.pk), "idempotency_key": "undo-1"}
        undo = stored(asking.call("undo_proposal", **asked))
        assert undo["compensates"] == str(committed.pk)
        assert toybox.colours["bear"] == "blue"
        again = asking.call("undo_proposal", **asked)
        assert stored(again)["id"] == undo["id"]
        assert "nothing new was stored" in again["content"][0]["text"]

    def test_has_all_the_optional_arguments(self):
        evidence = [{"kind": "document", "title": "Paint chart", "content": {"page": 3}}]
        result = model().propose(evidence=evidence, context={"model": "m"}, expires_in=600)
        kept = Proposal.objects.get(pk=stored(result)["id"]).revision()
        assert kept.evidence.count() == 1
        assert Proposal.objects.get().expires_at - kept.created_at == timedelta(seconds=600)


class TestTheKey:
    def test_is_one_whichever_door_its_repeats_come_through(self):
        agent = make_agent()
        rest, asking = AgentClient(token_for(agent)), model(agent)
        first = rest.propose(key="one")
        assert stored(asking.propose(key="one"))["id"] == first.json()["id"]
        second = stored(asking.propose(key="two", run="run-2"))
        again = rest.propose(key="two", run="run-2")
        assert (again.status_code, again.json()["id"]) == (200, second["id"])
        assert Proposal.objects.count() == IdempotencyKey.objects.count() == 2

    def test_of_an_undo_is_one_too(self):
        agent = make_agent()
        committed = make_checked(agent=agent)
        rest = AgentClient(token_for(agent))
        first = rest.post(f"/proposals/{committed.pk}/undo", {"rationale": "Wrong."}, key="undo")
        again = model(agent).call(
            "undo_proposal",
            proposal_id=str(committed.pk).upper(),
            idempotency_key="undo",
            rationale="Wrong.",
        )
        assert stored(again)["id"] == first.json()["id"]

    def test_is_not_taken_for_another_write(self):
        asking = model()
        asking.propose()
        refused(asking.propose(params=painting("red")), "idempotency-key-reused")
        refused(asking.propose(rationale=7), "idempotency-key-reused")
        assert Proposal.objects.count() == 1

    @pytest.mark.parametrize(
        ("key", "code"),
        [
            (None, "missing"),
            *[(key, "invalid") for key in (7, ["k"], {}, True, "k\n", "é", "k" * 256)],
        ],
    )
    def test_is_required_and_well_formed(self, key, code):
        asking = model()
        refused(asking.propose(key=key), f"idempotency-key-{code}")
        undo = asking.call("undo_proposal", proposal_id=str(uuid4()), idempotency_key=key)
        refused(undo, f"idempotency-key-{code}")
        assert not IdempotencyKey.objects.exists()


class TestARefusal:
    def test_is_a_result_that_names_the_argument(self):
        asking = model()
        wrong = refused(asking.propose(params=painting(colour="")), "invalid-params")
        assert wrong["errors"][0]["pointer"] == "/params/colour"
        assert refused(asking.propose(run=""), "invalid-request")["errors"][0]["pointer"] == "/run"
        for extra in ({"dry_run": True}, {"action": "toys.set"}, {"colour": "red"}):
            [name] = extra
            problem = refused(asking.propose(**extra), "invalid-request")
            assert problem["errors"][0]["pointer"] == f"/{name}"
        assert not Proposal.objects.exists()

    def test_is_the_same_for_what_is_not_granted_and_what_is_not(self):
        asking = model(make_agent(grants=["records.*"]))
        ungranted = asking.propose(tool="toys.set")
        unknown = asking.propose(tool="toys.nothing")
        refused(ungranted, "action-not-granted")
        assert ungranted == unknown
        assert not Proposal.objects.exists()

    def test_is_the_same_for_what_is_anothers_and_what_is_not(self):
        others = make_checked(agent=make_agent("stranger-bot"))
        asking = model(make_agent())
        for tool in OTHERS:
            key = {"idempotency_key": "k"} if tool == "undo_proposal" else {}
            found = [
                asking.call(tool, proposal_id=str(each), **key) for each in (others.pk, uuid4())
            ]
            refused(found[0], "not-found")
            assert found[0] == found[1]
        for nonsense in ("1", 1, None, [], "../me"):
            refused(asking.call("get_proposal", proposal_id=nonsense), "invalid-request")

    def test_meets_a_suspended_agent(self):
        agent = make_agent()
        asking, committed = model(agent), make_checked(agent=agent)
        suspend(agent)
        refused(asking.propose(), "agent-suspended")
        asked = {"proposal_id": str(committed.pk), "idempotency_key": "undo"}
        refused(asking.call("undo_proposal", **asked), "agent-suspended")

    def test_while_everything_is_frozen_says_when_to_come_back(self):
        services.freeze(reason="To look at it.")
        result = model().propose()
        assert refused(result, "writes-frozen")["retry_after"] == 60
        assert "60 seconds" in result["content"][0]["text"]

    def test_of_a_budget_names_it(self):
        few = Budget(name="Few", unit="proposals", limit=1, window_seconds=60)
        services.save_budget(budget=few, person=None, is_new=True)
        asking = model()
        stored(asking.propose(key="one"))
        problem = refused(asking.propose(key="two"), "budget-exceeded")
        assert problem["budget"]["name"] == "Few"
        assert problem["retry_after"] > 0
        assert stored(asking.propose(key="one")), "a replay meets no budget"

    def test_when_the_database_does_not_answer_is_one_to_send_again(self, monkeypatch):
        asking = model()

        def gone(**kwargs):
            raise OperationalError("gone")

        monkeypatch.setattr("proposals.services.submit", gone)
        assert refused(asking.propose(), "unavailable")["retry_after"]
