"""Whatever an agent sends is answered with a documented problem, and nothing of it is stored."""

import io
import json
from types import SimpleNamespace

import pytest

from proposals.api.parsers import PayloadTooLarge, StrictJSONParser
from proposals.models import Proposal
from tests.contract import assert_problem, assert_proposal, rows
from tests.factories import (
    body,
    client_for,
    make_checked,
    new_key,
    painting,
)

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.usefixtures("toybox")]
KIB = 1024
EVIDENCE = {"kind": "record", "title": "toys/bear"}


def nested(levels):
    """A body so deep that it has this many levels; the body and its params are two of them."""
    note = []
    for _ in range(levels - 3):
        note = [note]
    return body(params=painting(note=note))


def sized(size):
    """A body of exactly so many bytes."""
    asked = body(params=painting(note=""))
    room = size - len(json.dumps(asked).encode())
    asked["params"]["note"] = "x" * room
    return json.dumps(asked).encode()


def evidence(**changes):
    return body(evidence=[EVIDENCE, {**EVIDENCE, **changes}])


def without(name):
    return {member: value for member, value in body().items() if member != name}


SHAPES = {
    "no action": (without("action"), "/action"),
    "no params": (without("params"), "/params"),
    "no run": (without("run"), "/run"),
    "no rationale": (without("rationale"), "/rationale"),
    "an unknown member": (body(status="approved"), "/status"),
    "a tier of its own": (body(tier="low"), "/tier"),
    "another agent": (body(agent="other"), "/agent"),
    "a member with a slash": (body(**{"a/b~c": 1}), "/a~1b~0c"),
    "an action that is a number": (body(action=7), "/action"),
    "an empty action": (body(action=""), "/action"),
    "an action too long": (body(action="x" * 129), "/action"),
    "an action with a line feed": (body(action="toys.set\n"), "/action"),
    "params as a list": (body(params=[]), "/params"),
    "params as text": (body(params="{}"), "/params"),
    "params as null": (body(params=None), "/params"),
    "an empty run": (body(run=""), "/run"),
    "a run too long": (body(run="x" * 129), "/run"),
    "a run with NUL": (body(run="a\0"), "/run"),
    "a run with a line feed": (body(run="a\nb"), "/run"),
    "a run with a hidden turn": (body(run="a\u202eb"), "/run"),
    "a run that is a number": (body(run=17), "/run"),
    "an empty rationale": (body(rationale=""), "/rationale"),
    "a rationale too long": (body(rationale="x" * 2001), "/rationale"),
    "a rationale with NUL": (body(rationale="a\0b"), "/rationale"),
    "a rationale as list": (body(rationale=["x"]), "/rationale"),
    "evidence that is no list": (body(evidence={}), "/evidence"),
    "evidence too much": (body(evidence=[EVIDENCE] * 21), "/evidence"),
    "evidence that is text": (body(evidence=["x"]), "/evidence/0"),
    "evidence of no kind": (body(evidence=[{"title": "x"}]), "/evidence/0/kind"),
    "evidence of another kind": (evidence(kind="rumour"), "/evidence/1/kind"),
    "evidence without title": (body(evidence=[{"kind": "record"}]), "/evidence/0/title"),
    "evidence with an empty title": (evidence(title=""), "/evidence/1/title"),
    "evidence with a long title": (evidence(title="x" * 201), "/evidence/1/title"),
    "evidence with NUL": (evidence(content={"a": ["\0"]}), "/evidence/1/content/a/0"),
    "evidence with NUL in its title": (evidence(title="\0"), "/evidence/1/title"),
    "evidence with NUL in its uri": (evidence(uri="\0"), "/evidence/1/uri"),
    "evidence with a long uri": (evidence(uri="x" * 2001), "/evidence/1/uri"),
    "evidence with a member more": (evidence(sure=True), "/evidence/1/sure"),
    "a time without offset": (
        evidence(retrieved_at="2026-11-22T09:58:03"),
        "/evidence/1/retrieved_at",
    ),
    "a time in seconds": (evidence(retrieved_at=1_700_000_000), "/evidence/1/retrieved_at"),
    "a time in seconds, as text": (evidence(retrieved_at="17"), "/evidence/1/retrieved_at"),
    "a day": (evidence(retrieved_at="2026-11-22"), "/evidence/1/retrieved_at"),
    "a day that never was": (
        evidence(retrieved_at="2026-02-30T00:00:00Z"),
        "/evidence/1/retrieved_at",
    ),
    "a time before time": (
        evidence(retrieved_at="0001-01-01T00:00:00+14:00"),
        "/evidence/1/retrieved_at",
    ),
    "a time after time": (
        evidence(retrieved_at="9999-12-31T23:59:59-14:00"),
        "/evidence/1/retrieved_at",
    ),
    "context as list": (body(context=[]), "/context"),
    "context of numbers": (body(context={"model": 4}), "/context/model"),
    "context of objects": (body(context={"model": {}}), "/context/model"),
    "context with NUL": (body(context={"model": "\0"}), "/context/model"),
    "context with NUL in a name": (body(context={"\0": "x"}), "/context"),
    "a deadline too near": (body(expires_in=59), "/expires_in"),
    "a deadline too far": (body(expires_in=604_801), "/expires_in"),
    "a deadline of half a second": (body(expires_in=86400.5), "/expires_in"),
    "a deadline as text": (body(expires_in="86400"), "/expires_in"),
    "a deadline that is true": (body(expires_in=True), "/expires_in"),
    "NUL in a parameter": (body(params=painting("\0")), "/params/colour"),
    "a list": ([body()], ""),
    "text": ("propose", ""),
    "a number": (42, ""),
    "null": (None, ""),
    "nothing in it": ({}, "/action"),
}
PARAMS = {
    "a toy that there is not": (painting(toy="lion"), "/params/toy"),
    "a colour that is a number": (painting(7), "/params/colour"),
    "a colour too long": (painting("x" * 41), "/params/colour"),
    "a member more": (painting(sql="DROP TABLE toys"), "/params/sql"),
    "a member with NUL in its name": (painting(**{"\0": 1}), "/params/\0"),
    "nothing": ({}, "/params/toy"),
}
MALFORMED = {
    "not JSON": b"{action: toys.set}",
    "cut off": b'{"action": "toys.set"',
    "two values": b"{} {}",
    "a name twice": b'{"action": "toys.set", "action": "toys.set"}',
    "a name twice, deep": b'{"params": {"a": [{"b": 1, "b": 1}]}}',
    "a name twice, spelt otherwise": b'{"a": 1, "\\u0061": 1}',
    "NaN": b'{"expires_in": NaN}',
    "Infinity": b'{"expires_in": Infinity}',
    "-Infinity": b'{"expires_in": -Infinity}',
    "2^53": b'{"expires_in": 9007199254740992}',
    "-2^53": b'{"expires_in": -9007199254740992}',
    "2^53 as a float": b'{"expires_in": 9007199254740992.0}',
    "1e16": b'{"expires_in": 1e16}',
    "1e400": b'{"expires_in": 1e400}',
    "many digits": b'{"expires_in": ' + b"9" * 5000 + b"}",
    "a lone surrogate": b'{"rationale": "\\ud800"}',
    "a lone surrogate as a name": b'{"\\udfff": 1}',
    "Latin-1": '{"rationale": "café"}'.encode("latin-1"),
    "UTF-16": '{"rationale": "café"}'.encode("utf-16"),
    "a surrogate in UTF-8": b'{"rationale": "\xed\xa0\x80"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a raw line feed in text": b'{"rationale": "a\nb"}',
    "a comment": b"{} // hello",
    "a trailing comma": b'{"run": "a",}',
    "a leading zero": b'{"expires_in": 0100}',
    "33 levels": json.dumps(nested(33)).encode(),
    "a hundred thousand levels": b"[" * 100_000,
    "a hundred thousand objects": b'{"a":' * 40_000,
}
QUERIES = {
    "an unknown status": "status=busy",
    "an empty status": "status=",
    "a page of none": "limit=0",
    "a page of 101": "limit=101",
    "a page of many": "limit=ten",
    "a page of half": "limit=1.5",
    "a page of a large number": f"limit={'9' * 5000}",
    "a cursor of another house": "cursor=abc",
    "a cursor with bad letters": "cursor=%C3%A9%C3%A9",
    "a cursor too long": f"cursor={'A' * 65}",
    "a cursor with NUL": "cursor=%00",
    "a filter that there is not": "agent=other",
    "a run with NUL": "run=%00",
    "a resource too long": f"resource={'x' * 256}",
    "bytes that are no text": "action=%FF%FE%00",
}


