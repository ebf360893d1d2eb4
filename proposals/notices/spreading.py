"""From a notice to letters: one for each person and webhook, or a line in an hourly one."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Count

from ledger import clock
from proposals.models import Letter, Notice, NoticePreference
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
        for webhook in audience.webhooks_for(notice.kind, tier):
            write(notice, f"webhook:{webhook.pk}:{notice.pk}", now, webhook=webhook, tier=tier)
    return True


def write_mails(notice: Notice, tier: str, now: datetime) -> None:
    people = {person.pk: person for person in audience.candidates(notice)}
    for person_id in told_already(notice, people):
        people.pop(person_id, None)
    chosen = {
        found.person_id: found for found in NoticePreference.objects.filter(person__in=people)
    }
    busy = written_lately(people, tier, now)
    for person_id, person in people.items():
        wanted = audience.choice(person, chosen.get(person_id) or NoticePreference(), tier)
        if wanted == NoticePreference.Choice.OFF:
            continue
        is_flood = busy.get(person_id, 0) >= AT_ONCE_IN_AN_HOUR
        if wanted == NoticePreference.Choice.AT_ONCE and not is_flood:
            write(notice, f"mail:{person_id}:{notice.pk}", now, person=person, tier=tier)
        else:
            add_to_digest(notice, person, tier, now)


def told_already(notice: Notice, people: dict[Any, Any]) -> set[Any]:
    """Who has a letter about the very same check: coming back unchanged is no news."""
    if notice.kind != Notice.Kind.WAITS:
        return set()
    same = Letter.objects.filter(
        person__in=people,
        notices__proposal=notice.proposal_id,
        notices__digest=notice.digest,
        notices__kind=Notice.Kind.WAITS,
    ).exclude(state=Letter.State.DROPPED)
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


def write(notice: Notice, name: str, now: datetime, **fields: Any) -> None:
    letter, _ = Letter.objects.get_or_create(
        name=name, defaults={"next_at": now, "created_at": now, **fields}
    )
    letter.notices.add(notice)


def add_to_digest(notice: Notice, person: Any, tier: str, now: datetime) -> None:
    """One letter for a person, tier and hour, sent when the hour is over.

    The row is locked, so that nothing is added to a letter that is being sent; what comes too late
    for one hour is in the next one's.
    """
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    for start in (hour, hour + HOUR):
        name = f"digest:{person.pk}:{tier}:{start:%Y-%m-%dT%H}"
        fields = {"person": person, "tier": tier, "is_digest": True}
        Letter.objects.get_or_create(
            name=name, defaults={"next_at": start + HOUR, "created_at": now, **fields}
        )
        letter = Letter.objects.select_for_update(no_key=True).get(name=name)
        if letter.state == Letter.State.WAITING and letter.attempts == 0:
            letter.notices.add(notice)
            return
