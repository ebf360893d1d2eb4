"""What was shown is what runs: a row that was changed behind the product's back writes nothing."""

import json
from dataclasses import replace
from datetime import timedelta
from itertools import combinations
from typing import Any

import pytest
from django.db import connection
from django.db.models import Model
from django.test.utils import CaptureQueriesContext

from ledger import clock
from ledger.canonical import digest
from ledger.models import LedgerEntry
from proposals import bound, checks, execution, gate, proof, resolving, services
from proposals.console.outcomes import OutcomePage
from proposals.exceptions import AlteredSince, IllegalTransition, NotEligible
from proposals.models import Check, Evidence, Execution, Proposal, Revision, Rule
from proposals.policy import Effect
from proposals.registry import Delivery
from tests import factories
from tests.depot import BY_DELIVERY
from tests.factories import fresh, make_checked, make_person, painting, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]

proof_said_of = proof.said_of
CONTENT, CHECK = bound.Altered.CONTENT, bound.Altered.CHECK
CHANGED = {
    "action": (Proposal, "toys.restore"),
    "params": (Revision, painting("green", tier="medium", note="for her birthday")),
    "before": (Check, {"bear": {"colour": "pink"}}),
    "after": (Check, {"bear": {"colour": "pink"}}),
    "impact": (Check, {"objects": 0}),
    "conflicts": (Check, [{"object": "bear", "field": "colour"}]),
    "tier": (Check, "low"),
    "effect": (Check, "allow"),
    "approvals": (Check, 0),
    "groups": (Check, ",auditors,"),
    "compensation": (Check, None),
    "error": (Check, "It could not be read."),
    "digest": (Check, "sha256:" + 64 * "0"),
}
BESIDE = {  # what else the ledger holds of the content, or of which check it was
    "rationale": (Revision, "Nobody asked for it."),
    "context": (Revision, {"model": "another"}),
    "round": (Check, 7),
}
WORDS = {"action", "params", "rationale", "context"}
ALONE = [(name,) for name in CHANGED | BESIDE]
PAIRS = list(combinations(CHANGED, 2))


def change(proposal: Proposal, *names: str) -> None:
    """Write to the tables themselves, as no code of the product does."""
    for name in names:
        model, value = (CHANGED | BESIDE)[name]
        write(model, rows_of(proposal)[model], name, value)


def rows_of(proposal: Proposal) -> dict:
    check = fresh(proposal).current_check
    return {Proposal: proposal.pk, Revision: check.revision_id, Check: check.pk}


def write(model: type[Model], pk: Any, column: str, value: Any) -> None:
    stored = json.dumps(value) if isinstance(value, dict | list) else value
    key = model._meta.pk.get_db_prep_value(pk, connection)
    with connection.cursor() as cursor:
        cursor.execute(
            f'UPDATE {model._meta.db_table} SET "{column}" = %s WHERE id = %s', [stored, key]
        )


def with_its_digest(proposal: Proposal) -> None:
    """Give the altered check the digest that its rows now have, and its approvals as well."""
    current = fresh(proposal)
    check = current.current_check
    again = bound.seen_digest(
        current, check.revision, gate.findings_of(check), gate.as_verdict(check)
    )
    write(Check, current.current_check_id, "digest", again)
    for review in current.reviews.all():
        write(type(review), review.pk, "digest", again)


def amend(proposal: Proposal) -> None:
    services.amend(
        agent=proposal.agent,
        proposal_id=proposal.pk,
        key=factories.new_key(),
        fingerprint=factories.new_key(),
        changes={"params": painting("red", tier="medium")},
    )


def pending() -> Proposal:
    return make_checked(params=painting(tier="medium", note="for her birthday"))


def approved(**fields) -> Proposal:
    make_person()
    proposal = pending()
    factories.approve(proposal)
    return fresh(proposal)


def claim() -> None:
    execution.run(Execution.objects.latest("created_at").pk)


