"""Anything at all at the agents' door: always a documented answer, and nothing half stored."""

import copy
import json
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.models import LedgerEntry
from proposals.models import IdempotencyKey, Proposal, Revision, Run
from tests.contract import assert_documented, assert_problem, assert_proposal
from tests.factories import body, client_for, make_agent, make_checked, new_key, painting, work
from tests.proposals.test_bad_input import evidence, posts

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]

# What anybody might send. Texts hold NUL and, once escaped, lone surrogates too.

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.text(alphabet=st.characters(categories=["Cs", "Cc", "Cf"]), max_size=5),
    st.sampled_from(["toys.set", "bear", "2026-11-22T09:58:03Z", "low", "", 0, -1, 10**30]),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
members = st.sampled_from(
    [*body(), "evidence", "context", "expires_in", "toy", "colour", "note", "kind", "title", "uri"]
)
latin = st.text(alphabet=st.characters(max_codepoint=255, exclude_characters="\0\r\n"), max_size=20)
headers = st.fixed_dictionaries(
    {},
    optional={
        "HTTP_PREFER": st.sampled_from(["wait=0", "wait=\x00", "wait=x", ",,;="]) | latin,
        "HTTP_ACCEPT": st.sampled_from(["*/*", "text/html", ";", "application/json;q=x"]) | latin,
        "HTTP_IDEMPOTENCY_KEY": latin.map(lambda text: text * 20),
        "CONTENT_TYPE": st.sampled_from(
            ["application/json", "application/json;", "a/b", "//", "é"]
        ),
        "HTTP_X_HTTP_METHOD_OVERRIDE": st.sampled_from(["DELETE", "GET"]),
        "HTTP_COOKIE": latin,
    },
)
fuzzing = settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@st.composite
def mutated(draw):
    """A body that would be accepted, with something in it replaced, added or left out."""
    asked = copy.deepcopy(
        evidence(content={"a": [1]}, retrieved_at="2026-11-22T09:58:03Z") | {"context": {"m": "x"}}
    )
    for _ in range(draw(st.integers(1, 3))):
        places = list(containers(asked))
        place = draw(st.sampled_from(places))
        spots = list(place) if isinstance(place, dict) else list(range(len(place)))
        change = draw(st.sampled_from(["replace", "remove", "add"]))
        if change != "add" and spots:
            spot = draw(st.sampled_from(spots))
            if change == "remove":
                del place[spot]
            else:
                place[spot] = draw(values)
        elif isinstance(place, dict):
            place[draw(members | st.text(max_size=5))] = draw(values)
        else:
            place.append(draw(values))
    return asked


def containers(value):
    """Every object and list in a JSON value, itself first."""
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from containers(inner)


def stored():
    return [
        model.objects.count() for model in (Proposal, Revision, Run, IdempotencyKey, LedgerEntry)
    ]


class Fuzzed:
    """An agent with a proposal to aim at. Each answer is documented; a refusal stored nothing."""

    def __init__(self):
        self.agent = make_agent()
        self.pending = make_checked(agent=self.agent, params=painting(tier="medium"))
        self.committed = make_checked(agent=self.agent, params=painting("green"))
        self.client = client_for(self.agent)

    def paths(self):
        return [*posts(self.pending)[:3], *posts(self.committed)[2:]]

    def send(self, path, data, **headers):
        before = stored()
        sent = {"CONTENT_TYPE": "application/json", "HTTP_IDEMPOTENCY_KEY": new_key()} | headers
        response = self.client.http.generic(
            "POST",
            f"/api/v1{path}",
            data,
            sent.pop("CONTENT_TYPE"),
            headers=self.client.headers,
            **sent,
        )
        assert_documented(response)
        if response.status_code >= 400:
            assert stored() == before, response.content
        else:
            assert_proposal(response, response.status_code)

    def get(self, path, **headers):
        before = stored()
        response = self.client.http.get(f"/api/v1{path}", headers=self.client.headers, **headers)
        assert_documented(response)
        assert stored() == before


@pytest.fixture
def fuzzed(toybox):
    """Afterwards, what was taken is worked on and shown: it must not break anything later."""
    target = Fuzzed()
    yield target
    work()
    page = target.client.get("/proposals?limit=100")
    assert page.status_code == 200
    for each in page.json()["results"]:
        assert each["status"] != "submitted"


class TestFuzz:
    @fuzzing
    @given(data=values, door=st.integers(0, 4))
    def test_any_json_at_every_post(self, fuzzed, data, door):
        fuzzed.send(fuzzed.paths()[door], json.dumps(data).encode())

    @fuzzing
    @given(data=mutated())
    def test_bodies_that_are_almost_right(self, fuzzed, data):
        fuzzed.send("/proposals", json.dumps(data).encode())
        if isinstance(data, dict):
            part = {
                name: data[name] for name in ("params", "rationale", "evidence") if name in data
            }
            fuzzed.send(fuzzed.paths()[1], json.dumps(part).encode())

    @fuzzing
    @given(data=st.binary(max_size=200), door=st.integers(0, 4), sent=headers)
    def test_any_bytes_under_any_headers(self, fuzzed, data, door, sent):
        fuzzed.send(fuzzed.paths()[door], data, **sent)
        fuzzed.send("/proposals", json.dumps(body()).encode(), **sent)

    @fuzzing
    @given(
        query=st.dictionaries(
            st.sampled_from(
                ["status", "run", "action", "resource", "cursor", "limit", "x", "format"]
            )
            | st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=4),
            st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30)
            | st.binary(max_size=20)
            | st.integers(),
            max_size=4,
        ),
        door=st.integers(0, 4),
        raw=st.text(alphabet="%&=;+0aF\x00é", max_size=20),
    )
    def test_any_question_at_every_get(self, fuzzed, query, raw, door):
        proposal = f"/proposals/{fuzzed.pending.pk}"
        paths = (proposal, "/actions", "/actions/toys.set", "/runs/run-1", "/me")
        fuzzed.get(f"{paths[door]}?{urlencode(query)}")
        fuzzed.get(f"/proposals?{urlencode(query)}")
        fuzzed.get(f"/proposals?{raw}")

    @fuzzing
    @given(
        name=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40),
        folder=st.sampled_from(["proposals", "actions", "runs", "x"]),
        sent=headers,
    )
    def test_any_address(self, fuzzed, name, folder, sent):
        fuzzed.get(f"/{folder}/a{quote(name, safe='/')}", **sent)

    @fuzzing
    @given(header=latin | latin.map("Bearer {}".format) | latin.map("Bearer cs_{}".format))
    def test_any_credential(self, fuzzed, header):
        before = stored()
        response = fuzzed.client.http.post(
            "/api/v1/proposals", b"{}", "application/json", HTTP_AUTHORIZATION=header
        )
        assert_problem(response, 401, "unauthenticated")
        assert stored() == before
