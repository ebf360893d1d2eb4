"""The API, its keys, tokens and limits."""

from bench.guards.guard import Guard

GUARDS = [
    Guard(
        "another body under the same key is refused",
        "proposals/idempotency.py",
        "if used.fingerprint != fingerprint:",
        "if False:",
        "tests/proposals/test_idempotency.py",
    ),
    Guard(
        "a token's secret is compared",
        "proposals/tokens.py",
        "if not hmac.compare_digest(known, hashed(token)) or stored is None:",
        "if stored is None:",
        "tests/proposals/test_tokens.py",
    ),
    Guard(
        "an operator's token is compared",
        "proposals/operator_tokens.py",
        "if not hmac.compare_digest(known, hashed(token)) or stored is None:",
        "if stored is None:",
        "tests/proposals/test_operators_api.py",
    ),
    Guard(
        "an operator's token ends with its time, its person, or a word",
        "proposals/operator_tokens.py",
        "return None if is_over or not stored.person.is_active else stored",
        "return stored",
        "tests/proposals/test_operators_api.py",
    ),
    Guard(
        "a flood is let through again when a slot is free",
        "proposals/api/flood.py",
        "return (is_often or is_close) and moment() < self.opens_at",
        "return is_often or is_close",
        "tests/proposals/test_budgets.py",
    ),
    Guard(
        "a flood is judged anew each second",
        "proposals/api/flood.py",
        "is_often = self.second == second and self.refused",
        "is_often = self.refused",
        "tests/proposals/test_budgets.py",
    ),
    Guard(
        "a flood that goes on is shed after its first refusal",
        "proposals/api/flood.py",
        "most = MOST_IN_A_ROW if self.goes_on else",
        "most = MOST_REFUSALS_PER_SECOND if self.goes_on else",
        "tests/proposals/test_budgets.py",
    ),
    Guard(
        "a flood that goes on is judged by one request at a time",
        "proposals/api/flood.py",
        "is_close = self.is_tried and second - self.second <= 1",
        "is_close = False",
        "tests/proposals/test_budgets.py",
    ),
    Guard(
        "a flood never refuses a repeat of what is stored",
        "proposals/api/flood.py",
        "and not is_repeat(request, sender.agent):",
        "and True:",
        "tests/proposals/test_budgets.py",
    ),
    Guard(
        "while everything is frozen no revision is taken",
        "proposals/services/submission.py",
        "        require_thaw()\n        proposal = lock_own",
        "        proposal = lock_own",
        "tests/proposals/test_budgets.py",
    ),
    Guard(
        "a flood of one verb does not shut the others",
        "proposals/api/flood.py",
        """said = f"{request.path.rstrip('/').rpartition('/')[2]} {header}\"""",
        "said = header",
        "tests/proposals/test_budgets.py",
    ),
    Guard(
        "expired and revoked tokens are refused",
        "proposals/tokens.py",
        "if stored.revoked_at is not None or stored.expires_at <= now:",
        "if False:",
        "tests/proposals/test_tokens.py",
    ),
]
