"""A mail through the verbs: people always look, it goes out once, a lost answer is UNKNOWN."""

import pytest
from django.db import transaction

from budgets.models import Budget
from proposals import checks, execution, services
from proposals.exceptions import InvalidRequest, OverBudget
from proposals.lifecycle import Status
from proposals.models import Exchange, Execution, Rule
from proposals.policy import Effect
from proposals.rounds import Rounds
from proposals.targets import wiring
from tests import factories
from tests.factories import client_for, fresh, make_person, work
from tests.mail_fixture import PARAMS, asked, filled, lists, write
from tests.target_fixture import paula

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("templates")]


def approved(**more):
    proposal = asked(**more)
    factories.approve(proposal)
    work()
    return fresh(proposal)


class TestItWaitsForPeople:
    @pytest.mark.parametrize("condition", ["", 'action == "email.send"', "impact.people == 1"])
    def test_whatever_a_rule_allows(self, mails, condition):
        Rule.objects.all().update(is_active=False)
        allow = Rule(name="All mail", action="*", condition=condition, effect=Effect.ALLOW)
        services.save_rule(rule=allow, person=None, is_new=True)
        proposal = asked()
        assert (proposal.status, proposal.tier) == (Status.PENDING, "medium")
        assert not mails.mails

    def test_whatever_it_says_and_to_whomever(self, mails):
        for number, params in enumerate((PARAMS, filled(order=1), filled(note="x"))):
            assert asked(params=params, run=f"run-{number}").status == Status.PENDING

    def test_at_high_tier_for_two(self, mails):
        write(tier="high")
        proposal = asked()
        assert (proposal.tier, proposal.current_check.approvals) == ("high", 2)
        for name in ("saul", "sara"):
            senior = make_person(name, groups=["reviewers", "senior-reviewers"])
            assert not mails.mails
            factories.approve(proposal, reviewer=senior, fact="ana@customer.example")
            work()
        assert fresh(proposal).status == Status.COMMITTED

    def test_and_is_then_sent_once_as_it_was_seen(self, mails):
        proposal = asked()
        seen = proposal.current_check.after["ana@customer.example"]
        factories.approve(proposal)
        work()
        assert fresh(proposal).status == Status.COMMITTED
        [arrived] = mails.mails
        assert arrived.get_content() == seen["text"]
        key = Execution.objects.get().key
        assert arrived["Message-ID"] == f"<{key}@shop.example>"
        assert Exchange.objects.get().evidence["message_id"] == arrived["Message-ID"]

    def test_and_cannot_be_undone(self, mails):
        proposal = approved()
        assert not proposal.current_check.is_reversible
        answer = client_for(proposal.agent).post(
            f"/proposals/{proposal.pk}/undo", {"rationale": "x"}
        )
        assert answer.json()["code"] == "nothing-to-undo"


class TestTheMenu:
    def test_lists_it_for_agents_that_may_ask(self, mails):
        item = client_for().get("/actions/email.send").json()
        assert (item["delivery"], item["reversible"]) == ("uncertain", False)
        assert item["schema"]["properties"]["template"]["const"] == "order-shipped"

    def test_stores_nothing_for_a_stranger(self, mails):
        agent = client_for()
        asked_for = {"action": "email.send", "params": PARAMS | {"to": "eve@evil.example"}}
        answer = agent.propose(**asked_for)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["pointer"] == "/params/to"


class TestALostAnswer:
    @pytest.mark.parametrize("how", ["drop", "251 Perhaps"])
    def test_is_unknown_and_never_sent_again(self, scripted, how):
        scripted.script["end"] = how
        proposal = approved()
        assert proposal.status == Status.UNKNOWN
        held = Exchange.objects.get()
        assert held.end == Exchange.End.UNCLEAR
        assert held.evidence["message_id"] == f"<{Execution.objects.get().key}@shop.example>"
        work()
        execution.run(Execution.objects.get().pk)
        assert (scripted.ended, scripted.sessions) == (1, 1)

    def test_by_a_server_that_hangs_is_unknown(self, scripted, monkeypatch):
        monkeypatch.setattr("proposals.actions.smtp.DEADLINE_SECONDS", 0.3)
        scripted.script["end"] = "hang"
        assert approved().status == Status.UNKNOWN
        assert scripted.ended == 1

    def test_is_settled_by_whoever_finds_it_in_the_servers_log(self, scripted):
        scripted.script["end"] = "drop"
        proposal = approved()
        services.attest(
            proposal_id=proposal.pk,
            person=make_person("olga", groups=["operators"]),
            finding="applied",
            reference="4F1A9C",
            evidence="The log of the mail server has it as sent.",
        )
        settled = fresh(proposal)
        assert settled.status == Status.COMMITTED
        assert settled.result == {"to": "ana@customer.example", "reference": "4F1A9C"}
        assert scripted.sessions == 1

    def test_takes_an_id_of_a_server_and_no_sentence_for_it(self, scripted):
        scripted.script["end"] = "drop"
        proposal = approved()
        with pytest.raises(InvalidRequest, match="own id"):
            services.attest(
                proposal_id=proposal.pk,
                person=make_person("olga", groups=["operators"]),
                finding="applied",
                reference="I saw it",
                evidence="The log of the mail server has it as sent.",
            )
        assert fresh(proposal).status == Status.UNKNOWN


