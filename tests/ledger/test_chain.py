"""The arithmetic: canonical bytes, hashes, and what a walk along a stream notices."""

import json
from datetime import UTC, datetime, timedelta, timezone

from django.core.exceptions import ValidationError
from django.test import SimpleTestCase
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import chain
from ledger.canonical import CanonicalJSONField, canonical, digest, parse

AT = datetime(2026, 11, 22, 9, 58, 3, 120, tzinfo=UTC)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
bodies = st.dictionaries(
    texts,
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


def make_row(before=None, *, body=None, **columns):
    """A sound entry after `before`."""
    columns = {
        "stream": before.stream if before else "proposal:1",
        "number": before.number + 1 if before else 1,
        "kind": "proposal.submitted",
        "actor": "agent:1",
        "actor_name": "billing-bot",
        "at": AT,
        "proposal": "1",
        "agent": "1",
        "run": "run-1",
        "object": "orders/42",
        "previous": before.hash if before else b"",
    } | columns
    data = chain.ledger_canonical(chain.statement(**columns, body=body or {}))
    id_ = before.id + 1 if before else 1
    return chain.Row(id=id_, canonical=data, hash=chain.entry_hash(data), **columns)


def faults(rows):
    return [(row.number, why) for row, why in chain.walk(rows) if why]


class CanonicalTests(SimpleTestCase):
    def test_numbers_are_written_as_rfc_8785_writes_them(self):
        value = [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001, -0.0]
        self.assertEqual(canonical(value), b"[333333333.3333333,1e+30,4.5,0.002,1e-27,0]")

    def test_keys_are_sorted_by_utf_16(self):
        value = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "ö": 7}
        self.assertEqual(list(json.loads(canonical(value)).values()), [2, 4, 6, 7, 1, 5, 3])

    def test_order_of_keys_does_not_matter_and_values_do(self):
        self.assertEqual(canonical({"a": 1, "b": 2}), canonical({"b": 2, "a": 1}))
        self.assertNotEqual(canonical({"a": 1}), canonical({"a": "1"}))

    def test_values_without_canonical_bytes_are_refused(self):
        deep = []
        for _ in range(100_000):
            deep = [deep]
        bad = [float("nan"), float("inf"), 2**53, -(2**53), "\ud800", {1: 2}, {"\ud800": 1}]
        for value in [*bad, b"bytes", {"a": {1, 2}}, deep]:
            with self.subTest(kind=type(value)), self.assertRaises(ValueError):
                canonical(value)

    def test_a_large_float_survives_parsing(self):
        for value in (1e17, -3e20, 2.0**53, 0.1, 5e-324):
            with self.subTest(value=value):
                text = canonical(value)
                self.assertEqual(parse(text), value)
                self.assertEqual(canonical(parse(text)), text)

    def test_digest_is_sha_256_of_the_bytes(self):
        self.assertEqual(
            digest({}), "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        )

    def test_digest_of_one_domain_is_none_of_another(self):
        self.assertEqual(len({digest({}), digest({}, "check/v1"), digest({}, "revision/v1")}), 3)


class CanonicalFieldTests(SimpleTestCase):
    def setUp(self):
        self.field = CanonicalJSONField(null=True)
        self.field.set_attributes_from_name("facts")

    def test_text_is_canonical_and_comes_back_as_json(self):
        stored = self.field.get_prep_value({"b": [1.5, None], "a": "é"})
        self.assertEqual(stored, '{"a":"é","b":[1.5,null]}')
        self.assertEqual(self.field.from_db_value(stored, None, None), {"a": "é", "b": [1.5, None]})

    def test_none_is_null(self):
        self.assertIsNone(self.field.get_prep_value(None))
        self.assertIsNone(self.field.from_db_value(None, None, None))

    def test_a_string_is_json_text_and_not_json(self):
        self.assertEqual(self.field.get_prep_value("[1]"), '"[1]"')
        self.assertEqual(self.field.to_python("[1]"), "[1]")

    def test_what_has_no_canonical_form_does_not_validate(self):
        with self.assertRaises(ValidationError):
            self.field.clean({"a": float("nan")}, None)
        self.assertEqual(self.field.clean({"a": 1}, None), {"a": 1})

    def test_a_form_reads_json(self):
        self.assertEqual(self.field.formfield().clean('{"a": [1]}'), {"a": [1]})

    def test_a_migration_can_write_it_down(self):
        _, path, args, kwargs = self.field.deconstruct()
        self.assertEqual((path, args), ("ledger.canonical.CanonicalJSONField", []))
        self.assertEqual(kwargs, {"null": True})


class EntryTests(SimpleTestCase):
    def test_bytes_and_hash_are_the_known_ones(self):
        """Bytes written by hand; the hash is that of `sha256sum` over prefix and bytes."""
        row = make_row(body={"amount": "120.00", "objects": 3, "note": "né\n"})
        self.assertEqual(
            row.canonical.decode(),
            '{"actor":"agent:1","actor_name":"billing-bot","agent":"1",'
            '"at":"2026-11-22T09:58:03.000120Z",'
            '"body":{"amount":"120.00","note":"né\\n","objects":3},'
            '"kind":"proposal.submitted","number":1,"object":"orders/42","previous":"",'
            '"proposal":"1","run":"run-1","stream":"proposal:1","v":1}',
        )
        self.assertEqual(
            row.hash.hex(), "6b71320b329bbfc31303df2ea1b941443cae2976c659aa338fbb30e5334a2127"
        )

    def test_next_entry_holds_the_hash_of_the_one_before(self):
        first = make_row(body={"amount": "120.00", "objects": 3, "note": "né\n"})
        second = make_row(first, kind="proposal.committed")
        self.assertEqual(json.loads(second.canonical)["previous"], first.hash.hex())
        self.assertEqual(
            second.hash.hex(), "a548caf70b356164915e520988f8f9d2259aa471d15c6353edb7dfde45d7f258"
        )

    def test_floats_are_refused_wherever_they_are(self):
        for body in ({"a": 1.0}, {"a": [{"b": 0.5}]}, {"a": (1, 2.5)}):
            with self.subTest(body=body), self.assertRaises(ValueError):
                chain.ledger_canonical(body)

    def test_moments_are_utc_with_six_digits(self):
        east = datetime(2026, 1, 1, 1, 0, tzinfo=timezone(timedelta(hours=2)))
        self.assertEqual(chain.moment(east), "2025-12-31T23:00:00.000000Z")
        with self.assertRaises(ValueError):
            chain.moment(datetime(2026, 1, 1))


class WalkTests(SimpleTestCase):
    def setUp(self):
        self.rows = [make_row(body={"n": 1})]
        for n in (2, 3, 4):
            self.rows.append(make_row(self.rows[-1], body={"n": n}))

    def test_sound_streams_have_no_fault(self):
        other = make_row(stream="policy")
        self.assertEqual(faults([*self.rows, other, make_row(other)]), [])

    @settings(max_examples=150, deadline=None)
    @given(body=bodies, actor_name=texts, object=texts, run=texts)
    def test_whatever_text_an_entry_holds_it_is_sound(self, body, **columns):
        """The fast way to check bytes agrees with the RFC 8785 library that wrote them."""
        self.assertEqual(faults([make_row(body=body, **columns)]), [])

    def test_keys_that_python_sorts_otherwise_are_sound(self):
        self.assertEqual(faults([make_row(body={"\ufb33": 1, "\U0001f600": {"\ue000": []}})]), [])

    def test_every_changed_byte_is_noticed(self):
        row = make_row(body={"who": "né", "n": 7})
        for position in range(len(row.canonical)):
            data = bytearray(row.canonical)
            data[position] ^= 1
            for hash_ in (row.hash, chain.entry_hash(bytes(data))):
                changed = row._replace(canonical=bytes(data), hash=hash_)
                with self.subTest(position=position, rehashed=hash_ != row.hash):
                    in_body = (
                        row.canonical.index(b'"body"') < position < row.canonical.index(b',"kind"')
                    )
                    if in_body and hash_ != row.hash:
                        continue  # a new body with a new hash: the next entry tells, see below
                    self.assertNotEqual(faults([changed]), [])

    def test_every_column_that_departs_from_the_bytes_is_named(self):
        row = self.rows[1]
        changes = {"at": AT + timedelta(microseconds=1), "number": 9, "previous": b"x" * 32}
        texts_ = ("stream", "kind", "actor", "actor_name", "proposal", "agent", "run", "object")
        for column, value in (changes | dict.fromkeys(texts_, "other")).items():
            with self.subTest(column=column):
                why = chain.fault(row._replace(**{column: value}), self.rows[0])
                self.assertEqual(why, f"column {column} does not say what its bytes say")

    def test_bytes_that_are_not_canonical_are_refused_even_when_rehashed(self):
        row = self.rows[0]
        text = row.canonical.decode()
        variants = {
            "space": text.replace('"n":1', '"n": 1'),
            "escape": text.replace("billing", "\\u0062illing"),
            "float": text.replace('"n":1', '"n":1.0'),
            "big": text.replace('"n":1', f'"n":{2**53}'),
            "nan": text.replace('"n":1', '"n":NaN'),
            "doubled key": text.replace('"n":1', '"n":2,"n":1'),
            "key order": text.replace('"n":1', '"n":1,"a":1'),
            "body of another kind": text.replace('{"n":1}', "[1]"),
            "more fields": text.replace('"v":1', '"v":1,"w":1'),
            "other version": text.replace('"v":1', '"v":2'),
            "true for one": text.replace('"number":1', '"number":true'),
            "no field": text.replace('"run":"run-1",', ""),
            "nothing": "",
            "no object": "[]",
        }
        for name, variant in variants.items():
            data = variant.encode()
            with self.subTest(name):
                self.assertNotEqual(data, row.canonical)
                changed = row._replace(canonical=data, hash=chain.entry_hash(data))
                self.assertNotEqual(chain.fault(changed, None), "")

    def test_a_changed_and_rehashed_entry_is_told_by_the_next(self):
        forged = make_row(self.rows[0], body={"n": 99})
        self.assertEqual(
            faults([self.rows[0], forged, *self.rows[2:]]),
            [(3, "it does not continue the entry before it")],
        )

    def test_a_missing_entry_is_told_by_the_next(self):
        self.assertEqual(
            faults([self.rows[0], *self.rows[2:]]),
            [(3, "number 3 follows 1: entries are missing or out of place")],
        )

    def test_a_missing_first_entry_is_told_by_the_next(self):
        self.assertEqual([number for number, _ in faults(self.rows[1:])], [2])

    def test_exchanged_ids_are_told(self):
        first, second = self.rows[:2]
        rows = [first._replace(id=2), second._replace(id=1)]
        self.assertEqual(faults(rows), [(2, "its id is not above that of the entry before it, 2")])