def entered(proposal: Proposal, kind: str) -> list[dict]:
    found = LedgerEntry.objects.filter(stream=proposal.stream, kind=kind).order_by("number")
    return [entry.body for entry in found]


class TestAfterTheApproval:
    def test_what_nobody_touched_is_committed(self, toybox):
        proposal = approved()
        claim()
        assert fresh(proposal).status == "committed"
        assert len(toybox.effects) == 1

    @pytest.mark.parametrize("names", ALONE + PAIRS, ids="+".join)
    def test_a_change_of_what_it_is_bound_to_writes_nothing_and_has_failed(self, toybox, names):
        proposal = approved()
        change(proposal, *names)
        claim()
        work()
        proposal = fresh(proposal)
        said = CONTENT if WORDS & set(names) else CHECK
        assert toybox.effects == []
        assert proposal.status == "failed"
        assert proposal.reason == said
        assert proposal.error == {"code": "altered", "detail": said, "retryable": True}
        assert entered(proposal, "execution.claimed")[-1]["refusal"] == said
        assert entered(proposal, "proposal.failed")[-1]["error"] == "altered"

    @pytest.mark.parametrize("name", [name for name in CHANGED if name != "digest"])
    def test_a_digest_made_to_fit_the_change_helps_nobody(self, toybox, name):
        proposal = approved()
        change(proposal, name)
        with_its_digest(proposal)
        claim()
        assert toybox.effects == []
        assert fresh(proposal).status == "failed"

    def test_the_same_holds_for_what_the_rules_let_through(self, toybox):
        make_person()
        proposal = factories.make_proposal()
        execution_id = checks.run(proposal.pk)
        change(proposal, "params")
        execution.run(execution_id)
        assert toybox.effects == []
        assert fresh(proposal).status == "failed"

    def test_a_check_of_an_earlier_revision_is_not_the_last_one(self, toybox):
        make_person()
        proposal = pending()
        earlier = proposal.current_check
        amend(proposal)
        work()
        factories.approve(proposal)
        write(Proposal, proposal.pk, "current_check_id", earlier.pk)
        Execution.objects.update(of_check=earlier)
        claim()
        assert toybox.effects == []
        assert fresh(proposal).status == "failed"

    def test_evidence_that_was_erased_keeps_nothing_from_its_commit(self, toybox):
        make_person()
        proposal = make_checked(
            params=painting(tier="medium"),
            evidence=[{"kind": "record", "title": "toy", "content": {"colour": "brown"}}],
        )
        factories.approve(proposal)
        write(Evidence, Evidence.objects.get().pk, "content", None)
        claim()
        assert fresh(proposal).status == "committed"

    def test_the_comparison_takes_one_statement(self):
        proposal = approved()
        check = Check.objects.select_related("revision").get(pk=proposal.current_check_id)
        with CaptureQueriesContext(connection) as asked:
            assert bound.altered(proposal, check) is None
        assert len(asked) == 1


class TestARetry:
    def retried(self, proposal: Proposal) -> Proposal:
        olga = make_person("olga", groups=["operators"])
        services.retry(proposal_id=proposal.pk, person=olga, reason="The row was looked at.")
        work()
        return fresh(proposal)

    def test_of_an_altered_check_is_checked_anew_and_then_commits_what_was_approved(self, toybox):
        proposal = approved()
        change(proposal, "compensation", "impact")
        claim()
        proposal = self.retried(proposal)
        assert proposal.status == "committed"
        assert toybox.colours["bear"] == "blue"
        assert proposal.current_check.compensation is not None

    def test_of_altered_content_waits_for_people_and_cannot_be_approved(self, toybox):
        proposal = approved()
        change(proposal, "params")
        claim()
        proposal = self.retried(proposal)
        assert proposal.status == "pending"
        assert proposal.current_check.error == CONTENT
        assert not proposal.current_check.is_approvable
        with pytest.raises(AlteredSince):
            factories.approve(proposal)
        assert toybox.effects == []