class TestTable:
    @pytest.mark.parametrize("case", SHAPES)
    def test_a_request_of_another_shape(self, case):
        asked, pointer = SHAPES[case]
        agent, before = prepared()
        refused = agent.post("/proposals", json.dumps(asked).encode())
        assert_problem(refused, 400, "invalid-request", pointer)
        assert rows() == before

    @pytest.mark.parametrize("case", PARAMS)
    def test_parameters_that_do_not_fit(self, case):
        params, pointer = PARAMS[case]
        agent, before = prepared()
        assert_problem(agent.propose(params=params), 400, "invalid-params", pointer)
        assert rows() == before

    @pytest.mark.parametrize("case", MALFORMED)
    def test_what_two_parsers_could_read_differently(self, case):
        proposal = make_checked(params=painting(tier="medium"))
        agent, before = client_for(proposal.agent), rows()
        for path in posts(proposal):
            assert_problem(agent.post(path, MALFORMED[case]), 400, "malformed-json")
        assert rows() == before

    @pytest.mark.parametrize("case", QUERIES)
    def test_questions_that_make_no_sense(self, case):
        agent, _ = prepared()
        assert_problem(agent.get(f"/proposals?{QUERIES[case]}"), 400, "invalid-request")

    def test_the_largest_body_and_one_byte_more(self):
        agent, _ = prepared()
        assert_proposal(agent.post("/proposals", sized(256 * KIB)), 201)
        before = rows()
        for size in (256 * KIB + 1, 600 * KIB):
            refused = agent.post("/proposals", sized(size))
            assert_problem(refused, 413, "payload-too-large")
        assert rows() == before

    def test_the_deepest_body(self):
        assert_proposal(prepared()[0].post("/proposals", nested(32)), 201)

    @pytest.mark.parametrize(
        "media",
        [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/xml",
            "application/json-patch+json",
            "",
            "nonsense",
        ],
    )
    def test_other_media_types(self, media):
        proposal = make_checked(params=painting(tier="medium"))
        agent, before = client_for(proposal.agent), rows()
        for path in posts(proposal):
            refused = agent.post(path, b"action=toys.set", content_type=media)
            assert_problem(refused, 415, "unsupported-media-type")
        assert rows() == before

    def test_json_may_say_that_it_is_utf_8(self):
        agent, _ = prepared()
        for media in ("application/json; charset=utf-8", "Application/JSON;charset=UTF-8"):
            assert_proposal(agent.post("/proposals", body(), content_type=media), 201)

    def test_the_limits_themselves_are_allowed(self):
        agent, _ = prepared()
        for number, fine in enumerate(
            [
                body(run="x" * 128),
                body(run="Ärger 8 ☃"),
                body(rationale="x" * 2000),
                body(rationale="Line\nfeed and \u202e turn"),
                body(evidence=[EVIDENCE] * 20),
                evidence(title="x" * 200, uri="x" * 2000, content=[1.5, None, {"a": -1e-9}]),
                evidence(retrieved_at="2026-11-22t09:58:03.123456z"),
                evidence(retrieved_at="2026-11-22T09:58:03+14:00"),
                evidence(content=2**53 - 1, uri=None, retrieved_at=None),
                body(expires_in=60),
                body(expires_in=604_800),
                body(expires_in=86400.0),
                body(expires_in=None, context={}, evidence=[]),
            ]
        ):
            stored = assert_proposal(agent.post("/proposals", fine, key=f"k{number}"), 201)
            assert_proposal(agent.get(f"/proposals/{stored['id']}"))

    def test_a_body_in_chunks_is_read_and_measured(self):
        agent, _ = prepared()
        assert_proposal(chunked(agent, json.dumps(body()).encode()), 201)
        assert_problem(chunked(agent, sized(256 * KIB + 1)), 413, "payload-too-large")
        large = io.BytesIO(b" " * 900 * KIB)
        assert_problem(chunked(agent, large), 413, "payload-too-large")
        assert large.read() == b"", "read on, so that the next request gets through"
        assert_problem(chunked(agent, b"{"), 400, "malformed-json")
        assert_problem(chunked(agent, b""), 400, "invalid-request")
        assert_problem(chunked(agent, CutOff()), 400, "invalid-request")


