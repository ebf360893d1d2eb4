"""The Celery application. Messages are doorbells: they carry an id and may be lost or doubled."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "approvals_site.settings")

app = Celery("approvals_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
