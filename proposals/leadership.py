"""One clock leads, the others stand by; which one is decided by a lock that dies with its holder.

Two leaders at once would do no harm, as every piece of work is claimed in its row: leading only
spares the database the same questions twice.
"""

import fcntl
import logging
from pathlib import Path
from typing import IO, Any, Protocol

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connection, connections

logger = logging.getLogger(__name__)
LOCK = 0x436F_756E_7465_7202  # any number that nothing else in the database locks
# A leader that asks less often than this is stuck or gone, and the server ends its session.
SILENCE = "15s"


class Leadership(Protocol):
    def is_ours(self) -> bool:
        """Whether this process leads now; takes the lead where nobody has it."""


def stand() -> Leadership:
    """Stand for leader, in the way that the product's database allows."""
    if connection.vendor == "postgresql":
        return SessionLock()
    return FileLock(settings.DATA_DIR / "clock.lock")


class SessionLock:
    """An advisory lock on a connection of its own, which nothing else opens or closes."""

    def __init__(self) -> None:
        self.connection: Any = None

    def is_ours(self) -> bool:
        try:
            if self.connection is not None:
                self.ask("SELECT true")  # the lock lives as long as the session does
                return True
            self.connection = connections.create_connection(DEFAULT_DB_ALIAS)
            self.ask("SELECT set_config('idle_session_timeout', %s, false)", SILENCE)
            if self.ask("SELECT pg_try_advisory_lock(%s)", LOCK):
                return True
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The leader's lock cannot be asked for: %r", error)
        self.resign()
        return False

    def ask(self, question: str, *params: Any) -> Any:
        with self.connection.cursor() as cursor:
            cursor.execute(question, params)
            return cursor.fetchone()[0]

    def resign(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class FileLock:
    """A lock on a file of the data folder: SQLite is one machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: IO[str] | None = None

    def is_ours(self) -> bool:
        if self.file is None:
            file = self.path.open("a")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                return False
            self.file = file
        return True
