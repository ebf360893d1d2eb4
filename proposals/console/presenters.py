"""What the pages say about rows: words, counts and addresses. Reads; never decides or writes."""

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from proposals import checks, freezing, gate
from proposals.console import diff
from proposals.lifecycle import Status
from proposals.models import Check, Freeze, Proposal, Review, Revision
from proposals.policy import Effect
from proposals.registry import Delivery, Rendering, registry

logger = logging.getLogger(__name__)

NOT_COMPUTED = "not computed"
DELIVERY = {
    Delivery.TRANSACTIONAL: "Written once: the effect and its receipt commit together.",
    Delivery.KEYED: "Written once: the target recognises our key if we must send it again.",
    Delivery.QUERYABLE: "At most once: after an uncertain answer, the target is asked.",
    Delivery.UNCERTAIN: "Cannot be asked: an uncertain answer needs a person.",
}
RESULTS = {
    "error": ("Error, treated as needs approval", "warning"),
    "deny": ("Denies", "removed"),
    "review": ("Needs approval", "warning"),
    "raise": ("Raises the tier", "warning"),
    "allow": ("Allows", "added"),
    "not_matched": ("Does not apply", ""),
}
STATUSES = (
    ("Checking", "Automatic checks are running; they only read."),
    ("Needs review", "People decide; n of m says how many approvals there are."),
    ("Changes requested", "Sent back; the agent may write a new revision."),
    ("Approved", "Every seat is filled; a worker commits it."),
    ("Committed", "Written. It can be undone if it was said to be."),
    ("Rejected, withdrawn, expired, denied", "Ended without a write; the page stays."),
    ("Failed, nothing written", "Definitely not applied; an operator may retry it."),
    ("Outcome unknown", "Sent, and no answer came; check the target before anything else."),
)
COMMENT = "a comment to resolve"
DECISIONS = {
    Review.Decision.APPROVE: "approved",
    Review.Decision.REQUEST_CHANGES: "requested changes",
    Review.Decision.REJECT: "rejected",
    Review.Decision.COMMENT: "commented",
    Review.Decision.WITHDRAW: "took a decision back",
}


@dataclass(frozen=True)
class Row:
    """One proposal in a list. Nothing here was written by an agent."""

    proposal: Proposal
    sentence: str
    flags: tuple[tuple[str, str], ...]
    checks: str
    approvals: str
    url: str
    decided: str = ""
    outcome: Any = None
    seat: str = ""
    group: str = ""

    @property
    def who(self) -> str:
        """The agent, or the person who proposed it."""
        return proposed_by(self.proposal)


def name_of(person: Any) -> str:
    return person.get_full_name() or person.get_username()


def proposed_by(proposal: Proposal) -> str:
    """The name of the person who proposed it, else of the agent."""
    if proposal.proposer is not None:
        return name_of(proposal.proposer)
    return proposal.agent.name if proposal.agent else ""


def rows(proposals: Iterable[Proposal], query: str = "", user: Any = None) -> list[Row]:
    """Rows of a list: four more statements, however many rows there are."""
    listed = list(proposals)
    unchecked = [proposal.pk for proposal in listed if proposal.current_check_id is None]
    params = {
        (revision.proposal_id, revision.number): revision.params
        for revision in Revision.objects.filter(proposal__in=unchecked)
    }
    weighing = (
        Review.objects.weighing()
        .filter(proposal__in=[proposal.pk for proposal in listed if proposal.is_open])
        .values_list("proposal_id", "digest", "blocks")
    )
    given: Counter = Counter()
    blocked = set()
    for proposal_id, digest, blocks in weighing:
        if blocks:
            blocked.add(proposal_id)
        else:
            given[proposal_id, digest] += 1
    mine = decisions_of(user, listed) if user else {}
    freezes = list(freezing.in_force().order_by("pk"))
    held = {one.pk for one in listed if is_held(one, freezes)}
    return [
        row(
            one,
            given,
            params,
            query,
            decided=mine.get(one.pk, ""),
            is_blocked=one.pk in blocked,
            is_held=one.pk in held,
        )
        for one in listed
    ]


def is_held(proposal: Proposal, freezes: list[Freeze]) -> bool:
    """Whether an approved write waits for a stop to end, room in a budget or its target."""
    if proposal.status != Status.APPROVED:
        return False
    return proposal.is_held or bool(freezing.stop_for(proposal, freezes))


