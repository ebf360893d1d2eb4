"""The clock's own hand: does what no worker came for, beside the clock and never in its way.

A target may take its time, twenty seconds for one row, and meanwhile the clock beats, seals,
expires and keeps its lead. One hand and not several, because each is one more call that a target
which answers nothing can swallow (Breakers). The row is the queue: what waits here may be forgotten
at any moment, and is still due in its row.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import close_old_connections, connections

from proposals import attempts

logger = logging.getLogger(__name__)
PATIENCE_SECONDS = 10  # at a stop; whoever stops the clock waits a little longer than this

Work = Callable[[UUID], object]
Row = tuple[Work, UUID]


class Hand:
    """One thread with connections of its own, which ends when nothing waits."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.waiting: dict[Row, Any] = {}  # whose they are, in the order in which they came
        self.served: dict[Any, float] = {}  # when the turn of each was last
        self.held: Row | None = None
        self.since = 0.0
        self.thread: threading.Thread | None = None
        self.is_stopping = False

    def take(self, work: Work, row_id: UUID, agent_id: Any = None) -> None:
        """See to a row soon. What waits or is being worked on already is not taken twice."""
        row = (work, row_id)
        with self.lock:
            if row == self.held:
                self.complain()
            if self.is_stopping or row == self.held:
                return
            self.waiting.setdefault(row, agent_id)
            if self.thread is None:
                self.thread = threading.Thread(target=self.work, name="clock-hand", daemon=True)
                self.thread.start()

    def complain(self) -> None:
        """Say so when one row takes longer than any deadline should let it."""
        seconds = time.monotonic() - self.since
        if self.held is not None and seconds > settings.EXECUTION_LEASE_SECONDS:
            logger.error("For %d s nothing was done beside the clock but %s", seconds, self.held[1])

    def work(self) -> None:
        last: Work | None = None
        while row := self.next(last):
            last, row_id = row
            try:
                close_old_connections()
                last(row_id)
            except Exception:  # whatever it is, the others get their turn, and it gets another
                logger.exception("The clock could not work on %s", row_id)
                connections.close_all()

    def next(self, last: Work | None) -> Row | None:
        """The row to go on with: of another kind than the last, so that no kind waits for one.

        Among them, that of the agent whose turn was longest ago, so that none waits for another's.
        """

        def rank(row: Row) -> tuple[bool, float]:
            return row[0] is last, self.served.get(self.waiting[row], 0.0)

        with self.lock:
            self.held = min(self.waiting, key=rank, default=None)
            if self.held is None:
                connections.close_all()  # before anybody may take it that this thread has ended
                self.thread, self.served = None, {}
                return None
            self.since = time.monotonic()
            self.served[self.waiting.pop(self.held)] = self.since
            return self.held

    def stop(self, patience: float = PATIENCE_SECONDS) -> None:
        """Begin nothing more, wait for what is under way, and hand back what takes longer."""
        with self.lock:
            self.is_stopping = True
            self.waiting.clear()
            thread = self.thread
        if thread is not None:
            thread.join(patience)
        attempts.hand_back(attempts.WORKER)
