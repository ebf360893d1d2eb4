"""What was shown is what runs: rows that were changed behind the product's back."""

from bench.guards.guard import Guard

GUARDS = [
    Guard(
        "what is stored is what was approved",
        "proposals/execution.py",
        "    if altered := bound.altered(proposal, check):\n        return altered\n",
        "",
        "tests/proposals/test_altered.py",
    ),
    Guard(
        "what was changed from outside has failed, and is not given back",
        "proposals/execution.py",
        "close = settling.fail_as_altered if altered else settling.give_back",
        "close = settling.give_back",
        "tests/proposals/test_altered.py",
    ),
    Guard(
        "no key is voided by altered content",
        "proposals/execution.py",
        "if altered and claim.had_intent and claim.refusal is bound.Altered.CONTENT:",
        "if False:",
        "tests/proposals/test_altered.py",
    ),
    Guard(
        "no key is asked about by altered content",
        "proposals/services/endings.py",
        "if altered := bound.altered_content(proposal, execution.of_check.revision):",
        'if altered := "":',
        "tests/proposals/test_altered.py",
    ),
    Guard(
        "no key is sent again with altered content",
        "proposals/resolving.py",
        "    if altered := bound.altered(proposal, check):\n        return altered\n",
        "",
        "tests/proposals/test_altered.py",
    ),
    Guard(
        "nobody approves what was changed since it was checked",
        "proposals/services/decisions.py",
        "altered = doubted(proposal, check) if verdict is Review.Decision.APPROVE else None",
        "altered = None",
        "tests/proposals/test_altered.py",
    ),
    Guard(
        "the last comment lets through nothing that was changed",
        "proposals/services/commenting.py",
        "if doubted(proposal, check):",
        "if False:",
        "tests/proposals/test_field_comments.py",
    ),
    Guard(
        "the digest is made anew from the rows",
        "proposals/bound.py",
        "    again = digest_of(proposal, check)\n",
        "    again = check.digest\n",
        "tests/proposals/test_altered.py",
    ),
    Guard(
        "a digest that fits a change is not the one in the ledger",
        "proposals/bound.py",
        "if again != check.digest or said.checked != (check.round, check.revision.number, again):",
        "if again != check.digest:",
        "tests/proposals/test_altered.py",
    ),
    Guard(
        "the content is what the ledger committed to",
        "proposals/bound.py",
        "if not proof.is_as_recorded(proposal, check.revision, said):",
        "if False:",
        "tests/proposals/test_altered.py",
    ),
    Guard(
        "altered content is not previewed",
        "proposals/checks.py",
        "if altered := bound.altered_content(proposal, revision):",
        'if altered := "":',
        "tests/proposals/test_altered.py",
    ),
    Guard(
        "an altered check does not say who has to look",
        "proposals/checks.py",
        "if earlier is not None and bound.digest_of(proposal, earlier) != earlier.digest:",
        "if False:",
        "tests/proposals/test_altered.py",
    ),
    Guard(
        "an altered check does not say that one person settles it",
        "proposals/services/attesting.py",
        "    if bound.altered(proposal, execution.of_check) is not None:\n        return 2\n",
        "",
        "tests/proposals/test_altered.py",
    ),
]
