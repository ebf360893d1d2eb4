"""What an approval is bound to, held against what is stored now.

A digest that is only compared with itself binds nothing: whoever can write to the tables of
revisions and checks could change a word and leave the digest. So it is made anew from the rows that
a write would be made from, and compared with what the ledger says was checked last; and the content
with the salted commitment that the ledger holds of it. A changed digest is found like a changed
word, and so are both together.

What is found goes to people. Before a decision, nobody's approval is taken: it is checked anew, and
waits for people again. At the claim, nothing is written and it has FAILED: to give it back like a
moved target would write in the same second, by approvals that still count and with nobody told that
somebody writes to these tables. A person may retry, which checks anew. After an intent, the values
that tell where the key was used are not trusted either, so then it is UNKNOWN. Content that was
changed is never previewed, so no check of it can be approved; it is rejected, or amended by whoever
proposed it.
"""

from enum import StrEnum
from typing import Any

from ledger.canonical import canonical, digest
from proposals import gate, proof
from proposals.gate import Findings
from proposals.models import Check, Proposal, Revision
from proposals.policy import Verdict


class Altered(StrEnum):
    """What was changed since, as a sentence for people."""

    CONTENT = "What is stored is not what was proposed: it was changed from outside."
    CHECK = "What is stored of the check is not what was checked: it was changed from outside."


def seen_digest(
    proposal: Proposal, revision: Revision, findings: Findings, verdict: Verdict
) -> str:
    """Names what a person approves: equal facts, equal digest."""
    return digest(seen(proposal, revision, findings, verdict))


def seen(
    proposal: Proposal, revision: Revision, findings: Findings, verdict: Verdict
) -> dict[str, Any]:
    """What a person approves. Never ids, times or passing values."""
    return {
        "action": proposal.action,
        "params": revision.params,
        "before": findings.before,
        "after": findings.after,
        "impact": findings.impact,
        "conflicts": findings.conflicts,
        "tier": verdict.tier,
        "effect": verdict.effect,
        "approvals": verdict.approvals,
        "groups": sorted(verdict.groups),
        "compensation": findings.compensation,
        "error": findings.error,
    }


def seen_by(
    proposal: Proposal, check: Check, findings: Findings | None = None
) -> dict[str, Any] | None:
    """What was seen with a stored check, or what would be with other findings, if it is the same.

    None when the digest of the check is of something else. Checks that were stored before the
    values after a write were part of it are held against the form that they were stored in: no
    other can have the digest that the ledger says.
    """
    stored = findings or gate.findings_of(check)
    today = seen(proposal, check.revision, stored, gate.as_verdict(check))
    formerly = {name: value for name, value in today.items() if name != "after"}
    return next((form for form in (today, formerly) if digest(form) == check.digest), None)


def seen_bytes(proposal: Proposal, check: Check) -> bytes:
    """The bytes that a stored check's digest is of, from what is stored of it."""
    found = seen_by(proposal, check)
    if found is None:
        findings = gate.findings_of(check)
        found = seen(proposal, check.revision, findings, gate.as_verdict(check))
    return canonical(found)


def is_its_digest(proposal: Proposal, check: Check) -> bool:
    """Whether the digest of a stored check is that of what is stored of it."""
    try:
        return seen_by(proposal, check) is not None
    except ValueError:  # it cannot be read as a check
        return False


def altered(proposal: Proposal, check: Check) -> Altered | None:
    """What is not stored as it was checked; None when all is. Takes one statement."""
    said = proof.said_of(proposal)
    if not proof.is_as_recorded(proposal, check.revision, said):
        return Altered.CONTENT
    return None if is_as_checked(proposal, check, said) else Altered.CHECK


def is_as_checked(proposal: Proposal, check: Check, said: proof.Said) -> bool:
    """Whether this is the check that the ledger speaks of last, unchanged."""
    checked = (check.round, check.revision.number, check.digest)
    return said.checked == checked and is_its_digest(proposal, check)


def altered_content(proposal: Proposal, revision: Revision) -> Altered | None:
    """Whether the content alone is not what was recorded: what tells where a key was used."""
    if proof.is_as_recorded(proposal, revision, proof.said_of(proposal)):
        return None
    return Altered.CONTENT