def prepared():
    """An agent's client, and how many rows there are before it sends anything."""
    client = client_for()
    return client, rows()


def posts(proposal):
    return [
        "/proposals",
        f"/proposals/{proposal.pk}/revisions",
        f"/proposals/{proposal.pk}/undo",
        f"/proposals/{proposal.pk}/withdraw",
    ]


def chunked(agent, data):
    """As the server hands over a body that came in chunks, and so without a length."""
    return agent.http.post(
        "/api/v1/proposals",
        content_type="application/json",
        headers={**agent.headers, "Idempotency-Key": new_key(), "Transfer-Encoding": "chunked"},
        CONTENT_LENGTH="",
        **{"wsgi.input": data if hasattr(data, "read") else io.BytesIO(data)},
    )


class CutOff(io.BytesIO):
    def read(self, size=-1):
        raise ConnectionResetError


def test_a_mail_by_the_one_template_that_the_empty_menu_names_is_refused():
    """Its schema must name something; nothing that fits a schema may end in a 500."""
    agent = client_for()
    schema = agent.get("/actions/email.send").json()["schema"]
    template = "(no mail template is in force)"
    assert template in json.dumps(schema)
    answer = agent.propose(action="email.send", params={"template": template})
    assert_problem(answer, 400, "invalid-params")
    assert not Proposal.objects.exists()


