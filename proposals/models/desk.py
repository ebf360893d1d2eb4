"""What belongs to one person at their desk: how pages look, and the lists they work down."""

from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

LONGEST_LIST = 500
LONGEST_VIEW_NAME, MOST_VIEWS = 60, 20
LIST_LIFETIME = timedelta(days=2)


def known_time_zone(name: str) -> None:
    """Refuse a name that this machine's time zones do not have."""
    if name not in available_timezones():
        raise ValidationError("No such time zone; names look like Europe/Berlin.", code="unknown")


class Preferences(models.Model):
    """How pages look and work for one person. Nothing here changes what anybody may do."""

    class Theme(models.TextChoices):
        SYSTEM = "system", "As the system"
        LIGHT = "light", "Light"
        DARK = "dark", "Dark"

    class Density(models.TextChoices):
        COMFORTABLE = "comfortable", "Comfortable"
        COMPACT = "compact", "Compact"

    person = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="preferences"
    )
    theme = models.CharField(max_length=12, choices=Theme.choices, default=Theme.SYSTEM)
    density = models.CharField(max_length=12, choices=Density.choices, default=Density.COMFORTABLE)
    time_zone = models.CharField(max_length=64, default="UTC", validators=[known_time_zone])
    has_shortcuts = models.BooleanField(
        default=True, help_text="Whether single keys do anything; Ctrl + Enter always does."
    )

    class Meta:
        verbose_name_plural = "preferences"
        default_permissions = ()

    def __str__(self) -> str:
        return f"preferences of {self.person_id}"

    @property
    def zone(self) -> ZoneInfo:
        """The time zone; UTC if this machine no longer knows it."""
        try:
            return ZoneInfo(self.time_zone)
        except (KeyError, ValueError, OSError):
            return ZoneInfo("UTC")


class StoredListQuerySet(models.QuerySet["StoredList"]):
    def stale(self, now: datetime) -> "StoredListQuerySet":
        """Lists that nobody works down any more."""
        return self.filter(made_at__lte=now - LIST_LIFETIME)


class StoredList(models.Model):
    """A list as it stood when a person opened it, so that its order stays while they work it down.

    Known by a short key that stands in addresses; of no use to anybody but that person.
    """

    key = models.CharField(max_length=16, unique=True)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="stored_lists"
    )
    query = models.TextField(help_text="Which list, with which filters.")
    members = models.TextField(help_text="Ids of proposals as hex digits, in order.")
    made_at = models.DateTimeField()

    objects = StoredListQuerySet.as_manager()

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(fields=["person", "-id"], name="stored_list_by_person"),
            models.Index(fields=["made_at"], name="stored_list_by_age"),
        ]

    def __str__(self) -> str:
        return self.key

    @property
    def ids(self) -> list[UUID]:
        return [UUID(one) for one in self.members.split()]


class SavedView(models.Model):
    """A list of the queue with its filters, that one person gave a name to."""

    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_views"
    )
    name = models.CharField(max_length=LONGEST_VIEW_NAME)
    query = models.CharField(max_length=1000, help_text="Which list, with which filters.")

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["person", "name"], name="saved_view_named_once")
        ]

    def __str__(self) -> str:
        return f"view {self.pk}"