class TestWhatFailed:
    @pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "end"])
    def test_for_now_is_tried_again_and_goes_out_once(self, scripted, step):
        scripted.script[step] = "451 Later"
        proposal = approved()
        assert proposal.status == Status.APPROVED
        del scripted.script[step]
        Execution.objects.update(run_after=proposal.created_at)
        work()
        assert fresh(proposal).status == Status.COMMITTED
        assert scripted.ended == (2 if step == "end" else 1)

    def test_for_good_is_failed_in_the_servers_words(self, scripted):
        scripted.script["RCPT"] = "550 No such mailbox"
        proposal = approved()
        assert proposal.status == Status.FAILED
        assert "550 No such mailbox" in proposal.reason
        assert scripted.ended == 0


class TestAChange:
    """What was approved is what is sent: whatever changes since takes the approval back."""

    @pytest.mark.parametrize(
        "change",
        [
            lambda: write(body="Dear {name},\n{order}{note}{total}{day}{carrier}\n"),
            lambda: write(subject="Order {order} is lost"),
            lambda: lists("partner.example"),
            lambda: services.switch_mail_template(
                name="order-shipped", is_enabled=False, person=paula()
            ),
        ],
        ids=["text", "subject", "domains", "off"],
    )
    def test_after_the_approval_sends_nothing_and_asks_people_again(self, scripted, change):
        proposal = asked()
        factories.approve(proposal)
        change()
        work()
        assert fresh(proposal).status == Status.PENDING
        assert scripted.sessions == 0

    def test_of_the_sender_takes_back_the_approval_as_well(self, scripted, settings):
        proposal = asked()
        factories.approve(proposal)
        settings.OUTGOING_FROM_EMAIL = "Shop <refunds@shop.example>"
        work()
        assert fresh(proposal).status == Status.PENDING
        assert scripted.sessions == 0

    def test_that_leaves_the_mail_as_it_was_keeps_the_approval(self, scripted):
        proposal = asked()
        factories.approve(proposal)
        lists("customer.example", "partner.example")
        work()
        assert fresh(proposal).status == Status.COMMITTED

    def test_between_the_claim_and_the_intent_sends_nothing(self, scripted):
        proposal = asked()
        factories.approve(proposal)
        claim = execution.take(Execution.objects.get().pk)
        write(subject="Order {order} is lost")
        assert execution.intend(claim) is False
        assert fresh(proposal).status in {Status.SUBMITTED, Status.PENDING}
        assert scripted.sessions == 0

    def test_after_the_intent_sends_nothing_else_than_was_approved(self, scripted):
        proposal = asked()
        factories.approve(proposal)
        claim = execution.take(Execution.objects.get().pk)
        assert execution.intend(claim)
        write(subject="Order {order} is lost")
        wiring.refresh()
        execution.write(claim)
        assert fresh(proposal).status in {Status.SUBMITTED, Status.PENDING}
        assert scripted.sessions == 0

    def test_checks_again_what_waits_for_people_once(self, mails):
        proposal = asked()
        write(subject="Order {order} is lost")
        assert Rounds().recheck_for_new_tables() == 1
        work()
        assert "is lost" in str(fresh(proposal).current_check.after)
        assert Rounds().recheck_for_new_tables() == 0

    def test_to_off_and_back_checks_again_both_times(self, mails):
        proposal = asked()
        for is_enabled, error in ((False, "switched off"), (True, "")):
            services.switch_mail_template(
                name="order-shipped", is_enabled=is_enabled, person=paula()
            )
            assert Rounds().recheck_for_new_tables() == 1
            work()
            assert error in fresh(proposal).current_check.error
            assert bool(error) == bool(fresh(proposal).current_check.error)
            assert Rounds().recheck_for_new_tables() == 0

    def test_of_a_process_alone_does_not_send_back_what_waits(self, mails, settings):
        """Or two machines with different settings would do so to each other for ever."""
        proposal = asked()
        settings.OUTGOING_FROM_EMAIL = "Shop <refunds@shop.example>"
        now = checks.definition_of(proposal.action, PARAMS)
        assert now != proposal.current_check.definition
        assert Rounds().recheck_for_new_tables() == 0

    def test_that_was_rolled_back_fools_nobody(self, mails):
        with transaction.atomic():
            write(subject="Order {order} is lost")
            transaction.set_rollback(True)
        proposal = asked()
        assert "on its way" in str(proposal.current_check.after)


def test_a_cap_on_one_person_counts_every_way_to_write_to_them(mails):
    Budget.objects.all().delete()
    cap = Budget(
        name="Mails to one person in a day",
        unit="proposals",
        resource_pattern="mail/*",
        per_resource=True,
        limit=2,
        window_seconds=86400,
    )
    services.save_budget(budget=cap, person=None, is_new=True)
    ways = ("ana@customer.example", "Ana@customer.example", "ana+2@CUSTOMER.example")
    for number, to in enumerate(ways):
        if number < 2:
            asked(params=filled(order=number) | {"to": to})
            continue
        with pytest.raises(OverBudget):
            asked(params=filled(order=number) | {"to": to})
    assert asked(params=PARAMS | {"to": "bo@customer.example"}).status == Status.PENDING
