"""The lists of the queue: what is in each, in which order, and what comes after an item.

A list that a person opened is kept as it stood, under a short key in the address: what is decided
or arrives meanwhile moves nothing while they work it down.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.models import IntegerField, QuerySet, Subquery
from django.http import QueryDict
from django.urls import reverse

from ledger import clock
from proposals import seats, services
from proposals.console.claimed import CLAIM, by_others
from proposals.console.forms import QueueFilters
from proposals.console.grouping import grouped
from proposals.lifecycle import Status
from proposals.models import Proposal, Review, StoredList
from proposals.models.desk import LONGEST_LIST
from proposals.registry import Tier

PAGE = 50
KEY = re.compile(r"[A-Za-z0-9_-]{1,16}")
MOST_COUNTED = 99
SOON = timedelta(hours=4)
TIERS = [*(tier.value for tier in sorted(Tier, key=lambda tier: -tier.rank)), ""]
UNLISTED = (
    "result",
    "error",
    "current_check__before",
    "current_check__after",
    "current_check__compensation",
    "current_check__impact",
)
# What a row of the queue shows: of large rows only this is read, and of other tables only names.
LISTED = (
    *(
        "status",
        "action",
        "tier",
        "round",
        "revision_number",
        "has_moved",
        "is_held",
        "is_undone",
        "taken_back",
        "is_observed",
    ),
    *(
        "resource",
        "compensates_id",
        "duplicate_of_id",
        "run_id",
        "created_at",
        "updated_at",
        "expires_at",
    ),
    *("agent__name", "proposer__username", "proposer__first_name", "proposer__last_name"),
    *(
        f"current_check__{name}"
        for name in ("sentence", "digest", "effect", "approvals", "groups", "trace", "conflicts")
    ),
    *(f"current_check__{name}" for name in ("error", "is_reversible", "hides_text")),
    *CLAIM,
)


@dataclass(frozen=True)
class Tab:
    """One list of the queue."""

    name: str
    title: str
    lead: str
    empty: str
    shows_state: bool = True
    is_worked_down: bool = True

    @property
    def url(self) -> str:
        return f"{reverse('queue')}?{urlencode({'tab': self.name})}"


TABS = {
    tab.name: tab
    for tab in (
        Tab(
            "waiting",
            "Waiting on me",
            "Your approval would fill a seat that is still empty.",
            "Nothing is waiting on you.",
            shows_state=False,
        ),
        Tab(
            "mine",
            "My decisions",
            "What you decided, the latest first.",
            "You have not decided on anything yet.",
            is_worked_down=False,
        ),
        Tab("open", "All open", "Everything that may still be written.", "Nothing is open."),
        Tab(
            "moved",
            "Base moved",
            "Open, and its target was found to be other than people last had it before them.",
            "Of nothing that is open the target was found to have moved.",
        ),
        Tab(
            "soon",
            "Due soon",
            "Expires within four hours unless somebody decides.",
            "Nothing is due in the next four hours.",
        ),
        Tab(
            "held",
            "Held",
            "Kept back by a stop, a budget, its target or a comment that blocks approval.",
            "Nothing is held back.",
        ),
        Tab(
            "stuck",
            "Needs an operator",
            "Failed without a write, or with an unknown outcome.",
            "Nothing has failed, and every outcome is known.",
        ),
    )
}


class Counted(Subquery):
    """How many rows a query has; several of these are one statement."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) counted)"
    output_field = IntegerField()


def items(tab: str, user: Any, tier: str | None = None) -> QuerySet[Proposal]:
    """What is in a list, or of one tier in it, in no order."""
    if tab == "waiting":
        return seats.waiting_on(user, tier)
    if tier is not None:
        return items(tab, user).filter(tier=tier)
    if tab == "mine":
        return Proposal.objects.filter(
            pk__in=Review.objects.filter(reviewer=user).values("proposal_id")
        )
    if tab == "open":
        return Proposal.objects.open()
    if tab == "moved":
        return Proposal.objects.filter(has_moved=True)
    if tab == "held":
        return Proposal.objects.filter(is_held=True)
    if tab == "soon":
        return Proposal.objects.open().filter(expires_at__lte=clock.now() + SOON)
    if tab == "unknown":
        return Proposal.objects.filter(status=Status.UNKNOWN)
    return Proposal.objects.filter(status__in=[Status.FAILED, Status.UNKNOWN])


