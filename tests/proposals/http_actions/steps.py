"""What people and the clock do to proposals of configured actions."""

from datetime import timedelta
from typing import Any

from proposals import resolving, services
from proposals.models import Execution, Proposal
from proposals.services.decisions import expected_fact
from tests import factories

MOMENTS = ("ask_at", "unclear_at", "last_unclear_at", "first_sent_at", "absent_at", "lease_until")


def approved(proposal: Proposal) -> Proposal:
    """As far as it goes with everybody's approval: that of Rita, or of Saul and Sara."""
    for name in ("rita", "saul", "sara"):
        if factories.fresh(proposal).status == "pending":
            groups = ["reviewers"] if name == "rita" else ["senior-reviewers"]
            check = factories.fresh(proposal).current_check
            if set(groups) & set(check.group_names):
                person = factories.make_person(name, groups=groups)
                factories.approve(proposal, reviewer=person, fact=expected_fact(check))
    factories.work()
    return factories.fresh(proposal)


def asked(action: str, params: dict[str, Any], **more: Any) -> Proposal:
    """Proposed, approved, and taken as far as it goes."""
    return approved(factories.make_checked(action=action, params=params, **more))


def take_back(proposal: Proposal, **more: Any) -> Proposal:
    """Olga takes a commit back, as far as that goes without anybody else."""
    olga = factories.make_person("olga", groups=["operators"])
    undo = services.undo(proposal_id=proposal.pk, person=olga, reason="A mistake.", **more)
    factories.work()
    return factories.fresh(undo)


def attempt_of(proposal: Proposal) -> Any:
    return Execution.objects.filter(proposal=proposal).latest("attempt")


def look_again(proposal: Proposal, after: float = 5) -> Proposal:
    """The clock's turn at an unknown outcome, so many seconds later."""
    for each in Execution.objects.all():
        by = timedelta(seconds=after)
        moved = {name: getattr(each, name) - by for name in MOMENTS if getattr(each, name)}
        Execution.objects.filter(pk=each.pk).update(**moved)
    resolving.run(attempt_of(proposal).pk)
    return factories.fresh(proposal)