def test_a_host_that_is_not_listed_is_refused_as_a_problem():
    agent = client_for()
    for answer in (
        agent.get("/me", host="countersign.internal"),
        agent.post("/proposals", body(), host="a_b"),
    ):
        assert_problem(answer, 400, "invalid-request")
    assert not Proposal.objects.exists()


def test_a_body_that_ended_before_its_stated_length_is_refused():
    agent = client_for()
    sent = json.dumps(body()).encode()
    answer = agent.http.post(
        "/api/v1/proposals",
        content_type="application/json",
        headers={**agent.headers, "Idempotency-Key": new_key()},
        CONTENT_LENGTH=str(len(sent) + 10),
        **{"wsgi.input": io.BytesIO(sent)},
    )
    assert_problem(answer, 400, "malformed-json")
    assert not Proposal.objects.exists()


class Upload(io.BytesIO):
    """A body that comes in from the network, whose length was declared."""

    def __init__(self, size: int) -> None:
        super().__init__(b" " * size)
        request = SimpleNamespace(META={"CONTENT_LENGTH": str(size)})
        self.context = {"request": request}


@pytest.mark.parametrize("beyond", [1, 200 * KIB, 1024 * KIB])
def test_what_is_too_large_is_read_on_so_that_the_next_request_gets_through(beyond):
    """Left unread, the server would end a connection that it has just promised to keep."""
    upload = Upload(256 * KIB + beyond)
    with pytest.raises(PayloadTooLarge):
        StrictJSONParser().parse(upload, parser_context=upload.context)
    assert len(upload.read()) < 256 * KIB + 1


def test_what_is_far_too_large_is_not_read_to_its_end():
    upload = Upload(4096 * KIB)
    with pytest.raises(PayloadTooLarge):
        StrictJSONParser().parse(upload, parser_context=upload.context)
    assert len(upload.read()) == 3072 * KIB
