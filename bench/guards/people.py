"""Who comes in, and who may do what."""

from bench.guards.guard import Guard

GUARDS = [
    Guard(
        "owners see what is theirs alone",
        "proposals/ownership.py",
        "Q(agent__owner=user) | Q(proposer=user) | Q(compensates__agent__owner=user)",
        "Q()",
        "tests/proposals/test_agents_pages.py",
    ),
    Guard(
        "tokens are kept by operators and owners alone",
        "proposals/services/agents.py",
        "if not may_keep(person, agent):",
        "if False:",
        "tests/proposals/test_agents_pages.py",
    ),
    Guard(
        "half of a sign-in proves nothing",
        "proposals/sign_ins.py",
        'if facts.get("reauthenticated"):',
        "if True:",
        "tests/test_sign_in.py",
    ),
    Guard(
        "an agent's account is never signed in",
        "proposals/authentication.py",
        'super().user_can_authenticate(user) and not hasattr(user, "agent")',
        "super().user_can_authenticate(user)",
        "tests/test_sign_in.py",
    ),
    Guard(
        "the set-up code is compared",
        "proposals/console/entrance.py",
        'if not setup_code.matches(form.cleaned_data["code"]):',
        "if False:",
        "tests/test_setup.py",
    ),
    Guard(
        "the set-up code works once",
        "proposals/console/entrance.py",
        "    setup_code.forget()\n    return made",
        "    return made",
        "tests/test_setup.py",
    ),
    Guard(
        "set-up is gone once there is an administrator",
        "proposals/console/entrance.py",
        "if people.has_administrator():",
        "if False:",
        "tests/test_setup.py",
    ),
    Guard(
        "tries of the set-up code are limited",
        "proposals/console/entrance.py",
        'if is_too_much(request, "setup"):',
        "if False:",
        "tests/test_setup.py",
    ),
    Guard(
        "inviting takes the right to manage people",
        "proposals/services/people.py",
        "if not rights.has(person, rights.MANAGE_PEOPLE):",
        "if False:",
        "tests/test_invitations.py",
    ),
    Guard(
        "an invitation lets one person in, in its time",
        "proposals/services/people.py",
        "if found is None or not found.is_open(now):",
        "if found is None:",
        "tests/test_invitations.py",
    ),
    Guard(
        "nobody manages their own account",
        "proposals/services/people.py",
        "if found.pk == person.pk:",
        "if False:",
        "tests/test_invitations.py",
    ),
    Guard(
        "deactivating ends sessions for good",
        "proposals/services/people.py",
        '        end_sessions(found)\n        record("user.deactivated"',
        '        record("user.deactivated"',
        "tests/test_invitations.py",
    ),
]
