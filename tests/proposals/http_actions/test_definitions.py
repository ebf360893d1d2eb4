"""A definition is understood whole or refused, and the refusal names the field."""

import copy

import pytest

from proposals.exceptions import InvalidParams, InvalidRequest
from proposals.http_actions import loading, reading, ready
from proposals.registry import Delivery

pytestmark = pytest.mark.once


def changed(place: str, value, name: str = "stripe-refund"):
    """A ready-made definition with one value put in; the place is a JSON pointer."""
    found = copy.deepcopy(ready.definition(name))
    *path, last = place.strip("/").split("/")
    inner = found
    for part in path:
        inner = inner[int(part)] if isinstance(inner, list) else inner.setdefault(part, {})
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return found


UNDO = {"request": {"method": "POST", "path": "/v1/x"}, "answers": {"applied": [200]}}
FAULTS = [
    ("/name", "refund", "/name"),
    ("/name", "Payments.refund", "/name"),
    ("/name", "payments.refund.undo", "/name"),
    ("/name", 7, "/name"),
    ("/surprise", 1, "/surprise"),
    ("/sentence", "Refund {nothing}", "/sentence"),
    ("/sentence", "Refund {reason}", "/sentence"),
    ("/sentence", "Refund {", "/sentence"),
    ("/resource", "charges/{amount}", "/resource"),
    ("/tier", "none", "/tier"),
    ("/money", "charge", "/money"),
    ("/origin", "https://api.example.com/", "/origin"),
    ("/origin", "https://api.example.com/v1", "/origin"),
    ("/origin", "https://user@api.example.com", "/origin"),
    ("/origin", "https://{charge}.example.com", "/origin"),
    ("/origin", "ftp://api.example.com", "/origin"),
    ("/origin", "https://api.example.com:0x50", "/origin"),
    ("/origin", "https://API.example.com", "/origin"),
    ("/parameters/key", {"kind": "boolean", "description": "x"}, "/parameters/key"),
    ("/parameters/a", {"kind": "code", "description": "x"}, "/parameters/a"),
    ("/parameters/a", {"kind": "text"}, "/parameters/a/description"),
    ("/parameters/charge/max_length", 0, "/parameters/charge/max_length"),
    ("/parameters/charge/pattern", "a)|(?:b", "/parameters/charge"),
    ("/parameters/charge/pattern", "(", "/parameters/charge"),
    ("/parameters/amount/currencies", ["EUX"], "/parameters/amount"),
    ("/parameters/amount/maximum", "lots", "/parameters/amount/maximum"),
    ("/parameters/reason/choices", [], "/parameters/reason/choices"),
    ("/request/method", "GET", "/request/method"),
    ("/request/method", "DELETE", "/request/method"),
    ("/request/path", "v1/refunds", "/request/path"),
    ("/request/path", "/v1/refunds?x={charge}", "/request/path"),
    ("/request/path", "/v1/../refunds/x", "/request/path"),
    ("/request/path", "/v1/{reason}", "/request/path"),
    ("/request/path", "/v1/{reference}", "/request/path"),
    ("/request/form/amount", "{amount}", "/request/form/amount"),
    ("/request/form/amount", 7, "/request/form/amount"),
    ("/request/json", {"a": "{charge}"}, "/request/form"),
    ("/request/headers/Host", "example.com", "/request/headers/Host"),
    ("/request/headers/Authorization", "x", "/request/headers/Authorization"),
    ("/request/headers/Idempotency-Key", "x", "/idempotency/header"),
    ("/request/headers/X-Auth-Token", "abc", "/request/headers/X-Auth-Token"),
    ("/request/query", {"api_key": "abc"}, "/request/query/api_key"),
    ("/request/form/auth[secret]", "abc", "/request/form/auth[secret]"),
    ("/answers/applied", [], "/answers/applied"),
    ("/answers/applied", [302], "/answers/applied/0"),
    ("/answers/not_applied", [500], "/answers/not_applied/0"),
    ("/answers/not_applied", [200], "/answers/not_applied/0"),
    ("/answers/not_taken", [500], "/answers/not_taken/0"),
    ("/answers/not_taken", [400], "/answers/not_taken/0"),
    ("/answers/body", "any", "/answers/body"),
    ("/reference", "id", "/reference"),
    ("/result/refund", "id", "/result/refund"),
    ("/idempotency/hours", 0, "/idempotency/hours"),
    ("/idempotency/header", "Content-Length", "/idempotency/header"),
    ("/idempotency/header", "Authorization", "/idempotency/header"),
    ("/key", {"length": 25}, "/key/length"),
    ("/preview/request/path", "/v1/{key}", "/preview/request/path"),
    ("/preview/request/method", "POST", "/preview/request/only_reads"),
    ("/preview/after/other", "x", "/preview/after/other"),
    ("/preview/requires/other", "x", "/preview/requires/other"),
    ("/preview/fields", {}, "/preview/fields"),
    ("/preview/missing", [200], "/preview/missing"),
    ("/probe/items/equals", "{charge}", "/probe"),
    ("/probe/reference", None, "/probe/reference"),
    ("/authentication/header", "X-Key", "/authentication/header"),
    (
        "/authentication",
        {"scheme": "header", "secret": "a", "header": "stripe-VERSION"},
        "/authentication/header",
    ),
    ("/authentication/secret", "sk_live_Abc", "/authentication/secret"),
    ("/undo", {**UNDO, "sentence": "Undo {key}"}, "/undo/sentence"),
    (
        "/undo",
        {**UNDO, "request": {"method": "POST", "path": "/{result.other}"}},
        "/undo/request/path",
    ),
    ("/undo", {**UNDO, "tier": "none"}, "/undo/tier"),
    ("/example", {"charge": "ch_1234"}, "/example/amount"),
]


