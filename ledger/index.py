"""How entries are found: facets to filter by, and mentions of objects, digests and keys.

Both are derived. They are written in the transaction of the entry, and can be made anew from the
entries at any time, so nothing here is evidence and nothing is proved from it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from django.db import connection, transaction

from ledger import days
from ledger.models import Facet, LedgerEntry, Mention

BATCH = 2000
QUICK_SECONDS = 10
CARRIED = ("tier", "action", "revision")  # what an entry says holds for those after it
FACETS = (
    "entry_id",
    "at",
    "kind",
    "actor",
    "origin",
    "agent",
    "action",
    "tier",
    "flag",
    "revision",
    "reason",
)
ORIGINS = {"agent": "agent", "user": "person", "system:clock": "clock", "system:sealer": "clock"}
COMMANDS = ("system:operator", "system:demonstration")
INSERT_FACET = (
    f"INSERT INTO ledger_facet ({', '.join(FACETS)}) VALUES ({', '.join(['%s'] * len(FACETS))})"
)
INSERT_MENTION = "INSERT INTO ledger_mention (name, value, at, entry_id) VALUES "


def add(entry: LedgerEntry, body: dict[str, Any], said: dict[str, Any]) -> None:
    """Index a new entry in two statements, whatever it mentions."""
    values: list[Any] = list(facets(entry, body, said).values())
    values[1] = connection.ops.adapt_datetimefield_value(entry.at)
    found = mentions(entry, body)
    with connection.cursor() as cursor:
        cursor.execute(INSERT_FACET, values)
        if found:
            places = ", ".join(["(%s, %s, %s, %s)"] * len(found))
            rows = [part for name, value in found for part in (name, value, values[1], entry.pk)]
            cursor.execute(INSERT_MENTION + places, rows)


def facets(entry: LedgerEntry, body: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """The facets of an entry: its own words first, else what its stream said before."""
    revision = body.get("revision", said.get("revision"))
    return {
        "entry_id": entry.pk,
        "at": entry.at,
        "kind": entry.kind,
        "actor": entry.actor,
        "origin": origin(entry.actor),
        "agent": entry.agent,
        "action": _text(body.get("action") or said.get("action"), 128),
        "tier": _text(body.get("tier") or said.get("tier"), 10),
        "flag": flag(entry.kind, body),
        "revision": revision if isinstance(revision, int) else None,
        "reason": _text(body.get("reason"), 2000),
    }


def origin(actor: str) -> str:
    """By which way it came: an agent's call, a person's page, a worker, the clock, a command."""
    if actor in COMMANDS:
        return "command"
    return ORIGINS.get(actor) or ORIGINS.get(actor.partition(":")[0], "worker")


def flag(kind: str, body: dict[str, Any]) -> str:
    """The one of auditors' usual questions that this entry answers with yes, if any."""
    if kind == "proposal.undone":
        return "undone"
    if kind == "proposal.unknown":
        return "unknown"
    if kind == "proposal.approved" and body.get("by") == "policy":
        return "no_human"
    if body.get("decision") == "approve" and body.get("seconds", QUICK_SECONDS) < QUICK_SECONDS:
        return "quick"
    return "hidden" if body.get("hidden_characters") else ""


def mentions(entry: LedgerEntry, body: dict[str, Any]) -> list[tuple[str, str]]:
    """What an entry names, each once: objects, digests, keys; and agents when they are made.

    An event that touched more objects than the one of its column lists them in its body.
    """
    found = [("object", name) for name in (entry.object, *_listed(body.get("objects")))]
    for value in body.values():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str) and one.startswith("sha256:"):
                found.append(("digest", one.removeprefix("sha256:")))
    found += [(name, body[name]) for name in ("key", "request") if isinstance(body.get(name), str)]
    if entry.kind == "agent.created" and isinstance(body.get("name"), str):
        found.append(("name", body["name"]))
    return list(dict.fromkeys((name, value[:500]) for name, value in found if value))


@transaction.atomic
def rebuild() -> int:
    """Make every facet and mention anew, while writers go on. Returns the number of entries.

    The days are counted anew from them, by the clock.
    """
    Facet.objects.all().delete()
    Mention.objects.all().delete()
    rows = LedgerEntry.objects.order_by("stream", "number").iterator(chunk_size=BATCH)
    walk, count = _Walk(), 0
    while batch := list(islice(rows, BATCH)):
        count += len(batch)
        made: list[Facet] = []
        named: list[Mention] = []
        for entry in batch:
            for row in walk.index(entry):
                (made if isinstance(row, Facet) else named).append(row)  # type: ignore[arg-type]
        Facet.objects.bulk_create(made, ignore_conflicts=True)
        Mention.objects.bulk_create(named, ignore_conflicts=True, batch_size=BATCH)
    days.forget()
    return count


@dataclass
class _Walk:
    """Entries stream by stream, remembering what each stream said."""

    stream: str = ""
    said: dict[str, Any] = field(default_factory=dict)

    def index(self, entry: LedgerEntry) -> Iterator[Facet | Mention]:
        if entry.stream != self.stream:
            self.stream, self.said = entry.stream, {}
        try:
            body = entry.body
        except (ValueError, KeyError):  # tampered with: `verify_ledger` says so, lists go on
            body = {}
        found = facets(entry, body, self.said)
        self.said = {name: found[name] for name in CARRIED}
        yield Facet(**found)
        for name, value in mentions(entry, body):
            yield Mention(name=name, value=value, at=entry.at, entry_id=entry.pk)


def _text(value: Any, limit: int) -> str:
    return value.replace("\0", "")[:limit] if isinstance(value, str) else ""


def _listed(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
