"""What the door for models takes for a message, from whom, and what it says of anything else."""

import pytest
from django.test import Client

from proposals.api import mcp
from tests import contract, factories
from tests.factories import make_agent, token_for
from tests.proposals.test_mcp import META, Model, model

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]


class TestTheDoor:
    def test_takes_a_token_of_an_agent_and_nothing_else(self, client):
        contract.assert_problem(Model().send("tools/list"), 401, "unauthenticated")
        contract.assert_problem(Model("cs_wrong").send("tools/list"), 401, "unauthenticated")
        client.force_login(factories.make_person())
        signed_in = client.post("/mcp", b"{}", content_type="application/json")
        contract.assert_problem(signed_in, 401, "unauthenticated")

    @pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "PATCH", "OPTIONS", "HEAD"])
    @pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
    def test_takes_posts_alone(self, method, accept):
        asking = model()
        headers = {"Authorization": f"Bearer {asking.token}", "Accept": accept}
        answer = asking.http.generic(method, "/mcp", headers=headers)
        assert (answer.status_code, answer["Allow"]) == (405, "POST")
        answer = asking.http.generic(method, "/mcp", headers={"Accept": accept})
        assert answer.status_code == 401

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
