"""Keeps Django's own tables out of the databases that agents write to."""


class TargetsAreNotOurs:
    """Only the product's own database is migrated; targets belong to somebody else."""

    def allow_migrate(self, db: str, app_label: str, **hints: object) -> bool | None:
        return None if db == "default" else False