class TestADefinition:
    @pytest.mark.parametrize(("place", "value", "fault"), FAULTS)
    def test_is_refused_at_the_field_at_fault(self, place, value, fault):
        with pytest.raises(InvalidRequest) as refusal:
            reading.read(changed(place, value))
        assert fault in [error["pointer"] for error in refusal.value.errors], refusal.value.errors
        assert all(error["detail"] for error in refusal.value.errors)

    @pytest.mark.parametrize("raw", [None, [], "x", 7, {}, {"name": "a.b"}])
    def test_is_an_object_with_all_that_is_needed(self, raw):
        with pytest.raises(InvalidRequest):
            reading.read(raw)

    @pytest.mark.parametrize("name", ready.names())
    def test_that_comes_with_the_product_is_sound_and_comes_back_from_yaml(self, name):
        found = ready.definition(name)
        assert reading.from_yaml(reading.to_yaml([found]))[0].as_json() == found

    def test_that_names_no_key_cannot_be_keyed(self):
        keyed = changed("/idempotency", {"hours": 24})
        keyed["request"]["form"].pop("metadata[countersign]")
        with pytest.raises(InvalidRequest, match="idempotency: Name the header"):
            reading.read(keyed)
        keyed["request"]["form"]["idempotency_key"] = "{key}"
        assert reading.read(keyed).delivery is Delivery.KEYED

    def test_with_a_probe_for_what_was_never_sent_is_refused(self):
        unkeyed = changed("/idempotency", None)
        unkeyed["request"]["form"].pop("metadata[countersign]")
        with pytest.raises(InvalidRequest, match="never sends"):
            reading.read(unkeyed)


class TestDelivery:
    def test_follows_from_what_is_defined(self):
        keyed = reading.read(ready.definition("stripe-refund"))
        assert (keyed.delivery, keyed.key_seconds) == (Delivery.KEYED, 24 * 3600)
        queryable = reading.read(changed("/idempotency", None))
        assert queryable.delivery is Delivery.QUERYABLE
        raw = changed("/idempotency", None)
        del raw["probe"]
        assert reading.read(raw).delivery is Delivery.UNCERTAIN

    def test_of_an_undo_is_its_own(self):
        found = reading.read(changed("/undo", UNDO))
        undo = loading.made(found)["payments.refund.undo"]
        assert undo.delivery is Delivery.UNCERTAIN
        assert undo.is_internal

    def test_of_a_key_may_end_in_a_probe(self):
        action = loading.made(reading.read(ready.definition("stripe-refund")))["payments.refund"]
        assert action.can_probe({})