def in_order(tab: str, user: Any, form: QueueFilters) -> list[UUID]:
    """The first ids by tier, due, age: tier by tier, so that nothing is sorted but what is kept.

    Each tier is named once: said twice, PostgreSQL takes it for rarer than it is, and sorts.
    """
    ids: list[UUID] = []
    wanted = form.cleaned_data.get("tier")
    for tier in [wanted] if wanted else TIERS:
        if room := LONGEST_LIST - len(ids):
            alike = form.narrow(items(tab, user, tier))
            ordered = alike.order_by("expires_at", "created_at", "id")
            ids += ordered.values_list("pk", flat=True)[:room]
    return ids


def decided_by(user: Any, form: QueueFilters) -> list[UUID]:
    """The ids of what this person decided on, by their latest decision."""
    reviews = Review.objects.filter(reviewer=user)
    if form.words():
        reviews = reviews.filter(proposal__in=form.narrow(Proposal.objects.all()))
    latest = reviews.order_by("-id").values_list("proposal_id", flat=True)[: 4 * LONGEST_LIST]
    return list(dict.fromkeys(latest))[:LONGEST_LIST]


def count(tab: str, user: Any) -> str:
    """How many are in a list, up to 99+; counted once per request."""
    counted = count_all([tab], user)[tab]
    return f"{MOST_COUNTED}+" if counted > MOST_COUNTED else str(counted)


def count_all(tabs: Iterable[str], user: Any) -> dict[str, int]:
    """How many are in each of these lists, one more than is said at most: one statement at most."""
    known = counts_of(user)
    wanted = {tab: countable(tab, user) for tab in tabs if tab not in known}
    known |= dict.fromkeys(wanted, 0)
    asked = {tab: Counted(rows) for tab, rows in wanted.items() if not rows.query.is_empty()}
    if asked:
        found = get_user_model().objects.filter(pk=user.pk).values_list(*asked.values())
        known |= dict(zip(asked, found.get(), strict=True))
    return known


def counts_of(user: Any) -> dict[str, int]:
    """What was counted for this person in this request."""
    if not hasattr(user, "_countersign_counts"):
        user._countersign_counts = {}
    counts: dict[str, int] = user._countersign_counts
    return counts


def note_count(tab: str, user: Any, number: int) -> None:
    """A list that was read without filters need not be counted as well."""
    counts_of(user)[tab] = min(number, MOST_COUNTED + 1)


def countable(tab: str, user: Any) -> QuerySet[Any]:
    """What there is to count of a list: no further than is said, and by an index."""
    if tab == "mine":
        mine = Review.objects.filter(reviewer=user).values("proposal_id").distinct()
        return mine[: MOST_COUNTED + 1]
    # By status alone an index answers; SQLite would read the whole table to count keys. What joins
    # other tables is counted along the index of the list, or PostgreSQL may begin with the oldest
    # checks, which are of what is over.
    order = ("tier", "expires_at") if tab == "waiting" else ()
    return items(tab, user).order_by(*order).values("status")[: MOST_COUNTED + 1]


