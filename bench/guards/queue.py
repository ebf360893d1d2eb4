"""What people work the queue down with: who is reviewing what."""

from bench.guards.guard import Guard

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
        "    ReviewClaim.objects.filter(person=person).exclude(proposal=proposal).delete()\n",
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
]
