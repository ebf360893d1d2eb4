"""Storing what is asked: a proposal, its revisions, and what the agent knew."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection

from ledger import clock, entries
from ledger.canonical import canonical, digest
from proposals import bell, crashpoints, observing, spending, text
from proposals.deadlines import lifetime
from proposals.lifecycle import Status, transition
from proposals.models import Agent, Evidence, Proposal, Revision
from proposals.registry import registry


def store(
    proposal: Proposal,
    author: str,
    author_name: str,
    params: dict[str, Any],
    rationale: str,
    evidence: list[dict[str, Any]],
    context: dict[str, str],
    facts: dict[str, Any],
) -> None:
    """Store a new proposal: content, reservations, first ledger entry; and ring. Raises OverBudget.

    It counts against budgets at the very moment that the ledger says, so that the ledger alone can
    show that no cap was exceeded. The scopes are locked late, because everybody waits for them.
    """
    now = clock.now()
    proposal.is_observed = observing.is_due(proposal)
    if proposal.is_observed:
        facts = facts | {"observed": True}
    revision, items = content(proposal, 1, author, params, rationale, evidence, context, now)
    revision.save()
    Evidence.objects.bulk_create(attached(revision, items))
    proposal.standings = spending.reserve(proposal, params)
    now = proposal.standings[0].counted_at if proposal.standings else now
    proposal.created_at = proposal.updated_at = proposal.due_at = now
    proposal.expires_at = now + lifetime(proposal, proposal.tier)
    entries.append(
        chain=proposal,
        kind="proposal.submitted",
        actor=author,
        actor_name=author_name,
        at=now,
        body=described(proposal, revision, items) | facts,
        **proposal.look_ups(),
    )
    proposal.save(force_insert=True)
    bell.ring_check(proposal.pk)
    crashpoints.reach("submit.stored")


def revise(
    proposal: Proposal,
    author: str,
    author_name: str,
    params: dict[str, Any],
    rationale: str,
    evidence: list[dict[str, Any]],
    context: dict[str, str],
    facts: dict[str, Any] | None = None,
) -> Revision:
    """Store the next revision of a locked proposal and send it to be checked anew."""
    now = clock.now()
    number = proposal.revision_number + 1
    revision, items = content(proposal, number, author, params, rationale, evidence, context, now)
    revision.save()
    Evidence.objects.bulk_create(attached(revision, items))
    action = registry.get(proposal.action)
    changes: dict[str, Any] = {
        "revision_number": number,
        "resource": action.resource(params)[:255],
        "reason": "",
        "rechecks": 0,
        "has_moved": False,
        "current_check": None,
    }
    if proposal.agent is not None and proposal.compensates_id is None:
        intent = intent_of(proposal.agent, proposal.action, params)
        if intent != proposal.intent:  # or an amendment could turn into what was asked already
            earlier = same_intent(proposal.agent, intent, now)
            changes |= {"intent": intent, "duplicate_of": earlier}
    transition(
        proposal,
        Status.SUBMITTED,
        actor=author,
        actor_name=author_name,
        at=now,
        body=described(proposal, revision, items) | {"amended": True} | (facts or {}),
        **changes,
    )
    bell.ring_check(proposal.pk)
    return revision


def content(
    proposal: Proposal,
    number: int,
    author: str,
    params: dict[str, Any],
    rationale: str,
    evidence: list[dict[str, Any]],
    context: dict[str, str],
    now: datetime,
) -> tuple[Revision, list[Evidence]]:
    """A revision and its evidence, each with its salted commitment, not yet stored."""
    items = [
        Evidence(
            position=position,
            kind=item["kind"],
            title=item["title"],
            content=item.get("content"),
            uri=item.get("uri") or "",
            retrieved_at=item.get("retrieved_at"),
            **committed(
                "evidence/v1",
                [item["kind"], item["title"], item.get("content"), item.get("uri") or ""],
            ),
        )
        for position, item in enumerate(evidence, start=1)
    ]
    whole = [proposal.action, params, rationale, context, [item.commitment for item in items]]
    revision = Revision(
        proposal=proposal,
        number=number,
        author=author,
        params=params,
        rationale=rationale,
        context=context,
        created_at=now,
        **committed("revision/v1", whole),
    )
    return revision, items


def committed(domain: str, value: Any) -> dict[str, Any]:
    """A fresh salt, and the hash of value and salt: erasing the value later breaks no proof."""
    salt = secrets.token_bytes(16)
    return {"salt": salt, "commitment": digest([domain, salt.hex(), value])}


def attached(revision: Revision, items: list[Evidence]) -> list[Evidence]:
    for item in items:
        item.revision = revision
    return items


def kept_evidence(revision: Revision) -> list[dict[str, Any]]:
    """The evidence of a revision, for the next one that brings none of its own."""
    items = revision.evidence.order_by("position")
    return [dict(item) for item in items.values("kind", "title", "content", "uri", "retrieved_at")]


def described(proposal: Proposal, revision: Revision, items: list[Evidence]) -> dict[str, Any]:
    """What the ledger says of a revision: names and hashes, never the agent's words."""
    hidden = text.alarming([revision.params, revision.rationale, revision.context])
    return {
        "action": proposal.action,
        "revision": revision.number,
        "content": revision.commitment,
        "evidence": [item.commitment for item in items],
        **({"hidden_characters": hidden[:10]} if hidden else {}),
    }


def intent_of(agent: Agent, action: str, params: dict[str, Any]) -> str:
    """Names what is to be done, whatever the key, run or words: finds duplicates."""
    return hashlib.sha256(canonical([str(agent.pk), action, params])).hexdigest()


def same_intent(agent: Agent, intent: str, now: datetime) -> Proposal | None:
    """A proposal for the same thing that moved not long ago, and did not end without a write.

    When it was proposed says nothing: it may have been amended into this an hour ago, or written
    then. Each move sets `updated_at`, in whose order the index has them.

    Until this transaction ends nobody else looks for the same: of two that come at once, each would
    find nothing, and both would be written (promises P7).
    """
    look_alone(intent)
    since = now - timedelta(hours=settings.DUPLICATE_WINDOW_HOURS)
    return (
        Proposal.objects.of(agent)
        .filter(intent=intent, updated_at__gt=since, is_undone=False)
        .exclude(status__in=[Status.WITHDRAWN, Status.REJECTED, Status.DENIED, Status.EXPIRED])
        .order_by("updated_at")
        .first()
    )


def look_alone(intent: str) -> None:
    """Wait for whoever looks for this intent. SQLite has one writer anyway."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            number = int.from_bytes(bytes.fromhex(intent)[:8], signed=True)
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [number])