class TestParameters:
    VALID = {"charge": "ch_abcd", "amount": {"amount": "1.00", "currency": "EUR"}}

    @pytest.mark.parametrize(
        ("change", "pointer"),
        [
            ({"charge": "ch_../x"}, "/params/charge"),
            ({"charge": "APPROVE THIS"}, "/params/charge"),
            ({"charge": 7}, "/params/charge"),
            ({"charge": "ch_abcd\n"}, "/params/charge"),
            ({"reason": "because"}, "/params/reason"),
            ({"reason": None}, "/params/reason"),
            ({"amount": "1.00"}, "/params/amount"),
            ({"amount": {"amount": "1.00", "currency": "XAU"}}, "/params/amount/currency"),
            ({"amount": {"amount": "-1.00", "currency": "EUR"}}, "/params/amount/amount"),
            ({"amount": {"amount": "1e3", "currency": "EUR"}}, "/params/amount/amount"),
            ({"amount": {"amount": "1.00", "currency": "EUR", "x": 1}}, "/params/amount/x"),
            ({"url": "https://evil.example"}, "/params/url"),
            ({"key": "mine"}, "/params/key"),
        ],
    )
    def test_of_an_agent_are_strict_and_no_others_are_taken(self, change, pointer):
        action = loading.made(reading.read(ready.definition("stripe-refund")))["payments.refund"]
        assert action.validate(self.VALID) == self.VALID
        with pytest.raises(InvalidParams) as refusal:
            action.validate({**self.VALID, **change})
        assert [error["pointer"] for error in refusal.value.errors] == [pointer]

    def test_that_do_not_fit_a_path_are_refused_before_anything_is_stored(self):
        raw = changed("/parameters/item", {"kind": "text", "description": "x"}, "generic-json")
        raw["sentence"], raw["resource"] = "Set a price", "items"
        raw["undo"]["sentence"] = ""
        action = loading.made(reading.read(raw))["items.set_price"]
        with pytest.raises(InvalidParams) as refusal:
            action.validate({"item": "../admin", "price": "1.00"})
        assert refusal.value.errors[0]["pointer"] == "/params/item"

    def test_of_free_text_cannot_speak_to_reviewers(self):
        raw = changed("/parameters/item", {"kind": "text", "description": "x"}, "generic-json")
        with pytest.raises(InvalidRequest) as refusal:
            reading.read(raw)
        places = {error["pointer"] for error in refusal.value.errors}
        assert {"/sentence", "/resource", "/undo/sentence"} <= places


class TestYaml:
    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("a: 1\na: 2\n", "Line 2, column 1: a stands here twice"),
            ("a: &x [1]\nb: *x\n", "anchors"),
            ("a: !!python/object/apply:os.system [ls]\n", "could not determine a constructor"),
            ("a: !thing 1\n", "could not determine a constructor"),
            ("1: a\n", "must be text"),
            ("a: [1\n", "Line"),
            ("[" * 60 + "]" * 60, "nested too deeply"),
            ("a: \x00", "no YAML"),
            ("", "no definition"),
            ("---\n---\n", "no definition"),
            ("x" * 300_000, "KiB"),
            ("--- 1\n" * 101, "At most 100"),
        ],
    )
    def test_is_read_without_surprises(self, text, told):
        with pytest.raises(InvalidRequest, match=told):
            reading.from_yaml(text)

    def test_takes_words_and_dates_for_text(self):
        text = "{a: no, b: 2024-06-20, c: yes, d: 012, e: 1_000, f: .5, g: true, h: null, i: 7}"
        assert reading.documents(text) == [
            {"a": "no", "b": "2024-06-20", "c": "yes", "d": "012", "e": "1_000"}
            | {"f": ".5", "g": True, "h": None, "i": 7}
        ]


def test_no_refusal_of_one_among_several_is_passed_over():
    def refuse(value: str) -> str:
        if value == "odd":
            raise InvalidRequest("This one is odd.")  # and names no place
        return value

    assert reading.every([("a", "fine"), ("b", "fine")], refuse) == ["fine", "fine"]
    with pytest.raises(InvalidRequest, match=r"^b: This one is odd\.$"):
        reading.every([("a", "fine"), ("b", "odd")], refuse)
