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
HTTP = P + "http_actions/"
BUDGETS, ACCOUNTS = P + "test_budgets.py", "tests/budgets/test_accounts.py"
SET_UP, SIGN_IN, INVITATIONS = (
    "tests/test_setup.py",
    "tests/test_sign_in.py",
    "tests/test_invitations.py",
)
OUTCOMES, RESOLVING = P + "test_outcomes.py", "proposals/resolving.py"
OUTBOUND = P + "outbound/"
ADDRESSES, CLIENT = "proposals/outbound/addresses.py", "proposals/outbound/client.py"
IDEMPOTENCY, API = P + "test_idempotency.py", P + "test_api.py"

GUARDS = [
    # The pages of actions over HTTP
    guard(
        "an action over HTTP is kept only as it was seen",
        "proposals/console/http_editor.py",
        'if wanted == "keep" and self.request.POST.get("seen") == self.meaning.seen:',
        'if wanted == "keep":',
        HTTP + "test_pages.py",
    ),
    guard(
        "a change is kept over nothing but what was seen",
        "proposals/console/http_meaning.py",
        "former = self.stored.definition if self.stored else None",
        "former = None",
        HTTP + "test_pages.py",
    ),
    guard(
        "a new definition takes no other's place",
        "proposals/console/http_editor.py",
        "elif self.found is None and meaning.stored is not None:",
        "elif False:",
        HTTP + "test_pages.py",
    ),
    guard(
        "a change is of the action that was opened",
        "proposals/console/http_editor.py",
        "if self.found is not None and name != self.found.name:",
        "if False:",
        HTTP + "test_pages.py",
    ),
    guard(
        "definitions are imported only as they were seen",
        "proposals/console/http_actions.py",
        'if request.POST.get("do") == "keep" and request.POST.get("seen") == seen:',
        'if request.POST.get("do") == "keep":',
        HTTP + "test_pages.py",
    ),
    guard(
        "what the form cannot say is shown as YAML",
        "proposals/console/http_editor.py",
        "if view != YAML and raw is not BLANK and not can_show(raw):",
        "if False:",
        HTTP + "test_pages.py",
    ),
    guard(
        "a secret that is needed is forgotten only if that is meant",
        "proposals/console/secrets.py",
        'if needs_tick and request.POST.get("is_meant") != "on":',
        "if False:",
        HTTP + "test_secret_pages.py",
    ),
    guard(
        "a new secret takes no other's place",
        "proposals/console/secrets.py",
        "if found is None and NamedSecret.objects.filter(name=chosen).exists():",
        "if False:",
        HTTP + "test_secret_pages.py",
    ),
    guard(
        "a secret is hidden as soon as it is typed",
        "proposals/console/secrets.py",
        "redaction.remember(value)",
        "",
        HTTP + "test_secret_pages.py",
    ),
    # Actions over HTTP
    guard(
        "actions are defined by whoever has the right",
        "proposals/services/secrets.py",
        "if person is not None and not rights.has(person, rights.CONFIGURE_ACTIONS):",
        "if False:",
        HTTP + "test_services.py",
    ),
    guard(
        "operators try only what is stored",
        "proposals/services/http_actions.py",
        "if not (looks_after and is_stored(found)):",
        "if not looks_after:",
        HTTP + "test_services.py",
    ),
    guard(
        "an action that is off sends nothing",
        "proposals/http_actions/base.py",
        "        if self.closed:\n            raise TargetUnavailable(",
        "        if False:\n            raise TargetUnavailable(",
        HTTP + "test_services.py",
    ),
    guard(
        "an action that is off is not previewed",
        "proposals/http_actions/base.py",
        "        if self.closed:\n            raise TargetRefused(self.closed)",
        "        pass",
        HTTP + "test_services.py",
    ),
    guard(
        "what people approve names the definition",
        "proposals/http_actions/base.py",
        "as its definition {said} says.",
        "as its definition says.",
        HTTP + "test_services.py",
    ),
    guard(
        "a changed action is checked again",
        "proposals/dispatch.py",
        "in_force = (tables.current().digests, loading.current().digests)",
        "in_force = (tables.current().digests,)",
        HTTP + "test_services.py",
    ),
    guard(
        "a definition has no name of an action in code",
        "proposals/services/http_actions.py",
        "if name in registry.actions:",
        "if False:",
        HTTP + "test_services.py",
    ),
    guard(
        "secrets go to their own place alone",
        "proposals/http_actions/calling.py",
        "if row.origin != origin:",
        "if False:",
        HTTP + "test_named_secrets.py",
    ),
    guard(
        "secrets are hidden in what providers repeat",
        "proposals/http_actions/calling.py",
        'return redaction.redact(text.encode(errors="replace").decode())',
        'return (text.encode(errors="replace").decode())',
        HTTP + "test_named_secrets.py",
    ),
    guard(
        "secrets are hidden however they are spelt",
        "proposals/http_actions/calling.py",
        "    for spelling in spellings:\n",
        "    for spelling in [value]:\n",
        HTTP + "test_named_secrets.py",
    ),
    guard(
        "a secret begins no header",
        "proposals/services/secrets.py",
        "if not VALUE.fullmatch(value):",
        "if False:",
        HTTP + "test_named_secrets.py",
    ),
    guard(
        "a value stays in its segment of a path",
        "proposals/http_actions/templating.py",
        'return quote(plain(value), safe="")',
        "return plain(value)",
        HTTP + "test_templating.py",
    ),
    guard(
        "no slash gets into a path",
        "proposals/http_actions/templating.py",
        "if NOT_IN_A_PATH.search(plain(value)):",
        "if False:",
        HTTP + "test_templating.py",
    ),
    guard(
        "no dots lead out of a path",
        "proposals/http_actions/templating.py",
        'if any(part in {".", ".."} for part in whole.split("/")):',
        "if False:",
        HTTP + "test_templating.py",
    ),
    guard(
        "a header is one line",
        "proposals/http_actions/templating.py",
        "if not isinstance(made, LeftOut) and not HEADER_VALUE.fullmatch(made):",
        "if False:",
        HTTP + "test_templating.py",
    ),
    guard(
        "what does not fit a request is refused at once",
        "proposals/http_actions/action.py",
        "        if wrong:\n",
        "        if False:\n",
        HTTP + "test_definitions.py",
    ),
    guard(
        "free text speaks in no sentence",
        "proposals/http_actions/soundness.py",
        'if definition.parameters[name.partition(".")[0]].is_closed',
        "if True",
        HTTP + "test_definitions.py",
    ),
    guard(
        "no secret is written into a definition",
        "proposals/http_actions/soundness.py",
        "if SECRETIVE.search(name) and value and not templating.slots_or_none(value):",
        "if False:",
        HTTP + "test_definitions.py",
    ),
    guard(
        "a delete is not on the menu",
        "proposals/http_actions/soundness.py",
        'if definition.request.method == "DELETE":',
        "if False:",
        HTTP + "test_definitions.py",
    ),
    guard(
        "no definition has a free address",
        "proposals/http_actions/soundness.py",
        "if not is_origin(definition.origin):",
        "if False:",
        HTTP + "test_definitions.py",
    ),
    guard(
        "no aliases in YAML",
        "proposals/http_actions/reading.py",
        'if self.check_event(yaml.AliasEvent) or getattr(self.peek_event(), "anchor", None):',
        "if False:",
        HTTP + "test_definitions.py",
    ),
    guard(
        "no name twice in YAML",
        "proposals/http_actions/reading.py",
        "if key in found:",
        "if False:",
        HTTP + "test_definitions.py",
    ),
    guard(
        "an answer that nobody listed is unknown",
        "proposals/http_actions/classing.py",
        "    if len(found) != 1:\n",
        "    if not found:\n        return Meaning(Class.NOT_APPLIED)\n    if len(found) != 1:\n",
        HTTP + "test_classing.py",
    ),
    guard(
        "a success without its reference is unknown",
        "proposals/http_actions/classing.py",
        '    if not reference:\n        why = f"It answered {answer.status} without',
        '    if False:\n        why = f"It answered {answer.status} without',
        HTTP + "test_classing.py",
    ),
    guard(
        "a success that cannot be read is unknown",
        "proposals/http_actions/classing.py",
        'if write.answers.body == "json" and not is_readable:',
        "if False:",
        HTTP + "test_classing.py",
    ),
    guard(
        "an answer that was cut off is not read",
        "proposals/http_actions/classing.py",
        "    if is_cut:\n",
        "    if False:\n",
        HTTP + "test_classing.py",
    ),
    guard(
        "a list that goes on does not say absent",
        "proposals/http_actions/classing.py",
        "return NOTHING if ours or has_more else None",
        "return NOTHING if ours else None",
        HTTP + "test_classing.py",
    ),
    guard(
        "the target is compared before the intent",
        "proposals/http_actions/base.py",
        "if found != expected:",
        "if False:",
        HTTP + "test_writing.py",
    ),
    guard(
        "what must hold is looked at",
        "proposals/http_actions/looking.py",
        "if not any(same(fields[name], one) for one in accepted):",
        "if False:",
        HTTP + "test_writing.py",
    ),
    guard(
        "an undo takes only a call that the product made",
        "proposals/http_actions/undoing.py",
        "if not is_ours(self.name, valid):",
        "if False:",
        HTTP + "test_services.py",
    ),
    guard(
        "what was changed since is a conflict",
        "proposals/http_actions/undoing.py",
        "if fields.get(name) != wanted",
        "if False",
        HTTP + "test_writing.py",
    ),
    guard(
        "no more is touched than a definition allows",
        "proposals/http_actions/looking.py",
        "if at.at_most is not None and found > at.at_most:",
        "if False:",
        HTTP + "test_finding_out.py",
    ),
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
        "seniors hear what waits at high tier",
        "proposals/services/notices.py",
        "if high == OFF and audience.must_hear(person, Tier.HIGH):",
        "if False:",
        P + "test_notices.py",
    ),
    # The way out over HTTP
    guard(
        "requests reach no private network",
        ADDRESSES,
        "if not is_public(address):",
        "if False:",
        OUTBOUND + "test_ssrf.py",
    ),
    guard(
        "every answer of the name servers is examined",
        ADDRESSES,
        "for endpoint in found:",
        "for endpoint in found[:1]:",
        OUTBOUND + "test_ssrf.py",
    ),
    guard(
        "a listed name does not lead to the credentials of a cloud",
        ADDRESSES,
        "elif is_never_meant(address) and address != destination.host:",
        "elif False:",
        OUTBOUND + "test_addresses.py",
    ),
    guard(
        "what the library takes for public is looked at twice",
        ADDRESSES,
        "if any(address in network for network in SPECIAL):",
        "if False:",
        OUTBOUND + "test_addresses.py",
    ),
    guard(
        "ports are the usual ones or listed",
        ADDRESSES,
        "if not (is_listed or any_port or port in PORTS):",
        "if False:",
        OUTBOUND + "test_addresses.py",
    ),
    guard(
        "without TLS only where it is listed",
        ADDRESSES,
        'if parts.scheme == "http" and not is_listed:',
        "if False:",
        OUTBOUND + "test_addresses.py",
    ),
    guard(
        "a listed host is listed at the usual ports",
        ADDRESSES,
        "(host in listed and (any_port or port in PORTS))",
        "(host in listed)",
        OUTBOUND + "test_addresses.py",
    ),
    guard(
        "an address has plain characters",
        ADDRESSES,
        'if not url.isascii() or not url.isprintable() or " " in url or "\\\\" in url:',
        "if False:",
        OUTBOUND + "test_addresses.py",
    ),
    guard(
        "an address has no fragment",
        ADDRESSES,
        'if "@" in parts.netloc or "#" in url:',
        "if False:",
        OUTBOUND + "test_addresses.py",
    ),
    guard(
        "nothing stands around a host and its port",
        ADDRESSES,
        "found = AUTHORITY.fullmatch(text)",
        "found = AUTHORITY.match(text)",
        OUTBOUND + "test_addresses.py",
    ),
    guard(
        "name servers are not waited for",
        ADDRESSES,
        "asking.join(max(seconds, 0))",
        "asking.join()",
        OUTBOUND + "test_addresses.py",
    ),
    guard(
        "requests go to the address that was examined",
        CLIENT,
        "sock.connect(endpoint.at)",
        "sock.connect((destination.host, destination.port))",
        OUTBOUND + "test_ssrf.py",
    ),
    guard(
        "certificates are verified",
        CLIENT,
        "ssl.create_default_context()",
        "ssl._create_unverified_context()",
        OUTBOUND + "test_client.py",
    ),
    guard(
        "methods are of the menu",
        CLIENT,
        "if request.method not in METHODS:",
        "if False:",
        OUTBOUND + "test_client.py",
    ),
    guard(
        "header names are plain and not the connection's",
        CLIENT,
        "if not HEADER_NAME.fullmatch(name) or name.lower() in OURS:",
        "if False:",
        OUTBOUND + "test_client.py",
    ),
    guard(
        "header values are on one line",
        CLIENT,
        "if not HEADER_VALUE.fullmatch(value):",
        "if False:",
        OUTBOUND + "test_client.py",
    ),
    guard(
        "what may have been sent is never called not sent",
        CLIENT,
        'raise NoAnswer(f"No complete answer: {reason(error)}.") from None',
        'raise NotSent(f"No complete answer: {reason(error)}.") from None',
        OUTBOUND + "test_client.py",
    ),
    guard(
        "the deadline counts while an answer comes",
        CLIENT,
        "        self.deadline.bound(self.sock)\n",
        "",
        OUTBOUND + "test_client.py",
    ),
    guard(
        "the deadline counts while a request leaves",
        CLIENT,
        "    while rest:\n        deadline.bound(sock)\n",
        "    while rest:\n        sock.settimeout(None)\n",
        OUTBOUND + "test_client.py",
    ),
    guard(
        "an answer is bounded, also around its body",
        CLIENT,
        "self.allowed -= got",
        "pass",
        OUTBOUND + "test_client.py",
    ),
    guard(
        "an answer that was cut off in its head is none",
        CLIENT,
        "    if wire.is_over:\n",
        "    if False:\n",
        OUTBOUND + "test_client.py",
    ),
    guard(
        "an answer that was cut off in its body is none",
        CLIENT,
        "if not is_cut and (response.length or (response.chunked and wire.is_over)):",
        "if False:",
        OUTBOUND + "test_client.py",
    ),
    guard(
        "an answer whose length is not clear is none",
        CLIENT,
        "if len(set(lengths)) > 1 or not all(LENGTH.fullmatch(one) for one in lengths):",
        "if False:",
        OUTBOUND + "test_client.py",
    ),
    guard(
        "an answer with a head that cannot be read is none",
        CLIENT,
        "if response.status == SWITCHING or headers.defects:",
        "if False:",
        OUTBOUND + "test_client.py",
    ),
    guard(
        "what is not final is no answer",
        CLIENT,
        "while 100 <= self.status < 200 and self.status != SWITCHING:",
        "while False:",
        OUTBOUND + "test_client.py",
    ),
    # Outcomes at targets outside
    guard(
        "success without evidence is not believed",
        "proposals/settling.py",
        "if not claim.execution.is_transactional and not outcome.evidence:",
        "if False:",
        OUTCOMES,
    ),
    guard(
        "an intent without an answer is unknown, and not sent again",
        "proposals/execution.py",
        "if had_intent and not execution.is_transactional:",
        "if False:",
        OUTCOMES,
    ),
    guard(
        "a worker whose intent was taken over settles nothing",
        "proposals/settling.py",
        "    attempts.mine(execution, fence=execution.fence + 1)\n    execution.fence += 1\n",
        "",
        OUTCOMES,
    ),
    guard(
        "nothing is resent after 80 % of the time of its key",
        RESOLVING,
        "if max(at, now) < key_ends(execution, action):",
        "if at < key_ends(execution, action):",
        OUTCOMES,
    ),
    guard(
        "a fifth of the time of a key is kept back",
        RESOLVING,
        "0.8 * action.key_seconds",
        "action.key_seconds",
        OUTCOMES,
    ),
    guard(
        "only keyed writes are resent",
        RESOLVING,
        "    if execution.delivery == Delivery.KEYED:\n",
        "    if execution.delivery:\n",
        OUTCOMES,
    ),
    guard(
        "a refusal waits until what was sent before has settled",
        RESOLVING,
        "at = settled if was_refused(execution) else since + backoff(execution.resends)",
        "at = since + backoff(execution.resends)",
        OUTCOMES,
    ),
    guard(
        "a first refusal of a resend is not believed",
        RESOLVING,
        "    if was_refused(inquiry.execution):\n",
        "    if True:\n",
        OUTCOMES,
    ),
    guard(
        "a key never carries another request",
        RESOLVING,
        "if step is None or is_changed(proposal, execution):",
        "if step is None:",
        OUTCOMES,
    ),
    guard(
        "a freeze stops resends",
        RESOLVING,
        "if step.purpose == Purpose.RESEND and freezing.stop_for(proposal):",
        "if False:",
        OUTCOMES,
    ),
    guard(
        "absent once is not never",
        RESOLVING,
        "if execution.absent_at is not None and not involves_money(execution):",
        "if not involves_money(execution):",
        OUTCOMES,
    ),
    guard(
        "absent is not believed where money is involved",
        RESOLVING,
        "if execution.absent_at is not None and not involves_money(execution):",
        "if execution.absent_at is not None:",
        OUTCOMES,
    ),
    guard(
        "questions come to an end",
        RESOLVING,
        "if execution.asked >= len(settings.PROBE_SECONDS) or not action.can_probe(params):",
        "if not action.can_probe(params):",
        OUTCOMES,
    ),
    guard(
        "one process asks about an unknown outcome",
        "proposals/models/execution.py",
        "            Q(lease_until=None) | Q(lease_until__lte=now),\n            status",
        "            status",
        OUTCOMES,
    ),
    guard(
        "what cannot be told promises nothing",
        "proposals/models/execution.py",
        'return Delivery.UNCERTAIN.value, ""',
        'return Delivery.KEYED.value, ""',
        OUTCOMES,
    ),
    guard(
        "a breaker holds with the intent",
        "proposals/execution.py",
        "if closed := breakers.admit(execution.target, now, is_new=True):",
        "if closed := None:",
        OUTCOMES,
    ),
    guard(
        "a breaker opens after unclear calls in a row, however slow",
        "proposals/breakers.py",
        "if breaker.unclear_in_a_row >= most:",
        "if False:",
        OUTCOMES,
    ),
    guard(
        "a breaker opens after unclear calls within a minute",
        "proposals/breakers.py",
        "    if unclear >= most:\n",
        "    if False:\n",
        OUTCOMES,
    ),
    guard(
        "an open breaker tries one call at a time",
        "proposals/breakers.py",
        "if breaker.trial_until is not None and breaker.trial_until > now:",
        "if False:",
        OUTCOMES,
    ),
    guard(
        "what is unknown already is tried before anything new",
        "proposals/breakers.py",
        "    if is_new and Execution",
        "    if False and Execution",
        OUTCOMES,
    ),
    guard(
        "what people settled is not settled again",
        "proposals/services/attesting.py",
        "        fence=execution.fence + 1,\n",
        "",
        OUTCOMES,
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
