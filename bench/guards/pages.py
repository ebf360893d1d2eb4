"""The console's pages and what they show."""

from bench.guards.guard import Guard

VALUES = "tests/proposals/test_values.py"
LABELS = "tests/proposals/test_value_labels.py"
STOPPING = "tests/proposals/admin/test_stopping.py"

GUARDS = [
    Guard(
        "the administration asks before it freezes",
        "proposals/admin/stopping.py",
        'if request.POST.get("step") != "freeze":',
        "if False:",
        STOPPING,
    ),
    Guard(
        "the administration says what is frozen already",
        "proposals/admin/stop_forms.py",
        "        if found:\n",
        "        if False:\n",
        STOPPING,
    ),
    Guard(
        "the administration gives no second reason to a suspension",
        "proposals/admin/stopping.py",
        "if agent.is_suspended == is_suspended:",
        "if False:",
        STOPPING,
    ),
    Guard(
        "a row is named by its described key and by no other",
        "proposals/actions/naming.py",
        'return place if other and other.label_column and other.key == key else ""',
        "return place",
        LABELS,
    ),
    Guard(
        "the name of a row that a key refers to shows what is hidden in it",
        "proposals/templatetags/console.py",
        "name = agent_text(told.name, LONGEST_WORD)",
        "name = told.name",
        LABELS,
    ),
    Guard(
        "a label of a value hides nothing from whoever keeps it",
        "proposals/console/value_labels.py",
        "one_line(value + label)",
        "str(value + label)",
        LABELS,
    ),
    Guard(
        "the whole of a text shows what is hidden in it",
        "proposals/text.py",
        'return "\\n".join(plain(line) for line in value.split("\\n"))',
        "return value",
        VALUES,
    ),
    Guard(
        "the whole of a text is of a check of the same proposal",
        "proposals/console/whole_text.py",
        'found = proposal.checks.filter(pk=number(asked, "check"))',
        'found = Check.objects.filter(pk=number(asked, "check"))',
        VALUES,
    ),
    Guard(
        "a page's link to the whole of a text is for people",
        "proposals/console/whole_text.py",
        "@owners_too\n",
        "",
        VALUES,
    ),
    Guard(
        "only a rule that was tried is saved",
        "proposals/console/rule_pages.py",
        'if page.outdated or request.POST.get("seen") != page.seen:',
        "if page.outdated:",
        "tests/proposals/test_always_allow.py",
    ),
    Guard(
        "bytes that do not hash to the digest of a check are said to be wrong",
        "proposals/console/versions.py",
        "self.is_as_stored = self.digest == check.digest",
        "self.is_as_stored = True",
        "tests/proposals/test_versions.py",
    ),
    Guard(
        "a name that only looks like a known one is marked",
        "proposals/console/look_alikes.py",
        'return min(others, default="")',
        'return ""',
        "tests/proposals/test_look_alikes.py",
    ),
    Guard(
        "what somebody typed before signing in is shown to nobody else who signs in",
        "proposals/console/typed.py",
        "if person == request.user.pk:",
        "if True:",
        "tests/proposals/test_typed.py",
    ),
    Guard(
        "superuser status opens no page of the admin that changes rules or reads the ledger",
        "ledger/readonly_admin.py",
        "return access.holds(request.user, self.opts.app_label, codename)",
        'return request.user.has_perm(f"{self.opts.app_label}.{codename}")',
        "tests/proposals/test_rights_pages.py",
    ),
    Guard(
        "what a verb refuses of a page of the administration is a message at its form",
        "proposals/admin/base.py",
        "except (ProposalError, ValidationError) as refusal:",
        "except ZeroDivisionError as refusal:",
        "tests/proposals/admin/test_editing.py",
    ),
    Guard(
        "what a verb refused of a page is not saved when it is shown again",
        "proposals/admin/base.py",
        "self.add_error(None, [text.plain(said) for said in self.refusal])",
        "pass",
        "tests/proposals/admin/test_editing.py",
    ),
]