class TestBeforeADecision:
    @pytest.mark.parametrize("names", ALONE + PAIRS, ids="+".join)
    def test_nobody_approves_what_was_changed_and_it_is_checked_anew(self, toybox, names):
        make_person()
        proposal = pending()
        change(proposal, *names)
        with pytest.raises(AlteredSince):
            factories.approve(proposal)
        said = CONTENT if WORDS & set(names) else CHECK
        assert fresh(proposal).status == "submitted"
        assert entered(proposal, "proposal.submitted")[-1]["reason"] == said
        assert not proposal.reviews.exists()
        work()
        assert fresh(proposal).status == "pending"
        assert toybox.effects == []

    @pytest.mark.parametrize("name", [name for name in CHANGED if name != "digest"])
    def test_a_digest_made_to_fit_the_change_helps_nobody(self, name):
        make_person()
        proposal = pending()
        change(proposal, name)
        with_its_digest(proposal)
        with pytest.raises(AlteredSince):
            factories.approve(proposal)

    def test_an_altered_check_gives_way_to_one_that_people_decide_on(self, toybox):
        make_person()
        proposal = pending()
        change(proposal, "before", "impact")
        with pytest.raises(AlteredSince):
            factories.approve(proposal)
        work()
        assert "altered" in [one["code"] for one in fresh(proposal).current_check.reasons]
        factories.approve(proposal)
        work()
        assert fresh(proposal).status == "committed"
        assert toybox.colours["bear"] == "blue"

    def test_altered_content_is_never_previewed_and_never_approved(self, toybox):
        make_person()
        proposal = pending()
        change(proposal, "params")
        services.recheck(proposal_id=proposal.pk, reason="The rules changed.")
        work()
        check = fresh(proposal).current_check
        assert (check.error, check.before, check.tier) == (CONTENT, None, "high")
        with pytest.raises((AlteredSince, NotEligible)):
            factories.approve(proposal)

    def test_altered_content_that_the_rules_would_let_through_waits_for_people(self, toybox):
        proposal = factories.make_proposal()
        write(Revision, proposal.revision().pk, "params", painting("green"))
        work()
        assert toybox.effects == []
        assert fresh(proposal).status == "pending"

    def test_an_altered_check_is_not_let_through_by_rules_that_became_looser(self, toybox):
        make_person()
        proposal = pending()
        change(proposal, "effect")
        Rule.objects.all().update(is_active=False)
        Rule.objects.create(name="Toys are cheap", action="toys.*", effect=Effect.ALLOW)
        services.recheck(proposal_id=proposal.pk, reason="The rules changed.")
        work()
        assert toybox.effects == []
        assert fresh(proposal).status == "pending"

    @pytest.mark.parametrize("effect", [Effect.ALLOW, Effect.REVIEW])
    @pytest.mark.parametrize("is_made_to_fit", [False, True])
    @pytest.mark.parametrize(
        "altered",
        [{"error": "Odd."}, {"effect": "allow"}, {"approvals": 1, "groups": ",reviewers,"}],
        ids=lambda altered: "+".join(altered),
    )
    def test_an_altered_check_lowers_nothing_of_what_was_asked_for_before(
        self, altered, is_made_to_fit, effect
    ):
        """Two seniors were asked for, and the rules ask for less since."""
        Rule.objects.all().update(is_active=False)
        rule = Rule(name="Toys", action="toys.*", effect="review", approvals=2)
        rule.group = "senior-reviewers"
        services.save_rule(rule=rule, person=None, is_new=True)
        proposal = pending()
        rule.effect, rule.approvals, rule.group = effect, 1, "reviewers"
        services.save_rule(rule=rule, person=None, is_new=False)
        for column, value in altered.items():
            write(Check, proposal.current_check_id, column, value)
        if is_made_to_fit:
            with_its_digest(proposal)
        services.recheck(proposal_id=proposal.pk, reason="The rules changed.")
        work()
        check = fresh(proposal).current_check
        assert fresh(proposal).status == "pending"
        assert (check.effect, check.approvals) == ("review", 2)
        assert check.group_names == ["senior-reviewers"]
        assert "altered" in [one["code"] for one in check.reasons]

    def test_what_the_ledger_held_of_a_check_before_it_named_groups_is_enough(self, monkeypatch):
        proposal = pending()
        Rule.objects.all().update(is_active=False)
        services.save_rule(
            rule=Rule(name="Cheap", action="toys.*", effect=Effect.ALLOW), person=None, is_new=True
        )
        monkeypatch.setattr(proof, "said_of", lambda of: replace(proof_said_of(of), groups=None))
        services.recheck(proposal_id=proposal.pk, reason="The rules changed.")
        work()
        assert fresh(proposal).current_check.group_names == proposal.current_check.group_names

    def test_it_can_still_be_rejected(self):
        make_person()
        proposal = pending()
        change(proposal, "params", "compensation")
        factories.review(proposal, "reject")
        assert fresh(proposal).status == "rejected"

    def test_the_agent_can_still_say_it_anew(self, toybox):
        make_person()
        proposal = pending()
        change(proposal, "params")
        amend(proposal)
        work()
        factories.approve(proposal)
        work()
        assert toybox.colours["bear"] == "red"


