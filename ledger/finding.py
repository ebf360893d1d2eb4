"""Which entries somebody asks for: filters of fixed choices and exact values, and one search.

Each is one look-up along an index. What would have to read the whole ledger is answered by a hint.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import BooleanField, Exists, OuterRef, QuerySet
from django.db.models.expressions import RawSQL

from ledger import clock, kinds
from ledger.canonical import digest
from ledger.chain import moment
from ledger.models import Broken, LedgerEntry, Mention
from ledger.readonly_admin import precise, utc

DEFAULT_DAYS = 7
REASON_DAYS = 90
SHORTEST_DIGEST = 6
MOST_DIGESTS = 1000
PREFIXES = (
    "entry",
    "proposal",
    "object",
    "agent",
    "actor",
    "kind",
    "run",
    "key",
    "request",
    "digest",
    "stream",
    "reason",
)
HINT = (
    "Search for an entry number, an id, a digest, an e-mail address or an object like orders/42; "
    "or say what it is: "
    + " ".join(f"{prefix}:" for prefix in PREFIXES)
    + f" followed by the exact value. digest: takes the first {SHORTEST_DIGEST} digits or more, "
    f"reason: takes words and a window of at most {REASON_DAYS} days."
)
BAD_TIME = "A time looks like 2026-11-22 09:30, in UTC."
WHOLE_TIME = "all"
TIMES = {"start": "from", "end": "before"}
TIME_LABELS = {"at_from": "From", "at_to": "Before"}
BROKEN = "broken"  # the flag that is not the entry's own: what the clock found of it
HEX = frozenset("0123456789abcdef")


class BadFilter(ValueError):
    """A filter that cannot be meant; the text says what would be right."""


@dataclass(frozen=True)
class Filters:
    """What is asked for. Empty means: not narrowed by this."""

    q: str = ""
    start: datetime | None = None
    end: datetime | None = None
    is_default_window: bool = False
    event: str = ""
    outcome: str = ""
    tier: str = ""
    origin: str = ""
    flag: str = ""
    agent: str = ""
    actor: str = ""
    action: str = ""
    object: str = ""

    @classmethod
    def parse(cls, given: Mapping[str, str], now: datetime) -> "Filters":
        """Raises BadFilter, naming what is wrong.

        Without a time and without an exact search, it is the last seven days.
        """
        named: dict[str, Any] = {
            name: given.get(name, "").strip() for name in (*CHOICES, *EXACT, "q")
        }
        for name, choices in CHOICES.items():
            if named[name] and named[name] not in choices:
                raise BadFilter(f"There is no {name} named like that; choose one of the list.")
        asked = cls(**named, start=_time(given, "at_from"), end=_time(given, "at_to"))
        if asked.start and asked.end and asked.end <= asked.start:
            raise BadFilter(
                f"No time is from {precise(asked.start)} and before {precise(asked.end)}: Before "
                "must be later than From."
            )
        is_windowed = asked.start or asked.end or given.get("at") == WHOLE_TIME
        is_exact = asked.q and not asked.q.lower().startswith("reason:")
        if is_windowed or is_exact:
            return asked
        return replace(asked, start=now - timedelta(days=DEFAULT_DAYS), is_default_window=True)

    def words(self) -> dict[str, str]:
        """Each part that narrows, in words, by the name of its input."""
        told = {name: getattr(self, name) for name in (*CHOICES, *EXACT, "q")}
        for name, choices in CHOICES.items():
            told[name] = choices.get(told[name], "")
        found = {name: f"{LABELS[name]}: {value}" for name, value in told.items() if value}
        if self.is_default_window:
            found["at"] = f"Last {DEFAULT_DAYS} days"
        else:
            if self.start:
                found["at_from"] = f"From {precise(self.start)}"
            if self.end:
                found["at_to"] = f"Before {precise(self.end)}"
        return found

    def as_json(self) -> dict[str, str]:
        """The filters as a manifest states them; the default window as the moment that it means."""
        found = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in ("start", "end", "is_default_window")
        }
        found["from"] = moment(self.start) if self.start else ""
        found["before"] = moment(self.end) if self.end else ""
        return {name: value for name, value in found.items() if value}

    @classmethod
    def from_json(cls, stated: Mapping[str, str]) -> "Filters":
        """The filters that `as_json` stated, with the window that was meant then."""
        given: dict[str, Any] = dict(stated)
        times: dict[str, Any] = {name: utc(given.pop(key, "")) for name, key in TIMES.items()}
        return cls(**given, **times)

    @property
    def key(self) -> str:
        """The same for the same filters; the last seven days are the same on every day."""
        stated = self.as_json()
        if self.is_default_window:
            stated["from"] = f"{DEFAULT_DAYS} days ago"
        return digest(stated)

    def apply(self, entries: QuerySet) -> QuerySet:
        """Everything but the search, as ranges of one index each."""
        tests: dict[str, Any] = {}
        if self.start:
            tests["facet__at__gte"] = self.start
        if self.end:
            tests["facet__at__lt"] = self.end
        if self.flag == BROKEN:
            known = Broken.objects.filter(entry_id=OuterRef("facet__entry_id"))
            entries = entries.filter(Exists(known))
        elif self.flag:
            tests["facet__flag"] = self.flag
        for name in ("tier", "origin", "action"):
            if value := getattr(self, name):
                tests[f"facet__{name}"] = value
        for kind in filter(None, (self.event, self.outcome)):
            entries = entries.filter(facet__kind=kind)
        if self.agent:
            entries = of_agent(entries, self.agent)
        if self.actor:
            entries = of_actor(entries, self.actor)
        if self.object:
            entries = mentioning(entries, "object", self.object)
        return entries.filter(**tests)

    @property
    def days(self) -> float:
        """How long the window is; without a beginning, for ever."""
        if self.start is None:
            return float("inf")
        return ((self.end or clock.now()) - self.start) / timedelta(days=1)


CHOICES: dict[str, dict[str, str]] = {
    "event": {kind: kind for group in kinds.KINDS.values() for kind in group},
    "outcome": kinds.OUTCOMES,
    "tier": {name: name for name in kinds.TIERS},
    "origin": kinds.ORIGINS,
    "flag": kinds.FLAGS,
}
EXACT = ("agent", "actor", "action", "object")
LABELS = {
    "event": "Event",
    "outcome": "Outcome",
    "tier": "Tier",
    "origin": "Came by",
    "flag": "Flag",
    "agent": "Agent",
    "actor": "Actor",
    "action": "Action",
    "object": "Object",
    "q": "Search",
}
NAMES = ("at", "at_from", "at_to", *CHOICES, *EXACT)


def listed() -> QuerySet:
    """Entries as lists show them: with their facets, in the one order that every index has."""
    entries = LedgerEntry.objects.select_related("facet").filter(facet__isnull=False)
    return entries.defer("canonical", "previous").order_by("-facet__at", "-facet__entry_id")


def search(entries: QuerySet, term: str, days: float) -> QuerySet | None:
    """One exact look-up, by prefix or by the shape of the term; None where a hint is due."""
    prefix, colon, rest = term.partition(":")
    name, value = (prefix.lower(), rest.strip()) if colon else ("", term)
    if name in SEARCHES:
        return SEARCHES[name](entries, value) if value else None
    if name == "reason":
        return by_words(entries, value) if value and days <= REASON_DAYS else None
    return by_shape(entries, term)


def by_shape(entries: QuerySet, term: str) -> QuerySet | None:
    """What a bare term can be: a number, an id, a digest, an address, an actor, an object."""
    if term.isascii() and term.isdigit():
        return by_number(entries, term)
    if term.startswith(("user:", "system:", "agent:")) or "@" in term:
        return of_actor(entries, term)
    if (key := _uuid(term)) is not None:
        of_proposal = entries.filter(proposal=key)
        return of_proposal if of_proposal.exists() else entries.filter(facet__agent=key)
    if len(term.removeprefix("sha256:")) >= 8 and _is_hex(term):
        return by_digest(entries, term)
    return mentioning(entries, "object", term) if "/" in term else None


def by_number(entries: QuerySet, value: str) -> QuerySet | None:
    if value.isascii() and value.isdigit() and len(value) < 19:
        return entries.filter(pk=int(value))
    return None


def by_digest(entries: QuerySet, value: str) -> QuerySet | None:
    """Entries that state a digest, or have a hash, that begins like this."""
    start = value.lower().removeprefix("sha256:")
    if len(start) < SHORTEST_DIGEST or not _is_hex(start):
        return None
    stating = Mention.objects.filter(name="digest", value__gte=start, value__lt=f"{start}g")
    found = set(stating.values_list("entry_id", flat=True)[:MOST_DIGESTS])
    low, high = bytes.fromhex(start.ljust(64, "0")), bytes.fromhex(start.ljust(64, "f"))
    hashed = LedgerEntry.objects.filter(hash__gte=low, hash__lte=high)
    found |= set(hashed.values_list("pk", flat=True)[:MOST_DIGESTS])
    return entries.filter(pk__in=sorted(found))


def by_words(entries: QuerySet, value: str) -> QuerySet:
    """Entries whose reason has all these words; on SQLite, this piece of text."""
    if connection.vendor != "postgresql":
        return entries.filter(facet__reason__icontains=value)
    has_words = RawSQL(
        "ledger_facet.reason <> '' "
        "AND ledger_facet.words @@ plainto_tsquery('simple'::regconfig, %s)",
        [value],
        output_field=BooleanField(),
    )
    return entries.filter(has_words)


def of_agent(entries: QuerySet, value: str) -> QuerySet:
    """By id, or by the name under which the ledger saw it made."""
    if (key := _uuid(value)) is None:
        made = Mention.objects.filter(name="name", value=value).values_list("entry__stream")
        key = next((stream.removeprefix("agent:") for (stream,) in made[:1]), "none")
    return entries.filter(facet__agent=key)


def of_actor(entries: QuerySet, value: str) -> QuerySet:
    """As the ledger writes actors, or by a person's address or user name."""
    if ":" in value:
        return entries.filter(facet__actor=value)
    named = {"email" if "@" in value else "username": value}
    people = get_user_model().objects.filter(**named).values_list("pk", flat=True)[:20]
    return entries.filter(facet__actor__in=[f"user:{pk}" for pk in people])


