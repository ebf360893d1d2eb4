"""Start of the ledger: its guards are asserted after every migration, and can be checked."""

from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.db import connections
from django.db.models.signals import post_migrate


class LedgerConfig(AppConfig):
    name = "ledger"
    verbose_name = "Ledger"

    def ready(self) -> None:
        from ledger import storage_guards
        from ledger.models import Checkpoint, Leaf, LedgerEntry, Node

        for model in (LedgerEntry, Leaf, Node, Checkpoint):
            storage_guards.protect(model)
        post_migrate.connect(assert_guards, sender=self)
        checks.register(check_guards, checks.Tags.database)  # type: ignore[call-overload]


def assert_guards(*, using: str, **kwargs: Any) -> None:
    """Make whichever guards are missing: a table rebuilt by a migration has lost them."""
    from ledger import storage_guards

    storage_guards.install(connections[using])


def check_guards(databases: list[str] | None = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """A warning and not an error, which would stop the `migrate` that repairs it."""
    from ledger import storage_guards

    return [
        checks.Warning(
            f"The storage guard {name} is missing or altered in database {alias!r}.",
            hint="Find out why, then run migrate.",
            id="ledger.W001",
        )
        for alias in databases or ()
        if storage_guards.applicable(connections[alias])
        for name in storage_guards.missing(connections[alias])
    ]
