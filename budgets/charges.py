"""What a write asks of budgets. Pure: no models, no clock."""

from dataclasses import dataclass, field
from decimal import Decimal

from django.db.models import TextChoices


class Unit(TextChoices):
    """What a budget counts."""

    PROPOSALS = "proposals", "proposals"
    WRITES = "writes", "writes"
    MONEY = "money", "money"
    OBJECTS = "objects", "objects"


@dataclass(frozen=True)
class Charge:
    """One proposal, as budgets see it. Amounts are per unit; money is per currency."""

    proposal: str
    agent: str = ""
    agent_name: str = ""
    run: str = ""
    action: str = ""
    resource: str = ""
    lane: str = "forward"
    is_claimed: bool = False  # proposals are counted when submitted, and not once more
    objects: int | None = None  # only the preview knows
    money: dict[str, Decimal] = field(default_factory=dict)

    def amount(self, unit: str, currency: str = "") -> Decimal:
        """How much of a unit this asks for; zero where it asks for none, or is not yet known."""
        if unit == Unit.MONEY:
            return self.money.get(currency.upper(), Decimal(0))
        if unit == Unit.OBJECTS:
            return Decimal(self.objects or 0)
        if unit == Unit.PROPOSALS and self.is_claimed:
            return Decimal(0)
        return Decimal(1)
