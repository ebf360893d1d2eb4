"""Taking a decision back, and proposing other values."""

from bench.guards.guard import Guard

WITHDRAWN = "tests/proposals/test_withdrawn_decisions.py"
EDITED = "tests/proposals/test_edited_by_reviewer.py"

GUARDS = [
    Guard(
        "a withdrawn approval does not count",
        "proposals/seats.py",
        "if who in counted and counted[who].pk == review.takes_back_id:",
        "if False:",
        WITHDRAWN,
    ),
    Guard(
        "what was shown is what is taken back",
        "proposals/services/withdrawing.py",
        "if check is None or digest != check.digest:",
        "if check is None:",
        WITHDRAWN,
    ),
    Guard(
        "nobody takes back what somebody else decided",
        "proposals/standing.py",
        "        if seats.person(review.reviewer) == seats.person(user):\n            latest",
        "        if True:\n            latest",
        WITHDRAWN,
    ),
    Guard(
        "only the wish that sent it back brings it back",
        "proposals/standing.py",
        'return wishes.order_by("-id").values_list("pk", flat=True).first() == review.pk',
        "return True",
        WITHDRAWN,
    ),
    Guard(
        "to withdraw an approval leaves the wish of somebody else",
        "proposals/services/withdrawing.py",
        "if proposal.status != Status.CHANGES_REQUESTED or taken.decision != "
        "Review.Decision.APPROVE:",
        "if True:",
        WITHDRAWN,
    ),
    Guard(
        "what a worker has begun keeps its decisions",
        "proposals/services/endings.py",
        "    if execution.status != Execution.Status.QUEUED:\n",
        "    if False:\n",
        WITHDRAWN,
    ),
    Guard(
        "what left the queue comes back under another key",
        "proposals/services/withdrawing.py",
        'changes["generation"] = proposal.generation + 1',
        "pass",
        WITHDRAWN,
    ),
    Guard(
        "to withdraw is not a verdict",
        "proposals/services/decisions.py",
        "if decision not in Review.VERDICTS:",
        "if decision not in Review.Decision.values:",
        WITHDRAWN,
    ),
    Guard(
        "an agent is not told what was taken back",
        "proposals/api/representation.py",
        "queryset=Review.objects.not_taken_back()",
        "queryset=Review.objects",
        WITHDRAWN,
    ),
    Guard(
        "the queue hides only an approval of what is current",
        "proposals/seats.py",
        '                    digest=OuterRef("current_check__digest"),\n',
        "",
        WITHDRAWN,
    ),
    Guard(
        "whoever wrote the values fills no seat at high tier",
        "proposals/authors.py",
        "if check.tier in {Tier.LOW, Tier.MEDIUM} or not has_written(user, check.revision):",
        "if True:",
        EDITED,
    ),
    Guard(
        "another account of the author is the author",
        "proposals/authors.py",
        "return any(person(one) == person(user) for one in writers(revision))",
        "return any(one == user for one in writers(revision))",
        EDITED,
    ),
    Guard(
        "values stay whose they are when words alone are amended",
        "proposals/authors.py",
        "        elif params != former:\n",
        "        else:\n",
        EDITED,
    ),
    Guard(
        "what was seen is what is edited",
        "proposals/services/revising.py",
        "if check is not None and digest != check.digest:",
        "if False:",
        EDITED,
    ),
    Guard(
        "only who may decide proposes other values",
        "proposals/services/revising.py",
        "    return seats.hindrance(person, proposal, check)",
        '    return ""',
        EDITED,
    ),
    Guard(
        "nobody chooses what an undo puts back",
        "proposals/services/revising.py",
        "if proposal.compensates_id is not None:",
        "if False:",
        EDITED,
    ),
    Guard(
        "only what waits can be edited",
        "proposals/services/revising.py",
        "    require(proposal, *EDITABLE)\n",
        "",
        EDITED,
    ),
    Guard(
        "an agent is not suspended for what a person asked",
        "proposals/checks.py",
        "return revision.author == asked and not",
        "return not",
        EDITED,
    ),
    Guard(
        "the ledger names an author who approves",
        "proposals/services/decisions.py",
        "    if authors.has_written(reviewer, check.revision):\n        facts",
        "    if False:\n        facts",
        EDITED,
    ),
]
