"""Bearer tokens of people: for scripts that stop and start, and for nothing else."""

from django.conf import settings
from django.db import models


class OperatorToken(models.Model):
    """A person's token for the operators' API, stored as a hash. It can do what the person may."""

    key_id = models.CharField(max_length=16, unique=True)
    digest = models.CharField(max_length=64, editable=False)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="operator_tokens"
    )
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.key_id
