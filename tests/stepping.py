"""Workers that stop at each named point of the protocol, all in one thread.

The product's own functions run unchanged; a worker stands still where `crashpoints` names a point,
so that a test decides who goes on, who is killed, and what happens meanwhile. Workers share the
test's database connection, so none may stand still within a transaction; there it can only die.
"""

import contextvars
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from greenlet import getcurrent, greenlet

from proposals import crashpoints, execution

WITHIN_TRANSACTIONS = {"submit.stored", "claim.taken", "settle.written", "apply.written"}


class Killed(BaseException):
    """What ends a worker at a point. No handler of the product may catch it."""


class Worker:
    """One process. `at` is the point it stands at; empty when it has nothing to do."""

    running: "Worker | None" = None

    def __init__(self) -> None:
        self.at = self.dies_at = ""
        self.process: greenlet | None = None

    @property
    def is_idle(self) -> bool:
        return self.process is None

    def start(self, work: Callable[..., object], *arguments: object) -> None:
        """Begin, and go on to the first point."""
        self.process = greenlet(lambda: work(*arguments), parent=getcurrent())
        self.process.gr_context = contextvars.copy_context()
        self.proceed()

    def proceed(self, dies_at: str = "") -> None:
        """Go on to the next point. With `dies_at`, be killed within that transaction, if met."""
        assert self.process is not None
        self.dies_at, Worker.running = dies_at, self
        try:
            with suppress(Killed):
                self.process.switch()
        finally:
            Worker.running = None
            if self.process.dead:
                self.process, self.at = None, ""

    def kill(self) -> None:
        """End it where it stands: nothing that it would have done next is done."""
        if self.process is not None:
            with suppress(Killed):
                self.process.throw(Killed)
        self.process, self.at = None, ""

    def claim(self) -> execution.Claim | None:
        """What it claimed, if it stands within a commit."""
        frame = self.process.gr_frame if self.process else None
        while frame is not None and frame.f_code is not execution.run.__code__:
            frame = frame.f_back
        return frame.f_locals.get("claim") if frame else None

    def reach(self, point: str) -> None:
        if point == self.dies_at:
            raise Killed
        if point not in WITHIN_TRANSACTIONS:
            self.at = point
            self.process.parent.switch()


@contextmanager
def stepping() -> Iterator[None]:
    """Have workers stop at points; whoever is no worker runs through."""

    def reach(point: str) -> None:
        if Worker.running is not None:
            Worker.running.reach(point)

    former, crashpoints.hook = crashpoints.hook, reach
    try:
        yield
    finally:
        crashpoints.hook = former
