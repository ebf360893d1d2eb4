"""The strip of days above the ledger's list: a bar for each day, with links to months and years."""

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.models import Max, Min, Sum
from django.http import QueryDict

from ledger import finding
from ledger.finding import Filters
from ledger.models import DayCount, Walk

DAYS = 31
HEIGHT = 40  # of the highest bar
MOST_YEARS = 20
LATEST = date(9998, 12, 31)  # a day after which there is another
REFLECTED = {"event", "outcome", "tier"}


@dataclass(frozen=True)
class Span:
    """Some days, where they lead, and whether they are what the list shows."""

    words: str
    url: str
    is_shown: bool


@dataclass(frozen=True)
class Bar(Span):
    """One day: how many entries, and how high that is; `top` is where the bar begins."""

    day: date
    count: int
    height: int

    @property
    def top(self) -> int:
        return HEIGHT - self.height

    @property
    def number(self) -> str:
        return f"{self.count:,}"


@dataclass(frozen=True)
class Strip:
    """What is shown above the list. `is_behind` while the clock has not counted all yet."""

    years: list[Span]
    months: list[Span]
    bars: list[Bar]
    position: str
    sealed: str
    is_behind: bool
    of_what: str
    not_narrowed_by: str

    @property
    def total(self) -> str:
        return f"{sum(bar.count for bar in self.bars):,}"


def build(filters: Filters, query: QueryDict, walk: Walk | None, now: datetime) -> Strip | None:
    """The days around what the filters ask for; None while no day was counted.

    Two statements, of which none reads the ledger. `walk` is how far the days are counted.
    """
    ends = DayCount.objects.aggregate(first=Min("day"), last=Max("day"))
    if walk is None or ends["first"] is None:
        return None
    days = shown_days(filters, now)
    counts = counted(filters, days)
    link = Links(filters, query)
    last = max(ends["last"], days[-1])
    years = range(max(ends["first"].year, last.year - MOST_YEARS), last.year + 1)
    months = [date(days[-1].year, month, 1) for month in range(1, 13)]
    most = max(counts.values(), default=0)
    words = filters.words()
    return Strip(
        years=[link.span(str(year), date(year, 1, 1), date(year + 1, 1, 1)) for year in years],
        months=[
            link.span(f"{month:%b %Y}", month, following_month(month))
            for month in months
            if ends["first"].replace(day=1) <= month <= last
        ],
        bars=[link.bar(day, counts.get(day, 0), most) for day in days],
        position=f"{walk.position:,}",
        sealed=f"{walk.sealed:,}",
        is_behind=walk.position < walk.sealed,
        of_what=", ".join(told for name, told in words.items() if name in REFLECTED),
        not_narrowed_by=", ".join(
            finding.LABELS[name]
            for name in words
            if name in finding.LABELS and name not in REFLECTED
        ),
    )


def shown_days(filters: Filters, now: datetime) -> list[date]:
    """The month of the beginning that was chosen, or of the end; else the last days."""
    chosen = None
    if filters.start and not filters.is_default_window:
        chosen = filters.start
    elif filters.end and filters.end > datetime.min.replace(tzinfo=UTC):
        chosen = filters.end - timedelta(microseconds=1)
    if chosen is None:
        today = now.date()
        return [today - timedelta(days=back) for back in reversed(range(DAYS))]
    month = min(chosen.date(), LATEST)
    length = calendar.monthrange(month.year, month.month)[1]
    return [month.replace(day=number) for number in range(1, length + 1)]


def counted(filters: Filters, days: list[date]) -> dict[date, int]:
    """What was counted on these days of the event, outcome and tier that are asked for."""
    rows = DayCount.objects.filter(day__gte=days[0], day__lte=days[-1])
    for kind in filter(None, (filters.event, filters.outcome)):
        rows = rows.filter(kind=kind)
    if filters.tier:
        rows = rows.filter(tier=filters.tier)
    return dict(rows.values_list("day").annotate(Sum("count")).order_by("day"))


def following_month(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


class Links:
    """Where each day leads: the list of that day, narrowed by all else as it is now."""

    def __init__(self, filters: Filters, query: QueryDict) -> None:
        self.window = (filters.start, filters.end)
        self.rest = query.copy()
        for name in ("at", "at_from", "at_to"):
            self.rest.pop(name, None)

    def span(self, words: str, start: date, end: date) -> Span:
        return Span(words, *self.to(start, end))

    def bar(self, day: date, count: int, most: int) -> Bar:
        height = max(1, round(HEIGHT * count / most)) if count else 0
        url, is_shown = self.to(day, day + timedelta(days=1))
        return Bar(f"{day:%d %b}", url, is_shown, day, count, height)

    def to(self, start: date, end: date) -> tuple[str, bool]:
        rest: Any = self.rest.copy()
        rest["at_from"], rest["at_to"] = f"{start:%Y-%m-%d}", f"{end:%Y-%m-%d}"
        return f"?{rest.urlencode()}", self.window == tuple(map(midnight, (start, end)))


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
