"""Databases that agents write to, as people connected them, and the tables they chose in them."""

from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from simple_history.models import HistoricalRecords

from ledger.canonical import CanonicalJSONField, digest


class Database(models.Model):
    """One connected database. Its password is not here: no copy of this row can hold it.

    Switched off, never deleted: what was written there must stay explicable, and undoable.
    """

    class Engine(models.TextChoices):
        POSTGRESQL = "postgresql", "PostgreSQL"
        SQLITE = "sqlite", "SQLite file"

    class Tls(models.TextChoices):
        VERIFY = "verify-full", "Encrypted, and the server's certificate is checked"
        REQUIRE = "require", "Encrypted, the certificate is not checked"
        DISABLE = "disable", "Not encrypted"

    name = models.CharField(
        max_length=40,
        unique=True,
        validators=[
            RegexValidator(
                r"^(?!add$)[a-z][a-z0-9_]*$",
                "Lower-case letters, digits and underscores, a letter first.",
            )
        ],
        help_text="The first word of its tables' names, such as crm in crm.customers. It stays.",
    )
    engine = models.CharField(max_length=10, choices=Engine.choices)
    host = models.CharField(max_length=255, blank=True)
    port = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(65535)]
    )
    database = models.CharField(max_length=400)
    user = models.CharField(max_length=63, blank=True)
    tls = models.CharField(max_length=12, choices=Tls.choices, blank=True)
    password_version = models.PositiveIntegerField(
        default=0, editable=False, help_text="How often a password was entered; 0 is never."
    )
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    history = HistoricalRecords()

    class Meta:
        ordering = ["name"]
        default_permissions = ("view",)
        permissions = [("configure_databases", "Can connect databases and choose their tables")]

    def __str__(self) -> str:
        return self.name

    @property
    def secret_name(self) -> str:
        return f"database:{self.pk}"

    @property
    def is_postgresql(self) -> bool:
        return self.engine == self.Engine.POSTGRESQL

    @property
    def place(self) -> str:
        """Where it is, without anything secret."""
        if not self.is_postgresql:
            return self.database
        return f"{self.host}:{self.port or 5432}/{self.database}"

    def facts(self) -> dict[str, Any]:
        """What it is, for the ledger and for digests; never the password."""
        names = ("name", "engine", "host", "port", "database", "user", "tls")
        found = {name: getattr(self, name) or "" for name in names}
        return found | {"port": self.port or 0, "password_version": self.password_version}


class DescribedTable(models.Model):
    """One table that agents may write to: what docs/tables.md says a table file holds."""

    database = models.ForeignKey(Database, on_delete=models.PROTECT, related_name="tables")
    name = models.CharField(max_length=63)
    definition = CanonicalJSONField()
    is_enabled = models.BooleanField(default=True)
    updated_at = models.DateTimeField(auto_now=True)

    history = HistoricalRecords()

    class Meta:
        ordering = ["name"]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["database", "name"], name="table_once_per_database")
        ]

    def __str__(self) -> str:
        return f"{self.database_id}: {self.name}"

    def digest(self) -> str:
        """Names what an agent may do here, and where: another digest, another check."""
        return digest([self.database.facts(), self.name, self.definition], "table")


class Secret(models.Model):
    """One encrypted secret by name. Without history: nothing but the newest is ever kept."""

    name = models.CharField(max_length=100, unique=True)
    sealed = models.TextField(editable=False)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name


class Wiring(models.Model):
    """One row whose token changes with every change of a database or table.

    A token and not a number: a change that was rolled back must not look like a later one.
    """

    token = models.CharField(max_length=32)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.token
