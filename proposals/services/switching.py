"""Switching what agents may use on and off: actions, mail templates, databases and tables alike.

Switching off is a stop: it waits for intents that are under way, and none begins after it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction

from proposals import freezing, rights
from proposals.services.secrets import changed_by
from proposals.targets import wiring


@contextmanager
def switching(
    is_enabled: bool, *, person: Any, require_configure: Callable[[Any], None]
) -> Iterator[None]:
    """A transaction that no intent begins in. Raises NotEligible.

    Stopping takes the right to freeze, starting again the right to configure.
    """
    if is_enabled or not rights.has(person, rights.FREEZE):
        require_configure(person)
    with transaction.atomic():
        freezing.take_gate()
        yield


def switch(row: Any, is_enabled: bool, *, person: Any, enter: Callable[[str], None]) -> None:
    """Within `switching`: set it, and `enter` which way. The same again is no change."""
    if row.is_enabled == is_enabled:
        return
    row.is_enabled = is_enabled
    changed_by(row, person)
    row.save(update_fields=["is_enabled", "updated_at"])
    enter("enabled" if is_enabled else "disabled")
    wiring.announce()