def decisions_of(user: Any, listed: list[Proposal]) -> dict[Any, str]:
    """What this person last decided on each of them."""
    found = Review.objects.filter(reviewer=user, proposal__in=[one.pk for one in listed])
    return {
        proposal_id: DECISIONS[Review.Decision(decision)]
        for proposal_id, decision in found.order_by("id").values_list("proposal_id", "decision")
    }


def row(
    proposal: Proposal,
    given: Counter,
    params: dict[tuple[Any, int], Any],
    query: str,
    *,
    decided: str,
    is_blocked: bool,
    is_held: bool,
) -> Row:
    check = proposal.current_check
    if check is None:
        content = params.get((proposal.pk, proposal.revision_number), {})
        sentence = checks.sentence(proposal.action, content)
    else:
        sentence = check.sentence
    return Row(
        proposal=proposal,
        sentence=sentence,
        flags=flags(proposal, check, is_blocked=is_blocked, is_held=is_held),
        checks=checks_in_short(check),
        approvals=approvals_in_short(proposal, check, given),
        url=reverse("proposal", args=[proposal.pk]) + query,
        decided=decided,
    )


def flags(
    proposal: Proposal, check: Check | None, *, is_blocked: bool = False, is_held: bool = False
) -> tuple[tuple[str, str], ...]:
    """What sets this one apart, as (word, kind of tag)."""
    found = []
    if proposal.status == Status.UNKNOWN:
        found.append(("outcome unknown", "removed"))
    if is_held:
        found.append(("held", "warning"))
    if is_blocked:
        found.append(("blocked by a comment", "warning"))
    if proposal.is_observed:
        found.append(("observed only", ""))
    if proposal.is_undone:
        found.append(("undone", ""))
    elif proposal.taken_back:
        found.append(("partly undone", "warning"))
    if proposal.compensates_id:
        found.append(("undo", ""))
    if check and check.error:
        is_full = check.error.startswith(gate.NO_ROOM)
        found.append(("over budget" if is_full else "preview failed", "warning"))
    elif check and not check.is_reversible:
        found.append(("not reversible", "warning"))
    if check and check.hides_text:
        found.append(("hidden characters", "warning"))
    if check and check.conflicts:
        found.append(("target changed since", "warning"))
    if proposal.duplicate_of_id:
        found.append(("possible duplicate", "warning"))
    if proposal.has_moved:
        found.append(("target moved", "warning"))
    if proposal.revision_number > 1:
        found.append((f"revision {proposal.revision_number}", ""))
    return tuple(found)


def result_of(line: dict[str, Any]) -> str:
    """One word for what a rule said: its effect if it matched."""
    return line["effect"] if line["result"] == "matched" else line["result"]


def checks_in_short(check: Check | None) -> str:
    """The trace in a few words: "1 needs approval · 7 pass"."""
    if check is None:
        return "checking"
    if not check.trace:
        return "no rules"
    counted = Counter(result_of(line) for line in check.trace)
    passed = counted["allow"] + counted["not_matched"] + counted["raise"]
    parts = [
        (counted["error"], "error"),
        (counted["deny"], "deny"),
        (counted["review"], "need approval" if counted["review"] > 1 else "needs approval"),
        (passed, "pass"),
    ]
    return " · ".join(f"{number} {word}" for number, word in parts if number)


def approvals_in_short(proposal: Proposal, check: Check | None, given: Counter) -> str:
    """How many seats are filled, for lists; the gate counts again before anything is written."""
    if check is None:
        return ""
    if check.effect == Effect.ALLOW:
        # What the rules allow waits for people only while a comment blocks it.
        return COMMENT if proposal.status == Status.PENDING else "not required"
    if check.effect != Effect.REVIEW:
        return ""
    return f"{given[proposal.pk, check.digest]} of {check.approvals}"


def state(proposal: Proposal, filled: int = 0) -> str:
    """The state as people read it."""
    check = proposal.current_check
    if proposal.status == Status.PENDING and check and check.effect == Effect.ALLOW:
        return f"Needs review, {COMMENT}"
    if proposal.status == Status.PENDING and check:
        return f"Needs review, {filled} of {check.approvals}"
    if proposal.status == Status.COMMITTED and proposal.is_undone:
        return "Committed, then undone"
    if proposal.status == Status.COMMITTED and proposal.taken_back:
        return "Committed, then partly undone"
    return proposal.get_status_display()


def reversibility(action: str, check: Check | None) -> tuple[str, str]:
    """Whether it can be taken back, in a sentence: (emphasised start, rest)."""
    if check is None:
        return "", "Whether this can be undone is known once it was checked."
    if check.error:
        return "Not known", "whether this can be undone: it could not be previewed."
    if not check.is_reversible:
        return "Not reversible.", why_for_good(action) or "Once committed, it cannot be taken back."
    if (check.impact or {}).get("external"):
        return "Can be undone", "by a new proposal that asks the other system to take it back."
    return "Can be undone", "by a new proposal that restores the earlier values."


