"""The payment provider's own page: what it holds, and what reached it."""

from html import escape
from typing import Any

from proposals.demonstration import outside
from proposals.demonstration.charges import CHARGES, REFUNDS, Charges

SHOWN = 50
WORDS = """
<p>This stands for a payment provider on the internet. It belongs to the demonstration, is reached
from this machine alone, and moves no money. What is listed here has really left Countersign; what
is not listed here has not.</p>
"""
LOSE = """
<form method=post action=/lose-next-answer><p><button>Lose the next answer</button>
<span class=soft>The next write happens, but the connection breaks before the answer: what would
your software do?</span></p></form>
"""
LOSES = "<p><strong>The answer to the next write will be lost.</strong></p>"


def overview(charges: Charges, asked: dict[str, str]) -> str:
    with charges.reading() as db:
        refunds = db.execute(f"{REFUNDS} ORDER BY number DESC LIMIT ?", [SHOWN]).fetchall()
        requests = db.execute(
            "SELECT * FROM requests ORDER BY number DESC LIMIT ?", [SHOWN]
        ).fetchall()
        wanted = asked.get("order", "").strip()
        found = db.execute(
            f"{CHARGES} WHERE ? IN ('', reference) ORDER BY id DESC LIMIT ?", [wanted, SHOWN]
        ).fetchall()
        [total] = db.execute("SELECT count(*) FROM charges").fetchone()
        [losses] = db.execute("SELECT count(*) FROM losses").fetchone()
    return (
        WORDS
        + "<h2>Refunds</h2>"
        + outside.table(
            "Refunds",
            ["Refund", "Charge", "Amount", "State", "Made", "Idempotency key"],
            [refund_row(charges, row) for row in refunds],
            "No refund has been made.",
        )
        + (LOSES if losses else LOSE)
        + "<h2>What it was asked</h2>"
        + outside.table(
            "What it was asked",
            ["When", "Request", "Answer", "Idempotency key"],
            [request_row(row) for row in requests],
            "Nothing has reached this provider yet.",
        )
        + f"<h2>Charges</h2>{search(wanted, total)}"
        + outside.table(
            "Charges",
            ["Charge", "Order", "Paid", "Refunded", "When"],
            [charge_row(row) for row in found],
            "There is no such charge.",
        )
    )


def search(wanted: str, total: int) -> str:
    return (
        f"<form><p><label>Order <input name=order size=8 value='{escape(wanted, quote=True)}'>"
        f"</label> <button>Find</button> <span class=soft>The newest {SHOWN} of {total:,} "
        "are listed.</span></p></form>"
    )


def refund_row(charges: Charges, row: Any) -> list[str]:
    refund = charges.refund_as_json(row)
    until = outside.moment(refund["settles_at"])
    state = {
        "pending": f"pending; can be canceled until {until}",
        "succeeded": f"settled at {until}",
        "canceled": "canceled: the money stays with the shop",
    }[refund["status"]]
    return [
        f"<code>{refund['id']}</code>",
        f"<code>{escape(refund['charge'])}</code>",
        money(refund["amount"], refund["currency"]),
        escape(state),
        outside.time_of(row["created"]),
        f"<code>{escape(refund['reference'])}</code>",
    ]


def request_row(row: Any) -> list[str]:
    asked = f"<code>{escape(row['asked'])}</code>"
    return [
        outside.time_of(row["at"]),
        asked if row["asked"].startswith("GET") else f"<strong>{asked}</strong>",
        f"{row['status']} {escape(row['said'])}",
        f"<code>{escape(row['key'])}</code>",
    ]


def charge_row(row: Any) -> list[str]:
    return [
        f"<code>{escape(row['id'])}</code>",
        escape(row["reference"]),
        money(row["amount"], row["currency"]),
        money(row["amount"] - row["rest"], row["currency"]),
        outside.time_of(row["created"]),
    ]


def money(minor: int, currency: str) -> str:
    return f"{minor // 100}.{minor % 100:02}&nbsp;{escape(currency.upper())}"
