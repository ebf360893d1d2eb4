"""Comments that block approval."""

from bench.guards.guard import Guard

TESTS = "tests/proposals/test_field_comments.py"
GUARDS = [
    Guard(
        "nobody approves past a comment that blocks",
        "proposals/services/decisions.py",
        "if objection := comments.objection(proposal):",
        'if objection := "":',
        TESTS,
    ),
    Guard(
        "no check lets through what a comment blocks",
        "proposals/checks.py",
        "blocking = comments.blocking(proposal) if proposal.round > 1 else []",
        "blocking = []",
        TESTS,
    ),
    Guard(
        "only the last resolution of a comment lets anything through",
        "proposals/services/commenting.py",
        "check is None or comments.blocking(proposal):",
        "check is None:",
        TESTS,
    ),
    Guard(
        "a resolution stands in for no approval",
        "proposals/services/commenting.py",
        "if checks.follows(proposal, check, len(given)) is not Status.APPROVED:",
        "if False:",
        TESTS,
    ),
    Guard(
        "a comment is resolved only while its proposal is open",
        "proposals/services/commenting.py",
        "require(proposal, *OPEN)",
        "pass",
        TESTS,
    ),
    Guard(
        "whoever owns the agent or proposed it resolves no comment",
        "proposals/comments.py",
        "if involved := seats.dependence(user, proposal):",
        'if involved := "":',
        TESTS,
    ),
    Guard(
        "whoever may not decide resolves nobody else's comment",
        "proposals/comments.py",
        "if against := seats.ineligibility(user, proposal, check):",
        'if against := "":',
        TESTS,
    ),
    Guard(
        "whoever wrote what is not checked yet resolves nobody else's comment on it",
        "proposals/comments.py",
        'return authors.WRITTEN if authors.has_written(user, proposal.revision()) else ""',
        'return ""',
        TESTS,
    ),
    Guard(
        "whoever may not open the console resolves nothing",
        "proposals/comments.py",
        'return "" if rights.may_view(user) else "Your account may no longer open the console."',
        'return ""',
        TESTS,
    ),
    Guard(
        "a comment is about a field that is shown",
        "proposals/comments.py",
        "if about and (about, field) not in places(check):",
        "if False:",
        TESTS,
    ),
    Guard(
        "somebody else's comment is resolved with a reason",
        "proposals/services/commenting.py",
        "return stated(reason, missing=missing)",
        "return stated(reason)",
        TESTS,
    ),
]
