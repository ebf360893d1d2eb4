"""Sparing what is down: after a failure nobody asks again for a while, and then only one does.

So a Redis that is dead costs one request a short wait every few seconds, and the others nothing.
"""

import threading
import time


class Outage:
    """What one process knows of a service that may be down. Safe to share between threads."""

    def __init__(self, pause_seconds: float = 5) -> None:
        self.pause_seconds = pause_seconds
        self.until: float | None = None
        self.lock = threading.Lock()

    def spares(self) -> bool:
        """Whether to do without it now. After the pause, one caller at a time may try again."""
        if self.until is None:
            return False
        with self.lock:
            if self.until is None:
                return False
            if time.monotonic() < self.until:
                return True
            self.until = time.monotonic() + self.pause_seconds
            return False

    def began(self) -> None:
        """It failed just now."""
        with self.lock:
            self.until = time.monotonic() + self.pause_seconds

    def ended(self) -> None:
        """It answered just now."""
        self.until = None
