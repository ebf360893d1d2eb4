"""Sparing what is down: after a failure nobody asks again for a while, and then only one does.

So a Redis that is dead costs one request a short wait now and then, and the others nothing.
"""

import threading
import time

SHORTEST_SECONDS, LONGEST_SECONDS = 5, 30


class Outage:
    """What one process knows of a service that may be down. Safe to share between threads."""

    def __init__(self) -> None:
        self.pause = 0.0
        self.until = 0.0
        self.lock = threading.Lock()

    def spares(self) -> bool:
        """Whether to do without it now. After the pause, one caller at a time may try again."""
        if not self.pause:
            return False
        with self.lock:
            if time.monotonic() < self.until:
                return True
            self.until = time.monotonic() + self.pause
            return False

    def began(self) -> None:
        """It failed just now; each failure in a row doubles the pause."""
        with self.lock:
            self.pause = min(max(2 * self.pause, SHORTEST_SECONDS), LONGEST_SECONDS)
            self.until = time.monotonic() + self.pause

    def ended(self) -> None:
        """It answered just now."""
        self.pause = 0.0


of_redis = Outage()  # one for all who ask it: the first to meet an outage spares the others
