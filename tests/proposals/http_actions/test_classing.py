"""What an answer means; and that everything that nobody listed means that nobody knows."""

import json

import pytest

from proposals.http_actions import classing, reading, ready
from proposals.http_actions.classing import NOTHING, Class, Read

pytestmark = pytest.mark.once
ANSWERS = {
    "applied": [{"status": 200, "pointer": "/state", "equals": ["done", "queued"]}, 201],
    "not_applied": [400, 404, {"status": 200, "pointer": "/state", "equals": "refused"}],
    "not_taken": [429, 503],
    "stale": [412],
    "unknown": [{"status": 400, "pointer": "/type", "equals": "key_in_use"}],
}
TABLE = [
    (200, {"id": "x1", "state": "done"}, Class.APPLIED),
    (200, {"id": "x1", "state": "queued"}, Class.APPLIED),
    (201, {"id": 17}, Class.APPLIED),
    (200, {"id": "x1", "state": "refused"}, Class.NOT_APPLIED),
    (400, {"type": "invalid"}, Class.NOT_APPLIED),
    (404, b"", Class.NOT_APPLIED),
    (404, b"<html>", Class.NOT_APPLIED),
    (429, {}, Class.NOT_TAKEN),
    (503, b"", Class.NOT_TAKEN),
    (412, {}, Class.STALE),
    # Nobody listed these, or they lack what they have to carry.
    (200, {"id": "x1", "state": "half"}, Class.UNKNOWN),
    (200, {"id": "x1"}, Class.UNKNOWN),
    (200, b"not JSON", Class.UNKNOWN),
    (201, b"not JSON", Class.UNKNOWN),
    (201, b"", Class.UNKNOWN),
    (201, {"id": None}, Class.UNKNOWN),
    (201, {"id": True}, Class.UNKNOWN),
    (201, {"id": {"a": 1}}, Class.UNKNOWN),
    (201, {"id": "two words"}, Class.UNKNOWN),
    (201, {"id": "x" * 201}, Class.UNKNOWN),
    (201, {"id": ""}, Class.UNKNOWN),
    (201, [], Class.UNKNOWN),
    (201, b'{"id": NaN}', Class.UNKNOWN),
    (202, {"id": "x1"}, Class.UNKNOWN),
    (204, b"", Class.UNKNOWN),
    (400, {"type": "key_in_use"}, Class.UNKNOWN),
    (301, {}, Class.UNKNOWN),
    (302, {}, Class.UNKNOWN),
    (307, {}, Class.UNKNOWN),
    (304, b"", Class.UNKNOWN),
    (401, {}, Class.UNKNOWN),
    (409, {}, Class.UNKNOWN),
    (500, {"id": "x1"}, Class.UNKNOWN),
    (502, b"", Class.UNKNOWN),
    (504, b"", Class.UNKNOWN),
    (599, b"", Class.UNKNOWN),
]


def defined(**changes):
    found = {**ready.definition("generic-json"), "answers": ANSWERS, "reference": "/id"}
    return reading.read({**found, **changes})


def answer(status, body, *, is_cut=False) -> Read:
    told = body if isinstance(body, bytes) else json.dumps(body).encode()
    return classing.parsed(status, told, is_cut=is_cut)


class TestAnAnswer:
    @pytest.mark.parametrize(("status", "body", "kind"), TABLE)
    def test_means_what_the_definition_lists_and_else_nothing(self, status, body, kind):
        meaning = classing.mean(defined(), answer(status, body))
        assert meaning.kind is kind
        assert bool(meaning.why) is (kind is Class.UNKNOWN)

    def test_that_was_cut_off_is_no_success(self):
        found = answer(201, {"id": "x1"}, is_cut=True)
        assert classing.mean(defined(), found).kind is Class.UNKNOWN

    def test_without_a_body_is_enough_where_nothing_is_read_from_it(self):
        plain = defined(answers={"applied": [200, 204]}, reference="")
        assert classing.mean(plain, answer(204, b"")).kind is Class.APPLIED
        assert classing.mean(plain, answer(200, b"")).kind is Class.UNKNOWN
        anything = defined(answers={"applied": [200], "body": "any"}, reference="")
        assert classing.mean(anything, answer(200, b"ok")).kind is Class.APPLIED

    def test_that_two_classes_claim_by_value_is_unknown(self):
        both = {**ANSWERS, "stale": [{"status": 400, "pointer": "/code", "equals": 7}]}
        both["not_applied"] = [{"status": 400, "pointer": "/type", "equals": "late"}]
        found = answer(400, {"code": 7, "type": "late"})
        assert classing.mean(defined(answers=both), found).kind is Class.UNKNOWN

    def test_tells_true_from_one(self):
        one = {"applied": [{"status": 200, "pointer": "/ok", "equals": True}]}
        meaning = classing.mean(defined(answers=one, reference=""), answer(200, {"ok": 1}))
        assert meaning.kind is Class.UNKNOWN


class TestPointers:
    @pytest.mark.parametrize(
        ("pointer", "found"),
        [
            ("/a/0/b", 1),
            ("/a/1", NOTHING),
            ("/a/-", NOTHING),
            ("/a/x", NOTHING),
            ("/c~1d", 2),
            ("/e~0f", 3),
            ("/a/0/b/c", NOTHING),
            ("", {"a": [{"b": 1}], "c/d": 2, "e~f": 3}),
        ],
    )
    def test_find_values_or_nothing(self, pointer, found):
        assert classing.at({"a": [{"b": 1}], "c/d": 2, "e~f": 3}, pointer) == found


class TestAProbe:
    LISTED = {
        "request": {"path": "/things"},
        "found": [200],
        "absent": [404],
        "items": {"list": "/data", "pointer": "/note", "more": "/has_more"},
        "reference": "/id",
    }
    ALONE = {"request": {"path": "/things/{key}"}, "found": [200], "absent": [404]}

    def found(self, probe, status, body):
        made = defined(probe={**probe, "reference": "/id"})
        return classing.found_by(made.probe, answer(status, body), "ours")

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ({"data": [{"id": "t1", "note": "ours"}], "has_more": False}, {"id": "t1"}),
            ({"data": [{"id": "t1", "note": "ours"}], "has_more": True}, {"id": "t1"}),
            ({"data": [{"id": "t2", "note": "theirs"}], "has_more": False}, None),
            ({"data": [], "has_more": False}, None),
            ({"data": [], "has_more": True}, NOTHING),
            ({"data": []}, NOTHING),
            ({"data": [{"id": "t1", "note": "ours"}] * 2, "has_more": False}, NOTHING),
            ({"data": [{"note": "ours"}], "has_more": False}, NOTHING),
            ({"data": "none", "has_more": False}, NOTHING),
            (b"not JSON", NOTHING),
            (b"null", NOTHING),
        ],
    )
    def test_looks_for_ours_in_a_list_that_is_complete(self, body, expected):
        found = self.found(self.LISTED, 200, body)
        if isinstance(expected, dict):
            assert found["id"] == expected["id"]
        else:
            assert found is expected

    @pytest.mark.parametrize(
        ("status", "body", "expected"),
        [
            (404, b"", None),
            (200, b"null", NOTHING),
            (200, {}, NOTHING),
            (500, {"id": "t1"}, NOTHING),
            (301, {"id": "t1"}, NOTHING),
            (403, b"", NOTHING),
        ],
    )
    def test_of_one_thing_says_found_or_absent_or_neither(self, status, body, expected):
        assert self.found(self.ALONE, status, body) is expected
