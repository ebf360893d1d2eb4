"""Two requests at once: a button pressed twice, or two people who choose the same name."""

from typing import Any

from django.contrib.auth import get_user_model
from django.db import IntegrityError, models, transaction


def take_turn(person: Any) -> None:
    """Let the requests of one person go one after another, until the caller's transaction ends."""
    get_user_model().objects.select_for_update(no_key=True).get(pk=person.pk)


def save_named(row: models.Model, taken: Exception) -> None:
    """Save a new row, in the caller's transaction. Raises `taken` where its name is not free."""
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:  # whoever else chose it was not there yet when it was examined
        raise taken from None
