"""Somebody else at the same time, seen waiting for a transaction that is held open. PostgreSQL.

On SQLite there is one writer at a time, and nothing to see.
"""

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection, connections

from tests.processes import eventually

WAITING = """
    SELECT count(DISTINCT pid) FROM pg_locks
    WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))
"""


def waiting() -> int:
    """How many others wait for what this connection holds."""
    with connection.cursor() as cursor:
        cursor.execute(WAITING)
        return cursor.fetchone()[0]


class Meanwhile:
    """What somebody does meanwhile, on a connection of their own, and what they came to.

    Made within a transaction; it goes on when they have either come to wait for that, or are done.
    """

    def __init__(self, act: Callable[[], Any]) -> None:
        self.act, self.found = act, []
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        eventually(lambda: waiting() or self.found, what="the other, waiting or done")
        self.has_waited = not self.found

    def run(self) -> None:
        try:
            self.found.append(self.act())
        except Exception as error:
            self.found.append(error)
        finally:
            connections.close_all()

    def came_to(self) -> Any:
        """What they returned or raised, once they are done."""
        self.thread.join(timeout=30)
        [found] = self.found
        return found
