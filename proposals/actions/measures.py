"""What a change of rows would cost if it were a mistake: tier, money, and why."""

from collections.abc import Iterable
from decimal import Decimal

from proposals.actions import wording
from proposals.actions.rows import Image
from proposals.actions.tables import Table
from proposals.registry import Impact, Money, Tier

VERBS = {
    "records.create": "Creates",
    "records.archive": "Archives",
    "records.update": "Changes {columns} of",
    "records.restore": "Puts back {columns} of",
}


def tier_of(table: Table, columns: Iterable[str]) -> Tier:
    """The strictest tier of the touched columns; what is not described is high."""
    return Tier.strictest(
        *(table.columns[name].tier if name in table.columns else Tier.HIGH for name in columns)
    )


def impact_of(table: Table, held: Image, new: Image, action: str) -> Impact:
    """The impact of giving rows, as they are held, these new values."""
    columns = {name for values in new.values() for name in values or {}}
    count = f"{len(new)} {table.one if len(new) == 1 else table.many}"
    verb = VERBS[action].format(columns=wording.listed(columns))
    amount = money_at_stake(table, held, new)
    reasons = [f"{verb} {count} ({tier_of(table, columns)})."]
    if amount is not None:
        reasons.append(f"Moves amounts by {amount.amount:f} {wording_of(amount.currency)} in all.")
    return Impact(objects=len(new), amount=amount, reasons=tuple(reasons))


def money_at_stake(table: Table, held: Image, new: Image) -> Money | None:
    """By how much money columns change in all. None if none does, or not in one known currency."""
    total, currencies = Decimal(0), set()
    for key, values in new.items():
        for name, value in (values or {}).items():
            currency_column = table.columns[name].currency_column
            image = held.get(key)
            if not currency_column or image is None:
                continue
            total += abs(Decimal(value or 0) - Decimal(image[name] or 0))
            currencies |= {image[currency_column], (values or {}).get(currency_column)} - {None}
    if len(currencies) != 1:
        return None
    return Money(total, currencies.pop())


def wording_of(currency: str) -> str:
    """A currency as it may stand in a sentence."""
    return currency if currency.isalpha() and currency.isascii() and len(currency) == 3 else ""
