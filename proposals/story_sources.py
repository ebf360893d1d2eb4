"""What a story is told from, and what it is made of; with its beginning and its proof."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.urls import reverse

from ledger.models import LedgerEntry
from ledger.proving import StreamProof, prove
from ledger.readonly_admin import precise
from proposals import asides, authors, bound, checks, narrative, seats
from proposals.exceptions import NotFound
from proposals.lifecycle import Status
from proposals.models import Check, Execution, Proposal, Review, Revision, Rule

ENDS = {f"proposal.{status}" for status in Status} - {"proposal.submitted", "proposal.pending"}
RESTS_ON = ENDS | {"proposal.checked", "proposal.reviewed"}
NOT_VERIFIED = "Written by the agent, not verified"
MOST_OF_A_RUN = 50
LONGEST_VALUE = 2000


@dataclass(frozen=True)
class Link:
    """Words that lead somewhere; a terminal shows the words."""

    text: str
    url: str


Cell = str | Link


@dataclass(frozen=True)
class Table:
    caption: str
    head: tuple[str, ...]
    rows: list[tuple[Cell, ...]]


@dataclass
class Section:
    """One part of the story, with an anchor to link to."""

    key: str
    title: str
    paragraphs: list[str] = field(default_factory=list)
    facts: list[tuple[str, Cell]] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


@dataclass
class Story:
    """A proposal explained. `is_intact` is what the proof found just now."""

    proposal: Proposal
    sentence: str
    sections: list[Section]
    is_intact: bool
    check: Check | None = None  # the one that was decided on last


@dataclass
class Sources:
    """The rows and entries that a story is told from, read once."""

    proposal: Proposal
    entries: list[tuple[LedgerEntry, dict[str, Any]]]
    unreadable: list[int]
    check: Check | None
    revision: Revision
    reviews: list[Review]
    executions: list[Execution]
    proof: StreamProof


def gather(proposal_id: UUID) -> Sources:
    related = ("agent__owner", "run", "proposer", "current_check__revision", "compensates")
    proposal = Proposal.objects.select_related(*related).filter(pk=proposal_id).first()
    if proposal is None:
        raise NotFound
    entries, unreadable = [], []
    for entry in LedgerEntry.objects.filter(stream=proposal.stream).order_by("number"):
        try:
            body = entry.body
        except (ValueError, KeyError, TypeError):  # tampered with; the proof says so
            body = {}
            unreadable.append(entry.pk)
        entries.append((entry, body))
    last = proposal.executions.select_related("of_check__revision").order_by("attempt")
    executions = list(last)
    check = proposal.current_check or (executions[-1].of_check if executions else None)
    return Sources(
        proposal=proposal,
        entries=entries,
        unreadable=unreadable,
        check=check,
        revision=check.revision if check else proposal.revision(),
        reviews=list(
            proposal.reviews.select_related("reviewer", "on_check", "resolution").order_by("id")
        ),
        executions=executions,
        proof=prove(proposal.stream, (proposal.ledger_number, bytes(proposal.ledger_hash))),
    )


def sentence_of(source: Sources) -> str:
    if source.check:
        return source.check.sentence
    return checks.sentence(source.proposal.action, source.revision.params)


# 1. Summary


def summary(source: Sources) -> Section:
    proposal = source.proposal
    asked = f"{proposer(proposal)} asked for this: {sentence_of(source)}."
    rests = [entry.pk for entry, _ in source.entries if entry.kind in RESTS_ON]
    first = [entry.pk for entry, _ in source.entries[:1]]
    numbers = ", ".join(str(pk) for pk in [*first, *rests])
    outcome = proposal.get_status_display()
    if proposal.is_undone:
        outcome += ", then undone"
    elif proposal.taken_back:
        outcome += ", then partly undone"
    return Section(
        key="summary",
        title="Summary",
        paragraphs=[
            f"{asked} {decided(source)} {outcome}.",
            f"This rests on ledger entries {numbers or 'none'}.",
        ],
        facts=[
            ("Outcome", outcome),
            ("Proposal", Link(str(proposal.pk), reverse("proposal", args=[proposal.pk]))),
            ("Tier", proposal.tier or "not yet known"),
            ("Object", proposal.resource),
            ("Action", proposal.action),
            ("Revision", str(proposal.revision_number)),
            ("Run", proposal.run.name if proposal.run else "none"),
        ],
    )


def proposer(proposal: Proposal) -> str:
    if proposal.proposer is not None:
        return proposal.proposer.get_full_name() or proposal.proposer.get_username()
    return f"The agent {proposal.agent.name}" if proposal.agent else "Nobody known"


def decided(source: Sources) -> str:
    """Who or what let it through, or kept it from happening."""
    kinds = {entry.kind: body for entry, body in source.entries}
    approvers = [one.reviewer_name for one in filled(source)]
    if "proposal.denied" in kinds:
        return "It was refused without a person."
    if kinds.get("proposal.approved", {}).get("by") == "policy":
        return "The rules let it through; no person decided."
    if approvers:
        return f"Approved by {' and '.join(approvers)}."
    decisions = [one for one in source.reviews if one.decision == Review.Decision.REJECT]
    if decisions:
        return f"Rejected by {decisions[-1].reviewer_name}."
    return "Nobody has approved it."


def filled(source: Sources) -> list[Review]:
    """The approvals of what was last checked, in the order in which they were given."""
    digest = source.check.digest if source.check else ""
    taken_back = {one.takes_back_id for one in source.reviews}
    return [
        one
        for one in source.reviews
        if one.digest == digest
        and one.decision == Review.Decision.APPROVE
        and one.pk not in taken_back
    ]


# 2. What happened


def told(source: Sources) -> Section:
    rows: list[tuple[Cell, ...]] = []
    start = source.entries[0][0].at if source.entries else None
    ends = asides.told(source.entries)
    for entry, body in source.entries:
        words = narrative.sentence(entry, body, ends.get(entry.number, ""))
        if entry.pk in source.unreadable:
            words = f"{entry.kind}: its bytes cannot be read; see the proof."
        rows.append(
            (
                precise(entry.at),
                elapsed(start, entry.at),
                entry_link(entry.pk, str(entry.pk)),
                bytes(entry.hash).hex()[:12],
                words,
            )
        )
    head = ("Time (UTC)", "Elapsed", "Entry", "Hash", "What happened")
    return Section("narrative", "What happened", tables=[Table("Every event in order", head, rows)])


def elapsed(start: datetime | None, at: datetime) -> str:
    """Since the proposal began: +3 m 12 s."""
    seconds = (at - start).total_seconds() if start else 0.0
    if seconds < 60:
        return f"+{seconds:.3f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"+{hours} h {minutes} m {rest} s" if hours else f"+{minutes} m {rest} s"


def entry_link(pk: int, words: str) -> Link:
    return Link(words, reverse("admin:ledger_ledgerentry_change", args=[pk]))


# 10. Proof


def proved(source: Sources) -> Section:
    proof = source.proof
    rows: list[tuple[Cell, ...]] = [
        (
            entry_link(each.entry, str(each.entry)),
            str(each.number),
            each.hash,
            each.previous or "the first",
            "not yet" if each.leaf is None else str(each.leaf),
            each.fault or "holds",
        )
        for each in proof.entries
    ]
    return Section(
        key="proof",
        title="Proof",
        paragraphs=[
            f"Verified at {precise(proof.at)}. {proof.result}",
            "Not checked here: other streams, and whether the checkpoint is the newest there ever "
            "was. That is what verify_ledger does, with a key and a checkpoint kept elsewhere.",
        ],
        tables=[
            Table(
                "The entries of this proposal",
                ("Entry", "Number", "Hash", "Previous hash", "Sealed at", "Found"),
                rows,
            )
        ],
    )


def value(found: Any) -> str:
    """A JSON value on one line, short enough to print."""
    if isinstance(found, str):
        text = found
    else:
        text = json.dumps(found, ensure_ascii=False, sort_keys=True, default=str)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}… ({len(text):,} in all)"


def is_as_approved(source: Sources) -> bool:
    """Whether the stored check still has the digest that people approved."""
    check = source.check
    if check is None:
        return False
    return bound.is_its_digest(source.proposal, check)


def independence(source: Sources, review: Review) -> str:
    """Why this reviewer was independent, as the rows say today."""
    against = seats.dependence(review.reviewer, source.proposal)
    against = against or authors.objection(review.reviewer, review.on_check)
    if against:
        return f"Today this would be refused: {against}"
    if authors.has_written(review.reviewer, review.on_check.revision):
        return (
            "Wrote these values too, which low and medium tier allow: author and reviewer are one."
        )
    owner = source.proposal.agent.owner.get_username() if source.proposal.agent else "nobody"
    return (
        f"Neither owns the agent ({owner} does), nor issued its token, nor proposed it, nor wrote "
        "the revision."
    )


def rule_texts(check: Check) -> dict[tuple[str, int], Any]:
    """The rules of a trace as they stood at their versions, by rule and version."""
    wanted = {str(line["rule_id"]) for line in check.trace}
    stored = Rule.history.filter(id__in=[key for key in wanted if key.isdigit()])
    return {(str(row.id), row.version): row for row in stored.select_related("history_user")}
