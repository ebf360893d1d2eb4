"""What people work the queue down with: who is reviewing what, and a fresh check of what moved."""

from bench.guards.guard import Guard

RECHECKS = "tests/proposals/test_recheck_against_live.py"
CLAIMS = "tests/proposals/test_review_claims.py"

GUARDS = [
    Guard(
        "whoever may not decide claims nothing",
        "proposals/services/claiming.py",
        "if objection := seats.ineligibility(person, proposal, check):",
        'if objection := "":',
        CLAIMS,
    ),
    Guard(
        "nobody takes over what somebody else is reviewing",
        "proposals/services/claiming.py",
        "if of_this.filter(is_free).update(**wanted):",
        "if of_this.update(**wanted):",
        CLAIMS,
    ),
    Guard(
        "nobody keeps colleagues from a whole list by claiming all of it",
        "proposals/services/claiming.py",
        "        end_others(found)\n",
        "",
        CLAIMS,
    ),
    Guard(
        "nobody ends the claim of somebody else",
        "proposals/services/claiming.py",
        "ReviewClaim.objects.filter(proposal=proposal_id, person=person).delete()",
        "ReviewClaim.objects.filter(proposal=proposal_id).delete()",
        CLAIMS,
    ),
    Guard(
        "a claim ends with what was claimed",
        "proposals/models/review_claim.py",
        "is_same = proposal.status == Status.PENDING and proposal.round == self.round",
        "is_same = True",
        CLAIMS,
    ),
    Guard(
        "a page that nobody uses keeps no claim",
        "proposals/console/claiming.py",
        'if request.headers.get(ACTIVE) != "1":',
        "if False:",
        CLAIMS,
    ),
    Guard(
        "nobody voids approvals by asking for a check of what did not move",
        "proposals/services/rechecking.py",
        "if checks.comes_out_the_same(proposal, check, findings):",
        "if False:",
        RECHECKS,
    ),
    Guard(
        "nobody voids approvals because the target is out of reach",
        "proposals/services/rechecking.py",
        "if findings.error:",
        "if False:",
        RECHECKS,
    ),
    Guard(
        "only who may decide asks for a fresh check",
        "proposals/services/rechecking.py",
        "if objection := seats.ineligibility(person, proposal, check):",
        'if objection := "":',
        RECHECKS,
    ),
    Guard(
        "what was on the screen is what is checked anew",
        "proposals/services/rechecking.py",
        "if check is not None and digest != check.digest:",
        "if False:",
        RECHECKS,
    ),
    Guard(
        "only what waits for people is checked anew, also after the target was read",
        "proposals/services/rechecking.py",
        "        check = allowed(proposal, person, digest)\n",
        "        check = proposal.current_check\n",
        RECHECKS,
    ),
    Guard(
        "nobody removes the view of somebody else",
        "proposals/services/desk.py",
        "SavedView.objects.filter(pk=view_id, person=person).delete()",
        "SavedView.objects.filter(pk=view_id).delete()",
        "tests/proposals/test_groups_and_views.py",
    ),
]
