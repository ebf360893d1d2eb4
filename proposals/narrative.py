"""One sentence for each event of a proposal, from its ledger entry.

What only the entries around it can tell stands at its end (`proposals.asides`).

The words are the system's. What a sentence quotes (reasons, names of objects) may hold anything, so
whoever shows it passes it through `proposals.text`.
"""

from collections.abc import Callable
from typing import Any

from ledger.models import LedgerEntry

Body = dict[str, Any]
ACTORS = {
    "system:checks": "The automatic checks",
    "system:worker": "A worker",
    "system:clock": "The clock",
    "system:operator": "An operator at the command line",
    "system:breaker": "The breaker",
}
DECISIONS = {
    "approve": "approved",
    "request_changes": "asked for changes to",
    "reject": "rejected",
    "comment": "commented on",
}
TAKEN_BACK = {"approve": "approval", "request_changes": "wish for changes"}
FINDINGS = {
    "applied": "it was written",
    "not_applied": "it was not written, and a retry is safe",
    "cannot_tell": "they cannot tell",
}
EFFECTS = {"allow": "allow it", "review": "ask people", "deny": "deny it"}


def sentence(entry: LedgerEntry, body: Body, aside: str = "") -> str:
    """What happened, who did it and why, as the entry says; unknown kinds by their name."""
    who = actor(entry)
    teller = TELLERS.get(entry.kind)
    told = teller(who, body, entry) if teller else f"{who}: {entry.kind}."
    return (f"{told.removesuffix('.')}{aside}." if aside else told) + quoted(body)


def actor(entry: LedgerEntry) -> str:
    """Who acted, by the name that was kept with the entry."""
    if entry.actor == "system:worker" and entry.actor_name:
        return f"Worker {entry.actor_name}"
    named = {"agent": "The agent", "user": ""}.get(entry.actor.partition(":")[0])
    if named is not None and entry.actor_name:
        return f"{named} {entry.actor_name}".strip()
    return ACTORS.get(entry.actor, entry.actor)


def quoted(body: Body) -> str:
    reason = body.get("reason") or body.get("refusal")
    return f" Reason: “{reason}”" if isinstance(reason, str) and reason else ""


def submitted(who: str, body: Body, entry: LedgerEntry) -> str:
    if body.get("amended"):
        return f"{who} wrote revision {body.get('revision')}."
    if body.get("retry"):
        return f"{who} asked for another attempt, from a fresh check."
    if "from" in body:
        return f"{who} sent it back to be checked again."
    count = len(body.get("evidence", []))
    pieces = "no evidence" if not count else f"{count} piece{'s' if count > 1 else ''} of evidence"
    told = f"{who} proposed {body.get('action')} on {entry.object}, with {pieces}."
    if hidden := body.get("hidden_characters"):
        told += f" What it wrote holds characters that hide or reorder text: {', '.join(hidden)}."
    return told


def checked(who: str, body: Body, entry: LedgerEntry) -> str:
    verdict = EFFECTS.get(str(body.get("effect")), str(body.get("effect")))
    needed = body.get("approvals")
    if body.get("effect") == "review" and needed:
        verdict += f", {needed} to approve"
    rules = ", ".join(body.get("rules", [])) or "none, so a person must look"
    undo = "can be undone" if body.get("reversible") else "cannot be undone"
    return f"{who} found {body.get('tier')} tier; it {undo}. The rules {verdict}. Matched: {rules}."


def place(body: Body) -> str:
    """What a comment is about: colour of bear. Empty if it is about the whole."""
    return f"{body['field']} of {body.get('object')}" if body.get("field") else ""


def reviewed(who: str, body: Body, entry: LedgerEntry) -> str:
    if body.get("decision") == "withdraw":
        taken = TAKEN_BACK.get(str(body.get("took_back")), "decision")
        return f"{who} took their {taken} back, on revision {body.get('revision')}."
    verb = DECISIONS.get(str(body.get("decision")), "reviewed")
    about = f"{place(body)}, in " if place(body) else ""
    told = f"{who} {verb} {about}revision {body.get('revision')}"
    if body.get("is_author"):
        told += ", whose values they had proposed themselves"
    if "seconds" in body:
        told += f", {body['seconds']} s after it was checked"
    if body.get("blocks"):
        told += "; nobody can approve until that is resolved"
    return f"{told}."


def comment_resolved(who: str, body: Body, entry: LedgerEntry) -> str:
    about = f" on {place(body)}" if place(body) else ""
    whose = "their own comment" if body.get("author") == entry.actor else "the comment"
    return f"{who} resolved {whose}{about} that blocked approval."


def pending(who: str, body: Body, entry: LedgerEntry) -> str:
    told = "It was put before people."
    return told + (" A comment on it still blocks approval." if body.get("comments") else "")


def approved(who: str, body: Body, entry: LedgerEntry) -> str:
    if body.get("resolved"):
        return f"When {who} resolved the last comment in its way, nothing was missing: approved."
    if body.get("by") == "policy":
        return "The rules approved it; no person decided."
    if body.get("by"):
        return "It was approved again: the result was equal to what people had approved before."
    return f"With the decision of {who}, every seat was filled: approved."


