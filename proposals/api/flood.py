"""Shedding in front of everything: an agent that is refused again and again costs next to nothing.

Before the body is read, and after one look at an index: a repeat of a stored request is answered
with what it stored, whatever else its agent does (agents' contract, Idempotency). Each process
judges by what it refused itself, and only ever refuses: what it lets pass, the database judges as
always. It refuses for the rest of that second, or until the budget has its next slot if that is
sooner; whoever floods one verb can still use the others. Who goes on in the next second is shed
while its first request there is judged, and after it if that is refused: a refusal by the database
costs ten times one from here.

What it refuses it answers a moment late, if it can do so for all of them and leave the server's
threads to others: a loop that asks again as soon as it is answered then comes four times a second
and connection, and not hundreds of times. A flood over more connections than that is answered at
once: to hold a part of it was measured to slow others more than to hold none.
"""

import hashlib
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponseBase

from proposals.api import limits, problems
from proposals.models import Agent, IdempotencyKey
from proposals.spending import shed_in_front

MOST_REFUSALS_PER_SECOND = 20
MOST_IN_A_ROW = 1  # refusals in a second, where the second before ended in shedding
HELD_SECONDS = 0.25
WIDE_SECONDS = 10  # for which nobody is held after more had come than may be
MOST_HELD = 4  # of a process's 16 threads; eight more may be taken by `Prefer: wait`
MOST_SENDERS = 10_000  # of the last second; beyond it nobody is remembered, and nobody shed
IS_STORED = f"SELECT 1 FROM {IdempotencyKey._meta.db_table} WHERE agent_id = %s AND key = %s"
DETAIL = "Refused again and again within a second; nothing was stored. Wait before asking again."


@dataclass
class Sender:
    """What one token was told to one verb within one second."""

    second: int
    agent: str
    goes_on: bool  # it was shed in the second before
    is_over_budget: bool = False
    limits: dict[str, str] = field(default_factory=dict)  # headers: the tightest budget
    refused: int = 0
    shed: int = 0
    told: int = 0  # of what was shed, what the sum of refusals knows
    is_tried: bool = False  # one of its requests is being judged, on behalf of all
    opens_at: float = math.inf  # when the first of the budgets that refused has its next slot

    def is_shed(self, second: int) -> bool:
        """Whether its next request would only be refused like those before it."""
        most = MOST_IN_A_ROW if self.goes_on else MOST_REFUSALS_PER_SECOND
        is_often = self.second == second and self.refused >= most
        is_close = self.is_tried and second - self.second <= 1
        return (is_often or is_close) and moment() < self.opens_at


class FloodGate:
    """Answers 429 `rate-limited` to what a token was refused too often this second.

    What it sheds is counted here, and told to the sum of refusals when the next request of that
    token is let through: a count in Redis for each would cost more than the shedding.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.senders: dict[bytes, Sender] = {}
        self.lock = threading.Lock()
        self.held = threading.BoundedSemaphore(MOST_HELD)
        self.wide_until = 0.0

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        header = request.META.get("HTTP_AUTHORIZATION", "")
        # Not /mcp: its key and its refusals are in bodies, which are not read here. Without the key
        # a repeat of what is stored would be refused, so there the database alone judges.
        if request.method != "POST" or not header or not request.path.startswith("/api/v1/"):
            return self.get_response(request)
        # Hashed, so that no token stays in memory for longer than its request.
        said = f"{request.path.rstrip('/').rpartition('/')[2]} {header}"
        name, second = hashlib.sha256(said.encode()).digest(), this_second()
        sender = self.senders.get(name)
        if sender is not None and sender.is_shed(second) and not is_repeat(request, sender.agent):
            self.hold(sender)
            return self.shed(sender)
        if sender is not None:
            self.let_through(sender)
        try:
            response = self.get_response(request)
            token = getattr(request, "auth", None)  # left there by the agents' authentication
            if response.status_code == 429 and token is not None:
                self.remember(name, second, str(token.agent_id), response)
        finally:
            self.judged(name)
        return response

    def hold(self, sender: Sender) -> None:
        """Wait before the answer, never past the next slot; not at all while too many come."""
        now = moment()
        if now < self.wide_until:
            return
        if not self.held.acquire(blocking=False):
            self.wide_until = now + WIDE_SECONDS
            return
        try:
            time.sleep(max(0.0, min(HELD_SECONDS, sender.opens_at - now)))
        finally:
            self.held.release()

    def shed(self, sender: Sender) -> HttpResponseBase:
        with self.lock:
            sender.shed += 1
        response = problems.respond("rate-limited", 429, DETAIL, retry_after=1)
        for header, value in sender.limits.items():
            response[header] = value
        return response

    def let_through(self, sender: Sender) -> None:
        """Have one request judged; what was refused here before it is told to the sum."""
        with self.lock:
            untold, sender.told = sender.shed - sender.told, sender.shed
            sender.is_tried = sender.shed > 0
        if untold and sender.is_over_budget:  # else it would count what was no refusal of a budget
            shed_in_front(sender.agent, untold)

    def judged(self, name: bytes) -> None:
        with self.lock:
            if name in self.senders:
                self.senders[name].is_tried = False

    def remember(self, name: bytes, second: int, agent: str, response: HttpResponseBase) -> None:
        until_free = getattr(response, "seconds_until_free", math.inf)
        with self.lock:
            sender = self.senders.get(name)
            if sender is None or sender.second != second:
                if len(self.senders) >= MOST_SENDERS:
                    self.senders.clear()
                goes_on = sender is not None and sender.shed > 0 and second - sender.second == 1
                untold = sender.shed - sender.told if sender else 0
                sender = self.senders[name] = Sender(second, agent, goes_on, told=-untold)
            sender.refused += 1
            sender.is_over_budget = getattr(response, "is_over_budget", False)
            sender.limits = {
                header: response[header] for header in limits.HEADERS if response.has_header(header)
            }
            now = moment()
            known = sender.opens_at if sender.opens_at > now else math.inf
            sender.opens_at = min(known, now + until_free)


def is_repeat(request: HttpRequest, agent: str) -> bool:
    """Whether this key stored something already. Where that cannot be told, the view finds out.

    In SQL, as it runs for every request of a flood: the ORM takes fifteen times as long for it.
    """
    key = request.headers.get("Idempotency-Key", "")
    known_as = Agent._meta.pk.get_db_prep_value(agent, connection)
    try:
        with connection.cursor() as cursor:
            cursor.execute(IS_STORED, [known_as, key])
            return cursor.fetchone() is not None
    except DatabaseError:
        return True


def moment() -> float:
    return time.monotonic()


def this_second() -> int:
    return int(moment())
