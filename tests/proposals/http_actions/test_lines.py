"""Parts of a definition as lines of a form: said back unchanged, or refused in a sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proposals.console import http_lines
from proposals.console.http_lines import BadLine
from proposals.console.http_sources import changed_lines, placed, said
from proposals.exceptions import InvalidRequest

pytestmark = pytest.mark.once

# The signs that mean something in these lines, and a few that mean nothing.
SIGNS = st.text(' ,:"\\{}[]/-\n\té1aZ', max_size=12)
WORDS = st.one_of(SIGNS, st.sampled_from(["true", "null", "-1", "is", "where /a is b"]))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), WORDS)
POINTERS = st.text("az~/_0", max_size=8).map(lambda rest: f"/{rest}")
NAMES = st.text("aZ[]_-0", min_size=1, max_size=8)
CONDITIONS = st.fixed_dictionaries(
    {"status": st.integers(200, 599), "pointer": POINTERS},
    optional={"equals": st.lists(SCALARS, min_size=1, max_size=4)},
)


@given(st.lists(st.one_of(st.integers(200, 599), CONDITIONS), max_size=6))
def test_answers_are_said_back_unchanged(matches):
    assert http_lines.matches(http_lines.show_matches(matches)) == matches


@given(st.lists(WORDS, max_size=6))
def test_choices_are_said_back_unchanged(texts):
    assert http_lines.texts(http_lines.show_texts(texts)) == texts


JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(SIGNS, inner, max_size=4)),
    max_leaves=12,
)


@given(JSON)
def test_json_bodies_are_said_back_unchanged(value):
    assert http_lines.body(http_lines.show_body(value)) == value


@given(st.dictionaries(NAMES, st.text(' :={}"a1', max_size=12).map(str.strip)))
def test_names_and_values_are_said_back_unchanged(pairs):
    assert http_lines.pairs(http_lines.show_pairs(pairs)) == pairs


@pytest.mark.parametrize(
    ("read", "text", "told"),
    [
        (http_lines.pairs, "a: 1\nb", "Line 2: write it as name: value."),
        (http_lines.pairs, "a: 1\n\na: 2", "Line 3: a stands here twice."),
        (http_lines.matches, "200\nfine", "Line 2: write 200, or 200 where"),
        (http_lines.matches, '200 where /a is "x', "put it in quotes"),
        (http_lines.body, '{\n  "a": ,\n}', "Line 2, column 8"),
        (http_lines.body, '{"a": 1.5}', "write numbers with a point as text"),
        (http_lines.body, '{"a": NaN}', "write numbers with a point as text"),
        (http_lines.fragment, "a: &x 1", "anchors and aliases are not read here"),
        (http_lines.fragment, "a: 1\n---\nb: 2", "Only one piece of YAML"),
        (http_lines.fragment, "a: 1\na: 2", "Line 2, column 1: a stands here twice"),
    ],
)
def test_what_is_not_understood_is_told_in_a_sentence(read, text, told):
    with pytest.raises(BadLine) as refused:
        read(text)
    assert told in str(refused.value)


def test_a_fault_is_placed_on_its_line_or_on_the_last_one_above_it_that_is_there():
    text = "a:\n  - 1\n  - b: 2\n    c: 3\nd: 4\n"
    faults = [
        {"pointer": pointer, "code": "x", "detail": pointer}
        for pointer in ("/d", "/a/1/c", "/a/1/missing", "/nothing", "")
    ]
    found = {one.detail: one.line for one in placed(InvalidRequest("", errors=faults), text)}
    assert found == {"": 0, "/nothing": 0, "/a/1/missing": 3, "/a/1/c": 4, "/d": 5}


def test_only_what_changed_is_shown_with_a_little_around_it():
    before = "\n".join(f"line {number}" for number in range(20))
    lines = changed_lines(before, before.replace("line 10", "line ten"))
    assert ("removed", "line 10") in lines
    assert ("added", "line ten") in lines
    assert len(lines) == 6
    assert changed_lines(before, before) == []


@pytest.mark.parametrize(
    ("pointer", "code", "told"),
    [
        ("/request/path", "string-pattern-mismatch", "It begins with / and holds no spaces."),
        ("/result/refund", "string-pattern-mismatch", "A pointer into the answer"),
        ("/parameters/price/maximum", "string-pattern-mismatch", "An amount as text"),
        ("/request/headers/X y", "string-pattern-mismatch", "It is not written as it must be."),
        ("/sentence", "missing", "This is needed."),
        ("/name", "unsound", "as it came"),
    ],
)
def test_what_is_wrong_is_said_in_words_of_people(pointer, code, told):
    fault = {"pointer": pointer, "code": code, "detail": "as it came"}
    assert said(fault).startswith(told)
