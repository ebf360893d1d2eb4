"""What a change of rows would cost if it were a mistake: tier, money, and why.

A row holds the money of its columns that have a currency; one that is not there, or is archived,
holds none. What moves is the difference, so to create and to archive count like a change, and a
change of the currency counts on both sides. Budgets count one currency each and would pass over
what they cannot name: so a write moves money of one known currency, or it is refused.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from proposals.actions import wording
from proposals.actions.rows import Image
from proposals.actions.tables import Column, Table
from proposals.exceptions import TargetRefused
from proposals.registry import Impact, Money, Tier

CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)  # as budgets name it
UNKNOWN, NO_CURRENCY = "", "of no known currency"
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


def impact_of(
    table: Table, held: Image, new: Image, action: str, *, is_undo: bool = False
) -> Impact:
    """The impact of giving rows, as they are held, these new values.

    Raises TargetRefused for money that is not of one known currency. An undo is never refused for
    that: each currency counts, and where it is not known, or not one, people look.
    """
    columns = {name for values in new.values() for name in values or {}}
    count = f"{len(new)} {table.one if len(new) == 1 else table.many}"
    verb = VERBS[action].format(columns=wording.listed(columns))
    moved = money_at_stake(table, held, new)
    if not is_undo:
        require_one_currency(table, moved)
    amounts = [Money(amount, currency) for currency, amount in sorted(moved.items(), key=rank)]
    reasons = [f"{verb} {count} ({tier_of(table, columns)})."]
    if amounts:
        told = " and ".join(f"{each.amount:f} {each.currency or NO_CURRENCY}" for each in amounts)
        reasons.append(f"Moves amounts by {told} in all.")
    return Impact(
        objects=len(new),
        amount=amounts[0] if amounts else None,
        beside=tuple(amounts[1:]),
        reasons=tuple(reasons),
    )


def rank(moved: tuple[str, Decimal]) -> tuple[bool, Decimal, str]:
    currency, amount = moved
    return currency == UNKNOWN, -amount, currency


def require_one_currency(table: Table, moved: dict[str, Decimal]) -> None:
    """Raise TargetRefused for what no budget could count."""
    if UNKNOWN in moved:
        raise TargetRefused(
            f"An amount of {table.full_name} has no currency of three letters, so nobody can say "
            "how much money this moves."
        )
    if len(moved) > 1:
        raise TargetRefused(
            f"This moves money in several currencies ({wording.listed(moved)}); propose them apart."
        )


def money_at_stake(table: Table, held: Image, new: Image) -> dict[str, Decimal]:
    """By how much money moves in all, by currency; under `UNKNOWN` what has none that is known."""
    moved: defaultdict[str, Decimal] = defaultdict(Decimal)
    for key, values in new.items():
        before = held.get(key)
        after = {**(dict.fromkeys(table.columns) if before is None else before), **(values or {})}
        for column in measured(table, values or {}):
            for each in between(money_in(table, column, before), money_in(table, column, after)):
                moved[each.currency] += each.amount
    return dict(moved)


def measured(table: Table, values: dict[str, Any]) -> list[Column]:
    """The columns whose money it moves to give a row these values.

    All of them where the row is archived or comes back. What a new row leaves out is the table's
    own to fill in.
    """
    return [
        column
        for column in table.columns.values()
        if column.currency_column
        and {column.name, column.currency_column, table.archive_column} & values.keys()
    ]


def read_for_money(table: Table, new: Mapping[str, dict[str, Any]]) -> set[str]:
    """The columns that say how much money it moves to give rows these values."""
    found = [column for values in new.values() for column in measured(table, values)]
    return {name for column in found for name in (column.name, column.currency_column)}


def money_in(table: Table, column: Column, row: dict[str, Any] | None) -> Money | None:
    """The money that a row holds in a column; None where that could not be read."""
    if row is None or row.get(table.archive_column) is not None:
        return Money(Decimal(0), UNKNOWN)
    if column.name not in row:
        return None
    code = str(row.get(column.currency_column) or "").strip().upper()
    amount = Decimal(row[column.name] or 0)
    return Money(amount, code if CURRENCY.fullmatch(code) else UNKNOWN)


def between(was: Money | None, will_be: Money | None) -> list[Money]:
    """What moves from one to the other: both sides where the currency is another."""
    if was is None or will_be is None:
        return [Money(Decimal(0), UNKNOWN)]
    if was.currency == will_be.currency:
        amount = abs(will_be.amount - was.amount)
        return [Money(amount, was.currency)] if amount or was.currency else []
    return [Money(abs(each.amount), each.currency) for each in (was, will_be) if each.amount]