@dataclass(frozen=True)
class Place:
    """Where a person is: a list with its filters, as carried by the addresses of its items."""

    tab: Tab
    form: QueueFilters
    user: Any
    stored: StoredList | None = None
    is_fresh: bool = False

    @classmethod
    def of(cls, query: QueryDict | str, user: Any) -> "Place":
        """From a query string; what is not known there is ignored, and so are others' lists."""
        data = QueryDict(query) if isinstance(query, str) else query
        form = QueueFilters(data)
        form.is_valid()
        place = cls(TABS.get(data.get("tab", ""), TABS["waiting"]), form, user)
        key = data.get("list", "")
        if not KEY.fullmatch(key):
            return place
        stored = StoredList.objects.filter(key=key, person=user, query=place.filters).first()
        return replace(place, stored=stored)

    @property
    def title(self) -> str:
        return self.tab.title

    @property
    def filters(self) -> str:
        """The list and its filters, without the order it was stored in."""
        return urlencode({"tab": self.tab.name, **self.form.chosen()})

    @property
    def query(self) -> str:
        return f"{self.filters}&list={self.stored.key}" if self.stored else self.filters

    @property
    def url(self) -> str:
        return f"{reverse('queue')}?{self.query}"

    @property
    def fresh_url(self) -> str:
        """The same list with the order built anew."""
        return f"{reverse('queue')}?{self.filters}"

    def keep(self) -> "Place":
        """This place with the order of its list fixed as it is now, unless it is fixed already."""
        if self.stored:
            return self
        at = clock.now()
        stored = services.keep_list(person=self.user, query=self.filters, ids=self.ids, at=at)
        if not self.form.words() and self.tab.is_worked_down:
            note_count(self.tab.name, self.user, len(self.ids))
        return replace(self, stored=stored, is_fresh=True)

    @cached_property
    def ids(self) -> list[UUID]:
        if self.stored:
            return self.stored.ids
        if self.tab.name == "mine":
            found = decided_by(self.user, self.form)
        else:
            found = in_order(self.tab.name, self.user, self.form)
        return grouped(found, self.form.grouping)

    @property
    def is_capped(self) -> bool:
        return len(self.ids) == LONGEST_LIST

    @property
    def pages(self) -> int:
        return max(-(-len(self.ids) // PAGE), 1)

    def page(self, number: int) -> list[Proposal]:
        """The proposals of one page, in the order of the list."""
        wanted = self.ids[(number - 1) * PAGE : number * PAGE]
        related = ("agent", "proposer", "current_check", "review_claim__person")
        found = Proposal.objects.filter(pk__in=wanted).select_related(*related).only(*LISTED)
        by_id = {one.pk: one for one in found}
        return [by_id[one] for one in wanted if one in by_id]

    def page_url(self, number: int) -> str:
        return self.url if number == 1 else f"{self.url}&page={number}"

    def still_listed(self, ids: list[UUID]) -> set[UUID]:
        """Which of these would be in the list today: nobody decided them, nothing ended them."""
        if self.is_fresh or not self.tab.is_worked_down:
            return set(ids)
        now = items(self.tab.name, self.user).order_by()
        return set(now.filter(pk__in=ids).values_list("pk", flat=True))

    def neighbours(self, proposal_id: UUID) -> tuple[str, str]:
        """The addresses of the items before and after one; empty at the ends.

        What somebody else is reviewing is skipped on the way forward; going back leads to all.
        """
        if proposal_id not in self.ids:
            return "", ""
        at = self.ids.index(proposal_id)
        before = self.address(self.ids[at - 1]) if at else ""
        following = self.ids[at + 1 :]
        skipped = by_others(self.user) if following else set()
        after = next((one for one in following if one not in skipped), None)
        return before, self.address(after) if after else ""

    def onwards(self, proposal_id: UUID) -> str:
        """Where to go after deciding: the next item that is left, else how the list came out."""
        if proposal_id not in self.ids or not self.tab.is_worked_down:
            return self.url
        at = self.ids.index(proposal_id)
        others = self.ids[at + 1 :] + self.ids[:at]
        if self.stored:
            decided = (
                Review.objects.not_taken_back()
                .filter(reviewer=self.user, created_at__gte=self.stored.made_at)
                .values_list("proposal_id", flat=True)
            )
            left = self.still_listed(others) - set(decided) - by_others(self.user)
            others = [one for one in others if one in left]
            if not others:
                return f"{reverse('list-summary')}?{self.query}"
        return self.address(others[0]) if others else self.url

    def back(self, proposal_id: UUID) -> str:
        """Back to the list, at the row of an item."""
        if proposal_id not in self.ids:
            return self.url
        page = self.page_url(self.ids.index(proposal_id) // PAGE + 1)
        return f"{page}#row-{proposal_id}"

    def address(self, proposal_id: UUID) -> str:
        return f"{reverse('proposal', args=[proposal_id])}?{self.query}"
