"""A person's own desk: preferences, views, lists they work down. Nobody else is affected."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction

from proposals import text
from proposals.exceptions import InvalidRequest, NotFound
from proposals.models import Preferences, SavedView, StoredList
from proposals.models.desk import LONGEST_LIST, MOST_VIEWS
from proposals.services.turns import take_turn

KEY_BYTES = 6  # a name and no secret: a list is shown to its person alone


@transaction.atomic
def save_preferences(
    *, person: Any, theme: str, density: str, time_zone: str, has_shortcuts: bool
) -> Preferences:
    """Store how pages look to one person. Raises InvalidRequest, field by field."""
    found, _ = Preferences.objects.get_or_create(person=person)
    found.theme, found.density, found.time_zone = theme, density, time_zone
    found.has_shortcuts = has_shortcuts
    try:
        found.clean_fields()
    except ValidationError as error:
        faults = [
            {"pointer": f"/{name}", "code": "invalid", "detail": " ".join(details)}
            for name, details in error.message_dict.items()
        ]
        raise InvalidRequest("These preferences cannot be kept.", errors=faults) from error
    found.save()
    return found


@transaction.atomic
def keep_view(*, person: Any, name: str, query: str) -> SavedView:
    """Keep a list with its filters under a name; a name they used before is given to this one.

    The query is as the door understood it. Raises InvalidRequest for a name that is missing, too
    long or hides characters, and for more views than MOST_VIEWS.
    """
    view = SavedView(person=person, name=name.strip(), query=query)
    try:
        view.clean_fields()
    except ValidationError as error:
        raise refused_name(" ".join(error.messages)) from error
    if text.has_alarming(view.name):
        raise refused_name("A name holds no characters that hide or reorder text.")
    take_turn(person)  # or two at once would both find room
    mine = SavedView.objects.filter(person=person)
    if mine.filter(name=view.name).update(query=query):
        return mine.get(name=view.name)
    if mine.count() >= MOST_VIEWS:
        raise refused_name(f"You have {MOST_VIEWS} views, which is as many as are kept.")
    view.save()
    return view


def refused_name(detail: str) -> InvalidRequest:
    fault = {"pointer": "/name", "code": "invalid", "detail": detail}
    return InvalidRequest("This view cannot be kept.", errors=[fault])


def forget_view(*, person: Any, view_id: int) -> None:
    """Remove a view of this person. Raises NotFound, also for those of others."""
    removed, _ = SavedView.objects.filter(pk=view_id, person=person).delete()
    if not removed:
        raise NotFound


def keep_list(*, person: Any, query: str, ids: Sequence[UUID], at: datetime) -> StoredList:
    """The order of a list as it stood at a moment, under a short key; an equal one is used again.

    Keeps the first LONGEST_LIST ids. Take the moment before reading them, or what arrives in
    between is news to nobody.
    """
    members = " ".join(one.hex for one in ids[:LONGEST_LIST])
    latest = StoredList.objects.filter(person=person).order_by("-id").first()
    if latest and (latest.query, latest.members) == (query, members):
        # Opened again with nothing changed: what is news, is news since now.
        StoredList.objects.filter(pk=latest.pk).update(made_at=at)
        latest.made_at = at
        return latest
    return StoredList.objects.create(
        key=secrets.token_urlsafe(KEY_BYTES),
        person=person,
        query=query,
        members=members,
        made_at=at,
    )


def prune_lists(*, now: datetime) -> int:
    """Remove the lists that nobody works down any more. Returns how many."""
    removed, _ = StoredList.objects.stale(now).delete()
    return removed
