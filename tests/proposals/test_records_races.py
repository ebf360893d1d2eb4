"""The records actions from several threads, from a killed process, and from a poor role."""

import re
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import ProgrammingError, connections

from proposals.exceptions import StaleTarget, TargetRefused, VoidedKey
from tests.child import killed_in_the_middle
from tests.shop_calls import (
    ARCHIVE,
    CREATE,
    DRAFT,
    UPDATE,
    everything,
    refund,
    status_of,
    undo,
    write,
)

DOCUMENTATION = Path(__file__).resolve().parents[2] / "docs" / "tables.md"


class TestRace:
    def test_eight_at_once_with_one_key_have_one_effect(self, shop):
        params = {"table": "shop.drafts", "values": DRAFT}
        count = "SELECT count(*) FROM drafts"
        before = shop.rows(count)[0][0]
        outcomes = in_threads(8, lambda _: CREATE.apply(params, key="k1", expected={"new": None}))
        assert shop.rows(count)[0][0] == before + 1
        assert all(outcome == outcomes[0] for outcome in outcomes)

    def test_eight_keys_on_one_row_write_it_once(self, shop, paid):
        expected = UPDATE.preview(refund(paid[0])).before

        def attempt(number: int) -> str:
            try:
                UPDATE.apply(refund(paid[0]), key=f"k{number}", expected=expected)
            except StaleTarget:
                return "stale"
            return "applied"

        assert sorted(in_threads(8, attempt)) == ["applied"] + ["stale"] * 7
        assert len(shop.rows("SELECT key FROM countersign_receipts")) == 1

    def test_overlapping_rows_in_any_order_do_not_wait_for_each_other(self, shop, paid):
        def attempt(number: int) -> str:
            keys = paid if number % 2 else paid[::-1]
            params = {"table": "shop.orders", "keys": keys, "set": {"note": f"n{number}"}}
            try:
                write(UPDATE, params, f"k{number}")
            except StaleTarget:
                return "stale"
            return "applied"

        results = in_threads(8, attempt)
        assert set(results) <= {"applied", "stale"}
        assert "applied" in results

    def test_void_and_apply_at_once_agree(self, shop, paid):
        for number, key in enumerate(paid):
            expected = UPDATE.preview(refund(key)).before

            def attempt(side: int, key=key, number=number, expected=expected):
                if side:
                    return UPDATE.void(refund(key), key=f"k{number}")
                try:
                    return UPDATE.apply(refund(key), key=f"k{number}", expected=expected)
                except VoidedKey:
                    return None

            applied, voided = in_threads(2, attempt)
            assert applied == voided
            assert status_of(shop, key) == ("refunded" if applied else "paid")

    def test_a_process_killed_in_the_middle_leaves_nothing_and_a_retry_applies_once(self, shop):
        params = {"table": "shop.drafts", "values": DRAFT}
        before = everything(shop)
        killed_in_the_middle(shop.url, params)
        assert everything(shop) == before
        first = CREATE.apply(params, key="k1", expected={"new": None})
        assert CREATE.apply(params, key="k1", expected={"new": None}) == first
        assert len(shop.rows("SELECT id FROM drafts")) == len(before[2]) + 1


def in_threads(count: int, work) -> list:
    """Run `work(number)` in as many threads at the same moment; their answers, in order."""
    barrier = threading.Barrier(count)

    def run(number: int):
        barrier.wait()
        try:
            return work(number)
        finally:
            connections["shop"].close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


class TestRole:
    """The role of docs/tables.md can do what the table files allow, and nothing beside it."""

    @pytest.fixture
    def role(self, shop):
        if connections["shop"].vendor != "postgresql":
            pytest.skip("SQLite has no roles")
        [grants] = re.findall(r"```sql\n(CREATE ROLE.*?)```", DOCUMENTATION.read_text(), re.S)
        name, database = f"role_{uuid.uuid4().hex[:8]}", shop.url.rpartition("/")[2]
        shop.execute(
            grants.replace("countersign_shop", name).replace(
                "DATABASE shop", f"DATABASE {database}"
            )
        )
        yield name
        shop.execute("RESET ROLE")
        shop.execute(f"DROP OWNED BY {name}")
        shop.execute(f"DROP ROLE {name}")

    def test_it_suffices_for_every_action(self, shop, paid, role):
        shop.execute(f"SET ROLE {role}")
        outcomes = [
            write(UPDATE, refund(*paid[:2]), "k1"),
            write(UPDATE, {"table": "shop.prices", "key": "1", "set": {"amount": "3.00"}}, "k2"),
            write(CREATE, {"table": "shop.drafts", "values": DRAFT}, "k3"),
            write(ARCHIVE, {"table": "shop.drafts", "key": "7"}, "k4"),
        ]
        for number, outcome in enumerate(outcomes):
            undo(outcome, f"u{number}")
        assert UPDATE.void(refund(paid[0]), key="v1") is None

    @pytest.mark.parametrize(
        "statement",
        [
            "DELETE FROM drafts WHERE id = 1",
            "DELETE FROM countersign_receipts",
            "UPDATE orders SET total = 0 WHERE id = 1",
            "INSERT INTO orders (customer_id) VALUES (1)",
            "SELECT email FROM customers",
            "SELECT customer_id FROM orders",
            "DROP TABLE drafts",
            "CREATE TABLE mine (id int)",
        ],
    )
    def test_it_can_do_nothing_else(self, shop, role, statement):
        shop.execute(f"SET ROLE {role}")
        with pytest.raises(ProgrammingError):
            shop.execute(statement)

    def test_what_it_lacks_is_a_definite_refusal(self, shop, role, paid):
        shop.execute(f"REVOKE UPDATE (status) ON orders FROM {role}")
        seen = UPDATE.preview(refund(paid[0]))
        shop.execute(f"SET ROLE {role}")
        with pytest.raises(TargetRefused, match="permission denied"):
            UPDATE.apply(refund(paid[0]), key="k1", expected=seen.before)
