"""Celery tasks: one line each. They take an id, and tolerate arguments they do not know."""

from typing import Any

from celery import shared_task

from proposals import dispatch, resolving
from proposals.notices import post


@shared_task(name="proposals.check")
def check(*, row_id: str, **kwargs: Any) -> None:
    dispatch.check_and_commit(row_id)


@shared_task(name="proposals.execute")
def execute(*, row_id: str, **kwargs: Any) -> None:
    dispatch.commit(row_id)


@shared_task(name="proposals.resolve")
def resolve(*, row_id: str, **kwargs: Any) -> None:
    resolving.run(row_id)


@shared_task(name="proposals.notify")
def notify(**kwargs: Any) -> None:
    post.wake()
