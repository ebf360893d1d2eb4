"""Telling people."""

from bench.guards.guard import Guard

GUARDS = [
    Guard(
        "a letter is judged once more when it is sent",
        "proposals/notices/words.py",
        "elif audience.concerns(person, notice):",
        "elif True:",
        "tests/proposals/test_notices.py",
    ),
    Guard(
        "a claim gives a letter to one sender",
        "proposals/notices/sending.py",
        "taken = Letter.objects.due(now).filter(pk=letter_id)",
        "taken = Letter.objects.filter(pk=letter_id)",
        "tests/proposals/test_notices.py",
    ),
    Guard(
        "nothing in a letter is hidden",
        "proposals/notices/words.py",
        "return text.plain(str(value), limit)",
        "return str(value)[:limit]",
        "tests/proposals/test_mail.py",
    ),
    Guard(
        "nothing that an agent wrote becomes a link",
        "proposals/notices/words.py",
        'return LINKS.sub(lambda match: f"[{match[0]}]", line(value, limit))',
        "return line(value, limit)",
        "tests/proposals/test_mail.py",
    ),
    Guard(
        "seniors hear what waits at high tier",
        "proposals/services/notices.py",
        "if high == OFF and audience.must_hear(person, Tier.HIGH):",
        "if False:",
        "tests/proposals/test_notices.py",
    ),
    Guard(
        "an agent's owner is no second person, and not asked to be",
        "proposals/notices/audience.py",
        "if notice.kind == Kind.SECOND and not is_independent(person, notice):",
        "if False:",
        "tests/proposals/test_outcome_notices.py",
    ),
]
