"""How long the database may take for what somebody waits for."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction

TIMEOUT_SECONDS = 5
GIVEN_UP = "57014"


@contextmanager
def patience() -> Iterator[None]:
    """On PostgreSQL, give up on a statement that takes longer than people wait.

    A page is a short walk along an index, and nothing else may be tried: parallel workers or
    compiling would cost more than all of it, and a hash would gather what the page never shows.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                f"SET LOCAL statement_timeout = {TIMEOUT_SECONDS * 1000}; "
                "SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off; "
                "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off"
            )
        yield


def is_given_up(error: OperationalError) -> bool:
    """Whether this is the database's word that a statement took too long."""
    return getattr(error.__cause__, "sqlstate", "") == GIVEN_UP
