"""What the clock does for notices: finds what no bell announced, what is due soon, what is old."""

import time
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from ledger import clock, pruning
from proposals import bell
from proposals.lifecycle import Status
from proposals.models import Letter, Notice, Proposal
from proposals.notices import outbox, post

QUIET = timedelta(seconds=1)
SOON, TOLD_LATELY = timedelta(hours=4), timedelta(hours=1)
REMINDER_SECONDS, PRUNE_SECONDS = 30, 60
BATCH = 100
KEPT = timedelta(days=30)


class Finder:
    """One pass each second; remembers since when something waits, to ring once before it acts."""

    def __init__(self) -> None:
        self.since = self.remind_at = self.prune_at = 0.0

    def run(self) -> None:
        now = time.monotonic()
        if now >= self.remind_at:
            self.remind_at = now + REMINDER_SECONDS
            remind()
        if now >= self.prune_at:
            self.prune_at = now + PRUNE_SECONDS
            prune()
        self.answer(now)

    def answer(self, now: float) -> None:
        """Ring for what nobody took; where no worker answers, wake this process's own office."""
        row = overlooked()
        if row is None:
            self.since = 0.0
        elif not self.since and bell.send(outbox.TASK, row.pk):
            self.since = now
        elif not self.since or now - self.since >= settings.BELL_ANSWER_SECONDS:
            self.since = now
            post.wake()


def overlooked() -> Notice | Letter | None:
    """Something that wanted work a moment ago and still does."""
    before = clock.now() - QUIET
    notice = Notice.objects.to_spread().filter(at__lte=before).first()
    due = Letter.objects.due(before).order_by("next_at")
    return notice or (due if settings.MAIL_IS_ON else due.filter(person=None)).first()


def remind() -> int:
    """Write notices for what expires within four hours and is still undecided; once per check.

    Nobody is reminded within an hour of being told. Returns how many were written.
    """
    now = clock.now()
    told = Notice.objects.filter(
        kind=Notice.Kind.DUE, proposal=OuterRef("pk"), digest=OuterRef("current_check__digest")
    )
    soon = Proposal.objects.filter(
        ~Exists(told),
        status=Status.PENDING,
        expires_at__gt=now,
        expires_at__lte=now + SOON,
        updated_at__lte=now - TOLD_LATELY,
        current_check__isnull=False,
    ).select_related("current_check")
    written = 0
    for proposal in soon.order_by("expires_at")[:BATCH]:
        with transaction.atomic():
            made = Notice.objects.bulk_create(
                [
                    Notice(
                        kind=Notice.Kind.DUE,
                        subject=proposal.stream,
                        proposal=proposal,
                        agent_id=proposal.agent_id,
                        digest=proposal.current_check.digest if proposal.current_check else "",
                        actor="system:clock",
                        at=now,
                    )
                ],
                ignore_conflicts=True,
            )
            outbox.ring(made[0])
        written += 1
    return written


def prune() -> None:
    """Remove what is long settled; the ledger remembers the facts themselves."""
    now = clock.now()
    pruning.prune(old_letters(now))
    pruning.prune(spent_notices(now))


def old_letters(now: datetime) -> QuerySet[Letter]:
    """Letters that were settled and are kept no longer, the oldest first."""
    settled = Letter.objects.exclude(state=Letter.State.WAITING)
    return settled.filter(created_at__lt=now - KEPT).order_by("created_at")


def spent_notices(now: datetime) -> QuerySet[Notice]:
    """Notices as old, for which letters were written and none is left, the oldest first."""
    spread = Notice.objects.exclude(spread_at=None)
    return spread.filter(at__lt=now - KEPT, letters=None).order_by("at")
