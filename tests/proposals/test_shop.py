"""The demonstration shop: filled once, the same for everybody, and quick to make."""

import time
from collections import Counter
from datetime import UTC, datetime, timedelta

from proposals.actions import tables
from proposals.demonstration import shop as demonstration
from proposals.registry import Tier


def test_it_has_the_documented_columns_and_numbers_from_one(shop):
    for table, columns in {
        "customers": "id, name, email, city",
        "orders": "id, customer_id, status, total, currency, note, placed_at",
        "prices": "id, sku, title, amount, currency",
        "drafts": "id, order_id, subject, body, state, archived_at",
    }.items():
        found = shop.rows(f"SELECT {columns} FROM {table} ORDER BY id")
        assert [row[0] for row in found] == list(range(1, len(found) + 1))
        assert len(found) >= 150


def test_every_status_occurs_and_dates_are_of_the_last_months(shop):
    statuses = Counter(row[0] for row in shop.rows("SELECT status FROM orders"))
    assert set(statuses) == {"paid", "shipped", "refunded", "cancelled"}
    assert min(statuses.values()) > 30
    placed = [
        tables.read_timestamp(None, row[0]) for row in shop.rows("SELECT placed_at FROM orders")
    ]
    now = datetime.now(UTC)
    assert min(placed) > (now - timedelta(days=122)).isoformat()
    assert max(placed) <= now.isoformat()


def test_making_it_again_changes_nothing(shop):
    shop.execute("UPDATE orders SET note = 'kept' WHERE id = 1")
    before = shop.rows("SELECT count(*), max(id) FROM orders")
    demonstration.ensure()
    assert shop.rows("SELECT note FROM orders WHERE id = 1") == [("kept",)]
    assert shop.rows("SELECT count(*), max(id) FROM orders") == before


def test_it_is_the_same_everywhere_and_made_within_two_seconds(shop):
    counted = shop.rows("SELECT id, customer_id, status, total, note FROM orders ORDER BY id")
    for table in ("drafts", "prices", "orders", "customers"):
        shop.execute(f"DROP TABLE {table}")
    started = time.monotonic()
    demonstration.ensure()
    assert time.monotonic() - started < 2
    again = shop.rows("SELECT id, customer_id, status, total, note FROM orders ORDER BY id")
    assert again == counted


def test_what_may_be_written_is_what_the_contract_says():
    writable = {
        f"{table.name}.{name}": column.tier
        for table in tables.tables().values()
        if table.database == "shop"
        for name, column in table.writable.items()
    }
    assert writable == {
        "orders.status": Tier.MEDIUM,
        "orders.note": Tier.LOW,
        "prices.amount": Tier.MEDIUM,
        "drafts.order_id": Tier.LOW,
        "drafts.subject": Tier.LOW,
        "drafts.body": Tier.LOW,
        "drafts.state": Tier.LOW,
    }
    drafts = tables.get("shop.drafts")
    assert drafts.creatable
    assert drafts.archive_column == "archived_at"
    assert "shop.customers" not in tables.tables()
