"""From a notice to letters: one for each person and webhook, or a line in an hourly one."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Count

from ledger import clock
from proposals.models import Letter, Notice, NoticePreference, Review
from proposals.notices import audience

AT_ONCE_IN_AN_HOUR = 3
HOUR = timedelta(hours=1)
BATCH = 200


def spread_all() -> int:
    """Write the letters of what has none yet. Returns how many notices were worked on."""
    waiting = list(Notice.objects.to_spread().values_list("pk", flat=True)[:BATCH])
    return sum(spread(notice_id) for notice_id in waiting)


@transaction.atomic
def spread(notice_id: UUID) -> bool:
    """Write the letters of one notice, once: who marks it first writes them all."""
    now = clock.now()
    if not Notice.objects.filter(pk=notice_id, spread_at=None).update(spread_at=now):
        return False
    notice = Notice.objects.select_related("proposal__current_check", "agent").get(pk=notice_id)
    if audience.is_current(notice):
        tier = audience.tier_of(notice)
        if settings.MAIL_IS_ON:
            write_mails(notice, tier, now)
        told = [
            Letter(name=f"webhook:{webhook.pk}:{notice.pk}", webhook=webhook)
            for webhook in audience.webhooks_for(notice.kind, tier)
        ]
        write(notice, told, tier, now)
    return True


def write_mails(notice: Notice, tier: str, now: datetime) -> None:
    """As many statements for many people as for few: a flood must not slow what it is about."""
    people = {person.pk: person for person in audience.candidates(notice)}
    for person_id in told_already(notice, people):
        people.pop(person_id, None)
    chosen = {
        found.person_id: found for found in NoticePreference.objects.filter(person__in=people)
    }
    busy = written_lately(people, tier, now)
    alone, hourly = [], []
    for person_id, person in people.items():
        wanted = audience.choice(person, chosen.get(person_id) or NoticePreference(), tier)
        is_flood = busy.get(person_id, 0) >= AT_ONCE_IN_AN_HOUR
        if wanted == NoticePreference.Choice.AT_ONCE and not is_flood:
            alone.append(Letter(name=f"mail:{person_id}:{notice.pk}", person=person))
        elif wanted != NoticePreference.Choice.OFF:
            hourly.append(person)
    write(notice, alone, tier, now)
    add_to_digests(notice, hourly, tier, now)


def told_already(notice: Notice, people: dict[Any, Any]) -> set[Any]:
    """Who has a letter about the very same check: coming back unchanged is no news.

    Unless somebody took a decision on it back since: then a seat is empty that was not.
    """
    if notice.kind != Notice.Kind.WAITS:
        return set()
    same = Letter.objects.filter(
        person__in=people,
        notices__proposal=notice.proposal_id,
        notices__digest=notice.digest,
        notices__kind=Notice.Kind.WAITS,
    ).exclude(state=Letter.State.DROPPED)
    emptied = Review.objects.filter(
        proposal=notice.proposal_id, digest=notice.digest, decision=Review.Decision.WITHDRAW
    )
    if at := emptied.order_by("-id").values_list("created_at", flat=True).first():
        same = same.filter(created_at__gt=at)
    return set(same.values_list("person_id", flat=True))


def written_lately(people: dict[Any, Any], tier: str, now: datetime) -> dict[Any, int]:
    """How many letters of their own each has at this tier from the last hour."""
    counted = (
        Letter.objects.filter(
            person__in=people, tier=tier, is_digest=False, created_at__gt=now - HOUR
        )
        .values("person_id")
        .annotate(count=Count("pk"))
    )
    return {row["person_id"]: row["count"] for row in counted.order_by()}


def write(notice: Notice, letters: list[Letter], tier: str, now: datetime) -> None:
    """Store letters about one notice, to be sent at once; those that are there already stay."""
    for letter in letters:
        letter.tier, letter.next_at, letter.created_at = tier, now, now
    if letters:
        Letter.objects.bulk_create(letters, ignore_conflicts=True)
        names = [letter.name for letter in letters]
        enclose(notice, Letter.objects.filter(name__in=names))


def enclose(notice: Notice, letters: Iterable[Letter]) -> None:
    link = Letter.notices.through
    link.objects.bulk_create(
        [link(letter_id=letter.pk, notice_id=notice.pk) for letter in letters],
        ignore_conflicts=True,
    )


def add_to_digests(notice: Notice, people: list[Any], tier: str, now: datetime) -> None:
    """One letter for a person, tier and hour, sent when the hour is over.

    The rows are locked, in one order, so that nothing is added to a letter that is being sent; what
    comes too late for one hour is in the next one's.
    """
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    for start in (hour, hour + HOUR):
        if not people:
            return
        wanted = {f"digest:{one.pk}:{tier}:{start:%Y-%m-%dT%H}": one for one in people}
        same = {"tier": tier, "is_digest": True, "next_at": start + HOUR, "created_at": now}
        Letter.objects.bulk_create(
            [Letter(name=name, person=person, **same) for name, person in wanted.items()],
            ignore_conflicts=True,
        )
        found = Letter.objects.select_for_update(no_key=True).filter(name__in=wanted)
        open_still = [
            letter
            for letter in found.order_by("name")
            if letter.state == Letter.State.WAITING and letter.attempts == 0
        ]
        enclose(notice, open_still)
        taken = {letter.person_id for letter in open_still}
        people = [one for one in people if one.pk not in taken]