def committed(who: str, body: Body, entry: LedgerEntry) -> str:
    attempt = body.get("attempt")
    if body.get("resolved_by") == "people":
        return f"It is known that attempt {attempt} wrote it: {vouched(who, body)}."
    if how := FOUND_OUT.get(str(body.get("resolved_by"))):
        return f"{who} {how}: it was written, by attempt {attempt}."
    if body.get("evidence") == "receipt":
        return f"{who} settled it as written; the target answered: {body['evidence']}."
    return f"{who} wrote it, in attempt {attempt}."


FOUND_OUT = {
    "resend": "sent it again under the same key, and the target answered clearly",
    "probe": "asked the target what became of it",
}


def vouched(who: str, body: Body) -> str:
    others = len(body.get("by", [])) - 1
    return f"{who} and {others} other found the same" if others > 0 else f"{who} vouches for it"


def failed(who: str, body: Body, entry: LedgerEntry) -> str:
    attempt = body.get("attempt")
    if body.get("resolved_by") == "people":
        return f"It is known that attempt {attempt} wrote nothing: {vouched(who, body)}."
    if how := FOUND_OUT.get(str(body.get("resolved_by"))):
        return f"{who} {how}: nothing was written, by attempt {attempt}."
    return f"{who} found that nothing was written, in attempt {attempt}."


def attested(who: str, body: Body, entry: LedgerEntry) -> str:
    found = FINDINGS.get(str(body.get("finding")), str(body.get("finding")))
    return (
        f"{who} said what became of attempt {body.get('attempt')}: {found}. What they saw is kept "
        f"under {body.get('evidence')}."
    )


def unsent(who: str, body: Body, entry: LedgerEntry) -> str:
    told = body.get("error") or "no reason was given"
    return f"{who} sent nothing in attempt {body.get('attempt')}, and will try again: “{told}”"


def unclear(who: str, body: Body, entry: LedgerEntry) -> str:
    what = {"resend": "sent it again", "probe": "asked the target"}.get(str(body.get("how")))
    told = f" It said: “{body['error']}”" if body.get("error") else ""
    return f"{who} {what or 'looked again'}, and it is still not known what became of it.{told}"


def breaker_opened(who: str, body: Body, entry: LedgerEntry) -> str:
    return f"Writes to {body.get('target')} were paused."


def denied(who: str, body: Body, entry: LedgerEntry) -> str:
    if budget := body.get("budget"):
        return f"It was refused: the budget “{budget}” has no room for what it would touch."
    return "The rules denied it; nothing was written."


def partly_undone(who: str, body: Body, entry: LedgerEntry) -> str:
    """How many objects stand and how many do not; which ones is in the entry."""
    back, left = len(body.get("taken_back", [])), len(body.get("left", []))
    return f"Of the {back + left} objects that it wrote, {back} are taken back now and {left} not."


def plainly(words: str) -> Callable[[str, Body, LedgerEntry], str]:
    return lambda who, body, entry: words.format(who=who, attempt=body.get("attempt", ""))


TELLERS: dict[str, Callable[[str, Body, LedgerEntry], str]] = {
    "proposal.submitted": submitted,
    "proposal.checked": checked,
    "proposal.reviewed": reviewed,
    "proposal.comment_resolved": comment_resolved,
    "proposal.approved": approved,
    "proposal.committed": committed,
    "proposal.failed": failed,
    "proposal.denied": denied,
    "proposal.pending": pending,
    "proposal.changes_requested": plainly("It went back for changes."),
    "proposal.rejected": plainly("It ended: {who} rejected it, and nothing was written."),
    "proposal.withdrawn": plainly("{who} withdrew it; nothing was written."),
    "proposal.expired": plainly("Its time ran out; nothing was written."),
    "proposal.unknown": plainly("It is not known whether attempt {attempt} wrote it."),
    "proposal.attested": attested,
    "proposal.undone": plainly("What it wrote was taken back by another proposal."),
    "proposal.partly_undone": partly_undone,
    "proposal.redone": plainly("The undo of it was itself taken back, so it stands again."),
    "execution.claimed": plainly("{who} took up attempt {attempt}."),
    "execution.intended": plainly("{who} was about to write, in attempt {attempt}."),
    "execution.held": plainly("It was held back; nothing was written."),
    "execution.postponed": plainly("{who} got no clear answer, and will ask again."),
    "execution.handed_back": plainly("{who} stopped, and handed attempt {attempt} back."),
    "execution.late_evidence": plainly("{who} was late: another worker had settled it first."),
    "execution.unsent": unsent,
    "execution.resent": plainly("{who} was about to send attempt {attempt} again, with its key."),
    "execution.inquiry_wanted": plainly(
        "{who} wanted the target asked at once about attempt {attempt}."
    ),
    "execution.asked": plainly("{who} was about to ask the target about attempt {attempt}."),
    "execution.unclear": unclear,
    "breaker.opened": breaker_opened,
    "breaker.closed": plainly("The target answered clearly, so writes to it go on."),
    "breaker.tried": plainly("{who} had one call let through, to see whether the target answers."),
}
