"""How often each rule spoke in the last week, without reading every trace for every page.

Traces are stored with their check and never change, so the clock sums each of them once, by day.
What it has not reached yet, at most the last minute as a rule, is added when a page is shown.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import takewhile
from typing import Any

from django.db import transaction
from django.db.models import F, Sum

from ledger import clock
from proposals.models import Check, Rule, RuleHits, RuleTally
from proposals.policy import Effect

BATCH = 1000
DAYS = 7
MOST_UNSUMMED = 500
# Numbers are given out before rows are committed. A check that is still under way after this long
# would be left out of a count; nothing else depends on it.
SETTLED_AFTER = timedelta(seconds=60)
COLUMNS = ("pk", "created_at", "effect", "tier", "base_tier", "trace")

Counts = dict[tuple[int, date], list[int]]


@dataclass(frozen=True)
class Hits:
    """What one rule did: the checks it matched, and those whose verdict is what it says."""

    matched: int = 0
    decided: int = 0


@dataclass(frozen=True)
class Week:
    """The hits of the last days by rule. If it is behind, more happened than was counted."""

    by_rule: dict[int, Hits]
    since: date
    is_behind: bool

    def of(self, rule: Rule) -> Hits:
        return self.by_rule.get(rule.pk, Hits())


def sum_up() -> int:
    """Sum the next checks. Returns how many; safe to call from anywhere, at any time."""
    until = clock.now() - SETTLED_AFTER
    last = RuleTally.objects.values_list("last_check", flat=True).first() or 0
    oldest = after(last).values_list("created_at", flat=True).first()
    if oldest is None or oldest > until:
        return 0
    return sum_next(until)


@transaction.atomic
def sum_next(until: datetime) -> int:
    RuleTally.objects.bulk_create([RuleTally(pk=1)], ignore_conflicts=True)
    tally = RuleTally.objects.select_for_update().get(pk=1)
    settled = list(
        takewhile(
            lambda row: row[1] <= until, after(tally.last_check).values_list(*COLUMNS)[:BATCH]
        )
    )
    if not settled:
        return 0
    known = set(Rule.objects.values_list("pk", flat=True))
    for (rule_id, day), (matched, decided) in counted(settled).items():
        if rule_id not in known:
            continue
        RuleHits.objects.bulk_create([RuleHits(rule_id=rule_id, day=day)], ignore_conflicts=True)
        RuleHits.objects.filter(rule=rule_id, day=day).update(
            matched=F("matched") + matched, decided=F("decided") + decided
        )
    tally.last_check = settled[-1][0]
    tally.save(update_fields=["last_check"])
    return len(settled)


def after(last: int) -> Any:
    return Check.objects.filter(pk__gt=last).order_by("pk")


def counted(rows: Iterable[tuple]) -> Counts:
    """Matched and decided, by rule and day (UTC)."""
    found: Counts = defaultdict(lambda: [0, 0])
    for _, at, effect, tier, base_tier, trace in rows:
        for line in trace:
            if line["result"] != "matched":
                continue
            counts = found[int(line["rule_id"]), at.date()]
            counts[0] += 1
            if line["effect"] == Effect.RAISE:
                counts[1] += tier != base_tier
            else:
                counts[1] += line["effect"] == effect
    return found


def week() -> Week:
    """The hits of today and the six days before, in three statements."""
    since = (clock.now() - timedelta(days=DAYS - 1)).date()
    summed = (
        RuleHits.objects.filter(day__gte=since)
        .values_list("rule")
        .annotate(Sum("matched"), Sum("decided"))
    )
    found = {rule_id: [matched, decided] for rule_id, matched, decided in summed}
    last = RuleTally.objects.values_list("last_check", flat=True).first() or 0
    unsummed = list(after(last).values_list(*COLUMNS)[: MOST_UNSUMMED + 1])
    for (rule_id, day), (matched, decided) in counted(unsummed[:MOST_UNSUMMED]).items():
        if day >= since:
            counts = found.setdefault(rule_id, [0, 0])
            counts[0] += matched
            counts[1] += decided
    by_rule = {rule_id: Hits(*counts) for rule_id, counts in found.items()}
    return Week(by_rule, since, len(unsummed) > MOST_UNSUMMED)
