"""One sentence for each event of unknown outcomes and second thoughts, from its entry alone."""

import pytest

from ledger.models import LedgerEntry
from proposals.narrative import TELLERS, sentence

BY_PEOPLE = {"proposal.attested", "breaker.tried", "proposal.reviewed", "proposal.submitted"}
KEPT = "sha256:abc"
TOLD = [
    (
        "proposal.reviewed",
        {"decision": "withdraw", "took_back": "approve", "revision": 2, "reason": "I misread it."},
        "Olga took their approval back, on revision 2. Reason: “I misread it.”",
    ),
    (
        "proposal.reviewed",
        {"decision": "approve", "revision": 2, "is_author": True, "seconds": 40},
        "Olga approved revision 2, whose values they had proposed themselves, 40 s after",
    ),
    (
        "proposal.submitted",
        {"from": "pending", "amended": True, "revision": 2, "reason": "Green was agreed."},
        "Olga wrote revision 2. Reason: “Green was",
    ),
    ("execution.unsent", {"attempt": 1, "error": "It is closed."}, "sent nothing in attempt 1"),
    ("execution.resent", {"attempt": 2}, "about to send attempt 2 again, with its key"),
    ("execution.inquiry_wanted", {"attempt": 2}, "wanted the target asked at once about attempt 2"),
    ("execution.asked", {"attempt": 2}, "about to ask the target about attempt 2"),
    (
        "execution.unclear",
        {"how": "probe", "error": "Status 500."},
        "asked the target, and it is still not known what became of it. It said: “Status 500.”",
    ),
    ("execution.unclear", {"how": "resend"}, "sent it again, and it is still not known"),
    ("execution.late_evidence", {"attempt": 1}, "was late"),
    ("proposal.unknown", {"attempt": 1}, "It is not known whether attempt 1 wrote it."),
    (
        "proposal.attested",
        {"attempt": 1, "finding": "not_applied", "evidence": KEPT},
        "Olga said what became of attempt 1: it was not written, and a retry is safe.",
    ),
    (
        "proposal.committed",
        {"attempt": 1, "resolved_by": "people", "by": ["user:1", "user:2"], "evidence": KEPT},
        "It is known that attempt 1 wrote it: Olga and 1 other found the same.",
    ),
    (
        "proposal.committed",
        {"attempt": 1, "resolved_by": "probe", "evidence": KEPT},
        "asked the target what became of it: it was written, by attempt 1.",
    ),
    ("proposal.committed", {"attempt": 3, "evidence": KEPT}, "wrote it, in attempt 3."),
    (
        "proposal.failed",
        {"attempt": 1, "resolved_by": "people", "by": ["user:1"]},
        "It is known that attempt 1 wrote nothing: Olga vouches for it.",
    ),
    (
        "proposal.failed",
        {"attempt": 1, "resolved_by": "resend"},
        "sent it again under the same key, and the target answered clearly: nothing was written",
    ),
    (
        "breaker.opened",
        {"target": "https://pay.example", "reason": "5 calls in a row had no clear answer."},
        "Writes to https://pay.example were paused. Reason: “5 calls",
    ),
    ("breaker.closed", {"target": "https://pay.example"}, "so writes to it go on"),
    ("breaker.tried", {"target": "https://pay.example"}, "Olga had one call let through"),
]


@pytest.mark.parametrize(("kind", "body", "words"), TOLD, ids=[kind for kind, _, _ in TOLD])
def test_it_is_told_in_words(kind, body, words):
    by_person = kind in BY_PEOPLE or body.get("by")
    entry = LedgerEntry(
        kind=kind,
        actor="user:1" if by_person else "system:worker",
        actor_name="Olga" if by_person else "w-1",
    )
    assert words in sentence(entry, body)
    assert kind in TELLERS
