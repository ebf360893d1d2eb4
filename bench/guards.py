"""Removes every safety check in turn, and shows that some test fails for each.

    python -m bench.guards            all of them, each against the tests that it names
    python -m bench.guards fence ...  only those whose name contains a word

A check in front of another that guards the same is not listed: of the one live undo, the database's
constraint is the guard.

Works on a copy of the tree, so that nothing is lost when it is interrupted. Exits 1 if a check can
go without a test noticing.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LEFT_BEHIND = shutil.ignore_patterns(".git", ".venv", "var", "__pycache__", ".hypothesis", ".mypy*")


FAILED, HUNG = 1, -1  # without some checks a proposal goes round and round, and tests with it
PATIENCE_SECONDS = 240


@dataclass(frozen=True)
class Guard:
    """One safety check: the code that is it, what stands there without it, and who would notice."""

    name: str
    file: str
    code: str
    without: str
    tests: str


def guard(name: str, file: str, code: str, without: str, tests: str) -> Guard:
    return Guard(name, file, code, without, tests)


P = "tests/proposals/"
EXECUTION, SERVICES, CHECKS = P + "test_execution.py", P + "test_services.py", P + "test_checks.py"
DATABASES = P + "test_databases.py"
BUDGETS, ACCOUNTS = P + "test_budgets.py", "tests/budgets/test_accounts.py"
SET_UP, SIGN_IN, INVITATIONS = (
    "tests/test_setup.py",
    "tests/test_sign_in.py",
    "tests/test_invitations.py",
)
ATTESTING = "proposals/services/attesting.py"
OUTCOMES, OUTCOME_PAGES = P + "test_outcomes.py", P + "test_outcome_pages.py"
IDEMPOTENCY, API = P + "test_idempotency.py", P + "test_api.py"

GUARDS = [
    # The lifecycle
    guard(
        "only legal transitions",
        "proposals/lifecycle.py",
        "if to not in TRANSITIONS[Status(proposal.status)]:",
        "if False:",
        P + "test_lifecycle.py",
    ),
    guard(
        "what is observed is never approved",
        "proposals/lifecycle.py",
        "if proposal.is_observed and to not in OBSERVABLE:",
        "if False:",
        P + "test_observing.py",
    ),
    guard(
        "what is observed is never claimed",
        "proposals/execution.py",
        "    if proposal.is_observed:\n        return observing.SENTENCE\n",
        "",
        P + "test_observing.py",
    ),
    guard(
        "no execution of what is observed",
        "proposals/models/execution.py",
        "if proposal.is_observed:",
        "if False:",
        P + "test_observing.py",
    ),
    guard(
        "an observed agent writes nothing that was approved before",
        "proposals/freezing.py",
        "if proposal.agent.is_observed:",
        "if False:",
        P + "test_observing.py",
    ),
    guard(
        "the undo that an owner asks for needs somebody else",
        "proposals/gate.py",
        "if proposal.compensates_id and proposal.proposer and not may_undo(proposal):",
        "if False:",
        P + "test_agents_pages.py",
    ),
    guard(
        "owners see what is theirs alone",
        "proposals/ownership.py",
        "Q(agent__owner=user) | Q(proposer=user) | Q(compensates__agent__owner=user)",
        "Q()",
        P + "test_agents_pages.py",
    ),
    guard(
        "tokens are kept by operators and owners alone",
        "proposals/services/agents.py",
        "if not may_keep(person, agent):",
        "if False:",
        P + "test_agents_pages.py",
    ),
    guard(
        "a new round for every entry to submitted",
        "proposals/lifecycle.py",
        'changes |= {"round": proposal.round + 1, "due_at": at}',
        'changes |= {"due_at": at}',
        P + "test_lifecycle.py",
    ),
    guard(
        "what ends without a write releases its budgets",
        "proposals/lifecycle.py",
        "accounts.release(proposal_id, at)",
        "pass",
        BUDGETS,
    ),
    guard(
        "what is committed captures its budgets",
        "proposals/lifecycle.py",
        "accounts.capture(proposal_id, at)",
        "pass",
        BUDGETS,
    ),
    # Idempotency
    guard(
        "another body under the same key is refused",
        "proposals/idempotency.py",
        "if used.fingerprint != fingerprint:",
        "if False:",
        IDEMPOTENCY,
    ),
    # Checks and the gate
    guard(
        "a late check never lands",
        "proposals/checks.py",
        "if proposal.status != Status.SUBMITTED or proposal.round != started.round:",
        "if proposal.status != Status.SUBMITTED:",
        CHECKS,
    ),
    guard(
        "a check of what moved on never lands",
        "proposals/checks.py",
        "if proposal.status != Status.SUBMITTED or proposal.round != started.round:",
        "if proposal.round != started.round:",
        CHECKS,
    ),
    guard(
        "looser rules let nothing through that waits",
        "proposals/checks.py",
        "verdict = never_looser(proposal, revision, verdict)",
        "pass",
        CHECKS,
    ),
    guard(
        "what is not approvable is not approved by earlier approvals",
        "proposals/checks.py",
        "given >= check.approvals and check.is_approvable",
        "given >= check.approvals - 1",
        f"{CHECKS} {SERVICES}",
    ),
    guard(
        "a failed preview means people",
        "proposals/gate.py",
        "if findings.error:",
        "if False:",
        P + "test_gate.py",
    ),
    guard(
        "an undo over a later change means people",
        "proposals/gate.py",
        "if findings.conflicts:",
        "if False:",
        P + "test_gate.py",
    ),
    guard(
        "a clean undo has no conflicts",
        "proposals/gate.py",
        "        and not findings.conflicts\n",
        "",
        P + "test_gate.py",
    ),
    guard(
        "an amended undo is no clean undo",
        "proposals/gate.py",
        "        and revision.number == 1\n",
        "",
        SERVICES,
    ),
    guard(
        "an undo at high tier takes others",
        "proposals/gate.py",
        "        and verdict.tier in {Tier.LOW, Tier.MEDIUM}\n",
        "",
        P + "test_gate.py",
    ),
    guard(
        "an amended undo means people",
        "proposals/gate.py",
        "if proposal.compensates_id and revision.number > 1:",
        "if False:",
        SERVICES,
    ),
    guard(
        "a possible duplicate means people",
        "proposals/gate.py",
        "if proposal.duplicate_of_id:",
        "if False:",
        P + "test_gate.py",
    ),
    guard(
        "three re-checks in a row mean people",
        "proposals/gate.py",
        "if proposal.rechecks >= settings.RECHECKS_BEFORE_PEOPLE:",
        "if False:",
        EXECUTION,
    ),
    guard(
        "hidden characters raise the tier",
        "proposals/gate.py",
        "if hides_text(revision):",
        "if False:",
        CHECKS,
    ),
    # Decisions
    guard(
        "another digest is not decided on",
        "proposals/services/decisions.py",
        "if check is not None and digest != check.digest:",
        "if False:",
        SERVICES,
    ),
    guard(
        "only what is pending is decided on",
        "proposals/services/decisions.py",
        "    require(proposal, Status.PENDING)\n    if check",
        "    if check",
        SERVICES,
    ),
    guard(
        "who is not eligible does not decide",
        "proposals/services/decisions.py",
        "if objection := seats.ineligibility(reviewer, proposal, check):",
        "if objection := '':",
        SERVICES,
    ),
    guard(
        "what cannot be approved is not approved",
        "proposals/services/decisions.py",
        "if not check.is_approvable:",
        "if False:",
        SERVICES,
    ),
    guard(
        "one person fills one seat",
        "proposals/services/decisions.py",
        "if objection := seats.refusal_of_another(reviewer, proposal, check):",
        'if objection := "":',
        SERVICES,
    ),
    guard(
        "at high tier a fact is typed",
        "proposals/services/decisions.py",
        "if fact.strip() != expected_fact(check):",
        "if False:",
        SERVICES,
    ),
    guard(
        "enough approvals before it is approved",
        "proposals/services/decisions.py",
        "if len(given) >= check.approvals:",
        "if True:",
        SERVICES,
    ),
    guard(
        "the owner of an agent does not decide",
        "proposals/seats.py",
        "if proposal.agent and person(user) == person(proposal.agent.owner):",
        "if False:",
        SERVICES,
    ),
    guard(
        "whoever proposed does not decide",
        "proposals/seats.py",
        "if proposal.proposer_id and person(user) == person(proposal.proposer):",
        "if False:",
        f"{SERVICES} {P}test_seats.py",
    ),
    guard(
        "whoever wrote the revision does not decide",
        "proposals/seats.py",
        'if revision.author == f"user:{user.pk}":',
        "if False:",
        P + "test_seats.py",
    ),
    guard(
        "deciding takes the tier's right",
        "proposals/seats.py",
        "if not rights.has(user, right_for(check.tier)):",
        "if False:",
        f"{SERVICES} {P}test_seats.py",
    ),
    guard(
        "deciding takes the rule's group",
        "proposals/seats.py",
        "if check.group_names and not rights.groups_of(user) & set(check.group_names):",
        "if False:",
        P + "test_seats.py",
    ),
    guard(
        "approvals of people who lost the right do not count",
        "proposals/seats.py",
        "if not ineligibility(review.reviewer, proposal, check):",
        "if True:",
        EXECUTION,
    ),
    # The commit protocol
    guard(
        "only a due row is claimed",
        "proposals/execution.py",
        "        Execution.objects.due(now)\n",
        "        Execution.objects.open()\n",
        EXECUTION,
    ),
    guard(
        "every claim raises the fence",
        "proposals/execution.py",
        "    execution.fence += 1\n    execution.status",
        "    execution.status",
        EXECUTION,
    ),
    guard(
        "a fence that moved changes nothing",
        "proposals/attempts.py",
        "filter(pk=execution.pk, fence=execution.fence)\n    return held.update",
        "filter(pk=execution.pk)\n    return held.update",
        EXECUTION,
    ),
    guard(
        "the approval was for this check",
        "proposals/execution.py",
        "if proposal.status != Status.APPROVED or proposal.current_check_id != check.pk:",
        "if False:",
        EXECUTION + " " + P + "test_claim.py",
    ),
    guard(
        "what expired is not written",
        "proposals/execution.py",
        "    if proposal.expires_at <= now:\n",
        "    if False:\n",
        EXECUTION,
    ),
    guard(
        "a lost grant stops the write",
        "proposals/execution.py",
        "if proposal.proposer_id is None and not may_still_propose(proposal):",
        "if False:",
        EXECUTION,
    ),
    guard(
        "stricter rules stop the write",
        "proposals/execution.py",
        "if policy.is_stricter(verdict, gate.as_verdict(check)):",
        "if False:",
        EXECUTION,
    ),
    guard(
        "approvals are counted again at the claim",
        "proposals/execution.py",
        "if check.effect == Effect.REVIEW and len(seats.approvals(proposal, check)) "
        "< check.approvals:",
        "if False:",
        EXECUTION,
    ),
    guard(
        "a worker that dies each time does not loop",
        "proposals/execution.py",
        "if execution.fence >= settings.EXECUTION_MAX_ATTEMPTS:",
        "if False:",
        EXECUTION,
    ),
    guard(
        "a key is voided before it counts as not applied",
        "proposals/settling.py",
        "outcome = registry.get(claim.proposal.action).void(claim.params, key=claim.execution.key)",
        "outcome = None",
        EXECUTION,
    ),
    guard(
        "a new generation after a return",
        "proposals/settling.py",
        "        generation=proposal.generation + 1,\n        rechecks",
        "        rechecks",
        EXECUTION,
    ),
    guard(
        "a freeze stops the claim",
        "proposals/execution.py",
        "    if stop := freezing.stop_for(proposal):\n        hold(proposal, execution, now, stop, "
        "settings.HELD_RETRY_SECONDS)\n        return None",
        "    if False:\n        return None",
        BUDGETS,
    ),
    guard(
        "a freeze stops the intent",
        "proposals/execution.py",
        "    if stop := freezing.stop_for(proposal):\n        step_back(",
        "    if stop := '':\n        step_back(",
        BUDGETS,
    ),
    guard(
        "the write is counted when it happens",
        "proposals/execution.py",
        "now = accounts.restamp(str(proposal.pk)) or now",
        "pass",
        BUDGETS,
    ),
    # Endings
    guard(
        "what a worker has is not withdrawn",
        "proposals/services/endings.py",
        "    if execution.status != Execution.Status.QUEUED:\n        raise",
        "    if False:\n        raise",
        SERVICES,
    ),
    guard(
        "what is not past its deadline does not expire",
        "proposals/services/endings.py",
        "if Status(proposal.status) not in OPEN or proposal.expires_at > now:",
        "if Status(proposal.status) not in OPEN:",
        SERVICES,
    ),
    guard(
        "a retry has a new generation",
        "proposals/services/endings.py",
        "        generation=proposal.generation + 1,\n",
        "",
        SERVICES,
    ),
    # Intake
    guard(
        "what is not granted is not proposed",
        "proposals/services/submission.py",
        "if action.is_internal or not agent.may_propose(name):",
        "if action.is_internal:",
        API + " " + P + "test_api_verbs.py",
    ),
    guard(
        "internal actions are not proposed",
        "proposals/services/submission.py",
        "if action.is_internal or not agent.may_propose(name):",
        "if not agent.may_propose(name):",
        API + " " + P + "test_api_verbs.py",
    ),
    guard(
        "nothing is taken while everything is frozen",
        "proposals/services/submission.py",
        "    if freezing.is_everything_frozen():\n        raise WritesFrozen\n",
        "",
        BUDGETS,
    ),
    guard(
        "a full queue takes no more",
        "proposals/services/submission.py",
        "if Proposal.objects.of(agent).open()[:most].count() >= most:",
        "if False:",
        BUDGETS,
    ),
    # Budgets
    guard(
        "no more than the cap",
        "budgets/accounts.py",
        "    if used + amount <= budget.limit:\n        return used",
        "    if True:\n        return used",
        ACCOUNTS,
    ),
    guard(
        "the window rolls",
        "budgets/models.py",
        "return held if window is None else held.filter(counted_at__gt=now - window)",
        "return held",
        ACCOUNTS,
    ),
    guard(
        "what was released does not count",
        "budgets/models.py",
        "held = self.exclude(status=Reservation.Status.RELEASED)",
        "held = self.all()",
        ACCOUNTS,
    ),
    # Tokens and rights
    guard(
        "a token's secret is compared",
        "proposals/tokens.py",
        "if not hmac.compare_digest(known, hashed(token)) or stored is None:",
        "if stored is None:",
        P + "test_tokens.py",
    ),
    guard(
        "an operator's token is compared",
        "proposals/operator_tokens.py",
        "if not hmac.compare_digest(known, hashed(token)) or stored is None:",
        "if stored is None:",
        P + "test_operators_api.py",
    ),
    guard(
        "an operator's token ends with its time, its person, or a word",
        "proposals/operator_tokens.py",
        "return None if is_over or not stored.person.is_active else stored",
        "return stored",
        P + "test_operators_api.py",
    ),
    guard(
        "another agent's proposal does not exist",
        "proposals/models/proposal.py",
        "return self.filter(agent=agent)",
        "return self.all()",
        API + " " + P + "test_api_verbs.py",
    ),
    guard(
        "a flood is judged anew each second",
        "proposals/api/flood.py",
        "if sender and sender.second == second and",
        "if sender and",
        P + "test_budgets.py",
    ),
    guard(
        "expired and revoked tokens are refused",
        "proposals/tokens.py",
        "if stored.revoked_at is not None or stored.expires_at <= now:",
        "if False:",
        P + "test_tokens.py",
    ),
    guard(
        "lifting a freeze takes its own right",
        "proposals/services/stopping.py",
        "    require_right(person, rights.LIFT, None)\n    if not reason",
        "    if not reason",
        BUDGETS,
    ),
    # People
    guard(
        "approving at high tier takes a recent sign-in",
        "proposals/services/decisions.py",
        "if verdict is Review.Decision.APPROVE and is_high(check):",
        "if False:",
        SIGN_IN,
    ),
    guard(
        "half of a sign-in proves nothing",
        "proposals/sign_ins.py",
        'if facts.get("reauthenticated"):',
        "if True:",
        SIGN_IN,
    ),
    guard(
        "an agent's account is never signed in",
        "proposals/authentication.py",
        'super().user_can_authenticate(user) and not hasattr(user, "agent")',
        "super().user_can_authenticate(user)",
        SIGN_IN,
    ),
    guard(
        "the set-up code is compared",
        "proposals/console/entrance.py",
        'if not setup_code.matches(form.cleaned_data["code"]):',
        "if False:",
        SET_UP,
    ),
    guard(
        "the set-up code works once",
        "proposals/console/entrance.py",
        "    setup_code.forget()\n    return made",
        "    return made",
        SET_UP,
    ),
    guard(
        "set-up is gone once there is an administrator",
        "proposals/console/entrance.py",
        "if people.has_administrator():",
        "if False:",
        SET_UP,
    ),
    guard(
        "tries of the set-up code are limited",
        "proposals/console/entrance.py",
        'if is_too_much(request, "setup"):',
        "if False:",
        SET_UP,
    ),
    guard(
        "inviting takes the right to manage people",
        "proposals/services/people.py",
        "if not rights.has(person, rights.MANAGE_PEOPLE):",
        "if False:",
        INVITATIONS,
    ),
    guard(
        "an invitation lets one person in, in its time",
        "proposals/services/people.py",
        "if found is None or not found.is_open(now):",
        "if found is None:",
        INVITATIONS,
    ),
    guard(
        "nobody manages their own account",
        "proposals/services/people.py",
        "if found.pk == person.pk:",
        "if False:",
        INVITATIONS,
    ),
    guard(
        "nobody gives themselves a group in the admin",
        "proposals/admin/accounts.py",
        "if obj is not None and obj.pk == request.user.pk else fixed",
        "if False else fixed",
        INVITATIONS,
    ),
    guard(
        "nobody gives a right to their own group",
        "proposals/admin/accounts.py",
        "if obj is not None and request.user.groups.filter(pk=obj.pk).exists():",
        "if False:",
        INVITATIONS,
    ),
    guard(
        "deactivating ends sessions for good",
        "proposals/services/people.py",
        '        end_sessions(found)\n        record("user.deactivated"',
        '        record("user.deactivated"',
        INVITATIONS,
    ),
    guard(
        "an older write waits until the newer one to the same object is undone",
        "proposals/services/run_undoing.py",
        "elif not in_the_way and due_at is None:",
        "elif due_at is None:",
        P + "test_undo_run.py",
    ),
    guard(
        "an undo that nobody could approve keeps no place",
        "proposals/services/run_undoing.py",
        "transition(undo, Status.WITHDRAWN, actor=ACTOR, reason=note[:500])",
        "pass",
        P + "test_undo_run.py",
    ),
    guard(
        "whoever lost the right to undo asks for nothing more",
        "proposals/services/run_undoing.py",
        'return State.FAILED, "Whoever asked for this may no longer undo."',
        "pass",
        P + "test_undo_run.py",
    ),
    guard(
        "only a rule that was tried is saved",
        "proposals/console/rule_pages.py",
        'if page.outdated or request.POST.get("seen") != page.seen:',
        "if page.outdated:",
        P + "test_always_allow.py",
    ),
    guard(
        "a rule that would allow high tier or the irreversible is refused",
        "proposals/services/rulemaking.py",
        'raise invalid("condition", "too-wide", why)',
        "pass",
        P + "test_always_allow.py",
    ),
    guard(
        "an exception is not made in a rule that changed meanwhile",
        "proposals/services/rulemaking.py",
        "if one.version != exceptions[one.pk]:",
        "if False:",
        P + "test_always_allow.py",
    ),
    guard(
        "what was described anew is not claimed for a write",
        "proposals/execution.py",
        "if checks.definition_of(proposal.action, revision.params) != check.definition:",
        "if False:",
        DATABASES,
    ),
    guard(
        "what was switched off meets no intent",
        "proposals/execution.py",
        "if not claim.had_intent and is_described_anew(claim):",
        "if False:",
        DATABASES,
    ),
    guard(
        "what waits is checked again when its table changes",
        "proposals/dispatch.py",
        "Proposal.objects.filter(moved | Q(current_check__definition__in=returned))",
        "Proposal.objects.none()",
        DATABASES,
    ),
    guard(
        "the product's own database is connected by nobody",
        "proposals/services/databases.py",
        "    if is_own(database):",
        "    if False:",
        DATABASES,
    ),
    guard(
        "a stored password is sent nowhere else",
        "proposals/services/databases.py",
        "if has_moved and not password and database.password_version:",
        "if False:",
        DATABASES,
    ),
    guard(
        "a table is kept only as its example was shown",
        "proposals/console/table_pages.py",
        'if self.request.POST.get("seen") == digest(definition):',
        'if self.request.POST.get("seen"):',
        P + "test_table_pages.py",
    ),
    guard(
        "a secret opens under its own name alone",
        "proposals/vault.py",
        "if inside != name:",
        "if False:",
        P + "test_secrets.py",
    ),
    guard(
        "log lines hide secrets",
        "proposals/redaction.py",
        "return redact(super().format(record))",
        "return super().format(record)",
        P + "test_secrets.py",
    ),
    guard(
        "a letter is judged once more when it is sent",
        "proposals/notices/words.py",
        "elif audience.concerns(person, notice):",
        "elif True:",
        P + "test_notices.py",
    ),
    guard(
        "a claim gives a letter to one sender",
        "proposals/notices/sending.py",
        "taken = Letter.objects.due(now).filter(pk=letter_id)",
        "taken = Letter.objects.filter(pk=letter_id)",
        P + "test_notices.py",
    ),
    guard(
        "nothing in a letter is hidden",
        "proposals/notices/words.py",
        "return text.plain(str(value), limit)",
        "return str(value)[:limit]",
        P + "test_mail.py",
    ),
    guard(
        "nothing that an agent wrote becomes a link",
        "proposals/notices/words.py",
        'return LINKS.sub(lambda match: f"[{match[0]}]", line(value, limit))',
        "return line(value, limit)",
        P + "test_mail.py",
    ),
    guard(
        "webhooks reach no private network",
        "proposals/notices/webhooks.py",
        "if not is_listed(host) and not all(is_public(one) for one in found):",
        "if False:",
        P + "test_webhooks.py",
    ),
    guard(
        "webhooks go to the address that was examined",
        "proposals/notices/webhooks.py",
        "socket.create_connection((self.address, self.port), self.timeout)",
        "socket.create_connection((self.host, self.port), self.timeout)",
        P + "test_webhooks.py",
    ),
    guard(
        "seniors hear what waits at high tier",
        "proposals/services/notices.py",
        "if high == OFF and audience.must_hear(person, Tier.HIGH):",
        "if False:",
        P + "test_notices.py",
    ),
    # What people vouch for
    guard(
        "settling an unknown outcome takes the right",
        ATTESTING,
        "    if not rights.has(person, rights.RETRY):\n        return",
        "    if False:\n        return",
        OUTCOMES,
    ),
    guard(
        "nobody settles what their own agent did",
        ATTESTING,
        "if proposal.agent and seats.person(person) == seats.person(proposal.agent.owner):",
        "if False:",
        OUTCOMES,
    ),
    guard(
        "nobody settles what they proposed",
        ATTESTING,
        "if proposal.proposer_id and seats.person(person) == seats.person(proposal.proposer):",
        "if False:",
        OUTCOME_PAGES,
    ),
    guard(
        "money takes two people who find the same",
        ATTESTING,
        "len(who) >= people_needed(execution)",
        "len(who) >= 1",
        OUTCOMES,
    ),
    guard(
        "two people are two, by whatever account",
        ATTESTING,
        "latest[seats.person(each.person)] = each",
        "latest[str(each.person_id)] = each",
        OUTCOME_PAGES,
    ),
    guard(
        "only the same findings add up",
        ATTESTING,
        " if each.claim == given.claim]",
        "]",
        OUTCOMES,
    ),
    guard(
        "whoever lost the right does not count",
        ATTESTING,
        "if not ineligibility(each.person, proposal):",
        "if True:",
        OUTCOMES,
    ),
    guard(
        "where two people are needed, each signed in lately",
        ATTESTING,
        "if finding != Finding.CANNOT_TELL and people_needed(execution) > 1:",
        "if False:",
        OUTCOME_PAGES,
    ),
    guard(
        "applied needs the target's reference",
        ATTESTING,
        "if finding == Finding.APPLIED and not reference:",
        "if False:",
        OUTCOMES,
    ),
    guard(
        "not applied needs evidence",
        ATTESTING,
        "if not evidence and finding != Finding.APPLIED:",
        "if False:",
        OUTCOMES,
    ),
    guard(
        "not applied needs the tick that a retry is safe",
        ATTESTING,
        "if finding == Finding.NOT_APPLIED and not retry_is_safe:",
        "if False:",
        OUTCOMES,
    ),
    guard(
        "people wait while the machine is asking",
        ATTESTING,
        "if execution.lease_until is not None and execution.lease_until > now:",
        "if False:",
        OUTCOMES,
    ),
    guard(
        "trying a target takes the right",
        ATTESTING,
        "    if not rights.has(person, rights.RETRY):\n"
        '        raise NotEligible("Trying a target takes the right of an operator.")\n',
        "",
        OUTCOME_PAGES,
    ),
    guard(
        "having a target asked takes the right",
        ATTESTING,
        "    if not rights.has(person, rights.RETRY):\n"
        '        raise NotEligible("Asking the target takes the right of an operator.")\n',
        "",
        OUTCOME_PAGES,
    ),
    guard(
        "asking sooner proves no absence",
        "proposals/resolving.py",
        "    at = settled\n    if not sooner:\n",
        "    at = now if sooner else settled\n    if not sooner:\n",
        OUTCOME_PAGES,
    ),
    guard(
        "a second person looks the reference up",
        "proposals/console/outcomes.py",
        "is_blind = self.may_say and self.needed > 1",
        "is_blind = False",
        OUTCOME_PAGES,
    ),
    guard(
        "an agent's owner is no second person, and not asked to be",
        "proposals/notices/audience.py",
        "if notice.kind == Kind.SECOND and not is_independent(person, notice):",
        "if False:",
        P + "test_outcome_notices.py",
    ),
    guard(
        "what is unknown is not undone",
        "proposals/services/undoing.py",
        "    if proposal.status == Status.UNKNOWN:\n",
        "    if False:\n",
        OUTCOME_PAGES,
    ),
]


def main(words: list[str]) -> int:
    chosen = [one for one in GUARDS if not words or any(word in one.name for word in words)]
    unnoticed = [one for one in chosen if not is_noticed(one)]
    print(f"\n{len(chosen)} checks removed in turn, {len(unnoticed)} that no test noticed")
    for one in unnoticed:
        print(f"  {one.name} ({one.file})")
    return 1 if unnoticed else 0


def is_noticed(one: Guard) -> bool:
    """Whether a test fails on a copy of the tree without this check."""
    with tempfile.TemporaryDirectory(prefix="countersign-guards-") as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(ROOT, copy, ignore=LEFT_BEHIND)
        path = copy / one.file
        text = path.read_text()
        if text.count(one.code) != 1:
            raise SystemExit(f"{one.name}: its code stands {text.count(one.code)} times there.")
        path.write_text(text.replace(one.code, one.without))
        tests = [name for name in one.tests.split() if (copy / name).exists()]
        done = run_tests(copy, tests)
    verdict = "noticed" if done in {FAILED, HUNG} else f"NOT NOTICED (exit {done})"
    print(f"{verdict:12} {one.name}{' (the tests hung)' if done == HUNG else ''}", flush=True)
    return done in {FAILED, HUNG}


def run_tests(copy: Path, tests: list[str]) -> int:
    """How pytest ended: 1 when a test failed; HUNG when it did not end in time."""
    try:
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", *tests],
            cwd=copy,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=PATIENCE_SECONDS,
        ).returncode
    except subprocess.TimeoutExpired:
        return HUNG


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