class TestAfterAnIntent:
    def abandoned(self, toybox) -> Proposal:
        """A worker applied it, and ended before it could say so."""
        proposal = approved()
        toybox.failing["answer"] = "unclear"
        claim()
        toybox.failing.clear()
        ended = clock.now() - timedelta(seconds=1)
        Execution.objects.update(lease_until=ended)
        return proposal

    def test_a_key_whose_place_cannot_be_told_any_more_is_unknown(self, toybox):
        proposal = self.abandoned(toybox)
        change(proposal, "params")
        claim()
        assert fresh(proposal).status == "unknown"
        assert len(toybox.effects) == 1

    def test_the_machine_asks_for_that_key_only_when_the_content_is_back(self, toybox):
        proposal = self.abandoned(toybox)
        was = proposal.revision()
        change(proposal, "params")
        claim()
        olga = make_person("olga", groups=["operators"])
        asked = {"proposal_id": proposal.pk, "person": olga, "reason": "It was restored."}
        with pytest.raises(IllegalTransition):
            services.reconcile(**asked)
        write(Revision, was.pk, "params", was.params)
        services.reconcile(**asked)
        assert fresh(proposal).status == "committed"

    def test_an_altered_check_keeps_nobody_from_hearing_that_it_was_written(self, toybox):
        proposal = self.abandoned(toybox)
        change(proposal, "compensation")
        claim()
        assert fresh(proposal).status == "committed"
        assert len(toybox.effects) == 1

    def test_a_key_is_never_sent_again_with_altered_content(self, the_depot):
        make_person()
        params = {"parcel": "books"}
        proposal = make_checked(action=BY_DELIVERY[Delivery.KEYED], params=params)
        factories.approve(proposal)
        the_depot.failing["answer"] = "unclear"
        claim()
        the_depot.failing.clear()
        sent = len(the_depot.requests)
        write(Revision, proposal.revision().pk, "params", {"parcel": "bombs"})
        due = clock.now() - timedelta(seconds=1)
        Execution.objects.update(ask_at=due, last_unclear_at=due - timedelta(hours=1))
        resolving.run(Execution.objects.get().pk)
        assert len(the_depot.requests) == sent
        assert fresh(proposal).status == "unknown"
        assert fresh(proposal).reason == CONTENT


