"""Invitations: how people come in after the first."""

from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def open(self, now: datetime) -> "InvitationQuerySet":
        """Those that would still let somebody in."""
        return self.filter(joined_at=None, revoked_at=None, expires_at__gt=now)


class Invitation(models.Model):
    """One way in, for one person, once. Only a hash of its link is kept."""

    email = models.EmailField()
    groups = models.ManyToManyField(Group, related_name="+", blank=True)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    joined_at = models.DateTimeField(null=True)
    joined_as = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )

    objects = InvitationQuerySet.as_manager()

    class Meta:
        default_permissions = ()
        permissions = [
            ("manage_people", "Can invite people, choose their groups and deactivate them")
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(joined_at=None) | models.Q(revoked_at=None),
                name="invitation_used_or_revoked_never_both",
            )
        ]

    def __str__(self) -> str:
        return f"invitation {self.pk}"

    def is_open(self, now: datetime) -> bool:
        return self.joined_at is None and self.revoked_at is None and self.expires_at > now
