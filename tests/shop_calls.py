"""Calls of the records actions, and looking at the shop, for tests of both."""

from proposals.registry import registry

UPDATE, CREATE = registry.get("records.update"), registry.get("records.create")
ARCHIVE, RESTORE = registry.get("records.archive"), registry.get("records.restore")
DRAFT = {"order_id": 1, "subject": "Hello", "body": "Text", "state": "open"}


def refund(*keys: str) -> dict:
    rows = {"key": keys[0]} if len(keys) == 1 else {"keys": list(keys)}
    return {"table": "shop.orders", **rows, "set": {"status": "refunded"}}


def write(action, params, key="k1"):
    """What checks and execution do between them: preview, then apply what was seen."""
    return action.apply(params, key=key, expected=action.preview(params).before)


def undo(outcome, key):
    return write(registry.get(outcome.compensation.action), outcome.compensation.params, key)


def status_of(shop, key: str) -> str:
    return shop.rows(f"SELECT status FROM orders WHERE id = {key}")[0][0]


def everything(shop) -> list:
    return [
        shop.rows(f"SELECT * FROM {table} ORDER BY 1")
        for table in ("orders", "prices", "drafts", "countersign_receipts")
    ]
