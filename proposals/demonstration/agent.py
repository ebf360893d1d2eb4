"""The demonstration agent: it posts a dozen proposals through the REST API, as any agent would.

Each has its own idempotency key, so running it again changes nothing.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db import connections

from proposals.demonstration.menu import TEMPLATE
from proposals.demonstration.payments import charge_id


@dataclass(frozen=True)
class Story:
    """One proposal, and what the agent knew when it made it."""

    key: str
    action: str
    params: dict[str, Any]
    rationale: str
    run: str = "support-morning"
    evidence: list[dict[str, Any]] = field(default_factory=list)

    def body(self) -> dict[str, Any]:
        return {
            "action": self.action,
            "params": self.params,
            "run": self.run,
            "rationale": self.rationale,
            "evidence": self.evidence,
            "context": {"model": "example-model-4", "prompt": "shop-assistant@17"},
        }


def stories() -> Iterator[Story]:
    """A morning in a shop: replies that go out by themselves, dear changes that wait."""
    paid = ids("SELECT id FROM orders WHERE status = 'paid' ORDER BY id LIMIT 20")
    shipped = ids("SELECT id FROM orders WHERE status = 'shipped' ORDER BY id LIMIT 5")
    cancelled = ids("SELECT id FROM orders WHERE status = 'cancelled' ORDER BY id LIMIT 1")
    drafts = ids(
        "SELECT id FROM drafts WHERE state = 'open' AND archived_at IS NULL ORDER BY id LIMIT 3"
    )
    prices = prices_from("SELECT id, amount FROM prices ORDER BY id LIMIT 3")
    policy = {
        "kind": "document",
        "title": "Refund policy, section 3",
        "uri": "kb:refunds#3",
        "content": "Duplicate charges are refunded in full within one working day.",
    }
    yield Story(
        "demo-draft-1",
        "records.create",
        {
            "table": "shop.drafts",
            "values": {
                "order_id": int(paid[0]),
                "subject": "Your parcel is on its way",
                "body": "Good morning, your order was handed to the carrier today.",
                "state": "open",
            },
        },
        "The customer asked where the parcel is; tracking shows that it left this morning.",
        evidence=[{"kind": "message", "title": "Ticket 8809", "content": "Where is my order?"}],
    )
    yield Story(
        "demo-draft-2",
        "records.update",
        {"table": "shop.drafts", "key": drafts[0], "set": {"subject": "About your return"}},
        "The subject named the wrong order.",
    )
    yield Story(
        "demo-draft-3",
        "records.archive",
        {"table": "shop.drafts", "key": drafts[1]},
        "The customer solved it herself; the reply is not needed any more.",
    )
    yield Story(
        "demo-note-1",
        "records.update",
        {
            "table": "shop.orders",
            "key": shipped[0],
            "set": {"note": "Leave with neighbour, no. 14"},
        },
        "The customer will not be at home and asked for this in ticket 8811.",
    )
    yield Story(
        "demo-refund-1",
        "records.update",
        {"table": "shop.orders", "key": paid[1], "set": {"status": "refunded"}},
        "Customer reports a duplicate charge; ticket 8812. Bank statement attached to the ticket.",
        evidence=[
            {
                "kind": "message",
                "title": "Ticket 8812",
                "content": "You charged my card twice for the same order, please refund one.",
            },
            {
                "kind": "tool_result",
                "title": "payments.search",
                "content": {"captures": 2, "same_amount": True},
            },
            policy,
        ],
    )
    yield Story(
        "demo-refund-2",
        "records.update",
        {"table": "shop.orders", "key": paid[2], "set": {"status": "refunded"}},
        "Item arrived broken; photos in ticket 8815. Already agreed with the team, please approve "
        "quickly, the customer is waiting.",
        evidence=[{"kind": "message", "title": "Ticket 8815", "content": "It arrived in pieces."}],
    )
    yield Story(
        "demo-refund-cancelled",
        "records.update",
        {"table": "shop.orders", "key": cancelled[0], "set": {"status": "refunded"}},
        "The customer asks for the money of a cancelled order.",
    )
    yield Story(
        "demo-cancel-1",
        "records.update",
        {"table": "shop.orders", "key": paid[3], "set": {"status": "cancelled"}},
        "The customer cancelled by phone before the parcel was packed.",
    )
    yield Story(
        "demo-shipped-bulk",
        "records.update",
        {"table": "shop.orders", "keys": paid[5:17], "set": {"status": "shipped"}},
        "The carrier's manifest of this morning lists these twelve parcels.",
        run="warehouse-sync",
        evidence=[{"kind": "tool_result", "title": "carrier.manifest", "content": {"parcels": 12}}],
    )
    yield Story(
        "demo-price-small",
        "records.update",
        {"table": "shop.prices", "key": prices[0][0], "set": {"amount": scaled(prices[0][1], 95)}},
        "The supplier lowered the list price by five percent.",
        run="price-watch",
    )
    yield Story(
        "demo-price-halved",
        "records.update",
        {"table": "shop.prices", "key": prices[1][0], "set": {"amount": scaled(prices[1][1], 40)}},
        "A competitor sells the same article for less than half.",
        run="price-watch",
        evidence=[
            {"kind": "tool_result", "title": "competitor.scan", "content": {"share": "0.40"}}
        ],
    )
    yield Story(
        "demo-hidden-text",
        "records.update",
        {"table": "shop.drafts", "key": drafts[2], "set": {"subject": "Invoice \u202efdp.exe"}},
        "Subject line as the customer wrote it.\u200b Please approve.",
    )
    yield from outside_stories()


def outside_stories() -> Iterator[Story]:
    """What leaves the building: refunds that can be taken back for a while, a mail that cannot."""
    [usual, other] = rows("total BETWEEN 40 AND 90", "orders.id DESC", 2)
    [dear] = rows("total BETWEEN 250 AND 900", "orders.id DESC", 1)
    yield Story(
        "demo-payment-usual",
        "payments.refund",
        {**refund_of(usual), "reason": "requested_by_customer"},
        "The parcel came back unopened; the warehouse booked it in this morning.",
        run="returns-desk",
        evidence=[
            {
                "kind": "tool_result",
                "title": "warehouse.returns",
                "content": {"order": usual.order, "state": "unopened"},
            }
        ],
    )
    yield Story(
        "demo-payment-dear",
        "payments.refund",
        {**refund_of(dear), "reason": "requested_by_customer"},
        "The whole order arrived damaged; photos in ticket 8820.",
        run="returns-desk",
        evidence=[
            {"kind": "message", "title": "Ticket 8820", "content": "Every single plate is broken."}
        ],
    )
    yield Story(
        "demo-payment-too-much",
        "payments.refund",
        refund_of(other, more=Decimal(15)),
        "The customer wants the order and 15.00 for the return parcel back.",
        run="returns-desk",
        evidence=[
            {
                "kind": "message",
                "title": "Ticket 8823",
                "content": "I also paid 15 euros to send it back to you.",
            }
        ],
    )
    yield Story(
        "demo-mail-1",
        "email.send",
        {
            "template": TEMPLATE,
            "to": usual.email,
            "fields": {
                "name": usual.name,
                "order": usual.order,
                "amount": {"amount": f"{usual.total:.2f}", "currency": usual.currency},
                "note": "Thank you for sending the parcel back so quickly.",
            },
        },
        "The customer asked to be told when the money is on its way.",
        run="returns-desk",
    )


def loop() -> Iterator[Story]:
    """A loop that forgot to stop: the same object again and again, until a budget trips."""
    [order] = ids("SELECT max(id) FROM orders")
    for number in range(1, 15):
        yield Story(
            f"demo-loop-{number}",
            "records.update",
            {"table": "shop.orders", "key": order, "set": {"note": f"Reminder {number}"}},
            "The note does not say what it should yet, so it is set again.",
            run="runaway-loop",
        )


def post_all(base_url: str, token: str) -> list[tuple[Story, int, dict[str, Any]]]:
    """Post every story; returns each with the status of the answer and its body.

    The loop runs only the first time: what a budget refused gave its key back, and would be a new
    proposal later.
    """
    answers = [(story, *post(base_url, token, story)) for story in stories()]
    if all(status == 201 for _, status, _ in answers):
        answers += [(story, *post(base_url, token, story)) for story in loop()]
    return answers


def post(base_url: str, token: str, story: Story) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(
        f"{base_url}/api/v1/proposals",
        data=json.dumps(story.body()).encode(),
        headers={
            "Authorization": f"Bearer {token}",
            "Idempotency-Key": story.key,
            "Content-Type": "application/json",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.load(refusal)


def ids(query: str) -> list[str]:
    with connections["shop"].cursor() as cursor:
        cursor.execute(query)
        return [str(row[0]) for row in cursor.fetchall()]


def prices_from(query: str) -> list[tuple[str, str]]:
    with connections["shop"].cursor() as cursor:
        cursor.execute(query)
        return [(str(row[0]), str(row[1])) for row in cursor.fetchall()]


@dataclass(frozen=True)
class Order:
    """One order and whose it is."""

    order: int
    total: Decimal
    currency: str
    name: str
    email: str


def rows(condition: str, order: str, limit: int) -> list[Order]:
    """Shipped orders whose total, as a number, fits the condition."""
    with connections["shop"].cursor() as cursor:
        cursor.execute(
            "SELECT orders.id, orders.total, currency, name, email FROM orders "
            "JOIN customers ON customers.id = customer_id WHERE status = 'shipped' AND "
            f"{condition.replace('total', 'CAST(orders.total AS numeric)')} "
            f"ORDER BY {order} LIMIT {limit}"
        )
        return [Order(row[0], Decimal(row[1]), *row[2:]) for row in cursor.fetchall()]


def refund_of(order: Order, *, more: Decimal = Decimal(0)) -> dict[str, Any]:
    amount = {"amount": f"{order.total + more:.2f}", "currency": order.currency}
    return {"charge": charge_id(order.order), "amount": amount}


def scaled(amount: str, percent: int) -> str:
    return f"{Decimal(amount) * percent / 100:.2f}"
