"""The records actions: what they accept, say and show. Nothing here writes."""

import threading
from decimal import Decimal

import pytest
from django.db import OperationalError, connections

from proposals.actions import rows, tables
from proposals.exceptions import InvalidParams, TargetRefused, TargetUnavailable
from proposals.registry import Money, Tier
from tests.shop_calls import (
    ARCHIVE,
    CREATE,
    DRAFT,
    RESTORE,
    UPDATE,
    everything,
    refund,
    undo,
    write,
)


class TestParameter:
    @pytest.mark.parametrize(
        ("changes", "pointer"),
        [
            ({"table": "shop.customers"}, "/params/table"),
            ({"table": 7}, "/params/table"),
            ({"table": None}, "/params/table"),
            ({"key": 42}, "/params/key"),
            ({"key": "042"}, "/params/key"),
            ({"key": "42\n"}, "/params/key"),
            ({"key": "4 OR 1=1"}, "/params/key"),
            ({"key": None}, "/params/key"),
            ({"keys": ["1"]}, "/params/keys"),
            ({"set": {}}, "/params/set"),
            ({"set": {"status": "gone"}}, "/params/set/status"),
            ({"set": {"status": None}}, "/params/set/status"),
            ({"set": {"total": "1.00"}}, "/params/set/total"),
            ({"set": {'status" = 1 --': "paid"}}, '/params/set/status" = 1 --'),
            ({"set": {"note": "a\0b"}}, "/params/set/note"),
            ({"set": {"note": "a\ud800"}}, "/params/set/note"),
            ({"set": {"note": "x" * 501}}, "/params/set/note"),
            ({"more": 1}, "/params/more"),
        ],
    )
    def test_a_fault_is_pointed_at(self, changes, pointer):
        with pytest.raises(InvalidParams) as refusal:
            UPDATE.validate({**refund("42"), **changes})
        assert pointer in [error["pointer"] for error in refusal.value.errors]

    @pytest.mark.parametrize(
        ("keys", "pointer"),
        [
            (None, "/params/key"),
            ([], "/params/keys"),
            (["1", "1"], "/params/keys"),
            (["1", "x"], "/params/keys/1"),
            ([str(number) for number in range(101)], "/params/keys"),
        ],
    )
    def test_rows_are_named_in_one_way_and_once(self, keys, pointer):
        params = {"table": "shop.orders", "set": {"status": "paid"}}
        with pytest.raises(InvalidParams) as refusal:
            UPDATE.validate(params | ({} if keys is None else {"keys": keys}))
        assert refusal.value.errors[0]["pointer"] == pointer

    @pytest.mark.parametrize(
        ("given", "text"), [("12.5", "12.50"), ("12", "12.00"), ("12.25", "12.25"), ("-0", "0.00")]
    )
    def test_decimals_become_fixed_text(self, given, text):
        params = {"table": "shop.prices", "key": "1", "set": {"amount": given}}
        assert UPDATE.validate(params)["set"] == {"amount": text}

    @pytest.mark.parametrize(
        "given",
        [
            "12.505",
            12,
            12.25,
            "NaN",
            float("nan"),
            float("inf"),
            "1e3",
            1e30,
            "+1",
            " 1",
            "١",
            True,
            "",
            "9" * 13,
        ],
    )
    def test_what_is_no_decimal_is_refused(self, given):
        with pytest.raises(InvalidParams) as refusal:
            UPDATE.validate({"table": "shop.prices", "key": "1", "set": {"amount": given}})
        assert refusal.value.errors[0]["pointer"] == "/params/set/amount"

    def test_validating_twice_changes_nothing(self):
        for action, params in (
            (UPDATE, {"table": "shop.prices", "keys": ["1", "2"], "set": {"amount": "3"}}),
            (CREATE, {"table": "shop.drafts", "values": DRAFT}),
            (ARCHIVE, {"table": "shop.drafts", "key": "7"}),
        ):
            once = action.validate(params)
            assert action.validate(once) == once

    def test_the_schema_lists_what_there_is_and_suggests_no_null(self):
        schema = UPDATE.schema()
        text = str(schema)
        assert {"shop.orders", "shop.prices", "shop.drafts"} <= set(text.replace("'", " ").split())
        assert "archived_at" not in text
        assert "'default'" not in text
        assert schema["$defs"]["Set_shop_prices"]["properties"]["amount"]["pattern"]
        assert "Tier medium" in text

    @pytest.mark.parametrize(
        "row",
        [
            {"key": "1", "set": {"total": "0.01"}, "expect": {}},
            {"key": "1", "set": {"status": "paid"}, "expect": {'id" FROM customers --': 1}},
            {"key": "1", "set": {"status": 5}, "expect": {}},
            {"key": "1", "set": {"status": "a\0"}, "expect": {}},
            {"key": "01", "set": {"status": "paid"}, "expect": {}},
            {"key": "1", "set": {}, "expect": {}},
        ],
    )
    def test_an_amended_undo_reaches_no_more_than_any_write(self, shop, row):
        params = {"table": "shop.orders", "rows": [row]}
        before = everything(shop)
        with pytest.raises(InvalidParams):
            RESTORE.validate(params)
        with pytest.raises(TargetRefused):
            RESTORE.preview(params)
        with pytest.raises(TargetRefused):
            RESTORE.apply(params, key="k1", expected={})
        assert everything(shop) == before

    def test_a_name_that_is_not_described_never_becomes_sql(self, shop):
        with pytest.raises(TargetRefused, match="no such column in"):
            rows.read(tables.get("shop.orders"), ["1"], ['id" FROM customers --'])


