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
        assert "An operator has to lift it" in text

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


class TestTheDoor:
    def test_takes_a_token_of_an_agent_and_nothing_else(self, client):
        contract.assert_problem(Model().send("tools/list"), 401, "unauthenticated")
        contract.assert_problem(Model("cs_wrong").send("tools/list"), 401, "unauthenticated")
        client.force_login(factories.make_person())
        signed_in = client.post("/mcp", b"{}", content_type="application/json")
        contract.assert_problem(signed_in, 401, "unauthenticated")

    @pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "PATCH", "OPTIONS", "HEAD"])
    def test_takes_posts_alone(self, method):
        asking = model()
        answer = asking.http.generic(
            method, "/mcp", headers={"Authorization": f"Bearer {asking.token}"}
        )
        assert (answer.status_code, answer["Allow"]) == (405, "POST")

    def test_keeps_nothing_between_requests(self):
        answer = model().send("tools/list")
        assert not answer.cookies
        assert "Mcp-Session-Id" not in answer

    def test_takes_no_notice_of_csrf_as_no_cookie_is_read(self):
        strict = Model(token_for(make_agent()))
        strict.http = Client(enforce_csrf_checks=True)
        assert strict.send("tools/list").status_code == 200
        assert strict.http.post("/mcp/", b"", content_type="application/json").status_code == 401

    @pytest.mark.parametrize(
        "origin",
        [
            "https://attacker.example",
            "null",
            "",
            "http://testserver.attacker.example",
            "https://testserver",
            "http://testserver:8000",
        ],
    )
    def test_is_closed_to_pages_of_other_sites(self, origin):
        answer = model().send("tools/list", {"Origin": origin})
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == mcp.INVALID_REQUEST
        assert Model().send("tools/list", {"Origin": origin}).status_code == 403
        assert model().send("tools/list", {"Origin": "http://testserver"}).status_code == 200

    def test_refuses_another_host_without_a_page(self):
        answer = model().send("tools/list", {"Host": "attacker.example"})
        contract.assert_problem(answer, 400, "invalid-request")

    def test_takes_json_of_a_reasonable_size_alone(self):
        asking = model()
        contract.assert_problem(asking.post(b" " * 300_000), 413, "payload-too-large")
        form = asking.http.post(
            "/mcp", {"a": "b"}, headers={"Authorization": f"Bearer {asking.token}"}
        )
        contract.assert_problem(form, 415, "unsupported-media-type")
        only_streams = asking.send("tools/list", {"Accept": "text/event-stream"})
        contract.assert_problem(only_streams, 406, "not-acceptable")
        both = asking.send("tools/list", {"Accept": "application/json, text/event-stream"})
        assert (both.status_code, both["Content-Type"]) == (200, "application/json")


def message(**changes):
    return {"jsonrpc": "2.0", "id": 1, "method": "ping", **changes}