def why_for_good(action: str) -> str:
    """Why what an action writes cannot be taken back, if it says so."""
    try:
        return registry.get(action).why_for_good
    except LookupError:
        return ""


def rendering(action: str, check: Check | None) -> Rendering | None:
    """What somebody else would read, from exactly what was checked."""
    if check is None or check.error or not check.after:
        return None
    try:
        return registry.get(action).rendering(check.after)
    except LookupError:
        return None
    except Exception:  # the page has the fields and the call all the same
        logger.exception("%s could not show what it would write", action)
        return None


def impact(proposal: Proposal, check: Check | None) -> list[tuple[str, Any]]:
    """Facts that the system computed; what is unknown says so."""
    found = (check.impact if check else None) or {}
    amount = found.get("amount") if found else NOT_COMPUTED
    facts = [
        ("Objects touched", found.get("objects", NOT_COMPUTED)),
        ("Money", "none" if amount is None else amount),
        ("People reached", found.get("people", NOT_COMPUTED)),
        ("Leaves the building", _yes_no(found.get("external"))),
        ("Target", diff.ABSENT if not proposal.resource else proposal.resource),
        ("Delivery", delivery(proposal.action)),
    ]
    if found.get("reasons"):
        facts.append(("Why this tier", " ".join(found["reasons"])))
    return facts


def delivery(action: str) -> str:
    try:
        return DELIVERY[registry.get(action).delivery]
    except LookupError:
        return NOT_COMPUTED


def trace(check: Check | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What the rules said: those that spoke, the gravest first, and those that had no say."""
    order = list(RESULTS)
    lines = []
    for line in check.trace if check else []:
        result = result_of(line)
        words, kind = RESULTS.get(result, (result, ""))
        lines.append({**line, "key": result, "words": words, "kind": kind})
    lines.sort(key=lambda line: order.index(line["key"]) if line["key"] in order else 0)
    spoke = [line for line in lines if line["key"] != "not_matched"]
    return spoke, [line for line in lines if line["key"] == "not_matched"]


def changes_between(seen: Check, now: Check) -> list[dict[str, Any]]:
    """Only what differs between two checks, for people: (what, when you saw it, now)."""
    found = []
    old, new = diff.flat(seen.before, seen.after), diff.flat(now.before, now.after)
    for key, name in dict.fromkeys([*old, *new]):
        was = old.get((key, name), (diff.ABSENT, diff.ABSENT))
        becomes = new.get((key, name), (diff.ABSENT, diff.ABSENT))
        for index, words in enumerate(("in the target", "after commit")):
            if not diff.same(was[index], becomes[index]):
                found.append(
                    {
                        "object": key,
                        "what": name,
                        "side": words,
                        "was": was[index],
                        "now": becomes[index],
                    }
                )
    found += facts_between(seen, now)
    if seen.revision_id != now.revision_id:
        found.append(
            {
                "object": "",
                "what": "Revision",
                "side": "",
                "was": seen.revision.number,
                "now": now.revision.number,
            }
        )
    return found


def facts_between(
    seen: Check, now: Check, also: tuple[tuple[str, str], ...] = ()
) -> list[dict[str, Any]]:
    """What differs between two checks beside the fields of the target."""
    return [
        {
            "object": "",
            "what": label,
            "side": "",
            "was": getattr(seen, attribute),
            "now": getattr(now, attribute),
        }
        for label, attribute in (*COMPARED, *also)
        if getattr(seen, attribute) != getattr(now, attribute)
    ]


COMPARED = (
    ("Tier", "tier"),
    ("Approvals required", "approvals"),
    ("Groups who may approve", "group_names"),
    ("Can be undone", "is_reversible"),
    ("Impact", "impact"),
    ("Preview", "error"),
)


def _yes_no(value: Any) -> str:
    if value is None:
        return NOT_COMPUTED
    return "yes" if value else "no"


def effect_in_words(proposal: Proposal, approvers: list[str]) -> str:
    """Who let a write through."""
    if approvers:
        return ", ".join(approvers)
    check = proposal.current_check
    if check is None or check.effect != Effect.ALLOW:
        return "see its timeline"
    if proposal.proposer is not None:
        return f"{name_of(proposal.proposer)}, alone"
    return "policy, no person"
