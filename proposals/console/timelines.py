"""The timeline of a proposal: its entries of the ledger, as sentences. Reads; never decides."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ledger.models import LedgerEntry
from proposals import asides, narrative, observing
from proposals.console.presenters import DECISIONS
from proposals.models import Proposal
from proposals.narrative import TAKEN_BACK
from proposals.policy import Effect

KINDS = {
    "proposal.submitted": "proposed",
    "proposal.checked": "ran",
    "proposal.pending": "asked for review",
    "proposal.approved": "approved: every seat is filled",
    "proposal.committed": "committed the write",
    "proposal.failed": "failed; nothing was written",
    "proposal.unknown": "lost sight of the outcome",
    "proposal.denied": "denied by policy",
    "proposal.rejected": "rejected",
    "proposal.withdrawn": "withdrew the proposal",
    "proposal.expired": "expired; nothing was written",
    "proposal.changes_requested": "sent it back for changes",
    "proposal.undone": "took the write back",
    "proposal.partly_undone": "took back what some objects were given, and left the others",
    "proposal.redone": "took the undo back",
    "execution.claimed": "took it up",
    "execution.handed_back": "stopped, and handed it back",
    "execution.intended": "is about to write",
    "execution.postponed": "will try again later",
    "execution.held": "held it back; nothing was written",
    "execution.unsent": "could not send it; nothing was written",
    "execution.resent": "is about to send it again, under the same key",
    "execution.inquiry_wanted": "wanted the target asked at once",
    "execution.asked": "is about to ask the target",
    "execution.unclear": "still does not know what became of it",
    "execution.late_evidence": "heard an answer too late to settle it",
    "proposal.attested": "said what became of it",
    "proposal.comment_resolved": "resolved the comment",
}


@dataclass(frozen=True)
class Event:
    """One line of the timeline."""

    number: int
    at: datetime
    who: str
    what: str
    detail: str = ""
    where: str = ""
    said: str = ""
    is_by_person: bool = False


def timeline(proposal: Proposal) -> list[Event]:
    """The ledger's entries on this proposal, as sentences."""
    entries = LedgerEntry.objects.filter(stream=proposal.stream).order_by("number")
    stream = [(entry, entry.body) for entry in entries]
    ends = asides.told(stream)
    return [event(entry, body, ends.get(entry.number, "")) for entry, body in stream]


def event(entry: LedgerEntry, body: dict[str, Any], aside: str = "") -> Event:
    """One entry in a few words; `aside` is what the entries around it say of it."""
    what, detail = KINDS.get(entry.kind, entry.kind.removeprefix("proposal.")), ""
    said = where = ""
    if entry.kind in {"proposal.reviewed", "proposal.comment_resolved"}:
        where = narrative.place(body)
    if entry.kind == "proposal.reviewed":
        what = DECISIONS.get(body.get("decision", ""), "reviewed")
        detail = f"revision {body.get('revision')}{aside}"
        if taken := TAKEN_BACK.get(str(body.get("took_back"))):
            what = f"took their {taken} back"
        if body.get("is_author"):
            detail += ", with values of their own"
        if body.get("blocks"):
            detail += ", blocks approval until it is resolved"
        said = body.get("reason", "")
    elif entry.kind == "proposal.comment_resolved":
        said = body.get("reason", "")
    elif entry.kind == "proposal.attested":
        detail = str(body.get("finding", "")).replace("_", " ")
    elif entry.kind == "proposal.checked":
        detail = f"{body.get('tier')} tier"
        if body.get("effect") == Effect.REVIEW:
            detail += f", {body.get('approvals')} to approve"
    elif entry.actor == observing.ACTOR:
        what = "ended it: nothing is written, and nobody is asked"
    elif entry.kind == "execution.held":
        said = str(body.get("reason", ""))
    elif entry.kind == "proposal.submitted" and "from" in body:
        what = submitted_again(body) + aside
        said = str(body.get("reason", ""))
    return Event(
        number=entry.number,
        at=entry.at,
        who=entry.actor_name or SYSTEM.get(entry.actor, entry.actor),
        what=what,
        detail=detail,
        where=where,
        said=said,
        is_by_person=entry.actor.startswith("user:"),
    )


SYSTEM = {
    observing.ACTOR: "Observation",
    "system:checks": "Automatic checks",
    "system:worker": "A worker",
    "system:clock": "The clock",
}


def submitted_again(body: dict[str, Any]) -> str:
    if body.get("amended"):
        return f"wrote revision {body.get('revision')}"
    return "asked for another attempt" if body.get("retry") else "sent it back to be checked"
