"""Whether this process is alive, and whether the installation can do its work."""

import logging
from collections.abc import Callable
from datetime import timedelta

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

from ledger import heartbeat, sealer

logger = logging.getLogger(__name__)

OK = "ok"
FAILED = "failed"
DEGRADED = "degraded"
NOT_CONFIGURED = "not configured"
PATIENCE_SECONDS = 1


def alive(request: HttpRequest) -> JsonResponse:
    """Asks nobody else, so that it answers when others do not."""
    return JsonResponse({"status": "alive"})


def ready(request: HttpRequest) -> JsonResponse:
    """200 when the work can be done, 503 when it cannot; each check by its name, and no more.

    `?only=web` asks what this machine needs to answer requests. A clock that is gone is the same
    for all of them, and no reason to take them all from whoever asks or stops something.
    """
    asked = OF_WEB if request.GET.get("only") == "web" else CHECKS.keys()
    checks = {name: CHECKS[name]() for name in asked}
    is_ready = FAILED not in checks.values()
    return JsonResponse(
        {"status": "ready" if is_ready else "not ready", "checks": checks},
        status=200 if is_ready else 503,
    )


def from_database(question: Callable[[], bool]) -> Callable[[], str]:
    """A check that fails when the answer is no, or when the database gives none."""

    def check() -> str:
        try:
            return OK if question() else FAILED
        except DatabaseError:
            logger.exception("A check of readiness could not ask the database")
            return FAILED

    return check


def database() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return cursor.fetchone() == (1,)


def broker() -> str:
    """Without Redis bells stay silent, and the clock finds the work: slower, and not a failure."""
    if not settings.REDIS_URL:
        return NOT_CONFIGURED
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL,
            socket_connect_timeout=PATIENCE_SECONDS,
            socket_timeout=PATIENCE_SECONDS,
            retry=None,
        ) as client:
            client.ping()
    except redis.RedisError:
        return DEGRADED
    return OK


def clock() -> bool:
    return heartbeat.is_fresh("clock", within=timedelta(seconds=settings.CLOCK_LIMIT_SECONDS))


CHECKS: dict[str, Callable[[], str]] = {
    "database": from_database(database),
    "broker": broker,
    "clock": from_database(clock),
    "sealer": from_database(sealer.is_fresh),
}
OF_WEB = ("database", "broker")