def mentioning(entries: QuerySet, name: str, value: str) -> QuerySet:
    """Both parts of the order of lists are compared, so that the mentions can be walked in it."""
    same = {"at": OuterRef("facet__at"), "entry_id": OuterRef("facet__entry_id")}
    return entries.filter(Exists(Mention.objects.filter(name=name, value=value, **same)))


SEARCHES: dict[str, Any] = {
    "entry": by_number,
    "proposal": lambda entries, value: entries.filter(proposal=_uuid(value) or value),
    "object": lambda entries, value: mentioning(entries, "object", value),
    "agent": of_agent,
    "actor": of_actor,
    "kind": lambda entries, value: entries.filter(facet__kind=value),
    "run": lambda entries, value: entries.filter(run=value),
    "key": lambda entries, value: mentioning(entries, "key", value),
    "request": lambda entries, value: mentioning(entries, "request", value),
    "digest": by_digest,
    "stream": lambda entries, value: entries.filter(stream=value),
}


def _uuid(value: str) -> str | None:
    try:
        return str(UUID(value))
    except ValueError:
        return None


def _is_hex(value: str) -> bool:
    return set(value.lower().removeprefix("sha256:")) <= HEX


def _time(given: Mapping[str, str], name: str) -> datetime | None:
    text = given.get(name, "").strip()
    found = utc(text) if text else None
    if text and found is None:
        raise BadFilter(f"{TIME_LABELS[name]} is no time. {BAD_TIME}")
    return found
