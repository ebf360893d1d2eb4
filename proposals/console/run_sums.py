"""What a run did so far, counted by the database: states, writes, objects and money."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db.models import (
    CharField,
    Count,
    DecimalField,
    F,
    Func,
    IntegerField,
    Max,
    QuerySet,
    Sum,
)

from proposals.lifecycle import OPEN, WITHOUT_A_WRITE, Status
from proposals.models import Proposal, Run

WORDS = {
    "open": "open",
    "committed": "written",
    "unknown": "with an unknown outcome",
    "ended": "ended without a write",
}


class ImpactFact(Func):
    """One number of a stored impact. Read from its text by the database, whichever it is."""

    def __init__(self, path: str, output_field: Any) -> None:
        super().__init__(F("current_check__impact"), output_field=output_field)
        self.path = path.split(".")

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, Any]:
        column, params = compiler.compile(self.source_expressions[0])
        return f"CAST(json_extract({column}, '$.{'.'.join(self.path)}') AS NUMERIC)", params

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, Any]:
        column, params = compiler.compile(self.source_expressions[0])
        return f"CAST(CAST({column} AS jsonb) #>> '{{{','.join(self.path)}}}' AS numeric)", params


class CurrencyFact(ImpactFact):
    """The currency of a stored impact's amount."""

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, Any]:
        column, params = compiler.compile(self.source_expressions[0])
        return f"json_extract({column}, '$.amount.currency')", params

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, Any]:
        column, params = compiler.compile(self.source_expressions[0])
        return f"(CAST({column} AS jsonb) #>> '{{amount,currency}}')", params


@dataclass(frozen=True)
class Sums:
    """What a run did so far, as the system counted it. Undos are not of the run's making."""

    statuses: Counter = field(default_factory=Counter)
    undone: int = 0
    objects: int = 0
    money: tuple[tuple[str, Decimal], ...] = ()
    latest: Any = None

    @property
    def written(self) -> int:
        return self.statuses[Status.COMMITTED]

    @property
    def total(self) -> int:
        return sum(self.statuses.values())

    @property
    def still_open(self) -> int:
        return sum(self.statuses[status] for status in OPEN)

    @property
    def left(self) -> int:
        """What was written and still stands, or may."""
        return self.written - self.undone + self.statuses[Status.UNKNOWN]

    @property
    def words(self) -> list[str]:
        """The counts that are not zero: 3 open, 12 written, 1 ended without a write."""
        counted = {
            "open": self.still_open,
            "committed": self.written,
            "unknown": self.statuses[Status.UNKNOWN],
            "ended": sum(self.statuses[status] for status in WITHOUT_A_WRITE),
        }
        return [f"{number} {WORDS[name]}" for name, number in counted.items() if number]

    @property
    def amounts(self) -> str:
        return ", ".join(f"{amount:,.2f} {currency}" for currency, amount in self.money) or "none"


def sums(runs: Iterable[Run]) -> dict[int, Sums]:
    """What each of these runs did: two statements, however many there are."""
    own = Proposal.objects.filter(run__in=[run.pk for run in runs], compensates=None).order_by()
    found: dict[int, dict[str, Any]] = {}
    rows = own.values("run", "status", "is_undone").annotate(
        number=Count("pk"),
        latest=Max("updated_at"),
        touched=Sum(ImpactFact("objects", IntegerField())),
    )
    for row in rows:
        entry = found.setdefault(
            row["run"],
            {"statuses": Counter(), "undone": 0, "objects": 0, "money": (), "latest": None},
        )
        entry["statuses"][Status(row["status"])] += row["number"]
        entry["latest"] = max(filter(None, [entry["latest"], row["latest"]]))
        if row["status"] == Status.COMMITTED:
            entry["objects"] += int(row["touched"] or 0)
            entry["undone"] += row["number"] if row["is_undone"] else 0
    for run_id, money in moved(own.filter(status=Status.COMMITTED)).items():
        found[run_id]["money"] = tuple(sorted(money))
    return {run_id: Sums(**entry) for run_id, entry in found.items()}


def moved(written: QuerySet[Proposal]) -> dict[int, list[tuple[str, Decimal]]]:
    """The money that each run moved, by currency."""
    amount = ImpactFact("amount.amount", DecimalField(max_digits=30, decimal_places=2))
    rows = (
        written.annotate(currency=CurrencyFact("amount.currency", CharField()))
        .exclude(currency=None)
        .values_list("run", "currency")
        .annotate(total=Sum(amount))
    )
    found: dict[int, list[tuple[str, Decimal]]] = {}
    for run_id, currency, total in rows:
        found.setdefault(run_id, []).append((str(currency), Decimal(str(total or 0))))
    return found
