"""Two requests at once: a button pressed twice, or two people who choose the same name."""

from typing import Any

from django.contrib.auth import get_user_model
from django.db import IntegrityError, models, transaction


def take_turn(person: Any) -> None:
    """Let the requests of one person go one after another, until the caller's transaction ends."""
    get_user_model().objects.select_for_update(no_key=True).get(pk=person.pk)


def save_sound(row: models.Model, exclude: tuple[str, ...] = ()) -> None:
    """Examine a row and save it, in the caller's transaction. Raises ValidationError.

    What somebody else saved between the two is refused in the same words as if it had been there
    before.
    """
    row.full_clean(exclude=exclude)
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        row.full_clean(exclude=exclude)
        raise