class TestTheProtocol:
    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"{",
            b'{"id": 1, "id": 2}',
            b'{"id": NaN}',
            b"\xff",
            b"[" * 5000,
            b'{"id": 1e400}',
            b'{"id": 99999999999999999999}',
            b'{"method": "\\ud800"}',
        ],
    )
    def test_refuses_what_is_not_strict_json(self, text):
        answer = model().post(text)
        assert answer.status_code == 400
        expected = mcp.INVALID_REQUEST if text == b"" else mcp.PARSE_ERROR
        assert answer.json()["error"]["code"] == expected
        assert answer.json()["id"] is None

    @pytest.mark.parametrize(
        "data",
        [
            [],
            [message(), message(id=2)],
            None,
            "ping",
            7,
            {},
            message(jsonrpc="1.0"),
            message(jsonrpc=None),
            message(method=None),
            message(method=["ping"]),
            message(params=[1]),
            message(params=None),
            message(id=None),
            message(id=True),
            message(id=1.5),
            message(id={}),
            {"jsonrpc": "2.0", "id": 1, "result": {}},
            {"jsonrpc": "2.0"},
        ],
    )
    def test_refuses_what_is_not_one_message(self, data):
        answer = model().post(data)
        assert answer.status_code == 400, answer.content
        assert answer.json()["error"]["code"] == mcp.INVALID_REQUEST
        assert "result" not in answer.json()

    def test_takes_a_notification_without_a_word(self):
        for version in (None, "2025-11-25", mcp.MODERN):
            headers = {"MCP_Protocol_Version": version} if version else {}
            answer = model().post(
                {"jsonrpc": "2.0", "method": "notifications/initialized"}, **headers
            )
            assert (answer.status_code, answer.content) == (202, b"")
        silent = {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "toys.set"}}
        assert model().post(silent).status_code == 202
        odd = model().post(silent, MCP_Protocol_Version="1999-01-01")
        assert odd.json()["error"]["code"] == mcp.UNSUPPORTED_VERSION

    @pytest.mark.parametrize(
        ("headers", "code"),
        [
            ({"MCP_Protocol_Version": "2025-11-25"}, mcp.HEADER_MISMATCH),
            ({"MCP_Protocol_Version": ""}, mcp.HEADER_MISMATCH),
            ({"Mcp_Method": "tools/list"}, mcp.HEADER_MISMATCH),
            ({"Mcp_Method": ""}, mcp.HEADER_MISMATCH),
            ({"Mcp_Name": "toys.other"}, mcp.HEADER_MISMATCH),
            ({"Mcp_Name": ""}, mcp.HEADER_MISMATCH),
        ],
    )
    def test_refuses_headers_that_disagree_with_the_body(self, headers, code):
        answer = model().send("tools/call", headers, name="toys.set", arguments={})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
        assert answer.json()["id"] == 7

    def test_refuses_them_before_2026_too_where_they_are_sent(self):
        answer = model().post(message(), Mcp_Method="tools/list")
        assert answer.json()["error"]["code"] == mcp.HEADER_MISMATCH

    @pytest.mark.parametrize("version", ["2027-01-01", "2024-11-05", "nonsense"])
    def test_names_its_versions_to_who_speaks_another(self, version):
        meta = META | {mcp.VERSION_KEY: version}
        for params in ({"_meta": meta}, {}):
            answer = model().post(
                message(params=params), MCP_Protocol_Version=version, Mcp_Method="ping"
            )
            error = answer.json()["error"]
            assert (answer.status_code, error["code"]) == (400, mcp.UNSUPPORTED_VERSION)
            assert error["data"] == {"supported": mcp.VERSIONS, "requested": version}

    def test_of_2026_says_with_each_request_who_sends_it(self):
        for meta in ({}, None, [], {mcp.VERSION_KEY: mcp.MODERN}):
            answer = model().post(
                message(params={"_meta": meta}),
                MCP_Protocol_Version=mcp.MODERN,
                Mcp_Method="ping",
            )
            error = answer.json()["error"]
            assert (answer.status_code, error["code"]) == (400, mcp.INVALID_PARAMS)

    @pytest.mark.parametrize(
        ("asked", "spoken"),
        [(version, version) for version in mcp.HANDSHAKE]
        + [(odd, mcp.HANDSHAKE[-1]) for odd in ("2024-11-05", mcp.MODERN, None, 7, {}, [])],
    )
    def test_before_2026_begins_with_a_version_that_both_speak(self, asked, spoken):
        answer = model().post(message(method="initialize", params={"protocolVersion": asked}))
        result = answer.json()["result"]
        assert result["protocolVersion"] == spoken
        assert result["capabilities"] == {"tools": {}}

    def test_does_not_have_other_methods(self):
        unknown = model().send("resources/list")
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, mcp.METHOD_NOT_FOUND)
        earlier = model().post(message(method="resources/list"))
        assert earlier.status_code == 200, "a 404 was the end of a session to clients before 2026"
        assert earlier.json()["error"]["code"] == mcp.METHOD_NOT_FOUND
        assert "error" in model().post(message(method="server/discover")).json()
        assert model().send("initialize").status_code == 404

    @pytest.mark.parametrize(
        "params",
        [
            {},
            {"name": 7},
            {"name": "toys.set", "arguments": []},
            {"name": "toys.set", "arguments": None},
            {"name": "nothing"},
            {"name": "toys set.x"},
            {"name": "toys." + "x" * 200},
        ],
    )
    def test_refuses_a_call_of_no_tool(self, params):
        headers = {"Mcp_Name": params["name"]} if isinstance(params.get("name"), str) else {}
        answer = model().send("tools/call", headers, **params)
        assert answer.status_code == 400
        earlier = model().post(message(method="tools/call", params=params))
        assert earlier.json()["error"]["code"] == mcp.INVALID_PARAMS
