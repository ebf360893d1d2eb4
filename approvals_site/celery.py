"""The Celery application. Messages are doorbells: they carry an id and may be lost or doubled."""

import os
from typing import Any

from celery import Celery, signals
from django.db import close_old_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "approvals_site.settings")

app = Celery("approvals_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.task_prerun.connect
def try_connections(**received: Any) -> None:
    """As a web request does: a connection that broke meanwhile is replaced before it is used."""
    close_old_connections()


@signals.worker_shutdown.connect
def hand_back(**received: Any) -> None:
    """A stop that had to cut work short leaves nothing to wait for its lease."""
    from proposals import attempts

    attempts.hand_back(attempts.WORKER)
