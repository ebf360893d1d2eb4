"""The post office of a process: a thread for each channel, and nobody waits for either.

A mail server that hangs holds up its own thread and no check, commit or sweep. The threads end
when nothing is due; a process that dies takes them along, and the leases of their letters end.
"""

import logging
import threading
from collections.abc import Callable

from django.db import connections

from proposals.notices import mail, spreading, webhooks

logger = logging.getLogger(__name__)


class Office:
    """One channel's thread in this process; woken while it works, it looks once more."""

    def __init__(self, name: str, deliver: Callable[[], int]) -> None:
        self.name, self.deliver = name, deliver
        self.lock = threading.Lock()
        self.is_working = self.is_wanted = False

    def wake(self) -> None:
        with self.lock:
            self.is_wanted = True
            if self.is_working:
                return
            self.is_working = True
        threading.Thread(target=self.work, name=f"notices-{self.name}", daemon=True).start()

    def work(self) -> None:
        try:
            while self.goes_on():
                spreading.spread_all()
                while self.deliver():
                    spreading.spread_all()
        except Exception:  # the rows are still there, and the clock wakes us again
            logger.exception("Notices by %s stopped; they go on shortly", self.name)
            with self.lock:
                self.is_working = False
        finally:
            connections.close_all()

    def goes_on(self) -> bool:
        with self.lock:
            self.is_working = self.is_wanted
            self.is_wanted = False
            return self.is_working


OFFICES = (Office("mail", mail.deliver), Office("webhook", webhooks.deliver))


def wake() -> None:
    """See to whatever is due, in the background of this process."""
    for office in OFFICES:
        office.wake()
