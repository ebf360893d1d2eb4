"""Tables and secrets of connected databases, and actions in code."""

from bench.guards.guard import Guard

GUARDS = [
    Guard(
        "a changed action is checked again",
        "proposals/targets/wiring.py",
        "        **loading.current().digests,\n",
        "",
        "tests/proposals/http_actions/test_services.py",
    ),
    Guard(
        "a mail address is one plain word",
        "proposals/actions/addresses.py",
        "if not LOCAL.fullmatch(local):",
        "if False:",
        "tests/proposals/test_email_addresses.py",
    ),
    Guard(
        "a listed domain is whole and exact",
        "proposals/actions/addresses.py",
        "if len(labels) < 2 or labels[-1].isdigit():",
        "if False:",
        "tests/proposals/test_email_addresses.py",
    ),
    Guard(
        "a header is one line, whatever came before",
        "proposals/actions/letters.py",
        "if not ONE_HEADER.fullmatch(value):",
        "if False:",
        "tests/proposals/test_email_letters.py",
    ),
    Guard(
        "a switched-off template is not in force",
        "proposals/targets/wiring.py",
        "        if not row.is_enabled:\n            found.closed[row.name] =",
        "        if False:\n            found.closed[row.name] =",
        "tests/proposals/test_email_templates.py",
    ),
    Guard(
        "the product's own database is connected by nobody",
        "proposals/services/databases.py",
        "    if is_own(database):",
        "    if False:",
        "tests/proposals/test_databases.py",
    ),
    Guard(
        "a stored password is sent nowhere else",
        "proposals/services/databases.py",
        "if has_moved and not password and database.password_version:",
        "if False:",
        "tests/proposals/test_databases.py",
    ),
    Guard(
        "a table is kept only as its example was shown",
        "proposals/console/table_pages.py",
        'if self.request.POST.get("seen") == digest(definition):',
        'if self.request.POST.get("seen"):',
        "tests/proposals/test_table_pages.py",
    ),
    Guard(
        "a secret opens under its own name alone",
        "proposals/vault.py",
        "if inside != name:",
        "if False:",
        "tests/proposals/test_secrets.py",
    ),
    Guard(
        "log lines hide secrets",
        "proposals/redaction.py",
        "return redact(super().format(record))",
        "return super().format(record)",
        "tests/proposals/test_secrets.py",
    ),
]