class TestOutside:
    @pytest.mark.parametrize("delivery", list(BY_DELIVERY))
    def test_nothing_is_sent_of_what_was_changed(self, the_depot, delivery):
        make_person()
        proposal = make_checked(action=BY_DELIVERY[delivery], params={"parcel": "books"})
        factories.approve(proposal)
        write(Revision, proposal.revision().pk, "params", {"parcel": "bombs"})
        claim()
        assert the_depot.requests == []
        assert fresh(proposal).status == "failed"

    @pytest.fixture
    def unclear(self, the_depot) -> Proposal:
        """Something was sent for much money, and no clear answer came."""
        make_person()
        params = {"parcel": "books", "amount": "9000.00"}
        proposal = make_checked(action=BY_DELIVERY[Delivery.QUERYABLE], params=params)
        factories.approve(proposal)
        the_depot.failing["answer"] = "unclear"
        claim()
        the_depot.failing.clear()
        return fresh(proposal)

    def lower_its_money(
        self, proposal: Proposal, amount: dict | None, is_made_to_fit: bool
    ) -> None:
        check = fresh(proposal).current_check
        write(Check, check.pk, "impact", {**check.impact, "amount": amount})
        if is_made_to_fit:
            with_its_digest(proposal)

    def vouch(self, proposal: Proposal, name: str) -> None:
        services.attest(
            proposal_id=proposal.pk,
            person=make_person(name, groups=["operators"]),
            finding="applied",
            reference="track-1",
            authenticated_at=clock.now(),
        )

    @pytest.mark.parametrize("is_made_to_fit", [False, True])
    @pytest.mark.parametrize("amount", [None, {"amount": "1.00", "currency": "EUR"}])
    def test_how_many_people_settle_it_is_not_what_an_altered_check_says(
        self, unclear, amount, is_made_to_fit
    ):
        self.lower_its_money(unclear, amount, is_made_to_fit)
        self.vouch(unclear, "olga")
        assert fresh(unclear).status == "unknown"
        self.vouch(unclear, "oskar")
        assert fresh(unclear).status == "committed"

    def test_the_page_says_that_two_people_settle_it_and_why(self, unclear):
        self.lower_its_money(unclear, None, is_made_to_fit=False)
        page = OutcomePage(
            unclear, Execution.objects.get(), make_person("olga", groups=["operators"])
        )
        assert page.needed == 2
        assert page.seats.startswith(CHECK)


class TestAnUndo:
    def test_of_what_was_committed_needs_nothing_of_its_erased_content(self, toybox):
        proposal = approved()
        claim()
        write(Revision, proposal.revision().pk, "rationale", "")
        write(Revision, proposal.revision().pk, "params", {})
        olga = make_person("olga", groups=["operators"])
        services.undo(proposal_id=proposal.pk, person=olga, reason="A mix-up.")
        work()
        assert toybox.colours["bear"] == "brown"

    def test_that_was_changed_before_its_check_waits_for_people(self, toybox):
        proposal = approved()
        claim()
        olga = make_person("olga", groups=["operators"])
        undo = services.undo(proposal_id=proposal.pk, person=olga, reason="A mix-up.")
        words = {**undo.revision().params, "colour": "green"}
        write(Revision, undo.revision().pk, "params", words)
        work()
        assert toybox.colours["bear"] == "blue"
        assert fresh(undo).status == "pending"


class TestWhatWasCheckedBeforeTheValuesAfterwardsWerePartOfIt:
    @pytest.fixture
    def formerly(self, monkeypatch):
        """Checks that are stored meanwhile have the digest of the form that was."""

        def digest_then(*of: Any) -> str:
            return digest({key: value for key, value in bound.seen(*of).items() if key != "after"})

        with monkeypatch.context() as patch:
            patch.setattr(bound, "seen_digest", digest_then)
            yield patch.undo

    def test_is_written_as_it_was_approved(self, toybox, formerly):
        proposal = approved()
        formerly()
        check = fresh(proposal).current_check
        assert digest(json.loads(bound.seen_bytes(proposal, check))) == check.digest
        claim()
        work()
        assert fresh(proposal).status == "committed"

    def test_is_approved_afterwards(self, toybox, formerly):
        make_person()
        proposal = pending()
        formerly()
        factories.approve(proposal)
        assert fresh(proposal).status == "approved"

    @pytest.mark.parametrize("name", [name for name in CHANGED if name != "after"])
    def test_is_held_to_all_that_was(self, toybox, formerly, name):
        proposal = approved()
        formerly()
        change(proposal, name)
        claim()
        assert toybox.effects == []
        assert fresh(proposal).status == "failed"