class TestWording:
    @pytest.mark.parametrize(
        ("action", "params", "sentence"),
        [
            (UPDATE, refund("42"), "Change status of order 42 to refunded"),
            (
                UPDATE,
                {"table": "shop.orders", "key": "4", "set": {"note": "APPROVE", "status": "paid"}},
                "Change note and status of order 4",
            ),
            (
                UPDATE,
                {"table": "shop.prices", "keys": ["1", "2"], "set": {"amount": "1.00"}},
                "Change amount of 2 prices",
            ),
            (CREATE, {"table": "shop.drafts", "values": DRAFT}, "Create a draft"),
            (ARCHIVE, {"table": "shop.drafts", "key": "7"}, "Archive draft 7"),
        ],
    )
    def test_a_sentence_is_in_the_systems_words(self, action, params, sentence):
        assert action.sentence(params) == sentence

    def test_undoing_says_what_it_does(self, shop, paid):
        first = write(UPDATE, refund(paid[0]))
        assert (
            RESTORE.sentence(first.compensation.params)
            == f"Put back status of order {paid[0]} to paid"
        )
        made = write(CREATE, {"table": "shop.drafts", "values": DRAFT}, "k2")
        key = made.result["key"]
        assert RESTORE.sentence(made.compensation.params) == f"Archive draft {key}"
        back = undo(made, "k3")
        assert RESTORE.sentence(back.compensation.params) == f"Take draft {key} out of the archive"

    def test_a_resource_is_one_row_or_the_table(self):
        assert UPDATE.resource(refund("42")) == "shop.orders/42"
        assert UPDATE.resource(refund("1", "2")) == "shop.orders"
        assert CREATE.resource({"table": "shop.drafts", "values": DRAFT}) == "shop.drafts"


class TestPreview:
    def test_it_writes_nothing_and_is_the_same_twice(self, shop, paid):
        before = everything(shop)
        calls = [
            (UPDATE, refund(*paid[:2])),
            (CREATE, {"table": "shop.drafts", "values": DRAFT}),
            (ARCHIVE, {"table": "shop.drafts", "key": "1"}),
        ]
        for action, params in calls:
            assert action.preview(params) == action.preview(params)
        assert everything(shop) == before
        assert not connections["shop"].in_atomic_block

    def test_it_says_what_changes_and_what_that_costs(self, shop, paid):
        seen = UPDATE.preview(refund(*paid[:2]))
        assert seen.before == {key: {"status": "paid"} for key in paid[:2]}
        assert seen.after == {key: {"status": "refunded"} for key in paid[:2]}
        assert seen.impact.objects == 2
        assert seen.impact.amount is None
        assert seen.impact.reasons == ("Changes status of 2 orders (medium).",)
        assert seen.tier is Tier.MEDIUM
        note = {"table": "shop.orders", "key": paid[0], "set": {"note": None}}
        assert UPDATE.preview(note).tier is Tier.LOW

    def test_money_is_summed_in_one_currency_only(self, shop):
        shop.execute("UPDATE prices SET amount = '10.00' WHERE id IN (1, 2)")
        params = {"table": "shop.prices", "keys": ["1", "2"], "set": {"amount": "7.50"}}
        assert UPDATE.preview(params).impact.amount == Money(Decimal("5.00"), "EUR")
        shop.execute("UPDATE prices SET currency = 'SEK' WHERE id = 2")
        with pytest.raises(TargetRefused, match=r"\(EUR and SEK\); propose them apart"):
            UPDATE.preview(params)

    def test_rows_that_are_missing_or_archived_are_refused(self, shop):
        with pytest.raises(TargetRefused, match="no order 999999"):
            UPDATE.preview(refund("999999"))
        write(ARCHIVE, {"table": "shop.drafts", "key": "1"})
        change = {"table": "shop.drafts", "key": "1", "set": {"subject": "x"}}
        for action, params in ((ARCHIVE, {"table": "shop.drafts", "key": "1"}), (UPDATE, change)):
            with pytest.raises(TargetRefused, match="archived already"):
                action.preview(params)

    def test_a_target_that_is_away_is_unavailable(self, shop, monkeypatch):
        def refuse(*args, **kwargs):
            raise OperationalError("connection refused")

        connections["shop"].close()
        monkeypatch.setattr(connections["shop"], "connect", refuse)
        with pytest.raises(TargetUnavailable):
            UPDATE.preview(refund("1"))
        with pytest.raises(TargetUnavailable):
            UPDATE.apply(refund("1"), key="k1", expected={})

    def test_a_connection_that_died_meanwhile_is_replaced(self, shop, paid):
        UPDATE.preview(refund(paid[0]))
        if connections["shop"].vendor == "postgresql":
            [(pid,)] = shop.rows("SELECT pg_backend_pid()")
            ended = threading.Thread(target=terminate, args=(pid,))
            ended.start()
            ended.join()
            connections["shop"].settings_dict["CONN_HEALTH_CHECKS"] = True
            connections["shop"].health_check_enabled = True
        else:
            connections["shop"].connection.close()
            connections["shop"].errors_occurred = True
        assert write(UPDATE, refund(paid[0])).result["rows"] == 1


def terminate(pid: int) -> None:
    with connections["shop"].cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    connections["shop"].close()
