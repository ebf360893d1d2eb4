"""The project: settings, addresses and the queue's wiring. No rule of the product lives here."""

from approvals_site.celery import app as celery_app

__all__ = ["celery_app"]
