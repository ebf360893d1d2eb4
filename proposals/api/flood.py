"""Shedding in front of everything: an agent that is refused again and again costs next to nothing.

Before the body is read, and after one look at an index: a repeat of a stored request is answered
with what it stored, whatever else its agent does (agents' contract, Idempotency). Each process
judges by what it refused itself, and only ever refuses: what it lets pass, the database judges as
always. It refuses for the rest of that second, or until the budget has its next slot if that is
sooner; whoever floods one verb can still use the others. Of who goes on in the next second few are
judged at the same time: one after a refusal, twice as many after each that was none. A refusal by
the database costs ten times one from here.

What it refuses it answers a moment late, where that leaves the server's threads to others: a loop
that asks again as soon as it is answered then comes once a second and connection, and not hundreds
of times. Whoever waits so is judged after all when a slot frees meanwhile.
"""

import hashlib
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponseBase

from proposals.api import limits, patience, problems
from proposals.models import Agent, IdempotencyKey
from proposals.spending import shed_in_front

MOST_REFUSALS_PER_SECOND = 20
MOST_IN_A_ROW = 1  # refusals in a second, where the second before ended in shedding
MOST_TRIED = 16  # that are judged at the same time: as many as a process has threads
HELD_SECONDS = 1.0  # what `Retry-After` says: whoever would not wait that long waits here
LOOK_SECONDS = 0.025  # how often it looks whether those that are tried were let in
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
    is_flood: bool = False  # some of it was shed, or waits here
    tried: int = 0  # of its requests, those that are being judged on behalf of all
    most_tried: int = 1
    opens_at: float = math.inf  # when the first of the budgets that refused has its next slot

    def is_shed(self, second: int) -> bool:
        """Whether its next request would only be refused like those before it."""
        most = MOST_IN_A_ROW if self.goes_on else MOST_REFUSALS_PER_SECOND
        is_often = self.second == second and self.refused >= most
        is_recent = (self.is_flood or self.goes_on) and second - self.second <= 1
        is_tried = is_recent and self.tried >= self.most_tried
        return is_tried or (is_often and moment() < self.opens_at)

    def nothing_changes_for(self) -> float:
        """Until the next second or slot; a short while where it is for those that are tried."""
        now = moment()
        if self.tried or self.opens_at <= now:
            return LOOK_SECONDS
        return min(self.opens_at - now, 1 - now % 1)


class FloodGate:
    """Answers 429 `rate-limited` to what a token was refused too often this second.

    What it sheds is counted here, and told to the sum of refusals when the next request of that
    token is let through: a count in Redis for each would cost more than the shedding.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.senders: dict[bytes, Sender] = {}
        self.lock = threading.Lock()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        header = request.META.get("HTTP_AUTHORIZATION", "")
        # Not /mcp: its key and its refusals are in bodies, which are not read here. Without the key
        # a repeat of what is stored would be refused, so there the database alone judges.
        if request.method != "POST" or not header or not request.path.startswith("/api/v1/"):
            return self.get_response(request)
        # Hashed, so that no token stays in memory for longer than its request.
        said = f"{request.path.rstrip('/').rpartition('/')[2]} {header}"
        name = hashlib.sha256(said.encode()).digest()
        sender = self.senders.get(name)
        if (
            sender is not None
            and sender.is_shed(this_second())
            and not is_repeat(request, sender.agent)
            and not self.waits(name, sender)
        ):
            return self.shed(name, sender)
        is_known = self.let_through(name)
        second, is_refused = this_second(), True
        try:
            response = self.get_response(request)
            is_refused = response.status_code == 429
            token = getattr(request, "auth", None)  # left there by the agents' authentication
            if is_refused and token is not None:
                self.remember(name, second, str(token.agent_id), response)
        finally:
            if is_known:
                self.judged(name, is_refused)
        return response

    def waits(self, name: bytes, sender: Sender) -> bool:
        """Wait a moment, where there is a place for it. Whether its request may be judged now."""
        sender.is_flood = True
        if not patience.places.acquire(blocking=False):
            return False
        deadline = moment() + HELD_SECONDS
        try:
            while (left := deadline - moment()) > 0:
                time.sleep(min(left, self.senders.get(name, sender).nothing_changes_for()))
                if not self.senders.get(name, sender).is_shed(this_second()):
                    return True
            return False
        finally:
            patience.places.release()

    def shed(self, name: bytes, sender: Sender) -> HttpResponseBase:
        with self.lock:
            sender = self.senders.get(name, sender)
            sender.shed += 1
        response = problems.respond("rate-limited", 429, DETAIL, retry_after=1)
        for header, value in sender.limits.items():
            response[header] = value
        return response

    def let_through(self, name: bytes) -> bool:
        """Have one request judged; what was refused here before it is told to the sum.

        Whether its sender is known, and it counts among those that are tried.
        """
        with self.lock:
            sender = self.senders.get(name)
            if sender is None:
                return False
            untold, sender.told = sender.shed - sender.told, sender.shed
            sender.tried += 1
        if untold and sender.is_over_budget:  # else it would count what was no refusal of a budget
            shed_in_front(sender.agent, untold)
        return True

    def judged(self, name: bytes, is_refused: bool) -> None:
        with self.lock:
            if sender := self.senders.get(name):
                sender.tried = max(0, sender.tried - 1)
                sender.most_tried = 1 if is_refused else min(2 * sender.most_tried, MOST_TRIED)

    def remember(self, name: bytes, second: int, agent: str, response: HttpResponseBase) -> None:
        until_free = getattr(response, "seconds_until_free", math.inf)
        with self.lock:
            sender = self.senders.get(name)
            if sender is None or sender.second != second:
                if len(self.senders) >= MOST_SENDERS:
                    self.senders.clear()
                goes_on = sender is not None and sender.is_flood and second - sender.second == 1
                untold = sender.shed - sender.told if sender else 0
                tried = sender.tried if sender else 0
                sender = Sender(second, agent, goes_on, told=-untold, tried=tried)
                self.senders[name] = sender
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
