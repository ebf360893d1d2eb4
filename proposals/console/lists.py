"""The lists of the queue: what is in each, in which order, and what comes after an item."""

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import (
    Case,
    IntegerField,
    OuterRef,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.http import QueryDict
from django.urls import reverse

from ledger import clock
from proposals import seats
from proposals.console.forms import QueueFilters
from proposals.lifecycle import Status
from proposals.models import Proposal, Review
from proposals.registry import Tier

LONGEST = 500
MOST_COUNTED = 99
SOON = timedelta(hours=4)
TIER_ORDER = Case(
    *(When(tier=tier.value, then=Value(-tier.rank)) for tier in Tier),
    default=Value(1),
    output_field=IntegerField(),
)
UNLISTED = (
    "result",
    "error",
    "current_check__before",
    "current_check__after",
    "current_check__compensation",
    "current_check__impact",
)


@dataclass(frozen=True)
class Tab:
    """One list of the queue."""

    name: str
    title: str
    lead: str
    empty: str
    shows_state: bool = True

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
        ),
        Tab("open", "All open", "Everything that may still be written.", "Nothing is open."),
        Tab(
            "soon",
            "Due soon",
            "Expires within four hours unless somebody decides.",
            "Nothing is due in the next four hours.",
        ),
        Tab(
            "stuck",
            "Needs an operator",
            "Failed without a write, or with an unknown outcome.",
            "Nothing has failed, and every outcome is known.",
        ),
    )
}


def items(tab: str, user: Any) -> QuerySet[Proposal]:
    """What is in a list, in no order."""
    if tab == "mine":
        return Proposal.objects.filter(
            pk__in=Review.objects.filter(reviewer=user).values("proposal_id")
        )
    if tab == "open":
        return Proposal.objects.open()
    if tab == "soon":
        return Proposal.objects.open().filter(expires_at__lte=clock.now() + SOON)
    if tab == "stuck":
        return Proposal.objects.filter(status__in=[Status.FAILED, Status.UNKNOWN])
    return seats.waiting_on(user)


def ordered(tab: str, found: QuerySet[Proposal], user: Any) -> QuerySet[Proposal]:
    """Tier, due, age; one's own decisions by when they were made."""
    if tab == "mine":
        mine = Review.objects.filter(proposal=OuterRef("pk"), reviewer=user).order_by("-id")
        return found.annotate(latest=Subquery(mine.values("id")[:1])).order_by("-latest")
    return found.order_by(TIER_ORDER, "expires_at", "created_at", "id")


def count(tab: str, user: Any) -> str:
    """How many are in a list, up to 99+; counted once per request."""
    if not hasattr(user, "_countersign_counts"):
        user._countersign_counts = {}
    known = user._countersign_counts
    if tab not in known:
        known[tab] = items(tab, user).order_by().values("pk")[: MOST_COUNTED + 1].count()
    return f"{MOST_COUNTED}+" if known[tab] > MOST_COUNTED else str(known[tab])


@dataclass(frozen=True)
class Place:
    """Where a person is: a list with its filters, as carried by the addresses of its items."""

    tab: Tab
    form: QueueFilters
    user: Any

    @classmethod
    def of(cls, query: QueryDict | str, user: Any) -> "Place":
        """From a query string; what is not known there is ignored."""
        data = QueryDict(query) if isinstance(query, str) else query
        form = QueueFilters(data)
        form.is_valid()
        return cls(TABS.get(data.get("tab", ""), TABS["waiting"]), form, user)

    @property
    def title(self) -> str:
        return self.tab.title

    @property
    def query(self) -> str:
        return urlencode({"tab": self.tab.name, **self.form.chosen()})

    @property
    def url(self) -> str:
        return f"{reverse('queue')}?{self.query}"

    def proposals(self) -> QuerySet[Proposal]:
        found = self.form.narrow(items(self.tab.name, self.user))
        return ordered(self.tab.name, found, self.user)

    def page(self) -> list[Proposal]:
        """The rows to list: one more than is shown, to know whether there are others."""
        related = ("agent", "run", "proposer", "current_check")
        return list(self.proposals().select_related(*related).defer(*UNLISTED)[: LONGEST + 1])

    @cached_property
    def ids(self) -> list[UUID]:
        return list(self.proposals().values_list("pk", flat=True)[:LONGEST])

    def neighbours(self, proposal_id: UUID) -> tuple[str, str]:
        """The addresses of the items before and after one; empty at the ends."""
        if proposal_id not in self.ids:
            return "", ""
        at = self.ids.index(proposal_id)
        before = self.address(self.ids[at - 1]) if at else ""
        after = self.address(self.ids[at + 1]) if at + 1 < len(self.ids) else ""
        return before, after

    def onwards(self, proposal_id: UUID) -> str:
        """Where to go after deciding: the next item, else the first other one, else the list."""
        if proposal_id not in self.ids:
            return self.url
        at = self.ids.index(proposal_id)
        others = self.ids[at + 1 :] + self.ids[:at]
        return self.address(others[0]) if others and self.tab.name != "mine" else self.url

    def address(self, proposal_id: UUID) -> str:
        return f"{reverse('proposal', args=[proposal_id])}?{self.query}"
