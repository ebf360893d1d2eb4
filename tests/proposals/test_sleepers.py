"""A worker that slept between its intent and its call sends nothing when it wakes."""

from dataclasses import replace
from datetime import timedelta

import pytest

from ledger.models import LedgerEntry
from proposals import attempts, execution, resolving, services
from proposals.models import Exchange, Execution, Proposal
from proposals.registry import Delivery
from tests import factories
from tests.depot import BY_DELIVERY
from tests.factories import fresh, make_checked, make_person, painting, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("the_depot")]
NIGHT = 8 * 3600


def approved(delivery: str) -> Proposal:
    proposal = make_checked(action=BY_DELIVERY[delivery], params={"parcel": "books"})
    factories.approve(proposal)
    return fresh(proposal)


def attempt() -> Execution:
    return Execution.objects.latest("created_at")


def about_to_send(proposal: Proposal) -> attempts.Claim:
    """A worker with a durable intent, that falls asleep before its call."""
    claim = execution.take(attempt().pk)
    assert execution.prepare(claim)
    assert execution.intend(claim)
    return replace(claim, since=claim.since - NIGHT)


def overtaken(proposal: Proposal) -> Proposal:
    """Meanwhile its lease ended, and another worker looked."""
    Execution.objects.update(lease_until=proposal.created_at)
    execution.run(attempt().pk)
    assert fresh(proposal).status == "unknown"
    return fresh(proposal)


@pytest.mark.parametrize("delivery", list(BY_DELIVERY))
class TestASleeper:
    def test_sends_nothing_that_people_have_settled_meanwhile(self, the_depot, delivery):
        proposal = approved(delivery)
        sleeper = about_to_send(proposal)
        overtaken(proposal)
        Execution.objects.update(last_unclear_at=proposal.created_at - timedelta(hours=1))
        services.attest(
            proposal_id=proposal.pk,
            person=make_person("olga", groups=["operators"]),
            finding="not_applied",
            evidence="It is not in their books.",
            retry_is_safe=True,
        )
        execution.write(sleeper)
        assert the_depot.requests == []
        assert fresh(proposal).status == "failed"

    def test_leaves_as_evidence_that_nothing_was_sent(self, the_depot, delivery):
        proposal = approved(delivery)
        sleeper = about_to_send(proposal)
        overtaken(proposal)
        execution.write(sleeper)
        assert the_depot.requests == []
        assert fresh(proposal).status == "unknown"
        assert Exchange.objects.get().end == "unsent"
        assert LedgerEntry.objects.last().kind == "execution.late_evidence"

    def test_that_nobody_has_missed_is_queued_again(self, the_depot, delivery):
        proposal = approved(delivery)
        execution.write(about_to_send(proposal))
        assert the_depot.requests == []
        assert (fresh(proposal).status, attempt().status) == ("approved", "queued")


def test_a_sleeper_does_not_send_again_either(the_depot):
    proposal = approved(Delivery.KEYED)
    the_depot.failing["answer"] = "unclear"
    execution.run(attempt().pk)
    an_hour_ago = proposal.created_at - timedelta(hours=1)
    Execution.objects.update(
        last_unclear_at=an_hour_ago, first_sent_at=proposal.created_at, ask_at=an_hour_ago
    )
    sleeper = resolving.take(attempt().pk)
    resolving.send_again(replace(sleeper, since=sleeper.since - NIGHT))
    assert len(the_depot.requests) == 1
    assert fresh(proposal).status == "unknown"


class TestASleeperAtATargetWithReceipts:
    def test_writes_nothing_past_a_stop_that_holds_for_its_attempt_meanwhile(self, toybox):
        proposal = make_checked(params=painting(tier="medium"))
        factories.approve(proposal)
        before = dict(toybox.colours)
        sleeper = execution.take(attempt().pk)
        assert execution.intend(sleeper)
        frozen = services.freeze(reason="Stop everything.")
        Execution.objects.update(lease_until=proposal.created_at)
        execution.run(attempt().pk)
        assert fresh(proposal).is_held
        execution.write(replace(sleeper, since=sleeper.since - NIGHT))
        assert toybox.colours == before
        assert fresh(proposal).status == "approved"
        services.lift(freeze_id=frozen.pk, reason="Go on.")
        Execution.objects.update(lease_until=proposal.created_at)
        work()
        assert fresh(proposal).status == "committed", "under the same key, once"
        assert Execution.objects.count() == 1
