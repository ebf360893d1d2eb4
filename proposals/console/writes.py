"""Recent writes: what was committed, newest first, page by page without counting."""

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Q
from django.urls import reverse

from proposals.console.forms import WriteFilters
from proposals.console.lists import UNLISTED
from proposals.console.presenters import Row, effect_in_words, rows
from proposals.lifecycle import Status
from proposals.models import Proposal, Review

LONGEST = 50


@dataclass(frozen=True)
class Writes:
    """One page of writes, and where the others are."""

    rows: list[Row]
    older_url: str = ""
    newest_url: str = ""


def page(form: WriteFilters, before: str) -> Writes:
    """The writes before a boundary, or the newest; a boundary that makes no sense is ignored."""
    found = form.narrow(Proposal.objects.filter(status=Status.COMMITTED))
    boundary = parse(before)
    if boundary:
        at, last = boundary
        found = found.filter(Q(committed_at__lt=at) | Q(committed_at=at, pk__lt=last))
    related = ("agent", "run", "proposer", "current_check")
    listed = list(
        found.select_related(*related)
        .defer(*UNLISTED)
        .order_by("-committed_at", "-pk")[: LONGEST + 1]
    )
    shown, chosen = listed[:LONGEST], form.chosen()
    older = ""
    oldest = shown[-1] if len(listed) > LONGEST else None
    if oldest and oldest.committed_at:
        older = address(chosen | {"before": f"{oldest.committed_at.isoformat()}~{oldest.pk}"})
    return Writes(named(rows(shown)), older, address(chosen) if boundary else "")


def named(found: list[Row]) -> list[Row]:
    """The rows with who let each through: one statement."""
    approvers: dict[tuple[UUID, str], list[str]] = defaultdict(list)
    reviews = (
        Review.objects.standing_approvals()
        .filter(proposal__in=[row.proposal.pk for row in found])
        .order_by("id")
    )
    for proposal_id, digest, name in reviews.values_list("proposal_id", "digest", "reviewer_name"):
        approvers[proposal_id, digest].append(name)
    return [
        replace(row, decided=effect_in_words(row.proposal, approvers[_seen(row.proposal)]))
        for row in found
    ]


def _seen(proposal: Proposal) -> tuple[UUID, str]:
    check = proposal.current_check
    return proposal.pk, check.digest if check else ""


def parse(boundary: str) -> tuple[datetime, UUID] | None:
    """A boundary from an address."""
    at, _, last = boundary.partition("~")
    try:
        moment = datetime.fromisoformat(at)
        return (moment, UUID(last)) if moment.tzinfo else None
    except ValueError:
        return None


def address(query: dict[str, str]) -> str:
    return f"{reverse('recent')}?{urlencode(query)}" if query else reverse("recent")
