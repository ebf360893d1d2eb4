"""The addresses of the agents' door: slashes, methods, media types, and the page to read it on."""

import re
from uuid import uuid4

import pytest
from django.core.management import call_command

from proposals.models import Proposal
from tests.contract import assert_problem, assert_proposal
from tests.factories import AgentClient, body, client_for, make_checked

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]


class TestEveryAddress:
    READS = ("/proposals", "/actions", "/actions/toys.set", "/runs/run-1", "/me")

    def test_a_trailing_slash_is_accepted(self):
        proposal = make_checked()
        client = client_for(proposal.agent)
        for path in (*self.READS, f"/proposals/{proposal.pk}", "/openapi.json", "/docs"):
            bare, slashed = client.get(path), client.get(f"{path}/")
            assert (bare.status_code, slashed.status_code) == (200, 200), path
        first = client.post("/proposals/", body(run="z"), key="slash")
        assert assert_proposal(first, 201)["id"]
        again = client.post("/proposals", body(run="z"), key="slash")
        assert again["Idempotent-Replayed"] == "true"
        assert_problem(
            client.post(f"/proposals/{proposal.pk}/withdraw/"), 409, "illegal-transition"
        )

    def test_without_a_token_nothing_is_told(self):
        proposal = make_checked()
        for path in (*self.READS, f"/proposals/{proposal.pk}", f"/proposals/{uuid4()}"):
            assert_problem(AgentClient().get(path), 401, "unauthenticated")
        for verb in ("", f"/{proposal.pk}/revisions", f"/{proposal.pk}/undo"):
            assert_problem(AgentClient().post(f"/proposals{verb}"), 401, "unauthenticated")

    def test_other_methods_are_refused_by_name(self):
        proposal = make_checked()
        client = client_for(proposal.agent)
        for path in (*self.READS[1:], f"/proposals/{proposal.pk}", "/openapi.json", "/docs"):
            refused = client.post(path)
            assert_problem(refused, 405, "method-not-allowed")
            assert "GET" in refused["Allow"]
        for verb in ("revisions", "undo", "withdraw"):
            refused = client.get(f"/proposals/{proposal.pk}/{verb}")
            assert_problem(refused, 405, "method-not-allowed")
            assert "POST" in refused["Allow"]
        for method in ("put", "patch", "delete"):
            refused = getattr(client.http, method)("/api/v1/proposals", headers=client.headers)
            assert_problem(refused, 405, "method-not-allowed")

    def test_other_representations_are_refused(self):
        client = client_for()
        for path in (*self.READS, "/openapi.json"):
            assert_problem(client.get(path, accept="text/html"), 406, "not-acceptable")
        assert_problem(client.get("/docs", accept="image/png"), 406, "not-acceptable")
        assert client.get("/me", accept="application/*;q=0.5").status_code == 200

    def test_more_query_than_is_read_is_a_bad_request(self):
        many = "?" + "&".join(["a"] * 1001)
        client = client_for()
        for path in (*self.READS, "/docs", "/budgets"):
            assert_problem(client.get(path + many), 400, "invalid-request")
            assert_problem(AgentClient().get(path + many), 400, "invalid-request")
        assert_problem(client.post("/proposals" + many, body(), key="k"), 400, "invalid-request")
        assert not Proposal.objects.exists()

    @pytest.mark.parametrize("query", ["version=%0Ax", "version=%00", "version=v9", "lang=%00"])
    def test_nothing_of_a_query_comes_back_with_the_document(self, query):
        plain, asked = (
            AgentClient().get("/openapi.json"),
            AgentClient().get(f"/openapi.json?{query}"),
        )
        assert asked.status_code == 200
        assert asked.content == plain.content
        assert asked["Content-Disposition"] == plain["Content-Disposition"]

    def test_nowhere_is_a_problem_too(self):
        for path in ("/api/v1/", "/api/v1/nothing", "/api/v2/me", "/api/", "/api/v1/a%0Ab"):
            assert_problem(AgentClient().get(path), 404, "not-found")
            assert_problem(AgentClient().post(path), 404, "not-found")
        assert_problem(client_for().get("/proposals/42"), 404, "not-found")

    def test_the_openapi_document_is_valid_and_complete(self, capsys):
        call_command("spectacular", validate=True, fail_on_warn=True, format="openapi-json")
        assert '"openapi": "3.1' in capsys.readouterr().out
        served = AgentClient().get("/openapi.json").json()
        assert set(served["paths"]) == {
            "/api/v1/proposals",
            "/api/v1/proposals/{proposal_id}",
            "/api/v1/proposals/{proposal_id}/revisions",
            "/api/v1/proposals/{proposal_id}/withdraw",
            "/api/v1/proposals/{proposal_id}/undo",
            "/api/v1/actions",
            "/api/v1/actions/{name}",
            "/api/v1/runs/{run}",
            "/api/v1/budgets",
            "/api/v1/me",
        }

    def test_the_openapi_document_names_the_headers_that_bind(self):
        paths = AgentClient().get("/openapi.json").json()["paths"]
        post, me = paths["/api/v1/proposals"]["post"], paths["/api/v1/me"]["get"]
        named = {
            (of, status): set(answer.get("headers", {}))
            for of, one in (("post", post), ("me", me))
            for status, answer in one["responses"].items()
        }
        limits = {"RateLimit-Policy", "RateLimit"}
        assert named["post", "201"] == {"Location", "Preference-Applied"} | limits
        assert named["post", "200"] == {"Idempotent-Replayed", "Preference-Applied"}
        assert named["post", "429"] == {"Retry-After"} | limits
        assert named["post", "503"] == named["me", "503"] == {"Retry-After"}
        assert named["post", "401"] == named["me", "401"] == {"WWW-Authenticate"}
        assert "405" in post["responses"]
        assert "405" in me["responses"]
        [key] = [one for one in post["parameters"] if one["name"] == "Idempotency-Key"]
        assert (key["schema"]["minLength"], key["schema"]["maxLength"]) == (1, 255)

    def test_the_page_to_read_it_needs_no_inline_code(self):
        response = AgentClient().get("/docs")
        html = response.content.decode()
        assert response.status_code == 200
        policy = response["Content-Security-Policy"].split("; ")
        assert "script-src 'self'" in policy
        assert "<style" not in html
        assert " style=" not in html
        assert not re.search(r"<script(?![^>]* src=)", html)
        assert "http" not in html
