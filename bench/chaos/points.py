"""Child processes that die, stop or are overtaken at a named point.

A child is forked from a parent without open connections and runs the product's own code on its
own. SIGKILL leaves it no time for anything: its connections break as if the machine had gone.
"""

import gc
import logging
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.db import connections

from proposals import crashpoints

AT_ONCE = 3
FOUND_FAULT = 70


class ChildFailed(Exception):
    """A child ended by an error of its own, which the product should never have raised."""


@dataclass
class Trap:
    """What happens when a point is reached: somebody else writes, the process stops or dies."""

    kill_at: str = ""
    race_at: str = ""
    race: Callable[[], None] = lambda: None
    stop_at: str = ""

    def __call__(self, point: str) -> None:
        if point == self.race_at:
            self.race_at = ""
            self.race()
        if point == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if point == self.stop_at:
            self.stop_at = ""
            os.kill(os.getpid(), signal.SIGSTOP)


@dataclass
class Job:
    """One child's work. `was_killed` is known when it has ended."""

    name: str
    work: Callable[[], None]
    trap: Trap
    number: int = 0
    was_killed: bool = False


class ErrorsAreFaults(logging.Handler):
    """Collects what the product logs as an error: in these runs nothing may surprise it."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(logging.Formatter().format(record))


def fork(job: Job, folder: Path) -> int:
    """Start a child on the job. The parent must have closed its connections."""
    pid = os.fork()
    if pid:
        return pid
    status = FOUND_FAULT
    errors = ErrorsAreFaults()
    try:
        gc.disable()
        logging.getLogger("proposals").addHandler(errors)
        crashpoints.hook = job.trap
        job.work()
        connections.close_all()
        if errors.records:
            (folder / f"child-{os.getpid()}").write_text("\n".join(errors.records))
        else:
            status = 0
    except BaseException:
        (folder / f"child-{os.getpid()}").write_text(traceback.format_exc())
    finally:
        os._exit(status)


def ended(job: Job, pid: int, status: int, folder: Path) -> None:
    """Note how the child went. Raises ChildFailed for any way that was not planned."""
    job.was_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if job.was_killed or (os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0):
        return
    told = folder / f"child-{pid}"
    raise ChildFailed(f"{job.name}: {told.read_text() if told.exists() else f'status {status}'}")


def run_all(jobs: Iterator[Job], folder: Path, *, at_once: int = AT_ONCE) -> None:
    """Run the jobs as children, a few at a time. Raises ChildFailed when all have ended."""
    running: dict[int, Job] = {}
    waiting, failure = True, None
    while waiting or running:
        while waiting and len(running) < at_once:
            job = next(jobs, None)
            if job is None:
                waiting = False
            else:
                running[fork(job, folder)] = job
        if running:
            pid, status = os.wait()
            job = running.pop(pid)
            try:
                ended(job, pid, status, folder)
            except ChildFailed as error:
                failure, waiting = error, False
    if failure:
        raise failure
