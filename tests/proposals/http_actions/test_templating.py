"""Parameters stay where they were put: no path, query, form, JSON or header can be escaped."""

import json
from urllib.parse import parse_qsl

import pytest

from proposals.http_actions import parameters, reading, requests, templating
from proposals.http_actions.templating import LEFT_OUT, Unfit

pytestmark = pytest.mark.once
NASTY = [
    "../admin",
    "..%2fadmin",
    "a/b",
    "a\\b",
    "%2e%2e%2f",
    "%252e%252e",
    "a%00b",
    "a\r\nX-Evil: 1",
    "a&amount=1",
    "a=b",
    'a","amount":1,"x":"',
    "a#b",
    "a?b=c",
    "a;b=c",
    "{key}",
    "{{key}}",
    "\u202eevil",
    "ä ö",
    "",
    "..",
    ".",
]


class TestPaths:
    @pytest.mark.parametrize("value", NASTY)
    def test_keep_a_value_inside_its_segment_or_refuse_it(self, value):
        try:
            made = templating.path("/v1/things/{thing}/undo", {"thing": value})
        except Unfit:
            return
        assert made.startswith("/v1/things/")
        assert made.endswith("/undo")
        assert made.count("/") == 4
        assert not set("?#;\\ \r\n&") & set(made)
        assert made.isascii()

    @pytest.mark.parametrize(
        "value", ["..", ".", "", "a/b", "a\\b", "%2e%2e", "a\nb", LEFT_OUT, None]
    )
    def test_refuse_what_a_server_on_the_way_could_read_otherwise(self, value):
        with pytest.raises(Unfit):
            templating.path("/things/{thing}", {"thing": value})

    def test_refuse_two_values_that_are_dots_together(self):
        with pytest.raises(Unfit):
            templating.path("/things/{one}{two}", {"one": ".", "two": "."})

    def test_take_a_plain_key_as_it_is(self):
        assert templating.path("/v1/{a}", {"a": "ch_1.x-y~z"}) == "/v1/ch_1.x-y~z"
        assert templating.path("/v1/{a}", {"a": 7}) == "/v1/7"


class TestForms:
    @pytest.mark.parametrize("value", NASTY)
    def test_hold_each_value_whole_under_its_name(self, value):
        made = templating.encoded({"charge": "{a}", "amount": "5"}, {"a": value})
        assert parse_qsl(made, keep_blank_values=True) == [("charge", value), ("amount", "5")]
        assert made.isascii()

    def test_leave_out_what_was_not_given(self):
        values = {"a": LEFT_OUT, "b": True, "c": 7}
        assert templating.encoded({"a": "x{a}", "b": "{b}", "c": "{c}"}, values) == "b=true&c=7"


class TestJson:
    @pytest.mark.parametrize("value", NASTY)
    def test_holds_each_value_as_one_text(self, value):
        made = templating.tree({"a": "{a}", "list": ["x {a}"], "n": 5}, {"a": value})
        found = json.loads(json.dumps(made))
        assert found == {"a": value, "list": [f"x {value}"], "n": 5}

    def test_keeps_the_type_of_a_value_that_stands_alone(self):
        values = {"n": 12, "yes": True, "none": None, "gone": LEFT_OUT}
        tree = {"n": "{n}", "yes": "{yes}", "none": "{none}", "gone": "{gone}", "all": "{n}{yes}"}
        made = templating.tree(tree, values)
        assert made == {"n": 12, "yes": True, "none": None, "all": "12true"}


class TestHeaders:
    @pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b", "ä", "a\x7f", "x" * 2001])
    def test_refuse_more_than_one_plain_line(self, value):
        with pytest.raises(Unfit):
            templating.header("v {a}", {"a": value})


class TestTemplates:
    def test_read_nothing_into_a_value(self):
        assert templating.text("{a}", {"a": "{b}{{c}}"}) == "{b}{{c}}"

    def test_write_braces_twice(self):
        assert templating.text("{{{a}}}", {"a": 1}) == "{1}"

    @pytest.mark.parametrize("template", ["{", "}", "{a", "a}", "{A}", "{a.b.c}", "{a!r}", "{}"])
    def test_have_no_other_language(self, template):
        with pytest.raises(ValueError, match="brace"):
            templating.parse(template)


class TestMoney:
    @pytest.mark.parametrize(
        ("amount", "currency", "minor"),
        [
            ("12.00", "EUR", 1200),
            ("0.01", "USD", 1),
            ("1200", "JPY", 1200),
            ("1.234", "KWD", 1234),
            ("5.00", "MGA", 5),
            ("5", "UGX", 500),
        ],
    )
    def test_is_counted_in_the_units_of_the_provider(self, amount, currency, minor):
        money = self.money()
        value = money.fitting({"amount": amount, "currency": currency})
        assert money.values(value)["minor"] == minor

    @pytest.mark.parametrize(
        ("amount", "currency"),
        [
            ("12.0", "EUR"),
            ("12", "EUR"),
            ("12.00", "JPY"),
            ("1.23", "KWD"),
            ("0.00", "EUR"),
            ("2000.01", "EUR"),
            ("5.50", "MGA"),
        ],
    )
    def test_has_one_way_to_be_written_and_a_most(self, amount, currency):
        adapter = parameters.adapter_of({"amount": self.money()}, "test")
        with pytest.raises(ValueError, match="amount"):
            adapter.validate_python({"amount": {"amount": amount, "currency": currency}})

    def money(self) -> parameters.MoneyAmount:
        return parameters.MoneyAmount(
            kind="money",
            description="How much.",
            currencies=["EUR", "USD", "JPY", "KWD", "MGA", "UGX"],
            maximum="2000",
            minor_digits={"MGA": 0, "UGX": 2},
        )


class TestKeys:
    EXECUTION = "a" * 52

    def test_stay_as_they_are_where_they_fit(self):
        assert requests.shaped(reading.Definition.model_fields["key"].default, self.EXECUTION) == (
            self.EXECUTION
        )

    def test_are_shaped_alike_each_time_and_unlike_each_other(self):
        for how in ({"format": "uuid"}, {"length": 26}, {"length": 40}):
            key = requests.Key(**how)
            made = [requests.shaped(key, one) for one in (self.EXECUTION, self.EXECUTION, "b" * 52)]
            assert made[0] == made[1] != made[2]
            assert len(made[0]) == (36 if key.format == "uuid" else key.length)
