"""The demonstration's own processes."""

from bench.guards.guard import Guard

GUARDS = [
    Guard(
        "the provider gives back no more than was paid",
        "proposals/demonstration/charges.py",
        'if wanted > charge["rest"]:',
        "if False:",
        "tests/proposals/demonstration/test_provider.py",
    ),
    Guard(
        "the provider's key is bound to its request",
        "proposals/demonstration/charges.py",
        'if kept["asked"] != words:',
        "if False:",
        "tests/proposals/demonstration/test_provider.py",
    ),
    Guard(
        "the provider answers a key as it did before",
        "proposals/demonstration/charges.py",
        "if kept is not None and key:",
        "if False:",
        "tests/proposals/demonstration/test_provider.py",
    ),
    Guard(
        "the provider cancels no refund that was settled",
        "proposals/demonstration/charges.py",
        'if state != "pending":',
        "if False:",
        "tests/proposals/demonstration/test_provider.py",
    ),
    Guard(
        "the provider wants its secret key",
        "proposals/demonstration/provider.py",
        "if not self.is_known():",
        "if False:",
        "tests/proposals/demonstration/test_provider.py",
    ),
    Guard(
        "the provider takes forms of its own page alone",
        "proposals/demonstration/provider.py",
        'if self.path == "/lose-next-answer" and self.is_sent_by_our_page():',
        'if self.path == "/lose-next-answer":',
        "tests/proposals/demonstration/test_provider.py",
    ),
    Guard(
        "pages of the outside systems answer to their own name alone",
        "proposals/demonstration/outside.py",
        "if not self.is_addressed_to_us():",
        "if False:",
        "tests/proposals/demonstration/test_provider.py",
    ),
    Guard(
        "mails are shown escaped",
        "proposals/demonstration/mailbox.py",
        "escape(words(said))",
        "words(said)",
        "tests/proposals/demonstration/test_mailbox.py",
    ),
]
