"""Counting exactly, for which a page has no time: asked for by a person, done by the clock.

The row is the queue. The clock counts along the sealed log in steps of so many leaves, whatever is
asked for, so no step is longer than another, and a count that was interrupted goes on where it was.
"""

import time
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import OperationalError, transaction
from django.http import HttpRequest, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse

from ledger import access, clock, export
from ledger.finding import BadFilter, Filters
from ledger.models import Checkpoint, ExactCount, Leaf
from ledger.patience import is_given_up, patience

BATCH = 2000
TICK_SECONDS = 0.3  # of one tick, which shares its process with the clock's other work
MOST_WAITING = 20
KEPT = timedelta(days=30)
TOO_LONG = "a step took longer than the database is given"


class CountRefused(Exception):
    """A count that is not begun; says why."""


@transaction.atomic
def ask(filters: Filters, user: Any) -> ExactCount:
    """Have the clock count what the filters mean, up to what is sealed now.

    A count of the same that waits or is under way is left as it is; one that ended is begun anew.
    Raises CountRefused, and BadFilter for a search that is none.
    """
    export.chosen(filters)
    sealed = Checkpoint.objects.order_by("-size").values_list("size", flat=True).first()
    if not sealed:
        raise CountRefused("Nothing is sealed yet, so there is nothing to count: start the clock.")
    now = clock.now()
    ExactCount.objects.filter(finished_at__lt=now - KEPT).delete()
    waiting = ExactCount.objects.select_for_update().filter(finished_at=None)
    rows = list(waiting[:MOST_WAITING])
    found = next((row for row in rows if row.key == filters.key), None)
    if found is not None:
        return found
    if len(rows) == MOST_WAITING:
        raise CountRefused(f"{MOST_WAITING} counts wait already. Ask again when they are done.")
    facts = {
        "asked": filters.as_json(),
        "actor_name": (user.get_full_name() or user.get_username())[:200],
        "asked_at": now,
        "upto": sealed,
        "position": 0,
        "count": 0,
        "finished_at": None,
        "error": "",
    }
    return ExactCount.objects.update_or_create(key=filters.key, defaults=facts)[0]


def tick() -> None:
    """Go on with the count that has waited longest; one look-up when none waits."""
    oldest = ExactCount.objects.filter(finished_at=None).order_by("asked_at", "pk")
    pk = oldest.values_list("pk", flat=True).first()
    until = time.monotonic() + TICK_SECONDS
    while pk is not None and advance(pk) and time.monotonic() < until:
        pass


def advance(pk: int) -> bool:
    """Count in the next leaves. Returns whether there is more to do."""
    try:
        return _step(pk)
    except BadFilter as wrong:  # a window may have grown too long for words meanwhile
        _give_up(pk, str(wrong))
    except OperationalError as error:
        if not is_given_up(error):
            raise
        _give_up(pk, TOO_LONG)
    return False


@transaction.atomic
def _step(pk: int) -> bool:
    row = ExactCount.objects.select_for_update().filter(pk=pk, finished_at=None).first()
    if row is None:
        return False
    end = min(row.position + BATCH, row.upto)
    leaves = Leaf.objects.filter(leaf_index__gte=row.position, leaf_index__lt=end)
    pks = list(leaves.values_list("entry_id", flat=True))
    with patience():
        row.count += export.chosen(Filters.from_json(row.asked)).filter(pk__in=pks).count()
    row.position = end
    if end == row.upto:
        row.finished_at = clock.now()
    row.save(update_fields=["count", "position", "finished_at"])
    return end < row.upto


def _give_up(pk: int, why: str) -> None:
    waiting = ExactCount.objects.filter(pk=pk, finished_at=None)
    waiting.update(finished_at=clock.now(), error=why[:200])


class CountView:
    """The door to exact counts: opens for whoever may see the ledger, and only asks."""

    def __init__(self, model_admin: Any) -> None:
        self.model_admin = model_admin

    def open(self, request: HttpRequest) -> HttpResponseBase:
        if not self.model_admin.has_view_permission(request):
            raise PermissionDenied("Reading the ledger takes a right of its own.")
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            filters = Filters.parse(request.GET.dict(), clock.now())
            ask(filters, request.user)
        except (BadFilter, CountRefused) as wrong:
            messages.error(request, str(wrong))
        else:
            access.note(request.user, "count", "; ".join(filters.words().values()))
        listed = reverse("admin:ledger_ledgerentry_changelist")
        return HttpResponseRedirect(f"{listed}?{request.GET.urlencode()}")
