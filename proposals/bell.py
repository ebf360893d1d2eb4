"""The doorbell: tells a worker that a row wants work.

A ring may be lost, doubled or late and nothing is wrong: the row is the queue, and the clock finds
what no bell announced. So a broker that is down costs seconds and never an answer to an agent.
"""

import logging
from uuid import UUID

from celery import current_app
from django.conf import settings
from django.db import transaction
from kombu.exceptions import OperationalError as BrokerDown
from redis import Redis, RedisError

from proposals.outage import of_redis

logger = logging.getLogger(__name__)
MOST_BELLS = 10_000  # some 15 MB of Redis


def ring_check(proposal_id: UUID) -> None:
    """Once the transaction has committed, tell a worker that this proposal wants a check."""
    # A closure, because a partial has no name for the error log of robust callbacks.
    transaction.on_commit(lambda: send("proposals.check", proposal_id), robust=True)


def ring_execution(execution_id: UUID) -> None:
    """Once the transaction has committed, tell a worker that this execution may be claimed."""
    transaction.on_commit(lambda: send("proposals.execute", execution_id), robust=True)


def send(task: str, row_id: UUID) -> bool:
    """Ring at once; False if the broker did not take it, or did not a moment ago."""
    if of_redis.spares():
        return False
    try:
        current_app.send_task(task, kwargs={"row_id": str(row_id)}, ignore_result=True)
    except (BrokerDown, RedisError, OSError) as error:
        of_redis.began()
        logger.warning("The bell for %s %s was not heard: %r", task, row_id, error)
        return False
    of_redis.ended()
    return True


def forget_oldest() -> None:
    """Keep bells that no worker answers from filling Redis: only the newest stay.

    Raises nothing, and spares a Redis that is down.
    """
    if of_redis.spares():
        return
    prefix = settings.CELERY_BROKER_TRANSPORT_OPTIONS["global_keyprefix"]
    key = f"{prefix}{settings.CELERY_TASK_DEFAULT_QUEUE}"  # where Celery pushes them, on the left
    try:
        with Redis.from_url(settings.REDIS_URL, retry=None, **settings.REDIS_PATIENCE) as redis:
            redis.ltrim(key, 0, MOST_BELLS - 1)
    except (RedisError, OSError) as error:
        of_redis.began()
        logger.warning("Old bells were not removed: %r", error)
        return
    of_redis.ended()
