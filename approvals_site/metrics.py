"""Numbers for Prometheus: what is open, what waits too long, and whether the parts do their work.

A fixed number of statements, each over an index of what is open, so that it may be asked often.
Ages are by the database's clock. What has never happened yet has no sample.
"""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Count, Max, Min, Sum
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from budgets.models import Refusal
from ledger import clock
from ledger.models import Broken, Checkpoint, Heartbeat, Leaf, LedgerEntry
from proposals.lifecycle import OPEN, Status
from proposals.models import Execution, Letter, Proposal, Webhook

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PROXIES_SAY = ("X-Forwarded-For", "X-Real-IP", "Forwarded")
UNDER_WAY = ("queued", "claimed", "intended")


@dataclass(frozen=True)
class Gauge:
    """One number, or one for each value of a label; None is left out."""

    name: str
    help: str
    values: dict[str, float | None]
    label: str = ""

    def lines(self) -> Iterable[str]:
        name = f"countersign_{self.name}"
        yield f"# HELP {name} {self.help}"
        yield f"# TYPE {name} gauge"
        for label, value in self.values.items():
            if value is not None:
                yield f'{name}{{{self.label}="{label}"}} {value}' if label else f"{name} {value}"


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For this machine, and for who has the token; to everybody else there is nothing here."""
    if not (is_from_here(request) or has_token(request)):
        raise Http404
    try:
        text = "".join(f"{line}\n" for gauge in gauges() for line in gauge.lines())
    except DatabaseError:
        return HttpResponse("The database did not answer.\n", "text/plain", status=503)
    return HttpResponse(text, MEDIA_TYPE)


def is_from_here(request: HttpRequest) -> bool:
    """Whether this machine itself asks. A proxy on it asks for others, and says so."""
    if any(header in request.headers for header in PROXIES_SAY):
        return False
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


def has_token(request: HttpRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    known = settings.METRICS_TOKEN
    is_it = hmac.compare_digest(token.strip().encode(), known.encode())
    return bool(known) and scheme.lower() == "bearer" and is_it


def gauges() -> list[Gauge]:
    now = clock.now()
    return [
        *of_proposals(now),
        *of_executions(now),
        *left_waiting(now),
        refusals(),
        *of_ledger(now),
        *given_up(now),
        beats(now),
    ]


def age(now: datetime, since: datetime | None) -> float | None:
    return max(0.0, (now - since).total_seconds()) if since else None


def of_proposals(now: datetime) -> list[Gauge]:
    found = {
        status: (number, oldest)
        for status, number, oldest in Proposal.objects.filter(status__in=OPEN)
        .order_by()
        .values_list("status")
        .annotate(Count("pk"), Min("created_at"))
    }
    counts: dict[str, float | None] = {
        str(status): found.get(status, (0, None))[0] for status in sorted(OPEN)
    }
    oldest = age(now, found.get(Status.PENDING, (0, None))[1]) or 0
    return [
        Gauge("proposals_open", "Proposals that are not decided or written.", counts, "status"),
        Gauge("oldest_pending_age_seconds", "Since the first that waits for people.", {"": oldest}),
    ]


def of_executions(now: datetime) -> list[Gauge]:
    found = dict(
        Execution.objects.filter(status__in=UNDER_WAY)
        .order_by()
        .values_list("status")
        .annotate(Count("pk"))
    )
    unclear = Execution.objects.filter(status="unknown").aggregate(
        number=Count("pk"), oldest=Min("unclear_at")
    )
    return [
        Gauge(
            "executions",
            "Attempts that wait for a worker or are in its hands.",
            {status: found.get(status, 0) for status in UNDER_WAY},
            "status",
        ),
        Gauge("unknown_outcomes", "Writes that may have happened or not.", {"": unclear["number"]}),
        Gauge(
            "oldest_unknown_age_seconds",
            "Since the first of them is unclear.",
            {"": age(now, unclear["oldest"]) or 0},
        ),
    ]


def left_waiting(now: datetime) -> list[Gauge]:
    """How long work has been due that neither a worker nor the clock took."""
    unchecked = Proposal.objects.to_check().order_by("due_at").values_list("due_at", flat=True)
    since = Coalesce("lease_until", "run_after")
    due = Execution.objects.due(now).aggregate(oldest=Min(since))["oldest"]
    return [
        Gauge(
            "oldest_unchecked_age_seconds",
            "Since the first proposal wants a check that nobody made.",
            {"": age(now, unchecked.first()) or 0},
        ),
        Gauge(
            "oldest_due_execution_age_seconds",
            "Since the first attempt is due that nobody took.",
            {"": age(now, due) or 0},
        ),
    ]


def refusals() -> Gauge:
    """Those of the last minute or so; what is older is summed, and in the ledger."""
    number = Refusal.objects.filter(is_summed=False).aggregate(number=Sum("count"))["number"] or 0
    return Gauge("refusals_not_yet_summed", "Refusals of budgets just now.", {"": number})


def of_ledger(now: datetime) -> list[Gauge]:
    last = Leaf.objects.aggregate(last=Max("entry_id"))["last"] or 0
    unsealed = LedgerEntry.objects.filter(pk__gt=last).count()
    sealed_at = Checkpoint.objects.order_by("-size").values_list("at", flat=True).first()
    return [
        Gauge("ledger_entries_unsealed", "Entries after the newest sealed one.", {"": unsealed}),
        Gauge(
            "ledger_entries_altered",
            "Sealed entries that the clock found altered or gone.",
            {"": Broken.objects.count()},
        ),
        Gauge(
            "ledger_checkpoint_age_seconds",
            "Since the last checkpoint was signed; it grows while nothing happens.",
            {"": age(now, sealed_at)},
        ),
    ]


def given_up(now: datetime) -> list[Gauge]:
    """What people were to be told, and were not."""
    lately = Letter.objects.filter(state="given_up", settled_at__gt=now - timedelta(days=1))
    letters = lately.aggregate(people=Count("person"), webhooks=Count("webhook"))
    webhooks = Webhook.objects.filter(is_active=False).exclude(off_reason="").count()
    return [
        Gauge("letters_given_up", "Of the last 24 hours, by whom they were for.", letters, "to"),
        Gauge("webhooks_given_up", "Webhooks switched off as they failed.", {"": webhooks}),
    ]


def beats(now: datetime) -> Gauge:
    at = Heartbeat.objects.filter(name="clock").values_list("at", flat=True).first()
    return Gauge("clock_beat_age_seconds", "Since the clock was last seen.", {"": age(now, at)})
