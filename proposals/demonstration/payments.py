"""What the demonstration's payment provider knows of the shop: a charge for each paid order.

This is the one place that looks at both; the provider's process never sees the shop.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connections

from proposals.demonstration import provider
from proposals.demonstration.charges import Charge
from proposals.demonstration.shop import ALIAS

ORDERS = (
    "SELECT id, status, total, currency, placed_at FROM orders WHERE status <> 'cancelled' "
    "ORDER BY id"
)


def ensure() -> None:
    """Make the secret key and the charges where they are missing."""
    provider.secret_key(settings.DATA_DIR)
    store = provider.store(settings.DATA_DIR)
    if not store.knows_any():
        store.know(charges())


def charges() -> Iterator[Charge]:
    """An order that was refunded before the demonstration began has nothing left to give back."""
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(ORDERS)
        for order, status, total, currency, placed_at in cursor.fetchall():
            amount = int(Decimal(total) * 100)
            yield Charge(
                id=charge_id(order),
                reference=str(order),
                amount=amount,
                currency=currency.lower(),
                created=moment(placed_at).timestamp(),
                refunded_before=amount if status == "refunded" else 0,
            )


def charge_id(order: int | str) -> str:
    return f"ch_{int(order):06}"


def moment(placed_at: Any) -> datetime:
    """SQLite keeps moments as text."""
    return datetime.fromisoformat(placed_at) if isinstance(placed_at, str) else placed_at
