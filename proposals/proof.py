"""What the ledger proves about the product's own rows: heads, statuses and contents."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ledger import verify
from ledger.canonical import digest
from ledger.models import LedgerEntry
from ledger.verify import Head, Problem
from proposals.lifecycle import Status
from proposals.models import Proposal, Revision

BATCH = 500
STATUS_KINDS = [f"proposal.{status.value}" for status in Status]


def register() -> None:
    """Have `verify_ledger` compare this app's rows with the ledger."""
    verify.register_heads(heads)
    verify.register_facts(statuses)
    verify.register_facts(contents)


def heads() -> Iterable[Head]:
    """The head that each proposal keeps of its stream."""
    rows = Proposal.objects.order_by("pk").values_list("pk", "ledger_number", "ledger_hash")
    for pk, number, head in rows.iterator(chunk_size=BATCH):
        yield f"proposal:{pk}", number, head


def statuses() -> Iterator[Problem]:
    """Proposals whose status is not the one that their ledger ends in."""
    rows = Proposal.objects.order_by("pk").values_list("pk", "status").iterator(chunk_size=BATCH)
    for batch in batches(rows):
        said = latest([f"proposal:{pk}" for pk, _ in batch])
        for pk, status in batch:
            stream = f"proposal:{pk}"
            number, entry, kind = said.get(stream, (0, None, "nothing"))
            if kind != f"proposal.{status}":
                yield Problem(stream, number, entry, f"the row says {status}, the ledger {kind}")


def latest(streams: list[str]) -> dict[str, tuple[int, int | None, str]]:
    """The last entry about a status in each stream: number, id, kind."""
    found = LedgerEntry.objects.filter(stream__in=streams, kind__in=STATUS_KINDS)
    ordered = found.order_by("stream", "number").values_list("stream", "number", "id", "kind")
    return {stream: (number, entry, kind) for stream, number, entry, kind in ordered}


def contents() -> Iterator[Problem]:
    """Revisions whose content is not what the ledger committed to when they were stored."""
    rows = (
        Revision.objects.order_by("pk")
        .select_related("proposal")
        .prefetch_related("evidence")
        .iterator(chunk_size=BATCH)
    )
    for batch in batches(rows):
        said = commitments([revision.proposal.stream for revision in batch])
        for revision in batch:
            stream = revision.proposal.stream
            number, entry, commitment = said.get((stream, revision.number), (0, None, ""))
            if commitment != recomputed(revision):
                why = f"revision {revision.number} is not the content that was recorded"
                yield Problem(stream, number, entry, why)


def commitments(streams: list[str]) -> dict[tuple[str, int], tuple[int, int | None, str]]:
    """By stream and revision: number and id of its entry, and the commitment recorded there."""
    found = LedgerEntry.objects.filter(stream__in=streams, kind="proposal.submitted")
    ordered = found.order_by("stream", "number").values_list("stream", "number", "id", "canonical")
    result: dict[tuple[str, int], tuple[int, int | None, str]] = {}
    for stream, number, entry, canonical in ordered:
        body = json.loads(bytes(canonical))["body"]
        if "content" in body:
            result[stream, body["revision"]] = (number, entry, body["content"])
    return result


def recomputed(revision: Revision) -> str:
    """The commitment that the stored content has now, evidence included."""
    evidence = sorted(revision.evidence.all(), key=lambda item: item.position)
    parts = [
        salted("evidence/v1", item.salt, [item.kind, item.title, item.content, item.uri])
        for item in evidence
    ]
    whole = [
        revision.proposal.action,
        revision.params,
        revision.rationale,
        revision.context,
        parts,
    ]
    return salted("revision/v1", revision.salt, whole)


@dataclass(frozen=True)
class Said:
    """The last that the ledger of a proposal says of its content, and of a check of it."""

    revision: int = 0
    content: str = ""
    evidence: tuple[str, ...] = ()
    checked: tuple[int, int, str] | None = None  # round, revision, digest
    effect: str = ""
    approvals: int = 0
    groups: tuple[str, ...] | None = None  # None for an entry of before groups were in it


def said_of(proposal: Proposal) -> Said:
    """Read it, in one statement. Of an entry that cannot be read, nothing was said."""
    kinds = ["proposal.submitted", "proposal.checked"]
    found = LedgerEntry.objects.filter(stream=proposal.stream, kind__in=kinds)
    bodies: dict[str, dict[str, Any]] = {}
    for kind, canonical in found.order_by("number").values_list("kind", "canonical"):
        body = readable(canonical)
        if kind == "proposal.checked" or "content" in body or not body:
            bodies[kind] = body
    content, check = (bodies.get(kind, {}) for kind in kinds)
    return Said(
        revision=content.get("revision", 0),
        content=content.get("content", ""),
        evidence=tuple(content.get("evidence", ())),
        checked=(check["round"], check["revision"], check["digest"]) if check else None,
        effect=check.get("effect", ""),
        approvals=check.get("approvals", 0),
        groups=tuple(check["groups"]) if "groups" in check else None,
    )


def readable(canonical: Any) -> dict[str, Any]:
    try:
        body = json.loads(bytes(canonical))["body"]
    except (ValueError, KeyError, TypeError):
        return {}
    return body if isinstance(body, dict) else {}


def is_as_recorded(proposal: Proposal, revision: Revision, said: Said) -> bool:
    """Whether this is the last content that the ledger committed to, unchanged.

    Evidence counts by its recorded commitment, so that erasing some of it changes nothing here.
    """
    whole = [
        proposal.action,
        revision.params,
        revision.rationale,
        revision.context,
        list(said.evidence),
    ]
    again = salted("revision/v1", revision.salt, whole)
    return revision.number == said.revision and again == said.content


def salted(domain: str, salt: Any, value: Any) -> str:
    return digest([domain, bytes(salt).hex(), value])


def batches(rows: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, BATCH)):
        yield batch
